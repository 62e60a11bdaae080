"""The program that bcf.py runs: htslib in a process of its own, standard input to standard output.

``view v|b|u`` converts VCF or BCF; ``declare`` prints header lines for whatever the records of a VCF use without
declaring it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pysam
import pysam.bcftools


def view(kind: str) -> None:
    pysam.bcftools.view("--no-version", f"-O{kind}", "-", catch_stdout=False)


def declare() -> None:
    """htslib adds what is missing to the header it holds, record by record."""
    with pysam.VariantFile("-") as file:
        before = set(_declarations(file.header))
        for _ in file:
            pass
        for line in _declarations(file.header):
            if line not in before:
                print(line)


def _declarations(header: pysam.VariantHeader) -> Iterator[str]:
    """Header lines for all the names that htslib knows, with the types it assumes for those nobody declared."""
    yield from (f"##contig=<ID={name}>" for name in header.contigs)
    yield from (f'##FILTER=<ID={name},Description="Not declared in the input">' for name in header.filters)
    for kind, names in (("INFO", header.info), ("FORMAT", header.formats)):
        for name in names:
            yield f'##{kind}=<ID={name},Number=1,Type=String,Description="Not declared in the input">'


if __name__ == "__main__":
    pysam.set_verbosity(1)
    if sys.argv[1] == "view":
        view(sys.argv[2])
    else:
        declare()
