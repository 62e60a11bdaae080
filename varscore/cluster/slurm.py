"""A run of ``annotate`` as a SLURM job array of shards, and a job that merges them when all are done.

Plain shell scripts, to be read and changed. Their folder is beside the output:

- ``array.sh``   one shard a task. A task that is preempted, or that comes to the end of its time, commits what it has
  done, is queued again and carries on from there; a shard that is there already is not made again
- ``merge.sh``   joins the shards and removes them
- ``submit.sh``  submits both; run it again after something has failed, and only what is missing is done
- ``shards/``, ``logs/``
"""

from __future__ import annotations

import math
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from varscore.errors import OutputExists, UsageError, VarscoreError
from varscore.formats.kinds import SUFFIXES, OutputFormat, format_of
from varscore.storage.whole import put_file, whole_folder

PROGRAM = (sys.executable, "-P", "-m", "varscore")
ARRAY, MERGE, SUBMIT = "array.sh", "merge.sh", "submit.sh"
WARNING = 120
"""Seconds before the end of a task's time at which it is asked to stop"""
MOST_RESTARTS = 100
"""Of a task that has come to the end of its time"""

SLOWEST = 40.0
"""Records a second and CPU: below what the slowest network of docs/speed.md does"""
STARTING = 300.0
"""Seconds for loading, indexing and queues"""
PROCESS_GB = 0.8
"""Memory of a process: one reads and writes, one computes on each CPU"""

_TASK = """\
child=$!
trap 'kill -TERM "$child" 2>/dev/null' TERM
while
    wait "$child"  # a signal ends it early
    status=$?
    kill -0 "$child" 2>/dev/null
do :; done

# 143: asked to stop, and everything that is done is safe. SLURM itself queues a preempted task again; at the end of its
# time we do, unless somebody has cancelled it.
if ((status == 143 && ${{SLURM_RESTART_COUNT:-0}} < {restarts})) &&
    [[ $(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T 2>/dev/null) == RUNNING ]]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"""
_ARRAY = (
    """\
#!/bin/bash
{sbatch}
# One shard of {shards} in each task. Safe to run again at any time.
{setup}
number=$(printf 'shard-%04d-of-{shards:04}' "$SLURM_ARRAY_TASK_ID")
shard={folder}/shards/$number{suffix}
if [[ $shard -nt {source} ]]; then
    echo "$shard is there"
    exit 0
fi

{command} \\
    --shard "$SLURM_ARRAY_TASK_ID/{shards}" --force &
"""
    + _TASK
)
_WORKER = (
    """\
#!/bin/bash
{sbatch}
# One of {tasks} workers that share the work through the disk. Safe to run again at any time.
{setup}
{command} &
"""
    + _TASK
)
_MERGE = """\
#!/bin/bash
{sbatch}
# When every task of the array has ended with 0.
{setup}
set -eu
if [[ {output} -nt {folder}/{submit} ]]; then
    echo {output} is there
    exit 0
fi
shards=()
for ((i = 1; i <= {shards}; i++)); do
    shards+=({folder}/shards/"$(printf 'shard-%04d-of-{shards:04}' "$i")"{suffix})
done
{command}
rm -rf {folder}/shards
"""
_SUBMIT = """\
#!/bin/bash
# Submit the array, and the merge that waits for it.
set -eu
mkdir -p {folder}/shards {folder}/logs
array=$(sbatch --parsable {folder}/{array})
array=${{array%%;*}}
merge=$(sbatch --parsable --dependency="afterok:$array" --kill-on-invalid-dep=yes {folder}/{merge}) || {{
    scancel "$array"
    exit 1
}}
echo "array $array, merge ${{merge%%;*}}"
"""


_SUBMIT_WORKERS = """\
#!/bin/bash
set -eu
mkdir -p {folder}/logs
array=$(sbatch --parsable {folder}/{array})
echo "array ${{array%%;*}}"
"""


def suggestion(records: int, shards: int, cpus: int) -> tuple[str, str]:
    """What to ask for each task, on the safe side: time as ``H:MM:00``, memory as ``4G``."""
    seconds = STARTING + records / shards / cpus / SLOWEST
    minutes = math.ceil(seconds / 60 / 10) * 10
    return f"{minutes // 60}:{minutes % 60:02}:00", f"{math.ceil(PROCESS_GB * (cpus + 1))}G"


