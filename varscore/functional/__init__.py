"""Classifiers of functional variants: features from effects, gradient-boosted trees, and what they are tested with."""
