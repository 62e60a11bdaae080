"""What a score is a function of, apart from the variant: two runs with one profile write the same bytes for it.

Everything in which the last digit of a score could differ belongs to it: the device, the libraries and their versions,
what the processor can do, and the code of this package that computes.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.compiled import COMPILES
from varscore.nets.plugins import loaded
from varscore.scoring.annotations import Annotations
from varscore.scoring.features import Tracks
from varscore.storage.digest import json_sha256
from varscore.zoo.card import TASKS, WEIGHTS
from varscore.zoo.models import ModelFolder

FORMAT = 1
LAST_DIGITS = ("device", "libraries", "processor", "kernels", "code")
"""Facts in which only the last digits of scores differ"""
_COMPUTING = (
    "genome",
    "nets",
    "engine",
    "zoo",
    "scoring",
    "compiled.py",
    "odds.py",
    "formats/bigwig.py",
    "formats/xgbjson.py",
    "annotate/rows.py",
)
_NOT_COMPUTING = ("stored",)
_SETTINGS = (
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "NPY_DISABLE_CPU_FEATURES",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "OPENBLAS_CORETYPE",
)
_OF_PROCESSORS = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part")
_VECTOR_FLAGS = ("sse", "ssse", "avx", "amx", "fma", "asimd", "sve", "f16c")
_ENDS = 1 << 20


@dataclass(frozen=True)
class Profile:
    """facts: what the scores depend on, by name, in words or digests that people can compare"""

    facts: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, hex."""
        return json_sha256(dict(self.facts))

    def differences(self, other: Mapping[str, str], but_for: Iterable[str] = ()) -> list[str]:
        """Names of the facts that are not the same."""
        names = sorted({*self.facts, *other}.difference(but_for))
        return [name for name in names if self.facts.get(name) != other.get(name)]


@dataclass(frozen=True)
class Arithmetic:
    """How scores are computed. device: ``cpu`` or ``cuda``"""

    device: str
    precision: str
    engine: str


def profile_of_effects(model: ModelFolder, how: Arithmetic) -> Profile:
    """Of the effects on all tasks."""
    return Profile({"format": str(FORMAT), "stored": "effects", **_model_facts(model), **_machine_facts(how)})


def profile_of_columns(
    model: ModelFolder, how: Arithmetic, annotations: Annotations, ranked: NDArray[np.int64], columns: Sequence[str]
) -> Profile:
    """Of the columns that ``annotate`` writes. ranked: int64 (k,), the tasks among which the strongest is looked for"""
    background = annotations.background
    return Profile(
        {
            "format": str(FORMAT),
            "stored": f"columns {' '.join(columns)}",
            **_model_facts(model),
            "tasks": json_sha256([ranked.tolist(), list(annotations.untrained)]),
            "background": "none" if background is None else f"{background.sha256} {annotations.deepsea_floor}",
            "classifiers": " ".join(classifier.sha256 for classifier, _ in annotations.classifiers) or "none",
            "conservation": _tracks(annotations.tracks),
            **_machine_facts(how),
        }
    )


def _model_facts(model: ModelFolder) -> dict[str, str]:
    card = model.card
    said = [card.architecture, dict(card.arguments), card.objective, card.strands, card.visible, card.untrained]
    files = [card.files[name] for name in (WEIGHTS, TASKS)]
    plugins = [plugin.sha256 for plugin in loaded()]
    return {"model": f"{model.id} {json_sha256([said, files, plugins])}"}


def _tracks(tracks: Tracks) -> str:
    return json_sha256([(name, file_ends(track.path)) for name, track in tracks.files]) if tracks.files else "none"


def file_ends(path: Path) -> list[str]:
    """Size, beginning and end of a bigWig: its header, which has a summary of all values, and its index."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_ENDS)
        file.seek(max(0, size - _ENDS))
        return [str(size), hashlib.sha256(head + file.read()).hexdigest()]


def _machine_facts(how: Arithmetic) -> dict[str, str]:
    device = how.device
    if device == "cuda":
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        device = f"cuda {torch.cuda.get_device_name()} {torch.version.cuda} {cudnn}"
    return {
        "device": device,
        "precision": how.precision,
        "engine": how.engine,
        "libraries": ", ".join(f"{name} {_version(name)}" for name in ("torch", "numpy", "numba", "xgboost")),
        "kernels": "compiled" if COMPILES else "torch",
        "processor": _processor(),
        "code": _code(),
    }


def _version(name: str) -> str:
    for package in (name, f"{name}-cpu"):  # as xgboost has it
        try:
            return str(metadata.version(package))
        except metadata.PackageNotFoundError:
            continue
    return "none"


def _processor(about: Path = Path("/proc/cpuinfo")) -> str:
    """What kernels are chosen by: its kind, its vector instructions, and what the environment says of these."""
    kind: dict[str, str] = {}
    try:
        lines = about.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = (part.strip() for part in line.partition(":"))
        if name in _OF_PROCESSORS:
            kind.setdefault(name, value)
        elif name in ("flags", "Features"):
            kind.setdefault("flags", " ".join(sorted(f for f in value.split() if f.startswith(_VECTOR_FLAGS))))
    kind |= {name: os.environ[name] for name in _SETTINGS if name in os.environ}
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability} {json_sha256(kind or platform.processor())[:16]}"


@cache
def _code() -> str:
    """Of the parts of this package that compute: a release that changes them may change the last digit of a score."""
    package = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for name in _COMPUTING:
        there = package / name
        for path in [there] if there.is_file() else sorted(there.rglob("*.py")):
            if not set(_NOT_COMPUTING) & set(path.relative_to(package).parts):
                digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
