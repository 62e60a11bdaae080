"""The table convolution against torch's, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import random_codes
from torch import Tensor
from torch.nn import functional as F

from varscore.nets.kernels import kmertable
from varscore.nets.kernels.kmertable import (
    ROWS,
    convolve_columns,
    convolve_pool,
    convolve_pool_activate,
    table_gradient,
    tables,
)
from varscore.nets.layers import one_hot


def by_torch(codes: Tensor, weight: Tensor, pool: int) -> Tensor:
    return F.max_pool1d(F.conv1d(one_hot(codes, weight.dtype), weight), pool).transpose(1, 2)


@settings(max_examples=40)
@given(
    rows=st.integers(1, 19),
    length=st.integers(12, 60),
    width=st.integers(1, 40),
    pool=st.integers(1, 7),
    filters=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_forward_and_backward_are_torchs(
    rows: int, length: int, width: int, pool: int, filters: int, seed: int
) -> None:
    if length - width + 1 < pool:
        length = width + pool
    codes = random_codes(rows, length, seed, unknown=0.2)
    torch.manual_seed(seed)
    weight = torch.randn(filters, 4, width)
    ours, theirs = weight.clone().requires_grad_(), weight.double().requires_grad_()
    found, expected = convolve_pool(codes, ours, pool), by_torch(codes, theirs, pool)
    assert found.shape == (rows, (length - width + 1) // pool, filters)
    assert (found - expected).abs().max() < 1e-5
    pull = torch.randn(expected.shape)
    found.backward(pull)
    if ties(codes, weight, pool):
        return  # torch and the tables may send the gradient to different places of one maximum
    expected.backward(pull.double())
    assert ours.grad is not None and theirs.grad is not None
    assert (ours.grad - theirs.grad).abs().max() < 1e-4


def test_inference_and_training_give_the_same_bits() -> None:
    codes, weight = random_codes(9, 120), torch.randn(7, 4, 20)
    trained = convolve_pool(codes, weight.clone().requires_grad_(), 6)
    assert torch.equal(convolve_pool(codes, weight, 6), trained)
    with torch.inference_mode():
        assert torch.equal(convolve_pool(codes, weight, 6), trained)


def ties(codes: Tensor, weight: Tensor, pool: int) -> bool:
    """Whether two different 'words' of bases reach the same maximum within 1e-6, somewhere."""
    mapped = F.conv1d(one_hot(codes, torch.float64), weight.double())
    cells = mapped.unfold(2, pool, pool)
    best = cells.max(3, keepdim=True).values
    return bool(((best - cells).abs() < 1e-6).sum(3).gt(1).any())


def test_the_first_of_equal_maxima_takes_the_gradient() -> None:
    codes = torch.tensor([[0, 0, 0, 0]], dtype=torch.uint8)
    weight = torch.ones(1, 4, 2, requires_grad=True)
    convolve_pool(codes, weight, 3).sum().backward()
    assert weight.grad is not None
    assert weight.grad[0].tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]


def test_unknown_bases_add_nothing() -> None:
    codes = torch.full((1, 10), 4, dtype=torch.uint8)
    weight = torch.randn(3, 4, 5)
    assert not convolve_pool(codes, weight, 2).any()


def test_results_are_the_same_bits_on_one_thread_and_on_two() -> None:
    codes, pull = random_codes(37, 200), torch.randn(37, 24, 5)
    results = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        weight = torch.randn(5, 4, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        pooled = convolve_pool(codes, weight, 8)
        pooled.backward(pull)
        results.append((pooled.detach(), weight.grad))
    torch.set_num_threads(before)
    (one, one_gradient), (two, two_gradient) = results
    assert torch.equal(one, two)
    assert one_gradient is not None and two_gradient is not None and torch.equal(one_gradient, two_gradient)


@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_tables_hold_sums_of_weights(width: int) -> None:
    weight = torch.randn(2, 4, width)
    table = tables(weight)
    steps = -(-width // 3)
    assert table.shape == (steps, ROWS, 2)
    for step in range(steps):
        for word in ((0, 1, 2), (3, 4, 0), (4, 4, 4)):
            columns = [(base, 3 * step + i) for i, base in enumerate(word) if base < 4 and 3 * step + i < width]
            expected = sum((weight[:, base, at] for base, at in columns), torch.zeros(2))
            row = 25 * word[0] + 5 * word[1] + word[2]
            assert torch.allclose(table[step, row], expected, atol=1e-6)


@pytest.mark.parametrize("width", [4, 6])
def test_table_gradient_is_the_transpose(width: int) -> None:
    """<tables(w), g> = <w, table_gradient(g)> for every w and g."""
    torch.manual_seed(0)
    weight, gradient = torch.randn(3, 4, width), torch.randn(2, ROWS, 3)
    left, right = (tables(weight) * gradient).sum(), (weight * table_gradient(gradient, width)).sum()
    assert torch.allclose(left, right, rtol=1e-4)


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_inference_in_one_pass_is_the_same_bits(slope: float) -> None:
    torch.manual_seed(0)
    codes, weight, bias = random_codes(9, 60), torch.randn(5, 4, 7), torch.randn(5)
    pooled = convolve_pool(codes, weight, 4) + bias
    expected = F.leaky_relu(pooled, slope)
    assert (pooled < 0).any() and (pooled > 0).any()
    assert torch.equal(convolve_pool_activate(codes, weight, bias, 4, slope), expected)


@settings(max_examples=60)
@given(
    shifts=st.lists(st.one_of(st.just(-1), st.integers(0, 60)), max_size=12),
    width=st.integers(1, 34),
    pool=st.integers(1, 9),
    filters=st.sampled_from([1, 5, 356]),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 9),
)
def test_windows_that_overlap_get_the_bits_they_get_alone(
    shifts: list[int], width: int, pool: int, filters: int, threads: int, seed: int
) -> None:
    """Wherever they overlap and by how much (-1: not at all), and whichever cells are wanted."""
    length, shift = 90, np.array([-1, *shifts])
    starts = np.cumsum(np.where(shift < 0, length, shift))
    contig = random_codes(1, int(starts[-1]) + length, seed=1, unknown=0.1)[0]
    codes = torch.stack([contig[start : start + length] for start in starts.tolist()])
    torch.manual_seed(0)
    weight, bias = torch.randn(filters, 4, width), torch.randn(filters)
    alone = torch.cat([convolve_pool_activate(window[None], weight, bias, pool, 0.3) for window in codes])
    random = np.random.default_rng(seed)
    wanted = random.permutation(alone[:, :, 0].numel())[: random.integers(1, alone[:, :, 0].numel() + 1)]
    to = np.full(alone.shape[:2], -1)
    to.reshape(-1)[wanted] = np.arange(len(wanted))
    found = torch.full((len(wanted) + 1, filters), 7.0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        convolve_columns(codes, weight, bias, pool, 0.3, shift, to, found)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[:-1], alone.flatten(0, 1)[wanted])
    assert (found[-1] == 7).all()


def test_windows_are_taken_together_where_each_is_near_the_one_before() -> None:
    found = list(kmertable._runs(np.array([-1, 5, 0, 40, -1, 9, 2]), 12))
    assert found == [(0, 3, True), (3, 4, False), (4, 7, True)]
    assert list(kmertable._runs(np.array([-1, 30, -1]), 12)) == [(0, 3, False)]


def test_tables_kept_for_inference_follow_the_weights() -> None:
    """However they were changed: torch does not count what is done through ``.data``."""
    codes, bias = random_codes(2, 40), torch.zeros(3)
    weight = torch.nn.Parameter(torch.randn(3, 4, 5))
    for change in (lambda: None, lambda: weight.data.mul_(2), lambda: weight.detach().add_(1), lambda: None):
        change()
        found = convolve_pool_activate(codes, weight, bias, 2, 1.0)
        assert torch.equal(found, convolve_pool(codes, weight.detach(), 2))
    other = torch.randn(3, 4, 5)
    assert torch.equal(convolve_pool_activate(codes, other, bias, 2, 1.0), convolve_pool(codes, other, 2))
