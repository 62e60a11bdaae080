"""All that stands on a report's page, gathered and laid out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from varscore import __version__
from varscore.report import charts, facts
from varscore.report.around import Around
from varscore.report.cells import CellRanking, rank_cells
from varscore.report.chosen import Chosen
from varscore.report.explained import read_explained
from varscore.report.genes import Genes, read_genes
from varscore.report.guide import cutoffs, entries
from varscore.report.igv import igv_contigs, read_igv
from varscore.report.job import ReportJob
from varscore.report.logos import Logos
from varscore.report.matrix import Computing, TaskEffects, cell_and_mark, read_effects
from varscore.report.page import Page, Section, chart, deflated, markup, script, table
from varscore.report.rows import DENSE, KEPT, Column, Rows, is_cut, shown, task_arrays
from varscore.report.scored import PASS, Allele, Scored
from varscore.report.sites import SHOWN, Site, read_sites
from varscore.report.tiles import blocks_of
from varscore.report.words import CLEAR, Opening, Words, words_for
from varscore.scoring.tags import tag
from varscore.tasks import Task
from varscore.zoo.models import ModelFolder

if TYPE_CHECKING:
    from bokeh.models.ui import UIElement
    from markupsafe import Markup

PRINTED = 20
"""Alleles in the table that is printed"""
UNPRINTED = ("tss", "e_task", "logodds")
"""Columns for which paper is too narrow"""
AROUND = 200_000
"""Bases on both sides of a variant in which genes are shown"""


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
    around: Around | None
    sites: list[list[Site]] | None
    genes: Genes | None
    cells: CellRanking | None
    igv: str

    @classmethod
    def gather(cls, job: ReportJob, scored: Scored, chosen: Chosen, model: ModelFolder | None) -> Contents:
        alleles = chosen.alleles
        igv = read_igv(job.igv_js) if job.igv else ""
        sites = read_sites(job.motif_table, alleles) if job.motif_table else None
        genes = read_genes(job.genes) if job.genes else None
        if genes is not None:
            genes.warn_of_contigs((one.chrom for one in alleles), str(job.genes))
        effects = _effects(job, scored, alleles, model)
        known = model.tasks() if model else ()
        tasks = [] if effects is None else effects.of_tasks(known)
        first, around = alleles[: job.explain_top], None
        logos = _logos(job, scored, alleles, effects, model)
        if job.tracks and model is not None and job.reference is not None and effects is not None:
            around = Around.make(first, effects, model, job.reference, job.compute)
        return cls(
            job, scored, chosen, model, effects, tasks, logos, around, sites, genes, rank_cells(effects, tasks), igv
        )

    @property
    def igv_size(self) -> int:
        """Bytes of the page that are igv.js."""
        return len(deflated(self.igv.encode())) if self.igv else 0

    @cached_property
    def words(self) -> Words:
        return words_for(self.chosen.alleles, self.tasks or (self.model.tasks() if self.model else ()))

    @cached_property
    def rows(self) -> Rows:
        opening = None if self.effects is None else Opening.count(self.effects.diff, self.tasks)
        return Rows(self.scored, self.chosen.alleles, self.words, self.genes, opening)

    # -- the page ----------------------------------------------------------------------------------------------------

    def page(self) -> Page:
        columns = self.rows.columns()
        sections = [
            Section("summary", "At a glance", self._summary()),
            Section("table", "Alleles", self._table(columns)),
            Section("allele", "One allele", self._allele()),
            Section("locus", "Locus", self._locus()),
            Section("tissue", "Which cells", self._tissue()),
            Section("file", "The file", self._file()),
            Section("read", "How to read this", self._guide()),
            Section("provenance", "Provenance and limits", self._provenance()),
        ]
        return Page(
            title=self.job.title or f"varscore: {os.path.basename(self.scored.path)}",
            lead=self._lead(),
            sections=sections,
            data=self._data(columns),
            arrays=self._arrays(),
            charts=self._charts(columns),
            scripts=[script("words.js"), script("report.js")],
            libraries=[self.igv] if self.igv else [],
            styles=script("report.css"),
        )

    def _charts(self, columns: Sequence[Column]) -> dict[str, UIElement]:
        made: dict[str, UIElement] = {**charts.summary_charts(self.chosen.counts)}
        made["alleles"] = charts.allele_table(columns)
        if not self.igv:
            made |= charts.locus_charts(self.genes is not None)
        if self.effects is not None:
            made |= charts.allele_charts(self.words.amount, self.effects.evalue is not None)
        if self.logos is not None:
            made["logo"] = charts.logo_chart()
        if self.around is not None:
            made["tracks"] = charts.track_chart(self.words.amount)
        if self.cells is not None:
            made["cells"] = charts.cell_chart(self.cells.names, self.cells.relative, self.cells.notes)
        return made

    def _lead(self) -> str:
        counts, (name, _), (genome, _) = self.chosen.counts, self.scored.model, self.scored.reference
        return (
            f"{counts.scored:,} of {counts.alleles:,} alleles scored by {name} on {genome or 'an unnamed genome'}. "
            "Predictions from sequence, not measurements. Research use only."
        )

    def _summary(self) -> Markup:
        counts = self.chosen.counts
        return markup(
            "summary.html",
            counts=counts,
            shown=len(self.chosen.alleles),
            filter=self.job.filter,
            cut=is_cut(self.effects),
            sort=tag(self.job.sort, self.scored.prefix),
            kept=KEPT,
            dense=DENSE,
            reasons=facts.reasons(counts.by_status),
            assembly=facts.assembly_hint(counts.by_status),
            words=self.words,
            clear=CLEAR,
            logos=self.logos,
            motifs="motif" in self.scored.columns or self.sites is not None,
            effects=self.effects,
            cutoffs=bool(cutoffs(self.model)),
        )

    def _file(self) -> Markup:
        counts = self.chosen.counts
        return markup(
            "file.html",
            counts=counts,
            reasons=facts.reasons(counts.by_status),
            chart=chart,
            words=self.words,
            background=facts.background(self.scored.facts.get("Background", "")),
            has_e=any(counts.evalues),
            limits=[(limit, counts.below[limit]) for limit in (1e-2, 1e-3, 1e-4)],
        )

    def _table(self, columns: Sequence[Column]) -> Markup:
        rows = self.rows.values()
        columns = [column for column in columns if column[0] not in UNPRINTED]
        some = [key for key, _, _ in columns]
        first = [[shown(rows[key][i]) for key in some] for i in range(min(PRINTED, len(self.chosen.alleles)))]
        return markup(
            "table.html",
            chart=chart,
            printed=table([title for _, title, _ in columns], first),
            count=len(first),
            shown=len(self.chosen.alleles),
            passed=self.chosen.counts.passed,
        )

    def _allele(self) -> Markup:
        return markup(
            "allele.html",
            chart=chart,
            effects=self.effects,
            logos=self.logos,
            around=self.around,
            words=self.words,
            motifs="motif" in self.scored.columns,
            sites=self.sites is not None,
            sites_shown=SHOWN,
            explained=0 if self.logos is None else self.logos.drawn,
            model=self.model,
            name=self.scored.model[0],
            sequence=self.job.sequence,
            haplotypes="hap_diff" in self.scored.columns,
        )

    def _locus(self) -> Markup:
        return markup("locus.html", chart=chart, genes=self.genes, igv=bool(self.igv), shown=len(self.chosen.alleles))

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
            "guide.html",
            entries=entries(self.rows.there, self.scored.meanings, tags, self.words),
            words=self.words,
            cutoffs=found,
            cutoff_rows=rows,
            table=table,
            tasks=len(self.tasks) or None,
            alleles=self.chosen.counts.scored,
            has_e="e" in self.scored.columns,
        )

    def _provenance(self) -> Markup:
        return markup(
            "provenance.html",
            table=table,
            card=None if self.model is None else self.model.card,
            name=self.scored.model[0],
            facts=sorted(self.scored.facts.items()),
            run=facts.run_facts(self.scored),
            version=__version__,
        )

    # -- its data ----------------------------------------------------------------------------------------------------

    def _data(self, columns: Sequence[Column]) -> dict[str, object]:
        cells = [cell_and_mark(task) for task in self.tasks]
        tags = {key: tag(key, self.scored.prefix) for key in self.rows.there}
        opening = self.rows.opening
        return {
            "columns": [[key, title, kind] for key, title, kind in columns],
            "rows": self.rows.values(),
            "tags": tags,
            "sort": self.job.sort,
            "background": facts.floor(self.scored.facts.get("Background", "")),
            "kind": self.words.kind,
            "openable": opening.of if opening else 0,
            "cutoffs": [[one.rule, one.common, one.regulatory] for one in cutoffs(self.model)],
            "tasks": [[f"{one.index}:{one.name}", *where] for one, where in zip(self.tasks, cells, strict=True)],
            "blocks": blocks_of(cells, None if self.effects is None else self.effects.diff),
            "genes": self._genes(),
            "links": [[link.name, link.pattern] for link in self.job.links],
            "logos": None if self.logos is None else self.logos.facts(),
            "around": None if self.around is None else self.around.facts(),
            "sites": None if self.sites is None else [[site.row() for site in one[:SHOWN]] for one in self.sites],
            "more_sites": None if self.sites is None else [max(0, len(one) - SHOWN) for one in self.sites],
            "igv": igv_contigs(self.chosen.alleles, self.job.reference) if self.igv else None,
        }

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

    def _arrays(self) -> dict[str, NDArray[np.number]]:
        found: dict[str, NDArray[np.number]] = {}
        if self.effects is not None:
            found |= task_arrays(self.effects)
        if self.logos is not None:
            found |= self.logos.arrays()
        if self.around is not None:
            found |= self.around.arrays()
        return found


def _effects(
    job: ReportJob, scored: Scored, alleles: Sequence[Allele], model: ModelFolder | None
) -> TaskEffects | None:
    if job.scores is not None:
        return read_effects(job.scores, scored, alleles)
    if model is None or job.reference is None or not any(one.status == PASS for one in alleles):
        return None
    return Computing(model, job.reference, job.compute).effects(scored, alleles)


def _logos(
    job: ReportJob, scored: Scored, alleles: Sequence[Allele], effects: TaskEffects | None, model: ModelFolder | None
) -> Logos | None:
    """From a folder of explain, else computed, else none."""
    if job.explain is not None:
        labels = (
            effects.labels if effects else [f"{task.index}:{task.name}" for task in (model.tasks() if model else ())]
        )
        return read_explained(job.explain, alleles, scored, labels)
    if model is None or job.reference is None or effects is None or not job.explain_top or not job.sequence:
        return None
    return Logos.make(alleles[: job.explain_top], effects, model, job.reference, job.compute)
