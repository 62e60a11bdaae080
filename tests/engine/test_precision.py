"""Arithmetic that can be trusted: the bits of a row in any place, reduced precision that is refused when wrong."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from small_nets import small, small_arguments
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.engine import PlainEngine, SharedEngine
from varscore.errors import DeviceError
from varscore.nets import architectures, build
from varscore.nets.layers import FEW_CHANNELS

CPU = torch.device("cpu")
NAMES = [name for name in sorted(architectures()) if not build(name, **small_arguments(name)).inputs and name != "kmer"]

ROWS_ALIKE = """
import varscore, torch
torch.manual_seed(0)
for inputs, outputs in ((16, 6), (64, 5), (20, 20), (320, 1280)):
    row, weight = torch.randn(1, inputs), torch.randn(inputs, outputs)
    for rows in (16, 64, 128):
        product = row.repeat(rows, 1) @ weight
        assert (product == product[0]).all(), (rows, inputs, outputs)
"""


def test_a_row_of_a_product_has_the_same_bits_in_every_place() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    done = subprocess.run([sys.executable, "-c", ROWS_ALIKE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_no_reduced_convolution_of_few_channels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are noise on CPUs with AMX, whatever the CPU here makes of them."""
    seen: list[tuple[int, torch.dtype]] = []

    def watched(convolve):  # type: ignore[no-untyped-def]
        def run(x: Tensor, weight: Tensor, *others: object, **named: object) -> Tensor:
            out: Tensor = convolve(x, weight, *others, **named)
            seen.append((weight.shape[1], out.dtype))
            return out

        return run

    monkeypatch.setattr(F, "conv1d", watched(F.conv1d))
    monkeypatch.setattr(F, "conv2d", watched(F.conv2d))
    net = small(name).eval()
    bases = torch.eye(4)[torch.randint(0, 4, (2, net.window))].transpose(1, 2)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        net(torch.zeros(2, net.window, dtype=torch.uint8))
        net(bases)
    assert seen and all(dtype == torch.float32 for channels, dtype in seen if channels < FEW_CHANNELS)


class Faulty(nn.Linear):
    """A dense layer whose bf16 kernel returns something else."""

    def forward(self, x: Tensor) -> Tensor:
        right = super().forward(x)
        return right.flip(0) if torch.is_autocast_enabled("cpu") else right


@pytest.mark.parametrize("engine", [PlainEngine, SharedEngine])
def test_a_faulty_kernel_is_refused(engine: type[PlainEngine]) -> None:
    torch.manual_seed(0)
    net = small("deepsea").eval()
    nn.init.normal_(net.output.weight, std=3.0)
    engine(net, CPU, "bf16")
    faulty = Faulty(net.output.in_features, net.output.out_features)
    faulty.load_state_dict(net.output.state_dict())
    net.layers[-1] = faulty
    engine(net, CPU, "fp32")
    with pytest.raises(
        DeviceError, match=r"precision bf16 is not to be trusted here: predictions are up to .*; .*fp32"
    ):
        engine(net, CPU, "bf16")


def test_numbers_that_are_none_are_refused() -> None:
    net = small("deepsea").eval()
    nn.init.constant_(net.output.bias, np.nan)
    with pytest.raises(DeviceError, match="bf16"):
        PlainEngine(net, CPU, "bf16")
