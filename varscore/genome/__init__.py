"""Coordinates, sequence and windows. Knows no network and no output format."""
