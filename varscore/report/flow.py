"""``varscore report``: a scored file in, one page out."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from varscore import __version__
from varscore.engine.compute import Compute
from varscore.errors import ModelError
from varscore.report import charts
from varscore.report.cells import CellRanking, rank_cells
from varscore.report.chosen import Chosen, check_sort, choose
from varscore.report.filters import parse_filter
from varscore.report.genes import Genes, read_genes
from varscore.report.guide import cutoffs, entries
from varscore.report.links import Link
from varscore.report.logos import Logos
from varscore.report.matrix import Computing, TaskEffects, cell_and_mark, read_effects
from varscore.report.multiqc import write_multiqc
from varscore.report.page import Page, Section, chart, demand_libraries, markup, script, table
from varscore.report.scored import PASS, Allele, Scored, open_scored
from varscore.report.tiles import blocks_of
from varscore.scoring.tags import PREFIX, tag
from varscore.storage.atomic import refuse_existing
from varscore.storage.runjson import SUFFIX, read_run
from varscore.storage.whole import put_file
from varscore.tasks import Task, safe
from varscore.zoo.models import ModelFolder, find_model

if TYPE_CHECKING:
    from bokeh.models.ui import UIElement
    from markupsafe import Markup

MOST = 5000
"""Alleles on a page"""
PRINTED = 20
"""Alleles in the table that is printed"""
AROUND = 200_000
"""Bases on both sides of a variant in which genes are shown"""


@dataclass(frozen=True)
class ReportJob:
    """What a report is made of.

    source: what annotate has written; output: the page; model: None for the one the file names, if it is at hand
    reference: FASTA, with which tasks are computed again and logos drawn; scores: annotate's matrix
    sort, top, filter: which alleles; see :mod:`varscore.report.chosen` and :mod:`varscore.report.filters`
    explain_top: how many alleles get logos; links: (name, pattern); multiqc: a JSON file to write too
    """

    source: str
    output: Path
    model: ModelFolder | None = None
    reference: Path | None = None
    scores: Path | None = None
    genes: str | None = None
    tag_prefix: str = PREFIX
    sort: str = "diff"
    top: int = 1000
    filter: str | None = None
    title: str | None = None
    links: tuple[Link, ...] = ()
    explain_top: int = 50
    multiqc: Path | None = None
    compute: Compute = field(default_factory=Compute)
    force: bool = False

    def check(self) -> None:
        """Everything that can be known to be wrong before any work is done. Raises UsageError and OutputExists."""
        demand_libraries()
        for path in (self.output, self.multiqc):
            if path is not None:
                refuse_existing(str(path), force=self.force)


@dataclass(frozen=True)
class Report:
    """What came of a job. size: of the page in bytes; shown: alleles on it"""

    output: Path
    size: int
    shown: int
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def scored(self) -> int:
        return self.counts.get(PASS, 0)

    def __str__(self) -> str:
        hidden = f" of {sum(self.counts.values()):,}" if self.shown < sum(self.counts.values()) else ""
        return f"{self.output}: {self.shown:,}{hidden} alleles, {self.size / 1e6:.2f} MB; open it in a browser"


def write_report(job: ReportJob) -> Report:
    """Write the page (and the files for MultiQC). Raises the errors of :mod:`varscore.errors`."""
    job.check()
    scored = open_scored(job.source, job.tag_prefix)
    check_sort(scored, job.sort)
    holds = parse_filter(job.filter, scored.columns, job.tag_prefix) if job.filter else None
    chosen = choose(scored, job.sort, job.top, holds)
    page = Contents.gather(job, scored, chosen).page().html()
    put_file(job.output, page)
    if job.multiqc is not None:
        write_multiqc(job.multiqc, _sample(scored), chosen.counts)
    return Report(job.output, len(page.encode()), len(chosen.alleles), dict(chosen.counts.by_status))


def _sample(scored: Scored) -> str:
    name = os.path.basename(scored.path)
    for suffix in (".gz", ".bgz", ".vcf", ".bcf", ".tsv", ".parquet", ".varscore"):
        name = name.removesuffix(suffix)
    return scored.sample or name


def find_scorer(job: ReportJob, scored: Scored) -> ModelFolder | None:
    """The model that has scored the file: the one given, or the one of that name here if it is the same.

    Raises ModelError when the one given is another.
    """
    name, sha256 = scored.model
    if job.model is not None:
        if safe(job.model.sha256) != sha256:
            raise ModelError(
                "the file was scored with another model", where=scored.path,
                cause=f"it names {name} (sha256 {sha256[:12]}), {job.model.id} has {job.model.sha256[:12]}",
            )  # fmt: skip
        return job.model
    try:
        found = find_model(name)
    except ModelError:
        return None
    return found if safe(found.sha256) == sha256 else None


@dataclass(frozen=True)
class Contents:
    """All that goes into the page; a part whose data are missing is None, and the page says what brings it."""

    job: ReportJob
    scored: Scored
    chosen: Chosen
    model: ModelFolder | None
    effects: TaskEffects | None
    tasks: Sequence[Task]
    logos: Logos | None
    genes: Genes | None
    cells: CellRanking | None

    @classmethod
    def gather(cls, job: ReportJob, scored: Scored, chosen: Chosen) -> Contents:
        model = find_scorer(job, scored)
        effects = _effects(job, scored, chosen.alleles, model)
        tasks = [] if effects is None else effects.of_tasks(model.tasks() if model else ())
        logos = None
        if model is not None and job.reference is not None and effects is not None and job.explain_top:
            first = chosen.alleles[: job.explain_top]
            logos = Logos.make(first, effects, model, job.reference, job.compute)
        return cls(
            job, scored, chosen, model, effects, tasks, logos, read_genes(job.genes) if job.genes else None,
            rank_cells(effects, tasks),
        )  # fmt: skip

    # -- the page ----------------------------------------------------------------------------------------------------

    def page(self) -> Page:
        shown: dict[str, UIElement] = {**charts.summary_charts(self.chosen.counts)}
        columns = self._columns()
        shown["alleles"] = charts.allele_table([(key, title, kind) for key, title, kind in columns])
        shown |= charts.locus_charts(self.genes is not None)
        if self.effects is not None:
            shown |= charts.allele_charts(self.effects.evalue is not None)
        if self.logos is not None:
            shown["logo"] = charts.logo_chart()
        if self.cells is not None:
            shown["cells"] = charts.cell_chart(self.cells.names, self.cells.ratios, self.cells.notes, self.cells.usual)
        sections = [
            Section("summary", "Summary", self._summary()),
            Section("table", "Alleles", self._table(columns)),
            Section("allele", "One allele", self._allele()),
            Section("locus", "Locus", self._locus()),
            Section("tissue", "Which cells", self._tissue()),
            Section("read", "How to read this", self._guide()),
            Section("provenance", "Provenance and limits", self._provenance()),
        ]
        return Page(
            title=self.job.title or f"varscore: {os.path.basename(self.scored.path)}", lead=self._lead(),
            sections=sections, data=self._data(columns), arrays=self._arrays(), charts=shown,
            scripts=[script("report.js")], styles=script("report.css"),
        )  # fmt: skip

    def _lead(self) -> str:
        counts, (name, _), (genome, _) = self.chosen.counts, self.scored.model, self.scored.reference
        return (
            f"{counts.scored:,} of {counts.alleles:,} alleles scored by {name} on {genome or 'an unnamed genome'}. "
            "Research use only."
        )

    def _summary(self) -> Markup:
        counts = self.chosen.counts
        return markup(
            "summary.html",
            counts=counts, shown=len(self.chosen.alleles), reasons=_reasons(counts.by_status),
            filter=self.job.filter, sort=tag(self.job.sort, self.scored.prefix),
            background=_background(self.scored.facts.get("Background", "")), chart=chart, has_e=any(counts.evalues),
            effects=self.effects, limits=[(limit, counts.below[limit]) for limit in (1e-2, 1e-3, 1e-4)],
            assembly=_assembly_hint(counts.by_status),
        )  # fmt: skip

    def _table(self, columns: Sequence[tuple[str, str, str]]) -> Markup:
        rows = self._rows()
        some = [key for key, _, _ in columns]
        first = [[_shown(rows[key][i]) for key in some] for i in range(min(PRINTED, len(self.chosen.alleles)))]
        return markup(
            "table.html", chart=chart, printed=table([title for _, title, _ in columns], first), count=len(first),
            shown=len(self.chosen.alleles), passed=self.chosen.counts.passed,
        )  # fmt: skip

    def _allele(self) -> Markup:
        return markup(
            "allele.html", chart=chart, effects=self.effects, logos=self.logos, motifs="motif" in self.scored.columns,
            explained=0 if self.logos is None else len(self.logos), model=self.model, name=self.scored.model[0],
        )  # fmt: skip

    def _locus(self) -> Markup:
        return markup("locus.html", chart=chart, genes=self.genes)

    def _tissue(self) -> Markup:
        return markup("tissue.html", chart=chart, cells=self.cells, effects=self.effects)

    def _guide(self) -> Markup:
        tags = {column: tag(column, self.scored.prefix) for column in self.scored.columns}
        found = cutoffs(self.model)
        rows = [
            [one.rule, f"{one.common:.2%}", one.common_n, f"{one.regulatory:.2%}", one.regulatory_n, one.times]
            for one in found
        ]
        return markup(
            "guide.html", entries=entries(self.scored.columns, self.scored.meanings, tags),
            cutoffs=found, cutoff_rows=rows, table=table, tasks=len(self.tasks) or None,
            alleles=self.chosen.counts.scored,
        )  # fmt: skip

    def _provenance(self) -> Markup:
        card = None if self.model is None else self.model.card
        facts = sorted(self.scored.facts.items())
        return markup(
            "provenance.html", table=table, card=card, name=self.scored.model[0], facts=facts, run=self._run(),
            version=__version__,
        )  # fmt: skip

    def _run(self) -> list[tuple[str, str]]:
        """What run.json says of the run, where it lies beside the file: how, when, with which versions, of what."""
        if not os.path.exists(self.scored.path + SUFFIX):
            return []
        run = read_run(self.scored.path)
        said = {key: run.get(key) for key in ("command", "started", "finished", "seconds")}
        for group in ("versions", "identity"):
            said |= run[group] if isinstance(run.get(group), dict) else {}
        return [(name, str(value)) for name, value in said.items() if value not in (None, "", "none")]

    # -- its data ----------------------------------------------------------------------------------------------------

    def _columns(self) -> list[tuple[str, str, str]]:
        """(key, title, kind) of the table's columns."""
        there = self.scored.columns
        found = [("place", "position", charts.TEXT), ("change", "alleles", charts.TEXT), ("id", "ID", charts.TEXT)]
        if self.genes is not None:
            found += [("gene", "gene", charts.TEXT), ("tss", "to its start", charts.WHOLE)]
        kinds = {
            "diff": ("difference", charts.NUMBER), "task": ("strongest task", charts.TEXT),
            "logodds": ("log-odds", charts.NUMBER), "e": ("E-value", charts.SMALL),
            "e_task": ("task of the E-value", charts.TEXT), "sig": ("significance", charts.SMALL),
        }  # fmt: skip
        found += [(key, *kinds[key]) for key in kinds if key in there]
        found += [(key, tag(key, self.scored.prefix), charts.NUMBER) for key in there if key.startswith("p_")]
        found += [("motif", "motifs", charts.TEXT)] if "motif" in there else []
        return [*found, ("status", "status", charts.TEXT)]

    def _rows(self) -> dict[str, list[object]]:
        alleles = self.chosen.alleles
        rows: dict[str, list[object]] = {
            "place": [f"{one.chrom}:{one.pos}" for one in alleles],
            "change": [f"{_short(one.ref)}>{_short(one.alt)}" for one in alleles],
            "chrom": [one.chrom for one in alleles], "pos": [one.pos for one in alleles],
            "ref": [one.ref for one in alleles], "alt": [one.alt for one in alleles],
            "id": ["" if one.id == "." else one.id for one in alleles],
        }  # fmt: skip
        for column in self.scored.columns:
            rows[column] = [one.values.get(column) for one in alleles]
        if self.genes is not None:
            near = [self.genes.nearest(one.chrom, one.pos - 1) for one in alleles]
            rows["gene"] = [found[0].name if found else "" for found in near]
            rows["tss"] = [found[1] if found else None for found in near]
        return rows

    def _data(self, columns: Sequence[tuple[str, str, str]]) -> dict[str, object]:
        cells = [cell_and_mark(task) for task in self.tasks]
        tags = {key: tag(key, self.scored.prefix) for key in self.scored.columns}
        return {
            "columns": [[key, title, kind] for key, title, kind in columns], "rows": self._rows(), "tags": tags,
            "sort": self.job.sort, "background": _floor(self.scored.facts.get("Background", "")),
            "tasks": [[f"{one.index}:{one.name}", *where] for one, where in zip(self.tasks, cells, strict=True)],
            "blocks": blocks_of(cells, None if self.effects is None else self.effects.diff),
            "genes": self._genes(), "links": [[link.name, link.pattern] for link in self.job.links],
            "logos": None if self.logos is None else self.logos.facts(),
        }  # fmt: skip

    def _genes(self) -> list[list[object]]:
        if self.genes is None:
            return []
        reach: dict[str, tuple[int, int]] = {}
        for one in self.chosen.alleles:
            first, last = reach.get(one.chrom, (one.pos, one.pos))
            reach[one.chrom] = min(first, one.pos), max(last, one.pos)
        return [
            [contig, gene.start, gene.end, gene.name, gene.strand]
            for contig, (first, last) in reach.items()
            for gene in self.genes.overlapping(contig, first - AROUND, last + AROUND)
        ]

    def _arrays(self) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        if self.effects is not None:
            found["diff"] = self.effects.diff.astype(np.float16)
            found["ref"] = self.effects.ref.astype(np.float16)
            if self.effects.evalue is not None:
                found["e"] = np.log10(np.maximum(self.effects.evalue, 1e-7)).astype(np.float16)
        if self.logos is not None:
            found |= self.logos.arrays()
        return found


