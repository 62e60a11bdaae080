"""``varscore explain``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli.genome import Fitting
from varscore.cli.groups import grouped
from varscore.cli.inputs import demand_free_folder, demand_model, demand_source, look_at_files, look_at_references
from varscore.cli.options import MOST, Computing, Force, ModelName, OutputDir, Seed

if TYPE_CHECKING:
    from varscore.genome.sequence import Genome
    from varscore.interpret.explain import ExplainJob, Explanation
    from varscore.interpret.methods import Options
    from varscore.interpret.outputs import ExplainFolder
    from varscore.interpret.subjects import AllelePair
    from varscore.motifs.changes import MotifChange
    from varscore.zoo.models import ModelFolder

log = logging.getLogger(__name__)
WHAT, HOW, SHOWN = "What is explained", "How", "What is written"
BASES, WHOLE = ("ism", "deeplift", "gradient", "ig"), ("attention", "maximise")


def _check_methods(methods: list[str] | None) -> list[str] | None:
    for method in methods or ():
        if method not in (*BASES, *WHOLE):
            raise typer.BadParameter(f"{method!r} is none of {', '.join((*BASES, *WHOLE))}")
    return methods


def _parse_top(text: str) -> int:
    """0: all."""
    if text == "all":
        return 0
    if not text.isdigit() or not 0 < int(text) <= MOST:
        raise typer.BadParameter(f"{text!r} is neither all nor a positive whole number")
    return int(text)


@dataclass(frozen=True)
class Explaining:
    """What is explained, and by which methods."""

    method: Annotated[
        list[str] | None,
        typer.Option(
            callback=_check_methods,
            metavar="METHOD",
            help="ism (the default): what every substitution would do; deeplift: contributions that add up, through "
            "LSTM gates, attention and max-pooling too; gradient: gradient times input; ig: integrated gradients; "
            "attention: where a network with a mask looks, and the motif there; maximise: the input that it would like "
            "best, for which no SOURCE is needed.",
            rich_help_panel=WHAT,
            show_default=False,
        ),
    ] = None
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Tasks to explain, such as 'K562*CTCF*'; repeatable. By default an allele's own strongest one; "
            "sequences and intervals need it where the model has several.",
            rich_help_panel=WHAT,
            show_default=False,
        ),
    ] = None
    genome: Annotated[
        Path | None,
        typer.Option(
            "--genome",
            "-r",
            metavar="FASTA",
            envvar="VARSCORE_REFERENCE",
            help="Reference genome of intervals and variants; its .fai is made when missing.",
            show_default=False,
            rich_help_panel=WHAT,
            callback=look_at_references,
        ),
    ] = None
    top: Annotated[
        int | None,
        typer.Option(
            parser=_parse_top,
            metavar="N|all",
            help="Of a variant file only the N alleles of largest |VS_DIFF|.",
            rich_help_panel=WHAT,
            show_default="100",
        ),
    ] = None


@dataclass(frozen=True)
class Manner:
    """How contributions are made."""

    target: Annotated[
        Literal["logodds", "prob", "value"] | None,
        typer.Option(
            help="The number that is explained: log2 odds, the probability (ism alone), or the value of an expression "
            "model; by default the model's own.",
            show_default=False,
            rich_help_panel=HOW,
        ),
    ] = None
    reference: Annotated[
        str,
        typer.Option(
            metavar="REF",
            help="What deeplift and ig compare an input with: shuffle:N (dinucleotide shuffles of it), uniform, zeros, "
            "frequencies (the model card's), A,C,G,T=.295,.205,.205,.295, or a FASTA of one sequence or of as many as "
            "there are inputs. The genome is -r.",
            rich_help_panel=HOW,
        ),
    ] = "shuffle:20"
    window: Annotated[
        Literal["fixed", "centred"] | None,
        typer.Option(
            help="ism: the window stays where it is (default for sequences), or moves along with the mutated base, as "
            "annotate --saturate does (default for intervals and variants).",
            show_default=False,
            rich_help_panel=HOW,
        ),
    ] = None
    span: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="ism: bases mutated on each side of the middle; by default those of a picture around an allele, else "
            "the whole window.",
            show_default=False,
            rich_help_panel=HOW,
        ),
    ] = None
    steps: Annotated[
        int, typer.Option(min=2, max=4096, metavar="N", help="ig: points on the way.", rich_help_panel=HOW)
    ] = 64
    blur: Annotated[
        float,
        typer.Option(
            min=0,
            max=1000,
            metavar="SIGMA",
            help="attention: blur, in cells of the mask.",
            rich_help_panel=HOW,
        ),
    ] = 2.0
    recurring: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="attention: also the N most frequent words under the mask.", rich_help_panel=HOW
        ),
    ] = 0
    start: Annotated[
        float,
        typer.Option(
            min=-1000,
            max=1000,
            metavar="X",
            help="maximise: the value of every base at the start.",
            rich_help_panel=HOW,
        ),
    ] = 0.025
    raw_gradient: Annotated[
        bool,
        typer.Option("--raw-gradient", help="gradient: leave the mean over the four bases in.", rich_help_panel=HOW),
    ] = False


OF_METHODS: dict[str, tuple[str, ...]] = {
    "reference": ("deeplift", "ig"),
    "window": ("ism",),
    "span": ("ism",),
    "steps": ("ig",),
    "blur": ("attention",),
    "recurring": ("attention",),
    "start": ("maximise",),
    "raw_gradient": ("gradient",),
}
"""Options of :class:`Manner` that are for some methods only"""


@dataclass(frozen=True)
class Showing:
    """What is written."""

    flank: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Bases that a picture shows on each side.", rich_help_panel=SHOWN),
    ] = 30
    hypothetical: Annotated[
        bool,
        typer.Option(
            "--hypothetical",
            help="scores.npz holds what any base would contribute, not only the one that is there.",
            rich_help_panel=SHOWN,
        ),
    ] = False
    motifs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Motifs (JASPAR or MEME): titles and alleles.tsv say which binding sites an allele breaks or makes, "
            "by the rules of annotate --motifs; what attention finds is compared with them.",
            show_default=False,
            rich_help_panel=SHOWN,
            callback=look_at_files,
        ),
    ] = None
    picture: Annotated[Literal["none", "svg", "png"], typer.Option(help="Pictures.", rich_help_panel=SHOWN)] = "svg"


Source = Annotated[
    str | None,
    typer.Argument(
        metavar="[SOURCE]",
        help="A FASTA, BED, VCF or BCF file, or one variant such as 'chr20:1000010 A>G'.",
        show_default=False,
    ),
]


@grouped
def explain(
    *,
    model: ModelName,
    output: OutputDir,
    source: Source = None,
    what: Explaining,
    how: Manner,
    shown: Showing,
    fitting: Fitting,
    computing: Computing,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Which bases make a prediction, or the effect of a variant: tables, arrays for motif discovery, and pictures.

    Of a variant REF and ALT are explained side by side, and the third row of the picture is their difference.
    """
    demand_free_folder(output, force)
    methods = dict.fromkeys(what.method or ["ism"])
    demand_subject(source, methods)
    demand_model(model, what.task or ())
    rules = fitting.rules()

    from varscore.cli.log import progress
    from varscore.engine.device import use_threads
    from varscore.interpret.explain import TOP, ExplainJob, explain_source
    from varscore.interpret.outputs import MARKER
    from varscore.storage.folders import refuse_existing_folder
    from varscore.zoo.models import find_model

    use_threads(computing.threads)
    refuse_existing_folder(str(output), MARKER, force=force)
    chosen = find_model(model)
    chosen.warn_of_interim()
    job = ExplainJob(
        chosen,
        methods=tuple(name for name in methods if name in BASES),
        whole=tuple(name for name in methods if name in WHOLE),
        tasks=tuple(what.task or ()),
        target=how.target,
        options=_options(how, chosen, seed),
        centred=None if how.window is None else how.window == "centred",
        span=how.span,
        flank=shown.flank,
        top=TOP if what.top is None else what.top or None,
        rules=rules,
        compute=computing.compute(),
    )
    warn_of_idle(how, methods)
    with ExitStack() as stack:
        genome = _open_genome(what.genome, source, stack)
        run = explain_source(job, source, genome, stack)
        folder = stack.enter_context(_folder(output, job, shown, genome, force))
        meter = stack.enter_context(progress(run.total, "inputs"))
        for result in run.results:
            folder.add(result, run.options)
            meter.advance(1)
        _write_whole(run, job, folder, how, shown)
        folder.finish(_facts(source, genome), run.alleles)
    _say(run, job, folder)


