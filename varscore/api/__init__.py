"""What a notebook calls: load a model, score variants, predict sequences, annotate a file.

Nothing here prints; progress goes to a function of the caller's. Errors are those of :mod:`varscore.errors`.
``import varscore`` offers these names without loading any of it.
"""

from varscore.annotate.call import annotate_variants as annotate
from varscore.api.contributions import Contributions
from varscore.api.model import Model, list_models, load
from varscore.api.table import ScoreTable
from varscore.errors import VarscoreError

__all__ = ["Contributions", "Model", "ScoreTable", "VarscoreError", "annotate", "list_models", "load"]
