"""What the page's script is given: a row an allele, and the arrays of every task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.report import charts
from varscore.report.genes import Genes
from varscore.report.matrix import TaskEffects
from varscore.report.scored import Allele, Scored
from varscore.report.words import Opening, Words
from varscore.scoring.tags import tag

DENSE, KEPT = 5000, 50
"""With more alleles than DENSE only the KEPT largest differences of each travel"""
Column = tuple[str, str, str]
"""key, title, kind"""


@dataclass(frozen=True)
class Rows:
    """The alleles of a page and what is known of each."""

    scored: Scored
    alleles: Sequence[Allele]
    words: Words
    genes: Genes | None
    opening: Opening | None

    @property
    def there(self) -> list[str]:
        """The file's columns that have a value: a network of values has no log-odds."""
        gone = {"logodds"} if self.words.values else set()
        return [column for column in self.scored.columns if column not in gone]

    def columns(self) -> list[Column]:
        """Of the table: what happens and where first, then how unusual that is."""
        there = self.there
        found: list[Column] = [
            ("place", "position", charts.TEXT),
            ("change", "alleles", charts.TEXT),
            ("id", "ID", charts.TEXT),
        ]
        if self.genes is not None:
            found += [("gene", "gene", charts.TEXT), ("tss", "to its start", charts.WHOLE)]
        kinds = {"diff": ("difference", charts.NUMBER), "task": ("strongest task", charts.TEXT)}
        found += [(key, *kinds[key]) for key in kinds if key in there]
        if self.opening is not None:
            found += [("closes", "cells closed", charts.WHOLE), ("opens", "cells opened", charts.WHOLE)]
        kinds = {
            "e": ("E-value", charts.SMALL),
            "e_task": ("task of the E-value", charts.TEXT),
            "sig": ("significance", charts.SMALL),
        }
        found += [(key, *kinds[key]) for key in kinds if key in there]
        found += [(key, tag(key, self.scored.prefix), charts.NUMBER) for key in there if key.startswith("p_")]
        found += [("motif", "motifs", charts.TEXT)] if "motif" in there else []
        found += [("logodds", "log-odds", charts.NUMBER)] if "logodds" in there else []
        return [*found, ("status", "status", charts.TEXT)]

    def values(self) -> dict[str, list[object]]:
        """Column -> a value an allele, None where there is none."""
        alleles = self.alleles
        rows: dict[str, list[object]] = {
            "place": [f"{one.chrom}:{one.pos}" for one in alleles],
            "change": [f"{_short(one.ref)}>{_short(one.alt)}" for one in alleles],
            "chrom": [one.chrom for one in alleles],
            "pos": [one.pos for one in alleles],
            "ref": [one.ref for one in alleles],
            "alt": [one.alt for one in alleles],
            "id": ["" if one.id == "." else one.id for one in alleles],
        }
        for column in self.there:
            rows[column] = [one.values.get(column) for one in alleles]
        if self.opening is not None:
            known = [not math.isnan(one.number("diff")) for one in alleles]
            for name, counts in (("closes", self.opening.closes), ("opens", self.opening.opens)):
                rows[name] = [count if yes else None for yes, count in zip(known, counts.tolist(), strict=True)]
        if self.genes is not None:
            near = [self.genes.nearest(one.chrom, one.pos - 1) for one in alleles]
            rows["gene"] = [found[0].name if found else "" for found in near]
            rows["tss"] = [found[1] if found else None for found in near]
        return rows


def _short(allele: str) -> str:
    return allele if len(allele) <= 12 else f"{len(allele)} bp"


def shown(value: object) -> str:
    """A value as it is printed."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) and not math.isnan(value) else str(value)


def task_arrays(effects: TaskEffects) -> dict[str, NDArray[np.float16]]:
    """ref, diff and log10 of E of every task, float16 (n, T); with more than :data:`DENSE` alleles (n, KEPT) and beside
    them ``kept``, uint16, whose columns they are."""
    found = {"diff": effects.diff, "ref": effects.ref}
    if effects.evalue is not None:
        found["e"] = np.log10(np.maximum(effects.evalue, 1e-7))
    arrays = {name: array.astype(np.float16) for name, array in found.items()}
    if not is_cut(effects):
        return arrays
    size = np.nan_to_num(np.abs(effects.diff))
    kept = np.sort(np.argpartition(-size, KEPT - 1, axis=1)[:, :KEPT], axis=1)
    cut = {name: np.take_along_axis(array, kept, 1) for name, array in arrays.items()}
    return {**cut, "kept": kept.astype(np.uint16)}


def is_cut(effects: TaskEffects | None) -> bool:
    """Whether not all tasks of the alleles travel."""
    return effects is not None and len(effects.diff) > DENSE and effects.diff.shape[1] > KEPT