def _folder(output: Path, job: ExplainJob, shown: Showing, genome: Genome | None, force: bool) -> ExplainFolder:
    from varscore.interpret.outputs import ExplainFolder

    path, tasks, sites = str(output), job.model.tasks(), _sites(shown.motifs, job.model, genome)
    return ExplainFolder(
        path, job, tasks, sites=sites, force=force, hypothetical=shown.hypothetical, picture=shown.picture
    )


def demand_subject(source: str | None, methods: Iterable[str]) -> None:
    """Raises BadParameter when there is nothing to explain, InputError when it is no file."""
    needing = [method for method in methods if method != "maximise"]
    if source is None and needing:
        raise typer.BadParameter(f"{needing[0]} explains a FASTA, BED or VCF file, or a variant", param_hint="SOURCE")
    if source is not None:
        demand_source(source)


def warn_of_idle(how: Manner, methods: Iterable[str]) -> None:
    """Say which options were set for methods that were not asked for."""
    usual, asked = Manner(), set(methods)
    for name, takers in OF_METHODS.items():
        if getattr(how, name) != getattr(usual, name) and not asked & set(takers):
            log.warning("`%s` changes nothing: it is for --method %s", name, " or ".join(takers))


def _write_whole(run: Explanation, job: ExplainJob, folder: ExplainFolder, how: Manner, shown: Showing) -> None:
    """What is found for all sequences together, or for none."""
    from varscore.interpret.whole import Looking, attend, put_liked

    tasks = job.model.tasks()
    if "attention" in job.whole:
        looking = Looking(how.blur, how.recurring, shown.motifs)
        attend(folder.folder, run.pool, folder.codes, folder.names, run.tasks, looking, job.model.id, shown.picture)
    if "maximise" in job.whole:
        put_liked(folder.folder, run.pool, run.tasks, tasks, how.start, job.model.id, shown.picture)


