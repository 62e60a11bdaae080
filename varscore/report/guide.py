"""``How to read this``: what each number says and does not say, and what share of variants passes a cut-off."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from varscore.errors import ModelError
from varscore.report.words import Words
from varscore.storage.bounded import read_text
from varscore.zoo.models import ModelFolder

CUTOFFS = "cutoffs.tsv"
"""In a model's folder: shares of variants that pass cut-offs, made by benchmarks/cutoffs.py"""

MEANINGS = {
    "logodds": "The same change in log2 odds; -1 halves the odds. It does not depend on how common a task is.",
    "e": "The smallest E-value of a task: the share of common variants that change that task more. It is the smallest "
    "of many tasks, so small values come up by chance: with 200 tasks that had nothing to do with each other a "
    "variant that does nothing would have one below 0.005.",
    "sig": "Functional significance: the geometric mean of the E-values of all tasks. One number for how unusual an "
    "allele is over all cells; no p-value. Small: unusual in many tasks.",
    "p_": "What a classifier that was trained on known functional variants says of all tasks together: a probability "
    "at the prior named in the file's header, not the chance that this variant causes a disease.",
    "span": "Bases of the reference that the allele changes: 0 for an insertion, all affected ones of a structural "
    "allele.",
    "hap_diff": "The same as VS_DIFF, with the other variants of a haplotype in the sequence on which it stands.",
    "joint_diff": "What all variants of a haplotype change together.",
    "motif": "Binding sites that the allele loses (-), gains (+) or changes (~), by their sequence alone. Several a "
    "variant are expected by chance; it is worth more where the network's contributions agree.",
}


@dataclass(frozen=True)
class Entry:
    """tag: how it is called in the file; text: what it says; detail: what the file's header says"""

    tag: str
    text: str
    detail: str = ""


def entries(columns: Sequence[str], meanings: Mapping[str, str], tags: Mapping[str, str], words: Words) -> list[Entry]:
    """What is to be said of the columns that a file has. meanings: of its header; tags: column -> tag"""
    known, found = {**MEANINGS, "diff": words.diff}, []
    for column in columns:
        text = known.get("p_" if column.startswith("p_") else column)
        if text:
            found.append(Entry(tags[column], text, meanings.get(column, "") if column.startswith("p_") else ""))
    return found


@dataclass(frozen=True)
class Cutoff:
    """Shares (0 to 1) of common and of measured regulatory variants that pass, and how many were looked at."""

    rule: str
    common: float
    common_n: int
    regulatory: float
    regulatory_n: int

    @property
    def times(self) -> str:
        return f"{self.regulatory / self.common:.1f}" if self.common else "-"


def cutoffs(model: ModelFolder | None) -> list[Cutoff]:
    """What was measured of a model's cut-offs; nothing where nobody has, or the weights have changed since.

    Raises ModelError for a damaged table.
    """
    if model is None or not (model.path / CUTOFFS).is_file():
        return []
    lines = read_text(model.path / CUTOFFS, ModelError).splitlines()
    if f"# model_sha256 {model.sha256}" not in lines:
        return []
    rows = csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t")
    try:
        return [_cutoff(row) for row in rows]
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError("damaged table of cut-offs", where=model.path / CUTOFFS, cause=str(error)) from None


def _cutoff(row: Mapping[str, str]) -> Cutoff:
    shares, counts = (float(row["common"]), float(row["regulatory"])), (int(row["common_n"]), int(row["regulatory_n"]))
    return Cutoff(row["rule"], shares[0], counts[0], shares[1], counts[1])
