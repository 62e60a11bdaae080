"""varscore: which non-coding variants change what the DNA does."""

__version__ = "0.1.0"
