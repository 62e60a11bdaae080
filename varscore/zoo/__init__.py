"""A model's folder: card, tasks, weights, checksums."""
