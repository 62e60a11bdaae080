"""The list of architectures: a name, a typed configuration, and the network it builds."""

from __future__ import annotations

import dataclasses
import difflib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from varscore.errors import UsageError
from varscore.nets.config import Config
from varscore.nets.layers import SequenceNet
from varscore.nets.plugins import GROUP, load_installed


@dataclass(frozen=True)
class Recipe:
    """How an architecture is trained unless the user says otherwise. Source: the architecture's own paper."""

    optimizer: str = "adam"
    """``adam``, ``adamw``, ``rmsprop``, ``sgd``, or ``nesterov``: sgd with Nesterov's momentum"""
    lr: float = 3e-4
    momentum: float = 0.0
    """Of sgd, nesterov and rmsprop; adam has its own"""
    rho: float = 0.9
    """Decay of rmsprop's running mean of squared gradients"""
    root_epsilon: float = 0.0
    """Of rmsprop: added to that mean inside the square root, as Keras does (1e-6 in the version behind DanQ's published
    weights); 0: torch's rule, 1e-8 added to the root"""
    beta2: float = 0.999
    """Decay of adamw's running mean of squared gradients"""
    weight_decay: float = 0.0
    """Added to the gradient of every weight matrix (not of biases): ``weight_decay * w``; adamw takes it off the
    weights instead, times the rate"""
    decay_filters: bool = True
    """Whether that holds for the filters of the first layer"""
    batch_size: int = 256
    segment: int = 1
    """Neighbouring bins that are read as one stretch of DNA; 1: every window for itself"""
    motif_share: float = 0.0
    """Share of the first filters that motifs, where some are given, become by :func:`varscore.nets.init.lay_motifs`; 0:
    as many as there are, by DanQ-JASPAR's way"""
    renewed_filters: int = 0
    """First filters of a parent that begin anew as motifs that no filter resembles (:mod:`varscore.train.renewal`)"""
    epochs: int = 60
    steps: int = 0
    """Steps to train for, whatever part of an epoch that is; 0: ``epochs``"""
    patience: int = 5
    schedule: str = "plateau"
    """``plateau`` (divide by ``plateau_factor`` after ``plateau_patience`` epochs without a better loss), ``cosine`` or
    ``constant``"""
    plateau_patience: int = 2
    plateau_factor: float = 5.0
    warmup_steps: int = 0
    clip_norm: float | None = None
    recurrent_clip: float = 0.0
    """Every element of the gradients of recurrent layers is cut to so much either way; 0: not"""
    max_norm: float | None = None
    """Bound on the L2 norm of each row of a weight matrix (all inputs of one unit), restored after every step"""
    output_l1: float = 0.0
    """Added to the loss: ``output_l1 * mean(|z|)``, z what the last dense layer gives (the log-odds: where DeepSEA's
    authors have it), averaged over batch and tasks as the loss is"""
    task_balance: float = 0.0
    """The loss of a task is divided by its share of positives to this power (:mod:`varscore.train.balance`), so that
    rare ones are learnt, too; 0: all tasks count alike"""
    teacher_share: float = 0.5
    """Of the targets, where other models teach (:mod:`varscore.train.teachers`)"""
    prior_bias: bool = False
    """Start the output bias at the log-odds of each task's training frequency instead of 0"""
    ema: float = 0.0
    """Decay of an exponential moving average of the weights, which is then what is validated and saved; 0: none"""


FAST = Recipe(
    optimizer="adamw",
    lr=4e-3,
    beta2=0.99,
    weight_decay=0.01,
    decay_filters=False,
    batch_size=512,
    segment=8,
    motif_share=0.85,
    epochs=14,
    schedule="cosine",
    warmup_steps=500,
    clip_norm=0.5,
    prior_bias=True,
    ema=0.9995,
)
"""``--recipe fast``: designed here, for any network of 200-bp bins, on all of them"""


