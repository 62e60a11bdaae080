"""Networks of other programs: weights that others have published into model folders, and models out again."""

from varscore.exchange.check import Reference, largest_difference, read_reference
from varscore.exchange.danq import BACKWARD, import_danq_keras
from varscore.exchange.statedict import import_state_dict

__all__ = ["BACKWARD", "Reference", "import_danq_keras", "import_state_dict", "largest_difference", "read_reference"]
