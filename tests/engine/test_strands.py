"""What a network's strands and objective make of its outputs, in both engines and in effects."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from made_kinds import TASKS, WINDOW, WideConfig, WideNet
from made_windows import cut, mixture
from small_nets import small
from torch import nn

from varscore.engine import PlainEngine, SharedEngine
from varscore.engine.pool import Plan
from varscore.errors import UsageError
from varscore.nets.layers import SequenceNet
from varscore.nets.objectives import make_objective
from varscore.scoring.effects import effects

CPU = torch.device("cpu")
CASES = [
    ("classes", "one"),
    ("classes", "both-max"),
    ("labels", "both-max"),
    ("values", "one"),
    ("values", "both-mean"),
]


def adapted(objective: str, strands: str, name: str = "danq") -> SequenceNet:
    net = small(name, n_tasks=3).eval()
    nn.init.normal_(net.output.weight, std=2.0)
    net.adapt(objective, strands)
    net.goal.fit([(np.array([[1, 20, 300], [2, 10, 100]], np.float32), None)])
    return net


def by_hand(net: SequenceNet, codes: np.ndarray) -> np.ndarray:
    """The network's predictions, example by example."""
    flipped = np.where(codes == 4, 4, 3 - np.minimum(codes, 3))[:, ::-1].astype(np.uint8).copy()
    with torch.no_grad():
        strands = [net(torch.from_numpy(c)).double().numpy() for c in (codes, flipped)]
    if net.objective == "labels":
        made = [1 / (1 + np.exp(-z)) for z in strands]
    elif net.objective == "classes":
        made = [np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in strands]
    else:
        made = [z * [0.5, 5, 100] + [1.5, 15, 200] for z in strands]
    return {"one": made[0], "both-max": np.maximum(*made), "both-mean": (made[0] + made[1]) / 2}[net.strands]


@pytest.mark.parametrize(("objective", "strands"), CASES)
def test_engines_put_strands_together_by_the_networks_rule(objective: str, strands: str) -> None:
    net, windows = adapted(objective, strands), cut(mixture(40), 180)
    expected = {"ref": by_hand(net, windows.ref), "alt": by_hand(net, windows.alt)}
    assert PlainEngine(net, CPU).predict(windows.ref) == pytest.approx(expected["ref"], rel=1e-4, abs=1e-5)
    for engine in (PlainEngine(net, CPU), SharedEngine(net, CPU)):
        outputs = engine.score(windows)
        assert outputs[0].shape == (1 if strands == "one" else 2, 40, 3)
        found = effects(*outputs, net.goal, net.strands)
        for name, values in expected.items():
            assert getattr(found, name) == pytest.approx(values, rel=1e-4, abs=1e-5)
        assert found.diff == pytest.approx(expected["alt"] - expected["ref"], rel=1e-3, abs=1e-4 * values.max())
        if objective == "values":
            assert np.isnan(found.logodds).all()
        else:
            odds = {name: np.log2(p / (1 - p)) for name, p in expected.items()}
            assert found.logodds == pytest.approx(odds["alt"] - odds["ref"], rel=1e-2, abs=1e-3)


def test_effects_of_the_stronger_strand_by_hand() -> None:
    """Forward .5 -> .75, reverse .75 -> .25: the stronger strand says .75 before and .75 after."""
    odds_3 = math.log(3)
    ref, alt = (np.array([[[a]], [[b]]], np.float32) for a, b in ((0, odds_3), (odds_3, -odds_3)))
    found = effects(ref, alt, make_objective("labels", 1), "both-max")
    assert (found.ref[0, 0], found.alt[0, 0]) == (pytest.approx(0.75), pytest.approx(0.75))
    assert found.diff[0, 0] == pytest.approx(0, abs=1e-7) and found.logodds[0, 0] == pytest.approx(0, abs=1e-6)


def test_a_region_is_respected_by_the_shared_engine() -> None:
    net = small("danq", n_tasks=3).eval()
    nn.init.normal_(net.output.weight, std=2.0)
    net.adapt("classes", "one", (60, 120))
    windows = cut(mixture(30), 180)
    shared, plain = SharedEngine(net, CPU).score(windows), PlainEngine(net, CPU).score(windows)
    for mine, theirs in zip(shared, plain, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    assert np.abs(shared[0] - shared[1]).max() > 0.01


def test_a_network_that_reads_more_than_sequence_is_refused() -> None:
    with pytest.raises(UsageError, match="the model reads tracks besides sequence"):
        Plan(WideNet(WideConfig()), [CPU], PlainEngine)


def test_tiles_do_not_change_what_more_inputs_say() -> None:
    """Rows beyond a tile, padded rows, and tracks that are turned round with their strand."""
    torch.manual_seed(0)
    net = WideNet(WideConfig(tracks=2, scalars=1)).eval()
    random = np.random.default_rng(0)
    codes = random.integers(0, 4, (70, WINDOW), dtype=np.uint8)
    tracks, scalars = (random.normal(size=(70, *shape)).astype(np.float32) for shape in ((2, WINDOW), (1,)))
    found = PlainEngine(net, CPU).logits(codes, tracks, scalars)
    with torch.no_grad():
        forward = net(*map(torch.from_numpy, (codes, tracks, scalars)))
        other = net(*map(torch.from_numpy, ((3 - codes)[:, ::-1].copy(), tracks[:, :, ::-1].copy(), scalars)))
    assert found.shape == (2, 70, TASKS)
    assert found[0] == pytest.approx(forward.numpy(), abs=1e-5) and found[1] == pytest.approx(other.numpy(), abs=1e-5)
