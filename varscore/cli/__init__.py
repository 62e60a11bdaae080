"""The command line. Nothing here imports torch or NumPy until a command runs."""
