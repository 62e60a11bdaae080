"""Feeds `varscore annotate` with thousands of made-up and damaged variant files.

    python tests/stress/fuzz.py [--inputs 2000] [--seed 1]

Whatever comes in, there are two ways out: the file with scores, every record and every byte of it as it was, or one
line that says what is wrong, status 2 and no output. Which of them it must be is said by a regular expression for what
a record is, by Python's gzip, and by htslib: what htslib refuses must not pass, except for what stands in the columns
of samples, which are handed on without a look. Exit status 0 when all inputs ended as they must.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import os
import random
import re
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pyarrow.parquet as pq
import pysam
import pysam.bcftools

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from made_vcfs import without_our_tags
from stress.judge import Judge

from varscore.annotate.flow import annotate_file
from varscore.annotate.job import AnnotateJob
from varscore.cli.boundary import diagnose
from varscore.engine.compute import Compute
from varscore.scoring.survey import GenomeRules
from varscore.storage.bgzf import EOF_BLOCK
from varscore.zoo.models import ModelFolder, find_model

# -- making ----------------------------------------------------------------------------------------------------------

VERSIONS = (b"VCFv4.0", b"VCFv4.1", b"VCFv4.2", b"VCFv4.3", b"VCFv4.4", b"VCFv4.5", b"VCFv3.3")
META = (
    b"##contig=<ID=chr1,length=9000>",
    b"##contig=<ID=chr2>",
    b'##contig=<assembly="b,37",ID=chr3,length=77,md5=0>',
    b'##INFO=<ID=AC,Number=A,Type=Integer,Description="Count, with a comma">',
    b'##INFO=<ID=END,Number=1,Type=Integer,Description="End">',
    b'##INFO=<ID=GL,Number=G,Type=Float,Description="\\"quoted\\" > ">',
    b'##INFO=<ID=VS_DIFF,Number=A,Type=Float,Description="An earlier run">',
    b'##FILTER=<ID=q10,Description="Low">',
    b'##ALT=<ID=NON_REF,Description="Any">',
    b'##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
    b"##reference=file:///nowhere/g.fa",
    b"##source=caf\xe9 \xff\xfe",
    b"##varscoreVersion=0.0.1",
    b"##just words",
    b"##",
)
FIELDS: tuple[tuple[tuple[bytes, ...], tuple[bytes, ...]], ...] = (
    ((b"chr1", b"chr1", b"1", b"chr2", b"chrUn_1", b"HLA*1:2"), (b"", b"<x>", b"a,b", b"chr 1", b"\xff", b"#x", b"=")),
    ((), (b"", b"0", b"-1", b"+5", b"9001", b"1e3", b"5.0", b"x", b"007", b"4294967296", b"9" * 18, b"9" * 30)),
    ((b".", b"rs1", b"rs1;rs2"), (b"", b"caf\xe9", b"a b")),
    ((b"A", b"C", b"G", b"T", b"acgt", b"N"), (b"", b".", b"<DEL>", b"R", b"A" * 2000, b"A,C", b"*")),
    (
        (b"A", b"C,G", b".", b"<DEL>", b"*", b"<NON_REF>", b"<*>", b"G]17:198982]", b".A", b"AT", b"C,<NON_REF>", b"a"),
        (b"", b"C,", b",", b"C,,T", b"<DEL", b"?!", b"C,.", b"R", b"T" * 2000, b"A,A", b"\xe9"),
    ),
    ((b".", b"50", b"442156.34"), (b"", b"x", b"nan", b"-1e999", b"1 2")),
    ((b".", b"PASS", b"q10", b"q10;s50"), (b"", b";", b"0", b"PASS;PASS", b"a b")),
    (
        (b".", b"AC=1", b"DB", b"AC=1,2;END=90", b"NOTE=a%3Bb%25", b"X=caf\xe9"),
        (b"AC=x", b"AC=", b"=", b";;", b"AC=1;AC=2", b"VS_DIFF=1;AC=1", b"END=0", b"AC=99999999999", b"A B=C", b"GL=."),
    ),
)
FORMATS = ((b"GT", (b"0/1", b"./.", b"1|0", b"0")), (b"GT:DP", (b"0/1:3", b".", b"0/1", b"0/1:3:4", b"x")))
NOISE = (b"\0", b"\xff", b"\t", b"\n", b"\r", b"\r\n", b"\n\n", b"#", b"##x\n", b",", b";", b"9", b"\x1f\x8b", b" ")


def made_vcf(dice: random.Random) -> bytes:
    """A VCF most of whose fields are as they should be, with whatever line ends."""
    newline = dice.choice([b"\n", b"\n", b"\n", b"\r\n"])
    samples = dice.choice([0, 0, 1, 3])
    meta = [line for line in META if dice.random() < 0.6]
    columns = [b"#CHROM", b"POS", b"ID", b"REF", b"ALT", b"QUAL", b"FILTER", b"INFO"]
    if samples:
        columns += [b"FORMAT", *(b"s%d" % number for number in range(samples))]
    lines = [b"##fileformat=" + dice.choice(VERSIONS), *meta, b"\t".join(columns)]
    wild = dice.choice([0.0, 0.0, 0.02, 0.2])
    lines += [made_record(dice, samples, wild) for _ in range(dice.choice([0, 1, 3, 12]))]
    return newline.join(lines) + dice.choice([newline, newline, b""])


def made_record(dice: random.Random, samples: int, wild: float) -> bytes:
    """wild: how often a field is not as it should be"""
    fields = []
    for good, bad in FIELDS:
        if dice.random() < wild:
            fields.append(dice.choice(bad))
        else:
            fields.append(dice.choice(good) if good else b"%d" % dice.randint(1, 9000))
    if samples:
        name, values = dice.choice(FORMATS)
        choices = values if dice.random() < wild else values[:2]
        fields += [name, *(dice.choice(choices) for _ in range(samples - (dice.random() < wild / 4)))]
    return b"\t".join(fields)


def disturbed(dice: random.Random, text: bytes) -> bytes:
    """A few bytes are changed, lost, doubled or put in."""
    for _ in range(dice.choice([0, 0, 1, 2, 4])):
        start = dice.randrange(len(text) + 1)
        end = min(len(text), start + dice.choice([0, 1, 1, 5, 60]))
        part = dice.choice([b"", text[start:end] * 2, dice.choice(NOISE), bytes([dice.randrange(256)])])
        text = text[:start] + part + text[end:]
    return text[: dice.randrange(len(text) + 1)] if dice.random() < 0.05 else text


def bgzip(text: bytes, folder: Path) -> bytes:
    path = folder / "bgzip"
    with pysam.BGZFile(str(path), "wb") as file:
        for start in range(0, len(text), 300):  # several blocks, by flushing
            file.write(text[start : start + 300])
            file.flush()
    return path.read_bytes()


def damaged(dice: random.Random, data: bytes) -> bytes:
    """A compressed file that was cut, changed, mixed with other bytes, or put together from two."""
    start = dice.randrange(len(data))
    end = min(len(data), start + dice.randint(1, 40))
    return dice.choice(
        [
            data[:start],
            data.removesuffix(EOF_BLOCK),
            data[:start] + bytes([data[start] ^ 1 << dice.randrange(8)]) + data[start + 1 :],
            data[:start] + dice.randbytes(end - start) + data[end:],
            data[:start] + data[end:],
            data[:start] + b"garbage" + data[start:],
            data + dice.randbytes(9),
            data + data,
        ]
    )


@dataclass(frozen=True)
class Input:
    """A file, and the text that is in it: None when it cannot be known, because the file was damaged.

    is_whole: whether nothing was done to the file after it was compressed
    """

    data: bytes
    text: bytes | None
    is_whole: bool = True


@dataclass(frozen=True)
class Bcf:
    """A BCF and the VCF that bcftools makes of it."""

    data: bytes
    text: bytes

    @classmethod
    def make(cls, folder: Path) -> Bcf:
        """In a folder that is there for nothing else."""
        records = b"".join(b"chr1\t%d\trs%d\tA\tC,<DEL>\t7\tPASS\tAC=1,%d\n" % (i, i, i) for i in range(1, 200))
        header = b"##fileformat=VCFv4.2\n" + b"\n".join([*META[:5], *META[7:10]])
        (folder / "in.vcf").write_bytes(header + b"\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + records)
        paths = str(folder / "in.vcf"), str(folder / "in.bcf"), str(folder / "out.vcf")
        pysam.bcftools.view("--no-version", "-Ob", "-o", paths[1], paths[0], catch_stdout=False)
        pysam.bcftools.view("--no-version", "-Ov", "-o", paths[2], paths[1], catch_stdout=False)
        return cls((folder / "in.bcf").read_bytes(), (folder / "out.vcf").read_bytes())


def made_input(dice: random.Random, folder: Path, bcf: Bcf) -> Input:
    text = disturbed(dice, made_vcf(dice))
    kind = dice.choice(["plain"] * 12 + ["gzip"] * 4 + ["bgzf"] * 8 + ["noise"] * 4 + ["bcf"])
    if kind == "plain":
        return Input(text, text)
    if kind == "bcf":
        data = damaged(dice, bcf.data) if dice.random() < 0.9 else bcf.data
        is_same = unpacked(data) == unpacked(bcf.data)
        return Input(data, bcf.text if is_same else None, data == bcf.data)
    if kind == "noise":
        data = dice.choice([b"", b"\x1f\x8b", b"BCF\x02\x02", b"<html>", b"##fileformat=VCF"]) + dice.randbytes(40)
        return Input(data, unpacked(data), False)
    data = gzip.compress(text, 1, mtime=0) if kind == "gzip" else bgzip(text, folder)
    if dice.random() < 0.5:
        return Input(data, text)
    data = damaged(dice, data)
    return Input(data, unpacked(data), False)


def unpacked(data: bytes) -> bytes | None:
    """What Python's gzip finds in a file; None when it refuses it, or when it is BGZF without its last block."""
    if not data.startswith(b"\x1f\x8b"):
        return None if data.startswith(b"BCF") else data
    if data[3:4] and data[3] & 4 and data[12:14] == b"BC" and not data.endswith(EOF_BLOCK):
        return None
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return None


