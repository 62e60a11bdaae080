"""varscore: which non-coding variants change what the DNA does."""

import os

__version__ = "0.1.0"

# On some CPUs MKL picks kernels that round a row of a product by its place in the matrix: a score would then depend on
# what is computed beside it. MKL reads this at its first product; who sets another mode means it.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
