"""DeepBind, DeepMotif and AttentionNet: their sizes and layers, both strands, and the mask."""

from __future__ import annotations

import pytest
import torch
from published_counts import TFBS
from small_nets import random_codes, small
from torch import nn
from torch.nn import functional as F

from varscore.engine.plain import PlainEngine
from varscore.errors import UsageError
from varscore.nets import build
from varscore.nets.attentionnet import Attention, AttentionNet, AttentiveNet
from varscore.nets.layers import SequenceNet, one_hot, reverse_complement


@pytest.mark.parametrize(("name", "arguments", "keras", "both"), TFBS)
def test_parameter_counts_are_the_papers(name: str, arguments: dict[str, int], keras: int, both: int) -> None:
    with torch.device("meta"):
        net = build(name, **arguments)
    assert net.counts() == (keras, both) and (net.window, net.objective) == (101, "labels")


@pytest.mark.parametrize(
    ("name", "shapes", "rates"),
    [
        ("deepbind", [(16, 1), (16,), (16,), (32,), (32,), (1,)], [0.5]),
        ("deepmotif", [(128, 46), (128, 21), (128, 19), (128, 19), (128,), (1,)], [0.5]),
        ("attentionnet", [(64, 101)] * 7 + [(64,)] + [(256,)] * 9 + [(1,)], [0.2] * 3),
    ],
)
def test_layers_are_the_papers(name: str, shapes: list[tuple[int, ...]], rates: list[float]) -> None:
    net, x, found = build(name).eval(), torch.zeros(1, 4, 101), []
    for layer in net.layers:
        x = layer(x)
        found.append(tuple(x.shape[1:]))
    assert found == shapes
    assert [layer.p for layer in net.layers if isinstance(layer, nn.Dropout)] == rates


@pytest.mark.parametrize("name", ["deepbind", "deepmotif", "attentionnet"])
@pytest.mark.parametrize("window", [60, 250])
def test_windows_of_any_length(name: str, window: int) -> None:
    net = build(name, window=window, n_tasks=3).eval()
    assert net(random_codes(2, window)).shape == (2, 3)
    assert net.counts() == build(name, n_tasks=3).counts()


@pytest.mark.parametrize("name", ["deepbind", "deepmotif"])
def test_a_window_shorter_than_a_filter(name: str) -> None:
    with pytest.raises(UsageError, match="too few"):
        build(name, window=7)


# strands


def filled(net: SequenceNet) -> SequenceNet:
    torch.nn.init.normal_(net.output.weight)
    return net.eval()


def single_strand(net: SequenceNet, codes: torch.Tensor) -> torch.Tensor:
    """DeepBind as its layers say, each position of each filter on its own."""
    conv, dense, output = (net.layers[i] for i in (0, 3, 5))
    scores = torch.stack(
        [
            torch.stack([(one_hot(codes)[:, :, at : at + 24] * kernel).sum((1, 2)) for at in range(101 - 24 + 1)])
            for kernel in conv.weight
        ]
    )
    best = F.relu(scores.amax(1) + conv.bias[:, None]).T
    return output(F.relu(dense(best)))


@pytest.mark.parametrize("training", [False, True])
def test_deepbind_takes_the_better_strand(training: bool) -> None:
    torch.manual_seed(0)
    net, codes = filled(build("deepbind", dropout=0.0)), random_codes(6, 101)
    net.train(training)
    both = torch.stack([single_strand(net, codes), single_strand(net, reverse_complement(codes))])
    assert (both[0] - both[1]).abs().min() > 1e-4
    assert (net(codes) - both.amax(0)).abs().max() < 1e-5
    assert (net(one_hot(codes)) - both.amax(0)).abs().max() < 1e-5
    assert torch.equal(net(codes), net(reverse_complement(codes)))
    predicted = PlainEngine(net.eval(), torch.device("cpu")).predict(codes.numpy())
    assert predicted == pytest.approx(both.amax(0).sigmoid().detach().numpy(), abs=1e-6)


def test_deepbind_on_data_of_one_strand_sees_only_that() -> None:
    torch.manual_seed(0)
    net, codes = filled(build("deepbind")), random_codes(6, 101)
    net.adapt("labels", "one")
    assert (net(codes) - single_strand(net, codes)).abs().max() < 1e-5


# attention


def attentive() -> tuple[AttentionNet, torch.Tensor]:
    """With batch statistics that are not those it begins with."""
    torch.manual_seed(1)
    net = small("attentionnet")
    for _ in range(3):
        net.train()(random_codes(16, 180))
    return filled(net), random_codes(7, 180)  # type: ignore[return-value]


def test_masks_sum_to_one_and_differ() -> None:
    net, codes = attentive()
    mask = net.attention(codes)
    assert mask.shape == (7, 180) and mask.min() >= 0
    assert (mask.sum(1) - 1).abs().max() < 1e-5
    assert (mask[0] - mask[1]).abs().max() > 1e-4 and mask.std(1).min() > 1e-5
    assert (net.attention(one_hot(codes)) - mask).abs().max() < 1e-6


def test_the_output_follows_from_the_map_weighted_by_the_mask() -> None:
    net, codes = attentive()
    place = next(i for i, layer in enumerate(net.layers) if isinstance(layer, Attention))
    maps = net.layers[:place](one_hot(codes))
    mask = net.attention(codes)
    weighted = torch.zeros(7, maps.shape[1])
    for position in range(180):
        weighted += maps[:, :, position] * mask[:, position, None]
    assert (net.layers[place + 1 :](weighted) - net(codes)).abs().max() < 1e-4


def test_attention_is_batch_norm_tanh_and_softmax_of_two_convolutions() -> None:
    net, _ = attentive()
    attention = next(layer for layer in net.layers if isinstance(layer, Attention))
    x = torch.randn(2, 6, 30)
    hidden, score = attention.score

    def normalised(block: nn.Sequential, values: torch.Tensor) -> torch.Tensor:
        conv, norm = block[0], block[1]
        values = F.conv1d(F.pad(values, (1, 1)), conv.weight, conv.bias)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return (values - norm.running_mean[:, None]) * scale[:, None] + norm.bias[:, None]

    raised = normalised(score, normalised(hidden, x).tanh())[:, 0].exp()
    assert (attention.mask(x) - raised / raised.sum(1, keepdim=True)).abs().max() < 1e-6


def test_a_network_without_attention_says_so() -> None:
    class Without(AttentiveNet):
        pass

    net = Without(build("attentionnet").config, nn.Flatten(), nn.Linear(404, 1))
    with pytest.raises(TypeError, match="no attention"):
        net.attention(random_codes(1, 101))
