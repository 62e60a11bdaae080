"""What a notebook calls: load a model, score variants, predict sequences, annotate a file, make a page of it.

Nothing here prints; progress goes to a function of the caller's. Errors are those of :mod:`varscore.errors`.
``import varscore`` offers these names without loading any of it.
"""

from varscore.annotate.call import annotate_variants as annotate
from varscore.api.contributions import Contributions
from varscore.api.model import Model, list_models, load
from varscore.api.table import ScoreTable
from varscore.errors import VarscoreError
from varscore.report.call import report_page as report

__all__ = ["Contributions", "Model", "ScoreTable", "VarscoreError", "annotate", "list_models", "load", "report"]