@dataclass(frozen=True)
class Resources:
    """What each job asks for; None and nothing leave it to the cluster. further: options of sbatch, in full."""

    time: str | None = None
    memory: str | None = None
    cpus: int = 1
    gpus: int = 0
    partition: str | None = None
    at_once: int | None = None
    further: tuple[str, ...] = ()

    def common(self) -> Iterator[str]:
        named = {"--time": self.time, "--mem": self.memory, "--partition": self.partition}
        yield from (f"{option}={value}" for option, value in named.items() if value)
        yield from self.further


@dataclass(frozen=True)
class ArrayPlan:
    """words: of ``varscore annotate``, without its name; those about outputs are overruled by what is named here.

    source, output, scores, skipped, motif_table, haplotype_table, force: what those words say. working: the directory
    they count from.
    setup: shell lines before anything else, such as ``module load``.
    """

    words: Sequence[str]
    source: str
    output: str
    shards: int
    working: Path
    scores: str | None = None
    skipped: str | None = None
    motif_table: str | None = None
    haplotype_table: str | None = None
    force: bool = False
    resources: Resources = field(default_factory=Resources)
    setup: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UsageError."""
        _demand_lines([*self.resources.common(), str(self.working), self.output])

    @property
    def folder(self) -> Path:
        return Path(f"{self.working / self.output}.slurm")

    @property
    def suffix(self) -> str:
        """Of a shard's file: that of the output, but no BCF."""
        kind = format_of(self.output, None)
        kind = OutputFormat.VCF_GZ if kind in (OutputFormat.BCF, OutputFormat.BCF_RAW) else kind
        return next(suffix for suffix, known in SUFFIXES.items() if known is kind)

    def scripts(self) -> dict[str, str]:
        """The text of each script, by name."""
        common = {
            "folder": shlex.quote(str(self.folder)),
            "shards": self.shards,
            "suffix": self.suffix,
            "setup": "\n".join(self.setup),
        }
        return {
            ARRAY: _ARRAY.format(
                **common,
                sbatch=_lines(self._array_options()),
                source=shlex.quote(self.source),
                restarts=MOST_RESTARTS,
                command=self._annotate(),
            ),
            MERGE: _MERGE.format(
                **common,
                sbatch=_lines(self._merge_options()),
                output=shlex.quote(self.output),
                submit=SUBMIT,
                command=self._merge(),
            ),
            SUBMIT: _SUBMIT.format(**common, array=ARRAY, merge=MERGE),
        }

    def _annotate(self) -> str:
        outputs = ['-o "$shard"']
        for option, path in self._further():
            outputs.append(f'{option} {shlex.quote(str(self.folder))}/shards/"$number"{_ending(option, path)}')
        return " ".join([shlex.join([*PROGRAM, "annotate", *self.words]), *outputs])

    def _merge(self) -> str:
        words = ["-o", self.output, *(["--force"] if self.force else [])]
        for option, path in self._further():
            words += [option, path]
        return f'{shlex.join([*PROGRAM, "merge"])} "${{shards[@]}}" {shlex.join(words)}'

    def _further(self) -> Iterator[tuple[str, str]]:
        """The options that name outputs beside the annotated file, and the files."""
        named = {"--scores": self.scores, "--skipped": self.skipped, "--motif-table": self.motif_table}
        named["--haplotype-table"] = self.haplotype_table
        yield from ((option, path) for option, path in named.items() if path is not None)

    def _array_options(self) -> Iterator[str]:
        yield f"--job-name={self._name}"
        yield from _array(self.shards, self.resources, _anywhere(self.working, self.folder, "%a"))

    def _merge_options(self) -> Iterator[str]:
        yield f"--job-name={self._name}-merge"
        yield from _anywhere(self.working, self.folder, "merge")
        yield from self.resources.common()

    def _both(self, log: str) -> Iterator[str]:
        yield f"--chdir={_quoted(str(self.working))}"
        yield f"--output={_quoted(f'{self.folder}/logs/'.replace('%', '%%') + log)}.log"
        yield "--open-mode=append"
        yield "--requeue"

    @property
    def _name(self) -> str:
        return "varscore-" + re.sub(r"[^\w.-]", "_", Path(self.output).name)


