"""What `--haplotypes` costs: prints a Markdown row a set of samples, CPU seconds against those of a plain run.

    python benchmarks/haplotypes.py [IN.vcf -r FASTA] [-m MODEL] [--samples N ...]

Without a file: SNVs on eight made-up founders' haplotypes of a random genome, which 200 people share. One engine, on
one thread, after a run that is not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from windows import random_fasta

from varscore.annotate.flow import annotate_file
from varscore.annotate.job import AnnotateJob
from varscore.annotate.phased import OfHaplotypes
from varscore.engine.compute import Compute
from varscore.formats.vcf import VariantReader
from varscore.formats.vcf_header import decode
from varscore.genome.sequence import Genome
from varscore.genome.sequence import decode as letters
from varscore.zoo.models import ModelFolder, find_model

FOUNDERS, PEOPLE, VARIANTS, STRETCH = 8, 200, 400, 200_000


def seconds(vcf: str, fasta: Path, model: ModelFolder, haplotypes: OfHaplotypes | None) -> tuple[float, int, int]:
    """CPU seconds of a run, its scored alleles, and the rows of its table: alleles on backgrounds."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        job = AnnotateJob(
            vcf, f"{folder}/out.tsv", fasta, model, compute=Compute("cpu", threads=1), haplotypes=haplotypes
        )
        scored = annotate_file(job).scored
        spent = time.process_time() - begin
        found = 0
        if haplotypes is not None:
            head, *rows = (line.split("\t") for line in Path(job.output).read_text().splitlines() if line[:2] != "##")
            column = head.index("hap_n")
            found = sum(int(row[column]) for row in rows if row[column] != ".")
    return spent, scored, found


def made_vcf(folder: Path, fasta: Path) -> Path:
    """Phased SNVs, some 500 bases apart, each on some of the founders' haplotypes."""
    random = np.random.default_rng(0)
    with Genome(fasta) as genome:
        (contig, length), *_ = genome.contigs.items()
        codes = genome.codes(contig, 0, STRETCH)
    people = random.integers(0, FOUNDERS, (PEOPLE, 2))
    path = folder / "phased.vcf"
    with path.open("w") as file:
        file.write(f"##fileformat=VCFv4.2\n##contig=<ID={contig},length={length}>\n")
        file.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        names = "\t".join(f"p{person}" for person in range(PEOPLE))
        file.write(f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n")
        for start in np.sort(random.choice(STRETCH, VARIANTS, replace=False)).tolist():
            ref, alt = letters(codes[start : start + 1]), letters((codes[start : start + 1] + 1) % 4)
            carried = (random.random(FOUNDERS) < 0.3).astype(int)[people]
            calls = "\t".join(f"{one}|{other}" for one, other in carried.tolist())
            file.write(f"{contig}\t{start + 1}\t.\t{ref.decode()}\t{alt.decode()}\t.\t.\t.\tGT\t{calls}\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("vcf", nargs="?", metavar="IN.vcf")
    parser.add_argument("-r", "--reference", type=Path, metavar="FASTA")
    parser.add_argument("-m", "--model")
    parser.add_argument("--samples", type=int, nargs="+", metavar="N", help="the first N; by default one, and all")
    options = parser.parse_args()
    if (options.vcf is None) != (options.reference is None):
        parser.error("a file needs -r FASTA, and the other way round")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fasta = options.reference or random_fasta(folder)
        vcf, model = options.vcf or str(made_vcf(folder, fasta)), find_model(options.model)
        with VariantReader(vcf) as reader:
            names = [decode(name) for name in reader.header.columns.split(b"\t")[9:]]
        seconds(vcf, fasta, model, None)
        plain, scored, _ = seconds(vcf, fasta, model, None)
        print("| samples | alleles | backgrounds an allele | plain (CPU s) | with haplotypes (CPU s) | ratio |")
        print("|-:|-:|-:|-:|-:|-:|")
        for count in options.samples or (1, len(names)):
            spent, _, found = seconds(vcf, fasta, model, OfHaplotypes(tuple(names[:count])))
            row = (f"{count:,}", f"{scored:,}", f"{found / max(scored, 1):.2f}", f"{plain:.1f}", f"{spent:.1f}")
            print("|", " | ".join((*row, f"{spent / plain:.2f}")), "|", flush=True)


if __name__ == "__main__":
    main()
