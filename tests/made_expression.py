"""Promoters in which motifs are planted, and a matrix of what they do: the more copies, the more is transcribed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from varscore.genome.sequence import decode, encode

MOTIFS = {"B": encode(b"TGACTCAGCA"), "T4": encode(b"GGGGCGGGGC")}
COLUMNS = {"B": ("B.Fo.Sp", "B.Fem.Sp"), "T4": ("T.4.Th",)}
RANGE = 6.0
"""From no copy of a motif to the most, in log2"""


def made_expression(folder: Path, genes: int, window: int, most: int = 6) -> np.ndarray:
    """Write ``p.fa`` and ``m.tsv``, linear; returns log2 of it, float64 (genes, lineages).

    A promoter has 0 to ``most`` copies of each lineage's motif, of which each adds as much to log2 of its expression.
    """
    random = np.random.default_rng(0)
    windows = random.integers(0, 4, (genes, window), dtype=np.uint8)
    copies = random.integers(0, most + 1, (genes, len(MOTIFS)))
    room = window // (2 * most)
    for row in range(genes):
        rooms = iter(random.permutation(2 * most) * room)
        for number, motif in enumerate(MOTIFS.values()):
            for _ in range(copies[row, number]):
                at = int(next(rooms)) + int(random.integers(0, room - len(motif) + 1))
                windows[row, at : at + len(motif)] = motif
    logs = 3 + RANGE / most * copies + random.normal(0, 0.1, copies.shape)
    names = [f"gene{row}" for row in range(genes)]
    (folder / "p.fa").write_text(
        "".join(f">{name} made\n{decode(row).decode()}\n" for name, row in zip(names, windows, strict=True))
    )
    lines = ["\t".join(["gene", *(column for columns in COLUMNS.values() for column in columns)])]
    for name, row in zip(names, logs, strict=True):
        b, t = 2**row
        lines.append("\t".join([name, *(f"{value:.6f}" for value in (0.5 * b, 2 * b, t))]))
    (folder / "m.tsv").write_text("\n".join(lines) + "\n")
    return logs
