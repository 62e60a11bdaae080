"""Raw material (peaks, published bundles, tables) into examples: inputs, labels, split."""
