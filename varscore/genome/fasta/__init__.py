"""FASTA files: their index and their text."""
