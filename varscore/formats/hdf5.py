"""Numbers in HDF5 files that others made, and nothing that such a file points to outside of itself.

h5py executes nothing, but a file may name other files whose content it shows as its own; those are not followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError, UsageError, reason

if TYPE_CHECKING:
    import h5py

Sliceable: TypeAlias = "NDArray[np.number] | h5py.Dataset"
"""An array of which only what is sliced is read"""

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NUMBERS = "uifb"


class Hdf5File:
    """An HDF5 file opened for reading; see :func:`open_hdf5`."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self._file = path, file

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def names(self, group: str = "/") -> list[str]:
        """Names in a group, in the file's order. Raises DataError when there is no such group."""
        found = self._file if group == "/" else self._find(group)
        if not hasattr(found, "keys"):
            raise DataError(f"no group {group!r}", where=self.path)
        return list(found.keys())

    def array(self, name: str) -> h5py.Dataset:
        """An array of numbers that is sliced as NumPy's are, of which only what is sliced is read.

        Raises DataError when there is none of that name, or it is not numbers kept in this file.
        """
        found = self._find(name)
        if found is None or not hasattr(found, "dtype"):
            raise DataError(f"no array {name!r}", where=self.path)
        if found.dtype.kind not in _NUMBERS or found.shape is None:
            raise DataError(f"{name!r} is no array of numbers", where=self.path)
        if found.external or found.is_virtual:
            raise DataError(f"{name!r} is kept in other files", where=self.path, cause="such files are not followed")
        return found

    def read(self, name: str, most: int) -> NDArray[np.floating]:
        """A whole array of at most ``most`` bytes. Raises DataError, also for what is damaged or larger."""
        found = self.array(name)
        if found.size * found.dtype.itemsize > most:
            raise DataError(f"{name!r} is larger than it may be", where=self.path, cause=f"its shape is {found.shape}")
        with damage(self.path):
            return np.asarray(found[()])

    def _find(self, name: str) -> Any:
        """What is at a path of hard links; None when there is nothing."""
        here = self._file
        for part in name.strip("/").split("/"):
            link = here.get(part, getlink=True) if hasattr(here, "keys") else None
            if link is None:
                return None
            if type(link).__name__ != "HardLink":
                raise DataError(f"{name!r} points elsewhere", where=self.path, cause="such links are not followed")
            here = here[part]
        return here


@contextmanager
def open_hdf5(path: Path) -> Iterator[Hdf5File]:
    """Raises DataError when it is no HDF5 file, UsageError when h5py is not installed."""
    try:
        h5py = import_module("h5py")
    except ImportError:
        raise UsageError("this file needs the package h5py", where=path, remedy="pip install h5py") from None
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        cause = reason(error) if error.errno else " ".join(str(error).split())
        raise DataError("cannot read as HDF5", where=path, cause=cause) from None
    with file:
        yield Hdf5File(path, file)


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turn what h5py raises while reading into DataError."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError("damaged HDF5 file", where=path, cause=" ".join(str(error).split())) from None
