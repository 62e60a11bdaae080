"""``annotate`` as a function of names and paths: what a notebook calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from varscore.annotate.flow import annotate_file
from varscore.annotate.job import AnnotateJob, Summary
from varscore.annotate.record import RunInfo
from varscore.engine.compute import Compute
from varscore.engine.device import one_thread
from varscore.formats.regions import RegionSet, parse_regions
from varscore.formats.variantlist import parse_kind
from varscore.normalise import Given, make_vcf, place_for_vcf
from varscore.scoring.annotations import Annotations
from varscore.scoring.survey import GenomeRules
from varscore.tasks import several
from varscore.zoo.models import find_model

StrPath = str | os.PathLike[str]


def annotate_variants(
    variants: StrPath,
    output: StrPath,
    reference: StrPath,
    *,
    model: str | None = None,
    kind: str = "auto",
    dbsnp: StrPath | None = None,
    tasks: Sequence[str] = (),
    regions: Sequence[str] = (),
    classifiers: Sequence[str] | None = None,
    background: StrPath | None = None,
    conservation: Mapping[str, StrPath] | None = None,
    scores: StrPath | None = None,
    skipped: StrPath | None = None,
    check_ref: str = "warn",
    as_written: bool = False,
    rules: GenomeRules | None = None,
    device: str = "auto",
    precision: str = "fp32",
    threads: int = 1,
    force: bool = False,
    resume: bool = True,
    progress: Callable[[int], None] = lambda records: None,
) -> Summary:
    """Score every variant of a file and write the file that ``varscore annotate`` would write, byte for byte.

    variants: VCF, BCF, a table, BED with alleles, a list of names or rsIDs, or one variant such as ``chr1:1005A>G``
    output: its suffix says the format; kind: of the variants, as ``--from`` has it
    model, tasks, classifiers, check_ref ...: as the options of the command; regions: ``chr1:1000-2000``
    threads: more than one starts processes, for which a script needs ``if __name__ == "__main__":``
    progress: called with the number of records that have just been done
    Raises the errors of :mod:`varscore.errors`; then there is no output.
    """
    chosen = find_model(model)
    chosen.warn_of_interim()
    rules = rules or GenomeRules()
    given = Given.of(os.fspath(variants), parse_kind(kind), None if dbsnp is None else os.fspath(dbsnp))
    target, genome = os.fspath(output), Path(reference)
    named, wanted = None if classifiers is None else several(classifiers), several(regions)
    tracks = {name: Path(path) for name, path in (conservation or {}).items()}
    with place_for_vcf(target) as made:
        job = AnnotateJob(
            source=made if given.is_list else given.path,
            output=target,
            reference=genome,
            model=chosen,
            tasks=several(tasks),
            regions=RegionSet(parse_regions(wanted)) if wanted else None,
            saturate=given.intervals(),
            annotations=Annotations.open(chosen, named, _path(background), tracks),
            check_ref=check_ref,
            as_written=as_written,
            rules=rules,
            scores=_path(scores),
            skipped=_path(skipped),
            compute=Compute(device, precision, threads),
            force=force,
            resume=resume,
            inputs=tuple(given.files),
        )
        job.check()
        if given.is_list:
            make_vcf(given, made, genome, rules)
        with one_thread():
            return annotate_file(job, progress, info=RunInfo(command="varscore.annotate"))


def _path(name: StrPath | None) -> Path | None:
    return None if name is None else Path(name)
