"""The made-up genome and the small network that the tests of this folder share with others."""

from small_world import genome, model, planted, reference, sequences

__all__ = ["genome", "model", "planted", "reference", "sequences"]
