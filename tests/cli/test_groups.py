"""A group of options is what its options are, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from varscore.cli.groups import grouped


@dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option(min=1, help="Across.")]
    height: Annotated[int, typer.Option("--height", "-y", min=1, help="Down.")] = 2

    def area(self) -> int:
        return self.width * self.height


@dataclass(frozen=True)
class Paint:
    colour: Annotated[str, typer.Option(help="Of the paint.")] = "red"
    coats: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None


@grouped
def draw(name: Annotated[str, typer.Argument()], size: Size, paint: Paint, twice: bool = False) -> None:
    """Draw it."""
    typer.echo(f"{name} {size.area()} {paint.colour} {paint.coats} {twice}")


app = typer.Typer()
app.command()(draw)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["door", "--width", "3"], "door 6 red None False"),
        (["door", "--twice", "-y", "5", "--width", "3", "--colour", "blue"], "door 15 blue None True"),
        (["--coats", "1", "door", "--coats", "2", "--width", "1"], "door 2 red [1, 2] False"),
    ],
)
def test_fields_are_options(words: list[str], said: str) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert result.output.strip() == said


def test_what_a_field_demands_is_demanded() -> None:
    assert CliRunner().invoke(app, ["door"]).exit_code == 2  # a field without a default
    assert CliRunner().invoke(app, ["door", "--width", "0"]).exit_code == 2


def test_options_stand_in_the_place_of_their_group() -> None:
    command = typer.main.get_command(app)
    names = [parameter.name for parameter in command.params]
    assert names[:6] == ["name", "width", "height", "colour", "coats", "twice"]
    assert command.help == "Draw it."
