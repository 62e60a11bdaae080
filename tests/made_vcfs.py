"""Hand-made VCFs, scores to go with them, and the slow obvious way to take our tags out again."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools

from varscore.annotate.writers.scores import AlleleScores, Provenance
from varscore.formats.vcf import RecordChunk, VariantReader
from varscore.genome.alleles import Status

COLUMNS = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
DECLARED = b"""##fileformat=VCFv4.2
##FILTER=<ID=PASS,Description="All filters passed">
##contig=<ID=chr1,length=1000>
##contig=<ID=chr2>
##INFO=<ID=AC,Number=A,Type=Integer,Description="Allele count, with a comma">
##INFO=<ID=DB,Number=0,Type=Flag,Description="Flag">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##reference=file:///tmp/my.fa
"""
SITES = (
    DECLARED
    + COLUMNS
    + b"""
chr1\t10\trs1\tA\tC\t442156.34\tPASS\tAC=1
chr1\t10\t.\tA\tC,GT,*\t.\t.\tAC=1,2,3;DB
chr1\t20\t.\tAC\t.\t.\t.\t.
chr2\t7\trs2;rs3\tG\t<DEL>\t50\tPASS\tDB
chr2\t9\t.\tn\tT\t50\tPASS\t.
"""
)
GENOTYPES = (
    DECLARED
    + COLUMNS
    + b"""\tFORMAT\tanna\tben
chr1\t10\trs1\tA\tC\t44\tPASS\tAC=1\tGT\t0/1\t0|0
chr1\t12\t.\tA\tC,G\t44\tPASS\t.\tGT\t1/2\t./.
"""
)
UNDECLARED = (
    b"""##fileformat=VCFv4.1
##INFO=<ID=END,Number=1,Type=Integer,Description="Stop">
"""
    + COLUMNS
    + b"""
1\t10\trs1\tAT\tC\t44\tq10;lowDP\tAC=1;END=11;FOO;BAR=x
X\t0\t.\tA\t<DEL>\t44\tPASS\tSVTYPE=DEL
"""
)
ODD_INFO = (
    DECLARED
    + COLUMNS
    + b"""
chr1\t10\t.\tA\tC\t.\t.\tAC=1;
chr1\t11\t.\tA\tC\t.\t.\tDB;;AC=1
chr1\t12\t.\tA\tC\t.\t.\tNOVS_X=1;XVS_=2
chr1\t13\t.\tA\tC\t.\t.\tNOTE=caf\xe9 with space
"""
)
EMPTY = DECLARED + COLUMNS + b"\n"
MADE = {
    "sites": SITES,
    "genotypes": GENOTYPES,
    "undeclared": UNDECLARED,
    "odd_info": ODD_INFO,
    "empty": EMPTY,
    "crlf": GENOTYPES.replace(b"\n", b"\r\n"),
    "no_last_newline": SITES[:-1],
}
TASKS = ("K562|DNase", "HepG2|CTCF (rep 1)", "naïve T")
PROVENANCE = Provenance(
    "1.2", "annotate --check-ref warn", "crnn 700", "ab12", "my.fa", "cd34", (("Background", "n=9"),)
)


def save(path: Path, text: bytes, kind: str = "plain") -> str:
    """Write ``text`` as plain, gzip, bgzf (pysam's) or bcf (bcftools')."""
    if kind == "bgzf":
        with pysam.BGZFile(str(path), "wb") as file:
            file.write(text)
    elif kind == "bcf":
        plain = path.with_suffix(".as_text")
        plain.write_bytes(text)
        pysam.bcftools.view("--no-version", "-Ob", "-o", str(path), str(plain), catch_stdout=False)
    else:
        path.write_bytes(gzip.compress(text) if kind == "gzip" else text)
    return str(path)


def read(path: str, size: int = 4096) -> list[bytes]:
    """The record lines."""
    return [line for chunk in VariantReader(path).chunks(size) for line in chunk.lines]


def records(text: bytes) -> list[bytes]:
    return [line for line in text.splitlines() if not line.startswith(b"#")]


EXTRA = ("ref_prob", "e", "e_task", "e_diff", "sig", "p_gwas")
"""Every kind of column that a run may have"""


def scores_for(chunk: RecordChunk, extra: tuple[str, ...] = EXTRA) -> AlleleScores:
    """Scores that depend on POS and ALT alone, so that every test and format gets the same."""
    alleles = chunk.alleles
    alts = [alleles.alt[row] for row in range(len(alleles))]
    status = np.array([_status(alt) for alt in alts], np.uint8)
    seeds = [int(start) * 7 + len(alt) + sum(alt) for start, alt in zip(alleles.start, alts, strict=True)]
    scored = status == Status.PASS

    def column(factor: float) -> np.ndarray:
        values = np.sin(np.array(seeds, np.float64) * factor)
        return np.where(scored, values, np.nan).astype(np.float32)

    task = np.where(scored, np.array(seeds, np.int64) % len(TASKS), -1).astype(np.int32)
    other = np.where(scored, np.array(seeds, np.int64) // 3 % len(TASKS), -1).astype(np.int32)
    columns = {name: other if name == "e_task" else column(2 + i * 0.7) for i, name in enumerate(extra)}
    return AlleleScores(status, task, column(1), column(0.3), columns)


def _status(alt: bytes) -> int:
    if alt == b".":
        return Status.NO_ALT
    if alt == b"*":
        return Status.SPANNING_DELETION
    return Status.SYMBOLIC if alt.startswith(b"<") else Status.PASS


OUR_TAG = re.compile(rb"VS_(STATUS|DIFF|TASK|LOGODDS|REF|E|E_TASK|E_DIFF|SIG|SPAN|P_GWAS)(=|$)")


def without_our_tags(text: bytes) -> bytes:
    """A VCF without what varscore adds to it, and without semicolons at the end of INFO, which varscore uses."""
    kept = []
    for line in text.split(b"\n"):
        if line.startswith(b"##varscore") or OUR_TAG.match(line.removeprefix(b"##INFO=<ID=").split(b",")[0]):
            continue
        fields = line.split(b"\t")
        if not line.startswith(b"#") and len(fields) >= 8:
            end = b"\r" if fields[7].endswith(b"\r") else b""
            info = [entry for entry in fields[7].rstrip(b"\r").split(b";") if not OUR_TAG.match(entry)]
            while info[-1:] == [b""]:
                info.pop()
            fields[7] = (b";".join(info) or b".") + end
        kept.append(b"\t".join(fields))
    return b"\n".join(kept)
