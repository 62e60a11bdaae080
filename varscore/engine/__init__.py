"""The only forward loop: batching, device, precision, strands."""
