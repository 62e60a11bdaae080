"""Dropout of bf16 maps: which values are kept, what becomes of them, and that gradients meet the same mask."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from varscore.compiled import COMPILES
from varscore.nets.kernels import bf16
from varscore.nets.kernels.dropout import dropout
from varscore.nets.layers import Dropout

pytestmark = pytest.mark.skipif(not COMPILES, reason="numba is not here")


def kept(shape: tuple[int, ...], p: float, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return dropout(torch.ones(shape, dtype=torch.bfloat16), p) != 0


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5])
def test_as_many_are_kept_as_should_be_wherever_they_are_and_whatever_their_neighbours(p: float) -> None:
    mask = kept((400, 1000), p, seed=1).double()
    n = mask.numel()
    assert abs(mask.mean() - (1 - p)) < 4 * (p * (1 - p) / n) ** 0.5
    for axis, size in ((0, 1000), (1, 400)):  # of rows and of columns the shares scatter as those of coins
        shares = mask.mean(axis)
        chi = float(((shares - (1 - p)) ** 2).sum() / (p * (1 - p) / (n / size)))
        assert abs(chi - size) < 4 * (2 * size) ** 0.5
    flat = mask.flatten() - mask.mean()
    for lag in (1, 2, 4, 8, 1000, 50_000, 1 << 17):  # 50,000 values are a piece, 1 << 17 are drawn at a time
        together = float((flat[lag:] * flat[:-lag]).mean() / (p * (1 - p)))
        assert abs(together) < 4 / (n - lag) ** 0.5


def test_torch_s_generator_decides_and_no_call_is_as_the_one_before() -> None:
    one, other = kept((300, 70), 0.5, seed=3), kept((300, 70), 0.5, seed=3)
    assert torch.equal(one, other) and not torch.equal(one, kept((300, 70), 0.5, seed=4))
    second = dropout(torch.ones(300, 70, dtype=torch.bfloat16), 0.5) != 0
    assert abs(float((one == second).double().mean()) - 0.5) < 0.02


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 2, 0), (2, 0, 1)])
def test_what_is_kept_is_scaled_and_gradients_meet_the_same_mask_however_a_map_lies_in_memory(
    order: tuple[int, int, int],
) -> None:
    x = torch.rand(5, 7, 11).add(1).to(torch.bfloat16).permute(order).requires_grad_()
    y = dropout(x, 0.25)
    mask = y != 0
    assert y.shape == x.shape and y.stride() == x.stride() and 0.6 < mask.double().mean() < 0.9
    expected = (x.detach().float() * mask / 0.75).to(torch.bfloat16)
    assert torch.equal(y, expected)
    given = torch.rand(y.shape).add(1).to(torch.bfloat16)  # however the gradient lies
    y.backward(given)
    assert x.grad is not None and torch.equal(x.grad, (given.float() * mask / 0.75).to(torch.bfloat16))


def test_the_number_of_threads_changes_nothing() -> None:
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(kept((97, 1013), 0.3, seed=5))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_all_or_nothing() -> None:
    x = torch.ones(4, 3, dtype=torch.bfloat16, requires_grad=True)
    assert not dropout(x, 1.0).any() and torch.equal(dropout(x, 0.0), x)
    assert dropout(torch.ones(0, 3, dtype=torch.bfloat16), 0.5).shape == (0, 3)


def test_the_layer_takes_it_in_training_in_bf16_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bf16, "multiplies", lambda: True)
    called = []
    monkeypatch.setattr("varscore.nets.layers.dropout", lambda x, p: called.append(p) or x)
    layer, half, full = Dropout(0.5), torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(2, 3)
    layer(half), layer(full)
    with torch.autocast("cpu", torch.bfloat16):
        layer(full), layer.eval()(half), Dropout(0.0)(half)
        assert not called
        layer.train()(half)
    assert called == [0.5]
