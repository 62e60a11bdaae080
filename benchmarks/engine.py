"""How much faster the engine is than plain PyTorch: prints a Markdown table for each network.

    python benchmarks/engine.py [NAME ...] [--variants N] [--rounds N] [--threads N] [--precision P] [--device D]

NAME is an architecture (919 tasks, random weights) or a model, as for ``varscore bench``; by default those below,
as far as this varscore has them. Both sides have N threads, by default one a CPU: the engine a process each, as in
``varscore annotate``, plain PyTorch all in one process, and once more in N processes of one thread.
"""

from __future__ import annotations

import argparse

from varscore.bench import BenchJob, find_network, machine, measure
from varscore.engine.device import pick_device, use_threads
from varscore.nets import architectures

NETWORKS = ("dilated", "danq", "crnn-700-projection", "crnn-320-projection", "danq-jaspar", "deepsea")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--variants", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "tf32", "bf16", "fp16"))
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    threads = use_threads(options.threads)
    job = BenchJob(pick_device(options.device), options.precision, options.variants, options.rounds, threads)
    print(machine(job), flush=True)
    for name in options.names or [name for name in NETWORKS if name in architectures()]:
        title, net = find_network(name)
        print(f"\n{measure(title, net, job).markdown()}", flush=True)


if __name__ == "__main__":
    main()
