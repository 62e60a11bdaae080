"""What a report is made of, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from varscore.engine.compute import Compute
from varscore.errors import UsageError
from varscore.report.igv import find_igv
from varscore.report.links import Link
from varscore.report.page import demand_libraries
from varscore.report.scored import PASS
from varscore.scoring.tags import PREFIX
from varscore.storage.atomic import refuse_existing
from varscore.storage.outputs import check_names, with_indexes
from varscore.zoo.models import ModelFolder

MOST = 100_000
"""Alleles on a page"""


@dataclass(frozen=True)
class ReportJob:
    """What a report is made of.

    source: what annotate has written; output: the page; model: None for the one the file names, if it is at hand
    reference: FASTA, with which tasks are computed again and logos drawn; scores: annotate's matrix
    explain: a folder of ``varscore explain`` to take logos from; motif_table: annotate's --motif-table
    sort, top, filter: which alleles; see :mod:`varscore.report.chosen` and :mod:`varscore.report.filters`
    explain_top: how many alleles get logos, and tracks where ``tracks`` are asked for
    sequence: whether bases of the genome may stand on the page; igv: igv.js in place of the locus; igv_js: its file
    links: (name, pattern); multiqc: a JSON file to write too
    """

    source: str
    output: Path
    model: ModelFolder | None = None
    reference: Path | None = None
    scores: Path | None = None
    explain: Path | None = None
    motif_table: str | None = None
    genes: str | None = None
    tag_prefix: str = PREFIX
    sort: str = "diff"
    top: int = 1000
    filter: str | None = None
    title: str | None = None
    links: tuple[Link, ...] = ()
    explain_top: int = 50
    tracks: bool = False
    sequence: bool = True
    igv: bool = False
    igv_js: Path | None = None
    multiqc: Path | None = None
    compute: Compute = field(default_factory=Compute)
    force: bool = False

    def check(self) -> None:
        """Everything that can be known to be wrong before any work is done. Raises UsageError and OutputExists."""
        demand_libraries()
        outputs = [str(path) for path in (self.output, self.multiqc) if path is not None]
        read = (self.source, self.reference, self.scores, self.motif_table, self.genes, self.igv_js)
        files = with_indexes(*(str(path) for path in read if path is not None))
        check_names(outputs, [*files, *(self.model.files if self.model else ())])
        for path in outputs:
            refuse_existing(path, force=self.force)
        if not 1 <= self.top <= MOST:
            raise UsageError(f"a page has 1 to {MOST:,} alleles, not {self.top:,}")
        if self.explain_top < 0:
            raise UsageError(f"logos of {self.explain_top} alleles", remedy="0 or more")
        if self.tracks and self.reference is None:
            raise UsageError("`tracks` wants the genome", remedy="give its FASTA with -r")
        if self.explain is not None and not self.sequence:
            raise UsageError("`explain` draws bases of the genome, which `sequence=False` keeps off the page")
        if self.igv:
            find_igv(self.igv_js)


@dataclass(frozen=True)
class Report:
    """What came of a job. size: of the page in bytes; shown: alleles on it; igv: bytes of it that are igv.js

    counts: alleles of the whole file by status
    """

    output: Path
    size: int
    shown: int
    counts: Mapping[str, int] = field(default_factory=dict)
    igv: int = 0

    @property
    def scored(self) -> int:
        return self.counts.get(PASS, 0)

    def __str__(self) -> str:
        hidden = f" of {sum(self.counts.values()):,}" if self.shown < sum(self.counts.values()) else ""
        igv = f", {self.igv / 1e6:.2f} of them igv.js" if self.igv else ""
        return f"{self.output}: {self.shown:,}{hidden} alleles, {self.size / 1e6:.2f} MB{igv}; open it in a browser"
