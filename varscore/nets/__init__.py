"""Networks. Torch and numbers only: no file, no genome, no device policy.

Importing this package registers every architecture.
"""

from varscore.nets import (
    architect,
    attentionnet,
    baselines,
    binding,
    crnn,
    danq,
    deepbind,
    deepmotif,
    deepsea,
    dilated,
    promoternet,
    reduced,
    tss,
)
from varscore.nets.layers import SequenceNet
from varscore.nets.registry import Architecture, Recipe, architectures, build, find, register

__all__ = [
    "Architecture",
    "Recipe",
    "SequenceNet",
    "architect",
    "architectures",
    "attentionnet",
    "baselines",
    "binding",
    "build",
    "crnn",
    "danq",
    "deepbind",
    "deepmotif",
    "deepsea",
    "dilated",
    "find",
    "promoternet",
    "reduced",
    "register",
    "tss",
]