def _sites(
    path: Path | None, model: ModelFolder, genome: Genome | None
) -> Callable[[AllelePair], list[MotifChange]] | None:
    """What an allele does to binding sites."""
    if path is None or genome is None:
        return None
    from varscore.annotate.motifs import MotifRules, MotifSearch
    from varscore.motifs.changes import motif_changes

    motifs = MotifSearch.open(path, model.path, MotifRules()).motifs
    return lambda pair: (
        [] if pair.affected else motif_changes(replace(pair.variant, contig=pair.contig), genome, motifs)
    )


def _options(how: Manner, model: ModelFolder, seed: int) -> Options:
    from varscore.interpret.methods import Options
    from varscore.interpret.references import parse_reference, read_reference

    reference = parse_reference(how.reference, model.card.frequencies) or read_reference(
        how.reference, model.config().window
    )
    return Options(reference=reference, steps=how.steps, raw=how.raw_gradient, seed=seed)


def _open_genome(given: Path | None, source: str | None, stack: ExitStack) -> Genome | None:
    """None for sequences."""
    if source is None:
        return None
    from varscore.cli.config import find_reference
    from varscore.genome.sequence import Genome
    from varscore.genome.spelling import is_variant
    from varscore.interpret.explain import kind_of

    kind = "variant" if not Path(source).exists() and is_variant(source) else kind_of(source)
    if kind == "fasta":
        return None
    return stack.enter_context(Genome(find_reference(given, source if kind == "variants" else "-")))


def _facts(source: str | None, genome: Genome | None) -> dict[str, str | None]:
    return {
        "source": source,
        "genome": genome.path.name if genome else None,
        "genome_sha256": genome.sha256 if genome else None,
    }


def _say(run: Explanation, job: ExplainJob, folder: ExplainFolder) -> None:
    """What became of the inputs, and whether integrated gradients had enough steps."""
    worst, n = folder.worst, len(folder.names)
    if run.alleles is None and n:
        log.info(f"{n:,} {'window' if n == 1 else 'windows'} explained")
    if folder.unknown:
        log.warning(f"{folder.unknown:,} of {n:,} windows are mostly N: there is little to explain")
    if run.alleles is not None and not run.alleles.statuses:
        log.warning("there is no allele in the file: nothing is explained")
    elif run.alleles is not None:
        counts = ", ".join(f"{count:,} {status}" for status, count in run.alleles.statuses.most_common())
        left = f"; {run.alleles.left_out:,} weaker ones left out (--top)" if run.alleles.left_out else ""
        what = "allele" if len(run.alleles.scored) == 1 else "alleles"
        log.info(f"{len(run.alleles.scored):,} {what} explained ({counts}){left}")
    if worst > 0.05:
        log.warning(
            f"integrated gradients miss up to {worst:.1%} of a difference; try --steps {2 * job.options.steps}, or "
            "--method deeplift, which is complete"
        )
