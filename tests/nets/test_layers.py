"""Layers against what they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_nets import random_codes, small
from torch import nn
from torch.nn import functional as F

from varscore.errors import UsageError
from varscore.nets import layers
from varscore.nets.architect import PositionLSTM
from varscore.nets.kernels import bf16
from varscore.nets.layers import (
    Activation,
    BiLSTM,
    ConvPool,
    FlattenChannels,
    FlattenTime,
    MeanOverTime,
    Projection,
    SequenceConv,
    one_hot,
    pooled_length,
    reverse_complement,
)
from varscore.nets.promoternet import ForwardLSTM

LETTERS, COMPLEMENT = "ACGTN", str.maketrans("ACGTN", "TGCAN")


@given(hnp.arrays(np.uint8, (2, 12), elements=st.integers(0, 4)))
def test_reverse_complement_is_that_of_strings(codes: np.ndarray) -> None:
    flipped = reverse_complement(torch.from_numpy(codes)).numpy()
    for before, after in zip(codes, flipped, strict=True):
        text = "".join(LETTERS[c] for c in before)
        assert "".join(LETTERS[c] for c in after) == text.translate(COMPLEMENT)[::-1]


def test_one_hot_by_hand() -> None:
    found = one_hot(torch.tensor([[0, 1, 2, 3, 4]], dtype=torch.uint8))
    assert found.tolist() == [[[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]]
    assert one_hot(torch.zeros(1, 1, dtype=torch.uint8), torch.float64).dtype == torch.float64


def test_the_one_hot_of_the_other_strand_is_turned_in_both_directions() -> None:
    codes = random_codes(3, 20)
    assert torch.equal(one_hot(reverse_complement(codes)), one_hot(codes).flip(1, 2))


def test_activation_is_leaky_relu() -> None:
    x = torch.tensor([-2.0, 0.0, 3.0])
    assert Activation()(x).tolist() == [0, 0, 3]
    assert Activation(0.5)(x).tolist() == [-1, 0, 3]


def test_convolution_pool_and_activation_in_the_papers_order() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 30)
    layer = ConvPool(5, 7, 4, 3, slope=0.3)
    expected = F.max_pool1d(F.leaky_relu(F.conv1d(x, layer.weight, layer.bias), 0.3), 3)
    assert (layer(x) - expected).abs().max() < 1e-6
    unpooled = ConvPool(5, 7, 4, 1, slope=0.0)
    assert unpooled(x).shape == (2, 7, 27)


@pytest.mark.parametrize("pool", [1, 4, 300])
def test_first_convolution_is_that_of_one_hot_dna(pool: int) -> None:
    torch.manual_seed(0)
    codes, layer = random_codes(2, 700), SequenceConv(6, 8, pool, slope=0.3)
    nn.init.normal_(layer.bias)  # type: ignore[arg-type]
    expected = F.max_pool1d(F.leaky_relu(F.conv1d(one_hot(codes), layer.weight, layer.bias), 0.3), pool)
    assert (layer(codes) - expected).abs().max() < 1e-5
    assert (layer(one_hot(codes)) - expected).abs().max() < 1e-5
    double = layer.double()(codes)
    assert double.dtype == torch.float64 and (double - expected).abs().max() < 1e-5


def test_off_the_table_path_no_large_map_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU; with gradients there is one map of everything, as training needs it."""
    torch.manual_seed(0)
    codes, layer = random_codes(7, 50), SequenceConv(6, 8, 4, slope=0.3).double()
    expected = layer(codes)
    monkeypatch.setattr(layers, "LARGEST_MAP", 2 * 6 * 43 + 5)  # two rows
    seen, convolve = [], F.conv1d

    def spy(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return convolve(x, weight)

    monkeypatch.setattr(F, "conv1d", spy)
    with torch.inference_mode():
        assert (layer(codes) - expected).abs().max() < 1e-12
    assert seen == [2, 2, 2, 1]
    seen.clear()
    assert torch.equal(layer(codes), expected)
    assert seen == [7]


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_inference_of_the_first_convolution_follows_its_weights(slope: float) -> None:
    torch.manual_seed(0)
    codes, both = random_codes(20, 100), [SequenceConv(6, 8, 4, slope), SequenceConv(6, 8, 4, slope)]
    for layer in [*both, both[0]]:
        with torch.no_grad():
            layer.weight.mul_(1.5)
            nn.init.normal_(layer.bias)  # type: ignore[arg-type]
            trained = layer(codes)
        with torch.enable_grad():
            expected = layer(codes)
        with torch.inference_mode():
            found = layer(codes)
        assert expected.requires_grad and not found.requires_grad
        assert torch.allclose(found, expected, atol=1e-6) and torch.equal(found, trained)


def test_projection_is_a_convolution_of_width_one() -> None:
    torch.manual_seed(0)
    x, layer = torch.randn(2, 6, 11), Projection(6, 3)
    assert (layer(x) - F.conv1d(x, layer.weight[:, :, None])).abs().max() < 1e-6
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_flattening_by_hand() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])  # two channels, three positions
    assert FlattenTime()(x).tolist() == [[1, 4, 2, 5, 3, 6]]
    assert FlattenChannels()(x).tolist() == [[1, 2, 3, 4, 5, 6]]
    assert MeanOverTime()(x).tolist() == [[2, 5]]


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 9))
def test_pooled_length_is_what_torch_leaves(length: int, width: int, pool: int) -> None:
    if length - width + 1 < pool:
        with pytest.raises(UsageError):
            pooled_length(length, width, pool)
    else:
        mapped = F.max_pool1d(F.conv1d(torch.zeros(1, 1, length), torch.zeros(1, 1, width)), pool)
        assert pooled_length(length, width, pool) == mapped.shape[2]


