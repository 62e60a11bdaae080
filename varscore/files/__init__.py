"""Readers and writers of files, one format family a module. Paths stop here: everything above takes objects."""
