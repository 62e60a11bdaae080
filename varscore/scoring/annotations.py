"""What ``annotate`` adds to a model's effects: functional significance, probabilities of classifiers, E-values."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.errors import UsageError
from varscore.genome.alleles import AlleleBatch
from varscore.scoring.classifier import Classifier, Ensemble, find_classifiers
from varscore.scoring.effects import Effects
from varscore.scoring.evalue import BACKGROUND, Background, load_background, magnitudes, significance
from varscore.scoring.features import DEEPSEA_CONSERVATION, Tracks, raw_features
from varscore.tasks import safe
from varscore.zoo.models import ModelFolder, demand_odds

log = logging.getLogger(__name__)

OF_BACKGROUND = ("e", "e_task", "e_diff", "sig")
"""Columns that come with a background"""


@dataclass(frozen=True)
class Extra:
    """What a batch's m scored alleles get.

    columns: float32 (m,) each, by their TSV name, ``e_task`` int64; evalues: float32 (m, tasks), None without a
    background
    """

    columns: dict[str, NDArray[np.number]]
    evalues: NDArray[np.float32] | None


@dataclass(frozen=True)
class Annotations:
    """Classifiers and a background of one model, opened. Can be pickled, and costs little next to the network."""

    classifiers: tuple[tuple[Classifier, Ensemble], ...] = ()
    background: Background | None = None
    tracks: Tracks = Tracks()
    deepsea_floor: bool = False
    untrained: tuple[int, ...] = ()
    """Tasks of which the model knows nothing; they take no part in anything"""
    of_one_strand: bool = False
    """Whether the model predicts probabilities of the strand that it reads"""

    @classmethod
    def open(
        cls,
        model: ModelFolder,
        classifiers: Sequence[str] | None = None,
        background: Path | None = None,
        tracks: Mapping[str, Path] | None = None,
        deepsea_floor: bool = False,
    ) -> Annotations:
        """classifiers: names or folders, None for those of the model that are on by default; background: None for the
        model's own, if it has one; tracks: conservation name -> bigWig.

        Raises ModelError for what is damaged or another model's, UsageError for a conservation score that is missing,
        and for a background or classifiers of a model of values.
        """
        opened = Tracks.open(tracks or {})
        found = find_classifiers(model, classifiers)
        if classifiers is None:
            found = tuple(one for one in found if _has_tracks(one, opened))
        for classifier in found:
            _demand_tracks(classifier, opened)
        path = background if background is not None else model.path / BACKGROUND
        there = background is not None or path.is_file()
        if there:
            demand_odds(model, "background")
        if found:
            demand_odds(model, "classifier")
        annotations = cls(
            classifiers=tuple((classifier, classifier.load()) for classifier in found),
            background=load_background(path, model.sha256, model.config().n_tasks) if there else None,
            tracks=opened,
            deepsea_floor=deepsea_floor,
            untrained=tuple(model.untrained.tolist()),
            of_one_strand=model.card.strands == "one" and model.card.objective != "values",
        )
        annotations._warn_of_unused()
        return annotations

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of :meth:`compute`, in output order: ``e``, ``e_task``, ``sig``, ``p_gwas`` ..."""
        return (*(OF_BACKGROUND if self.background else ()), *(classifier.column for classifier, _ in self.classifiers))

    @property
    def meanings(self) -> dict[str, str]:
        """What the columns hold, for the output's header."""
        said = {classifier.column: classifier.meaning for classifier, _ in self.classifiers}
        if self.of_one_strand:
            said["ref_prob"] = "Probability of that task with the reference allele, on the forward strand"
        if self.background is None:
            return said
        tasks = self.background.tasks - len(self.untrained)
        conservation = ", times that of the conservation scores' E-values" if self._conservation() else ""
        share = f"share of the n={self.background.n} background variants whose |diff x log-odds| is larger"
        return {
            "e": f"Smallest E-value of a task: {share}",
            "e_task": "The task whose E-value is smallest, as index:name",
            "e_diff": "Probability difference, alternative minus reference, of the task whose E-value is smallest",
            "sig": f"Functional significance: geometric mean of the E-values of all {tasks} tasks{conservation}; "
            f"an E-value is the {share}; lower is more significant",
            **said,
        }

    @property
    def command(self) -> tuple[str, ...]:
        """The options that change scores, normalised."""
        return (
            *(f"--classifier {classifier.id}" for classifier, _ in self.classifiers),
            *(f"--conservation {name}" for name in sorted(self.tracks.names)),
            *(("--deepsea-floor",) if self.background and self.deepsea_floor else ()),
        )

    @property
    def notes(self) -> tuple[tuple[str, str], ...]:
        """Provenance for the output's header: ``##varscoreBackground``, ``##varscoreClassifier``."""
        notes = []
        if self.background is not None:
            sources = "+".join(safe(source["name"]) for source in self.background.facts.get("sources", ()))
            used = "+".join(map(safe, self._conservation())) or "none"
            floor = f"{self.background.floor(self.deepsea_floor):.6g}"
            parts = f"N={self.background.n},SHA256={self.background.sha256},SOURCES={sources},FLOOR={floor}"
            notes.append(("Background", f"<{parts},CONSERVATION={used}>"))
        notes += [
            ("Classifier", f"<ID={safe(classifier.id)},SHA256={classifier.sha256}{self._imputed(classifier)}>")
            for classifier, _ in self.classifiers
        ]
        return tuple(notes)

    def _imputed(self, classifier: Classifier) -> str:
        """``,IMPUTED=..``: the conservation scores for which constants stand in."""
        names = [safe(name) for name in classifier.conservation if name not in self.tracks.names]
        return f",IMPUTED={'+'.join(names)}" if names else ""

    def compute(
        self, effects: Effects, alleles: AlleleBatch, rows: NDArray[np.int64], tasks: NDArray[np.int64] | None = None
    ) -> Extra:
        """effects: of the m alleles ``rows`` (int64) of a batch in the form that was scored, all tasks

        tasks: int64 (k,), those among which the smallest E-value is looked for, by default all that were trained
        """
        tracks = self.tracks.values(alleles, rows)
        columns: dict[str, NDArray[np.number]] = {}
        evalues = None
        if self.background is not None:
            values = magnitudes(effects.diff, effects.logodds)
            evalues = self.background.evalues(values, deepsea_floor=self.deepsea_floor)
            trained = np.setdiff1d(np.arange(evalues.shape[1]), self.untrained)
            rarest = self.background.rarest(values, evalues, trained if tasks is None else tasks)
            scored = np.arange(len(rarest))
            columns["e"] = evalues[scored, rarest].astype(np.float32)
            columns["e_task"], columns["e_diff"] = rarest, effects.diff[scored, rarest]
            # rows that lie together are summed in one order, however many there are
            columns["sig"] = self._significance(self.background, np.ascontiguousarray(evalues[:, trained]), tracks)
        for classifier, ensemble in self.classifiers:
            own = self.tracks.select(tracks, classifier.conservation)
            columns[classifier.column] = ensemble.probabilities(raw_features(effects, own, classifier.without))
        return Extra(columns, None if evalues is None else evalues.astype(np.float32))

    def _significance(
        self, background: Background, evalues: NDArray[np.float64], tracks: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        names = self._conservation()
        if not names:
            return significance(evalues).astype(np.float32)
        own = tracks[:, [self.tracks.names.index(name) for name in names]]
        of_tracks = background.evalues(own, first=background.tasks, deepsea_floor=self.deepsea_floor)
        return significance(evalues, of_tracks).astype(np.float32)

    def _conservation(self) -> tuple[str, ...]:
        """The background's conservation scores when all of them are given, else none."""
        names = self.background.conservation if self.background else ()
        return names if set(names) <= set(self.tracks.names) else ()

    def _warn_of_unused(self) -> None:
        """Say which of the conservation scores that are given change nothing."""
        used = {name for classifier, _ in self.classifiers for name in classifier.conservation}
        unused = [name for name in self.tracks.names if name not in used.union(self._conservation())]
        if unused:
            wanted = " ".join(self.background.conservation) if self.background else ""
            log.warning(
                "conservation scores that change nothing: %s; %s",
                ", ".join(unused),
                f"the background takes all of {wanted} or none" if wanted else "no background or classifier has them",
            )


def _has_tracks(classifier: Classifier, tracks: Tracks) -> bool:
    missing = [name for name in classifier.conservation if name not in tracks.names]
    if missing:
        log.warning("classifier %s left out: it wants `conservation=%s=BIGWIG`", classifier.id, missing[0])
    return not missing


def _demand_tracks(classifier: Classifier, tracks: Tracks) -> None:
    """DeepSEA's scores may be missing: what stands in for them is known. Raises UsageError for others."""
    absent = [name for name in classifier.conservation if name not in tracks.names]
    if missing := [name for name in absent if name not in DEEPSEA_CONSERVATION]:
        raise UsageError(
            f"the classifier {classifier.id} wants conservation scores that are not given",
            where=", ".join(missing),
            remedy=f"`conservation={missing[0]}=BIGWIG`",
        )
    if absent:
        constants = ", ".join(f"{name} = {DEEPSEA_CONSERVATION[name]:g}" for name in absent)
        log.warning("classifier %s: constants stand in for scores that are not given: %s", classifier.id, constants)
