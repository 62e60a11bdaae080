"""Logos of REF and ALT of the alleles that rank first: what each base is worth to the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GAP, UNKNOWN = 5, 4
"""Among base codes: no base in this row; a base that is not known"""


@dataclass(frozen=True)
class Logos:
    """n alleles, W columns; rows of the page's table from the first on.

    heights: float32 (n, 2, W), what each base of REF and ALT is worth, NaN in a gap
    bases: uint8 (n, 2, W) codes; changed: bool (n, W), columns that the variant changes; tasks: n labels, empty where
    there is no logo
    glyphs, colours: outlines and colour of each base
    """

    heights: np.ndarray
    bases: np.ndarray
    changed: np.ndarray
    tasks: Sequence[str]
    glyphs: dict[str, list[list[tuple[float, float]]]]
    colours: dict[str, str]

    def __len__(self) -> int:
        return len(self.tasks)

    def arrays(self) -> dict[str, np.ndarray]:
        """For the page: heights as float16."""
        return {
            "logo": self.heights.astype(np.float16),
            "logo_base": self.bases,
            "logo_changed": self.changed.astype(np.uint8),
        }

    def facts(self) -> dict[str, object]:
        return {
            "tasks": list(self.tasks),
            "width": self.heights.shape[2],
            "glyphs": self.glyphs,
            "colours": self.colours,
        }
