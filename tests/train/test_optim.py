"""What a recipe does to the loss and to the weights; schedules are tested with the loop."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import planted_set
from small_nets import small
from torch import nn

from varscore.datasets.examples import ExampleSet
from varscore.errors import UsageError
from varscore.nets.registry import Recipe
from varscore.train.loop import Trainer
from varscore.train.optim import limit_rows, make_optimizer, penalty

CPU = torch.device("cpu")
SGD = Recipe(optimizer="sgd", lr=0.5, batch_size=16, schedule="constant")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    return planted_set(tmp_path_factory.mktemp("data") / "d", train=64, validation=16, window=180)


def stepped(data: ExampleSet, folder: Path, recipe: Recipe, steps: int = 1) -> Trainer:
    made = Trainer(small("deepsea", n_tasks=2, conv_dropout=0, pool_dropout=0), data, recipe, folder, device=CPU)
    order, flips = made._plan(0)
    for made.progress.step in range(steps):
        made._step(made.outputs, order, flips)
    return made


def row_norms(weight: torch.Tensor) -> np.ndarray:
    return np.array([sum(float(w) ** 2 for w in row.reshape(-1)) ** 0.5 for row in weight.detach()])


def test_rows_beyond_the_bound_are_scaled_to_it_and_others_stay() -> None:
    net = nn.Sequential(nn.Conv1d(2, 3, 4), nn.Linear(5, 2))
    with torch.no_grad():
        net[0].weight[0] = 3.0  # norm 3 * sqrt(8)
        net[0].weight[1] = 0.1
        net[1].bias.fill_(7.0)
    before = [p.detach().clone() for p in net.parameters()]
    limit_rows(net, 0.9)
    for old, new in zip(before, net.parameters(), strict=True):
        if old.ndim == 1:
            assert torch.equal(old, new)  # biases are free
            continue
        norms = row_norms(old)
        expected = old * torch.tensor(np.minimum(1, 0.9 / norms), dtype=torch.float32).view(-1, *[1] * (old.ndim - 1))
        assert torch.allclose(new, expected, atol=1e-6)
    assert row_norms(net[0].weight)[0] == pytest.approx(0.9, abs=1e-5)


def test_the_bound_holds_after_every_step(data: ExampleSet, tmp_path: Path) -> None:
    bound = 0.4
    made = stepped(data, tmp_path / "a", dataclasses.replace(SGD, max_norm=bound), steps=3)
    norms = np.concatenate([row_norms(p) for p in made.net.parameters() if p.ndim > 1])
    assert norms.max() <= bound + 1e-6 and (norms > bound - 1e-5).any()
    free = stepped(data, tmp_path / "b", SGD, steps=3)
    assert max(row_norms(p).max() for p in free.net.parameters() if p.ndim > 1) > bound


def test_the_output_penalty_is_the_mean_size_of_what_the_last_dense_layer_gives() -> None:
    logits = torch.tensor([[0.0, 2.0], [-1.0, 30.0]])
    assert float(penalty(Recipe(output_l1=0.1), logits)) == pytest.approx(0.1 * 33 / 4)
    assert penalty(Recipe(), logits) == 0


def test_a_penalty_on_the_output_draws_it_to_0(data: ExampleSet, tmp_path: Path) -> None:
    """One step of plain gradient descent: the bias moves by the rate times the mean sign of its logits, by hand."""
    plain = stepped(data, tmp_path / "a", SGD)
    made = stepped(data, tmp_path / "b", dataclasses.replace(SGD, output_l1=0.2))
    begun = small("deepsea", n_tasks=2, conv_dropout=0, pool_dropout=0)
    order, flips = plain._plan(0)
    with torch.no_grad():
        logits = begun(plain.examples.batch(order[:16], flips[:16]).codes).double()
    expected = -0.5 * 0.2 * logits.sign().sum(0) / logits.numel()
    found = (made.net.output.bias - plain.net.output.bias).detach().double()
    assert torch.allclose(found, expected, rtol=1e-3)


def test_momentum_goes_to_the_optimizers_that_have_one() -> None:
    net = small("danq")
    for name in ("sgd", "rmsprop"):
        optimizer = make_optimizer(net, Recipe(optimizer=name, momentum=0.9))
        assert {group["momentum"] for group in optimizer.param_groups} == {0.9}
    assert make_optimizer(net, Recipe(optimizer="rmsprop", rho=0.8)).param_groups[0]["alpha"] == 0.8


def test_momentum_steps_by_hand() -> None:
    """Two steps with gradients 1 and 2: v = 1, then 0.9 + 2."""
    layer = nn.Linear(1, 1, bias=False)
    begun = float(layer.weight.detach())
    optimizer = make_optimizer(layer, Recipe(optimizer="sgd", lr=0.1, momentum=0.9))
    for gradient in (1.0, 2.0):
        layer.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
    assert float(layer.weight.detach()) == pytest.approx(begun - 0.1 * (1 + 2.9))


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_keras_has_its_epsilon_inside_the_root(momentum: float) -> None:
    """Two steps by hand, with gradients of about the size of the epsilon's root, where it matters most."""
    layer = nn.Linear(1, 1, bias=False)
    weight, square, moved = float(layer.weight.detach()), 0.0, 0.0
    recipe = Recipe(optimizer="rmsprop", lr=0.01, rho=0.9, root_epsilon=1e-6, momentum=momentum)
    optimizer = make_optimizer(layer, recipe)
    for gradient in (1e-3, -2e-3):
        layer.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
        square = 0.9 * square + 0.1 * gradient**2
        moved = momentum * moved + gradient / (square + 1e-6) ** 0.5
        weight -= 0.01 * moved
    assert float(layer.weight.detach()) == pytest.approx(weight, rel=1e-6)


