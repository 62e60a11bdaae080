"""How many changes an SNV has that was drawn anywhere: what a list of them has by chance."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from varscore import __version__
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.cache import cache_folder, put_file, read_file
from varscore.genome.named import NamedGenome
from varscore.genome.sequence import UNKNOWN, Genome, decode
from varscore.motifs.changes import MotifSet
from varscore.storage.digest import json_sha256

SNVS = 2000
EACH = 10
"""SNVs a stretch of sequence"""
STRETCH = 5000
"""Bases that are read at once: long enough not to be kept in memory"""
TRIES = 50
"""Stretches looked at for one that is known, on average at most"""
SEED = 0


def expected_changes(genome: Genome, motifs: MotifSet, key: str) -> float:
    """Changes an SNV, NaN when the genome knows no base. key: what makes the motif set; the answer for the same genome
    and key is kept in the user's cache folder."""
    name = json_sha256([__version__, genome.sha256, key])
    note = cache_folder() / "motif-chance" / name
    with suppress(OSError, ValueError):
        return float(read_file(note))
    batch = draw_snvs(genome)
    rows = np.arange(len(batch))
    found = motifs.changes(batch, rows, NamedGenome(genome, batch.contigs))
    expected = len(found) / len(batch) if len(batch) else math.nan
    with suppress(OSError):
        put_file(note, repr(expected).encode())
    return expected


def draw_snvs(genome: Genome, n: int = SNVS, seed: int = SEED) -> AlleleBatch:
    """n SNVs on known bases, or none where hardly any is known; each stretch of the genome is as likely as it is long.

    The same for the same contigs and seed.
    """
    random = np.random.default_rng(seed)
    contigs, lengths = tuple(genome.contigs), np.array(list(genome.contigs.values()))
    ends = np.cumsum(lengths)
    places: list[NDArray[np.int64]] = []
    which: list[int] = []
    bases: list[NDArray[np.uint8]] = []
    wanted = math.ceil(n / EACH)
    for place in random.integers(ends[-1], size=TRIES * wanted).tolist() if len(ends) and ends[-1] else ():
        contig = int(np.searchsorted(ends, place, side="right"))
        start = min(place - int(ends[contig] - lengths[contig]), max(int(lengths[contig]) - STRETCH, 0))
        codes = genome.codes(contigs[contig], start, start + STRETCH)
        known = np.flatnonzero(codes != UNKNOWN)
        if len(known) < EACH:
            continue
        chosen = np.sort(random.choice(known, EACH, replace=False))
        places.append(start + chosen)
        which.append(contig)
        bases.append(codes[chosen])
        if len(places) == wanted:
            break
    count = min(EACH * len(places), n)
    ref = np.concatenate([np.zeros(0, np.uint8), *bases])[:count]
    alt = (ref + random.integers(1, 4, count).astype(np.uint8)) % 4
    return AlleleBatch(
        record=np.arange(count),
        contig=np.repeat(np.array(which, np.int32), EACH)[:count],
        contigs=contigs,
        start=np.concatenate([np.zeros(0, np.int64), *places])[:count],
        ref=_letters(ref),
        alt=_letters(alt),
    )


def _letters(codes: NDArray[np.uint8]) -> ByteColumn:
    return ByteColumn(np.frombuffer(decode(codes), np.uint8), np.arange(len(codes) + 1))
