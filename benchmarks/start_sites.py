"""What a network makes of start sites: contributions, inputs it likes best, filters, and motifs that recur in them.

    python benchmarks/start_sites.py OUT [--data DATA] [--model MODEL] [--motifs FILE] [--json FILE]

Without DATA a data set of the CAGE peaks in shared/data beside the checkout is made in OUT, without MODEL one is
trained on it with its own recipe (minutes); the same command carries on. Prints Markdown:

- mean sizes of DeepLIFT contributions in the TATA box, in the centre and elsewhere, of sharp and of broad test sites,
  and the positions where they are largest (the thesis's figure 24)
- the inputs that the network likes best (figure 23), and how much of G and C they and the box have
- what the filters of the first layer are like (figure 22)
- motifs that recur in sharp and in broad sites, against shuffles of them and against background, and where (table 11)
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from varscore.datasets.examples import ExampleSet
from varscore.datasets.tss import BACKGROUND, BROAD, SHARP, TssOptions, build_tss
from varscore.engine.plain import PlainEngine
from varscore.formats.motifs import read_motifs
from varscore.genome.sequence import Genome
from varscore.interpret.gradients import deeplift
from varscore.interpret.maximise import maximise
from varscore.interpret.motifs import MotifOptions, discover
from varscore.interpret.profile import Profile
from varscore.interpret.recurring import shuffles
from varscore.interpret.references import parse_reference
from varscore.motifs.recurring import recurring
from varscore.motifs.tomtom import Targets, compare, smoothed
from varscore.nets import find
from varscore.train.run import RunOptions, train_model
from varscore.train.studies.tss import SAFE
from varscore.zoo.models import ModelFolder, find_model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MOTIFS = DATA / "motifs" / "JASPAR2022_CORE_vertebrates_latest_versions.txt"
CLASSES = {"sharp": SHARP, "broad": BROAD}
STEP = 10
CONTROL = 3000
"""Sequences of background that recurring motifs are held against"""


def data_set(folder: Path) -> ExampleSet:
    if not (folder / "dataset.json").exists():
        tables = [DATA / "tss" / f"human_{name}Table.txt.gz" for name in ("tss", "p1p2")]
        with Genome(DATA / "genome" / "hg19.masked.fa.gz") as genome:
            build_tss(genome, tables, folder, TssOptions())
    return ExampleSet(folder)


def windows(data: ExampleSet, split: str, task: int) -> np.ndarray:
    """uint8 (n, window): the examples of a class."""
    rows = data.rows(split)
    return np.ascontiguousarray(data.windows(rows[data.labels(rows)[:, task] > 0]))


def profiles(model: ModelFolder, engine: PlainEngine, data: ExampleSet) -> dict[str, Any]:
    """Mean sizes of contributions to a class at each position of its test sites, and the base that counts most."""
    reference, found = parse_reference("frequencies", model.card.frequencies), {}
    assert reference is not None
    for name, task in CLASSES.items():
        profile, tasks, miss = Profile(), np.array([task]), 0.0
        for number, codes in enumerate(windows(data, "test", task)):
            one = deeplift(engine, codes, tasks, reference, number, 0)
            profile.add("deeplift", task, codes, one.scores[0])
            miss = max(miss, float(one.miss[0]))
        key = ("deeplift", task)
        seen = np.maximum(profile.counts[key].sum(0), 1)
        size, best = profile.sizes[key].sum(0) / seen, profile.mean(key).argmax(0)
        at = np.arange(data.window) - data.window // 2
        inside = {region: (at >= first) & (at <= last) for region, (first, last) in SAFE.items() if region != "both"}
        rest = ~np.logical_or.reduce(list(inside.values()))
        top = sorted(np.argsort(-size)[:12].tolist())
        found[name] = {
            "windows": int(profile.counts[key].sum(0).max()),
            "miss": miss,
            **{region: float(size[where].mean()) for region, where in {**inside, "elsewhere": rest}.items()},
            "largest": [f"{'ACGT'[best[i]]}{at[i]:+d}" for i in top],
        }
    return found


def liked(engine: PlainEngine) -> dict[str, Any]:
    """The input that a class's output is largest for, by the thesis's steps; letters are the largest base of each."""
    found = {}
    for name, task in CLASSES.items():
        one = maximise(engine, task)
        letters = "".join("ACGT"[base] for base in one.scores.argmax(0))
        middle = len(letters) // 2
        box = letters[middle - 40 : middle - 15]
        loud = one.shown.any(0)
        share = np.mean([letter in "GC" for letter, is_loud in zip(letters, loud, strict=True) if is_loud] or [np.nan])
        found[name] = {
            "start": one.start,
            "final": one.final,
            "box": box,
            "centre": letters[middle - 10 : middle + 11],
            "gc_of_loud": float(share),
        }
    return found


def filters_of(model: ModelFolder, data: Path, motifs: Path) -> dict[str, Any]:
    found = discover(model, data, [motifs], MotifOptions(sequences=4000), torch.device("cpu"))
    rows = []
    for index, motif in enumerate(found.matrices):
        target = int(found.best[index])
        q = float(found.comparison.q[index, target])
        one = found.filters[int(found.index[index])]
        rows.append([motif.id, one.consensus, one.sites, found.targets[target].name, q])
    counts = {"filters": len(found.filters), "matched_e": found.matched_e, "matched_q": found.matched_q}
    return {**counts, "rows": sorted(rows, key=lambda row: row[4])}


def recur(data: ExampleSet, motifs: Path, seed: int) -> list[dict[str, Any]]:
    """Motifs of sharp and of broad sites, of all splits: no network is judged by them."""
    targets = read_motifs(motifs)
    made = Targets.of([smoothed(motif) for motif in targets])
    random = np.random.default_rng(seed)
    background = windows(data, "all", BACKGROUND)
    background = background[np.sort(random.choice(len(background), min(CONTROL, len(background)), replace=False))]
    rows = []
    for name, task in CLASSES.items():
        first = windows(data, "all", task)
        for against, other in (("shuffles", shuffles(first, seed)), ("background", background)):
            for one in recurring(first, other, number=8, both_strands=False, seed=seed):
                compared = compare([smoothed(one.motif)], made)
                best = int(compared.p[0].argmin())
                mine, n, theirs, m = one.hits
                middle = one.positions(one.first, data.window)
                edges = np.arange(-data.window // 2, data.window // 2 + 1, STEP)
                counts = np.histogram(middle, edges)[0]
                rows.append(
                    {
                        "class": name,
                        "against": against,
                        "motif": one.motif.name,
                        "like": targets[best].name,
                        "E": float(compared.e[0, best]),
                        "share": mine / n,
                        "control": theirs / m,
                        "p": one.p,
                        "median": float(np.median(middle)),
                        "peak": int(edges[counts.argmax()]),
                        "peak_times": float(counts.max() / max(np.median(counts), 1)),
                        "profile": (counts / n).tolist(),
                    }
                )
    return rows


def markdown(found: dict[str, Any]) -> str:
    lines = ["| contributions to | sites | TATA box | centre | elsewhere | largest at |", "|-|-|-|-|-|-|"]
    for name, row in found["profiles"].items():
        sizes = " | ".join(f"{row[region]:.3f}" for region in ("tata", "center", "elsewhere"))
        lines.append(f"| {name} | {row['windows']} | {sizes} | {' '.join(row['largest'])} |")
    lines += ["", "| liked best | output | -40 .. -16 | -10 .. +10 | G and C of the largest 15 % |", "|-|-|-|-|-|"]
    for name, row in found["liked"].items():
        rise = f"{row['start']:.2f} to {row['final']:.2f}"
        lines.append(f"| {name} | {rise} | {row['box']} | {row['centre']} | {row['gc_of_loud']:.0%} |")
    part = found["filters"]
    counts = f"{part['matched_e']} match at E < .01, {part['matched_q']} at q < .01"
    lines += ["", f"Of {part['filters']} filters {counts}", ""]
    lines += ["| filter | consensus | sites | best match | q |", "|-|-|-|-|-|"]
    lines += [f"| {row[0]} | {row[1]} | {row[2]} | {row[3]} | {row[4]:.2g} |" for row in part["rows"]]
    lines += [
        "",
        "| recur in | against | motif | like (E) | with it | control | p | median | most at, times the median |",
    ]
    lines += ["|-|-|-|-|-|-|-|-|-|"]
    for row in found["recurring"]:
        cells = (
            row["class"],
            row["against"],
            row["motif"],
            f"{row['like']} ({row['E']:.2g})",
            f"{row['share']:.0%}",
            f"{row['control']:.0%}",
            f"{row['p']:.2g}",
            f"{row['median']:+.0f}",
            f"{row['peak']:+d}, {row['peak_times']:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, help="a data set of varscore dataset tss")
    parser.add_argument("--model", help="a network of whole windows, trained on its training split")
    parser.add_argument("--motifs", type=Path, default=MOTIFS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where all figures go")
    options = parser.parse_args()
    if not options.motifs.is_file() or not (options.data or (DATA / "tss").is_dir()):
        print(f"no motifs or no start sites under {DATA}: left out")
        return
    data = ExampleSet(options.data) if options.data else data_set(options.out / "data")
    if options.model:
        model = find_model(options.model)
    else:
        recipe = find("tss").recipe
        model = train_model(
            "tss",
            data,
            options.out / "model",
            recipe=recipe,
            arguments={},
            options=RunOptions(seed=options.seed, pictures=False),
        )
    net = model.load()
    net.eval()
    engine, begin = PlainEngine(net, torch.device("cpu")), time.process_time()
    found = {
        "model": model.sha256,
        "profiles": profiles(model, engine, data),
        "liked": liked(engine),
        "filters": filters_of(model, data.folder, options.motifs),
        "recurring": recur(data, options.motifs, options.seed),
    }
    print(markdown(found))
    print(f"\n{time.process_time() - begin:.0f} CPU s")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
