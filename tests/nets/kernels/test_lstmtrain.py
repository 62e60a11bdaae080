"""The LSTM that is trained on the CPU against torch's own in double precision: values and every gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from varscore.nets import layers
from varscore.nets.kernels import bf16
from varscore.nets.kernels.lstmcell import training_step
from varscore.nets.kernels.lstmtrain import direction
from varscore.nets.layers import BiLSTM, MeanOverTime

WEIGHTS = [f"{name}_l0{way}" for way in ("", "_reverse") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def made(channels: int, hidden: int, dropout: float = 0.0, scale: float = 1.0) -> BiLSTM:
    torch.manual_seed(hidden)
    lstm = BiLSTM(channels, hidden, dropout).train()
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.mul_(scale)
    return lstm


def passed(lstm: BiLSTM, x: Tensor, sink: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """The layer's output, and the gradients of what ``sink`` makes of it."""
    x = x.detach().to(next(lstm.parameters()).dtype).requires_grad_()
    lstm.zero_grad()
    torch.manual_seed(7)  # of the dropout mask
    output = lstm(x)
    sink(output).backward()  # type: ignore[no-untyped-call]
    found = {"output": output.detach(), "input": x.grad, **{n: w.grad for n, w in lstm.named_parameters()}}
    return {name: value.clone() for name, value in found.items() if value is not None}


def truth(lstm: BiLSTM, x: Tensor, sink: Callable[[Tensor], Tensor], mask: float) -> dict[str, Tensor]:
    """The same by torch's LSTM, all in float64, with the float32 masks of the hidden-to-hidden weights."""
    names = dict(lstm.named_parameters())
    weights = {name: names[name].detach().double().requires_grad_() for name in WEIGHTS}
    torch.manual_seed(7)
    kept = {n: torch.nn.functional.dropout(torch.ones_like(names[n]), mask) for n in WEIGHTS if "weight_hh" in n}
    x = x.detach().double().requires_grad_()
    steps = x.permute(2, 0, 1)
    start = steps.new_zeros(2, steps.shape[1], lstm.hidden_size)
    used = [weights[n] * kept[n].double() if n in kept else weights[n] for n in WEIGHTS]
    output = torch.lstm(steps, (start, start), used, True, 1, 0.0, False, True, False)[0].permute(1, 2, 0)
    sink(output).backward()  # type: ignore[no-untyped-call]
    found = {"output": output.detach(), "input": x.grad, **{n: weights[n].grad for n in WEIGHTS}}
    return {name: value for name, value in found.items() if value is not None}


def assert_near(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 3e-6) -> None:
    assert found.keys() == expected.keys() and len(found) == 10
    for name, true in expected.items():
        assert found[name].dtype == torch.float32 and found[name].shape == true.shape
        worst = float((found[name] - true).abs().max() / true.abs().max().clamp(min=1e-6))
        assert worst < tolerance, f"{name} is off by {worst:.1e} of its largest"


def weighted(output: Tensor) -> Tensor:
    """A sum in which every output counts differently."""
    wave = torch.arange(output.numel(), dtype=torch.float64).view(output.shape) * 0.7
    return (output * wave.sin().to(output.dtype)).sum()


@pytest.mark.parametrize("rows, channels, hidden, steps", [(3, 5, 4, 9), (1, 1, 1, 1), (7, 9, 33, 12), (20, 96, 64, 9)])
@pytest.mark.parametrize("mask", [0.0, 0.3])
def test_values_and_gradients_are_torchs(rows: int, channels: int, hidden: int, steps: int, mask: float) -> None:
    lstm, x = made(channels, hidden, mask, scale=2.0), torch.randn(rows, channels, steps)
    assert_near(passed(lstm, x, weighted), truth(lstm, x, weighted, mask))


SINKS: dict[str, Callable[[Tensor], Tensor]] = {
    "the mean over time": lambda output: weighted(MeanOverTime()(output)),
    "the last step": lambda output: weighted(output[:, :, -1]),
    "one direction": lambda output: weighted(output[:, ::2]),
    "flattened by channel": lambda output: weighted(output.flatten(1)),
    "flattened by time": lambda output: weighted(output.transpose(1, 2).flatten(1)),
}


@pytest.mark.parametrize("sink", SINKS.values(), ids=SINKS)
def test_gradients_come_in_any_layout(sink: Callable[[Tensor], Tensor]) -> None:
    lstm, x = made(6, 10), torch.randn(11, 4, 6).permute(1, 2, 0)
    assert_near(passed(lstm, x, sink), truth(lstm, x, sink, 0.0))


