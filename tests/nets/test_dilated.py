"""The dilated network: its layers against slow sums, its numbers against the prototype's, windows of a segment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_nets import random_codes, small
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.nets import build
from varscore.nets.dilated import Dilated, PositionPool, Residual
from varscore.nets.layers import BIN, SequenceNet

CODES = random_codes(3, 1000 + 2 * BIN)


def lively(**arguments: object) -> SequenceNet:
    """A small network for windows of 1000 bp whose outputs differ."""
    net = small("dilated", window=1000, **arguments).eval()
    nn.init.normal_(net.output.weight)
    return net


def test_parameters_by_formula() -> None:
    with torch.device("meta"):
        net = build("dilated", n_tasks=207)
    first, projection, second = 320 * (4 * 28 + 1), 320 * 128, 128 * (128 * 5 + 1)
    blocks = 4 * (128 * (128 * 3 + 1) + 128 * 128 + 128)
    head = 2 * 128 * 65 + 512 * (2 * 128 + 1) + 207 * (512 + 1)
    assert net.counts()[1] == first + projection + second + blocks + head == 676_751


def test_blocks_and_sizes_are_arguments() -> None:
    with torch.device("meta"):
        net = build("dilated", channels=64, filters=192, dilations=[1, 2, 4], n_tasks=207)
    assert [layer.dilation for layer in net.layers if isinstance(layer, Residual)] == [1, 2, 4]
    pool = next(layer for layer in net.layers if isinstance(layer, PositionPool))
    assert pool.weight.shape == (2, 64, 95 - 2 * 7)
    assert net.config.dilations == (1, 2, 4)


def test_a_residual_block_position_by_position() -> None:
    torch.manual_seed(0)
    block, x = Residual(5, 3, slope=0.1).double(), torch.randn(2, 5, 20, dtype=torch.float64)
    nn.init.normal_(block.scale)
    found = block(x)
    assert found.shape == (2, 5, 14)
    for row in range(2):
        for t in range(14):
            taps = F.leaky_relu(x[row, :, [t, t + 3, t + 6]], 0.1)
            hidden = F.leaky_relu((block.conv.weight * taps).sum((1, 2)) + block.conv.bias, 0.1)
            expected = x[row, :, t + 3] + block.scale * (block.mix.weight @ hidden)
            assert torch.allclose(found[row, :, t], expected, atol=1e-12)


def test_position_pool_sums_with_its_weights() -> None:
    torch.manual_seed(0)
    pool, x = PositionPool(2, 3, 6), torch.randn(4, 3, 14)
    found = pool.along(x, 4)
    assert found.shape == (4, 3, 6)
    for stretch in range(3):
        part = x[:, :, 4 * stretch : 4 * stretch + 6]
        for kind in range(2):
            expected = (part * pool.weight[kind]).sum(2)
            assert torch.allclose(found[:, stretch, 3 * kind : 3 * kind + 3], expected, atol=1e-6)
        assert torch.allclose(pool(part), found[:, stretch], atol=1e-6)


def test_positions_count_alike_in_one_set_and_most_in_the_middle_in_the_other() -> None:
    torch.manual_seed(0)
    flat, bell = PositionPool(2, 400, 65).weight.mean(1).detach()
    assert flat.numpy() == pytest.approx(np.full(65, 1 / 65), abs=2e-3)
    assert bell.argmax() in (31, 32, 33) and bell[32] > 0.05 and abs(float(bell.sum()) - 1) < 0.05
    assert bell[:10].abs().max() < 5e-3 and bell[-10:].abs().max() < 5e-3


def test_a_channel_is_dropped_in_all_of_a_window() -> None:
    net = lively(channels=40).train()
    at = next(i for i, layer in enumerate(net.layers) if isinstance(layer, nn.Dropout1d))
    net.layers[at].p = 0.5
    before = net.layers[:at](CODES)
    after = net.layers[at](before)
    kept = (after != 0).any(2)
    assert 0.2 < kept.float().mean() < 0.8 and not torch.equal(kept[0], kept[1])
    assert torch.allclose(after, 2 * before * kept[:, :, None])


# -- windows of a segment ----------------------------------------------------------------------------------------------


def windows(net: SequenceNet, codes: Tensor, count: int, step: int) -> Tensor:
    """Outputs window by window, cut with a loop."""
    cut = [codes[:, step * i : step * i + net.window] for i in range(count)]
    return torch.stack([net(part.contiguous()) for part in cut], 1)


@pytest.mark.parametrize(("count", "step"), [(1, BIN), (3, BIN), (2, 400), (5, 50), (4, 10), (5, 77), (1, 3)])
def test_windows_of_a_segment_are_those_alone(count: int, step: int) -> None:
    """Also where the step is no multiple of the stride of 10."""
    net = lively()
    codes = CODES[:, : 1000 + step * (count - 1)]
    with torch.inference_mode():
        found, expected = net.bins(codes, count, step), windows(net, codes, count, step)
    assert found.shape == (3, count, net.n_tasks) and expected.std() > 0.05
    assert (found - expected).abs().max() < 2e-6
    if count > 1:
        assert (found[:, 1:] - found[:, :-1]).abs().max() > 1e-3


def test_the_map_of_a_segment_holds_its_windows_to_the_bit() -> None:
    torch.manual_seed(0)
    net = build("dilated", n_tasks=3).eval()
    at = next(i for i, layer in enumerate(net.layers) if isinstance(layer, PositionPool))
    with torch.inference_mode():
        whole, alone = net.layers[:at](CODES), net.layers[:at](CODES[:, 200:1200])
        pooled, pool = net.layers[at].along(whole, 20), net.layers[at](alone)  # type: ignore[operator]
    assert torch.equal(whole[:, :, 20:85], alone)
    assert (pooled[:, 1] - pool).abs().max() < 1e-6, "a product of other shape, in which a library may round otherwise"


def test_the_trunk_runs_once_over_a_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    net, seen = lively(), []
    net.layers[0].register_forward_pre_hook(lambda layer, x: seen.append(tuple(x[0].shape)))
    net.bins(CODES, 3)
    net.bins(CODES[:, :1007], 2, 7)
    assert seen == [(3, 1400), (6, 1000)]


def test_gradients_of_a_segment_are_those_of_its_windows() -> None:
    net, target = lively().double(), torch.rand(3, 3, 5, dtype=torch.float64)
    gradients = []
    for made in (net.bins(CODES, 3), windows(net, CODES, 3, BIN)):
        net.zero_grad()
        F.binary_cross_entropy_with_logits(made, target).backward()
        gradients.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(list(net.parameters()))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12) and one.abs().max() > 0


@pytest.mark.parametrize("name", ["danq", "crnn-320-projection", "kmer", "attentionnet"])
def test_other_networks_read_window_by_window(name: str) -> None:
    net = small(name).eval()
    with torch.no_grad():
        net.output.weight.normal_()
        codes = CODES[:, : 180 + 2 * 60]
        assert (net.bins(codes, 3, 60) - windows(net, codes, 3, 60)).abs().max() < 1e-5


def test_what_a_window_does_not_see_it_does_not_see_in_a_segment() -> None:
    net = lively()
    net.adapt("labels", "one", (300, 700))
    with torch.inference_mode():
        assert (net.bins(CODES, 3) - windows(net, CODES, 3, BIN)).abs().max() < 2e-6


def test_a_segment_has_the_length_of_its_windows() -> None:
    for net in (lively(), small("danq", window=1000)):
        with pytest.raises(ValueError, match="1400 bases are not those of 2 windows of 1000, 200 apart"):
            net.bins(CODES, 2)


# -- the prototype -----------------------------------------------------------------------------------------------------


def prototype(folder: Path) -> dict[str, Tensor]:
    path = folder / "prototypes" / "training" / "dilated_reference.npz"
    if not path.is_file():
        pytest.skip("the prototype's weights (../shared/prototypes) are not here")
    with np.load(path) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays}


def with_weights(given: dict[str, Tensor]) -> Dilated:
    net = build("dilated", n_tasks=207).eval()
    assert isinstance(net, Dilated)
    first, projection, _, second, *blocks, _, pool, _, dense, _, _, output = net.layers
    weights = {
        first: (given["w1"].permute(0, 2, 1), given["b1"]),
        projection: (given["proj"].T,),
        second: (given["w2"].squeeze(2), given["b2"]),
        pool: (given["pw"],),
        dense: (given["w3"].T, given["b3"]),
        output: (given["w4"].T, given["b4"]),
    }
    for i, block in enumerate(blocks):
        # in the order of the parameters: the block's own, the convolution's, the mixture's
        tensors = [given[f"{name}.{i}"] for name in ("al", "wa", "ba", "wb")]
        weights[block] = (tensors[0], tensors[1].squeeze(2), tensors[2], tensors[3].T)
    with torch.no_grad():
        for layer, tensors in weights.items():
            for parameter, values in zip(layer.parameters(), tensors, strict=True):
                parameter.copy_(values)
    return net


@pytest.mark.realdata
def test_the_prototypes_weights_give_its_logits(shared_data: Path) -> None:
    given = prototype(shared_data.parent)
    net = with_weights(given)
    with torch.inference_mode():
        assert (net(given["codes"]) - given["logits"]).abs().max() < 1e-4
        assert (net.bins(given["codes"], 1)[:, 0] - given["logits"]).abs().max() < 1e-4
    assert given["logits"].std() > 1