@dataclass(frozen=True)
class Architecture:
    name: str
    network: Callable[[Any], SequenceNet]
    config: type[Config]
    preset: dict[str, Any]
    recipe: Recipe
    summary: str

    def configure(self, **arguments: object) -> Config:
        """The configuration: the class's defaults, then this architecture's, then ``arguments``.

        Raises UsageError when an argument is not a field of the configuration, or not of the field's type, or negative.
        """
        kinds = {field.name: type(field.default) for field in dataclasses.fields(self.config)}
        given: dict[str, Any] = {
            name: tuple(value) if type(value) is list else value for name, value in arguments.items()
        }
        for name, value in given.items():
            if name not in kinds:
                near = difflib.get_close_matches(name, kinds, 3)
                remedy = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(sorted(kinds))}"
                raise UsageError(f"{self.name} has no argument {name!r}", remedy=remedy)
            if not _fits(value, kinds[name]):
                if kinds[name] is str:
                    raise UsageError(f"{self.name}: {name} = {value!r} is no word")
                kind = "tuple of ints" if kinds[name] is tuple else kinds[name].__name__
                raise UsageError(f"{self.name}: {name} = {value!r} is no {kind} of 0 or more")
            if "dropout" in name and value > 1:
                raise UsageError(f"{self.name}: {name} = {value!r} is no share")
        return self.config(**{**self.preset, **given})

    def window(self, available: int) -> int:
        """The window to train with on examples of ``available`` bp: all of it, or less where the architecture says so.

        What an architecture presets is part of it: one of 500 bp takes the centre of longer examples.
        """
        return min(int(self.preset.get("window", available)), available)


def _fits(value: Any, kind: type[Any]) -> bool:
    """Whether a value is of the kind of an argument, and not negative; an int will do for a float."""
    if kind is tuple:
        return type(value) is tuple and all(_fits(each, int) for each in value)
    if kind is str:
        return type(value) is str
    return (type(value) is kind or (kind is float and type(value) is int)) and value >= 0


Network = TypeVar("Network", bound=Callable[[Any], SequenceNet])
_architectures: dict[str, Architecture] = {}
HOW_TO_ADD = (
    f"`plugin=FILE.py` names the file that registers it, an installed package does so by an entry point {GROUP}"
)


def register(
    name: str, config: type[Config], recipe: Recipe, summary: str, **preset: object
) -> Callable[[Network], Network]:
    """Class decorator: the network class under ``name``, with ``preset`` over its configuration's defaults."""

    def add(network: Network) -> Network:
        if name in _architectures:
            raise ValueError(f"architecture {name!r} is registered twice")
        _architectures[name] = Architecture(name, network, config, preset, recipe, summary)
        return network

    return add


def architectures() -> dict[str, Architecture]:
    """All there are, those of installed packages too. Raises UsageError when such a package cannot be imported."""
    load_installed()
    return dict(sorted(_architectures.items()))


def find(name: str) -> Architecture:
    """Raises UsageError, with the nearest names, when there is no such architecture."""
    if name not in _architectures:
        load_installed(name)
    try:
        return _architectures[name]
    except KeyError:
        near = difflib.get_close_matches(name, _architectures, 3, 0.4) or sorted(_architectures)
        remedy = f"did you mean {', '.join(near)}? One of your own: {HOW_TO_ADD}"
        raise UsageError(f"no architecture {name!r}", remedy=remedy) from None


def build(name: str, **arguments: object) -> SequenceNet:
    """A freshly initialised network. Set ``torch.manual_seed`` before for reproducible weights.

    Raises UsageError when there is no such architecture, or its layers cannot have these sizes.
    """
    architecture = find(name)
    config = architecture.configure(**arguments)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # which are refused below
            net = architecture.network(config)
    except (RuntimeError, ValueError, ZeroDivisionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{name} cannot be built with these arguments", cause=reason) from None
    if empty := next((weights for weights, values in net.named_parameters() if not values.numel()), None):
        raise UsageError(f"{name} cannot be built with these arguments", cause=f"nothing is left of {empty}")
    return net
