"""``varscore report``: a scored file in, one page out."""

from __future__ import annotations

import os

from varscore.errors import ModelError
from varscore.report.chosen import check_sort, choose
from varscore.report.contents import Contents
from varscore.report.filters import parse_filter
from varscore.report.job import Report, ReportJob
from varscore.report.multiqc import write_multiqc
from varscore.report.scored import Scored, open_scored
from varscore.storage.whole import put_file
from varscore.tasks import safe
from varscore.zoo.models import ModelFolder, find_model

_SUFFIXES = (".gz", ".bgz", ".vcf", ".bcf", ".tsv", ".parquet", ".varscore")


def write_report(job: ReportJob) -> Report:
    """Write the page (and the files for MultiQC). Raises the errors of :mod:`varscore.errors`."""
    job.check()
    scored = open_scored(job.source, job.tag_prefix)
    check_sort(scored, job.sort)
    holds = parse_filter(job.filter, scored.columns, job.tag_prefix) if job.filter else None
    chosen = choose(scored, job.sort, job.top, holds)
    contents = Contents.gather(job, scored, chosen, find_scorer(job, scored))
    page = contents.page().html()
    put_file(job.output, page)
    if job.multiqc is not None:
        write_multiqc(job.multiqc, _sample(scored), chosen.counts)
    counts = dict(chosen.counts.by_status)
    return Report(job.output, len(page.encode()), len(chosen.alleles), counts, contents.igv_size)


def _sample(scored: Scored) -> str:
    name = os.path.basename(scored.path)
    for suffix in _SUFFIXES:
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
                "the file was scored with another model",
                where=scored.path,
                cause=f"it names {name} (sha256 {sha256[:12]}), {job.model.id} has {job.model.sha256[:12]}",
            )
        return job.model
    try:
        found = find_model(name)
    except ModelError:
        return None
    return found if safe(found.sha256) == sha256 else None