@dataclass(frozen=True)
class WorkersPlan:
    """Workers of one command, which share its work through the disk: each is a task of an array.

    words: of varscore, without its name; folder: for the scripts; working, resources and setup: as of
    :class:`ArrayPlan`. Raises UsageError.
    """

    words: Sequence[str]
    folder: Path
    tasks: int
    working: Path
    resources: Resources = field(default_factory=Resources)
    setup: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _demand_lines([*self.resources.common(), str(self.working), str(self.folder)])

    def scripts(self) -> dict[str, str]:
        """The text of each script, by name."""
        name = "varscore-" + re.sub(r"[^\w.-]", "_", self.folder.parent.name)
        where = _anywhere(self.working, self.folder, "%a")
        array = _WORKER.format(
            sbatch=_lines(iter([f"--job-name={name}", *_array(self.tasks, self.resources, where)])),
            tasks=self.tasks,
            setup="\n".join(self.setup),
            command=shlex.join([*PROGRAM, *self.words]),
            restarts=MOST_RESTARTS,
        )
        return {ARRAY: array, SUBMIT: _SUBMIT_WORKERS.format(folder=shlex.quote(str(self.folder)), array=ARRAY)}


def _demand_lines(lines: Sequence[str]) -> None:
    """Raises UsageError."""
    if any("\n" in line for line in lines):
        raise UsageError("a line break in a name or an option of sbatch", remedy="do without")


def _array(tasks: int, asked: Resources, where: Iterator[str]) -> Iterator[str]:
    yield f"--array=1-{tasks}{f'%{asked.at_once}' if asked.at_once else ''}"
    yield from where
    yield f"--signal=B:TERM@{WARNING}"
    yield f"--cpus-per-task={asked.cpus}"
    yield from [f"--gres=gpu:{asked.gpus}"] if asked.gpus else []
    yield from asked.common()


def _anywhere(working: Path, folder: Path, log: str) -> Iterator[str]:
    yield f"--chdir={_quoted(str(working))}"
    yield f"--output={_quoted(f'{folder}/logs/'.replace('%', '%%') + log)}.log"
    yield "--open-mode=append"
    yield "--requeue"


def _lines(options: Iterator[str]) -> str:
    return "\n".join(f"#SBATCH {option}" for option in options)


def _quoted(path: str) -> str:
    """As sbatch reads its lines, which is not quite as a shell does."""
    return f'"{path}"' if " " in path else path


def _ending(option: str, path: str) -> str:
    """``.scores.parquet``: a shard's further files must not have the name of its first."""
    return (
        f".{option.strip('-')}{''.join(Path(path).suffixes[-2:] if path.endswith('.gz') else Path(path).suffixes[-1:])}"
    )


def write_scripts(plan: ArrayPlan | WorkersPlan, force: bool = False) -> Path:
    """Fill ``plan.folder`` anew and return it. Raises OutputExists, and OutputError when it cannot be written."""
    if plan.folder.exists():
        if not (plan.folder / SUBMIT).is_file():
            raise OutputExists("the folder for the scripts is something else", where=plan.folder, remedy="move it away")
        if not force:
            raise OutputExists(
                "the scripts of an earlier run are here",
                where=plan.folder,
                remedy=f"run its {SUBMIT} to do what is missing, or pass `force` to begin anew",
            )
    with whole_folder(plan.folder) as folder:
        for name, text in plan.scripts().items():
            put_file(folder / name, text)
            (folder / name).chmod(0o755)
    return plan.folder


def submit(folder: Path) -> str:
    """Run ``submit.sh``; what it says. Raises UsageError where there is no SLURM, VarscoreError when it refuses."""
    if shutil.which("sbatch") is None:
        raise UsageError(
            "sbatch is not on the PATH",
            cause="SLURM is not on this machine",
            remedy=f"run {folder / SUBMIT} on one that has it",
        )
    done = subprocess.run(["bash", str(folder / SUBMIT)], capture_output=True, text=True)
    if done.returncode:
        cause = " ".join(done.stderr.split()) or None
        raise VarscoreError("SLURM did not take the jobs", where=folder, cause=cause, remedy=f"then run its {SUBMIT}")
    return done.stdout.strip()
