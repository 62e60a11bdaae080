"""The one way to walk the layers of a network: a rule for each kind of layer, found by its class.

A network says what its layers are (:class:`varscore.nets.layers.SequenceNet`). Whoever makes something else of them
than their outputs (first weights, an explanation, a file, a shared computation) has a table of :class:`Rules` and goes
through the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from torch import nn

from varscore.nets.layers import SequenceNet

Rule = TypeVar("Rule")


class NoRule(TypeError):
    """A layer of a kind that nothing is known about."""


class Rules(Generic[Rule]):
    """kind of layer -> rule.

    A class without a rule of its own has the one of the nearest class that it derives from, if it has not got a
    ``forward`` of its own: who computes otherwise needs another rule. Rules that are about ``weights`` alone are those
    of every class that derives from theirs.
    """

    def __init__(self, *, weights: bool = False) -> None:
        self._rules: dict[type[nn.Module], Rule] = {}
        self._weights = weights

    def of(self, *kinds: type[nn.Module]) -> Callable[[Rule], Rule]:
        """Decorator: the rule of these kinds. Raises ValueError for one that has a rule already."""

        def add(rule: Rule) -> Rule:
            for kind in kinds:
                if kind in self._rules:
                    raise ValueError(f"two rules for {kind.__name__}")
                self._rules[kind] = rule
            return rule

        return add

    def find(self, layer: nn.Module) -> Rule | None:
        for kind in type(layer).__mro__:
            if kind in self._rules and (self._weights or kind.forward is type(layer).forward):
                return self._rules[kind]
        return None

    def __getitem__(self, layer: nn.Module) -> Rule:
        """Raises NoRule, which names the kind."""
        rule = self.find(layer)
        if rule is None:
            raise NoRule(f"no rule for a layer of the kind {type(layer).__name__}")
        return rule


def is_plain(net: SequenceNet) -> bool:
    """Whether all that ``net`` does is in its ``layers``, one after the other, and bases are all that it reads."""
    return type(net).forward is SequenceNet.forward and not net.inputs


def is_list(net: SequenceNet) -> bool:
    """Whether what ``net`` makes of a strand is its ``layers``, one after the other; else it has a way of its own."""
    return bool(getattr(type(net).forward, "of_layers", False))


def inside(layer: nn.Module) -> Iterator[nn.Module]:
    """The layers of which a list in a list consists, or the layer itself."""
    if type(layer).forward is nn.Sequential.forward and isinstance(layer, nn.Sequential):
        for each in layer:
            yield from inside(each)
    else:
        yield layer


def flat(net: SequenceNet) -> tuple[nn.Module, ...]:
    """All layers in order, lists in the list taken apart."""
    return tuple(inside(net.layers))
