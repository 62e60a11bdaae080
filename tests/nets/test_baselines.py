"""k-mer counts against counting in strings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_nets import random_codes, small

from varscore.nets.baselines import KmerCounts, KmerLogistic
from varscore.nets.kernels.kmercounts import count_kmers, width
from varscore.nets.layers import one_hot, reverse_complement


def by_strings(codes: np.ndarray, longest: int) -> list[int]:
    text = "".join("ACGTN"[code] for code in codes)
    words = ["".join(word) for k in range(1, longest + 1) for word in itertools.product("ACGT", repeat=k)]
    return [sum(text[i : i + len(word)] == word for i in range(len(text))) for word in words]


@settings(max_examples=40)
@given(hnp.arrays(np.uint8, (3, 14), elements=st.integers(0, 4)), st.integers(1, 3))
def test_counts_are_those_of_strings(codes: np.ndarray, longest: int) -> None:
    counts = count_kmers(codes, longest)
    assert counts.dtype == np.float32 and counts.shape == (3, width(longest))
    assert counts.tolist() == [by_strings(row, longest) for row in codes]


def test_five_mers_of_a_long_window() -> None:
    codes = random_codes(2, 300, unknown=0.02).numpy()
    assert count_kmers(codes, 5).tolist() == [by_strings(row, 5) for row in codes]
    assert width(5) == 1364


def test_threads_do_not_change_counts() -> None:
    codes = random_codes(33, 100).numpy()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    one = count_kmers(codes, 4)
    torch.set_num_threads(2)
    two = count_kmers(codes, 4)
    torch.set_num_threads(before)
    assert np.array_equal(one, two)


def test_standardised_counts_have_mean_0_and_variance_1() -> None:
    windows = random_codes(50, 120, unknown=0)
    layer = KmerCounts(2)
    layer.standardise(windows.split(7))
    out = layer(windows).double()
    assert out.mean(0).abs().max() < 1e-5
    assert (out.var(0, unbiased=False) - 1).abs().max() < 1e-4
    assert torch.allclose(layer(one_hot(windows)), layer(windows))


def test_a_count_that_never_changes_stays_finite() -> None:
    windows = torch.zeros(4, 20, dtype=torch.uint8)  # AAAA...
    layer = KmerCounts(1)
    layer.standardise([windows])
    assert layer.scale.tolist() == [1, 1, 1, 1]
    assert not layer(windows).any()


def test_prepare_takes_the_statistics_of_the_windows_given() -> None:
    net = small("kmer")
    assert isinstance(net, KmerLogistic)
    windows = random_codes(30, net.window, unknown=0)
    net.prepare([windows, reverse_complement(windows)])
    counts = np.concatenate([count_kmers(w.numpy(), 3) for w in (windows, reverse_complement(windows))])
    layer = net.layers[0]
    assert isinstance(layer, KmerCounts)
    assert layer.mean.numpy() == pytest.approx(counts.mean(0), rel=1e-5)
    assert layer.scale.numpy() == pytest.approx(counts.std(0), rel=1e-4, abs=1e-4)
