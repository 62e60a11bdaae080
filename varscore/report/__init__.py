"""``varscore report``: pages out of scored files.

- ``job``       what is asked for, and what comes of it
- ``scored`` ``chosen``  the file, read once, and the alleles that the page shows
- ``contents``  all that stands on a page; ``rows``, ``charts`` and the others are its parts
- ``page``      the offline frame, which other pages have too
- ``flow``      the run itself
- ``call``      all of it as a function of names and paths, which is also what calling the package does
"""

from __future__ import annotations

import sys
from inspect import Signature, signature
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from varscore.report.job import Report


class _Callable(ModuleType):
    """``varscore.report(...)`` is the door's function, and this package has its name."""

    def __call__(self, *given: Any, **options: Any) -> Report:
        from varscore.report.call import report_page

        return report_page(*given, **options)

    @property
    def __signature__(self) -> Signature:
        """What a notebook shows of a function"""
        from varscore.report.call import report_page

        return signature(report_page)


sys.modules[__name__].__class__ = _Callable
