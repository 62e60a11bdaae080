"""Training: one loop, one kind of run, for every network."""
