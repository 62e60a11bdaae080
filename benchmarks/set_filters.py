"""Do the filters of a network that was trained on one factor know that factor's motif? On every binding set at hand.

    python benchmarks/set_filters.py OUT [--sets DIR] [--motifs FILE] [--only GLOB] [--network ARCH] [--epochs N]

Trains DeepBind (16 filters of 24 bases, begun at random: what looks like a motif has been learnt) on each of DeepBind's
sets, makes matrices of its filters over the set's training sequences, and compares them with JASPAR. A set counts when
a filter is like a motif that bears the factor's name at q < .01. Beside it stands how many would count if factors
swapped names. OUT holds data sets, models and a row a set; the same command carries on. --minutes ends it, between two
sets, after so much CPU time.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from footprints import asked, data_set, factors_of

from varscore.datasets.examples import ExampleSet
from varscore.datasets.tfbs import pairs_of
from varscore.formats.motifs import read_motifs
from varscore.interpret.motifs import MotifOptions, discover
from varscore.storage.whole import put_file
from varscore.train.run import RunOptions
from varscore.train.studies.study import Plan, carry_out
from varscore.train.studies.tfbs import FactorStudy, limited
from varscore.zoo.models import ModelFolder, open_model


@dataclass(frozen=True)
class Row:
    """One set. compared: filters with sites; matched_e, matched_q: of them, like some motif at E, q < .01

    known: factors that some filter is like; best: the best match of any filter, which has the consensus
    """

    name: str
    model: str
    auroc: float
    filters: int
    compared: int
    matched_e: int
    matched_q: int
    best: str
    q: float
    consensus: str
    known: tuple[str, ...]

    @property
    def factor(self) -> str:
        return self.name.partition("_")[0].upper()


def examine(model: ModelFolder, data: ExampleSet, motifs: Path) -> Row:
    found = discover(model, data.folder, [motifs], MotifOptions(sequences=4000), torch.device("cpu"))
    q = found.comparison.q
    matrix, target = divmod(int(q.argmin()), q.shape[1])
    hits = np.flatnonzero((q < found.options.q).any(0)).tolist()
    known: set[str] = set().union(*(factors_of(found.targets[hit]) for hit in hits))
    return Row(
        name=data.folder.name,
        model=model.sha256,
        auroc=model.card.figures("test").get("auroc", float("nan")),
        filters=len(found.filters),
        compared=len(found.matrices),
        matched_e=found.matched_e,
        matched_q=found.matched_q,
        best=found.targets[target].name,
        q=float(q[matrix, target]),
        consensus=found.filters[int(found.index[matrix])].consensus,
        known=tuple(sorted(known)),
    )


def row_of(out: Path, data: ExampleSet, options: argparse.Namespace) -> Row:
    """Train the network, or carry on, and look at its filters."""
    study = FactorStudy([Plan(options.network, {"epochs": options.epochs})], [limited(data, options.max_positives)])
    carry_out(study, out / "study", RunOptions(seed=options.seed, pictures=False))
    model = open_model(out / "study" / data.folder.name / options.network)
    note = out / "filters" / f"{data.folder.name}.{options.network}.json"
    if note.exists() and (kept := json.loads(note.read_text()))["model"] == model.sha256:
        return Row(**{**kept, "known": tuple(kept["known"])})
    row = examine(model, data, options.motifs)
    note.parent.mkdir(exist_ok=True)
    put_file(note, json.dumps(asdict(row), indent=1) + "\n")
    return row


def markdown(rows: Sequence[Row], in_database: set[str], total: int) -> str:
    checked = [row for row in rows if row.factor in in_database]
    factors = sorted({row.factor for row in checked})
    own = sum(row.factor in row.known for row in checked)
    chance = sum(float(np.mean([f in row.known for f in factors if f != row.factor] or [0])) for row in checked)
    matched = [sum(getattr(row, name) for row in rows) for name in ("filters", "compared", "matched_e", "matched_q")]
    lines = [
        f"{len(rows)} of {total} sets",
        "",
        f"own motif among the filters: {own} of {len(checked)} sets whose factor JASPAR has; {chance:.1f} if names are "
        "swapped",
        "",
        f"of {matched[0]} filters {matched[1]} have sites, {matched[2]} are like a motif at E < .01, {matched[3]} at "
        "q < .01",
        "",
        "| set | AUC | filters with sites | E < .01 | q < .01 | best: filter, motif (q) | own |",
        "|-|-|-|-|-|-|-|",
    ]
    for row in sorted(rows, key=lambda row: row.name):
        own_motif = ("yes" if row.factor in row.known else "no") if row.factor in in_database else "not in JASPAR"
        lines.append(
            f"| {row.name} | {row.auroc:.3f} | {row.compared} | {row.matched_e} | {row.matched_q} | "
            f"{row.consensus}, {row.best} ({row.q:.2g}) | {own_motif} |"
        )
    return "\n".join(lines)


def main() -> None:
    options = asked(__doc__, 25, network={"default": "deepbind"})
    if options is None:
        return
    in_database: set[str] = set().union(*map(factors_of, read_motifs(options.motifs)))
    pairs, _ = pairs_of(options.sets)
    rows: list[Row] = []
    for name in sorted(pairs, key=lambda name: (name.partition("_")[0].upper() not in in_database, name)):
        if not fnmatch.fnmatch(name, options.only):
            continue
        if time.process_time() > 60 * options.minutes:
            print(f"{options.minutes:g} minutes are over: {name} and what follows is left for another time")
            break
        rows.append(row_of(options.out, data_set(pairs[name], options.out / "sets" / name), options))
        print(f"{name}: {rows[-1].best}; {time.process_time() / 60:.1f} CPU minutes", flush=True)
    print(markdown(rows, in_database, len(pairs)))


if __name__ == "__main__":
    main()
