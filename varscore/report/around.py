"""``--tracks``: what is predicted on either side of an allele, with REF and with ALT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.engine import ENGINES
from varscore.engine.compute import Compute
from varscore.genome.sequence import Genome
from varscore.predict.around import FLANK, VariantTracks, tracks_around
from varscore.report.logos import minimal_variants
from varscore.report.matrix import TaskEffects
from varscore.report.scored import Allele
from varscore.zoo.models import ModelFolder


@dataclass(frozen=True)
class Around:
    """The first n alleles of the page's table; W values each, on the grid of the tracks along the genome.

    values: float32 (n, 2, W), with REF and with ALT, NaN beyond the last one
    starts: int32 (n, W + 1), where each value begins, relative to the allele's first base, and where the last one ends
    tasks: what is predicted, ``index:name``, with the strand where a network reads one; empty where there is no track
    """

    values: NDArray[np.float32]
    starts: NDArray[np.int32]
    tasks: Sequence[str]

    @classmethod
    def make(
        cls, alleles: Sequence[Allele], effects: TaskEffects, model: ModelFolder, reference: Path, compute: Compute
    ) -> Around:
        """The task of the largest difference of every allele. effects: the rows of ``alleles`` first."""
        net = model.load()
        rows = [row for row in range(len(alleles)) if np.isfinite(effects.diff[row]).all()]
        engine = ENGINES[compute.engine](net, compute.where()[0], compute.precision)
        found: dict[int, tuple[VariantTracks, int, str]] = {}
        with Genome(reference) as genome:
            for row, _, variant in minimal_variants(alleles, rows, genome, net.window) if rows else ():
                label = effects.labels[int(np.abs(effects.diff[row]).argmax())]
                tracks = tracks_around(engine, genome, variant, [int(label.partition(":")[0])])
                found[row] = tracks, variant.start, label
        width = max((len(tracks.start) for tracks, *_ in found.values()), default=0)
        made = cls(
            np.full((len(alleles), 2, width), np.nan, np.float32),
            np.zeros((len(alleles), width + 1), np.int32),
            [""] * len(alleles),
        )
        tasks = list(made.tasks)
        for row, (tracks, start, label) in found.items():
            tasks[row] = label + made._enter(row, tracks, start)
        return cls(made.values, made.starts, tasks)

    def _enter(self, row: int, tracks: VariantTracks, start: int) -> str:
        """The strand that changes most, where there are two, and its name."""
        change = [np.nanmax(np.abs(alt - ref), initial=0) for ref, alt in zip(tracks.ref, tracks.alt, strict=True)]
        strand, count = int(np.argmax(change)), len(tracks.start)
        self.values[row, 0, :count], self.values[row, 1, :count] = tracks.ref[strand], tracks.alt[strand]
        self.starts[row, :count] = tracks.start - start
        self.starts[row, count:] = tracks.end[-1] - start
        return f" ({'+-'[strand]} strand)" if len(tracks.ref) > 1 else ""

    def arrays(self) -> dict[str, NDArray[np.number]]:
        return {"track": self.values.astype(np.float16), "track_start": self.starts}

    def facts(self) -> dict[str, object]:
        return {"tasks": list(self.tasks), "flank": FLANK}
