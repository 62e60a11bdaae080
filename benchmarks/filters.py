"""What the filters of bundled models are like, beside the published counts. Prints a Markdown table.

    python benchmarks/filters.py [MODEL ...] [--data DATA|FASTA] [--motifs FILE] [--sequences N] [--json FILE]

DanQ's authors found 166 of 320 filters like a known motif at E < .01, all of them in 118 clusters; of 700 filters of a
network with a projection 257 were like one at q < .01. The same counts are made of matrices whose columns are
shuffled: what is like a motif by composition alone. Without --data, windows around DNase
peaks of the training chromosomes are cut out of shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from varscore.engine.device import pick_device
from varscore.errors import UsageError
from varscore.formats.regions import read_bed
from varscore.genome.coords import window_start
from varscore.genome.sequence import UNKNOWN, Genome, decode
from varscore.interpret.motifs import Found, MotifOptions, discover
from varscore.motifs.tomtom import Targets, compare, smoothed
from varscore.zoo.models import find_model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
HELD_OUT = ("chr7", "chr8", "chr9")
WINDOW = 1000
MODELS = ("danq.hg19-207", "crnn-320-projection.hg19-207", "dilated.hg19-207")


def cut_sequences(path: Path, count: int, seed: int) -> None:
    """A FASTA of windows around DNase peaks, drawn over all tracks; known bases only."""
    random = np.random.default_rng(seed)
    tracks = sorted((DATA / "peaks" / "deepsea207").glob("*Dnase*.bed.gz"))
    chosen = [tracks[i] for i in random.choice(len(tracks), min(20, len(tracks)), replace=False)]
    peaks = [peak for track in chosen for peak in read_bed(str(track)) if peak.contig not in HELD_OUT]
    records: list[str] = []
    with Genome(DATA / "genome" / "hg19.masked.fa.gz") as genome:
        for number in random.permutation(len(peaks)).tolist():
            peak = peaks[number]
            start = window_start(peak.start, peak.end, WINDOW)
            codes = genome.codes(peak.contig, start, start + WINDOW)
            if not (codes == UNKNOWN).any():
                records.append(f">{peak.contig}:{start}\n{decode(codes).decode()}\n")
            if len(records) == count:
                break
    path.write_text("".join(records))


def shuffled(found: Found, seed: int) -> tuple[int, int]:
    """Filters that match at E and at q below the thresholds when the columns of each are in another order."""
    random = np.random.default_rng(seed)
    matrices = [random.permutation(smoothed(motif)) for motif in found.matrices]
    other = compare(matrices, Targets.of([smoothed(motif) for motif in found.targets]))
    by_chance = replace(found, comparison=other)
    return by_chance.matched_e, by_chance.matched_q


def figures(name: str, found: Found, seconds: float, seed: int) -> dict[str, Any]:
    chance_e, chance_q = shuffled(found, seed)
    row: dict[str, Any] = {
        "model": name,
        "filters": len(found.filters),
        "compared": len(found.matrices),
        "targets": len(found.targets),
        "sequences": found.sequences,
        "matched_e": found.matched_e,
        "matched_q": found.matched_q,
        "shuffled_e": chance_e,
        "shuffled_q": chance_q,
        "clusters": int(found.cluster.max()) + 1,
        "seconds": seconds,
    }
    for q in (found.options.projection_q, found.options.q):
        if (placed := found.placed(q)) is not None:
            row[f"projection_{q:g}"] = {"filters": len(placed.chosen), **vars(placed.pairs)}
    return row


def measure(name: str, data: Path, options: argparse.Namespace) -> dict[str, Any] | None:
    """None of a network without filters."""
    begin, wanted = time.process_time(), MotifOptions(sequences=options.sequences, seed=options.seed)
    try:
        found = discover(find_model(name), data, [options.motifs], wanted, pick_device(options.device))
    except UsageError as error:
        print(f"{name}: {error}")
        return None
    return figures(name, found, round(time.process_time() - begin, 1), options.seed)


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| model | filters | E < .01 | q < .01 | columns shuffled: E, q | clusters |",
        "|-|-|-|-|-|-|",
        "| DanQ, published | 320 | 166 | | | 118 |",
        "| with a projection, published | 700 | | 257 | | |",
    ]
    for row in rows:
        lines.append(
            f"| {row['model']} | {row['filters']} | {row['matched_e']} | {row['matched_q']} | "
            f"{row['shuffled_e']}, {row['shuffled_q']} | {row['clusters']} |"
        )
    lines += ["", "| projection of | filters | opposite strands | same strand | all others (sd) | p |", "|-|-|-|-|-|-|"]
    for row in rows:
        for key in (key for key in row if key.startswith("projection_")):
            pairs = row[key]
            lines.append(
                f"| {row['model']}, q < {key.removeprefix('projection_')} | {pairs['filters']} | "
                f"{pairs['opposite_cosine']:.3f} of {pairs['opposite']} | "
                f"{pairs['same_cosine']:.3f} of {pairs['same']} | "
                f"{pairs['other_cosine']:.3f} ({pairs['spread']:.3f}) | {pairs['p']:.2g} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS, help="ids or folders")
    parser.add_argument("--data", type=Path, help="a data set or FASTA")
    parser.add_argument(
        "--motifs", type=Path, default=DATA / "motifs" / "JASPAR2022_CORE_vertebrates_latest_versions.txt"
    )
    parser.add_argument("--sequences", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where all figures go")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    if not options.motifs.is_file() or not (options.data or DATA.is_dir()):
        print(f"no motifs or no data under {DATA}: left out")
        return
    with tempfile.TemporaryDirectory() as scratch:
        data = options.data or Path(scratch) / "sequences.fa"
        if options.data is None:
            cut_sequences(data, options.sequences, options.seed)
        rows = [row for name in options.models if (row := measure(name, data, options)) is not None]
    print(markdown(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
