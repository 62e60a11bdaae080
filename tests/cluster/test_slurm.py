"""SLURM's scripts: what is in them, what they do under a scheduler that is only pretended, and under a real one."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from varscore.cli.boundary import run
from varscore.cluster import slurm
from varscore.errors import UsageError
from varscore.formats.shards import Shard

LINE = "in.vcf -r g.fa -o all.vcf.gz --scores all.parquet --skipped all.txt --threads 1"
WORDS = LINE.split()
FILES = ("all.vcf.gz", "all.parquet", "all.txt")

# A stand-in for varscore that writes down its words, and ends as the file `fate` says, once.
STUB = """\
import json, pathlib, signal, sys, time
pathlib.Path("calls").open("a").write(json.dumps(sys.argv[1:]) + "\\n")
fate = pathlib.Path("fate")
if fate.exists():
    status = int(fate.read_text())
    fate.unlink()
    if status == 143:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        pathlib.Path("waiting").touch()
        time.sleep(60)
    sys.exit(status)
"""
# A stand-in for sbatch, squeue, scontrol and scancel: every task of an array in order, at once.
SCHEDULER = """\
import os, pathlib, re, subprocess, sys, time
name, words = pathlib.Path(sys.argv[0]).stem, sys.argv[1:]
log = pathlib.Path("scheduler").open("a")
print(name, *words, file=log, flush=True)
if name == "squeue":
    print(pathlib.Path("state").read_text())
if name != "sbatch":
    sys.exit()
number = len(re.findall("^sbatch", pathlib.Path("scheduler").read_text(), re.M))
text = pathlib.Path(words[-1]).read_text()
array = re.search(r"--array=1-(\\d+)", text)
for task in range(1, int(array[1]) + 1) if array else [0]:
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_JOB_ID": "77"}
    job = subprocess.Popen(["bash", words[-1]], env=environment, stdout=subprocess.DEVNULL)
    while job.poll() is None:
        if pathlib.Path("waiting").exists():
            pathlib.Path("waiting").unlink()
            job.terminate()
        time.sleep(0.02)
    print("ended", job.returncode, file=log, flush=True)
print(number)
"""


@pytest.fixture
def stub(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-ins, first on the PATH."""
    folder = workspace / "bin dir"
    folder.mkdir()
    for name in ("sbatch", "squeue", "scontrol", "scancel"):
        (folder / f"{name}.py").write_text(SCHEDULER)
        # a first line with #! takes no interpreter whose path has a blank
        command = shlex.join([sys.executable, str(folder / f"{name}.py")])
        (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / name).chmod(0o755)
    (folder / "varscore.py").write_text(STUB)
    (workspace / "state").write_text("RUNNING\n")
    monkeypatch.setattr(slurm, "PROGRAM", (sys.executable, "-S", str(folder / "varscore.py")))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return workspace


def calls() -> list[list[str]]:
    path = Path("calls")
    found = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    return found


def scheduler(name: str = "") -> list[str]:
    return [line for line in Path("scheduler").read_text().splitlines() if line.startswith(name)]


# -- the scripts under a pretended scheduler -------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".vcf.gz", ".bcf", ".tsv"])
def test_the_array_and_the_merge_make_the_bytes_of_one_run(stub: Path, suffix: str) -> None:
    words = [word.replace(".vcf.gz", suffix) for word in WORDS]
    assert run(["slurm", "--shards", "3", "--submit", "--", *words]) == 0
    *shards, merge = calls()
    assert [words[0] for words in (*shards, merge)] == ["annotate"] * 3 + ["merge"]
    assert not (folder := stub / f"all{suffix}.slurm" / "shards").exists()  # the stand-in has merged
    folder.mkdir()
    for call in reversed(shards):  # in any order
        assert run(call) == 0
    assert run(merge) == 0
    merged = [Path(name.replace(".vcf.gz", suffix)).read_bytes() for name in FILES]
    assert run(["annotate", *words, "--force"]) == 0
    assert [Path(name.replace(".vcf.gz", suffix)).read_bytes() for name in FILES] == merged
    assert "--dependency=afterok:1 --kill-on-invalid-dep=yes" in scheduler("sbatch")[1]


def test_the_tasks_of_an_array_share_a_cache(stub: Path) -> None:
    """Each adds files of its own to one folder; what they computed is all there afterwards."""
    words = ["in.vcf", "-r", "g.fa", "-o", "all.vcf.gz", "--threads", "1"]
    assert run(["annotate", *words]) == 0
    plain = Path("all.vcf.gz").read_bytes()
    words += ["--cache", "scores", "--force"]
    assert run(["slurm", "--shards", "3", "--submit", "--", *words]) == 0
    *shards, merge = calls()
    (stub / "all.vcf.gz.slurm" / "shards").mkdir()
    assert [run(call) for call in (*shards, merge)] == [0, 0, 0, 0]
    assert Path("all.vcf.gz").read_bytes() == plain
    assert len(list(Path("scores").glob("*/*.scores"))) == 3
    assert run(["annotate", *words]) == 0
    assert Path("all.vcf.gz").read_bytes() == plain
    assert json.loads(Path("all.vcf.gz.run.json").read_text())["cache"]["misses"] == 0