@pytest.mark.parametrize("scale", [1e-3, 30.0])
def test_faint_and_saturated_gates(scale: float) -> None:
    lstm, x = made(6, 10, scale=scale), torch.randn(4, 6, 8)
    assert_near(passed(lstm, x, weighted), truth(lstm, x, weighted, 0.0), 1e-5)


def test_the_same_bits_every_time_and_from_a_graph_that_is_kept() -> None:
    lstm, x = made(8, 12, 0.4), torch.randn(5, 8, 9)
    one, two = passed(lstm, x, weighted), passed(lstm, x, weighted)
    assert all(torch.equal(one[name], two[name]) for name in one)
    loss = weighted(lstm(x.requires_grad_()))
    first = torch.autograd.grad(loss, [x, *lstm.parameters()], retain_graph=True)
    second = torch.autograd.grad(loss, [x, *lstm.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_both_biases_have_a_gradient_of_their_own() -> None:
    lstm = made(3, 4)
    passed(lstm, torch.randn(2, 3, 5), weighted)
    one, other = (dict(lstm.named_parameters())[name].grad for name in ("bias_ih_l0", "bias_hh_l0"))
    assert one is not None and other is not None and torch.equal(one, other) and one.abs().max() > 0
    other.zero_()
    assert one.abs().max() > 0


def test_weights_that_are_not_trained_get_no_gradient() -> None:
    lstm, x = made(3, 4), torch.randn(2, 3, 5)
    every = passed(lstm, x, weighted)
    lstm.weight_hh_l0.requires_grad_(False)
    some = passed(lstm, x, weighted)
    assert "weight_hh_l0" not in some and all(torch.equal(value, every[name]) for name, value in some.items())


def test_directions_are_each_others_mirror_image() -> None:
    lstm, steps = made(5, 6), torch.randn(7, 3, 5)
    weights = [getattr(lstm, name).detach() for name in WEIGHTS[:4]]
    there, back = direction(steps, weights, False), direction(steps.flip(0), weights, True)
    assert torch.equal(there, back.flip(0))


def test_the_rest_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubles, inference, and mixed precision where the CPU multiplies in it; and only these."""
    lstm, x = made(3, 4), torch.randn(2, 3, 5)
    calls: list[bool] = []

    def counted(steps: Tensor, weights: list[Tensor], backward: bool) -> Tensor:
        calls.append(backward)
        return direction(steps, weights, backward)

    monkeypatch.setattr(layers, "direction", counted)
    expected = lstm(x)
    assert calls == [False, True]
    with torch.no_grad():
        assert torch.allclose(lstm(x), expected, atol=1e-6)
    with torch.inference_mode():
        assert torch.allclose(lstm(x), expected, atol=1e-6)
    if bf16.multiplies():
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.allclose(lstm(x).float(), expected, atol=0.02)
    doubled = lstm.double()(x.double())
    assert doubled.dtype == torch.float64 and torch.allclose(doubled.float(), expected, atol=1e-6)
    assert calls == [False, True]


def test_what_is_not_a_number_is_not_hidden() -> None:
    """A broken network must not look like a working one."""
    lstm, x = made(2, 3), torch.randn(2, 2, 4)
    x[1, 0, 0] = torch.nan
    found = passed(lstm, x, lambda output: output.sum())
    assert found["output"][1, :3].isnan().all() and found["output"][0].isfinite().all()
    assert found["weight_ih_l0"].isnan().any()


def test_a_steps_kept_gates_by_hand() -> None:
    """Sums 0 open input, forget and output gate by half; the candidate of 0 is 0."""
    gates = np.zeros((1, 8), np.float32)
    gates[0, 4] = 20  # the first unit's candidate: 1
    before, after, seen = np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32), np.full((1, 5), 9, np.float32)
    training_step(gates, before, after, seen, 3)
    assert np.allclose(gates, [[0.5, 0.5, 0.5, 0.5, 1, 0, 0.5, 0.5]], atol=1e-6)
    assert np.allclose(after, [[1.0, 0.5]], atol=1e-6) and (before == 1).all()
    assert np.allclose(seen, [[9, 9, 9, 0.5 * np.tanh(1.0), 0.5 * np.tanh(0.5)]], atol=1e-6)
