"""PyTorch state dicts of others into model folders; reading one executes nothing.

A name map is text, a line a tensor: varscore's name, a tab, theirs, and perhaps another tab and what to do to it, in
order and separated by commas: ``transpose`` (two axes), ``flip`` (the last axis), ``scale=X``. ``#`` begins a comment.
Without a map names must be varscore's. Axes of length 1 may be in one shape and not in the other.
"""

from __future__ import annotations

import logging
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from varscore import __version__
from varscore.datasets.deepsea import read_tasks
from varscore.errors import DataError, ModelError, UsageError, reason
from varscore.exchange.check import TOLERANCE, largest_difference, read_reference
from varscore.nets import build
from varscore.nets.layers import SequenceNet
from varscore.storage.atomic import refuse_existing
from varscore.storage.bounded import read_text
from varscore.storage.digest import sha256
from varscore.zoo.card import CARD
from varscore.zoo.models import ModelFolder, save_model
from varscore.zoo.priors import stated_priors

log = logging.getLogger(__name__)

INSIDE = ("state_dict", "model_state_dict", "model")
"""Where checkpoints keep the state dict among other things"""


@dataclass(frozen=True)
class Source:
    """Where one tensor comes from: a name in the file, and what is done to it."""

    name: str
    steps: tuple[str, ...] = ()