def test_submitting_again_does_what_is_missing(stub: Path) -> None:
    assert run(["slurm", "-n", "3", "--submit", "--", *WORDS]) == 0
    shards = calls()[:3]
    submit = stub / "all.vcf.gz.slurm" / "submit.sh"
    submit.with_name("shards").mkdir()
    assert run(shards[0]) == run(shards[2]) == 0
    subprocess.run([submit], check=True)
    assert [call[-2] for call in calls() if call[0] == "annotate"] == ["2/3"]
    future = time.time() + 60
    os.utime("in.vcf", (future, future))  # what is older than its input is not what is missing
    submit.with_name("shards").mkdir()
    subprocess.run([submit], check=True)
    assert [call[-2] for call in calls() if call[0] == "annotate"] == ["1/3", "2/3", "3/3"]


@pytest.mark.parametrize(
    ("state", "restarts", "requeued"), [("RUNNING", "2", True), ("CANCELLED", "2", False), ("RUNNING", "100", False)]
)
def test_a_task_at_the_end_of_its_time_is_queued_again(
    stub: Path, monkeypatch: pytest.MonkeyPatch, state: str, restarts: str, requeued: bool
) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    (stub / "state").write_text(state + "\n")
    (stub / "fate").write_text("143")
    assert run(["slurm", "-n", "1", "--submit", "--", *WORDS]) == 0
    assert scheduler("ended") == ["ended 143", "ended 0"]
    assert scheduler("scontrol") == (["scontrol requeue 77"] if requeued else [])


def test_what_fails_is_not_queued_again(stub: Path) -> None:
    (stub / "fate").write_text("2")
    assert run(["slurm", "-n", "1", "--submit", "--", *WORDS]) == 0
    assert scheduler("ended") == ["ended 2", "ended 0"]
    assert not scheduler("scontrol")


# -- what is written -----------------------------------------------------------------------------------------------


