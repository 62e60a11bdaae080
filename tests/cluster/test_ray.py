"""Ray's workers: the same bytes as without them, whoever dies."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.disturbance import Disturbance
from cluster.conftest import HEADER, made_records

from varscore.annotate import outputs
from varscore.cli.boundary import run
from varscore.cluster import ALONE
from varscore.errors import DeviceError

os.environ.update(ALONE)  # which Ray reads when it is imported
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[client]'")
cluster = pytest.importorskip("varscore.cluster.ray")

WORDS = "in.vcf -r g.fa --batch-size 8"
FILES = {"": "{}.vcf.gz", "--scores": "{}.parquet", "--skipped": "{}.txt"}


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every pool of Ray workers that is made."""
    made: list[Any] = []
    monkeypatch.setattr(cluster.RayEngines, "pool", lambda self, plan: made.append(cluster.RayPool(plan)) or made[-1])
    return made


def annotate(stem: str, *further: str) -> int:
    names = [word.format(stem) for option, name in FILES.items() for word in (option or "-o", name)]
    return run(["annotate", *WORDS.split(), *names, *further])


def contents(stem: str) -> list[bytes]:
    return [Path(name.format(stem)).read_bytes() for name in FILES.values()]


# -- the real thing --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("workspace")
def test_a_killed_worker_and_a_stopped_run_change_no_byte(
    pools: list[Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("varscore.annotate.job.FEWEST", 8)
    monkeypatch.setattr(outputs, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(outputs, "COMMIT_SHARE", 1.0)
    assert annotate("one", "--threads", "1") == 0
    disturb = Disturbance(monkeypatch)
    killed = []

    def kill_one() -> None:
        killed.append(pools[-1].peers[0].pid)
        os.kill(killed[0], signal.SIGKILL)
        disturb.signal(7, signal.SIGTERM)  # and this process 7 portions later

    disturb.plan(2, kill_one)
    capfd.readouterr()
    status = annotate("all", "--threads", "2", "--cluster", "ray")
    messages = [
        line.removeprefix("varscore: ")
        for line in capfd.readouterr().err.splitlines()
        if "waiting for a worker" not in line  # which a busy machine takes long to start
    ]
    if messages[-1].startswith("error: cannot start Ray"):
        pytest.skip(f"Ray does not wait longer than some seconds for its daemons: {messages[-1]}")
    assert status == 143, messages
    assert messages[0].startswith(f"warning: worker {killed[0]} on 127.0.0.1 died: its records are scored again")
    assert messages[1:] == ["warning: 72 records are done; the same command carries on from there"]
    assert not ray.is_initialized()
    disturb.plan(None)
    assert annotate("all", "--threads", "1") == 0  # a run on a cluster is carried on without one
    assert disturb.portions == 14 - 9
    assert contents("all") == contents("one")


@pytest.mark.slow
@pytest.mark.usefixtures("workspace")
def test_haplotypes_and_structural_alleles_on_a_worker(capfd: pytest.CaptureFixture[str]) -> None:
    """One worker, on one CPU: the bytes of a run without it, and those of shards put together."""
    dice, kind = random.Random(4), '##FORMAT=<ID=GT,Number=1,Type=String,Description="">\n#CHROM'
    lines = [
        line.rstrip().replace("<DEL>\t17.251234\t.\t.", "<DEL>\t17.251234\t.\tSVLEN=9")
        + f"\tGT\t{dice.choice(['0|1', '1|0', '1|1', '0/1'])}\n"
        for line in made_records()
    ]
    Path("in.vcf").write_text(HEADER.replace("#CHROM", kind).replace("INFO\n", "INFO\tFORMAT\tanna\n") + "".join(lines))
    words = ["annotate", "in.vcf", "-r", "g.fa", "--batch-size", "8", "--threads", "1", "--haplotypes"]

    def run_to(stem: str, *further: str) -> int:
        return run([*words, "-o", f"{stem}.vcf.gz", "--haplotype-table", f"{stem}.tsv.gz", *further])

    assert run_to("one") == 0
    status = run_to("ray", "--cluster", "ray")
    if "cannot start Ray" in (said := capfd.readouterr().err):
        pytest.skip(f"Ray does not wait longer than some seconds for its daemons: {said}")
    assert status == 0 and not ray.is_initialized()
    assert "pairs of an allele and a background scored" in said
    assert [run_to(f"part{i}", "--shard", f"{i}/2") for i in (1, 2)] == [0, 0]
    assert run(["merge", "part1.vcf.gz", "part2.vcf.gz", "-o", "all.vcf.gz", "--haplotype-table", "all.tsv.gz"]) == 0
    for name in ("vcf.gz", "tsv.gz"):
        whole = Path(f"one.{name}").read_bytes()
        assert Path(f"ray.{name}").read_bytes() == whole and Path(f"all.{name}").read_bytes() == whole


@pytest.mark.slow
@pytest.mark.usefixtures("workspace")
def test_at_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of its own, and a client that has its token, as a user has it in the home directory."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))
    ports = ["--port=26379", "--ray-client-server-port=26001", "--include-dashboard=false", "--num-cpus=2"]
    launch = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", *ports]
    with (tmp_path / "head.log").open("w") as log:
        head = subprocess.Popen(launch, stdout=log, stderr=log)
    try:
        assert annotate("one", "--threads", "1") == 0
        deadline = time.monotonic() + 120
        while "runtime started" not in (tmp_path / "head.log").read_text() and time.monotonic() < deadline:
            time.sleep(0.5)
        names = [word.format("all") for option, name in FILES.items() for word in (option or "-o", name)]
        command = [sys.executable, "-m", "varscore", "--verbose", "annotate", *WORDS.split(), *names]
        ended = subprocess.run([*command, "--cluster", "ray://127.0.0.1:26001"], capture_output=True, text=True)
    finally:
        head.terminate()
        head.wait()
    assert ended.returncode == 0, ended.stderr
    assert "is ready" in ended.stderr
    assert contents("all") == contents("one")


# -- workers that are only pretended -----------------------------------------------------------------------------------


class FakeRay:
    """As much of Ray as a pool uses, in this process. ``fate`` says of every call whether its worker dies of it."""

    def __init__(self, fate: Callable[[str], bool]) -> None:
        self.fate, self.actors, self.versions = fate, 0, cluster._versions()
        self.dead: set[int] = set()
        self.util = type("util", (), {"get_node_ip_address": staticmethod(lambda: "n")})

    def put(self, value: Any) -> Any:
        return value

    def kill(self, actor: Any) -> None:
        self.dead.add(actor.number)

    def remote(self, **options: Any) -> Any:
        return lambda kind: type("Kind", (), {"remote": staticmethod(lambda plan: FakeActor(self))})

    def get(self, ref: Any) -> Any:
        return ref()

    def wait(self, refs: list[Any], num_returns: int, timeout: float | None) -> tuple[list[Any], list[Any]]:
        return refs[:1], refs[1:]


class FakeActor:
    def __init__(self, fake: FakeRay) -> None:
        fake.actors += 1
        self.fake, self.number = fake, fake.actors
        self.introduce = self.call("introduce", lambda: cluster.Peer("n", self.number, fake.versions))
        self.work = self.call("work", lambda work, item: work(None, item))

    def call(self, name: str, function: Callable[..., Any]) -> Any:
        def remote(*arguments: Any) -> Callable[[], Any]:
            def result() -> Any:
                if self.number in self.fake.dead or self.fake.fate(name):
                    self.fake.dead.add(self.number)
                    raise ray.exceptions.RayActorError
                return function(*arguments)

            return result

        return type("Method", (), {"remote": staticmethod(remote)})


@pytest.fixture
def pool_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, FakeRay]]:
    def make(fate: Callable[[str], bool], workers: int = 3) -> tuple[Any, FakeRay]:
        fake = FakeRay(fate)
        monkeypatch.setattr(cluster, "ray", fake)
        plan = type("Plan", (), {"where": [type("device", (), {"type": "cpu"})] * workers})
        return cluster.RayPool(plan), fake

    return make


def squares(pool: Any, n: int = 60) -> Iterator[tuple[int, int]]:
    return iter(pool.map(lambda engine, x: x * x, ((x, x) for x in range(n))))


@pytest.mark.parametrize("seed", range(8))
def test_every_item_comes_back_once_and_in_order(seed: int, pool_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "MOST_DEATHS", 20)
    dice = random.Random(seed)
    pool, fake = pool_of(lambda call: dice.random() < 0.1)
    assert list(squares(pool)) == [(x, x * x) for x in range(60)]
    assert fake.actors > 3


def test_records_that_kill_every_worker_end_the_run(pool_of: Any) -> None:
    pool, fake = pool_of(lambda call: call == "work")
    with pytest.raises(DeviceError, match="3 workers died over the same records; most likely out of memory"):
        list(squares(pool))
    assert fake.actors == 5


def test_workers_that_cannot_start_end_the_run(pool_of: Any) -> None:
    pool, _ = pool_of(lambda call: call == "introduce")
    with pytest.raises(DeviceError, match="Ray's workers cannot start"):
        list(squares(pool))


def test_a_worker_of_another_version_is_refused(pool_of: Any) -> None:
    pool, fake = pool_of(lambda call: False)
    fake.versions = "varscore 0.0.1, torch 2.6.0"
    with pytest.raises(DeviceError, match="the worker on n has varscore 0.0.1, torch 2.6.0; here are varscore"):
        list(squares(pool))


@pytest.mark.parametrize(
    ("there", "name", "threads", "found"),
    [
        ({"CPU": 8.0}, "auto", None, ["cpu"] * 8),
        ({"CPU": 8.0}, "auto", 3, ["cpu"] * 3),
        ({"CPU": 8.0, "GPU": 2.0}, "auto", None, ["cuda:0"] * 2),
        ({"CPU": 8.0, "GPU": 2.0}, "cpu", None, ["cpu"] * 8),
        ({"CPU": 8.0}, "cuda", None, "the Ray cluster has no GPU"),
        ({"CPU": 8.0, "GPU": 2.0}, "cuda:1", None, "Ray chooses the GPUs"),
        ({}, "cpu", None, "the Ray cluster has no CPU to compute on"),
    ],
)
def test_where_engines_run(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, float], name: str, threads: int | None, found: Any
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: there)
    if isinstance(found, str):
        with pytest.raises(DeviceError, match=found):
            cluster.RayEngines().devices(name, threads)
    else:
        assert [str(device) for device in cluster.RayEngines().devices(name, threads)] == found


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("ray client connection timeout\nmore", "ray client connection timeout"),
        ("failure from server:\nTraceback:\n  in f\nFutureTimeoutError\n", "failure from server: FutureTimeoutError"),
    ],
)
def test_a_cluster_that_is_not_there(monkeypatch: pytest.MonkeyPatch, said: str, cause: str) -> None:
    def refuse(*words: object, **options: object) -> None:
        raise ConnectionError(said)

    monkeypatch.setattr(ray, "init", refuse)
    expected = f"cannot reach the Ray cluster, ray://nowhere:1; {cause}; "
    with pytest.raises(DeviceError, match=expected), cluster.connected("ray://nowhere:1"):
        pass


# -- whole workers, which share their work through the disk -----------------------------------------------------------


def test_jobs_run_in_processes_of_their_own_in_order_and_errors_come_back(tmp_path: Path) -> None:
    from varscore.cluster import ray_engines

    def worked(number: int, folder: str) -> tuple[int, int]:  # in here, so that it travels as it stands
        if number < 0:
            raise DeviceError("no such device")
        (Path(folder) / str(number)).touch()
        return number, os.getpid()

    try:
        with ray_engines("ray", 2) as engines:
            found = engines.everywhere(worked, [(n, str(tmp_path)) for n in range(3)], "cpu")
            with pytest.raises(DeviceError, match="no such device"):
                engines.everywhere(worked, [(-1, "")], "cpu")
    except DeviceError as error:
        if "cannot start Ray" not in str(error):
            raise
        pytest.skip(f"Ray does not wait longer than some seconds for its daemons: {error}")
    assert [number for number, _ in found] == [0, 1, 2] and os.getpid() not in {pid for _, pid in found}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]
