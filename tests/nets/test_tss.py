"""The start-site network: its size, its layers, and what a safe region hides from it."""

from __future__ import annotations

import pickle

import pytest
import torch
from small_nets import random_codes

from varscore.errors import UsageError
from varscore.nets import build
from varscore.nets.layers import UNKNOWN, SequenceNet, one_hot


def test_it_is_the_thesis_network() -> None:
    net = build("tss")
    assert net.counts() == (97_427, 97_427)
    x, shapes = torch.zeros(1, 4, 200), []
    for layer in net.eval().layers:
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 47), (752,), (128,), (128,), (128,), (3,)]
    assert (net.objective, net.strands) == ("classes", "one")
    assert sorted(m.p for m in net.modules() if isinstance(m, torch.nn.Dropout)) == [0.5]


def regional(first: int = 65, last: int = 81, arch: str = "tss") -> SequenceNet:
    torch.manual_seed(0)
    net = build(arch, n_tasks=3, window=200)
    torch.nn.init.normal_(net.output.weight)
    net.adapt("classes", "one", (first, last))
    return net.eval()


@pytest.mark.parametrize("arch", ["tss", "kmer"])
def test_nothing_outside_the_region_is_seen(arch: str) -> None:
    net, codes = regional(arch=arch), random_codes(4, 200, unknown=0)
    zeroed = torch.full_like(codes, UNKNOWN)
    zeroed[:, 65:81] = codes[:, 65:81]
    other = 3 - codes
    other[:, 65:81] = codes[:, 65:81]
    with torch.inference_mode():
        seen = net(codes)
        assert torch.equal(seen, net(other)) and torch.equal(seen, net(zeroed))
        for at in (65, 80):
            changed = codes.clone()
            changed[:, at] = 3 - changed[:, at]
            assert not torch.equal(seen, net(changed)), at
        assert (net(one_hot(codes)) - seen).abs().max() < 1e-5
        assert torch.equal(pickle.loads(pickle.dumps(net))(other), seen), "engines of other processes see no more"


@pytest.mark.parametrize(("first", "last"), [(-1, 5), (5, 5), (10, 201), (30, 20)])
def test_a_region_lies_in_the_window(first: int, last: int) -> None:
    with pytest.raises(UsageError, match="cannot be all that is visible"):
        regional(first, last)


def test_a_region_is_for_one_strand() -> None:
    with pytest.raises(UsageError, match="both-mean"):
        build("kmer").adapt("labels", "both-mean", (1, 5))
    with pytest.raises(UsageError, match="no rule 'two'"):
        build("tss").adapt("classes", "two")