def import_state_dict(
    path: Path,
    output: Path,
    architecture: str,
    arguments: Mapping[str, object],
    *,
    name_map: Path | None = None,
    channels: str = "ACGT",
    names: Path | None = None,
    check: Sequence[Path] = (),
    force: bool = False,
) -> tuple[ModelFolder, float | None]:
    """Write a network with the weights of a state dict as a model folder; returns it and its largest difference from
    the predictions of ``check``.

    channels: the order of bases in their first convolution, and in ``check``. Raises ModelError when a tensor is
    missing or has another shape, or when the network predicts other than ``check`` says; UsageError; OutputExists.
    """
    refuse_existing(str(output / CARD), force=force)
    if sorted(channels) != sorted("ACGT"):
        raise UsageError(f"`channels={channels!r}`", remedy="the letters A, C, G and T in their order")
    with torch.device("meta"):
        net = build(architecture, **arguments)
    theirs = read_state_dict(path)
    wanted = net.state_dict()
    sources = read_map(name_map) if name_map else {name: Source(name) for name in wanted}
    tasks = read_tasks(names, net.n_tasks)
    state = translate(theirs, sources, {name: tuple(tensor.shape) for name, tensor in wanted.items()}, path)
    state = {name: tensor.to(wanted[name].dtype) for name, tensor in state.items()}
    _reorder(state, net, channels)
    net.load_state_dict(state, assign=True)
    difference = _checked(net.eval(), check, channels, path) if check else None
    facts = {
        "training": {"imported_with": __version__, "source": path.name},
        "imported": {
            "sha256": sha256(path.read_bytes()),
            "channels": channels,
            "checked": "no reference was given" if difference is None else f"largest difference {difference:.2g}",
        },
    }
    return save_model(output, net, architecture, tasks, facts, priors=stated_priors(tasks)), difference


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors in a file of torch.save or safetensors. Raises ModelError for what is neither, or asks for code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _demand_unpacked(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError("cannot read the weights", where=path, cause=reason(error)) from None
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        cause = f"it asks for {wanted[1]}, which is not let in" if wanted else "no file of torch.save, or a damaged one"
        raise ModelError("not a state dict that is safe to read", where=path, cause=cause) from None
    except (SafetensorError, zipfile.BadZipFile, EOFError) as error:
        raise ModelError("not a state dict that is safe to read", where=path, cause=_first_line(error)) from None
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError("damaged weights", where=path, cause=_first_line(error)) from None
    for name in INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not found or not all(isinstance(name, str) for name in found):
        raise ModelError("no state dict", where=path, cause="tensors under their names are wanted")
    tensors = {name: tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}
    return {name: t.detach() for name, t in tensors.items() if t.layout == torch.strided and not t.is_quantized}


def _demand_unpacked(path: Path) -> None:
    """Raises ModelError for a packed archive, whose tensors might be of any size."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ModelError("a packed archive, which torch.save does not write", where=path)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def read_map(path: Path) -> dict[str, Source]:
    """Raises DataError for a line that is none of a name map."""
    sources: dict[str, Source] = {}
    try:
        lines = read_text(path, DataError).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read the name map", where=path, cause=str(error)) from None
    for number, line in enumerate(lines, 1):
        cells = line.partition("#")[0].rstrip().split("\t")
        if cells == [""]:
            continue
        steps = tuple(step.strip() for step in "".join(cells[2:3]).split(",") if step.strip())
        if len(cells) not in (2, 3) or cells[0] in sources or not all(_is_step(step) for step in steps):
            remedy = "varscore's name, a tab, theirs; perhaps a tab and transpose, flip, scale=X; no name twice"
            raise DataError(f"line {number} is none of a name map", where=path, remedy=remedy)
        sources[cells[0]] = Source(cells[1], steps)
    return sources


def _is_step(step: str) -> bool:
    name, _, value = step.partition("=")
    try:
        return step in ("transpose", "flip") or (name == "scale" and float(value) == float(value))
    except ValueError:
        return False


def translate(
    theirs: Mapping[str, Tensor], sources: Mapping[str, Source], shapes: Mapping[str, tuple[int, ...]], path: Path
) -> dict[str, Tensor]:
    """The tensors of a network under its own names. Raises ModelError when one is missing or has another shape."""
    if strange := [name for name in sources if name not in shapes]:
        raise ModelError(f"the network has no {strange[0]!r}", where=path, remedy=f"it has {', '.join(shapes)}")
    missing = [name for name in shapes if name not in sources or sources[name].name not in theirs]
    if missing:
        first = missing[0]
        alike = [name for name, t in theirs.items() if _without_ones(t.shape) == _without_ones(shapes[first])]
        raise ModelError(
            f"nothing for {len(missing)} of the network's {len(shapes)} tensors",
            where=path,
            cause=f"{first} {shapes[first]} may be {' or '.join(alike[:4]) or 'none that is there'}",
            remedy=f"`map=FILE` with lines for {', '.join(missing)}",
        )
    state = {name: _arranged(theirs[sources[name].name], sources[name], shapes[name], path) for name in shapes}
    if spare := sorted(theirs.keys() - {source.name for source in sources.values()}):
        log.warning("%d tensors of %s are not used: %s", len(spare), path, ", ".join(spare[:8]))
    return state


def _arranged(tensor: Tensor, source: Source, shape: tuple[int, ...], path: Path) -> Tensor:
    for step in source.steps:
        if step == "transpose" and tensor.dim() == 2:
            tensor = tensor.t()
        elif step == "flip" and tensor.dim():
            tensor = tensor.flip(-1)
        elif step.startswith("scale="):
            tensor = tensor * float(step.partition("=")[2])
        else:
            raise ModelError(f"{source.name!r} of shape {tuple(tensor.shape)} has nothing to {step}", where=path)
    if _without_ones(tensor.shape) != _without_ones(shape):
        raise ModelError(f"{source.name!r} is {tuple(tensor.shape)}", where=path, cause=f"the network wants {shape}")
    return tensor.reshape(shape).clone()


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [length for length in shape if length != 1]


def _reorder(state: dict[str, Tensor], net: SequenceNet, channels: str) -> None:
    """Bring the bases that the first layer's weights belong to into varscore's order."""
    if channels == "ACGT":
        return
    first = [name for name, layer in net.named_modules() if isinstance(layer, nn.Conv1d) and layer.in_channels == 4]
    if not first:
        raise UsageError("this architecture has no convolution of bases", remedy="leave out `channels`")
    for name in first:
        weight = state[f"{name}.weight"]
        state[f"{name}.weight"] = weight[:, [channels.index(letter) for letter in "ACGT"]].contiguous()


def _checked(net: SequenceNet, check: Sequence[Path], channels: str, path: Path) -> float:
    """The largest difference from a reference. Raises ModelError when rounding does not explain it."""
    difference = largest_difference(net, read_reference(check, net.window, channels))
    if not difference <= TOLERANCE:
        cause = f"the largest difference is {difference:.2g}"
        remedy = "look at the order of channels, and at what the map leaves as it is"
        raise ModelError("the weights predict other than the reference says", where=path, cause=cause, remedy=remedy)
    return difference
