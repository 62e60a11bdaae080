"""``varscore train-snp``: variants of two classes in, a classifier's folder and what is known of it out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore import __version__
from varscore.engine.compute import Compute
from varscore.errors import DataError, UsageError
from varscore.functional.assess import Calibration, Interval, Measures, assess, calibrate
from varscore.functional.crossval import LOCUS, assign_folds, loci
from varscore.functional.scoring import features_of
from varscore.functional.selection import Selection, Sources, select
from varscore.functional.trees import Settings, fit
from varscore.genome.contigs import match_contigs
from varscore.genome.sequence import Genome
from varscore.scoring.classifier import CONSTANT_BRIER, Classifier, Ensemble, off_because, save_classifier
from varscore.scoring.features import Tracks
from varscore.scoring.platt import calibrate_folds
from varscore.storage.atomic import is_stream, refuse_existing
from varscore.storage.digest import file_sha256
from varscore.zoo.card import CARD
from varscore.zoo.models import ModelFolder, demand_odds

log = logging.getLogger(__name__)

ALL = "all"
HEAD = ("format", "kind", "id", "files", "on_by_default", "off_because")
OWN = {*HEAD, "model", "features", "data", "training", "metrics", "calibration"}
"""Entries of the card that are not ``about``'s"""
HELD_OUT = -1
"""The fold of variants on chromosomes that are held out"""


@dataclass(frozen=True)
class SnpJob:
    """Everything ``train-snp`` is asked to do.

    group_by: ``locus``, ``chrom`` or ``none``; locus: bp; hold_out: chromosomes that are only tested on
    baseline: a second model, whose features are cross-validated beside; about: what else the card is to say
    """

    output: Path
    reference: Path
    model: ModelFolder
    sources: Sources
    tracks: Tracks = field(default_factory=Tracks)
    settings: Settings = field(default_factory=Settings)
    compute: Compute = field(default_factory=Compute)
    group_by: str = "locus"
    locus: int = LOCUS
    folds: int = 10
    hold_out: tuple[str, ...] = ()
    baseline: ModelFolder | None = None
    about: Mapping[str, object] = field(default_factory=dict)
    command: str = ""
    cache: Path | None = None
    """Of effects, see open_cache"""
    force: bool = False

    def check(self) -> None:
        """Raises OutputExists when the folder has a classifier that must not be replaced, UsageError for ``about`` and
        for models of values."""
        refuse_existing(str(self.output / CARD), force=self.force)
        demand_odds(self.model, "classifier")
        if self.baseline is not None:
            demand_odds(self.baseline, "classifier")
        if own := sorted(OWN & self.about.keys()):
            raise UsageError(f"`about` cannot say {', '.join(own)}", cause="train-snp does")
        if self.baseline is not None and self.baseline.config().window != self.model.config().window:
            raise UsageError("the baseline model reads windows of another length", where=self.baseline.path)


@dataclass(frozen=True)
class Tested:
    """Predictions for variants that were not trained on, and what they are worth.

    fold: int64 (n,), HELD_OUT where held out; scores: float32 (n,), log-odds, as trees have them; probability: float32
    (n,), calibrated on other folds; baseline: float32 (n,), its scores
    measures: (``cross-validation`` or ``hold-out``, group, model) -> measures; differences in AUROC to the baseline
    """

    selection: Selection
    locus: NDArray[np.int64]
    fold: NDArray[np.int64]
    scores: NDArray[np.float32]
    probability: NDArray[np.float32]
    baseline: NDArray[np.float32] | None
    measures: dict[tuple[str, str, str], Measures]
    differences: dict[tuple[str, str], Interval]
    calibration: Calibration


@dataclass(frozen=True)
class Outcome:
    classifier: Classifier
    tested: Tested
    gains: NDArray[np.float64]
    """Share of the total gain of each feature, float64 (width,)"""


def train_classifier(job: SnpJob, advance: Callable[[int], None] = lambda n: None) -> Outcome:
    """Select, score, cross-validate, train, save. ``advance`` is told of variants scored.

    Raises the errors of :mod:`varscore.errors`.
    """
    job.check()
    with Genome(job.reference) as genome:
        job.tracks.fit(genome)
        selection = select(job.sources, genome, job.model.config().window, job.settings.seed)
        held = _held_out(job.hold_out, selection, genome)
        features = features_of(selection.variants, job.model, genome, job.tracks, job.compute, advance, job.cache)
        job.tracks.warn_of_missing()
        other = None
        if job.baseline is not None:
            other = features_of(selection.variants, job.baseline, genome, Tracks(), job.compute, advance, job.cache)
        reference = {"name": genome.path.name, "sha256": genome.sha256}
    tested, ensemble = _test_and_train(job, selection, held, features, other)
    facts = {**job.about, **_facts(job, tested, reference)}
    return Outcome(save_classifier(job.output, ensemble, facts), tested, ensemble.gains())


