"""Formats of others, one family a module: what a file says, as objects."""
