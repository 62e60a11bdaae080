"""How weights begin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_nets import small
from torch import nn

from varscore.errors import UsageError
from varscore.nets import build
from varscore.nets.init import informative, init_motifs
from varscore.nets.layers import BiLSTM, SequenceConv, SequenceNet


@pytest.fixture
def danq() -> SequenceNet:
    return small("danq", filters=50, hidden=40, dense=60)


def test_danq_begins_as_its_scripts_do(danq: SequenceNet) -> None:
    convolution, _, lstm, _, _, dense, _, output = danq.layers
    assert isinstance(convolution, SequenceConv) and isinstance(lstm, BiLSTM)
    assert convolution.weight.abs().max() <= 0.05
    assert float(convolution.weight.detach().std()) == pytest.approx(0.1 / 12**0.5, rel=0.05)
    for layer in (convolution, dense, output):
        assert not layer.bias.any()  # type: ignore[union-attr,operator]
    for layer in (dense, output):
        assert isinstance(layer, nn.Linear)
        limit = (6 / (layer.in_features + layer.out_features)) ** 0.5
        assert 0.9 * limit < layer.weight.abs().max() <= limit


def test_lstm_gates_are_glorot_orthogonal_and_remember(danq: SequenceNet) -> None:
    lstm = danq.layers[2]
    assert isinstance(lstm, BiLSTM)
    for suffix in ("", "_reverse"):
        for gate in getattr(lstm, f"weight_hh_l0{suffix}").chunk(4):
            assert torch.allclose(gate @ gate.T, torch.eye(40), atol=1e-5)
        for gate in getattr(lstm, f"weight_ih_l0{suffix}").chunk(4):
            limit = (6 / (50 + 40)) ** 0.5
            assert 0.9 * limit < gate.abs().max() <= limit
        total = getattr(lstm, f"bias_ih_l0{suffix}") + getattr(lstm, f"bias_hh_l0{suffix}")
        assert [gate.unique().tolist() for gate in total.chunk(4)] == [[0], [1], [0], [0]]  # in, forget, cell, out


@pytest.mark.parametrize("name", ["crnn-320", "crnn-320-projection"])
def test_crnn_activations_begin_at_unit_size_and_its_output_small(name: str) -> None:
    torch.manual_seed(0)
    net = build(name, n_tasks=20, hidden=20).eval()
    x = torch.randint(0, 4, (8, 1000), dtype=torch.uint8)
    for layer in net.layers:
        x = layer(x)
        if isinstance(layer, nn.Conv1d):
            assert 0.5 < x.square().mean().sqrt() < 4
    assert x.abs().max() < 0.5


def frequencies(width: int, seed: int = 0) -> np.ndarray:
    counts = np.random.default_rng(seed).random((width, 4))
    return counts / counts.sum(1, keepdims=True)


def places(width: int, kernel: int) -> set[int]:
    """Where a motif of this width is put in 200 filters of width ``kernel``."""
    motif, found = frequencies(width), set()
    torch.manual_seed(1)
    net, random = (small("danq", filters=200, width=kernel) for _ in range(2))
    random.load_state_dict(net.state_dict())
    init_motifs(net, [motif] * 200)
    for filter_, begun in zip(kernels(net), kernels(random), strict=True):
        changed = np.flatnonzero((filter_ != begun).any(0))
        at = int(changed[0])
        assert changed.tolist() == list(range(at, at + width)), "the rest stays at its random start"
        assert np.allclose(filter_[:, changed], motif.T - 0.25, atol=1e-7)
        found.add(at)
    assert np.abs(kernels(random)).min() > 0
    return found


def kernels(net: SequenceNet) -> np.ndarray:
    first = net.layers[0]
    assert isinstance(first, SequenceConv)
    return first.weight.detach().numpy()


def test_motifs_lie_three_bases_from_the_ends_where_they_can() -> None:
    assert places(10, 20) == set(range(3, 8))  # 3 .. k-w-3
    assert places(14, 20) == {3}
    assert places(15, 20) == set(range(6))  # 0 .. k-w
    assert places(20, 20) == {0}


def test_of_a_wide_motif_the_informative_columns_are_kept() -> None:
    flat, sharp = [0.25] * 4, [1.0, 0, 0, 0]
    motif = np.array([flat, flat, sharp, [0.0, 1, 0, 0], sharp, flat])
    assert informative(motif, 3).tolist() == [sharp, [0, 1, 0, 0], sharp]
    assert informative(motif, 6) is motif
    net = small("danq", filters=2, width=3)
    assert init_motifs(net, [motif]) == 1
    expected = np.array([[0.75, -0.25, 0.75], [-0.25, 0.75, -0.25], [-0.25] * 3, [-0.25] * 3])
    assert net.layers[0].weight[0].detach().numpy() == pytest.approx(expected)  # type: ignore[union-attr,index,operator]


def test_other_filters_stay_and_spare_motifs_are_left_out() -> None:
    net, same = small("danq", filters=6), small("danq", filters=6)
    assert init_motifs(net, [frequencies(9, seed) for seed in range(4)]) == 4
    layer, before = net.layers[0], same.layers[0]
    assert torch.equal(layer.weight[4:], before.weight[4:])  # type: ignore[index]
    assert not layer.bias[4:].any()  # type: ignore[index,union-attr]
    assert ((layer.bias[:4] > -1) & (layer.bias[:4] < 0)).all()  # type: ignore[index,operator]
    assert init_motifs(net, [frequencies(9)] * 100) == 6


def test_only_a_network_with_filters_takes_motifs() -> None:
    with pytest.raises(UsageError, match="begins with a convolution"):
        init_motifs(small("kmer"), [frequencies(5)])
