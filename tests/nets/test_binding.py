"""The binding networks: their sizes, what each of their inputs does, and that a masked task leaves no trace."""

from __future__ import annotations

import pytest
import torch
from published_counts import BINDING
from small_nets import also, random_codes, small
from torch import nn
from torch.nn import functional as F

from varscore.nets import build, find
from varscore.nets.layers import SequenceNet, one_hot

NETS = ["binding-shallow", "binding-deep", "binding-multitask"]


@pytest.mark.parametrize(("name", "arguments", "keras", "both"), BINDING)
def test_counts(name: str, arguments: dict[str, int], keras: int, both: int) -> None:
    with torch.device("meta"):
        net = build(name, **arguments)
    assert net.counts() == (keras, both)


@pytest.mark.parametrize("name", NETS)
def test_it_trains_as_the_thesis_says(name: str) -> None:
    recipe = find(name).recipe
    assert (recipe.optimizer, recipe.lr, recipe.batch_size, recipe.schedule) == ("adam", 1e-3, 256, "constant")
    assert (recipe.epochs, recipe.patience) == (5 if name == "binding-multitask" else 50, 10)


def test_shallow_layers_are_the_specified_ones() -> None:
    """Recomputed with torch's own functions, from the weights."""
    torch.manual_seed(0)
    net = build("binding-shallow").eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):  # as if trained
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    w = net.state_dict()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        parts = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts)

    codes, tracks = random_codes(3, 1000), torch.rand(3, 1, 1000)
    x = F.conv1d(one_hot(codes), w["layers.0.weight"], w["layers.0.bias"])
    assert x.shape == (3, 32, 981)
    x = F.relu(norm(F.max_pool1d(x, 35), "layers.1")).flatten(1)
    assert x.shape == (3, 896)
    x = F.relu(norm(F.linear(x, w["layers.5.weight"], w["layers.5.bias"]), "layers.6"))
    dnase = norm(F.max_pool1d(tracks, 20), "paths.dnase.1").flatten(1)
    assert x.shape == (3, 100) and dnase.shape == (3, 50)
    x = F.linear(torch.cat([x, dnase], 1), w["merged.0.weight"], w["merged.0.bias"])
    x = F.linear(F.relu(norm(x, "merged.1")), w["merged.4.weight"], w["merged.4.bias"])
    with torch.no_grad():
        assert (net(codes, tracks=tracks) - x).abs().max() < 1e-4
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.5] * 3


def test_multitask_heads_are_private() -> None:
    """The logits of a factor are those of its own 128 units and of no other factor's."""
    torch.manual_seed(0)
    net = build("binding-multitask", n_tasks=3, window=120, filters=4, dense=10).eval()
    codes, more = random_codes(2, 120), {"tracks": torch.rand(2, 1, 120)}
    with torch.no_grad():
        shared = net.shared(torch.cat([net.layers(codes), F.max_pool1d(more["tracks"], 30).flatten(1)], 1))
        out = net(codes, **more).view(2, 3, 3)
        for task in range(3):
            rows = slice(128 * task, 128 * (task + 1))
            units = F.relu(F.linear(shared, net.own[0].weight[rows], net.own[0].bias[rows]))
            logits = F.linear(
                units, net.output.weight[3 * task : 3 * task + 3], net.output.bias[3 * task : 3 * task + 3]
            )
            assert (out[:, task] - logits).abs().max() < 1e-5


@pytest.mark.parametrize("name", [*NETS, "kmer-tracks"])
def test_dnase_matters_and_can_be_left_out(name: str) -> None:
    net, codes = small(name).eval(), random_codes(2, 180)
    nn.init.normal_(net.output.weight)
    more = also(net, 2)
    assert net.inputs == ("tracks",)
    assert not torch.equal(net(codes, **more), net(codes, tracks=more["tracks"].flip(0)))
    alone = small(name, tracks=0)
    assert alone.inputs == () and alone(codes).shape == (2, alone.n_outputs)


@pytest.mark.parametrize("name", NETS)
def test_shape_and_expression_are_inputs_too(name: str) -> None:
    net, codes = small(name, tracks=3, scalars=4).eval(), random_codes(2, 180)
    more = also(net, 2)
    assert more["tracks"].shape == (2, 3, 180) and more["scalars"].shape == (2, 4)
    out = net(codes, **more)
    for track in range(3):
        changed = more["tracks"].clone()
        changed[:, track] += 1
        assert not torch.equal(out, net(codes, **{**more, "tracks": changed})), track
    assert not torch.equal(out, net(codes, **{**more, "scalars": more["scalars"] + 1}))


def gradients(net: SequenceNet, codes: torch.Tensor, known: torch.Tensor) -> dict[str, torch.Tensor]:
    net.zero_grad()
    targets = torch.arange(known.numel()).view(known.shape) % 2
    loss, _ = net.goal.loss(net(codes, **also(net, len(codes))), targets.float(), known)
    loss.backward()
    return {name: p.grad.clone() for name, p in net.named_parameters()}


@pytest.mark.parametrize("name", NETS)
def test_a_masked_task_gives_zero_gradient(name: str) -> None:
    net, codes = small(name, n_tasks=3).train(), random_codes(8, 180)
    known = torch.ones(8, 3, dtype=torch.bool)
    known[:, 1] = False
    found = gradients(net, codes, known)
    width = len(net.output.weight) // 3
    rows = found["states.weight" if name == "binding-multitask" else "merged.4.weight"].view(3, width, -1)
    assert not rows[1].any() and rows[0].any() and rows[2].any()
    if name == "binding-multitask":
        own = found["own.0.weight"].view(3, 128, -1)
        assert not own[1].any() and own[0].any() and own[2].any()


@pytest.mark.parametrize("name", NETS)
def test_nothing_known_gives_no_gradient_at_all(name: str) -> None:
    found = gradients(small(name).train(), random_codes(4, 180), torch.zeros(4, 5, dtype=torch.bool))
    assert not any(gradient.any() for gradient in found.values())


def test_masked_labels_do_not_change_the_gradient_of_shared_layers() -> None:
    """With batch norm at rest, an example of which nothing is known might as well not be there."""
    net, codes = small("binding-multitask").eval(), random_codes(6, 180)
    tracks = also(net, 6)["tracks"]
    known, targets = torch.ones(6, 5, dtype=torch.bool), torch.ones(6, 5)
    known[3:] = False
    found = []
    for rows in (6, 3):
        net.zero_grad()
        net.goal.loss(net(codes[:rows], tracks=tracks[:rows]), targets[:rows], known[:rows])[0].backward()
        found.append([p.grad.clone() for p in net.parameters()])
    assert all((one - two).abs().max() < 1e-6 for one, two in zip(*found, strict=True))
    assert any(gradient.any() for gradient in found[0])