def cross_validate(
    features: NDArray[np.float32],
    label: NDArray[np.bool_],
    fold: NDArray[np.int64],
    conservation: Sequence[str],
    settings: Settings,
) -> NDArray[np.float32]:
    """The score of each variant, log-odds, from trees that its fold had no part in: float32 (n,).

    features: float32 (n, width), raw; label: bool (n,); fold: int64 (n,), those below 0 take no part (NaN)
    """
    out = np.full(len(label), np.nan, np.float32)
    for test in range(fold.max() + 1):
        train, here = (fold != test) & (fold >= 0), fold == test
        out[here] = fit(features[train], label[train], conservation, settings).scores(features[here])
    return out


def _test_and_train(
    job: SnpJob,
    selection: Selection,
    held: NDArray[np.bool_],
    features: NDArray[np.float32],
    other: NDArray[np.float32] | None,
) -> tuple[Tested, Ensemble]:
    label, names, settings = selection.label, job.tracks.names, job.settings
    if len(np.unique(label[~held])) < 2:
        raise DataError("only one class is left to train on", cause="the other is held out or cannot be scored")
    locus = loci(selection.variants.contig, selection.variants.start, job.locus)
    clusters = {"locus": locus, "chrom": selection.variants.contig.astype(np.int64), "none": np.arange(len(label))}
    groups = clusters[job.group_by]
    fold = np.full(len(label), HELD_OUT)
    fold[~held] = assign_folds(groups[~held], label[~held], job.folds, settings.seed)
    if fold.max() + 1 < job.folds:
        log.warning("%d folds instead of %d: there are no more groups to keep together", fold.max() + 1, job.folds)
    trees = fit(features[~held], label[~held], names, settings)
    scores = cross_validate(features, label, fold, names, settings)
    probability, platt = calibrate_folds(scores, label, fold)
    scores[held] = trees.scores(features[held])
    probability[held] = platt.apply(scores[held])
    baseline = None
    if other is not None:
        baseline = cross_validate(other, label, fold, (), settings)
        if held.any():
            baseline[held] = fit(other[~held], label[~held], (), settings).scores(other[held])
    measures, differences = _measure(job, selection, groups, fold, scores, baseline)
    calibration = calibrate(label[~held], probability[~held], groups[~held], settings.seed)
    tested = Tested(selection, locus, fold, scores, probability, baseline, measures, differences, calibration)
    return tested, replace(trees, calibration=platt)


def _measure(
    job: SnpJob,
    selection: Selection,
    clusters: NDArray[np.int64],
    fold: NDArray[np.int64],
    scores: NDArray[np.float32],
    baseline: NDArray[np.float32] | None,
) -> tuple[dict[tuple[str, str, str], Measures], dict[tuple[str, str], Interval]]:
    """Against all negatives and against each group of them, on what was cross-validated and on what was held out.

    How well scores rank is measured before they are calibrated, which each fold is by itself."""
    measures: dict[tuple[str, str, str], Measures] = {}
    differences: dict[tuple[str, str], Interval] = {}
    for name, rows in (("cross-validation", fold >= 0), ("hold-out", fold < 0)):
        for group in (ALL, *selection.groups) if len(selection.groups) > 1 else (ALL,):
            here = rows & (selection.label | (selection.group == group)) if group != ALL else rows
            if len(np.unique(selection.label[here])) < 2:
                continue
            other = None if baseline is None else baseline[here]
            found = assess(selection.label[here], scores[here], clusters[here], job.settings.seed, other)
            measures[name, group, job.model.id] = found[0]
            if job.baseline is not None and found[1] is not None and found[2] is not None:
                measures[name, group, _baseline_name(job)] = found[1]
                differences[name, group] = found[2]
    return measures, differences


def _baseline_name(job: SnpJob) -> str:
    assert job.baseline is not None
    return job.baseline.id if job.baseline.id != job.model.id else f"{job.baseline.id}@{job.baseline.sha256[:8]}"


