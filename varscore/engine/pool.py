"""Engines side by side: one process a GPU, or one process a CPU thread, with work handed out and taken back in order.

Two processes of one thread beat one process of two, and a score never depends on how many there are: every engine computes on
one thread.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Self, TypeVar

import torch

from varscore.cpus import available_cpus
from varscore.engine.device import pick_device
from varscore.engine.plain import PlainEngine
from varscore.errors import DeviceError
from varscore.nets.layers import SequenceNet

Key, Item, Result = TypeVar("Key"), TypeVar("Item"), TypeVar("Result")
Build = Callable[[SequenceNet, torch.device, str], PlainEngine]


def devices(name: str, threads: int | None) -> list[torch.device]:
    """Where engines run: every visible GPU for ``auto``, the GPU that is named, or as many CPU threads as there are.

    Raises DeviceError when a GPU is asked for and absent.
    """
    device = pick_device(name)
    if device.type == "cuda":
        return [torch.device("cuda", i) for i in range(torch.cuda.device_count())] if name == "auto" else [device]
    return [device] * (threads or available_cpus())


class EnginePool:
    """Runs ``work(engine, item)`` for a stream of items on one engine a device.

    ``work``, the items and what comes back are pickled when there are several devices. A context manager: leaving it on an
    error cancels what has not begun.
    """

    def __init__(self, net: SequenceNet, where: Sequence[torch.device], build: Build, precision: str = "fp32") -> None:
        self.ahead = len(where) + 1
        self._executor: Executor
        if len(where) == 1:
            self._executor = ThreadPoolExecutor(
                1, "engine", initializer=_start, initargs=(net, where, build, precision)
            )
        else:
            context = multiprocessing.get_context("spawn")
            queue = context.SimpleQueue()
            for index in range(len(where)):
                queue.put(index)
            self._executor = ProcessPoolExecutor(
                len(where), context, initializer=_start, initargs=(net, where, build, precision, queue)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and isinstance(self._executor, ProcessPoolExecutor):
            for process in (self._executor._processes or {}).values():
                process.terminate()
        self._executor.shutdown(cancel_futures=True)

    def map(
        self, work: Callable[[PlainEngine, Item], Result], items: Iterable[tuple[Key, Item]]
    ) -> Iterator[tuple[Key, Result]]:
        """``work(engine, item)`` of every item, in order, each beside its key, which stays in this process.

        At most ``ahead`` items are under way beyond the one asked for, so memory stays flat. Raises DeviceError when a
        worker process dies.
        """
        pending: deque[tuple[Key, Future[Result]]] = deque()
        try:
            for key, item in items:
                pending.append((key, self._executor.submit(_work, work, item)))
                if len(pending) > self.ahead:
                    yield _done(pending)
            while pending:
                yield _done(pending)
        except BrokenProcessPool:
            raise DeviceError(
                "a worker process died", cause="most likely out of memory", remedy="fewer --threads, or more memory"
            ) from None


def _done(pending: deque[tuple[Key, Future[Result]]]) -> tuple[Key, Result]:
    key, future = pending.popleft()
    return key, future.result()


_engine: PlainEngine | None = None
"""This process's engine"""


def _start(net: SequenceNet, where: Sequence[torch.device], build: Build, precision: str, queue: Any = None) -> None:
    global _engine
    torch.set_num_threads(1)
    device = where[0 if queue is None else queue.get()]
    _engine = build(net.to(device).eval(), device, precision)


def _work(work: Callable[[PlainEngine, Any], Any], item: Any) -> Any:
    return work(_engine, item)
