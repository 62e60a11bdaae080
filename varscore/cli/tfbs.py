"""``varscore dataset tfbs`` and ``varscore train-tfbs``: transcription-factor binding sites."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli.groups import grouped
from varscore.cli.inputs import look_at_files, look_at_paths, look_at_references, look_at_sets
from varscore.cli.options import Force, OutputDir, Seed, parse_names
from varscore.cli.train import Training, run_study

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from varscore.datasets.examples import ExampleSet
    from varscore.datasets.tfbs import TfbsOptions
    from varscore.train.studies.study import Plan
    from varscore.train.studies.tfbs import Result

Seq = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|DIR",
        help="DeepBind's NAME_AC.seq.gz, with its NAME_B.seq.gz beside it for the test; or a folder of them, of "
        "which each becomes a data set DIR/NAME.",
        callback=look_at_paths,
    ),
]
Positives = Annotated[
    Path | None,
    typer.Option(
        metavar="FASTA",
        help="Bound sequences.",
        callback=look_at_files,
    ),
]
Negatives = Annotated[
    Path | None,
    typer.Option(
        metavar="FASTA",
        help="Sequences that are not bound.",
        callback=look_at_files,
    ),
]
TestPositives = Annotated[
    Path | None,
    typer.Option(
        metavar="FASTA",
        help="Bound sequences of the test.",
        callback=look_at_files,
    ),
]
TestNegatives = Annotated[
    Path | None,
    typer.Option(
        metavar="FASTA",
        help="Others of the test.",
        callback=look_at_files,
    ),
]
PeaksOption = Annotated[
    Path | None,
    typer.Option(
        metavar="BED",
        help="Peaks, BED or narrowPeak; wants --reference.",
        callback=look_at_files,
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option("--reference", "-r", metavar="FASTA", help="Genome the peaks are on.", callback=look_at_references),
]
NameOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Name of the task; by default the file's.", show_default=False)
]
Validation = Annotated[
    float, typer.Option(metavar="SHARE", help="Share of the examples outside the test split, drawn at random.")
]
TestShare = Annotated[
    float, typer.Option(metavar="SHARE", help="Share for the test where there are no test sequences.")
]
Test = Annotated[str, typer.Option(metavar="CHR,..", help="Chromosomes whose peaks are for the test.")]


def dataset_tfbs(
    output: OutputDir,
    seq: Seq = None,
    positives: Positives = None,
    negatives: Negatives = None,
    test_positives: TestPositives = None,
    test_negatives: TestNegatives = None,
    peaks: PeaksOption = None,
    reference: Reference = None,
    name: NameOption = None,
    window: Annotated[int, typer.Option(min=1, metavar="BP", help="Length of an example.")] = 101,
    validation: Validation = 0.1,
    test_share: TestShare = 0.2,
    test: Test = "chr8,chr9",
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Make examples of a factor's binding out of bound sequences (--seq or --positives) or --peaks.

    Where nothing unbound is given, each bound sequence gets a random one with the same dinucleotides and ends. Longer
    sequences are cut to their middle, shorter ones lie in the middle of unknown bases. What comes twice, on either
    strand, counts once; peaks that overlap are in one split.
    """
    from varscore.datasets.tfbs import TfbsOptions
    from varscore.errors import UsageError

    sources = {"--seq": seq, "--positives": positives, "--peaks": peaks}
    given = [option for option, path in sources.items() if path is not None]
    if len(given) != 1:
        raise UsageError("one source of sequences is wanted", remedy=f"one of {', '.join(sources)}")
    if (peaks is None) != (reference is None):
        raise UsageError("--peaks and --reference go together")
    if positives is None and any((negatives, test_positives, test_negatives)):
        raise UsageError("other FASTA files go with --positives")
    if test_negatives is not None and test_positives is None:
        raise UsageError("--test-negatives goes with --test-positives")
    options = TfbsOptions(window, validation, test_share, parse_names(test), seed)
    if seq is not None:
        _from_seq(seq, output, name, options, force)
    elif positives is not None:
        _from_fasta((positives, negatives, test_positives, test_negatives), output, name, options, force)
    elif peaks is not None and reference is not None:
        _from_peaks(peaks, reference, output, name, options, force)


def _from_seq(seq: Path, output: Path, name: str | None, options: TfbsOptions, force: bool) -> None:
    from varscore.datasets.examples import fresh_folder
    from varscore.datasets.tfbs import build_sequences, pairs_of, read_seq, test_file
    from varscore.errors import UsageError

    if seq.is_dir() and name:
        raise UsageError("--name is for one data set", remedy="leave it out with a folder")
    if seq.is_dir():
        pairs, alone = pairs_of(seq)
        jobs = {output / stem: (stem, *pair) for stem, pair in pairs.items()}
    else:
        stem, second = test_file(seq)
        jobs, alone = {output: (name or stem, seq, second)}, []
    for folder in jobs:
        fresh_folder(folder, force)
    for folder, (task, first, second) in jobs.items():
        files = [path for path in (first, second) if path]
        counts = build_sequences(task, read_seq(first), read_seq(second) if second else [], files, folder, options)
        _say(folder, counts)
    for stem in alone:
        typer.echo(f"{stem}: left out, it has no training sequences")


