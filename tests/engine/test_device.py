"""Device and arithmetic."""

from __future__ import annotations

import pytest
import torch
from small_nets import small
from torch import nn

from varscore.engine.device import arithmetic, evaluating, flushing_denormals, pick_device, use_threads
from varscore.errors import DeviceError

CPU = torch.device("cpu")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that seems to have two."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == CPU
    for name in ("cuda", "cuda:1"):
        with pytest.raises(DeviceError, match=f"device {name} was asked for; .*; `device=cpu`"):
            pick_device(name)


@pytest.mark.usefixtures("gpus")
def test_with_gpus() -> None:
    assert pick_device("cpu") == CPU
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda", 0)
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match="cuda:2 was asked for; there are 2 GPUs"):
        pick_device("cuda:2")


@pytest.mark.usefixtures("gpus")
def test_each_of_torchruns_processes_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda", 1)
    assert pick_device("cuda:0") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(DeviceError):
        pick_device("auto")


def test_threads_are_shared_by_torchruns_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr("varscore.engine.device.available_cpus", lambda: 6)
    for world, given, expected in (("1", None, 6), ("2", None, 3), ("9", None, 1), ("2", 5, 5)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", world)
        use_threads(given)
        assert torch.get_num_threads() == expected
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_arithmetic_of_a_product(precision: str, dtype: torch.dtype) -> None:
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags]
    with arithmetic(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
        assert [flag.allow_tf32 for flag in flags] == [precision == "tf32"] * 2
    assert [flag.allow_tf32 for flag in flags] == before


def test_settings_come_back_after_an_error() -> None:
    before = torch.backends.cudnn.allow_tf32
    with pytest.raises(ValueError), arithmetic(CPU, "tf32" if not before else "fp32"):
        raise ValueError
    assert torch.backends.cudnn.allow_tf32 == before


def test_denormal_numbers_are_flushed_for_a_while() -> None:
    tiny = torch.tensor([1e-40])
    assert (tiny * 1).item() > 0
    with flushing_denormals():
        assert (tiny * 1).item() == 0
        with flushing_denormals():
            pass
        assert (tiny * 1).item() == 0
    assert (tiny * 1).item() > 0


def test_a_borrowed_network_comes_back_as_it_was() -> None:
    net = small("danq").train()
    frozen = net.layers[1]
    frozen.eval()
    with evaluating(net, CPU) as borrowed:
        assert borrowed is net
        assert not any(module.training for module in net.modules())
    assert [module for module in net.modules() if not module.training] == [frozen]


def test_it_comes_back_after_an_error_too() -> None:
    net = nn.Linear(2, 2).train()
    with pytest.raises(ValueError), evaluating(net, CPU):
        raise ValueError
    assert net.training
