"""The mean and scale in a pickled scikit-learn ``StandardScaler``, without running anything the pickle asks for.

A pickle is a program. This reader lets it build four kinds of things, all of them inert stand-ins defined here: the
scaler, arrays, their types, and what protocols 2 and later wrap bytes in. No class or function of scikit-learn or NumPy
is looked up, and any other name ends the reading.
"""

from __future__ import annotations

import io
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from varscore.errors import ModelError, reason

MOST_BYTES = 64 << 20
_FLOATS = ("f8", "f4", "<f8", "<f4", ">f8", ">f4")


def read_scaler(path: Path, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and scale of a scaler of ``width`` features, float64 (width,) each. Any pickle protocol, Python 2's too.

    Raises ModelError for a pickle that asks for anything else, and for what is no such scaler.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise pickle.UnpicklingError("it is too large")
        found = _Reader(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        if not isinstance(found, _Scaler):
            raise pickle.UnpicklingError("it holds no StandardScaler")
        state = vars(found)
        mean, scale = state["mean_"].array(), _scale(state)
    except OSError as error:
        raise ModelError("cannot read the scaler", where=path, cause=reason(error)) from None
    except Exception as error:  # whatever a broken or hostile pickle makes the unpickler stumble over
        problem = " ".join(f"{error}".split()) or type(error).__name__
        raise ModelError("not a scaler that is safe to read", where=path, cause=problem) from None
    if mean.shape != (width,) or scale.shape != (width,):
        raise ModelError(f"a scaler of {len(mean)} features instead of {width}", where=path)
    if not np.isfinite(mean).all() or not np.isfinite(scale).all() or (scale <= 0).any():
        raise ModelError("the scaler's values are not all numbers", where=path)
    return mean, scale


def _scale(state: dict[str, Any]) -> NDArray[np.float64]:
    """``scale_``, which scikit-learn before 0.17 called ``std_``."""
    for name in ("scale_", "std_"):
        if name in state:
            scale: NDArray[np.float64] = state[name].array()
            return scale
    root: NDArray[np.float64] = np.sqrt(state["var_"].array())
    return np.where(root > 0, root, 1.0)


class _Scaler:
    """Stands in for a StandardScaler."""

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)


@dataclass
class _Kind:
    """Stands in for ``numpy.dtype``."""

    name: str
    order: str = "="

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.order = str(state[1])


class _Array:
    """Stands in for ``numpy.ndarray``, and for a NumPy scalar."""

    def __init__(self, *construction: object) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.state = state

    def array(self) -> NDArray[np.float64]:
        """The values, float64. Raises ValueError unless they are floats laid end to end."""
        _, shape, kind, fortran, data = self.state
        order = "" if kind.name[0] in "<>" else {"<": "<", ">": ">", "=": "="}[kind.order]
        if kind.name not in _FLOATS or len(shape) != 1 or fortran not in (False, 0):
            raise ValueError("an array that is no vector of floats")
        content = data.encode("latin1") if isinstance(data, str) else bytes(data)
        dtype = np.dtype(order + kind.name)
        if len(content) != math.prod(shape) * dtype.itemsize:
            raise ValueError("an array whose size is not that of its content")
        return np.frombuffer(content, dtype).astype(np.float64)


def _from_buffer(data: object, kind: _Kind, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.state = (1, shape, kind, False, data)
    return array


def _reconstructor(kind: type, base: object, state: object) -> _Scaler:
    if kind is not _Scaler:
        raise pickle.UnpicklingError("it builds something that is not a scaler")
    return _Scaler()


def _make_kind(name: str, align: object = False, copy: object = False) -> _Kind:
    return _Kind(name.decode("ascii") if isinstance(name, bytes) else str(name))


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], object] = {
    **dict.fromkeys(((f"{m}reg", "_reconstructor") for m in ("copy_", "copy")), _reconstructor),
    **dict.fromkeys(((m, "object") for m in ("__builtin__", "builtins")), None),
    **dict.fromkeys(((f"sklearn.preprocessing.{m}", "StandardScaler") for m in ("data", "_data")), _Scaler),
    **dict.fromkeys(((f"numpy.{m}.multiarray", "_reconstruct") for m in ("core", "_core")), _Array),
    **dict.fromkeys(((f"numpy.{m}.multiarray", "scalar") for m in ("core", "_core")), _Array),
    **dict.fromkeys(((f"numpy.{m}.numeric", "_frombuffer") for m in ("core", "_core")), _from_buffer),
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _make_kind,
    ("_codecs", "encode"): _encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not let in") from None

    def persistent_load(self, pid: object) -> NoReturn:
        raise pickle.UnpicklingError("it refers to something outside of it")
