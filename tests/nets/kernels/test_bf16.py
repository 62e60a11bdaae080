"""Layers trained in bf16 against float32 autograd of torch's own layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from small_nets import random_codes
from torch import Tensor
from torch.nn import functional as F

from varscore.compiled import COMPILES
from varscore.nets import build
from varscore.nets.kernels import bf16, lstm, pointwise
from varscore.nets.layers import one_hot

pytestmark = pytest.mark.skipif(not COMPILES, reason="numba is not here")
SLOPE = 0.5


def halves(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers of -2 to 2: bf16 has them and their sums, so that both sides see the same maxima."""
    return torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(seed)).to(torch.bfloat16)


def compare(mine: Callable[..., Tensor], theirs: Callable[..., Tensor], x: Tensor | None, *weights: Tensor) -> None:
    """Outputs, and the gradients of the input and of all weights, point the same way and are as large."""
    found = []
    for function, dtype in ((mine, torch.bfloat16), (theirs, torch.float32)):
        leaves = [] if x is None else [x.detach().to(dtype).requires_grad_()]
        leaves += [weight.detach().clone().requires_grad_() for weight in weights]
        out = function(*leaves)
        out.backward(halves(*out.shape, seed=9).to(out.dtype))
        found.append([out.detach().float(), *(leaf.grad.float() for leaf in leaves if leaf.grad is not None)])
    assert len(found[0]) == len(found[1]) == 1 + (x is not None) + len(weights)
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        cosine = F.cosine_similarity(one.flatten(), other.flatten(), 0)
        assert cosine > 0.999 and abs(one.norm() / other.norm() - 1) < 0.01


@pytest.mark.parametrize("pool", [1, 5])
@pytest.mark.parametrize("kind", [bf16._FirstByTables, bf16._FirstByProducts])
def test_first_layer(kind: type[torch.autograd.Function], pool: int) -> None:
    codes, weight, bias = random_codes(3, 90), halves(37, 4, 7).float(), halves(37, seed=1).float()

    def mine(weight: Tensor, bias: Tensor) -> Tensor:
        return kind.apply(codes, weight, bias, pool, SLOPE)

    def theirs(weight: Tensor, bias: Tensor) -> Tensor:
        pooled = F.max_pool1d(F.conv1d(one_hot(codes), weight, bias), pool)
        return F.leaky_relu(pooled, SLOPE).transpose(1, 2)

    compare(mine, theirs, None, weight, bias)


@pytest.mark.parametrize("width", [1, 5])
@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("slope", [SLOPE, 1.0])
def test_conv_pool(width: int, pool: int, slope: float) -> None:
    x, weight, bias = halves(4, 31, 32), halves(48, 32, width, seed=1).float() / 8, halves(48, seed=2).float()

    def theirs(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        pooled = F.max_pool1d(F.conv1d(x.transpose(1, 2), weight, bias), pool)
        return F.leaky_relu(pooled, slope).transpose(1, 2)

    compare(lambda *given: bf16.conv_pool(*given, pool, slope), theirs, x, weight, bias)


@pytest.mark.parametrize("dilation", [1, 4])
def test_residual(dilation: int) -> None:
    x, weight, bias = halves(4, 30, 32), halves(40, 32, 3, seed=1).float() / 8, halves(40, seed=2).float()
    mix = halves(40, 32, seed=3).float() / 8

    def theirs(x: Tensor, weight: Tensor, bias: Tensor, mix: Tensor) -> Tensor:
        steps = F.leaky_relu(x, SLOPE).transpose(1, 2)
        hidden = F.leaky_relu(F.conv1d(steps, weight, bias, dilation=dilation), SLOPE).transpose(1, 2)
        return x[:, dilation:-dilation] + hidden @ mix

    compare(lambda *given: bf16.residual(*given, dilation, SLOPE), theirs, x, weight, bias, mix)


def test_position_pool() -> None:
    x, weight = halves(3, 25, 8), halves(2, 8, 5, seed=1).float()

    def theirs(x: Tensor, weight: Tensor) -> Tensor:
        stretches = [x[:, first : first + 5] for first in range(0, 21, 4)]
        return torch.stack([torch.einsum("ntc,kct->nkc", one, weight).flatten(1) for one in stretches], 1)

    compare(lambda *given: bf16.position_pool(*given, 4), theirs, x, weight)


@pytest.mark.parametrize("backward", [False, True])
def test_lstm(backward: bool) -> None:
    """One direction of torch's own layer."""
    torch.manual_seed(0)
    layer = torch.nn.LSTM(16, 32)
    steps = torch.randn(12, 20, 16).to(torch.bfloat16)
    weights = [weight.detach().to(torch.bfloat16).float() for weight in layer.parameters()]

    def theirs(x: Tensor, *weights: Tensor) -> Tensor:
        start = x.new_zeros(1, 20, 32)
        turned = x.flip(0) if backward else x
        states = torch.lstm(turned, (start, start), list(weights), True, 1, 0.0, True, False, False)[0]
        return states.flip(0) if backward else states

    compare(lambda x, *given: lstm.direction(x, list(given), backward), theirs, steps, *weights)


def test_rounding_is_torchs() -> None:
    """As torch rounds: to the nearest, ties to even."""
    values = torch.cat([torch.randn(1000), torch.tensor([0.0, -0.0, torch.inf, -torch.inf, 1 + 2**-8, 1 + 3 * 2**-8])])
    out = torch.empty(1, 1, len(values), dtype=torch.bfloat16)
    pointwise.finish(values.numpy()[None, None], np.zeros(len(values), np.float32), 1.0, bf16.bits(out))
    assert torch.equal(out[0, 0], values.to(torch.bfloat16))


def test_many_pieces_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little is kept in the cache at a time, and however many threads there are."""
    x, weight, bias = halves(9, 30, 32), halves(40, 32, 3, seed=1).float(), halves(40, seed=2).float()
    whole = bf16.conv_pool(x, weight, bias, 2, SLOPE)
    monkeypatch.setattr(bf16, "CACHED", 1)
    assert torch.equal(bf16.conv_pool(x, weight, bias, 2, SLOPE), whole)


@pytest.mark.skipif(not bf16.multiplies(), reason="this CPU does not multiply in bf16")
def test_networks_take_them_under_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for name in ("first_layer", "conv_pool", "residual", "position_pool"):
        original = getattr(bf16, name)
        monkeypatch.setattr(bf16, name, lambda *a, o=original, n=name: (taken.append(n), o(*a))[1])
    net = build("dilated", n_tasks=3, window=400, filters=40, channels=32, hidden=16, dilations=(1, 2)).train()
    codes = random_codes(2, 600)
    net.bins(codes, 2)
    assert not taken, "float32 is float32"
    with torch.autocast("cpu", torch.bfloat16):
        net.bins(codes, 2)
    assert taken == ["first_layer", "conv_pool", "residual", "residual", "position_pool"]


def test_a_network_trains_as_in_float32() -> None:
    """Gradients of all weights of a whole network, dropout off."""
    torch.manual_seed(0)
    net = build("dilated", n_tasks=5, window=400, filters=40, channels=32, hidden=32, dilations=(1, 2), dropout=0.0)
    net.layers[2].p = 0.0
    codes, gradients = random_codes(6, 800), []
    for reduced in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            outputs = net.train().bins(codes, 3)
        outputs.float().square().sum().backward()
        gradients.append([parameter.grad.flatten() for parameter in net.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert F.cosine_similarity(one, other, 0) > 0.995
