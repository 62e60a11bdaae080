"""Options in groups: in a command's signature a dataclass of options stands for all of them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: a parameter that is a dataclass becomes an option for each of its fields, in its place."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        parameters += _fields(groups[name]) if name in groups else [_option(name, parameter.default, hints[name])]

    @functools.wraps(command)
    def run(**given: object) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        command(**given, **made)

    vars(run)["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def given_of(options: DataclassInstance) -> list[str]:
    """Which options of a group have another value than by default, as they are spelled, in the group's order.

    options: a dataclass of which every field has a default
    """
    found = []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value != field.default and value != []:
            name = field.name.replace("_", "-")
            found.append(f"--no-{name}" if field.default is True else f"--{name}")
    return found


def _fields(group: type[DataclassInstance]) -> list[inspect.Parameter]:
    """A parameter for each field of a dataclass."""
    hints, empty = get_type_hints(group, include_extras=True), inspect.Parameter.empty
    return [
        _option(each.name, empty if each.default is dataclasses.MISSING else each.default, hints[each.name])
        for each in dataclasses.fields(group)
    ]


def _option(name: str, default: object, hint: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
