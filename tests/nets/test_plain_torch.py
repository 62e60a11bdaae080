"""Networks of our faster layers against the same networks of torch's plain modules, computed in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from small_nets import random_codes, small
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.nets.layers import (
    Activation,
    ConvPool,
    FlattenChannels,
    FlattenTime,
    Projection,
    SequenceConv,
    SequenceNet,
)

NAMES = ["deepsea", "cnn-500", "cnn-500-projection", "tss"]


class PositionsFirst(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 1)


def plain(net: SequenceNet) -> tuple[nn.Sequential, list[Tensor]]:
    """The network in torch's own modules, float64, and its parameters in the order of the network's."""
    layers: list[nn.Module] = []
    for layer in net.layers:
        if isinstance(layer, (SequenceConv, ConvPool)):
            conv = nn.Conv1d(layer.in_channels, layer.out_channels, layer.kernel_size[0])
            conv.load_state_dict(layer.state_dict())
            layers += [conv, nn.MaxPool1d(layer.pool), nn.LeakyReLU(layer.activation.slope)]
        elif isinstance(layer, Projection):
            conv = nn.Conv1d(layer.in_features, layer.out_features, 1, bias=False)
            with torch.no_grad():
                conv.weight.copy_(layer.weight[:, :, None])
            layers.append(conv)
        elif isinstance(layer, Activation):
            layers.append(nn.LeakyReLU(layer.slope))
        elif isinstance(layer, (FlattenChannels, FlattenTime)):
            layers += [PositionsFirst()] * isinstance(layer, FlattenTime) + [nn.Flatten()]
        elif isinstance(layer, nn.Linear):
            layers.append(copy.deepcopy(layer))
        else:
            assert isinstance(layer, nn.Dropout) and layer.p == 0, f"no plain module for {layer}"
    made = nn.Sequential(*layers).double()
    return made, list(made.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_forward_and_gradients_are_torchs_up_to_rounding(name: str) -> None:
    net = small(name).train()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        net.output.weight.normal_()
    reference, weights = plain(net)
    codes, targets = random_codes(40, net.window), torch.rand(40, net.n_tasks)
    bases = F.one_hot(codes.long(), 5)[:, :, :4].transpose(1, 2).double()
    ours, theirs = net(codes), reference(bases)
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()
    F.binary_cross_entropy_with_logits(ours, targets).backward()
    F.binary_cross_entropy_with_logits(theirs, targets.double()).backward()
    for (parameter, found), expected in zip(net.named_parameters(), weights, strict=True):
        assert found.grad is not None and expected.grad is not None
        error = (found.grad.reshape(expected.shape) - expected.grad).abs().max()
        assert error < 1e-5 * expected.grad.abs().max(), parameter
