"""What the filters of a model know: matrices over real sequence, matched with databases, in clusters, projected."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError, UsageError, reason
from varscore.formats.fasta import read_fasta
from varscore.formats.lines import table_rows
from varscore.formats.motifs import Motif, read_motifs
from varscore.genome.sequence import fit
from varscore.interpret.filters import Filter, activations, filters, first_layer
from varscore.interpret.projection import Pairs, principal_components, projection_columns, strand_pairs
from varscore.motifs.clusters import LEAST_R, Alignments, align, clusters
from varscore.motifs.compare import warn_of_few
from varscore.motifs.tomtom import Comparison, Targets, compare, smoothed
from varscore.zoo.models import ModelFolder

OK, TOO_FEW, UNINFORMATIVE = "ok", "too few sites", "uninformative"


@dataclass(frozen=True)
class MotifOptions:
    """sequences: of the training split, or of the beginning of a FASTA; threshold: share of a filter's largest value
    that a site is above; trim: bits; cluster: least mean correlation; q, e: what counts as matched; projection_q: of
    the filters in the picture of the projection"""

    sequences: int = 5000
    threshold: float = 0.5
    min_sites: int = 10
    q: float = 0.01
    e: float = 0.01
    trim: float = 0.0
    cluster: float = LEAST_R
    projection_q: float = 1e-8
    seed: int = 0


@dataclass(frozen=True)
class Placed:
    """The projection's columns of some filters: which (int64 (n,) indices of the matrices), their places on the first
    two principal components, float64 (n, 2), with their shares of variance, and how alike pairs are."""

    chosen: NDArray[np.int64]
    places: NDArray[np.float64]
    shares: NDArray[np.float64]
    pairs: Pairs


@dataclass(frozen=True)
class Found:
    """What came of it. filters: all; matrices: those that say something; names of targets and of their files' motifs

    background: frequencies of A, C, G, T in the sequences; columns: of the projection, float64 (filters, k), if any
    """

    filters: Sequence[Filter]
    matrices: Sequence[Motif]
    targets: Sequence[Motif]
    comparison: Comparison
    aligned: Alignments
    cluster: NDArray[np.int64]
    columns: NDArray[np.float64] | None
    background: tuple[float, ...]
    sequences: int
    options: MotifOptions

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """int64 (m,): the filter of each matrix."""
        return np.array([int(motif.id.removeprefix("filter")) for motif in self.matrices], np.int64)

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """int64 (m,): the target with the least p for each matrix; empty without targets."""
        return self.comparison.p.argmin(1) if len(self.targets) else np.zeros(0, np.int64)

    def _least(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values.min(1) if len(self.targets) else np.full(len(self.matrices), np.inf)

    @property
    def matched_e(self) -> int:
        """Filters with a match of E below the threshold, as DanQ counts them."""
        return int((self._least(self.comparison.e) < self.options.e).sum())

    @property
    def matched_q(self) -> int:
        """Filters with a match of q below the threshold."""
        return int((self._least(self.comparison.q) < self.options.q).sum())

    @property
    def active(self) -> list[str]:
        """Ids of the targets that match some filter at q below the threshold."""
        if not len(self.matrices):
            return []
        hits = np.flatnonzero((self.comparison.q < self.options.q).any(0)).tolist()
        return sorted({self.targets[hit].id for hit in hits})

    def state(self, one: Filter) -> str:
        if one.sites < self.options.min_sites:
            return TOO_FEW
        return OK if one.index in set(self.index.tolist()) else UNINFORMATIVE

    def label(self, matrix: int) -> str:
        """The name of the best match of a matrix, if it has one at q below the threshold."""
        if not len(self.targets) or self.comparison.q[matrix].min() >= self.options.q:
            return ""
        return self.targets[int(self.best[matrix])].name

    def placed(self, q: float) -> Placed | None:
        """The projection of the filters that match at less than q; None without a projection or with fewer than 3."""
        if self.columns is None or not len(self.targets):
            return None
        chosen = np.flatnonzero(self._least(self.comparison.q) < q)
        if len(chosen) < 3:
            return None
        columns = self.columns[self.index[chosen]]
        places, shares = principal_components(columns)
        best = self.best[chosen]
        pairs = strand_pairs(columns, best, self.comparison.turned[chosen, best], self.options.seed)
        return Placed(chosen, places, shares, pairs)

    def consensus(self) -> list[Motif]:
        """A matrix for each cluster: the counts of its filters, summed in one frame."""
        made = []
        for number in range(int(self.cluster.max(initial=-1)) + 1):
            members = self.frame(number)
            start = min(at for _, _, at in members)
            width = max(at + len(self.matrices[member].frequencies) for member, _, at in members) - start
            counts = np.zeros((width, 4))
            for member, turned, at in members:
                motif = self.matrices[member]
                own = motif.frequencies * motif.sites
                counts[at - start : at - start + len(own)] += own[::-1, ::-1] if turned else own
            total = counts.sum(1, keepdims=True)
            names = sorted({label for member, _, _ in members if (label := self.label(member))})
            name = "+".join(names[:3]) or f"cluster{number:03d}"
            made.append(Motif(f"cluster{number:03d}", name, counts / total, float(total.max())))
        return made

    def frame(self, number: int) -> list[tuple[int, bool, int]]:
        """(matrix, whether it is turned round, where it begins) of the members of a cluster, in the frame of the one
        that is most like the others."""
        members = np.flatnonzero(self.cluster == number)
        middle = members[self.aligned.ncor[np.ix_(members, members)].sum(1).argmax()]
        return [
            (int(member), bool(self.aligned.turned[middle, member]), int(self.aligned.offset[middle, member]))
            for member in members
        ]


def discover(
    model: ModelFolder,
    data: Path,
    against: Sequence[Path],
    options: MotifOptions,
    device: torch.device,
    advance: Callable[[int], None] = lambda n: None,
) -> Found:
    """Raises UsageError for a network without filters or of whose filters none has sites, DataError and ModelError."""
    net = model.load()
    width = first_layer(net).kernel_size[0]
    targets = [motif for path in against for motif in read_motifs(path)]
    warn_of_few(targets)
    codes = read_sequences(data, net.window, options)
    found = filters(codes, activations(net, codes, device, advance), width, options.threshold)
    made = [one.motif(options.trim) if one.sites >= options.min_sites else None for one in found]
    matrices = [motif for motif in made if motif is not None]
    if not matrices:
        raise UsageError(
            f"no filter of {model.id} has {options.min_sites} sites in {len(codes):,} sequences",
            where=data,
            remedy="more `sequences`, a lower `threshold`, or fewer `min_sites`",
        )
    comparison = compare([smoothed(motif) for motif in matrices], Targets.of([smoothed(motif) for motif in targets]))
    aligned = align([motif.frequencies for motif in matrices])
    counted = np.bincount(codes[codes < 4].reshape(-1), minlength=4) + 1
    return Found(
        found,
        matrices,
        targets,
        comparison,
        aligned,
        clusters(aligned, options.cluster),
        projection_columns(net),
        tuple((counted / counted.sum()).tolist()),
        len(codes),
        options,
    )


def read_sequences(data: Path, window: int, options: MotifOptions) -> NDArray[np.uint8]:
    """uint8 (n, window): a seeded choice of a data set's training split, or the first records of a FASTA, cut or padded
    to the window as for predictions. Raises DataError."""
    if data.is_dir():
        examples = ExampleSet(data).cropped(window)
        rows = examples.rows("train")
        if not len(rows):
            raise DataError("no example in the training split", where=data)
        random = np.random.default_rng(options.seed)
        chosen = random.choice(rows, min(options.sequences, len(rows)), replace=False)
        return examples.windows(np.sort(chosen))
    records = itertools.islice(read_fasta(str(data)), options.sequences)
    return np.stack([fit(record.sequence, window) for record in records])


def read_families(path: Path | None) -> Mapping[str, str]:
    """Motif id -> family, of a table with these two columns. Raises DataError."""
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = table_rows(file, "\t", str(path))
            rows = [row for _, row in lines if row and not row[0].startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        cause = reason(error) if isinstance(error, OSError) else str(error)
        raise DataError("cannot read families", where=path, cause=cause) from None
    if wrong := [row for row in rows if len(row) < 2]:
        raise DataError("not a table of motifs and families", where=path, cause=f"{wrong[0][0]!r} has no family")
    found: dict[str, str] = {}
    for row in rows:
        if found.setdefault(row[0], row[1]) != row[1]:
            raise DataError(f"{row[0]} is of two families", where=path, cause=f"{found[row[0]]} and {row[1]}")
    return found
