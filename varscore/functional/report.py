"""What ``train-snp`` writes beside the classifier: tables and pictures."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from varscore import pictures
from varscore.functional.assess import Calibration, Ranking
from varscore.functional.flow import ALL, HELD_OUT, Outcome, Tested, card_metrics, measures_row, rounded
from varscore.genome.coords import one_based
from varscore.pictures import COLOURS, standard
from varscore.scoring.features import class_of_features
from varscore.storage.whole import put_file, whole_file
from varscore.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

PREDICTIONS, TABLE, FIGURES, IMPORTANCE = "predictions.tsv", "metrics.csv", "metrics.json", "importance.csv"
_POINTS = 2000  # a curve in a picture has no more


def write_report(outcome: Outcome, tasks: Sequence[Task]) -> None:
    """``metrics.csv`` and ``.json``, ``predictions.tsv``, ``importance.csv`` and pictures, in the classifier's folder.

    Raises OutputError. Without matplotlib the pictures are left out, with a warning.
    """
    folder, tested = outcome.classifier.path, outcome.tested
    conservation = outcome.classifier.conservation
    without = outcome.classifier.without
    classes = class_shares(outcome.gains, tasks, conservation, without)
    put_file(folder / TABLE, _metrics_table(tested))
    put_file(folder / FIGURES, json.dumps(_figures(outcome, classes), indent=1) + "\n")
    put_file(folder / PREDICTIONS, _predictions(tested))
    put_file(folder / IMPORTANCE, _importance(outcome.gains, tasks, conservation, without))
    if importlib.util.find_spec("matplotlib") is None:
        log.warning("pictures left out: matplotlib is not installed (pip install matplotlib)")
        return
    _curves(folder, tested, outcome.classifier.id)
    _reliability(folder / "reliability.png", tested.calibration, outcome.classifier.id)
    _bars(folder / "importance.png", classes, outcome.classifier.id)


def class_shares(
    gains: NDArray[np.float64], tasks: Sequence[Task], conservation: Sequence[str], without: Sequence[int] = ()
) -> dict[str, float]:
    """Share of the total gain of each chromatin class in each block, such as ``diff DNase``, the largest first."""
    shares: dict[str, float] = {}
    features = class_of_features(tasks, conservation, without)
    for gain, (block, group, _) in zip(gains.tolist(), features, strict=True):
        name = group if block == group else f"{block} {group}"
        shares[name] = shares.get(name, 0.0) + gain
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _metrics_table(tested: Tested) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    head: list[str] | None = None
    for (name, group, model), measures in tested.measures.items():
        row = measures_row(measures)
        if head is None:
            head = ["set", "negatives_group", "model", *row]
            rows.writerow(head)
        rows.writerow([name, group, model, *row.values()])
    return text.getvalue()


def _figures(outcome: Outcome, classes: dict[str, float]) -> dict[str, object]:
    card, tested = outcome.classifier.card, outcome.tested
    calibration = tested.calibration
    bins = np.stack([calibration.predicted, calibration.observed, calibration.weight], 1).tolist()
    return {
        "classifier": outcome.classifier.id,
        "model": card["model"],
        "data": card["data"],
        "training": card["training"],
        "on_by_default": card["on_by_default"],
        **card_metrics(tested, card["model"]["id"]),
        "reliability": [
            {"predicted": rounded(p), "observed": rounded(o), "weight": rounded(w)} for p, o, w in bins if w > 0
        ],
        "gain": {name: rounded(share) for name, share in classes.items()},
    }


def _predictions(tested: Tested) -> str:
    variants = tested.selection.variants
    columns: dict[str, list[object]] = {
        "chrom": [variants.alleles.contigs[index] for index in variants.contig.tolist()],
        "pos": one_based(variants.start).tolist(),
        "ref": [variants.alleles.ref[row].decode() for row in range(len(variants))],
        "alt": [variants.alleles.alt[row].decode() for row in range(len(variants))],
        "label": tested.selection.label.astype(int).tolist(),
        "group": tested.selection.group.tolist(),
        "locus": tested.locus.tolist(),
        "fold": ["held-out" if fold == HELD_OUT else fold for fold in tested.fold.tolist()],
        "score": [f"{value:.6g}" for value in tested.scores.tolist()],
        "probability": [f"{value:.6g}" for value in tested.probability.tolist()],
    }
    if tested.baseline is not None:
        columns["baseline"] = [f"{value:.6g}" for value in tested.baseline.tolist()]
    text = io.StringIO()
    rows = csv.writer(text, delimiter="\t", lineterminator="\n")
    rows.writerow(columns)
    rows.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _importance(
    gains: NDArray[np.float64], tasks: Sequence[Task], conservation: Sequence[str], without: Sequence[int]
) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["feature", "block", "class", "gain"])
    features = class_of_features(tasks, conservation, without)
    for index in np.argsort(-gains, kind="stable").tolist():
        block, group, name = features[index]
        rows.writerow([name, block, group, f"{gains[index]:.6g}"])
    return text.getvalue()


# -- pictures --------------------------------------------------------------------------------------------------------


def _axes(width: float = 5.0, height: float = 5.0) -> Axes:
    from matplotlib.figure import Figure

    with standard():
        return Figure(figsize=(width, height), layout="constrained").subplots()


def _save(axes: Axes, path: Path) -> None:
    with whole_file(path) as file:
        pictures.paint(cast("Figure", axes.figure), file)


def _curves(folder: Path, tested: Tested, title: str) -> None:
    """ROC and precision-recall curves of the cross-validated predictions, one for each group of negatives."""
    roc, pr = _axes(), _axes()
    label, kept = tested.selection.label, tested.fold >= 0
    model = next(of for name, group, of in tested.measures)
    for group in [ALL, *tested.selection.groups] if len(tested.selection.groups) > 1 else [ALL]:
        found = tested.measures.get(("cross-validation", group, model))
        if found is None:
            continue
        here = kept & (label | (tested.selection.group == group)) if group != ALL else kept
        false, true, precision = Ranking(label[here], tested.scores[here]).curves()
        some = np.unique(np.linspace(0, len(false) - 1, _POINTS).astype(int))
        name = f"{group}: {found.positives:,} / {found.negatives:,}"
        roc.plot(np.append(0, false[some]), np.append(0, true[some]), label=f"{name}, {found.auroc}")
        pr.plot(true[some], precision[some], label=f"{name}, {found.auprc}")
    roc.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    roc.set(xlabel="false positive rate", ylabel="true positive rate", title=f"{title}: AUROC (95 % interval)")
    pr.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02), title=f"{title}: AUPRC (95 % interval)")
    for axes, name in ((roc, "roc.png"), (pr, "pr.png")):
        axes.legend(frameon=False, fontsize="small")
        _save(axes, folder / name)


def _reliability(path: Path, calibration: Calibration, title: str) -> None:
    axes = _axes()
    there = calibration.weight > 0
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.plot(calibration.predicted[there], calibration.observed[there], marker="o")
    axes.bar(np.arange(len(there)) / len(there) + 0.05, calibration.weight, 0.09, color="lightgrey", zorder=0)
    axes.set(xlabel="predicted probability", ylabel="share of positives, classes weighing the same")
    axes.set(title=f"{title}: Brier {calibration.brier.text(4)}, calibration error {calibration.ece:.3f}")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    _save(axes, path)


def _bars(path: Path, shares: dict[str, float], title: str) -> None:
    axes = _axes(6, 0.8 + 0.35 * len(shares))
    names = list(shares)[::-1]
    axes.barh(names, [shares[name] for name in names], color=COLOURS[0])
    axes.set(xlabel="share of the total gain", title=title)
    _save(axes, path)
