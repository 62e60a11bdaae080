"""A small genome, and SNVs on it that a model thinks much or little of."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pysam
import torch

from varscore.engine.plain import PlainEngine
from varscore.genome.sequence import Genome
from varscore.zoo.models import ModelFolder

LENGTHS = {"chr1": 300_000, "chr2": 120_000}
Snv = tuple[str, int, str, str]


def write_genome(folder: Path) -> Path:
    """Two contigs, and their index."""
    draw = random.Random(4)
    path = folder / "g.fa"
    path.write_text("".join(f">{name}\n{''.join(draw.choices('ACGT', k=n))}\n" for name, n in LENGTHS.items()))
    pysam.faidx(str(path))
    return path


def made_snvs(genome: Genome, count: int, seed: int = 0) -> list[Snv]:
    """Scattered over both contigs, 1-based, REF as the genome has it."""
    draw = random.Random(seed)
    places = sorted(
        {(name, draw.randrange(200, LENGTHS[name] - 200)) for name in draw.choices(list(LENGTHS), [5, 2], k=count)}
    )
    snvs = []
    for name, start in places:
        ref = "ACGT"[genome.codes(name, start, start + 1)[0]]
        snvs.append((name, start + 1, ref, draw.choice([base for base in "ACGT" if base != ref])))
    return snvs


def largest_effect(model: ModelFolder, genome: Genome, snvs: list[Snv]) -> np.ndarray:
    """The largest absolute log-odds difference of each SNV over the tasks: float32 (n,)"""
    net = model.load()
    middle, length = (net.window - 1) // 2, net.window
    ref = np.stack([genome.codes(name, pos - 1 - middle, pos - 1 - middle + length) for name, pos, _, _ in snvs])
    alt = ref.copy()
    alt[:, middle] = ["ACGT".index(base) for *_, base in snvs]
    engine = PlainEngine(net, torch.device("cpu"))
    difference = engine.logits(alt).mean(0) - engine.logits(ref).mean(0)
    return np.asarray(np.abs(difference).max(1))


def write_vcf(path: Path, snvs: list[Snv], info: str = ".") -> str:
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    path.write_text(head + "".join(f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t{info}\n" for c, p, r, a in snvs))
    return str(path)