def _effects(
    job: ReportJob, scored: Scored, alleles: Sequence[Allele], model: ModelFolder | None
) -> TaskEffects | None:
    if job.scores is not None:
        return read_effects(job.scores, scored, alleles)
    if model is None or job.reference is None or not any(one.status == PASS for one in alleles):
        return None
    return Computing(model, job.reference, job.compute).effects(scored, alleles)


def _short(allele: str) -> str:
    return allele if len(allele) <= 12 else f"{len(allele)} bp"


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) and not math.isnan(value) else str(value)


_WHY = {
    "PASS": "scored", "NO_ALT": "no alternative allele", "SYMBOLIC": "not spelled out, such as <DEL>",
    "BREAKEND": "a breakend", "SPANNING_DELETION": "* for a deletion before it", "NON_ACGT": "letters other than ACGT",
    "MISSING_CONTIG": "its contig is not in the FASTA", "OFF_CONTIG": "past the end of its contig",
    "TOO_LONG": "longer than half the window", "REF_UNKNOWN": "the FASTA has N there",
    "SWAPPED": "REF and ALT are swapped", "REF_MISMATCH": "REF is not what the FASTA has",
    "N_WINDOW": "more than half of its surroundings are unknown",
}  # fmt: skip


def _entries(fact: str) -> dict[str, str]:
    """``{"N": "8476"}`` of ``<N=8476>``."""
    return dict(part.partition("=")[::2] for part in fact.strip("<>").split(","))


