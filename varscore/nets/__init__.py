"""Networks. Torch and numbers only: no file, no genome, no device policy.

Importing this package registers every architecture.
"""

from varscore.nets import baselines, crnn, danq, deepsea, reduced, tss
from varscore.nets.registry import Architecture, architectures, build, find

__all__ = ["Architecture", "architectures", "baselines", "build", "crnn", "danq", "deepsea", "find", "reduced", "tss"]
