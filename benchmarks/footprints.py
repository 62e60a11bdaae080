"""Where AttentionNet looks in sequences that a factor binds, and whether what stands there is the factor's motif.

    python benchmarks/footprints.py OUT [--sets DIR] [--motifs FILE] [--only GLOB] [--max-positives N] [--epochs N]

Trains AttentionNet on every set of DeepBind's that lies in DIR (`*_AC.seq.gz`, by default shared/data/tfbs101 beside
the checkout), each with its own test sequences, and asks of the bound ones of the test what the paper asked: of the 100
highest predictions the 10 bases around the mask's maximum, put together, held against JASPAR at q < .5. A motif is
*correct* if one of the matches bears the factor's name. Authors: 30 of 57 factors correct, 39 like some factor, 42
correct with the three most frequent words.

Beside it stand what comes by chance: how many would be correct if factors swapped names, and if the 10 bases stood
anywhere in the same 100 sequences. OUT holds data sets, models and a row a set; the same command carries on after a
kill, and a larger --epochs carries every model on. --minutes ends it, between two sets, after so much CPU time.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from varscore.datasets.examples import ExampleSet
from varscore.datasets.tfbs import TfbsOptions, build_sequences, pairs_of, read_seq
from varscore.engine.plain import PlainEngine
from varscore.formats.motifs import Motif, read_motifs
from varscore.interpret import attention
from varscore.interpret.attention import Footprints
from varscore.motifs.tomtom import Targets, compare, smoothed
from varscore.storage.whole import put_file
from varscore.train.run import RunOptions
from varscore.train.studies.study import Plan, carry_out
from varscore.train.studies.tfbs import FactorStudy, limited
from varscore.zoo.models import ModelFolder, open_model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MOTIFS = DATA / "motifs" / "JASPAR2022_CORE_vertebrates_latest_versions.txt"
NETWORK, Q, WORDS = "attentionnet", 0.5, 3
MIDDLE = 10
"""Bases on either side of a sequence's middle, where its peak has its summit"""


@dataclass(frozen=True)
class Row:
    """One set. matched: factors that the motif is like at q < .5; with_words: those that it or a frequent word is like;
    anywhere: those that bases at random places of the same sequences are like

    peak, at: the mean mask's largest value over a flat mask's, and where it stands from the middle; middle: share of
    the mask within 10 bases of it; unbound: the same of unbound sequences
    """

    name: str
    model: str
    epochs: int
    auroc: float
    consensus: str
    best: str
    q: float
    words: tuple[str, ...]
    matched: tuple[str, ...]
    with_words: tuple[str, ...]
    anywhere: tuple[str, ...]
    peak: float
    at: int
    middle: float
    unbound: float

    @property
    def factor(self) -> str:
        return self.name.partition("_")[0].upper()


def factors_of(motif: Motif) -> set[str]:
    """The factors that a motif's name names: ``MAX::MYC`` two, ``TFAP2A(var.2)`` one."""
    return {re.sub(r"\(VAR\.\d+\)", "", name.upper()) for name in motif.name.split("::")}


def like(queries: Sequence[Motif], targets: Sequence[Motif], made: Targets) -> tuple[set[str], str, float]:
    """The factors that any of the queries is like at q < .5, and the first query's best match with its q."""
    found = compare([smoothed(query) for query in queries], made)
    hits = np.flatnonzero((found.q < Q).any(0)).tolist()
    best = int(found.p[0].argmin())
    names = set().union(*(factors_of(targets[hit]) for hit in hits))
    return names, targets[best].name, float(found.q[0, best])


def anywhere(found: Footprints, codes: np.ndarray, seed: int) -> np.ndarray:
    """The bases at random places of the sequences whose sites make the motif: uint8 (100, 10)."""
    random = np.random.default_rng(seed)
    best = np.argsort(-found.predicted, kind="stable")[: attention.BEST]
    first = random.integers(0, codes.shape[1] - attention.WIDTH + 1, len(best))
    return np.asarray(codes[best[:, None], first[:, None] + np.arange(attention.WIDTH)])