@pytest.fixture
def lstm() -> BiLSTM:
    torch.manual_seed(0)
    return BiLSTM(5, 4, recurrent_dropout=0.5)


STEPS = torch.randn(3, 5, 9, generator=torch.Generator().manual_seed(1))  # (N, channels, T)


def test_bilstm_is_torchs_when_evaluating(lstm: BiLSTM) -> None:
    plain = nn.LSTM(5, 4, bidirectional=True)
    plain.load_state_dict(lstm.state_dict())
    expected = plain(STEPS.permute(2, 0, 1))[0].permute(1, 2, 0)
    assert torch.allclose(lstm.eval()(STEPS), expected, atol=1e-6)


def test_per_step_path_without_dropout_is_the_fused_one(lstm: BiLSTM) -> None:
    fused = lstm.eval()(STEPS)
    lstm.recurrent_dropout = 0.0
    looped = lstm._loop(STEPS.permute(2, 0, 1)).permute(1, 2, 0)
    assert torch.allclose(looped, fused, atol=1e-6)


def test_recurrent_dropout_only_acts_in_training_and_leaves_the_first_step_alone(lstm: BiLSTM) -> None:
    calm = lstm.eval()(STEPS)
    for per_step in (False, True):
        lstm.train().per_step = per_step
        torch.manual_seed(3)
        one = lstm(STEPS)
        torch.manual_seed(3)
        assert torch.equal(lstm(STEPS), one), "the same seed drops the same"
        assert not torch.allclose(lstm(STEPS), one), "another mask the next time"
        # nothing recurs yet in the first step of either direction
        assert torch.allclose(one[:, :4, 0], calm[:, :4, 0], atol=1e-6)
        assert torch.allclose(one[:, 4:, -1], calm[:, 4:, -1], atol=1e-6)
        assert torch.equal(lstm.eval()(STEPS), calm)


def test_weight_drop_mask_is_one_for_all_steps_and_scaled(lstm: BiLSTM) -> None:
    """The training pass equals an evaluation pass with masked, scaled recurrent weights."""
    masked = BiLSTM(5, 4)
    masked.load_state_dict(lstm.state_dict())
    torch.manual_seed(5)
    dropped = lstm.train()(STEPS)
    torch.manual_seed(5)
    with torch.no_grad():
        for name in ("weight_hh_l0", "weight_hh_l0_reverse"):
            kept = F.dropout(torch.ones(16, 4), 0.5)
            assert set(kept.unique().tolist()) <= {0.0, 2.0}
            getattr(masked, name).mul_(kept)
    assert torch.allclose(masked.eval()(STEPS), dropped, atol=1e-6)


@pytest.mark.parametrize("name", ["danq", "crnn-320-projection"])
def test_bf16_arithmetic_is_near_fp32(name: str) -> None:
    net = small(name).eval()
    codes = random_codes(4, net.window)
    with torch.no_grad():
        exact = net(codes)
        with torch.autocast("cpu", torch.bfloat16):
            rough = net(codes)
    assert rough.dtype == torch.bfloat16
    assert 0 < (rough.float() - exact).abs().max() < 0.05 * max(1.0, float(exact.abs().max()))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layer", [BiLSTM(5, 4), BiLSTM(5, 40), ForwardLSTM(5, 4), PositionLSTM(5, 4, 2)])
def test_a_cpu_that_does_not_multiply_in_half_has_lstms_in_full(
    layer: nn.Module, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch raises RuntimeError there. The layer before it hands over what it multiplied in half."""
    monkeypatch.setattr(bf16, "multiplies", lambda: False)
    x = torch.randn(3, 5, 7).to(precision)
    for wanted in (True, False):
        with torch.set_grad_enabled(wanted):
            expected = layer(x.float())
            with torch.autocast("cpu", precision):
                found = layer(x)
        assert found.dtype == torch.float32 and torch.equal(found, expected)
