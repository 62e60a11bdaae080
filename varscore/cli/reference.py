"""The page of commands and options, docs/commands.md, made from the command table so that the two cannot drift apart.

``python -m varscore.cli.reference`` prints it; with a path it writes the page there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from typer.core import TyperArgument, TyperOption
from typer.main import get_command

from varscore.cli.app import app

if TYPE_CHECKING:
    from typer._click import Command

Parameter: TypeAlias = TyperArgument | TyperOption

MARK = "<!-- made by make reference: do not edit -->"
HEAD = f"""# Which commands and options are there?

{MARK}

`varscore COMMAND -h` says the same. Options of `varscore` itself may stand before or after the command. `-` is standard
input or output."""


def commands() -> Iterator[tuple[str, Command]]:
    """Every name a user can type with its parsed command, ``varscore`` itself first, in the order of the table."""
    yield from _walk("varscore", get_command(app))


def _walk(name: str, command: Command) -> Iterator[tuple[str, Command]]:
    yield name, command
    for child, subcommand in getattr(command, "commands", {}).items():
        if not subcommand.hidden:
            yield from _walk(f"{name} {child}", subcommand)


def parameters(command: Command) -> list[Parameter]:
    """A command's visible options and arguments, arguments first."""
    visible = [each for each in command.params if isinstance(each, TyperArgument | TyperOption) and not each.hidden]
    return sorted(visible, key=lambda each: not isinstance(each, TyperArgument))


def markdown() -> str:
    """The page: one short section a command, its first paragraph of help and a table of what it takes."""
    return "\n\n".join([HEAD, *(_section(name, command) for name, command in commands())]) + "\n"


def _section(name: str, command: Command) -> str:
    rows = [f"| {_spelling(parameter)} | {_meaning(parameter)} |" for parameter in parameters(command)]
    table = "\n".join(["| | |", "|-|-|", *rows]) if rows else ""
    first_paragraph = " ".join((command.help or "").split("\n\n")[0].split())
    return "\n\n".join(part for part in (f"## `{name}`", first_paragraph, table) if part)


def _spelling(parameter: Parameter) -> str:
    """``IN`` or ``-o, --output OUT``, as code in a table cell."""
    value = parameter.metavar or _kind_of_value(parameter)
    if isinstance(parameter, TyperArgument):
        words = [parameter.metavar or parameter.name.upper()]
    else:
        names = sorted(parameter.opts + parameter.secondary_opts, key=lambda name: name.startswith("--"))
        words = [", ".join(names)] + ([] if parameter.is_flag else [value])
    return _code(" ".join(words))


def _code(text: str) -> str:
    """Code in a cell. A bar would end the cell, and site builders do not agree on how to escape it."""
    return f"`{text}`" if "|" not in text else f"<code>{escape(text).replace('|', '&#124;')}</code>"


def _kind_of_value(parameter: Any) -> str:
    """``text|json`` for a choice, else the type, as ``PATH``."""
    words = str(parameter.display_type(None)).strip("<>").removeprefix("list[").removesuffix("]")
    return words if "|" in words else words.removesuffix(" range").upper()


def _meaning(parameter: Parameter) -> str:
    notes = []
    if parameter.required:
        notes.append("Required.")
    if getattr(parameter, "multiple", False):
        notes.append("Repeatable.")
    shown = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    if parameter.show_default and isinstance(shown, str | int | float) and not isinstance(shown, bool):
        notes.append(f"Default {shown}.")
    if parameter.envvar:
        notes.append(f"Also read from {parameter.envvar}.")
    return " ".join([" ".join((parameter.help or "").split()), *notes]).replace("|", "\\|")


def rewrite(page: Path) -> None:
    """Write the page; a file that is something else is left alone."""
    if page.exists() and MARK not in page.read_text():
        raise SystemExit(f"{page} is not the page of commands, which is docs/commands.md")
    page.write_text(markdown())


if __name__ == "__main__":
    if len(sys.argv) == 2:
        rewrite(Path(sys.argv[1]))
    else:
        print(markdown(), end="")
