"""What :meth:`varscore.Model.explain` gives back: which bases make the effect of an allele."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.errors import UsageError
from varscore.interpret.explain import FLANK, ExplainedPair, Explanation
from varscore.interpret.logos import svg
from varscore.interpret.pictures import allele_picture
from varscore.tasks import Task


@dataclass(frozen=True)
class Contributions:
    """REF and ALT of one allele explained, for k tasks.

    variant: in its minimal form; method, target: how, and in which units (``logodds`` are log2 odds)
    tasks: in the order of the rows of every array; diff, logodds: float32 (k,), the effects that are explained
    ref, alt: float32 (k, window), what the base that is there contributes; ref_sequence, alt_sequence: those bases
    ref_positions, alt_positions: where they are on the contig, as text: inserted bases have none of their own
    """

    variant: str
    method: str
    target: str
    tasks: tuple[Task, ...]
    diff: NDArray[np.float32]
    logodds: NDArray[np.float32]
    ref: NDArray[np.float32]
    alt: NDArray[np.float32]
    ref_sequence: str
    alt_sequence: str
    ref_positions: Sequence[str]
    alt_positions: Sequence[str]
    _explained: ExplainedPair

    @classmethod
    def of(cls, found: ExplainedPair, run: Explanation, tasks: Sequence[Task], method: str) -> Contributions:
        """The first of the run's methods."""
        pair = found.pair
        return cls(
            variant=str(pair.variant),
            method=method,
            target=run.options.target,
            tasks=tuple(tasks[index] for index in pair.ref.tasks.tolist()),
            diff=pair.diff,
            logodds=pair.logodds,
            ref=found.ref.attributions[0].scores,
            alt=found.alt.attributions[0].scores,
            ref_sequence=pair.ref.letters,
            alt_sequence=pair.alt.letters,
            ref_positions=pair.ref.labels,
            alt_positions=pair.alt.labels,
            _explained=found,
        )

    def logo(self, task: int = 0, flank: int = FLANK) -> str:
        """REF, ALT and their difference as an SVG. task: row of the arrays; flank: bases on either side."""
        if not -len(self.tasks) <= task < len(self.tasks) or flank < 0:
            raise UsageError(f"no logo of row {task} with {flank} bases", remedy=f"there are {len(self.tasks)} rows")
        title = [f"{self.variant}, {self.tasks[task].name}", f"{self.method}, {self.target}"]
        picture = allele_picture(self._explained.pair, self.ref[task], self.alt[task], flank, title)
        return svg(picture)

    def __repr__(self) -> str:
        return f"<Contributions: {self.variant}, {self.method}, {', '.join(task.name for task in self.tasks)}>"

    def _repr_svg_(self) -> str:
        return self.logo()
