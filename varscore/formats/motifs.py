"""Motif files: JASPAR and MEME text formats."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError
from varscore.storage.bounded import read_text

BASES = "ACGT"


@dataclass(frozen=True)
class Motif:
    """A position frequency matrix: float64 (w, 4), columns A, C, G, T, every row sums to 1."""

    id: str
    name: str
    frequencies: NDArray[np.float64]
    sites: float = 0.0
    """How many sites they were counted in; 0 where the file does not say"""


def read_motifs(path: Path) -> tuple[Motif, ...]:
    """Every motif of a JASPAR (``>ID name`` and four rows of counts) or MEME (minimal) file.

    Raises DataError when the file is neither, is damaged, or is empty.
    """
    try:
        text = read_text(path, DataError)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read motifs", where=path, cause=str(error)) from None
    try:
        motifs = _read_meme(text) if text.lstrip().startswith("MEME version") else _read_jaspar(text)
    except ValueError as error:
        raise DataError("not a JASPAR or MEME motif file", where=path, cause=str(error)) from None
    if not motifs:
        raise DataError("no motif in the file", where=path, remedy="JASPAR or MEME text format")
    return tuple(motifs)


def _motif(id: str, name: str, matrix: NDArray[np.float64], sites: float = 0.0) -> Motif:
    """``matrix``: counts or frequencies (w, 4); a column without counts becomes uniform.

    sites: as the file says; else the most counts in a column, unless they are frequencies
    """
    whole = matrix.ndim == 2 and matrix.shape[1] == 4 and len(matrix) > 0
    if not whole or not np.isfinite(matrix).all() or matrix.min() < 0:
        raise ValueError(f"motif {id}: not a matrix of counts for A, C, G, T")
    total = matrix.sum(1, keepdims=True)
    counted = sites or (float(total.max()) if total.max() > 1.5 else 0.0)
    frequencies = np.where(total > 0, matrix / np.where(total > 0, total, 1), 0.25)
    return Motif(id, " ".join(name.split()).removeprefix(f"{id}.") or id, frequencies, counted)


def _named(head: str) -> tuple[str, str]:
    """The ID of a motif, which ends at the first tab, or blank where there is none, and its name."""
    head = head.strip()
    if not head:
        raise ValueError("a motif without an ID")
    id, *rest = head.split("\t" if "\t" in head else None, 1)
    return id, "".join(rest)


def _read_jaspar(text: str) -> list[Motif]:
    motifs = []
    before, *blocks = re.split(r"^>", text, flags=re.MULTILINE)
    if blocks and (lost := next((line for line in before.split("\n") if line.strip() and line[0] != "#"), None)):
        raise ValueError(f"it begins with {lost[:40]!r}, not with >ID")
    for block in blocks:
        head, *lines = block.splitlines()
        id, name = _named(head)
        labelled = [re.fullmatch(r"\s*([A-Z]?)\s*\[?([^][]*)\]?\s*", line) for line in lines if line.strip()]
        rows = [match[2].split() for match in labelled if match]
        if len(labelled) != 4 or len(rows) != 4 or len({len(row) for row in rows}) != 1:
            raise ValueError(f"motif {id}: not four rows of the same length")
        if "".join(match[1] for match in labelled if match) not in ("", BASES):
            raise ValueError(f"motif {id}: rows are not in the order A, C, G, T")
        motifs.append(_motif(id, name, np.array(rows, float).T))
    return motifs


def _read_meme(text: str) -> list[Motif]:
    alphabet = re.search(r"^ALPHABET\s*=\s*(\S+)", text, re.MULTILINE)
    if alphabet and alphabet.group(1) != BASES:
        raise ValueError(f"alphabet {alphabet.group(1)} is not ACGT")
    motifs = []
    for block in re.split(r"^MOTIF[ \t]+", text, flags=re.MULTILINE)[1:]:
        head, *lines = block.splitlines()
        id, name = _named(head)
        start = next((i for i, line in enumerate(lines) if line.startswith("letter-probability matrix")), None)
        if start is None:
            raise ValueError(f"motif {id}: no letter-probability matrix")
        stated = re.search(r"\bw=\s*(\d+)", lines[start])
        sites = re.search(r"\bnsites=\s*(\d+(\.\d+)?)", lines[start])
        rows: list[list[str]] = []
        for line in lines[start + 1 :]:
            cells = line.split()
            if not re.match(r"[\d.-]", line.strip()):
                break
            if len(cells) != 4:
                raise ValueError(f"motif {id}: a row of {len(cells)} numbers, {line.strip()[:40]!r}")
            rows.append(cells)
        if stated and int(stated.group(1)) != len(rows):
            raise ValueError(f"motif {id}: {len(rows)} rows where w = {stated.group(1)}")
        motifs.append(_motif(id, name, np.array(rows, float), float(sites[1]) if sites else 0.0))
    return motifs


def format_meme(motifs: Sequence[Motif], background: Sequence[float] = (0.25, 0.25, 0.25, 0.25)) -> str:
    """MEME text, minimal, six decimals; sites as whole numbers. background: frequencies of A, C, G, T"""
    shares = " ".join(f"{base} {share:.6f}" for base, share in zip(BASES, background, strict=True))
    blocks = [f"MEME version 4\n\nALPHABET= {BASES}\n\nstrands: + -\n\nBackground letter frequencies\n{shares}\n"]
    for motif in motifs:
        name = "" if motif.name == motif.id else f" {' '.join(motif.name.split())}"
        width = len(motif.frequencies)
        rows = "\n".join(" ".join(f"{share:.6f}" for share in row) for row in motif.frequencies.tolist())
        head = f"letter-probability matrix: alength= 4 w= {width} nsites= {round(motif.sites)} E= 0"
        blocks.append(f"\nMOTIF {motif.id}{name}\n{head}\n{rows}\n")
    return "".join(blocks)
