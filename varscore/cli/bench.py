"""``varscore bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from varscore.cli.inputs import demand_free
from varscore.cli.options import Device, Force, Precision, Threads


def bench(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL|ARCH",
            help="A model's name or folder, or an architecture, which gets 919 tasks and random weights; by default "
            "the bundled model.",
            show_default=False,
        ),
    ] = None,
    variants: Annotated[
        int | None,
        typer.Option(
            min=3,
            metavar="N",
            help="Variants of each workload, which each of several processes does twice a round; by default 192 on a "
            "CPU and 12,288 on a GPU.",
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="Measure everything so often; medians count.")] = 3,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.md", help="Also write the table to a file.", show_default=False),
    ] = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    threads: Threads = None,
    force: Force = False,
) -> None:
    """Measure how fast variants are scored, against plain PyTorch, and print a Markdown table.

    Plain PyTorch is four full passes of one-hot DNA a variant, at the best of several batch sizes. The engine scores
    SNVs with one and three alternatives a site, and every SNV of a stretch of DNA. Both have the same CPU threads: the
    engine one process each, as in annotate, PyTorch all in one process, or also as many processes of one thread. With
    --precision the effect error says how far alt - ref is off, as a share of its usual size.
    """
    demand_free((output,), force)

    from varscore.bench import BenchJob, find_network, machine, measure, steps
    from varscore.cli import log
    from varscore.engine.device import pick_device, use_threads
    from varscore.storage.whole import put_file

    cpus = use_threads(threads)
    title, net = find_network(name)
    job = BenchJob(pick_device(device), precision, variants, rounds, cpus)
    with log.progress(steps(job), "measurements") as meter:
        result = measure(title, net, job, meter.advance)
    text = f"{machine(job)}\n\n{result.markdown()}"
    typer.echo(text)
    if output is not None:
        put_file(output, text + "\n")
