"""``--igv``: igv.js inside the page, in the place of the locus, for those who want to add tracks of their own.

igv.js is not part of varscore. The package igv-notebook ships it; without a FASTA that igv.js can open it never starts,
so that the page gives it one of the bases around the alleles, and true lengths of contigs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from varscore.errors import UsageError
from varscore.genome.sequence import Genome
from varscore.report.scored import Allele
from varscore.storage.bounded import read_text

BEYOND = 1_000_000
"""Bases after the last allele of a contig of unknown length"""
PACKAGE = "igv_notebook"
_INSIDE = ("js", "igv.min.js")
REMEDY = "pip install --no-deps igv-notebook, which ships it, or name the file with `igv_js`"


def find_igv(given: Path | None) -> Path:
    """The file of igv.js: the one given, or that of igv-notebook. Raises UsageError when there is none."""
    if given is not None:
        if not given.is_file():
            raise UsageError("`igv_js`: there is no such file", where=given, remedy=REMEDY)
        return given
    found = importlib.util.find_spec(PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder).joinpath(*_INSIDE)
        if path.is_file():
            return path
    raise UsageError("`igv`: igv.js is not at hand", cause="igv-notebook is not installed", remedy=REMEDY)


def read_igv(given: Path | None) -> str:
    """igv.js as a script that defines ``igv``. Raises UsageError."""
    path = find_igv(given)
    text = read_text(path, UsageError)
    if "igv" not in text or "createBrowser" not in text:
        raise UsageError("`igv_js`: the file is not igv.js", where=path, remedy="dist/igv.min.js of igv.js 3")
    return text


def igv_contigs(alleles: Sequence[Allele], reference: Path | None) -> list[tuple[str, int]]:
    """Name and length of the alleles' contigs; without the genome, a length that reaches beyond them.

    reference: the FASTA, whose spelling of contigs may be another
    """
    reach: dict[str, int] = {}
    for one in alleles:
        reach[one.chrom] = max(reach.get(one.chrom, 0), one.pos + len(one.ref))
    known: dict[str, int] = {}
    if reference is not None:
        with Genome(reference) as genome:
            known = {name.removeprefix("chr"): length for name, length in genome.contigs.items()}
    return [(name, known.get(name.removeprefix("chr"), last + BEYOND)) for name, last in reach.items()]
