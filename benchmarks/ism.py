"""How much faster every substitution of a fixed window is by the exact engine than by plain PyTorch: a Markdown table.

    python benchmarks/ism.py [NAME ...] [--windows N] [--positions N] [--rounds N] [--device D]

NAME is an architecture (919 tasks, random weights) or a model. Plain is ``net(one_hot(codes))`` of three windows a
position and of their reverse complements, in the better one of two batch sizes; both have one CPU thread. Rounds are
interleaved, the ratio is the median over them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from varscore.bench import find_network
from varscore.engine import SharedEngine
from varscore.engine.device import arithmetic, evaluating, pick_device, use_threads
from varscore.engine.exact.reach import Span
from varscore.engine.plain import substitutions
from varscore.nets.layers import SequenceNet, one_hot, reverse_complement

NETWORKS = ("danq", "crnn-320-projection", "dilated")
BATCHES = {"cpu": (64, 256), "cuda": (512, 4096)}


def plain(net: SequenceNet, codes: np.ndarray, positions: Span, batch: int, device: torch.device) -> np.ndarray:
    """float32 (2, substitutions, outputs)"""
    row, at, base = substitutions(codes, positions)
    windows = codes[row]
    windows[np.arange(len(row)), at] = base
    given, parts = torch.from_numpy(windows), []
    with torch.inference_mode(), arithmetic(device, "fp32"):
        for strand in (given, reverse_complement(given)):
            pieces = [net(one_hot(piece.to(device))).cpu() for piece in torch.split(strand, batch)]
            parts.append(torch.cat(pieces))
    return torch.stack(parts).numpy()


def seconds(work: Callable[..., object], *arguments: object) -> float:
    begin = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - begin


def measure(title: str, net: SequenceNet, codes: np.ndarray, span: Span, rounds: int, device: torch.device) -> str:
    """A line of the table."""
    engine, batches = SharedEngine(net, device), BATCHES[device.type]
    _, found = engine.saturate(codes, span)
    row, at, base = substitutions(codes, span)
    expected = plain(net, codes, span, batches[0], device)
    error = float(np.abs(found[:, row, at - span.lo, base] - expected).max())
    times = []
    for _ in range(rounds):
        slow = min(seconds(plain, net, codes, span, batch, device) for batch in batches)
        times.append((slow, seconds(engine.saturate, codes, span)))
    rates = [len(row) / statistics.median(each) for each in zip(*times, strict=True)]
    ratio = statistics.median(slow / fast for slow, fast in times)
    return f"| {title} | {len(span)} | {rates[0]:.0f} | {rates[1]:.0f} | {ratio:.1f} | {error:.1g} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", default=NETWORKS)
    parser.add_argument("--windows", type=int, default=1)
    parser.add_argument("--positions", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    use_threads(1)
    device = pick_device(options.device)
    print("| network | positions | plain, substitutions/s | exact, substitutions/s | ratio | largest difference |")
    print("|-|-|-|-|-|-|")
    for name in options.names:
        title, net = find_network(name)
        codes = np.random.default_rng(0).integers(0, 4, (options.windows, net.window), np.uint8)
        first = (net.window - options.positions) // 2
        span = Span(max(first, 0), min(first + options.positions, net.window))
        with evaluating(net, device):
            print(measure(title, net, codes, span, options.rounds, device), flush=True)


if __name__ == "__main__":
    main()
