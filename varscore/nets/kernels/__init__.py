"""Kernels that networks are trained with where torch's own are slow."""
