"""Runs of ``annotate`` on 325 made-up variants: what they are given, and what they leave in the working directory."""

from __future__ import annotations

import random
import shutil
import string
from pathlib import Path

import pysam
import pytest

from varscore.annotate import job, outputs
from varscore.cli.boundary import run

dice = random.Random(3)
SEQUENCE = "".join(dice.choices("ACGT", k=3000))
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=3000>\n"
HEADER += '##INFO=<ID=X,Number=1,Type=Integer,Description="Number">\n'
HEADER += '##INFO=<ID=Y,Number=1,Type=String,Description="So much text that blocks of BGZF are full soon">\n'
HEADER += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
RECORDS, PORTION, CHUNKS = 325, 64, 6
"""Records, how many of them come at a time, and how often that is"""
BEFORE = {"g.fa", "g.fa.fai", "in.vcf"}


def made_vcf() -> str:
    lines, letters = [], random.Random(4)
    for pos in sorted(dice.choices(range(1, 2990), k=RECORDS)):
        text = "".join(letters.choices(string.ascii_letters, k=400))
        alts = ",".join(dice.sample(["AG", "CC", "GAT", "<DEL>", "*"], dice.choice([1, 1, 2])))
        lines.append(f"chr1\t{pos}\tv{len(lines)}\t{SEQUENCE[pos - 1]}\t{alts}\t.\t.\tY={text};X=1\n")
    return HEADER + "".join(lines)


VCF = made_vcf()


def set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a working directory with ``g.fa`` and ``in.vcf``, where every chunk is committed."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("VARSCORE_REFERENCE", raising=False)
    monkeypatch.setattr(job, "FEWEST", PORTION)
    monkeypatch.setattr(outputs, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(outputs, "COMMIT_SHARE", float("inf"))
    (folder / "g.fa").write_text(f">chr1\n{SEQUENCE}\n")
    pysam.faidx("g.fa")
    (folder / "in.vcf").write_text(VCF)


def annotate(words: str, *more: str) -> int:
    return run(["annotate", *words.split(), "-r", "g.fa", "--threads", "1", "--batch-size", str(PORTION), *more])


def written() -> dict[str, bytes]:
    """Every file under a name of its own that a run has written, run.json without its content."""
    files = [path for path in Path().rglob("*") if path.is_file() and path.name not in BEFORE]
    return {str(path): b"" if path.name.endswith(".run.json") else path.read_bytes() for path in files}


def remove_all() -> None:
    for name in written():
        top = Path(Path(name).parts[0])
        shutil.rmtree(top) if top.is_dir() else top.unlink(missing_ok=True)


def undisturbed(words: str) -> dict[str, bytes]:
    """What the command writes when it is left alone; nothing of it stays."""
    assert annotate(words, "--no-resume") == 0
    found = written()
    remove_all()
    return found
