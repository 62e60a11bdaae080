"""Engines in Ray's actors, on this machine or on a cluster, in the place of local ones.

The process that was started reads, cuts windows and writes, as it does without Ray; what travels are blocks of windows
and the scores that come back. So every option, the journal and the bytes of the output are those of a local run, the
workers need neither the genome nor a shared disk, and a worker that dies takes nothing with it but a block of records
that is scored again. Ray Data would want to read the input itself, in tasks of its own and on every machine; plain
actors take a stream as it comes.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from varscore import __version__
from varscore.cpus import available_cpus
from varscore.engine.plain import PlainEngine
from varscore.engine.pool import Item, Key, Plan, Result, busy
from varscore.errors import DeviceError, VarscoreError

if TYPE_CHECKING:
    from ray.actor import ActorHandle

MOST_DEATHS = 3
"""Workers that may die over the same records before the records are blamed"""
PATIENCE = 30.0
"""Seconds without any worker after which it is said that we wait for one"""
log = logging.getLogger(__name__)


@contextmanager
def connected(address: str | None, threads: int | None = None) -> Iterator[RayEngines]:
    """The engines of a Ray cluster; the line to it, or the instance itself when it is ours, ends with the block.

    address: ``local``, an instance of ``threads`` CPUs on this machine; ``ray://HOST:PORT`` of a client server;
    ``auto`` and None as Ray has them. Raises DeviceError when the cluster cannot be reached.
    """
    wanted = (signal.SIGTERM, signal.SIGINT)
    before = {signum: signal.getsignal(signum) for signum in wanted}
    try:
        _connect(address, {"num_cpus": threads or available_cpus(), "include_dashboard": False})
        for signum, handler in before.items():
            signal.signal(signum, handler)  # Ray has set its own
        yield RayEngines()
    finally:
        ray.shutdown()


def _connect(address: str | None, machine: dict[str, object]) -> None:
    """machine: what an instance of our own is to be like"""
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what there is to say we say in one line
    alone = address == "local"
    try:
        ray.init(address, log_to_driver=False, configure_logging=False, **(machine if alone else {}))
    except Exception as error:  # Ray raises bare ones too
        raise DeviceError(
            "cannot start Ray" if alone else "cannot reach the Ray cluster",
            where=None if alone else address,
            cause=_gist(str(error)),
            remedy=None
            if alone
            else "`ray start --head` starts one; clients use port 10001 and need its token "
            "(RAY_AUTH_TOKEN or ~/.ray/auth_token)",
        ) from None


def _gist(message: str) -> str:
    """One line of what may be a traceback."""
    first, *others = message.strip().splitlines() or [""]
    return f"{first} {others[-1]}" if first.endswith(":") and others else first


class RayEngines:
    """See :class:`varscore.engine.pool.Engines`."""

    def devices(self, name: str, threads: int | None) -> Sequence[torch.device]:
        """Every GPU of the cluster, or as many of its CPUs as ``threads`` says, all by default. Raises DeviceError."""
        there = ray.cluster_resources()
        gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 0))
        if name.startswith("cuda:"):
            raise DeviceError(f"device {name} was asked for", cause="Ray chooses the GPUs", remedy="`device=cuda`")
        if name == "cuda" and not gpus:
            raise DeviceError("device cuda was asked for", cause="the Ray cluster has no GPU", remedy="`device=cpu`")
        if gpus and name != "cpu":
            return [torch.device("cuda", 0)] * gpus  # each worker sees its own only
        if not cpus:
            raise DeviceError("the Ray cluster has no CPU to compute on", remedy="add a node with `ray start`")
        return [torch.device("cpu")] * min(threads or cpus, cpus)

    def pool(self, plan: Plan) -> RayPool:
        return RayPool(plan)

    def everywhere(
        self, work: Callable[..., Result], jobs: Sequence[Sequence[object]], device: str = "auto"
    ) -> list[Result]:
        """``work(*job)`` of every job in processes of their own, each with a CPU, and a GPU where the cluster has some
        and ``device`` is not cpu; the results in order. One whose process dies is run again. Raises DeviceError, and
        whatever ``work`` raises.
        """
        where = self.devices(device, None)
        on_gpu = where[0].type == "cuda"
        task = ray.remote(num_cpus=1, num_gpus=int(on_gpu), max_retries=MOST_DEATHS)(work)
        try:
            return list(ray.get([task.remote(*job) for job in jobs]))
        except RayTaskError as error:
            raise error.cause if isinstance(error.cause, VarscoreError) else error from None
        except RayError as error:
            raise DeviceError("Ray's workers cannot be kept alive", cause=_gist(str(error))) from None


class Worker:
    """Holds an engine. Lives in a process of its own, most likely on another machine."""

    def __init__(self, plan: Plan) -> None:
        torch.set_num_threads(1)
        device = plan.where[0]
        self._engine = plan.build(plan.net.to(device).eval(), device, plan.precision)

    def introduce(self) -> Peer:
        return Peer(ray.util.get_node_ip_address(), os.getpid(), _versions())

    def work(self, work: Callable[[PlainEngine, Item], Result], item: Item) -> Result:
        return work(self._engine, item)


@dataclass(frozen=True)
class Peer:
    """Where a worker is and what it runs."""

    node: str
    pid: int
    versions: str

    def __str__(self) -> str:
        return f"{self.pid} on {self.node}"


def _versions() -> str:
    return f"varscore {__version__}, torch {metadata.version('torch').partition('+')[0]}"


@dataclass
class _Member:
    """A worker that has introduced itself."""

    actor: ActorHandle
    peer: Peer
    load: int = 0


@dataclass
class _Task(Generic[Item, Result]):
    work: Callable[[PlainEngine, Item], Result]
    item: Item
    member: _Member | None = None
    ref: ray.ObjectRef | None = None
    deaths: int = 0


class RayPool:
    """One worker for each device of the plan. See :class:`varscore.engine.pool.Pool`.

    Workers join as they get ready, and another is asked for in the place of one that dies. What that one had in hand
    goes to the others. A context manager: leaving it ends the workers.
    """

    def __init__(self, plan: Plan) -> None:
        on_gpu = plan.where[0].type == "cuda"
        self._worker = ray.remote(num_cpus=1, num_gpus=int(on_gpu), max_restarts=0)(Worker)
        self._plan = ray.put(plan)
        self._crew: list[_Member] = []
        self._coming: dict[ray.ObjectRef, ActorHandle] = {}
        self._stillborn = 0
        self._ahead = 2 * len(plan.where)
        for _ in plan.where:
            self._ask_for_one()

    @property
    def peers(self) -> list[Peer]:
        """The workers there are."""
        return [member.peer for member in self._crew]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in [*(member.actor for member in self._crew), *self._coming.values()]:
            with suppress(Exception):  # it, or the whole cluster, may be gone
                ray.kill(actor)

    def map(
        self,
        work: Callable[[PlainEngine, Item], Result],
        items: Iterable[tuple[Key, Item]],
        idle: Callable[[Item], Result | None] = busy,
    ) -> Iterator[tuple[Key, Result]]:
        """``work(engine, item)`` of every item, in order, each beside its key, which stays in this process. Items that
        are ``idle`` are sent like any other.

        A few items a worker are under way. Raises DeviceError when the workers cannot be kept alive, and whatever
        ``work`` raises.
        """
        pending: deque[tuple[Key, _Task[Item, Result]]] = deque()
        for key, item in items:
            task = _Task(work, item)
            self._send(task)
            pending.append((key, task))
            if len(pending) > self._ahead:
                yield self._first(pending)
        while pending:
            yield self._first(pending)

    def _first(self, pending: deque[tuple[Key, _Task[Item, Result]]]) -> tuple[Key, Result]:
        """Take the first task from the others, as soon as it is done."""
        key, task = pending[0]
        while True:
            try:
                result = ray.get(task.ref)
                break
            except RayTaskError as error:  # raised by the work itself
                raise error.cause if isinstance(error.cause, VarscoreError) else error from None
            except RayError:
                self._replace(task, [other for _, other in pending])
        if task.member is not None:
            task.member.load -= 1
        pending.popleft()
        return key, result

    def _replace(self, task: _Task[Item, Result], pending: Iterable[_Task[Item, Result]]) -> None:
        """Another worker for the one that died over ``task``; all that it had in hand goes elsewhere."""
        dead = task.member
        assert dead is not None
        task.deaths += 1
        if task.deaths == MOST_DEATHS:
            raise DeviceError(
                f"{MOST_DEATHS} workers died over the same records",
                cause="most likely out of memory",
                remedy="a smaller `batch_size`, or more memory for the workers",
            )
        if dead in self._crew:
            log.warning("worker %s died: its records are scored again by others", dead.peer)
            self._crew.remove(dead)
            with suppress(Exception):
                ray.kill(dead.actor)  # when the line to it was cut rather than itself
            self._ask_for_one()
        for lost in [task, *(other for other in pending if other.member is dead and other is not task)]:
            self._send(lost)

    def _ask_for_one(self) -> None:
        actor = self._worker.remote(self._plan)
        self._coming[actor.introduce.remote()] = actor

    def _send(self, task: _Task[Item, Result]) -> None:
        """To the worker that has the least to do."""
        self._welcome()
        task.member = min(self._crew, key=lambda member: member.load)
        task.member.load += 1
        task.ref = task.member.actor.work.remote(task.work, task.item)

    def _welcome(self) -> None:
        """Take in those that are ready; wait for one when there is none. Raises DeviceError when none can start."""
        patience: float | None = PATIENCE
        while self._coming:
            wait = 0 if self._crew else patience
            ready, _ = ray.wait(list(self._coming), num_returns=1, timeout=wait)
            if ready:
                self._take_in(ready[0])
            elif self._crew:
                return
            else:
                log.warning("waiting for a worker: the Ray cluster has nothing free")
                patience = None

    def _take_in(self, ref: ray.ObjectRef) -> None:
        actor = self._coming.pop(ref)
        try:
            peer = ray.get(ref)
        except RayError as error:
            self._stillborn += 1
            if self._stillborn >= MOST_DEATHS and not self._crew:
                raise DeviceError(
                    "Ray's workers cannot start",
                    cause=str(error).strip().splitlines()[-1],
                    remedy="is the same varscore installed on every node?",
                ) from None
            self._ask_for_one()
            return
        if peer.versions != _versions():
            raise DeviceError(
                f"the worker on {peer.node} has {peer.versions}",
                cause=f"here are {_versions()}",
                remedy="install the same on every node",
            )
        log.debug("worker %s is ready", peer)
        self._crew.append(_Member(actor, peer))