def _from_fasta(
    files: tuple[Path, Path | None, Path | None, Path | None],
    output: Path,
    name: str | None,
    options: TfbsOptions,
    force: bool,
) -> None:
    from varscore.datasets.examples import fresh_folder
    from varscore.datasets.tfbs import build_sequences, read_fastas

    fresh_folder(output, force)
    bound, unbound, test_bound, test_unbound = files
    test = read_fastas(test_bound, test_unbound) if test_bound else []
    sources = [path for path in files if path]
    task = name or bound.name.partition(".")[0]
    _say(output, build_sequences(task, read_fastas(bound, unbound), test, sources, output, options))


def _from_peaks(
    peaks: Path, reference: Path, output: Path, name: str | None, options: TfbsOptions, force: bool
) -> None:
    from varscore.datasets.examples import fresh_folder
    from varscore.datasets.tfbs import build_peaks
    from varscore.genome.sequence import Genome

    fresh_folder(output, force)
    with Genome(reference) as genome:
        _say(output, build_peaks(name or peaks.name.partition(".")[0], genome, peaks, output, options))


def _say(folder: Path, counts: dict[str, int]) -> None:
    typer.echo(f"{folder}: " + ", ".join(f"{n:,} {name}" for name, n in counts.items()))


@grouped
def train_tfbs(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="DATA",
            help="A data set of varscore dataset tfbs, or a folder of them.",
            callback=look_at_sets,
        ),
    ],
    output: OutputDir,
    training: Training,
    architecture: Annotated[
        str,
        typer.Argument(
            metavar="ARCH",
            help="Any architecture for windows of this length, or all: deepbind, deepmotif, attentionnet.",
        ),
    ] = "all",
    max_positives: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Train and validate with the first N positives of each data set, the strongest in DeepBind's files, "
            "and as large a share of its negatives; by default all.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option(help="Train the k-mer model, too. One of several processes in one folder is enough to do it."),
    ] = True,
    masks: Annotated[
        int, typer.Option(min=1, metavar="N", help="Save the attention masks of the N surest positives of the test.")
    ] = 16,
    masks_of: Annotated[
        Path | None,
        typer.Option(
            metavar="FASTA", help="Save the attention masks of these sequences instead.", callback=look_at_files
        ),
    ] = None,
) -> None:
    """Train networks that tell bound sequences from others, beside a k-mer model, and test them.

    Every run is a model DIR/SET/ARCH. tfbs.csv has a line a run; summary.csv, printed too, has mean and median AUC of
    each network and on which share of the data sets it beats each other one; tfbs.png shows the differences set by set.
    Called again, it goes on, and all that lies in DIR is in the tables. Networks with attention leave their mean mask
    over the positives of the test (attention_mean.tsv) and masks of single sequences (attention.tsv) beside the model.
    """
    from varscore.train.studies.tfbs import NETWORKS, FactorStudy, Looks, collect, limited, open_sets

    sets = [limited(each, max_positives) for each in open_sets(data)]
    plans = _plans(NETWORKS if architecture == "all" else (architecture,), training, baseline)
    looks = Looks(masks, _read_chosen(masks_of, sets) if masks_of else None)
    run_study(FactorStudy(plans, sets, looks), output, training)
    _print(collect(output))


def _plans(networks: tuple[str, ...], training: Training, baseline: bool) -> list[Plan]:
    """How each network is to be trained, and the k-mer model."""
    from varscore.errors import UsageError
    from varscore.train.studies.tfbs import BASELINE, BASELINE_RECIPE

    if len(networks) > 1 and training.init_from:
        raise UsageError("--init-from is for one network", remedy="name an architecture")
    plans = [training.plan(name) for name in networks]
    if baseline and BASELINE not in networks:
        plans.append(training.baseline().plan(BASELINE))
    return [
        replace(plan, overrides={**BASELINE_RECIPE, **plan.overrides}) if plan.architecture == BASELINE else plan
        for plan in plans
    ]


def _read_chosen(path: Path, sets: list[ExampleSet]) -> tuple[list[str], NDArray[np.uint8]]:
    """Names and codes of a FASTA's sequences, as long as the data sets' windows. Raises DataError."""
    import numpy as np

    from varscore.datasets.tfbs import fit, read_fastas
    from varscore.errors import DataError

    found, windows = read_fastas(path, None), {each.window for each in sets}
    if len(windows) > 1:
        raise DataError("the data sets have windows of different lengths", where=path, remedy="leave out --masks-of")
    window = windows.pop()
    return [each.name for each in found], np.stack([fit(each.codes, window) for each in found])


def _print(results: list[Result]) -> None:
    from varscore.cli.tables import print_table
    from varscore.train.studies.tfbs import by_network, summary

    rows = summary(results)
    columns = list(rows[0])
    if len({frozenset(aucs) for aucs in by_network(results).values()}) > 1:
        typer.echo("Not every network has been trained on every data set yet: means are of different sets.")
    print_table(columns, [list(row.values()) for row in rows], columns[1:])