# -- judging ---------------------------------------------------------------------------------------------------------

RECORD = re.compile(
    rb"(?!#)[^\t,]+\t\d{1,18}\t[^\t]*\t[^\t]+\t[^\t,]+(?:,[^\t,]+)*\t[^\t]*\t[^\t,]*\t([^\t]*)(?:\t.*)?",
    re.DOTALL,
)
COLUMNS = re.compile(rb"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO(?:\tFORMAT((?:\t[^\t]+)+))?", re.DOTALL)


def lines_of(text: bytes) -> list[bytes]:
    """The lines that are not empty, without their ends."""
    return [line for line in (raw.removesuffix(b"\r") for raw in text.split(b"\n")) if line]


def is_well_formed(text: bytes) -> bool:
    """The slow, obvious way to say it."""
    lines = lines_of(text)
    header = next((i for i, line in enumerate(lines) if not line.startswith(b"##")), len(lines))
    columns = COLUMNS.fullmatch(lines[header]) if header < len(lines) else None
    if not text.startswith(b"##fileformat=VCF") or b"\0" in text or columns is None:
        return False
    samples = (columns[1] or b"").split(b"\t")[1:]
    records = lines[header + 1 :]
    tabs = lines[header].count(b"\t")
    return len(set(samples)) == len(samples) and all(is_record(line, tabs) for line in records)


