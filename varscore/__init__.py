"""varscore: which non-coding variants change what the DNA does.

    import varscore
    model = varscore.load("default")
    model.score("chr1:1005A>G", "hg19.fa").to_arrow()

The names below come from :mod:`varscore.api` when they are first used, so that importing varscore takes no time.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from varscore.api import Contributions, Model, ScoreTable, VarscoreError, annotate, list_models, load, report

__version__ = "0.1.0"

__all__ = ["Contributions", "Model", "ScoreTable", "VarscoreError", "annotate", "list_models", "load", "report"]

# On some CPUs MKL picks kernels that round a row of a product by its place in the matrix: a score would then depend on
# what is computed beside it. MKL reads this at its first product; who sets another mode means it.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")


def __getattr__(name: str) -> Any:
    if name == "VarscoreError":
        return import_module("varscore.errors").VarscoreError
    if name in ("annotate", "report"):  # packages, which can be called
        return import_module(f"varscore.{name}")
    if name in __all__:
        return getattr(import_module("varscore.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
