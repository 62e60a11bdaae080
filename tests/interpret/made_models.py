"""Small models, a genome and variants to explain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from small_nets import small
from torch import nn

from varscore.genome.sequence import decode
from varscore.nets.layers import SequenceNet
from varscore.tasks import Task
from varscore.zoo.models import ModelFolder, save_model

WINDOW = 180
NAMES = ("K562|CTCF|None", "K562|DNase|None", "HepG2|CTCF|None", "GM12878|SPI1", "H1-hESC|POLR2A")


def lively(arch: str, seed: int = 0, **arguments: object) -> SequenceNet:
    """A small network whose outputs depend on its input by far more than rounding, in evaluation mode."""
    net = small(arch, seed, **arguments).eval()
    for name, parameter in net.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=1.5 / parameter[0].numel() ** 0.5)
        elif "bias" in name:
            nn.init.normal_(parameter, std=0.1)
    return net


def model(folder: Path, arch: str = "danq", n_tasks: int = 2, **arguments: object) -> ModelFolder:
    net = lively(arch, n_tasks=n_tasks, **arguments)
    tasks = [Task(index, name, "made") for index, name in enumerate(NAMES[:n_tasks])]
    return save_model(folder, net, arch, tasks, {"interim": False})


def bases(length: int, seed: int = 0) -> str:
    return decode(np.random.default_rng(seed).integers(0, 4, length, np.uint8)).decode()


def genome(folder: Path, length: int = 2000) -> tuple[Path, str]:
    """A FASTA of one contig, chr1, with N at 1200..1210; and its sequence."""
    sequence = bases(length, 7)
    sequence = sequence[:1200] + "N" * 10 + sequence[1210:]
    path = folder / "genome.fa"
    path.write_text(f">chr1\n{sequence}\n")
    return path, sequence


def vcf(path: Path, records: list[tuple[int, str, str]], length: int = 2000) -> Path:
    """Positions (1-based), REF and ALT on chr1."""
    lines = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID=chr1,length={length}>",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]
    lines += [f"chr1\t{pos}\t.\t{ref}\t{alt}\t.\t.\t." for pos, ref, alt in records]
    path.write_text("\n".join(lines) + "\n")
    return path