def _floor(fact: str) -> dict[str, float]:
    """How many variants E-values are measured against, and the smallest there is, where the file says both."""
    said = _entries(fact)
    try:
        return {"n": int(said["N"]), "floor": float(said["FLOOR"])}
    except (KeyError, ValueError):
        return {}


def _background(fact: str) -> str:
    """``8,476 common variants (1000 Genomes)`` of ``<N=8476,..,SOURCES=..>``."""
    said = _entries(fact)
    if not said.get("N", "").isdigit():
        return ""
    sources = said.get("SOURCES", "").replace("+", ", ")
    return f"{int(said['N']):,} common variants{f' ({sources})' if sources else ''}"


def _reasons(by_status: Mapping[str, int]) -> list[tuple[str, str, int]]:
    order = list(_WHY)
    known = sorted(by_status, key=lambda name: (order.index(name) if name in order else len(order), name))
    return [(name or "(none)", _WHY.get(name, ""), by_status[name]) for name in known]


def _assembly_hint(by_status: Mapping[str, int]) -> bool:
    """Whether so many REFs disagree that the file may be on another assembly."""
    compared = by_status.get(PASS, 0) + by_status.get("REF_MISMATCH", 0)
    return by_status.get("REF_MISMATCH", 0) >= max(3, 0.1 * compared)
