"""How fast tracks are, and how well they find peaks: windows along the genome against the same windows one by one.

    python benchmarks/tracks.py [-r FASTA --region CHR:FROM-TO ...] [-m MODEL] [--tasks GLOB ...] [--peaks FOLDER]

Without a FASTA: a stretch of a random genome. peaks: a folder of peak files with its ``tracks.tsv``, as of
``dataset peaks``; then every 200-bp bin of the regions is asked for its window, as ``evaluate --bins all`` asks for it,
and for the track's value at its middle, and both are ranked against the peaks. One thread, CPU seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pybigtools
import torch
from windows import random_fasta

from varscore.annotate.job import choose_tasks
from varscore.datasets.peaks import BinOptions, find_tracks
from varscore.datasets.spans import covered, read_union
from varscore.engine.compute import Compute
from varscore.engine.plain import PlainEngine
from varscore.evaluate.metrics import score_task
from varscore.formats.regions import parse_regions
from varscore.genome.coords import Interval
from varscore.genome.sequence import UNKNOWN, Genome
from varscore.predict.flow import bed_batches, predict_batches
from varscore.predict.tracks import TracksJob, write_tracks
from varscore.zoo.models import ModelFolder, find_model

BINS = BinOptions()
STRETCH = 200_000


def known_bins(genome: Genome, regions: Sequence[Interval]) -> list[Interval]:
    """The bins of the training grid whose window lies in a region and has no N."""
    found = []
    for region in regions:
        first = -(-(region.start + BINS.flank) // BINS.bin) * BINS.bin
        for start in range(first, region.end - BINS.flank - BINS.bin + 1, BINS.bin):
            codes = genome.codes(region.contig, start - BINS.flank, start + BINS.bin + BINS.flank)
            if codes.max() != UNKNOWN:
                found.append(Interval(region.contig, start, start + BINS.bin))
    return found


def one_by_one(model: ModelFolder, genome: Genome, bins: Sequence[Interval], tasks: np.ndarray) -> np.ndarray:
    """What ``predict`` says of the window of every bin: float32 (bins, tasks)."""
    engine = PlainEngine(model.load().eval(), torch.device("cpu"), "fp32")
    contigs = {bin.contig: bin.contig for bin in bins}
    batches = bed_batches(bins, genome, contigs, engine.net.window, 1024)
    with torch.inference_mode():
        return np.concatenate([values[:, tasks] for _, values in predict_batches(engine, batches)])


def at_middles(path: Path, bins: Sequence[Interval]) -> np.ndarray:
    """The value of a track at the middle of every bin: float32 (bins,)."""
    track = pybigtools.open(str(path))
    values = np.full(len(bins), np.nan, np.float32)
    for contig in {bin.contig for bin in bins}:
        here = [row for row, bin in enumerate(bins) if bin.contig == contig]
        middles = np.array([(bins[row].start + bins[row].end) // 2 for row in here])
        start, end, value = (np.array(column) for column in zip(*track.records(contig), strict=True))
        place = np.searchsorted(start, middles, "right") - 1
        inside = (place >= 0) & (middles < end[place])
        values[here] = np.where(inside, value[place], np.nan)
    return values


def labels_of(path: Path, genome: Genome, bins: Sequence[Interval]) -> np.ndarray:
    """bool (bins,): whether more than half of a bin is under a peak."""
    union = read_union(path, genome)
    bases = np.zeros(len(bins), np.int64)
    for contig in {bin.contig for bin in bins} & {*union}:
        here = [row for row, bin in enumerate(bins) if bin.contig == contig]
        start = np.array([bins[row].start for row in here])
        bases[here] = covered(union[contig], start, start + BINS.bin)
    return 2 * bases > BINS.bin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-r", "--reference", type=Path)
    parser.add_argument("-m", "--model")
    parser.add_argument("--region", action="append", default=[])
    parser.add_argument("--tasks", action="append", default=[])
    parser.add_argument("--peaks", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = find_model(asked.model)
    tasks = choose_tasks(model.tasks(), asked.tasks or ["0", "1", "2"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = asked.reference or random_fasta(folder, STRETCH)
        with Genome(reference) as genome:
            regions = parse_regions(asked.region) or [Interval(next(iter(genome.contigs)), 0, STRETCH)]
            bins = known_bins(genome, regions)
            globs = tuple(str(model.tasks()[task].index) for task in tasks.tolist())
            job = TracksJob(
                model, reference, folder / "tracks", globs, tuple(regions), compute=Compute("cpu", threads=1)
            )
            begin = time.process_time()
            windows = write_tracks(job)
            along = time.process_time() - begin
            begin = time.process_time()
            alone = one_by_one(model, genome, bins, tasks)
            apart = time.process_time() - begin
            print(
                f"{model.id}: {windows:,} windows along {sum(map(len, regions)):,} bases, {len(bins):,} bins one by one"
            )
            print(f"windows a CPU-second: {windows / along:,.0f} along, {len(bins) / apart:,.0f} one by one\n")
            files = sorted((folder / "tracks").glob("*.bw"))
            found = np.stack([at_middles(path, bins) for path in files], 1)
            print(f"largest difference at the middles of bins: {np.nanmax(np.abs(found - alone)):.2g}\n")
            if asked.peaks is None:
                return
            peaks = find_tracks(asked.peaks)
            print("| task | bins under peaks | AUROC of windows | of the track |\n|-|-:|-:|-:|")
            for column, task in enumerate(tasks.tolist()):
                path = next(peak.path for peak in peaks if peak.task.name == model.tasks()[task].name)
                labels = labels_of(path, genome, bins)
                scores = (score_task(labels, values[:, column])[0] for values in (alone, found))
                print(f"| {model.tasks()[task].name} | {labels.sum():,} |", " | ".join(f"{s:.4f}" for s in scores), "|")


if __name__ == "__main__":
    main()
