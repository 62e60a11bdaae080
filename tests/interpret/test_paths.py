"""The straight-path rule: sums worked out by hand, integrals by brute force, and completeness on every architecture."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import WINDOW, lively
from small_nets import random_codes
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.engine.plain import PlainEngine
from varscore.errors import UsageError
from varscore.interpret.gradients import deeplift
from varscore.interpret.paths import RULES, Pair, demand_rules, outputs_of, through, winning_shares
from varscore.interpret.references import Reference, parse_reference
from varscore.nets import architectures
from varscore.nets.layers import SequenceNet, one_hot
from varscore.nets.walk import NoRule, is_list

CPU = torch.device("cpu")
TWO = np.array([0, 1])
COMPLETE = [name for name in sorted(architectures()) if name not in ("kmer", "kmer-tracks") and "binding" not in name]
OTHERS = sorted(set(architectures()) - set(COMPLETE))
REFERENCES = ("shuffle:2", "uniform", "zeros", "A,C,G,T=.3,.2,.2,.3", "given")


def reference(text: str) -> Reference:
    found = parse_reference(text)
    return found or Reference("given", "some.fa", given=random_codes(1, WINDOW, seed=99, unknown=0).numpy())


def doubled(net: SequenceNet) -> SequenceNet:
    return copy.deepcopy(net).double()


def contributions(pair: Pair, x: Tensor, x0: Tensor) -> list[float]:
    (multiplier,) = torch.autograd.grad(pair.x.sum(), x)
    return ((x - x0) * multiplier).detach().flatten().tolist()


def pair_of(x: list[float], x0: list[float]) -> tuple[Pair, Tensor, Tensor]:
    given = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    other = torch.tensor([x0], dtype=torch.float64)
    return Pair(given, other), given, other


# -- by hand ---------------------------------------------------------------------------------------------------------


def test_the_toy_of_the_thesis() -> None:
    """1 - ReLU(1 - x1 - x2) at (1, 1) against (0, 0): plain gradients are 0 there."""
    pair, x, x0 = pair_of([1, 1], [0, 0])
    y = pair.affine(lambda v: 1 - v.sum(1)).leaky(0.0).affine(lambda v: 1 - v)
    assert contributions(y, x, x0) == pytest.approx([0.5, 0.5])


def test_a_product_is_shared_fairly() -> None:
    pair, x, x0 = pair_of([3, 5], [1, 1])
    y = pair.affine(lambda v: v[:, 0]) * pair.affine(lambda v: v[:, 1])
    assert contributions(y, x, x0) == pytest.approx([6, 8])


@pytest.mark.parametrize(
    ("x", "x0", "shares"), [([1, 3], [0, 0], [0, 3]), ([0, 1], [2, 0], [-4 / 3, 1 / 3]), ([2, 2], [1, 1], [0.5, 0.5])]
)
def test_a_maximum_is_shared_along_the_way(x: list[float], x0: list[float], shares: list[float]) -> None:
    pair, given, other = pair_of(x, x0)
    assert contributions(pair.maximum(), given, other) == pytest.approx(shares)


def test_the_rescale_rule_where_nothing_changes() -> None:
    """The derivative takes the place of 0 / 0; the two meet where the difference is just larger."""
    for apart in (0.0, 1e-10, 1e-8):
        pair, x, _ = pair_of([0.3], [0.3 - apart])
        (multiplier,) = torch.autograd.grad(pair.tanh().x.sum(), x)
        assert multiplier.item() == pytest.approx(1 - np.tanh(0.3) ** 2, rel=1e-6)


# -- by brute force --------------------------------------------------------------------------------------------------

few = st.lists(st.floats(-3, 3).map(lambda x: round(x, 2)), min_size=4, max_size=4)


@settings(max_examples=60)
@given(few, few)
def test_winning_shares(x: list[float], x0: list[float]) -> None:
    """Against who is the largest at each of 20,000 points of the way; ties of whole stretches are split evenly."""
    a, b = np.array(x), np.array(x0)
    shares = winning_shares(torch.tensor(x, dtype=torch.float64), torch.tensor(x0, dtype=torch.float64)).numpy()
    lines = b + (np.arange(20_000)[:, None] + 0.5) / 20_000 * (a - b)
    largest = lines >= lines.max(1, keepdims=True) - 1e-12
    counted = (largest / largest.sum(1, keepdims=True)).mean(0)
    assert shares.sum() == pytest.approx(1)
    assert np.abs(shares - counted).max() < 3e-4
    assert shares @ (a - b) == pytest.approx(a.max() - b.max(), abs=1e-9)


def integral(function: nn.Module | object, x: Tensor, x0: Tensor, points: int = 4000) -> Tensor:
    """Of the gradient along the straight way: what the multiplier of one node must be."""
    t = (torch.arange(points, dtype=x.dtype)[:, None] + 0.5) / points
    on_the_way = (x0 + t * (x - x0)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(function(on_the_way).sum(), on_the_way)  # type: ignore[operator]
    return gradient.mean(0, keepdim=True)


@pytest.mark.parametrize(
    "layer",
    [nn.ELU(0.7), nn.Tanh(), nn.Sigmoid(), nn.LeakyReLU(0.2), nn.ReLU(), nn.Linear(5, 3), nn.MaxPool1d(5)],
    ids=lambda layer: type(layer).__name__,
)
def test_a_node_has_its_own_integral(layer: nn.Module) -> None:
    torch.manual_seed(4)
    layer = layer.double()
    x, x0 = (torch.randn(1, 5, dtype=torch.float64) * 2 for _ in range(2))
    x.requires_grad_(True)
    (multiplier,) = torch.autograd.grad(through([layer], Pair(x, x0)).x.sum(), x)
    assert (multiplier - integral(layer, x.detach(), x0)).abs().max() < 2e-3


@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 6.0), (torch.float64, 20.0)])
def test_softmax_and_logsumexp_add_up_apart(dtype: torch.dtype, apart: float) -> None:
    """Contributions grow as the exponential of how far input and reference are apart, and cancel."""
    x = torch.tensor([[9.0, 8.5, 2.0]], dtype=dtype, requires_grad=True)
    x0 = torch.tensor([[9.0, 7.0, 8.5]], dtype=dtype) - apart
    made = contributions(Pair(x, x0).softmax(1).affine(lambda v: v[:, 0]), x, x0)
    wanted = torch.softmax(x, 1)[0, 0] - torch.softmax(x0, 1)[0, 0]
    assert sum(made) == pytest.approx(wanted.item(), abs=1e-5)
    made = contributions(Pair(x, x0).logsumexp(1), x, x0)
    assert sum(made) == pytest.approx((x.logsumexp(1) - x0.logsumexp(1)).item(), rel=1e-6)


# -- networks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPLETE)
def test_every_architecture_is_complete(name: str) -> None:
    """Check 1: float32 to 1e-4 and float64 to 1e-10, whatever the reference; and the walk is the network."""
    net, exact = lively(name, seed=1), None
    codes = random_codes(1, net.window, seed=8)[0]
    exact = doubled(net)
    x = one_hot(codes[None], torch.float64)
    with torch.no_grad():
        walked = outputs_of(exact, Pair(x, x)).x
        assert (walked - exact.layers(exact.shown(x))).abs().max() < 1e-10
    for text in REFERENCES:
        for each, limit in ((net, 1e-4), (exact, 1e-10)):
            found = deeplift(PlainEngine(each, CPU), codes.numpy(), TWO, reference(text), 0, 1)
            assert found.miss.max() <= limit, (text, found.miss)
            assert np.abs(found.total - found.difference).max() <= limit
            assert found.scores.sum(1) == pytest.approx(found.difference, abs=2e-3)
            assert (found.scores[:, codes.numpy() == 4] == 0).all()
        assert np.abs(found.difference).max() > 1e-3, "the test would not notice if nothing were different"


@pytest.mark.parametrize(
    "arguments", [{"hard_gates": True}, {"both_forward": True}, {"hard_gates": True, "both_forward": True}]
)
def test_published_danq_is_complete(arguments: dict[str, bool]) -> None:
    net = doubled(lively("danq", seed=2, **arguments))
    codes = random_codes(1, WINDOW, seed=8)[0]
    found = deeplift(PlainEngine(net, CPU), codes.numpy(), TWO, reference("shuffle:2"), 0, 1)
    assert found.miss.max() <= 1e-10 and np.abs(found.difference).max() > 1e-2


@pytest.mark.parametrize(
    "arguments",
    [
        {"rnn_layers": 2, "rnn_type": "lstm", "bidirectional": True, "global_reduction": "max", "reduction": "mean"},
        {"rnn_layers": 2, "rnn_type": "simple", "bidirectional": True, "nonlinearity": "very-leaky", "fc_norm": True},
        {"rnn_layers": 1, "rnn_type": "simple", "reduction": "strided", "global_reduction": "none", "fc_layers": 0},
    ],
)
def test_networks_of_the_search_are_complete(arguments: dict[str, object]) -> None:
    sizes = {"window": 60, "filters": 5, "rnn_units": 4, "fc_units": 6, "stride": 4, "convs_after": 1}
    net = doubled(lively("architect", seed=2, **{**sizes, **arguments}))
    codes = random_codes(1, 60, seed=8)[0]
    x = one_hot(codes[None], torch.float64)
    with torch.no_grad():
        assert (outputs_of(net, Pair(x, x)).x - net(codes[None])).abs().max() < 1e-10
    found = deeplift(PlainEngine(net, CPU), codes.numpy(), TWO, reference("shuffle:2"), 0, 1)
    assert found.miss.max() <= 1e-10 and np.abs(found.difference).max() > 1e-3


def test_what_is_seen_only() -> None:
    """A network that sees a part of its window, as in the study of safe regions."""
    net = lively("tss", n_tasks=3)
    net.adapt("classes", "one", (60, 100))
    codes = random_codes(1, WINDOW, seed=8, unknown=0)[0]
    found = deeplift(PlainEngine(net, CPU), codes.numpy(), TWO, reference("uniform"), 0, 1)
    assert found.miss.max() <= 1e-4
    hidden = np.r_[0:60, 100:WINDOW]
    assert (found.scores[:, hidden] == 0).all() and np.abs(found.scores[:, 60:100]).max() > 0


@pytest.mark.parametrize("name", OTHERS)
def test_the_others_say_why_not(name: str) -> None:
    with pytest.raises(UsageError, match="ism explains it"):
        demand_rules(lively(name))


def test_a_layer_that_nothing_is_known_of() -> None:
    class Squash(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.softplus(x)

    class Wider(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) ** 2

    pair, _, _ = pair_of([1, 2], [0, 0])
    for layer in (Squash(), Wider(2, 2)):
        assert RULES.find(layer) is None
        with pytest.raises(NoRule, match=type(layer).__name__):
            through([layer], pair)
    for pool in (nn.MaxPool1d(3, stride=1), nn.MaxPool1d(3, ceil_mode=True)):
        with pytest.raises(NoRule, match="max-pooling"):
            through([pool], pair)


def test_lists_are_told_from_other_networks() -> None:
    assert {name for name in architectures() if is_list(lively(name))} == {*COMPLETE, "kmer"}