def is_record(line: bytes, tabs: int) -> bool:
    """tabs: how many it must have"""
    found = RECORD.fullmatch(line)
    keys = [entry.partition(b"=")[0] for entry in found[1].split(b";")] if found else []
    return found is not None and line.count(b"\t") == tabs and not any(b"," in key for key in keys)


def without_samples(text: bytes) -> bytes:
    return b"".join(
        line + b"\n" if line.startswith(b"##") else b"\t".join(line.split(b"\t")[:8]) + b"\n" for line in lines_of(text)
    )


# -- running ---------------------------------------------------------------------------------------------------------

OUTPUTS = (*["out.vcf"] * 7, "out.vcf.gz", "out.tsv", "out.parquet", "out.bcf")


@dataclass
class Tally:
    """ways: how often inputs ended in which way"""

    inputs: int = 0
    records: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """Where inputs are tried: an empty folder, a genome, a model, htslib, and a BCF to damage."""

    folder: Path
    reference: Path
    model: ModelFolder
    judge: Judge
    bcf: Bcf

    @classmethod
    def make(cls, root: Path, reference: Path, model: ModelFolder, judge: Judge) -> Bench:
        for name in ("bench", "bcf"):
            (root / name).mkdir()
        return cls(root / "bench", reference, model, judge, Bcf.make(root / "bcf"))

    def run(self, output: str) -> tuple[int, str | None]:
        """Annotate ``in``; the exit status and the line of error that the command line would end with."""
        source, target = str(self.folder / "in"), str(self.folder / output)
        rules = GenomeRules("off", 1.0)  # random REFs and lengths fit no genome
        job = AnnotateJob(source, target, self.reference, self.model, rules=rules, compute=Compute("cpu", threads=1))
        try:
            annotate_file(job)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return diagnose(error)
        return 0, None

    def try_one(self, dice: random.Random, tally: Tally) -> None:
        """Make an input, annotate it, and look at what came of it. Raises AssertionError when that is not right."""
        made = made_input(dice, self.folder, self.bcf)
        output = dice.choice(OUTPUTS)
        (self.folder / "in").write_bytes(made.data)
        status, message = self.run(output)
        left = {path.name for path in self.folder.iterdir()} - {"in", "bgzip"}
        tally.inputs += 1
        if status == 0:
            assert left <= {output, f"{output}.tbi", f"{output}.csi"} and output in left, f"left: {left}"
            assert made.text is not None, "a damaged file was taken for a whole one"
            tally.records += self.check_annotated(made.text, output)
        else:
            assert status == 2 and message and "internal error" not in message, f"status {status}: {message}"
            assert "\n" not in message, message
            assert not left, f"left: {left}"
        tally.ways[self.verdict(made, status, message or "")] += 1
        for name in left:
            (self.folder / name).unlink()

    def verdict(self, made: Input, status: int, message: str) -> str:
        """In which way an input ended. Raises AssertionError when it must not."""
        if made.text is None or not made.is_whole and status:
            return "damaged files refused"
        good = is_well_formed(made.text)
        if status and good:
            assert message.startswith("this VCF cannot be written as BCF") or "none of the contigs" in message, message
            return "refused: no contig of the genome, or not for BCF"
        assert good == (status == 0), f"status {status} for {'good' if good else 'bad'} text: {message}"
        (self.folder / "bgzip").write_bytes(made.text)
        taken = self.judge.records(str(self.folder / "bgzip")) is not None
        if status:
            return "bad text refused, though htslib reads on" if taken else "bad text refused"
        if taken:
            return "annotated"
        (self.folder / "bgzip").write_bytes(without_samples(made.text))
        assert self.judge.records(str(self.folder / "bgzip")) is not None, "htslib refuses what we take"
        return "annotated, with columns of samples that htslib refuses"

    def check_annotated(self, text: bytes, output: str) -> int:
        """Every record of ``text`` must be in the output; returns how many there are."""
        path = self.folder / output
        lines = lines_of(text)
        records = [line for line in lines if not line.startswith(b"#")]
        alleles = [line.split(b"\t")[4].count(b",") + 1 for line in records]
        if output.endswith((".tsv", ".parquet")):
            rows = pq.read_table(path).num_rows if output.endswith(".parquet") else len(path.read_bytes().split(b"\n"))
            comments = 0 if output.endswith(".parquet") else path.read_bytes().count(b"##varscore") + 2
            assert rows - comments == sum(alleles), f"{rows - comments} rows of {sum(alleles)}"
            return len(records)
        if output.endswith(".bcf"):
            found = self.judge.records(str(path))
            assert found == len(records), f"{found} records of {len(records)}"
            return len(records)
        written = path.read_bytes() if output.endswith(".vcf") else gzip.decompress(path.read_bytes())
        mine = [line for line in lines_of(written) if not line.startswith(b"#")]
        for line, count in zip(mine, alleles, strict=True):
            (values,) = [tag for tag in line.split(b"\t")[7].split(b";") if tag.startswith(b"VS_STATUS=")]
            assert values.count(b",") + 1 == count, line
        expected = lines_of(without_our_tags(b"\n".join(lines)))
        kept = lines_of(without_our_tags(b"\n".join(lines_of(written))))
        rest = iter(kept)
        assert all(line in rest for line in expected), "a line is missing, changed or in another place"
        assert [line for line in kept if not line.startswith(b"#")] == [e for e in expected if not e.startswith(b"#")]
        return len(records)


