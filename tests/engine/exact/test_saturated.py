"""Every substitution of fixed windows: the exact engine's grouped reach against whole windows, one at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_nets import random_codes, small
from test_shared import EXACT, IN_FULL, NAMES, NETS

from varscore.engine import PlainEngine, SharedEngine
from varscore.engine.exact.reach import Span
from varscore.engine.exact.saturation import REFERENCES, Blocks
from varscore.nets import build
from varscore.nets.layers import SequenceNet, one_hot, reverse_complement
from varscore.nets.objectives import probabilities

CPU = torch.device("cpu")


def slow(net: SequenceNet, codes: torch.Tensor, positions: Span) -> np.ndarray:
    """The definition: each base at each position, a whole window each time; NaN where the base is unknown."""
    strands = 1 if net.strands == "one" else 2
    out = np.full((strands, len(codes), len(positions), 4, net.n_outputs), np.nan, np.float32)
    with torch.inference_mode():
        for row in range(len(codes)):
            for at in range(positions.lo, positions.hi):
                if codes[row, at] == 4:
                    continue
                four = codes[row].repeat(4, 1)
                four[:, at] = torch.arange(4)
                both = [four, reverse_complement(four)][:strands]
                out[:, row, at - positions.lo] = torch.stack([net(one_hot(strand)) for strand in both]).numpy()
    return out


@pytest.mark.parametrize("name", NAMES)
def test_all_engines_give_the_definition(name: str) -> None:
    net, positions = NETS[name], Span(100, 114)
    codes = random_codes(2, net.window, seed=3)
    expected, exact = slow(net, codes, positions), EXACT * (10 if name in IN_FULL else 1)
    for engine in (PlainEngine(net, CPU), SharedEngine(net, CPU)):
        ref, alt = engine.saturate(codes.numpy(), positions)
        assert alt.shape == expected.shape and (np.isnan(alt) == np.isnan(expected)).all()
        assert np.nanmax(np.abs(probabilities(alt) - probabilities(expected))) <= exact
        assert np.abs(ref - engine.logits(codes.numpy())).max() <= 1e-5
        there = np.flatnonzero(codes[1, 100:114].numpy() != 4)
        assert (alt[:, 1, there, codes[1, 100 + there]] == ref[:, 1, None]).all(), (
            "the base that is there changes nothing"
        )


@pytest.mark.parametrize("name", ["danq", "crnn-320-projection", "dilated", "deepsea", "tss"])
def test_whole_windows_to_both_ends(name: str) -> None:
    """Bases at the very ends too, those in a tail that pooling drops among them; more windows than a reference tile."""
    net, count = NETS[name], REFERENCES["cpu"] // 2 + 1
    codes, positions = random_codes(count, net.window, seed=5), Span(0, net.window)
    _, plain = PlainEngine(net, CPU).saturate(codes.numpy()[-2:], positions)
    _, exact = SharedEngine(net, CPU).saturate(codes.numpy(), positions)
    assert np.nanmax(np.abs(exact[:, -2:] - plain)) <= 1e-5
    assert np.nanstd(plain - plain[:, :, :, :1]) > 1e-3, "the test would not notice if nothing were substituted"


def test_scores_do_not_depend_on_what_is_computed_beside_them() -> None:
    engine, codes = SharedEngine(NETS["crnn-320-projection"], CPU), random_codes(3, 180, seed=1, unknown=0).numpy()
    _, together = engine.saturate(codes, Span(0, 180))
    _, alone = engine.saturate(codes[1:2], Span(60, 61))
    assert (together[:, 1, 60] == alone[:, 0, 0]).all()


def test_what_is_shared_is_a_block_of_cells() -> None:
    """DanQ: 75 blocks of 13 bases and what pooling leaves; CRNN: 7 x 2 bases; where nothing is shared there is none."""
    with torch.device("meta"):
        danq, crnn = Blocks.of(build("danq"), 2), Blocks.of(build("crnn-700-projection"), 2)
    assert danq is not None and (danq.bases, danq.tile("cpu")) == (13, 78)
    assert crnn is not None and (crnn.bases, crnn.tile("cpu")) == (14, 84)
    assert crnn.reaches[-1] is None or len(crnn.reaches) * 14 >= 1000
    assert Blocks.of(small("attentionnet"), 2) is None
