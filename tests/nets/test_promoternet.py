"""PromoterNet: its size, its layers, and where it looks."""

from __future__ import annotations

import pytest
import torch
from published_counts import EXPRESSION
from small_nets import random_codes, small
from torch import nn

from varscore.errors import UsageError
from varscore.nets import build
from varscore.nets.attentionnet import Attention
from varscore.nets.promoternet import ForwardLSTM, PromoterNet


@pytest.mark.parametrize(("name", "arguments", "keras", "both"), EXPRESSION)
def test_parameter_counts_are_the_papers(name: str, arguments: dict[str, int], keras: int, both: int) -> None:
    with torch.device("meta"):
        net = build(name, **arguments)
    assert net.counts() == (keras, both)
    assert (net.window, net.objective, net.strands) == (2000, "values", "both-mean")


@pytest.mark.parametrize(("window", "pooled"), [(2000, 500), (250, 62)])
def test_feature_maps_are_the_papers(window: int, pooled: int) -> None:
    net, shapes = build("promoternet", n_tasks=11, window=window).eval(), []
    x = torch.zeros(2, 4, window)
    for layer in net.layers:
        x = layer(x)
        if not isinstance(layer, nn.Dropout):
            shapes.append(tuple(x.shape[1:]))
    convolved, kept = [(8, window)] * 4, [(8, pooled)] * 4
    assert shapes == [*convolved, *kept, (16, pooled), (16,), *[(256,)] * 6, (11,)]
    assert [module.p for module in net.modules() if isinstance(module, nn.Dropout)] == [0.3] * 3


def test_the_lstm_reads_from_one_end_only() -> None:
    torch.manual_seed(0)
    layer, x = ForwardLSTM(3, 4), torch.randn(2, 3, 9)
    gates, hidden, cell = layer.weight_hh_l0, torch.zeros(2, 4), torch.zeros(2, 4)
    for t in range(9):
        sums = x[:, :, t] @ layer.weight_ih_l0.T + layer.bias_ih_l0 + hidden @ gates.T + layer.bias_hh_l0
        i, f, g, o = sums.chunk(4, 1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        assert torch.allclose(layer(x)[:, :, t], hidden, atol=1e-6)


def test_the_mask_weights_what_the_lstm_says() -> None:
    net = small("promoternet").eval()
    assert isinstance(net, PromoterNet)
    codes = random_codes(3, net.window)
    mask, seen = net.attention(codes), []
    at = next(i for i, layer in enumerate(net.layers) if isinstance(layer, Attention))
    net.layers[at].register_forward_hook(lambda _, given, out: seen.extend([*given, out]))
    net(codes)
    steps, pooled = seen
    assert mask.shape == (3, net.window // 4) and mask.min() >= 0
    assert torch.allclose(mask.sum(1), torch.ones(3), atol=1e-6)
    expected = torch.stack([sum(mask[n, t] * steps[n, :, t] for t in range(mask.shape[1])) for n in range(3)])
    assert torch.allclose(pooled, expected, atol=1e-5)


def test_a_window_is_as_long_as_the_pool_at_least() -> None:
    with pytest.raises(UsageError, match="3 positions are too few"):
        build("promoternet", window=3)