@contextmanager
def quiet_descriptor(path: Path) -> Iterator[Callable[[], bytes]]:
    """Sends stderr, native libraries' too, into a file; what is yielded reads it."""
    before = os.dup(2)
    with path.open("ab") as file:  # so that it can be emptied
        os.dup2(file.fileno(), 2)
    try:
        yield path.read_bytes
    finally:
        os.dup2(before, 2)
        os.close(before)


@contextmanager
def surroundings(bench: Bench) -> Iterator[None]:
    """The network is loaded once, the disk is not waited for, and nothing is logged."""
    net = bench.model.load()
    loading = patch.object(ModelFolder, "load", lambda model: net)
    with loading, patch("os.fsync", lambda descriptor: None):
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def fuzz(inputs: int, seed: int, bench: Bench) -> Tally:
    """What an input is depends on the seed and its number alone."""
    tally = Tally()
    with surroundings(bench), quiet_descriptor(bench.folder.parent / "err") as said:
        for number in range(inputs):
            try:
                bench.try_one(random.Random(f"{seed} {number}"), tally)
                assert not said(), f"on stderr: {said()!r}"
            except Exception as failure:  # AssertionError, or what nobody foresaw
                tally.failures.append(f"input {number} of seed {seed}: {type(failure).__name__}: {failure}")
                for path in bench.folder.iterdir():
                    path.unlink()
                os.truncate(bench.folder.parent / "err", 0)
    return tally


@contextmanager
def workshop() -> Iterator[Bench]:
    from stress.kill_trials import make_workspace

    with tempfile.TemporaryDirectory() as name, Judge() as judge:
        root = Path(name).resolve()
        os.environ.update(VARSCORE_CACHE=str(root / "cache"), VARSCORE_CONFIG=str(root / "none.toml"))
        make_workspace(root)
        yield Bench.make(root, root / "g.fa", find_model(str(root / "model")), judge)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with workshop() as bench:
        tally = fuzz(options.inputs, options.seed, bench)
    print(f"{tally.inputs:,} inputs, {tally.records:,} records annotated, seed {options.seed}")
    for way, count in tally.ways.most_common():
        print(f"  {count:6,}  {way}")
    print("\n".join(tally.failures) or "every input came out whole, or was refused in one line")
    return 1 if tally.failures or tally.inputs != options.inputs else 0


if __name__ == "__main__":
    sys.exit(main())