def test_keras_rmsprop_carries_on_from_its_state() -> None:
    recipe = Recipe(optimizer="rmsprop", lr=0.01, root_epsilon=1e-6, momentum=0.5, weight_decay=0.1)
    torch.manual_seed(0)
    whole, halved = nn.Linear(3, 2), nn.Linear(3, 2)
    halved.load_state_dict(whole.state_dict())
    first, second = make_optimizer(whole, recipe), make_optimizer(halved, recipe)
    for step in range(4):
        if step == 2:
            saved, second = second.state_dict(), make_optimizer(halved, recipe)
            second.load_state_dict(saved)
        for layer, optimizer in ((whole, first), (halved, second)):
            for parameter in layer.parameters():
                parameter.grad = torch.full_like(parameter, 0.1 * step)
            optimizer.step()
    assert torch.equal(whole.weight, halved.weight) and torch.equal(whole.bias, halved.bias)


def test_only_rmsprop_has_an_epsilon_inside_a_root() -> None:
    with pytest.raises(UsageError, match="adam has no epsilon inside a root"):
        make_optimizer(nn.Linear(1, 1), Recipe(optimizer="adam", root_epsilon=1e-6))


def test_recurrent_gradients_are_cut_element_by_element_and_no_others(data: ExampleSet, tmp_path: Path) -> None:
    nets = [small("danq", n_tasks=2) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    bound = 1e-4
    for net, clip in zip(nets, (0.0, bound), strict=True):
        recipe = dataclasses.replace(SGD, recurrent_clip=clip)
        made = Trainer(net, data, recipe, tmp_path / str(clip), device=CPU)
        made._step(made.outputs, *made._plan(0))
    free, cut = (dict(net.named_parameters()) for net in nets)
    recurrent = {
        f"{at}.{name}"
        for at, m in nets[0].named_modules()
        if isinstance(m, nn.LSTM)
        for name, _ in m.named_parameters()
    }
    assert recurrent and any(free[name].grad.abs().max() > bound for name in recurrent)
    for name, weight in free.items():
        expected = weight.grad.clamp(-bound, bound) if name in recurrent else weight.grad
        assert torch.equal(cut[name].grad, expected), name


def test_nesterovs_momentum_looks_ahead() -> None:
    layer = nn.Linear(2, 1, bias=False)
    weight, speed = layer.weight.detach().clone(), torch.zeros(1, 2)
    optimizer = make_optimizer(layer, Recipe(optimizer="nesterov", lr=0.1, momentum=0.9, weight_decay=0.01))
    for step in range(3):
        optimizer.zero_grad()
        (layer(torch.tensor([[1.0, 2.0]])) * (step + 1)).sum().backward()
        gradient = torch.tensor([[1.0, 2.0]]) * (step + 1) + 0.01 * weight
        speed = 0.9 * speed + gradient
        weight = weight - 0.1 * (gradient + 0.9 * speed)
        optimizer.step()
        assert torch.allclose(layer.weight, weight, atol=1e-6)
    with pytest.raises(UsageError, match="a decay of 1 forgets nothing"):
        make_optimizer(layer, Recipe(optimizer="adamw", beta2=1))
    with pytest.raises(UsageError, match="nesterov wants a momentum"):
        make_optimizer(layer, Recipe(optimizer="nesterov"))
