"""The network of the search space: Tables 3 and 4 are two of its points, and its size is known before it is built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from published_counts import EXPRESSION, TFBS
from small_nets import random_codes
from torch import nn

from varscore.errors import UsageError
from varscore.nets import build
from varscore.nets.architect import PositionRNN, parameters
from varscore.nets.attentionnet import AttentiveNet, ConvNorm, Residual
from varscore.search.space import TABLE_3, TABLE_4, WHOLE, arguments, draw

PUBLISHED = [("attentionnet", TABLE_3, row) for row in TFBS if row[0] == "attentionnet"]
PUBLISHED += [("promoternet", TABLE_4, row) for row in EXPRESSION]
SMALL = {"filters": 4, "convs_before": 2, "convs_after": 1, "fc_units": 6, "fc_layers": 1, "rnn_units": 3}


@pytest.mark.parametrize(("name", "point", "row"), PUBLISHED)
def test_the_tables_are_two_of_its_points_to_the_bit(name: str, point: dict[str, Any], row: tuple[Any, ...]) -> None:
    _, sizes, keras, both = row
    sizes = {"window": 2000, **sizes} if name == "promoternet" else sizes
    torch.manual_seed(3)
    theirs = build(name, **sizes).eval()
    torch.manual_seed(3)
    ours = build("architect", **arguments(point), **sizes).eval()
    weights = {key: value for key, value in theirs.state_dict().items() if not key.startswith("goal.")}
    assert list(weights) == list(ours.state_dict())
    assert all(torch.equal(value, ours.state_dict()[key]) for key, value in weights.items())
    assert ours.counts() == (keras, both) and parameters(ours.config) == both
    assert isinstance(ours, AttentiveNet) and isinstance(theirs, AttentiveNet)
    if ours.n_tasks == 1:
        codes = random_codes(2, ours.window)
        assert torch.equal(theirs(codes), ours(codes))
        assert torch.equal(theirs.attention(codes), ours.attention(codes))


def drawn(number: int) -> tuple[dict[str, Any], dict[str, int]]:
    point = draw(WHOLE, np.random.default_rng((1, number)))
    window, tasks = ((101, 1), (250, 11), (2000, 11))[number % 3]
    return arguments(point), {"window": window, "n_tasks": tasks}


def test_its_size_is_known_before_it_is_built() -> None:
    for number in range(60):
        given, sizes = drawn(number)
        with torch.device("meta"):
            net = build("architect", **given, **sizes)
        assert parameters(net.config) == sum(p.numel() for p in net.parameters()), given


@pytest.mark.parametrize("number", range(12))
def test_any_draw_runs_both_ways(number: int) -> None:
    given, _ = drawn(number)
    net = build("architect", **{**given, "filters": 8, "fc_units": 16}, window=101, n_tasks=3)
    assert isinstance(net, AttentiveNet) == (given["global_reduction"] == "attention")
    out = net(random_codes(3, 101))
    out.square().sum().backward()
    assert out.shape == (3, 3) and torch.isfinite(out).all()
    assert all(p.grad is not None for p in net.parameters())


def test_units_are_residual_where_they_are_said_to_be_but_for_the_first() -> None:
    net = build(
        "architect", **{**SMALL, "convs_before": 3}, residual_before=True, residual_after=False, reduction="max"
    )
    kinds = [type(layer) for layer in net.layers if isinstance(layer, (ConvNorm, Residual, nn.MaxPool1d))]
    assert kinds == [ConvNorm, Residual, Residual, nn.MaxPool1d, ConvNorm]


@pytest.mark.parametrize(("reduction", "left"), [("none", 101), ("max", 25), ("mean", 25), ("strided", 26)])
def test_what_the_reduction_leaves(reduction: str, left: int) -> None:
    net = build("architect", **SMALL, reduction=reduction, stride=4, global_reduction="none").eval()
    seen: list[int] = []
    for layer in net.layers:
        layer.register_forward_hook(lambda _, given, out: seen.append(out.shape[-1]) if out.dim() == 3 else None)
    assert net(random_codes(2, 101)).shape == (2, 1)
    assert (seen[-1], net.config.positions) == (left, left)


def test_a_strided_convolution_reads_every_fourth_place() -> None:
    torch.manual_seed(0)
    x, layer = torch.randn(1, 3, 21), ConvNorm(3, 2, 5, norm=False, stride=4)
    whole = ConvNorm(3, 2, 5, norm=False)
    whole.load_state_dict(layer.state_dict())
    assert torch.allclose(layer(x), whole(x)[:, :, ::4], atol=1e-6)


def test_batch_norm_is_left_out_everywhere_or_nowhere() -> None:
    for norm in (True, False):
        net = build("architect", **SMALL, conv_norm=norm, fc_norm=norm)
        assert sum(isinstance(module, nn.BatchNorm1d) for module in net.modules()) == (7 if norm else 0)


def test_the_simple_recurrence_is_of_tanh_and_reads_from_one_end() -> None:
    torch.manual_seed(0)
    layer, x, hidden = PositionRNN(3, 4), torch.randn(2, 3, 9), torch.zeros(2, 4)
    for t in range(9):
        sums = x[:, :, t] @ layer.weight_ih_l0.T + layer.bias_ih_l0 + hidden @ layer.weight_hh_l0.T + layer.bias_hh_l0
        hidden = sums.tanh()
        assert torch.allclose(layer(x)[:, :, t], hidden, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nonlinearity": "relo"}, "nonlinearity = 'relo' is no choice; did you mean relu"),
        ({"reduction": "median"}, "reduction = 'median' is no choice; (did you mean|one of)"),
        ({"nonlinearity": 3}, "nonlinearity = 3 is no word"),
        ({"conv_width": 4}, "conv_width = 4 is even"),
        ({"reduction": "max", "stride": 8, "window": 7}, "too few"),
    ],
)
def test_wrong_arguments_are_usage_errors(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build("architect", **given)
