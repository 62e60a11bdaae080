"""``varscore annotate``: a variant file in, the same file with scores out.

- ``job``       what is asked for, and what is counted
- ``identity``  what makes a run the same run
- ``outputs``   every output together: written, committed to the journal, left, carried on with, put in place
- ``rows``      from scores to the rows of the outputs
- ``record``    run.json
- ``flow``      the run itself
- ``call``      all of it as a function of names and paths, which is also what calling the package does
- ``merge``     the outputs of shards into one; it computes nothing, so this package imports none of the above
"""

from __future__ import annotations

import sys
from inspect import Signature, signature
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from varscore.annotate.job import Summary


class _Callable(ModuleType):
    """``varscore.annotate(...)`` is the door's function, and this package has its name."""

    def __call__(self, *given: Any, **options: Any) -> Summary:
        from varscore.annotate.call import annotate_variants

        return annotate_variants(*given, **options)

    @property
    def __signature__(self) -> Signature:
        """What a notebook shows of a function"""
        from varscore.annotate.call import annotate_variants

        return signature(annotate_variants)


sys.modules[__name__].__class__ = _Callable
