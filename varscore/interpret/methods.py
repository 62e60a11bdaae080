"""The methods that give every base of a window a number, by name: what the engines of a pool do with a subject."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from varscore.engine.plain import PlainEngine
from varscore.errors import UsageError
from varscore.interpret import ism
from varscore.interpret.attention import demand_attention
from varscore.interpret.gradients import Attribution, deeplift, demand_gradient, gradient, integrated
from varscore.interpret.paths import demand_rules
from varscore.interpret.references import Reference
from varscore.interpret.subjects import Subject
from varscore.nets.layers import SequenceNet

SHUFFLES = 20
BACKWARD = ("deeplift", "gradient", "ig", "maximise")
"""Methods that go back through the network"""
COMPARED = ("deeplift", "ig")
"""Methods that compare an input with a reference"""


@dataclass(frozen=True)
class Options:
    """How contributions are made. steps: of integrated gradients; raw: gradients without the correction"""

    target: str = "logodds"
    reference: Reference = Reference("shuffle", f"shuffle:{SHUFFLES}", shuffles=SHUFFLES)
    steps: int = 64
    raw: bool = False
    seed: int = 0


Method = Callable[[PlainEngine, Subject, Options], Attribution]


def _ism(engine: PlainEngine, subject: Subject, options: Options) -> Attribution:
    """The table of substitutions is kept; ``hypothetical`` follows from it (:func:`ism.hypothetical`)."""
    k, window = len(subject.tasks), len(subject.codes)
    place = subject.mutated.place
    if subject.context is None:
        table = ism.fixed(engine, subject.codes[None], subject.tasks, options.target, subject.mutated)[0]
    else:
        table = ism.centred(engine, subject.context, subject.tasks, options.target)
    whole = np.full((k, 4, window), np.nan, np.float32)
    whole[:, :, place] = table.transpose(2, 1, 0)
    scores = np.zeros((k, window), np.float32)
    scores[:, place] = ism.base_scores(table, subject.codes[place]).T
    nothing = np.full(k, np.nan)
    return Attribution(scores, whole, nothing, nothing, nothing)


def _deeplift(engine: PlainEngine, subject: Subject, options: Options) -> Attribution:
    return deeplift(engine, subject.codes, subject.tasks, options.reference, subject.number, options.seed)


def _ig(engine: PlainEngine, subject: Subject, options: Options) -> Attribution:
    return integrated(
        engine, subject.codes, subject.tasks, options.reference, subject.number, options.seed, options.steps
    )


def _gradient(engine: PlainEngine, subject: Subject, options: Options) -> Attribution:
    return gradient(engine, subject.codes, subject.tasks, raw=options.raw)


METHODS: dict[str, Method] = {"ism": _ism, "deeplift": _deeplift, "gradient": _gradient, "ig": _ig}
"""``ism`` keeps its table of substitutions, NaN where nothing was mutated, in the place of hypothetical scores"""


def demand_methods(net: SequenceNet, methods: Sequence[str], precision: str = "fp32") -> None:
    """Raises UsageError, which says why, when a method cannot explain a network."""
    if "deeplift" in methods:
        demand_rules(net)
    if "attention" in methods:
        demand_attention(net)
    if set(methods) & set(BACKWARD):
        if precision in ("bf16", "fp16"):
            raise UsageError(f"gradients in {precision} are not to be trusted", remedy="fp32 or tf32")
        demand_gradient(net)


def contribute(engine: PlainEngine, subject: Subject, methods: Sequence[str], options: Options) -> list[Attribution]:
    """What the bases of a subject contribute, by each method."""
    return [METHODS[method](engine, subject, options) for method in methods]
