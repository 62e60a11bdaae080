"""``varscore motifs``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli.groups import grouped
from varscore.cli.inputs import (
    demand_files,
    demand_free,
    demand_free_folder,
    demand_model,
    look_at_files,
    look_at_paths,
)
from varscore.cli.options import Device, Force, Seed, Threads

if TYPE_CHECKING:
    from varscore.interpret.motifs import Found, MotifOptions

SITES, MATCHING, RECURRING = "Which sites", "What they are like", "Motifs that recur"


@dataclass(frozen=True)
class Filtering:
    """How filters become matrices."""

    sequences: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Of a data set's training split, or the first of a FASTA.", rich_help_panel=SITES
        ),
    ] = 5000
    threshold: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="A site is where a filter's value is above this share of its largest, and above 0.",
            rich_help_panel=SITES,
        ),
    ] = 0.5
    min_sites: Annotated[
        int, typer.Option(min=1, metavar="N", help="Filters with fewer sites are left out.", rich_help_panel=SITES)
    ] = 10
    trim: Annotated[
        float,
        typer.Option(
            min=0,
            max=2,
            metavar="BITS",
            help="Take columns with less information off both ends; 0 matches filters whole.",
            rich_help_panel=SITES,
        ),
    ] = 0.0


@dataclass(frozen=True)
class Matching:
    """How matrices are compared."""

    q: Annotated[
        float,
        typer.Option("--q", min=0, max=1, metavar="Q", help="A match has a q below this.", rich_help_panel=MATCHING),
    ] = 0.01
    e: Annotated[
        float,
        typer.Option(
            "--e", min=0, metavar="E", help="Counted besides: matches of E below this.", rich_help_panel=MATCHING
        ),
    ] = 0.01
    cluster: Annotated[
        float,
        typer.Option(
            min=0, max=1, metavar="R", help="Least mean correlation of a cluster of filters.", rich_help_panel=MATCHING
        ),
    ] = 0.6
    projection_q: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="Q",
            help="The picture of the projection shows filters that match below this.",
            rich_help_panel=MATCHING,
        ),
    ] = 1e-8
    family: Annotated[
        Path | None,
        typer.Option(
            metavar="TSV",
            help="Motif id and family, two columns: colours of that picture.",
            rich_help_panel=MATCHING,
            callback=look_at_files,
        ),
    ] = None


@dataclass(frozen=True)
class Recurrence:
    """How sequences are searched for motifs that recur."""

    control: Annotated[
        Path | None,
        typer.Option(
            metavar="FASTA",
            help="Sequences without the motifs; by default dinucleotide shuffles of QUERY.",
            show_default=False,
            rich_help_panel=RECURRING,
            callback=look_at_files,
        ),
    ] = None
    number: Annotated[
        int, typer.Option(min=1, max=100, metavar="N", help="Motifs to find, at most.", rich_help_panel=RECURRING)
    ] = 5
    one_strand: Annotated[
        bool, typer.Option("--one-strand", help="Look on the strand that is given alone.", rich_help_panel=RECURRING)
    ] = False


Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|compare|recurring",
        help="A model's name or folder; compare: only compare QUERY; recurring: find motifs in QUERY.",
    ),
]
Query = Annotated[
    Path | None,
    typer.Argument(
        metavar="[QUERY]",
        help="Of compare: a JASPAR or MEME file; of recurring: a FASTA.",
        show_default=False,
        callback=look_at_files,
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR|TSV", help="Folder to write; of compare, a table.")
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DATA|FASTA",
        help="Real sequence: a data set of varscore dataset, or a FASTA.",
        show_default=False,
        callback=look_at_paths,
    ),
]
Against = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="MOTIFS",
        help="JASPAR or MEME text to compare with; repeatable. By default VARSCORE_MOTIFS, or motifs of the "
        "configuration file.",
        show_default=False,
        callback=look_at_files,
    ),
]


@grouped
def motifs(
    *,
    model: Model,
    query: Query = None,
    output: Output,
    data: Data = None,
    against: Against = None,
    filtering: Filtering,
    matching: Matching,
    recurrence: Recurrence,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """What the filters of a model's first layer have learnt: matrices, the motifs they are like, clusters, logos.

    varscore motifs compare QUERY --against MOTIFS compares two files of motifs alone. varscore motifs recurring QUERY
    finds motifs that more of its sequences have than of --control, and where in them they stand.
    """
    databases = _databases(against)
    demand_files(*databases)
    _demand_fitting(model, query, data, recurrence)
    if model == "compare":
        _compare(query, databases, output, force)
        return
    if model == "recurring":
        _recur(query, databases, output, recurrence, seed, force)
        return
    assert data is not None

    demand_free_folder(output, force)
    demand_model(model)
    _demand_sequence(data)
    _demand_motifs(databases)

    from varscore.cli.log import progress
    from varscore.engine.device import pick_device, use_threads
    from varscore.interpret.motif_folder import facts, put_facts, put_found
    from varscore.interpret.motifs import discover, read_families
    from varscore.motifs.active import NAME
    from varscore.storage.folders import refuse_existing_folder
    from varscore.storage.whole import whole_folder
    from varscore.zoo.models import find_model

    use_threads(threads)
    refuse_existing_folder(str(output), NAME, force=force)
    chosen, families = find_model(model), read_families(matching.family)
    chosen.warn_of_interim()
    options = _options(filtering, matching, seed)
    with progress(filtering.sequences, "sequences") as meter:
        found = discover(chosen, data, databases, options, pick_device(device), meter.advance)
    with whole_folder(output) as folder:
        put_found(folder, found, families)
        _put_pictures(folder, found, chosen.id, families)
        put_facts(folder, facts(found, chosen, data, databases))
    _say(found, options)


def _options(filtering: Filtering, matching: Matching, seed: int) -> MotifOptions:
    from varscore.interpret.motifs import MotifOptions

    return MotifOptions(
        sequences=filtering.sequences,
        threshold=filtering.threshold,
        min_sites=filtering.min_sites,
        q=matching.q,
        e=matching.e,
        trim=filtering.trim,
        cluster=matching.cluster,
        projection_q=matching.projection_q,
        seed=seed,
    )


def _demand_fitting(model: str, query: Path | None, data: Path | None, recurrence: Recurrence) -> None:
    """Raises BadParameter for what does not go with a model, with ``compare`` or with ``recurring``."""
    reads_query = model in ("compare", "recurring")
    if reads_query and data is not None:
        raise typer.BadParameter(f"--data goes with a model: {model} reads QUERY")
    if recurrence.control is not None and model != "recurring":
        raise typer.BadParameter("--control goes with recurring alone")
    if not reads_query and query is not None:
        raise typer.BadParameter("QUERY goes with compare and recurring alone")
    if not reads_query and data is None:
        raise typer.BadParameter("--data DATA|FASTA says which sequences the filters are to read")


def _databases(against: list[Path] | None) -> list[Path]:
    import os

    from varscore.cli.config import find_motifs

    if against:
        return against
    named = os.environ.get("VARSCORE_MOTIFS")
    found = find_motifs(Path(named) if named else None)
    return [] if found is None else [found]


def _demand_sequence(data: Path) -> None:
    """Raises DataError for what is neither a data set nor a FASTA."""
    from varscore.datasets.examples import read_info
    from varscore.errors import DataError
    from varscore.formats.fasta import looks_like_fasta

    if data.is_dir():
        read_info(data)
    elif not looks_like_fasta(str(data)):
        raise DataError("neither a data set nor a FASTA", where=data, remedy="--data DATA|FASTA")


def _demand_motifs(databases: list[Path]) -> None:
    """Raises DataError for a file without motifs, before anything is computed."""
    from varscore.formats.motifs import read_motifs

    for path in databases:
        read_motifs(path)


def _compare(query: Path | None, databases: list[Path], output: Path, force: bool) -> None:
    if query is None or not databases:
        raise typer.BadParameter("compare wants QUERY and --against MOTIFS")
    demand_free((output,), force, [query, *databases])

    from varscore.formats.motifs import read_motifs
    from varscore.motifs.compare import compare_files, warn_of_few
    from varscore.storage.whole import put_file

    made = compare_files(query, databases)
    warn_of_few([motif for path in databases for motif in read_motifs(path)])
    put_file(output, made)


def _recur(query: Path | None, databases: list[Path], output: Path, how: Recurrence, seed: int, force: bool) -> None:
    if query is None:
        raise typer.BadParameter("recurring wants QUERY, a FASTA")
    demand_free_folder(output, force)
    _demand_motifs(databases)

    import logging

    from varscore.interpret.recurring import FACTS, Question, ask, put_answer
    from varscore.storage.folders import refuse_existing_folder
    from varscore.storage.whole import whole_folder

    refuse_existing_folder(str(output), FACTS, force=force)
    answer = ask(Question(query, how.control, how.number, not how.one_strand, seed))
    with whole_folder(output) as folder:
        put_answer(folder, answer, databases)
    log = logging.getLogger(__name__)
    log.info("%d motifs in %d sequences against %d", len(answer.found), len(answer.first), len(answer.other))
    for one in answer.found:
        mine, n, theirs, m = one.hits
        log.info("%s: %.1f %% against %.1f %%, p %.2g", one.motif.name, 100 * mine / n, 100 * theirs / m, one.p)


def _put_pictures(folder: Path, found: Found, model: str, families: Mapping[str, str]) -> None:
    """The page of logos, where the packages for pages are installed."""
    import logging
    from importlib.util import find_spec

    if find_spec("jinja2") is None:
        logging.getLogger(__name__).warning("no logos.html: jinja2 is not installed; pip install jinja2")
        return
    from varscore.report.motif_logos import filters_page
    from varscore.storage.whole import put_file

    put_file(folder / "logos.html", filters_page(found, model, families))


def _say(found: Found, options: MotifOptions) -> None:
    import logging

    log = logging.getLogger(__name__)
    n, enough = len(found.filters), sum(one.sites >= options.min_sites for one in found.filters)
    clusters = int(found.cluster.max()) + 1
    log.info("%d filters, %d with %d sites or more, %d clusters", n, enough, options.min_sites, clusters)
    if found.targets:
        text = "of %d filters %d match one of %d motifs at E < %g, %d at q < %g"
        log.info(text, n, found.matched_e, len(found.targets), options.e, found.matched_q, options.q)
    for q in dict.fromkeys((options.projection_q, options.q)):
        if (placed := found.placed(q)) is not None and (pairs := placed.pairs).opposite:
            text = (
                "projection, %d filters of q < %g: cosine %.3f in %d pairs of opposite strands, %.3f (sd %.3f) in %d "
            )
            log.info(
                text + "others, p %.3g",
                len(placed.chosen),
                q,
                pairs.opposite_cosine,
                pairs.opposite,
                pairs.other_cosine,
                pairs.spread,
                pairs.other,
                pairs.p,
            )
