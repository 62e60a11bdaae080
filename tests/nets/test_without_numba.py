"""Where numba cannot be imported everything works as it does with it, more slowly, and says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_nets import random_codes, small

from varscore.compiled import COMPILES
from varscore.engine import SharedEngine
from varscore.engine.device import pick_device
from varscore.genome.windows import Windows
from varscore.nets.kernels.kmercounts import count_kmers
from varscore.odds import probabilities

SCRIPT = """
import sys
sys.modules["numba"] = None
sys.path[:0] = {paths}
import json
import test_without_numba as here
from varscore.engine.device import pick_device
from varscore.compiled import COMPILES
pick_device("cpu"), pick_device("auto")
print(json.dumps([COMPILES, *here.figures()]))
"""


def figures() -> list[list[float]]:
    """Scores, a gradient and k-mer counts: all that this package computes with its own kernels."""
    found = []
    for name in ("crnn-320-projection", "danq", "deepsea", "dilated"):
        torch.manual_seed(0)
        net = small(name)
        ref = random_codes(6, net.window, seed=1).numpy()
        alt = ref.copy()
        alt[:, (net.window - 1) // 2] = (ref[:, (net.window - 1) // 2] + 1) % 4
        every, one = np.arange(6), np.ones(6, np.int64)
        windows = Windows.anchored(every, ref, alt, np.zeros(6, np.int32), every * 10_000, one, one)
        scores = SharedEngine(net.eval(), torch.device("cpu")).score(windows)
        found += [probabilities(logits).ravel().tolist() for logits in scores]
        net(torch.from_numpy(ref)).square().sum().backward()
        found.append([float(p.grad.double().norm()) for p in net.parameters() if p.grad is not None])
    found.append(count_kmers(random_codes(3, 50).numpy(), 3).ravel().tolist())
    return found


def test_the_figures_are_those_with_numba(caplog: pytest.LogCaptureFixture) -> None:
    here = Path(__file__).parent
    script = SCRIPT.format(paths=[str(here), str(here.parent)])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    compiles, *mine = json.loads(done.stdout)
    assert compiles is False
    assert done.stderr.count("numba cannot be imported") == 1
    pick_device("cpu")
    theirs = figures()
    assert COMPILES is True and "numba" not in caplog.text
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), rtol=1e-4, atol=1e-6)
