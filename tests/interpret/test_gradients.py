"""Gradients against differences, methods against one another, strands, references."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from made_models import WINDOW, lively
from small_nets import random_codes
from torch import Tensor, nn

from varscore.engine.exact.reach import Span
from varscore.engine.plain import PlainEngine
from varscore.errors import UsageError
from varscore.genome.sequence import encode, reverse_complement
from varscore.interpret import ism
from varscore.interpret.gradients import Attribution, deeplift, gradient, integrated
from varscore.interpret.references import Reference, demand_given, parse_reference
from varscore.nets.layers import FlattenChannels, SequenceNet, of_layers, one_hot

CPU = torch.device("cpu")
ONE, TWO = np.array([1]), np.array([0, 1])
UNIFORM = Reference("constant", "uniform", constant=(0.25,) * 4)


@dataclass(frozen=True)
class LinearConfig:
    window: int = 30
    n_tasks: int = 2


class Linear(SequenceNet):
    """Log-odds that are a sum over bases."""

    def __init__(self) -> None:
        torch.manual_seed(5)
        super().__init__(LinearConfig(), FlattenChannels(), nn.Linear(120, 2))

    @of_layers
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(one_hot(x, self.output.weight.dtype) if x.dtype == torch.uint8 else x)


def test_all_methods_agree_on_a_linear_network() -> None:
    """Check 6. What a base is worth beyond another is the same for all; a base's own worth is compared with the mean
    of all four by the gradients and with the mean of the other three by ism, which makes 4 / 3."""
    net = Linear().eval()
    engine, codes = PlainEngine(net, CPU), random_codes(1, 30, seed=1, unknown=0)[0].numpy()
    table = ism.fixed(engine, codes[None], TWO, "logodds")[0]  # (30, 4, 2)
    methods = {
        "deeplift": deeplift(engine, codes, TWO, UNIFORM, 0, 1),
        "ig": integrated(engine, codes, TWO, UNIFORM, 0, 1, 3),
        "gradient": gradient(engine, codes, TWO),
        "raw gradient": gradient(engine, codes, TWO, raw=True),
    }
    for name, found in methods.items():
        beyond = found.hypothetical - found.scores[:, None]
        assert np.abs(beyond - table.transpose(2, 1, 0)).max() < 1e-5, name
        if name != "raw gradient":
            assert np.abs(found.scores * 4 / 3 - ism.base_scores(table, codes).T).max() < 1e-5, name
    weights = net.output.weight.detach().numpy().reshape(2, 4, 30)
    both = (weights + weights[:, ::-1, ::-1]) / 2 / np.log(2)
    assert np.abs(methods["raw gradient"].hypothetical - both).max() < 1e-5


@pytest.mark.parametrize("name", ["danq", "deepbind", "dilated", "promoternet", "tss"])
def test_gradients_are_those_of_the_prediction(name: str) -> None:
    """Against central differences of the mean (or maximum) of both strands, in double precision."""
    net = copy.deepcopy(lively(name, seed=3, n_tasks=3)).double()
    codes = random_codes(1, WINDOW, seed=2, unknown=0)[0].numpy()
    found = gradient(PlainEngine(net, CPU), codes, ONE, raw=True).hypothetical[0]

    def explained(x: Tensor) -> float:
        with torch.no_grad():
            strands = [x, x.flip(1, 2)][: 1 if net.strands == "one" else 2]
            outputs = torch.cat([net.layers(strand) for strand in strands]).numpy()
        if name == "promoternet":
            each = net.goal.predict(outputs).astype(np.float64)
        elif name == "tss":
            others = np.log(np.exp(np.delete(outputs, 1, 1)).sum(1, keepdims=True))
            each = np.repeat(outputs[:, 1:2] - others, 3, 1) / np.log(2)
        else:
            each = outputs / np.log(2)
        return float(each[:, 1].max() if net.strands == "both-max" else each[:, 1].mean())

    x, step = one_hot(torch.from_numpy(codes)[None], torch.float64), 1e-3 if name == "promoternet" else 1e-5
    for base, at in ((0, 90), (1, 70), (2, 121), (3, 60)):
        up, down = x.clone(), x.clone()
        up[0, base, at] += step
        down[0, base, at] -= step
        wanted = (explained(up) - explained(down)) / (2 * step)
        assert found[base, at] == pytest.approx(wanted, abs=1e-4 * max(1.0, float(np.abs(found).max())))
    assert np.abs(found).max() > 1e-3


def test_the_correction_takes_the_mean_off() -> None:
    engine, codes = PlainEngine(lively("deepsea"), CPU), random_codes(1, WINDOW, seed=2)[0].numpy()
    raw, corrected = gradient(engine, codes, TWO, raw=True), gradient(engine, codes, TWO)
    mean = raw.hypothetical.mean(1, keepdims=True)
    assert np.abs(corrected.hypothetical - (raw.hypothetical - mean)).max() < 1e-6
    assert np.abs(corrected.hypothetical.sum(1)).max() < 1e-5
    assert np.isnan(corrected.miss).all() and (corrected.scores[:, codes == 4] == 0).all()


def test_integrated_gradients_come_closer_with_steps() -> None:
    net = copy.deepcopy(lively("attentionnet", seed=1)).double()
    engine, codes = PlainEngine(net, CPU), random_codes(1, WINDOW, seed=3, unknown=0)[0].numpy()
    misses = [float(integrated(engine, codes, ONE, UNIFORM, 0, 1, steps).miss[0]) for steps in (2, 8, 64)]
    assert misses[0] > misses[1] > misses[2] and misses[2] < 1e-3


METHODS = {
    "deeplift": lambda engine, codes: deeplift(engine, codes, TWO, parse_reference("shuffle:3"), 0, 7),
    "uniform": lambda engine, codes: deeplift(engine, codes, TWO, UNIFORM, 0, 7),
    "ig": lambda engine, codes: integrated(engine, codes, TWO, parse_reference("shuffle:2"), 0, 7, 4),
    "gradient": lambda engine, codes: gradient(engine, codes, TWO),
}  # type: ignore[var-annotated]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["crnn-320-projection", "deepbind"])
def test_the_other_strand_gives_the_same_turned(name: str, method: str) -> None:
    """Check 7; where the stronger strand counts, too."""
    engine = PlainEngine(lively(name, seed=4), CPU)
    codes = random_codes(1, WINDOW, seed=6)[0].numpy()
    found: Attribution = METHODS[method](engine, codes)
    other: Attribution = METHODS[method](engine, reverse_complement(codes))
    large = float(np.abs(found.scores).max())
    assert np.abs(found.scores - other.scores[:, ::-1]).max() <= 1e-6 * max(1.0, large)
    assert np.abs(found.hypothetical - other.hypothetical[:, ::-1, ::-1]).max() <= 2e-6 * max(1.0, large)
    assert found.difference == pytest.approx(other.difference, abs=1e-6, nan_ok=True)


def test_ism_of_the_other_strand() -> None:
    engine = PlainEngine(lively("crnn-320-projection", seed=4), CPU)
    codes = random_codes(1, WINDOW, seed=6)
    turned = reverse_complement(codes.numpy())
    found = ism.fixed(engine, codes.numpy(), TWO, "logodds", Span(80, 90))
    other = ism.fixed(engine, turned, TWO, "logodds", Span(WINDOW - 90, WINDOW - 80))[:, ::-1, ::-1]
    assert (np.isnan(found) == np.isnan(other)).all() and np.nanmax(np.abs(found - other)) < 1e-5


# -- references ------------------------------------------------------------------------------------------------------


def test_shuffles_depend_on_the_sequence_and_the_seed() -> None:
    shuffles = parse_reference("shuffle:5")
    assert shuffles is not None
    codes = random_codes(2, 60, seed=1, unknown=0).numpy()
    first = shuffles.of(codes[0], 0, 1)
    assert first.shape == (5, 4, 60) and (first == shuffles.of(codes[0], 9, 1)).all()
    assert (first != shuffles.of(codes[0], 0, 2)).any() and (first != shuffles.of(codes[1], 0, 1)).any()
    pairs = [sorted(zip(row.argmax(0), row.argmax(0)[1:], strict=False)) for row in first]
    assert all(pair == sorted(zip(codes[0], codes[0][1:], strict=False)) for pair in pairs)
    assert (first != first[:1]).any()


def test_unknown_bases_are_unknown_in_the_reference_too() -> None:
    codes = encode(b"ACGTNACGTACGNNACGT")
    for text in ("shuffle:2", "uniform", "zeros", "A,C,G,T=.4,.1,.1,.4"):
        found = parse_reference(text)
        assert found is not None and (found.of(codes, 0, 1)[:, :, codes == 4] == 0).all()
    uniform = UNIFORM.of(codes, 0, 1)
    assert (uniform[:, :, codes != 4] == 0.25).all()


def test_given_sequences() -> None:
    given = np.stack([encode(b"AAAA"), encode(b"CCCC")])
    found = Reference("given", "r.fa", given=given)
    assert found.of(encode(b"ACGT"), 1, 0)[0, 1].tolist() == [1] * 4
    assert found.of(encode(b"ACGT"), 1, 0, turned=True)[0, 2].tolist() == [1] * 4
    demand_given(found, 2)
    with pytest.raises(UsageError, match="one, or as many"):
        demand_given(found, 3)


@pytest.mark.parametrize("text", ["A,C,G,T=.5,.5", "A,C,G,T=a,b,c,d", "A,C,G,T=2,-1,0,0", "shuffle:0", "frequencies"])
def test_references_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)
