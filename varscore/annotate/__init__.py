"""``varscore annotate``: a variant file in, the same file with scores out.

- ``job``       what is asked for, and what is counted
- ``identity``  what makes a run the same run
- ``outputs``   every output together: written, committed to the journal, left, carried on with, put in place
- ``rows``      from scores to the rows of the outputs
- ``record``    run.json
- ``flow``      the run itself
- ``call``      all of it as a function of names and paths, which is also what calling the package does
"""

import sys
from types import ModuleType

from varscore.annotate.call import annotate_variants
from varscore.annotate.flow import annotate_file
from varscore.annotate.job import (
    AnnotateJob,
    Summary,
    choose_tasks,
    count_records,
    demand_all,
    missing_contigs,
    warn_of_assembly,
    warn_of_swapped,
)
from varscore.annotate.record import RunInfo, peak_memory
from varscore.annotate.rows import allele_scores

__all__ = [
    "AnnotateJob",
    "RunInfo",
    "Summary",
    "allele_scores",
    "annotate_file",
    "annotate_variants",
    "choose_tasks",
    "count_records",
    "demand_all",
    "missing_contigs",
    "peak_memory",
    "warn_of_assembly",
    "warn_of_swapped",
]


class _Callable(ModuleType):
    """``varscore.annotate(...)`` is the door's function, and this package has its name."""

    __call__ = staticmethod(annotate_variants)


sys.modules[__name__].__class__ = _Callable
