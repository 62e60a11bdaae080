"""``varscore predict``."""

from __future__ import annotations

from typing import Annotated

import typer

from varscore.cli.options import AutoBatchSize, Device, Force, OutputFile, Precision, Reference, Threads


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name or folder.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="FASTA|BED",
            help="Sequences, plain or gzipped (- is stdin), or intervals of the genome that -r names.",
        ),
    ],
    output: OutputFile,
    reference: Reference = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only tasks whose name fits, such as 'K562*'; repeatable."),
    ] = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    threads: Threads = None,
    batch_size: AutoBatchSize = None,
    force: Force = False,
) -> None:
    """Predict every task of given sequences, as .tsv, .tsv.gz or .parquet: its probability, or its value.

    Most models predict both strands and give the mean, DeepBind's the larger; start sites and expression are predicted
    as a sequence stands, in the direction of transcription (for a BED interval: on the forward strand).
    A sequence as long as the model's window is taken as it is; a shorter one is centred and padded with N, a longer one
    cut to its middle. For a BED interval it is the window around its middle: base (start + end) // 2 at window // 2.
    """
    from varscore.cli import log
    from varscore.cli.config import find_reference
    from varscore.engine.device import use_threads
    from varscore.formats.fasta import looks_like_fasta
    from varscore.formats.regions import read_bed
    from varscore.genome.sequence import Genome
    from varscore.predict.flow import PredictJob, predict_fasta, predict_intervals
    from varscore.storage.atomic import refuse_existing
    from varscore.storage.outputs import check_names, with_indexes
    from varscore.zoo.models import find_model

    use_threads(threads)
    refuse_existing(str(output), force=force)
    chosen = find_model(model)
    chosen.warn_of_interim()
    check_names([str(output)], [*with_indexes(source, *([str(reference)] if reference else [])), *chosen.files])
    job = PredictJob(
        chosen, str(output), tuple(tasks or ()), device=device, precision=precision, batch_size=batch_size,
        force=force,
    )  # fmt: skip
    if source == "-" or looks_like_fasta(source):
        with log.progress(None, "sequences") as meter:
            predict_fasta(job, source, meter.advance)
        return
    intervals = read_bed(source)
    with Genome(find_reference(reference, "-")) as genome, log.progress(len(intervals), "intervals") as meter:
        predict_intervals(job, intervals, genome, meter.advance)