def examine(model: ModelFolder, data: ExampleSet, targets: Sequence[Motif], made: Targets, seed: int) -> Row:
    net = model.load()
    rows = data.rows("test")
    bound = data.labels(rows).any(1)
    engine, task = PlainEngine(net, torch.device("cpu")), np.zeros(1, np.int64)
    codes, others = (np.ascontiguousarray(data.windows(rows[chosen])) for chosen in (bound, ~bound))
    found = attention.footprints(engine, codes, task)
    motif = attention.motif_of(attention.sites(found, codes), "attention")
    words = [word for word, _ in attention.recurring(codes, found, WORDS)]
    queries = [motif, *(attention.word_motif(word, word, 1) for word in words)]
    matched, best, q = like(queries[:1], targets, made)
    by_chance = attention.motif_of(anywhere(found, codes, seed), "anywhere")
    mean = found.mean
    near = np.abs(found.middles - data.window // 2) <= MIDDLE
    elsewhere = attention.footprints(engine, others, task).mean
    return Row(
        name=data.folder.name,
        model=model.sha256,
        epochs=model.card.epochs,
        auroc=model.card.figures("test").get("auroc", float("nan")),
        consensus=attention.consensus(motif),
        best=best,
        q=q,
        words=tuple(words),
        matched=tuple(sorted(matched)),
        with_words=tuple(sorted(matched | like(queries[1:], targets, made)[0])) if words else tuple(sorted(matched)),
        anywhere=tuple(sorted(like([by_chance], targets, made)[0])),
        peak=float(mean.max() * len(mean)),
        at=int(found.middles[mean.argmax()] - data.window // 2),
        middle=float(mean[near].sum()),
        unbound=float(elsewhere[near].sum()),
    )


def data_set(files: tuple[Path, Path | None], folder: Path) -> ExampleSet:
    if not (folder / "dataset.json").exists():
        first, second = files
        sources = [path for path in files if path]
        test = read_seq(second) if second else []
        build_sequences(folder.name, read_seq(first), test, sources, folder, TfbsOptions())
    return ExampleSet(folder)


def row_of(out: Path, data: ExampleSet, targets: Sequence[Motif], made: Targets, options: argparse.Namespace) -> Row:
    """Train the network, or carry on, and look where it looks."""
    overrides = {"epochs": options.epochs, "batch_size": 25}
    study = FactorStudy([Plan(NETWORK, overrides)], [limited(data, options.max_positives)])
    run = RunOptions(seed=options.seed, precision=options.precision, pictures=False)
    carry_out(study, out / "study", run)
    model = open_model(out / "study" / data.folder.name / NETWORK)
    note = out / "rows" / f"{data.folder.name}.json"
    if (row := read_row(note)) is None or row.model != model.sha256:
        row = examine(model, data, targets, made, options.seed)
        note.parent.mkdir(exist_ok=True)
        put_file(note, json.dumps(asdict(row), indent=1) + "\n")
    return row


def read_row(path: Path) -> Row | None:
    if not path.exists():
        return None
    return Row(**{name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(path.read_text()).items()})


def swapped(rows: Sequence[Row], column: str) -> float:
    """How many would be correct on average if factors swapped names with those of other factors."""
    factors = sorted({row.factor for row in rows})
    shares = [np.mean([f in getattr(row, column) for f in factors if f != row.factor] or [0]) for row in rows]
    return float(np.sum(shares))


def summary(rows: Sequence[Row], known: set[str]) -> list[str]:
    """Counts beside the published ones; only factors that the motif file knows can be correct."""
    checked = [row for row in rows if row.factor in known]
    lines = ["| of sets whose factor JASPAR has | here | if names are swapped | published |", "|-|-|-|-|"]
    for words, column, stated in (
        ("motif correct", "matched", "30 of 57"),
        ("motif or one of 3 words correct", "with_words", "42 of 57"),
        ("10 bases anywhere: correct", "anywhere", ""),
    ):
        correct = sum(row.factor in getattr(row, column) for row in checked)
        lines.append(f"| {words} | {correct} of {len(checked)} | {swapped(checked, column):.1f} | {stated} |")
    for words, column, stated in (("motif like some factor", "matched", "39 of 57"), ("anywhere", "anywhere", "")):
        lines.append(
            f"| {words} | {sum(bool(getattr(row, column)) for row in checked)} of {len(checked)} | | {stated} |"
        )
    return lines


def markdown(rows: Sequence[Row], known: set[str], total: int) -> str:
    lines = [f"{len(rows)} of {total} sets", "", *summary(rows, known), ""]
    lines += ["| set | AUC | bases under the mask | best match (q) | correct | peak, at | middle: bound, unbound |"]
    lines += ["|-|-|-|-|-|-|-|"]
    for row in sorted(rows, key=lambda row: row.name):
        found = "yes" if row.factor in row.matched else "by a word" if row.factor in row.with_words else "no"
        lines.append(
            f"| {row.name} | {row.auroc:.3f} | {row.consensus} | {row.best} ({row.q:.2g}) | "
            f"{found if row.factor in known else 'not in JASPAR'} | {row.peak:.1f}, {row.at:+d} | "
            f"{row.middle:.2f}, {row.unbound:.2f} |"
        )
    return "\n".join(lines)


def asked(description: str | None, epochs: int, **further: Mapping[str, Any]) -> argparse.Namespace | None:
    """The options of a benchmark on binding sets; None, which is said, where sets or motifs are not at hand.

    further: name of an option of its own -> what argparse is told of it
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", type=Path, default=DATA / "tfbs101")
    parser.add_argument("--motifs", type=Path, default=MOTIFS)
    parser.add_argument("--only", default="*", help="names of sets, with * and ?")
    parser.add_argument("--max-positives", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of CPU time")
    parser.add_argument("--seed", type=int, default=0)
    for name, settings in further.items():
        parser.add_argument(f"--{name}", **settings)
    options = parser.parse_args()
    if options.sets.is_dir() and options.motifs.is_file():
        return options
    print(f"no sets in {options.sets}, or no motifs: left out")
    return None


def main() -> None:
    options = asked(__doc__, 6, precision={"choices": ["fp32", "bf16"], "default": "fp32"})
    if options is None:
        return
    targets = read_motifs(options.motifs)
    made = Targets.of([smoothed(motif) for motif in targets])
    known = set().union(*map(factors_of, targets))
    pairs, _ = pairs_of(options.sets)
    rows: list[Row] = []
    # those that can be right or wrong first
    for name in sorted(pairs, key=lambda name: (name.partition("_")[0].upper() not in known, name)):
        if not fnmatch.fnmatch(name, options.only):
            continue
        if time.process_time() > 60 * options.minutes:
            print(f"{options.minutes:g} minutes are over: {name} and what follows is left for another time")
            break
        rows.append(row_of(options.out, data_set(pairs[name], options.out / "sets" / name), targets, made, options))
        print(
            f"{name}: {rows[-1].consensus}, like {rows[-1].best}; {time.process_time() / 60:.1f} CPU minutes",
            flush=True,
        )
    print(markdown(rows, known, len(pairs)))


if __name__ == "__main__":
    main()
