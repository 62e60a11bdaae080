"""README, docs/ and the command table say the same, and every command and option explains itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from varscore.cli.reference import MARK, commands, markdown, parameters

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
COMMAND_PAGE = ROOT / "docs" / "commands.md"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [README, *sorted((ROOT / "docs").rglob("*.md"))]
    if path != COMMAND_PAGE
}
COMMANDS: dict[str, Any] = dict(commands())
OPTIONS = {
    name: {spelling for parameter in parameters(command) for spelling in parameter.opts + parameter.secondary_opts}
    for name, command in COMMANDS.items()
}
GLOBAL_OPTIONS = OPTIONS["varscore"] | {"--help"}
MOST_BYTES, README_BYTES, README_LINES = 14_000, 9_000, 150


def command_lines(page: str) -> list[str]:
    """Lines of code blocks and code spans that begin with ``varscore`` and a word."""
    blocks = re.findall(r"^```.*?\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in re.sub(r"\\\n", " ", block).splitlines()]
    prose = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", prose)
    return [line.strip().removeprefix("$ ") for line in lines + spans if re.match(r"\s*(\$ )?varscore [a-z-]", line)]


def command_of(line: str) -> str:
    """The longest command name a line begins with."""
    words = line.split()
    return next(name for name in (" ".join(words[:count]) for count in range(len(words), 0, -1)) if name in COMMANDS)


def links(page: str) -> list[str]:
    """Where a page's links and pictures point, outside code."""
    prose = re.sub(r"^```.*?^```|`[^`\n]+`", "", page, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors(page: str) -> set[str]:
    """What a page's headings can be linked by, the usual way of making them."""
    prose = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_command_lines_are_found_in_blocks_and_spans() -> None:
    text = "Say `varscore demo x`, not `varscore: error`.\n```sh\n$ varscore a \\\n  --b\nls\n```\nvarscore is nice\n"
    assert [" ".join(line.split()) for line in command_lines(text)] == ["varscore a --b", "varscore demo x"]


def test_links_and_anchors_are_found_outside_code() -> None:
    text = "# What, how?\n[a](b.md#c) ![p](d.svg) `[no](x)`\n```\n# not\n[no](y)\n```\n"
    assert (links(text), anchors(text)) == (["b.md#c", "d.svg"], {"what-how"})


def test_the_list_of_commands_is_up_to_date() -> None:
    stated, true = COMMAND_PAGE.read_text(), markdown()
    missing = [line for line in true.splitlines() if line not in stated.splitlines()]
    stale = [line for line in stated.splitlines() if line not in true.splitlines()]
    assert stated == true, "run `make reference`.\nMissing:\n" + "\n".join(missing + ["Stale:"] + stale)
    assert MARK in true


def test_the_list_names_every_command_and_option() -> None:
    page = COMMAND_PAGE.read_text()
    missing = [name for name in COMMANDS if f"`{name}`" not in page]
    for name, options in OPTIONS.items():
        missing += [f"{name} {option}" for option in options if option.startswith("--") and option not in page]
    assert not missing, f"docs/commands.md does not mention: {missing}"


@pytest.mark.parametrize("page", PAGES)
def test_pages_show_only_commands_and_options_that_exist(page: str) -> None:
    for line in command_lines(PAGES[page]):
        name = command_of(line)
        assert name != "varscore" or line.split()[1].startswith("-"), f"no such command: {line}"
        unknown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", line)) - OPTIONS[name] - GLOBAL_OPTIONS
        assert not unknown, f"{name} has no {sorted(unknown)}: {line}"


@pytest.mark.parametrize("name", COMMANDS)
def test_everything_explains_itself(name: str) -> None:
    assert COMMANDS[name].help, f"{name} has no help text"
    silent = [parameter.name for parameter in parameters(COMMANDS[name]) if not parameter.help]
    assert not silent, f"{name}: no help text on {silent}"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "varscore"])
def test_no_command_takes_a_name_that_belongs_to_the_program(name: str) -> None:
    clash = OPTIONS[name] & OPTIONS["varscore"]
    assert not clash, f"{name} redefines {sorted(clash)}, which boundary.globals_first moves in front of the command"


def test_the_readme_is_one_screen() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= README_LINES
    assert len(text.encode()) <= README_BYTES, "say it in a page of docs/, and link to that"


@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md"])
def test_a_page_answers_one_question(page: str) -> None:
    size = len(PAGES[page].encode())
    assert PAGES[page].startswith("# "), f"{page} has no title"
    assert size <= MOST_BYTES, f"{page} has {size:,} bytes: two questions, two pages"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for link in links(PAGES[page]):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = folder / name if name else ROOT / page
        assert target.exists(), f"{page}: nothing at {link}"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{page}: no heading {link}"


def test_every_page_is_in_the_list_of_pages() -> None:
    listed = {link.partition("#")[0] for link in links(PAGES["docs/index.md"])}
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")} - {"index.md"}
    missing = {page for page in pages if not page.startswith("decisions/") or page == "decisions/index.md"} - listed
    assert not missing, f"add a line to docs/index.md for {sorted(missing)}"


def test_the_site_has_the_pages_in_the_order_of_the_index() -> None:
    said = re.findall(r"^\| [^|]* \| \[([^\]]+)\]\(([^)]+)\) \|$", PAGES["docs/index.md"], re.MULTILINE)
    settings = (ROOT / "mkdocs.yml").read_text()
    assert said and re.findall(r"^ {6}- (.+): (\S+)$", settings, re.MULTILINE) == said


def test_nothing_says_to_install_somebody_else_s_package() -> None:
    """The name belongs to another project on the public index: this one is installed from its source."""
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "varscore").rglob("*.py")}
    pattern = r"(?:pip|uv|pipx|conda|mamba)[\w ]* install[^\n`]*?['\"= ]varscore\b(?!')[^\n`]*"
    wrong = {name: found for name, text in {**PAGES, **sources}.items() if (found := re.findall(pattern, text))}
    assert not wrong, "name the package that is missing, or '.[extra]'"