def _held_out(names: Sequence[str], selection: Selection, genome: Genome) -> NDArray[np.bool_]:
    """bool (n,): variants on the named chromosomes. Raises UsageError for one the FASTA does not have."""
    found = match_contigs(names, genome)
    if missing := [name for name in names if found[name] is None]:
        raise UsageError(f"`hold_out={','.join(missing)}`: no such contig in the FASTA", where=genome.path)
    wanted = [list(genome.contigs).index(name) for name in found.values() if name is not None]
    return np.isin(selection.variants.contig, wanted)


def _facts(job: SnpJob, tested: Tested, reference: dict[str, str]) -> dict[str, object]:
    """The card: what the classifier belongs to, how it was made, how good it is."""
    from xgboost import __version__ as xgboost_version  # loaded by now

    label, kept = tested.selection.label, tested.fold >= 0
    negatives = Counter(tested.selection.group[~label & kept].tolist())
    metrics = card_metrics(tested, job.model.id)
    reason = off_because(metrics)
    return {
        "on_by_default": not reason,
        **({"off_because": reason} if reason else {}),
        "model": {"id": job.model.id, "sha256": job.model.sha256},
        "features": {
            "tasks": job.model.config().n_tasks,
            "without": job.model.untrained.tolist(),
            "conservation": list(job.tracks.names),
        },
        "data": {
            "positives": int((label & kept).sum()),
            "negatives": int((~label & kept).sum()),
            "groups": dict(negatives),
            "loci": len(np.unique(tested.locus[kept])),
            "held_out": int((~kept).sum()),
            "cannot_be_scored": tested.selection.left_out,
            "reference": reference,
            "sources": _sources(job.sources),
        },
        "training": {
            "varscore": __version__,
            "xgboost": xgboost_version,
            "command": job.command,
            "settings": {k: v for k, v in asdict(job.settings).items() if k != "threads"},
            "group_by": job.group_by,
            "locus": job.locus,
            "folds": int(tested.fold.max()) + 1,
        },
        "metrics": metrics,
    }


def card_metrics(tested: Tested, model: str) -> dict[str, object]:
    """``[metrics.cross-validation.GROUP]``: AUROC and AUPRC with 95 % intervals; calibration beside."""
    found: dict[str, dict[str, dict[str, object]]] = {}
    for (name, group, of), measures in tested.measures.items():
        if of == model:
            found.setdefault(name, {})[group] = measures_row(measures)
    brier = tested.calibration.brier
    ends = {"brier": brier.value, "brier_low": brier.low, "brier_high": brier.high, "brier_of_constant": CONSTANT_BRIER}
    calibration = {name: rounded(value) for name, value in {**ends, "ece": tested.calibration.ece}.items()}
    for (name, group), difference in tested.differences.items():
        interval = (difference.value, difference.low, difference.high)
        found[name][group]["auroc_above_baseline"] = [rounded(value) for value in interval]
    return {**found, "calibration": calibration}


def measures_row(measures: Measures) -> dict[str, object]:
    return {
        "positives": measures.positives,
        "negatives": measures.negatives,
        **{
            f"{name}{end}": rounded(getattr(interval, field))
            for name, interval in (("auroc", measures.auroc), ("auprc", measures.auprc))
            for end, field in (("", "value"), ("_low", "low"), ("_high", "high"))
        },
    }


def rounded(value: float) -> float:
    return float(f"{value:.5g}")


def _sources(sources: Sources) -> dict[str, object]:
    """Where the variants came from, fit for a card: files by name and checksum."""
    drawn = {"distances": ["random" if d is None else d for d in sources.distances]} if sources.pool else {}
    files = {"positives": sources.positives, "negatives": sources.negatives, "drawn_from": sources.pool}
    one = {"tss": sources.tss, "restricted_to": sources.restrict}
    return {
        **{name: [_file(path) for path in paths] for name, paths in files.items() if paths},
        **{name: _file(path) for name, path in one.items() if path is not None},
        **drawn,
        "ratio": sources.ratio,
        "match_frequency": sources.match_frequency,
        "match_context": sources.match_context,
        "least_frequency": sources.least_frequency,
        **({"renamed_contigs": sources.rules.digest} if sources.rules.renames else {}),
    }


def _file(path: str) -> dict[str, str]:
    if is_stream(path):
        return {"name": path}
    return {"name": Path(path).name, "sha256": file_sha256(path)}
