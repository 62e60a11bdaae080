"""What ``varscore models show`` prints of an architecture and of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import typer

from varscore.cli.tables import print_table

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from varscore.nets import Architecture
    from varscore.nets.layers import SequenceNet
    from varscore.zoo.models import ModelFolder

KEPT = {
    "test": "never seen in training: measure here",
    "validation": "not trained on, but chose the weights",
    "skip": "used for nothing",
}
"""What contigs that are held out are kept for"""
NOT_SHOWN = ("format", "id", "architecture", "arguments", "files")


def outline(architecture: str, arguments: Mapping[str, object]) -> SequenceNet:
    """The network without memory for its weights."""
    import torch

    from varscore.nets import build

    with torch.device("meta"):
        return build(architecture, **arguments)


def show_architecture(architecture: Architecture, given: Mapping[str, object]) -> None:
    import dataclasses

    net, layers = _built(architecture.name, given)
    typer.echo(f"{architecture.name}: {architecture.summary}\n")
    _print_network(net, layers)
    _print_table("Arguments", dataclasses.asdict(net.config))
    _print_table("Training, unless told otherwise", dataclasses.asdict(architecture.recipe))


def show_model(model: ModelFolder) -> None:
    from collections import Counter

    from varscore.nets import find
    from varscore.scoring.classifier import open_classifier
    from varscore.zoo.shelf import classifiers_of

    net, layers = _built(model.architecture, model.card.arguments)
    groups = Counter(task.group or "of no group" for task in model.tasks())
    typer.echo(f"{model.id}: {model.architecture}, {find(model.architecture).summary}")
    typer.echo(f"folder: {model.path}")
    typer.echo(f"sha256: {model.sha256}")
    typer.echo("tasks: " + ", ".join(f"{n:,} {group}" for group, n in groups.items()))
    if classifiers := classifiers_of(model.path):
        states = [f"{name} ({'on' if open_classifier(path).is_on else 'off'})" for name, path in classifiers.items()]
        typer.echo("classifiers: " + ", ".join(states))
    typer.echo()
    _print_network(net, layers)
    _print_table("Arguments", model.card.arguments)
    _print_table("Card", {key: value for key, value in model.card.items() if key not in NOT_SHOWN})


def show_held_out(name: str) -> None:
    from varscore.zoo.card import read_card
    from varscore.zoo.shelf import model_folder

    folder = model_folder(name)
    card = read_card(folder)
    if not card.held_out:
        typer.echo(f"{folder.name}: its card does not say which chromosomes it was not trained on")
        return
    typer.echo(f"{folder.name}: trained on {card.trained_on or 'an assembly that its card does not name'}")
    rows = [[" ".join(names), use, KEPT[use]] for use, names in card.held_out.items()]
    print_table(["chromosomes", "split", "what for"], rows)


def _built(architecture: str, arguments: Mapping[str, object]) -> tuple[SequenceNet, list[list[str]]]:
    """A network and the rows that describe its layers. Raises UsageError when the arguments do not make one."""
    from varscore.errors import UsageError

    try:
        net = outline(architecture, arguments).to_empty(device="cpu")  # drawing initial weights can take seconds
        return net, list(_layers(net))
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"no {architecture} can be built so", cause=str(error).splitlines()[0]) from None


def _print_network(net: SequenceNet, layers: list[list[str]]) -> None:
    keras, torch_count = net.counts()
    extra = "".join(f" and {getattr(net.config, name):,} {name}" for name in net.inputs)
    typer.echo(f"{net.window:,} bp{extra} in, {net.n_tasks:,} tasks out")
    typer.echo(f"{keras:,} parameters with one LSTM bias a gate, as Keras and the papers count")
    typer.echo(f"{torch_count:,} parameters with torch's two\n")
    print_table(["layer", "settings", "output", "parameters"], layers, ["parameters"])


def _print_table(title: str, entries: Mapping[str, object]) -> None:
    typer.echo(f"\n{title}")
    print_table(["entry", "value"], [[key, value] for key, value in _flat(entries)])


def _layers(net: SequenceNet) -> Iterator[list[str]]:
    """Kind, settings, shape of the output and parameters of each layer, seen by one window that passes through."""
    import torch

    layers, shapes = list(_parts(net)), {}

    def see(layer: Module, _: object, output: Tensor | tuple[Tensor, ...]) -> None:
        shapes[layer] = (output[0] if isinstance(output, tuple) else output).shape[1:]

    for layer in layers:
        layer.register_forward_hook(see)
    sizes = {"tracks": (net.window,), "scalars": ()}
    extra = {name: torch.zeros(1, getattr(net.config, name), *sizes[name]) for name in net.inputs}
    with torch.inference_mode():
        net.eval()(torch.zeros(1, 4, net.window), **extra)
    for layer in layers:
        if layer in shapes:
            count = sum(weight.numel() for weight in layer.parameters())
            settings = layer.extra_repr() + (f", pool={layer.pool}" if hasattr(layer, "pool") else "")
            yield [type(layer).__name__, settings, " x ".join(map(str, shapes[layer])), f"{count:,}" if count else ""]


def _parts(module: Module) -> Iterator[Module]:
    """The layers of a network in the order in which it has them: its children, and those of its lists."""
    from torch import nn

    for child in module.children():
        if isinstance(child, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            yield from _parts(child)
        else:
            yield child


def _flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", " ".join(str(value).split())
