"""Studies: many trainings, compared."""
