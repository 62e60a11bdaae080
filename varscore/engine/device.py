"""Which device computes, and in what arithmetic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from varscore.compiled import note_missing_compiler
from varscore.cpus import available_cpus
from varscore.errors import DeviceError, UsageError

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str) -> torch.device:
    """``auto`` is the first GPU, or the CPU; under torchrun ``auto`` and ``cuda`` are the GPU of this process.

    Raises DeviceError when a GPU is asked for and absent.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        note_missing_compiler()
        return torch.device("cpu")
    if not torch.cuda.is_available():
        why = "this PyTorch has no CUDA" if torch.version.cuda is None else "no NVIDIA GPU or driver is visible"
        raise DeviceError(f"device {name} was asked for", cause=why, remedy="`device=cpu`, or `device=auto`")
    index = int(name.partition(":")[2] or os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        raise DeviceError(f"device cuda:{index} was asked for", cause=f"there are {torch.cuda.device_count()} GPUs")
    return torch.device("cuda", index)


def peak_gpu_memory() -> int | None:
    """Bytes of GPU memory that this process's tensors took at most; None without a GPU."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def use_threads(count: int | None) -> int:
    """Let torch use ``count`` CPU threads; None: this process's share of the CPUs it may use. Returns how many."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's
    threads = count or max(1, available_cpus() // processes)
    torch.set_num_threads(threads)
    return threads


def demand_precision(precision: str) -> None:
    """Raises UsageError for one that there is not, with which all would be computed in ``fp32``."""
    if precision not in PRECISIONS:
        raise UsageError(f"`precision={precision}` is none of {', '.join(PRECISIONS)}")


@contextmanager
def arithmetic(device: torch.device, precision: str) -> Iterator[None]:
    """Compute in ``fp32`` (TF32 off), ``tf32``, ``bf16`` or ``fp16`` (autocast); afterwards all is as it was."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        with torch.autocast(device.type, AUTOCAST.get(precision), enabled=precision in AUTOCAST):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Denormal numbers, which make a CPU several times slower, count as 0 in this thread; then all is as before."""
    before = float(torch.tensor(1e-40) * 1) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextmanager
def evaluating(net: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """``net`` on ``device`` in evaluation mode; it comes back as it was."""
    modes, home = {module: module.training for module in net.modules()}, next(net.parameters()).device
    try:
        yield net.to(device).eval()
    finally:
        net.to(home)
        for module, training in modes.items():
            module.training = training


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, as every engine does, so that scores are the same everywhere; the caller's number of
    threads comes back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
