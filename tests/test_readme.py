"""README and command table say the same, and every command and option explains itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from varscore.cli.reference import BEGIN, END, commands, markdown, parameters

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
COMMANDS: dict[str, Any] = dict(commands())
OPTIONS = {
    name: {spelling for parameter in parameters(command) for spelling in parameter.opts + parameter.secondary_opts}
    for name, command in COMMANDS.items()
}
GLOBAL_OPTIONS = OPTIONS["varscore"] | {"--help"}


def command_lines(readme: str) -> list[str]:
    """Lines of code blocks and code spans that begin with ``varscore`` and a word."""
    blocks = re.findall(r"^```.*?\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in re.sub(r"\\\n", " ", block).splitlines()]
    prose = re.sub(r"^```.*?^```", "", readme, flags=re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", prose)
    return [line.strip().removeprefix("$ ") for line in lines + spans if re.match(r"\s*(\$ )?varscore [a-z-]", line)]


def command_of(line: str) -> str:
    """The longest command name a line begins with."""
    words = line.split()
    return next(name for name in (" ".join(words[:count]) for count in range(len(words), 0, -1)) if name in COMMANDS)


def test_command_lines_are_found_in_blocks_and_spans() -> None:
    text = "Say `varscore demo x`, not `varscore: error`.\n```sh\n$ varscore a \\\n  --b\nls\n```\nvarscore is nice\n"
    assert [" ".join(line.split()) for line in command_lines(text)] == ["varscore a --b", "varscore demo x"]


def test_the_list_of_commands_is_up_to_date() -> None:
    stated = README.partition(BEGIN)[2].partition(END)[0].strip()
    true = markdown()
    missing = [line for line in true.splitlines() if line not in stated.splitlines()]
    stale = [line for line in stated.splitlines() if line not in true.splitlines()]
    assert stated == true, "run `make reference`.\nMissing:\n" + "\n".join(missing + ["Stale:"] + stale)


def test_readme_names_every_command_and_option() -> None:
    missing = [name for name in COMMANDS if f"`{name}`" not in README]
    for name, options in OPTIONS.items():
        missing += [f"{name} {option}" for option in options if option.startswith("--") and option not in README]
    assert not missing, f"README.md does not mention: {missing}"


@pytest.mark.parametrize("line", command_lines(README))
def test_readme_shows_only_commands_and_options_that_exist(line: str) -> None:
    name = command_of(line)
    assert name != "varscore" or line.split()[1].startswith("-"), f"no such command: {line}"
    unknown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", line)) - OPTIONS[name] - GLOBAL_OPTIONS
    assert not unknown, f"{name} has no {sorted(unknown)}"


@pytest.mark.parametrize("name", COMMANDS)
def test_everything_explains_itself(name: str) -> None:
    assert COMMANDS[name].help, f"{name} has no help text"
    silent = [parameter.name for parameter in parameters(COMMANDS[name]) if not parameter.help]
    assert not silent, f"{name}: no help text on {silent}"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "varscore"])
def test_no_command_takes_a_name_that_belongs_to_the_program(name: str) -> None:
    clash = OPTIONS[name] & OPTIONS["varscore"]
    assert not clash, f"{name} redefines {sorted(clash)}, which boundary.globals_first moves in front of the command"
