"""A model, loaded, that scores variants and predicts sequences."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from varscore.annotate.job import choose_tasks
from varscore.annotate.rows import REF_PROB, SPAN, spread_columns, strongest_columns
from varscore.api.contributions import Contributions
from varscore.api.given import Variants, given, opened
from varscore.api.table import MATRICES, ScoreTable
from varscore.engine import ENGINES
from varscore.engine.compute import Compute
from varscore.engine.device import demand_precision, one_thread, pick_device
from varscore.engine.plain import PlainEngine, demand_numbers, demand_sequence_only
from varscore.engine.pool import busy
from varscore.errors import DataError, UsageError
from varscore.formats.fasta import demand_dna
from varscore.genome.alleles import AlleleBatch, Status
from varscore.genome.coords import one_based
from varscore.genome.minimal import changed_bases
from varscore.genome.reasons import Rules
from varscore.genome.sequence import Genome, fit
from varscore.interpret.explain import FLANK, ExplainedPair, ExplainJob, explain_source
from varscore.interpret.methods import METHODS
from varscore.normalise import Listed, listed
from varscore.scoring.annotations import Annotations
from varscore.scoring.score import ScoreBatch, score_chunks, spread
from varscore.scoring.survey import GenomeRules, compare_references, contig_names, tell_of_strand
from varscore.scoring.tags import OF_NUMBERS, OF_TASKS
from varscore.tasks import Task, several
from varscore.zoo.models import ModelFolder, find_model, ranked_tasks
from varscore.zoo.shelf import available

CHUNK = 1024
"""Alleles that are scored at a time"""
_EFFECTS = ("ref", "alt", "diff", "logodds")
"""Of :class:`Effects`, in the order of MATRICES"""
Key = TypeVar("Key")
Item = TypeVar("Item")
Result = TypeVar("Result")


def list_models() -> list[str]:
    """Names that :func:`load` takes: the models of ``VARSCORE_MODELS`` and the bundled ones."""
    return list(available())


def load(name: str | os.PathLike[str] = "default", *, device: str = "auto", precision: str = "fp32") -> Model:
    """A model by its name, by the beginning of its name where no other begins so, by folder, or the default one.

    device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``; precision: ``fp32``, ``tf32``, ``bf16``, ``fp16``.
    Raises ModelError and DeviceError.
    """
    found = find_model(os.fspath(name))
    found.warn_of_interim()
    return Model(found, device, precision)


class Model:
    """A network with its weights, background and classifiers. Safe to share between threads: they take turns."""

    def __init__(self, folder: ModelFolder, device: str = "auto", precision: str = "fp32") -> None:
        demand_precision(precision)
        self.folder, self.precision = folder, precision
        self.tasks: tuple[Task, ...] = folder.tasks()
        """What is predicted, in the order of the columns of every array"""
        self._lock = threading.Lock()
        self._net = folder.load()
        self._annotations: dict[tuple[str, ...] | None, Annotations] = {}
        self._engines: dict[str, PlainEngine] = {}
        self._device = pick_device(device)

    @property
    def id(self) -> str:
        return self.folder.id

    @property
    def window(self) -> int:
        """Bases that the network reads."""
        return self._net.window

    def __repr__(self) -> str:
        return f"<varscore model {self.id}: {self.window:,} bp, {len(self.tasks):,} tasks, on {self._device}>"

    def to(self, device: str) -> Model:
        """Compute on another device from now on. Raises DeviceError when it is absent."""
        with self._lock:
            self._device, self._engines = pick_device(device), {}
        return self

    def predict(self, sequences: str | Iterable[str]) -> NDArray[np.float32]:
        """Predictions for sequences of any length: float32 (n, tasks), both strands averaged.

        A sequence shorter than the window is centred and padded with N, a longer one cut to its middle.
        Raises DataError for letters that are not DNA, DeviceError for a prediction that is no number.
        """
        if not isinstance(sequences, Iterable):
            raise DataError(f"no sequences: {sequences!r:.60}", remedy="a text of A, C, G, T, or several")
        texts = [sequences] if isinstance(sequences, str) else list(sequences)
        for number, text in enumerate(texts, 1):
            if not isinstance(text, str):
                raise DataError(f"no sequence: {text!r:.60}", where=f"sequence {number}", remedy="a text of A, C, G, T")
            demand_dna(text.encode(), f"sequence {number}")
        windows = [fit(text.encode(), self.window) for text in texts]
        with self._computing("plain") as engine:
            found = engine.predict(np.stack(windows)) if windows else np.zeros((0, len(self.tasks)), np.float32)
        demand_numbers(found)
        return np.asarray(found)

    def score(
        self,
        variants: Variants,
        reference: str | os.PathLike[str] | Genome,
        *,
        tasks: Sequence[str] = (),
        classifiers: Sequence[str] | None = None,
        dbsnp: str | None = None,
        check_ref: bool = True,
        as_written: bool = False,
        rules: GenomeRules | None = None,
        engine: str = "exact",
        progress: Callable[[int, int], object] = lambda done, total: None,
    ) -> ScoreTable:
        """What each ALT allele changes, in the order in which they were given.

        variants: one or many, see :data:`varscore.api.given.Variants`
        tasks: globs; the strongest and the rarest task are looked for among these. classifiers: names, None for those
        that are on. dbsnp: a VCF in which rsIDs are looked up. progress: told how many alleles are done, and of how
        many. The numbers are those of ``varscore annotate``. An allele without a score stays, with its status.
        Raises VariantFileError when the variants are on another assembly than the reference, DataError and UsageError.
        """
        if not isinstance(check_ref, bool | np.bool_):
            raise UsageError(f"check_ref is True or False here, not {check_ref!r}")
        rules = rules or GenomeRules()
        how = Rules(check_ref=check_ref, as_written=as_written)
        with opened(reference) as genome:
            source, where = given(variants)
            found = listed(source, genome, dbsnp=dbsnp, rules=rules)
            names = contig_names(genome, rules, where, found.lengths, found.stated)
            names.of(found.alleles.contigs)
            if check_ref:
                compare_references([_Piece(found.alleles)], genome, names, rules, where)
            annotations = self._opened_annotations(None if classifiers is None else several(classifiers))
            ranked = ranked_tasks(self.folder, choose_tasks(self.tasks, several(tasks)))
            rows = [_Rows.empty(len(self.tasks), (REF_PROB, *annotations.columns, SPAN))]
            with self._computing(engine) as running:
                pool, pieces = _InPlace(running), _pieces(found.alleles)
                for piece, scored in score_chunks(pieces, genome, names, pool, self.window, how):
                    rows.append(_Rows.of(scored, piece.alleles, annotations, ranked))
                    progress(piece.end, len(found.alleles))
        names.warn_of_missing()
        tell_of_strand(self.id, self.folder.card)
        return _table(found, self.tasks, _Rows.joined(rows))

    def explain(
        self,
        variant: Variants,
        reference: str | os.PathLike[str] | Genome,
        *,
        task: str | Sequence[str] | None = None,
        method: str = "ism",
        flank: int = FLANK,
        rules: GenomeRules | None = None,
    ) -> Contributions:
        """Which bases make the effect of one allele, REF and ALT side by side, as ``varscore explain`` finds them.

        task: globs, None for the task that is changed most; method: ``ism``, ``deeplift``, ``ig``, ``gradient``
        flank: bases on either side that ism mutates. Raises the errors of :mod:`varscore.errors`, UsageError when the
        variant is not exactly one that can be scored among them.
        """
        if method not in METHODS:
            raise UsageError(f"no method {method!r}", remedy=f"there are {', '.join(METHODS)}")
        if flank < 0:
            raise UsageError(f"a flank of {flank} bases", remedy="0 or more")
        rules = rules or GenomeRules()
        with opened(reference) as genome, ExitStack() as stack, one_thread():
            source, where = given(variant)
            alleles = listed(source, genome, rules=rules).alleles
            if len(alleles) != 1:
                raise UsageError(f"{len(alleles)} alleles, where one can be explained", where=where)
            ref, alt = (column[0].decode("ascii", "replace") for column in (alleles.ref, alleles.alt))
            if not re.fullmatch("[ACGTN]+", (ref + alt).upper()):
                raise UsageError("an allele that is not spelled out", where=where, cause=f"it is {ref}>{alt}")
            one = f"{alleles.contigs[0]}:{one_based(int(alleles.start[0]))}:{ref}:{alt}"
            job = ExplainJob(
                self.folder,
                methods=(method,),
                tasks=several(task),
                flank=flank,
                rules=rules,
                compute=Compute(str(self._device), self.precision, threads=1),
            )
            run = explain_source(job, one, genome, stack)
            found = list(run.results)
        if not found or not isinstance(found[0], ExplainedPair):
            status = "" if run.alleles is None else ", ".join(sorted(run.alleles.statuses))
            raise UsageError("the variant cannot be scored", where=one, cause=status or None)
        return Contributions.of(found[0], run, self.tasks, method)

    def _opened_annotations(self, classifiers: tuple[str, ...] | None) -> Annotations:
        with self._lock:
            if classifiers not in self._annotations:
                self._annotations[classifiers] = Annotations.open(self.folder, classifiers)
            return self._annotations[classifiers]

    @contextmanager
    def _computing(self, kind: str) -> Iterator[PlainEngine]:
        """The engine, for one caller at a time."""
        if kind not in ENGINES:
            raise UsageError(f"no engine {kind!r}", remedy=f"there are {', '.join(ENGINES)}")
        demand_sequence_only(self._net)
        with self._lock, one_thread():
            if kind not in self._engines:
                net = self._net.to(self._device).eval()
                self._engines[kind] = ENGINES[kind](net, self._device, self.precision)
            yield self._engines[kind]


@dataclass(frozen=True)
class _Piece:
    """Some of the alleles; end: how many there are up to here"""

    alleles: AlleleBatch
    end: int = 0


class _InPlace:
    """A pool of one engine, in this thread."""

    def __init__(self, engine: PlainEngine) -> None:
        self._engine = engine

    def map(
        self,
        work: Callable[[PlainEngine, Item], Result],
        items: Iterable[tuple[Key, Item]],
        idle: Callable[[Item], Result | None] = busy,
    ) -> Iterator[tuple[Key, Result]]:
        for key, item in items:
            known = idle(item)
            yield key, known if known is not None else work(self._engine, item)


def _pieces(alleles: AlleleBatch) -> Iterator[_Piece]:
    for first in range(0, len(alleles), CHUNK):
        rows = np.arange(first, min(first + CHUNK, len(alleles)))
        yield _Piece(alleles.take(rows, rows - first), int(rows[-1]) + 1)


@dataclass(frozen=True)
class _Rows:
    """n alleles. status: uint8 (n,); matrices: float32 (n, tasks), by the names of MATRICES; columns: (n,) each"""

    status: NDArray[np.uint8]
    matrices: dict[str, NDArray[np.float32]]
    columns: dict[str, NDArray[np.number]]

    @classmethod
    def of(cls, scored: ScoreBatch, written: AlleleBatch, annotations: Annotations, ranked: NDArray[np.int64]) -> _Rows:
        """What ``annotate`` writes of a batch, and every task. written: its alleles as they were given"""
        extra = annotations.compute(scored.effects, scored.alleles, scored.rows, ranked)
        columns = strongest_columns(scored.effects, ranked, extra.columns)
        columns[SPAN] = changed_bases(written, scored.alleles, scored.rows)
        best = spread_columns(scored, columns)
        matrices = {
            name: spread(getattr(scored.effects, of), scored.rows, len(scored.status))
            for name, of in zip(MATRICES, _EFFECTS, strict=True)
        }
        numbers = cast(dict[str, NDArray[np.number]], best.extra)  # text comes with motifs and haplotypes alone
        of_all = {"diff": best.diff, "task": best.task, "logodds": best.logodds}
        return cls(scored.status, matrices, {**of_all, **numbers})

    @classmethod
    def empty(cls, tasks: int, extra: Sequence[str]) -> _Rows:
        kinds = {
            name: np.int64 if name in (*OF_TASKS, *OF_NUMBERS) else np.float32
            for name in ("diff", "task", "logodds", *extra)
        }
        matrices = {name: np.zeros((0, tasks), np.float32) for name in MATRICES}
        return cls(np.zeros(0, np.uint8), matrices, {name: np.zeros(0, kind) for name, kind in kinds.items()})

    @classmethod
    def joined(cls, parts: Sequence[_Rows]) -> _Rows:
        """parts: one at least, with the same columns"""
        return cls(
            np.concatenate([part.status for part in parts]),
            {name: np.concatenate([part.matrices[name] for part in parts]) for name in MATRICES},
            {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
        )


def _table(found: Listed, tasks: tuple[Task, ...], rows: _Rows) -> ScoreTable:
    alleles = found.alleles
    ref, alt = (
        [column[row].decode("ascii", "replace") for row in range(len(alleles))] for column in (alleles.ref, alleles.alt)
    )
    return ScoreTable(
        chrom=[alleles.contigs[index] for index in alleles.contig.tolist()],
        pos=one_based(alleles.start),
        id=found.ids,
        ref=ref,
        alt=alt,
        status=[Status(value).name for value in rows.status.tolist()],
        tasks=tasks,
        columns=rows.columns,
        left_out=found.left_out,
        **rows.matrices,
    )
