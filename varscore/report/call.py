"""``report`` as a function of names and paths: what a notebook calls."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from varscore.engine.compute import Compute
from varscore.engine.device import one_thread
from varscore.report.flow import write_report
from varscore.report.job import Report, ReportJob
from varscore.report.links import Link
from varscore.scoring.tags import PREFIX
from varscore.zoo.models import find_model

StrPath = str | os.PathLike[str]


def report_page(
    scored: StrPath,
    output: StrPath,
    reference: StrPath | None = None,
    *,
    model: str | None = None,
    scores: StrPath | None = None,
    explain: StrPath | None = None,
    motif_table: StrPath | None = None,
    genes: StrPath | None = None,
    sort: str = "diff",
    top: int = 1000,
    filter: str | None = None,
    explain_top: int = 50,
    tracks: bool = False,
    sequence: bool = True,
    igv: bool = False,
    igv_js: StrPath | None = None,
    title: str | None = None,
    links: Mapping[str, str] | None = None,
    multiqc: StrPath | None = None,
    tag_prefix: str = PREFIX,
    device: str = "auto",
    force: bool = False,
) -> Report:
    """Make the page that ``varscore report`` would make of a scored file, byte for byte.

    scored: what annotate has written; output: the page; reference: FASTA, which brings every task and logos
    links: name -> address with {chrom} {pos} {ref} {alt} {id}; the others: as the options of the command
    Raises the errors of :mod:`varscore.errors`; then there is no page.
    """
    job = ReportJob(
        source=os.fspath(scored),
        output=Path(output),
        model=find_model(model) if model else None,
        reference=_path(reference),
        scores=_path(scores),
        explain=_path(explain),
        motif_table=None if motif_table is None else os.fspath(motif_table),
        genes=None if genes is None else os.fspath(genes),
        tag_prefix=tag_prefix,
        sort=sort.lower(),
        top=top,
        filter=filter,
        title=title,
        links=tuple(Link.parse(f"{name}={url}") for name, url in (links or {}).items()),
        explain_top=explain_top,
        tracks=tracks,
        sequence=sequence,
        igv=igv or igv_js is not None,
        igv_js=_path(igv_js),
        multiqc=_path(multiqc),
        compute=Compute(device, threads=1),
        force=force,
    )
    with one_thread():
        return write_report(job)


def _path(name: StrPath | None) -> Path | None:
    return None if name is None else Path(name)
