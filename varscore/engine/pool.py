"""Engines side by side: one process a GPU, or one process a CPU thread; work goes out and comes back in order.

Two processes of one thread beat one process of two, and a score never depends on how many there are: every engine
computes on one thread.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import torch

from varscore.cpus import available_cpus, is_stopped
from varscore.engine.device import pick_device
from varscore.engine.plain import PlainEngine, demand_sequence_only
from varscore.errors import DeviceError
from varscore.nets.layers import SequenceNet
from varscore.nets.plugins import Plugin, loaded

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from multiprocessing.queues import SimpleQueue

LOOK_SECONDS = 5.0
"""Between two looks at workers that give no answer"""

Key = TypeVar("Key")
Item = TypeVar("Item")
Result = TypeVar("Result")


def devices(name: str, threads: int | None = None) -> list[torch.device]:
    """Where engines run: every visible GPU for ``auto``, the GPU that is named, or as many CPU threads as there are.

    Raises DeviceError when a GPU is asked for and absent.
    """
    device = pick_device(name)
    if device.type == "cuda":
        return [torch.device("cuda", i) for i in range(torch.cuda.device_count())] if name == "auto" else [device]
    return [device] * (threads or available_cpus())


@dataclass(frozen=True)
class Plan:
    """What every engine of a pool is: the network, its device, the engine's class and precision.

    Raises UsageError for a network that reads more than the bases of windows.
    """

    net: SequenceNet
    where: Sequence[torch.device]
    build: Callable[[SequenceNet, torch.device, str], PlainEngine]
    precision: str = "fp32"

    def __post_init__(self) -> None:
        demand_sequence_only(self.net)

    def __reduce__(self) -> tuple[object, ...]:
        """Plugins come first: where the plan is unpickled, they make the network's class known."""
        return _make_plan, (loaded(), self.net, self.where, self.build, self.precision)


def _make_plan(plugins: Sequence[Plugin], *fields: Any) -> Plan:
    return Plan(*fields)


def busy(item: object) -> None:
    """Says of no item what its result is."""


class Pool(Protocol):
    """Whatever runs ``work(engine, item)`` for a stream of items and gives the results back in order."""

    def map(
        self,
        work: Callable[[PlainEngine, Item], Result],
        items: Iterable[tuple[Key, Item]],
        idle: Callable[[Item], Result | None] = busy,
    ) -> Iterator[tuple[Key, Result]]:
        """``work(engine, item)`` of every item, in order, each beside its key. idle: the result of an item that no
        engine has to see; None for the others"""


class Engines(Protocol):
    """Where engines can be had: on this machine (:data:`LOCAL`) or on a cluster."""

    def devices(self, name: str, threads: int | None) -> Sequence[torch.device]:
        """The device of each engine; see :func:`devices`."""

    def pool(self, plan: Plan) -> AbstractContextManager[Pool]: ...


class EnginePool:
    """Runs ``work(engine, item)`` for a stream of items on one engine a device.

    ``work``, the items and what comes back are pickled when there are several devices. A context manager: leaving it on
    an error stops what is under way.
    """

    def __init__(self, plan: Plan) -> None:
        self.ahead = len(plan.where) + 1
        self._executor: Executor
        if len(plan.where) == 1:
            self._executor = ThreadPoolExecutor(1, "engine", initializer=_start, initargs=(plan,))
        else:
            context = multiprocessing.get_context("spawn")
            turns = context.SimpleQueue()
            for index in range(len(plan.where)):
                turns.put(index)
            self._executor = ProcessPoolExecutor(len(plan.where), context, initializer=_start, initargs=(plan, turns))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            workers = multiprocessing.active_children()
            for process in workers:
                process.kill()  # one that is stopped would not notice anything milder
            for process in workers:  # else the executor notices their end late, by seconds
                process.join()
        self._executor.shutdown(cancel_futures=True)

    def map(
        self,
        work: Callable[[PlainEngine, Item], Result],
        items: Iterable[tuple[Key, Item]],
        idle: Callable[[Item], Result | None] = busy,
    ) -> Iterator[tuple[Key, Result]]:
        """``work(engine, item)`` of every item, in order, each beside its key, which stays in this process.

        No process is started before there is an item that is not ``idle``. At most ``ahead`` items are under way
        beyond the one asked for, so memory stays flat. Raises DeviceError when a worker process dies.
        """
        pending: deque[tuple[Key, Future[Result]]] = deque()
        try:
            for key, item in items:
                known = idle(item)
                pending.append((key, _done(known) if known is not None else self._executor.submit(_work, work, item)))
                if len(pending) > self.ahead:
                    yield self._done(pending)
            while pending:
                yield self._done(pending)
        except BrokenProcessPool:
            raise DeviceError(
                "a worker process died", cause="most likely out of memory", remedy="fewer `threads`, or more memory"
            ) from None

    def _done(self, pending: deque[tuple[Key, Future[Result]]]) -> tuple[Key, Result]:
        """The first of what is pending. Raises DeviceError when a worker has been stopped for two looks."""
        key, future = pending.popleft()
        stopped: set[int] = set()
        while True:
            try:
                return key, future.result(timeout=LOOK_SECONDS)
            except TimeoutError:
                if future.done():  # what the work itself has raised
                    raise
            before = stopped
            workers = [process.pid for process in multiprocessing.active_children() if process.pid is not None]
            stopped = {process for process in workers if is_stopped(process)}
            if still := sorted(before & stopped):
                raise DeviceError(
                    "a worker process is stopped",
                    where=f"process {still[0]}",
                    cause="a signal, or a debugger",
                    remedy="run the same command again to carry on",
                )


def _done(result: Result) -> Future[Result]:
    future: Future[Result] = Future()
    future.set_result(result)
    return future


class IdlePool:
    """For a run in which nothing is computed."""

    def map(
        self,
        work: Callable[[PlainEngine, Item], Result],
        items: Iterable[tuple[Key, Item]],
        idle: Callable[[Item], Result | None] = busy,
    ) -> Iterator[tuple[Key, Result]]:
        for key, item in items:
            known = idle(item)
            assert known is not None
            yield key, known


class _Local:
    """The engines of this machine."""

    def devices(self, name: str, threads: int | None) -> Sequence[torch.device]:
        return devices(name, threads)

    def pool(self, plan: Plan) -> EnginePool:
        return EnginePool(plan)


LOCAL: Engines = _Local()


_engine: PlainEngine | None = None
"""This process's engine"""


def _start(plan: Plan, turns: SimpleQueue[int] | None = None) -> None:
    """Called once in each worker; ``turns`` hands every process its own device."""
    global _engine
    if turns is not None and (parent := multiprocessing.parent_process()) is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all: the parent decides what becomes of us
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(1)
    device = plan.where[0 if turns is None else turns.get()]
    _engine = plan.build(plan.net.to(device).eval(), device, plan.precision)


def _end_with(parent: BaseProcess) -> None:
    """End this process as soon as its parent has: a parent that is killed cannot tell."""
    parent.join()
    os._exit(1)


def _work(work: Callable[[PlainEngine, Item], Result], item: Item) -> Result:
    assert _engine is not None  # the executor has called _start
    return work(_engine, item)