def test_what_is_asked_for_stands_in_the_scripts(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = "--time 2:00:00 --mem 8G --cpus 4 --gpus 1 -p short --at-once 20 --sbatch=--account=lab"
    assert run(["slurm", "-n", "40", *asked.split(), "--setup", "module load cuda", "--dry-run", "--", *WORDS]) == 0
    array, merge, _ = capsys.readouterr().out.split("==> ")[1:]
    assert not Path("all.vcf.gz.slurm").exists()
    options = [line.removeprefix("#SBATCH ") for line in array.splitlines() if line.startswith("#SBATCH")]
    assert options == [
        "--job-name=varscore-all.vcf.gz",
        "--array=1-40%20",
        f"--chdir={workspace}",
        f"--output={workspace}/all.vcf.gz.slurm/logs/%a.log",
        "--open-mode=append",
        "--requeue",
        "--signal=B:TERM@120",
        "--cpus-per-task=4",
        "--gres=gpu:1",
        "--time=2:00:00",
        "--mem=8G",
        "--partition=short",
        "--account=lab",
    ]
    assert "\nmodule load cuda\n" in array and "\nmodule load cuda\n" in merge
    assert "--gres" not in merge and "--array" not in merge
    (command,) = [line.rstrip("\\") for line in array.splitlines() if " annotate " in line]
    assert shlex.split(command)[: 5 + len(WORDS)] == [*slurm.PROGRAM, "annotate", *WORDS]


def test_scripts_are_shell(workspace: Path) -> None:
    assert run(["slurm", "-n", "2", "--", *WORDS]) == 0
    for script in Path("all.vcf.gz.slurm").glob("*.sh"):
        assert subprocess.run(["bash", "-n", script]).returncode == 0
        if shutil.which("shellcheck"):
            assert subprocess.run(["shellcheck", script]).returncode == 0


def test_shards_are_called_what_annotate_calls_them() -> None:
    done = subprocess.run(["bash", "-c", "printf 'shard-%04d-of-0040' 7"], capture_output=True, text=True)
    assert done.stdout == Shard(6, 40).tag


def test_scripts_are_not_replaced_by_themselves(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["slurm", "-n", "2", "--", *WORDS]) == 0
    assert run(["slurm", "-n", "3", "--", *WORDS]) == 2
    assert "run its submit.sh to do what is missing" in capsys.readouterr().err
    assert run(["slurm", "-n", "3", "--force", "--", *WORDS]) == 0
    assert "--array=1-3\n" in Path("all.vcf.gz.slurm/array.sh").read_text()
    shutil.rmtree("all.vcf.gz.slurm")
    Path("all.vcf.gz.slurm").mkdir()
    assert run(["slurm", "-n", "3", "--force", "--", *WORDS]) == 2
    assert "is something else" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shard", "1/2"], "not in a job array: --shard; --shard is what this command adds"),
        (["--cluster", "ray"], "not in a job array: --cluster"),
        (["--strict"], "not in a job array: --strict"),
        (["--no-resume"], "not in a job array: --no-resume"),
        (["-o", "-"], "a job array cannot read from or write to a stream"),
        (["-o", "all.txt"], "all.txt"),
        (["-O", "v"], "-O v does not go with the output's suffix"),
        (["--tasks", "Nothing"], "--tasks 'Nothing' matches none"),
        (["-m", "nonsense"], "no model 'nonsense'"),
        (["--nonsense"], "No such option"),
        (["-o", "nowhere/all.vcf"], "the output's folder does not exist"),
    ],
)
@pytest.mark.usefixtures("workspace")
def test_what_annotate_would_refuse_is_refused_at_once(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["slurm", "-n", "2", "--", *WORDS, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(Path().glob("*.slurm"))


@pytest.mark.usefixtures("workspace")
def test_without_slurm_the_scripts_are_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert run(["slurm", "-n", "2", "--submit", "--", *WORDS]) == 2
    assert "sbatch is not on the PATH" in capsys.readouterr().err
    assert Path("all.vcf.gz.slurm/submit.sh").exists()


def test_no_line_can_be_smuggled_in(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line break"):
        slurm.ArrayPlan(["in.vcf"], "in.vcf", "out.vcf", 2, tmp_path / "a\nb")


# -- a real scheduler ------------------------------------------------------------------------------------------------

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
DAEMONS = ("munged", "slurmctld", "slurmd")


@pytest.fixture
def real_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A SLURM of one node that is ours alone, on the loopback interface, and ends with the test."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin")
    missing = [name for name in (*DAEMONS, "sbatch") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install slurmctld slurmd slurm-client munge")
    if os.geteuid() != 0:
        pytest.skip("slurmd has to be started by root")
    folder = tmp_path / "slurm"
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    host, cpus = socket.gethostname().partition(".")[0], len(os.sched_getaffinity(0))
    configuration = folder / "slurm.conf"
    facts = {"host": host, "user": "root", "folder": folder, "ports": ports, "cpus": cpus}
    configuration.write_text(CONFIGURATION.format(**facts))
    monkeypatch.setenv("SLURM_CONF", str(configuration))
    files = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munged.pid", "log-file": "munged.log"}
    options = [f"--{option}={folder / name}" for option, name in {**files, "seed-file": "munged.seed"}.items()]
    try:
        subprocess.run(["munged", "--force", *options], check=True)
        subprocess.run(["slurmctld", "-f", configuration], check=True)
        subprocess.run(["slurmd", "-f", configuration], check=True)
        until(lambda: "idle" in ask("sinfo", "--noheader"))
        yield folder
    finally:
        for name in reversed(DAEMONS):
            if (folder / f"{name}.pid").exists():
                os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGTERM)


def ask(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True).stdout


def until(condition: object, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, ask("squeue")
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.usefixtures("workspace")
def test_a_real_array_of_four_with_a_preempted_task(
    real_slurm: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("varscore.formats.shards.BLOCK", 1024)  # as SLURM's processes have it
    text = Path("in.vcf").read_text()
    head = text[: text.index("\nchr1") + 1]
    Path("in.vcf").write_text(head + text[len(head) :] * 150)  # 16,350 records: 16 blocks
    asked = ["--sbatch=--exclusive=user", "--time", "10"]
    assert run(["slurm", "-n", "4", *asked, "--submit", "--", *WORDS]) == 0
    until(lambda: " R " in ask("squeue"))
    running = ask("squeue", "--noheader", "--states=R", "--format=%A").split()[0]
    time.sleep(3)
    subprocess.run(["scontrol", "requeue", running], check=True)  # what preemption does
    until(lambda: not ask("squeue", "--noheader").strip())
    logs = {path.name: path.read_text() for path in Path("all.vcf.gz.slurm/logs").iterdir()}
    print(json.dumps(logs, indent=1))
    assert Path("all.vcf.gz").exists(), logs
    merged = [Path(name).read_bytes() for name in FILES]
    assert run(["annotate", *WORDS, "--force"]) == 0
    assert [Path(name).read_bytes() for name in FILES] == merged
