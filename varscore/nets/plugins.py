"""Architectures of users: registered by a Python file that they name, or by a package that they have installed.

Nothing here is called because of what stands in a model folder but the look-up of an architecture's name among the
entry points of installed packages; no file of the folder is ever run.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from varscore.errors import UsageError, reason

GROUP = "varscore.architectures"
"""Entry points named after an architecture, whose module registers it"""


@dataclass(frozen=True)
class Plugin:
    """A Python file that has been run. Unpickling it in another process runs the same text there."""

    path: Path
    text: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text).hexdigest()

    @property
    def module(self) -> str:
        """The name its classes are known by in every process."""
        return f"varscore_plugin_{self.sha256[:16]}"

    def __reduce__(self) -> tuple[object, ...]:
        return _run, (self.path, self.text)


_plugins: dict[str, Plugin] = {}
"""By the names of their modules, in the order in which they were run"""


def loaded() -> tuple[Plugin, ...]:
    """The files that were run in this process."""
    return tuple(_plugins.values())


def load_plugin(path: Path) -> Plugin:
    """Run a Python file, once. Raises UsageError when it cannot be read or run."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError("cannot read the plugin", where=path, cause=reason(error)) from None
    return _run(path.resolve(), text)


def _run(path: Path, text: bytes) -> Plugin:
    plugin = Plugin(path, text)
    if plugin.module in _plugins:
        return plugin
    module = ModuleType(plugin.module)
    module.__file__ = str(path)
    sys.modules[plugin.module] = module  # dataclasses and pickle look classes up in it
    try:
        exec(compile(text, str(path), "exec"), vars(module))
    except Exception as error:
        del sys.modules[plugin.module]
        raise UsageError("the plugin cannot be run", where=_place(error, path), cause=_gist(error)) from error
    _plugins[plugin.module] = plugin
    return plugin


def load_installed(name: str | None = None) -> None:
    """Import the modules that installed packages name as entry points: of the architecture ``name``, or all.

    Raises UsageError when one of them cannot be imported.
    """
    for point in entry_points(group=GROUP) if name is None else entry_points(group=GROUP, name=name):
        _import(point)


def _import(point: EntryPoint) -> None:
    try:
        point.load()
    except Exception as error:
        raise UsageError(
            f"the architecture {point.name!r} cannot be imported", where=f"{GROUP}: {point.value}", cause=_gist(error)
        ) from error


def _place(error: Exception, path: Path) -> str:
    """The file, and the line of it that ``error`` comes from."""
    if isinstance(error, SyntaxError):
        return f"{path} line {error.lineno}"
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f"{path} line {lines[-1]}" if lines else str(path)


def _gist(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
