"""Imports point down: every import of the package is held against the picture in ARCHITECTURE.md."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "varscore"
ARCHITECTURE = (REPOSITORY / "ARCHITECTURE.md").read_text()
MAX_LINES = 500


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def read_rooms(markdown: str) -> dict[str, int]:
    """Room -> height above the ground line of the picture."""
    picture = re.search(r"```rooms\n(.*?)```", markdown, re.DOTALL)
    assert picture, "ARCHITECTURE.md has no ```rooms picture"
    lines = [re.findall(r"\w+", line) for line in picture[1].splitlines()]
    floors = [line for line in reversed(lines) if line]
    return {room: height for height, line in enumerate(floors) for room in line}


def read_libraries(markdown: str) -> dict[str, set[str]]:
    """Library -> the rooms that may import it."""
    table = re.search(r"\| library \| only in \|\n\|-\|-\|\n((?:\|.*\|\n)+)", markdown)
    assert table, "ARCHITECTURE.md has no table of libraries"
    cells = [row.strip("|").split("|") for row in table[1].splitlines()]
    return {library: set(re.findall(r"\w+", rooms)) for names, rooms in cells for library in re.findall(r"\w+", names)}


def room(module: str) -> str:
    parts = module.split(".")
    return "cli" if module in ("varscore", "varscore.__main__") else parts[1]


def imports(tree: ast.Module, module: str) -> Iterator[str]:
    """Every module that is imported anywhere in the source, functions and type checking included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} line {node.lineno}: write imports in full, from varscore..."
            assert node.module
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else node.module


ROOMS = read_rooms(ARCHITECTURE)
LIBRARIES = read_libraries(ARCHITECTURE)
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
ARROWS = [(name, target) for name, tree in TREES.items() for target in imports(tree, name)]
INNER_ARROWS = [(name, target) for name, target in ARROWS if target in MODULES and target != "varscore"]


def test_the_walker_sees_lazy_and_typing_only_imports() -> None:
    source = "import a\nif TYPE_CHECKING:\n    import b\ndef f():\n    from c import d\n    import e.f as g\n"
    assert set(imports(ast.parse(source), "m")) == {"a", "b", "c", "e.f"}
    assert list(imports(ast.parse("from varscore import errors"), "m")) == ["varscore.errors"]


def test_every_room_is_in_the_picture() -> None:
    unknown = {room(name) for name in MODULES} - set(ROOMS)
    assert not unknown, f"draw these rooms into ARCHITECTURE.md: {sorted(unknown)}"


def test_arrows_point_down() -> None:
    upward = [f"{a} -> {b}" for a, b in INNER_ARROWS if ROOMS[room(b)] > ROOMS[room(a)]]
    assert not upward, "imports that point up:\n" + "\n".join(upward)


def test_rooms_form_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for a, b in INNER_ARROWS:
        if room(a) != room(b):
            graph.setdefault(room(a), set()).add(room(b))
    check_acyclic(graph)


def test_modules_form_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for a, b in INNER_ARROWS:
        graph.setdefault(a, set()).add(b)
    check_acyclic(graph)


def check_acyclic(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " -> ".join(error.args[1]))


def test_nets_know_no_file_and_no_genome() -> None:
    guests = [
        f"{a} -> {b}"
        for a, b in INNER_ARROWS
        if room(a) == "nets" and room(b) not in ("nets", "odds", "errors", "cpus", "compiled")
    ]
    assert not guests, guests


def test_libraries_stay_in_their_rooms() -> None:
    strays = [
        f"{name} imports {target}"
        for name, target in ARROWS
        if room(name) not in LIBRARIES.get(target.split(".")[0], {room(name)})
    ]
    assert not strays, "see the table of libraries in ARCHITECTURE.md:\n" + "\n".join(strays)


def test_a_module_fits_a_head() -> None:
    too_long = [name for name, path in MODULES.items() if len(path.read_text().splitlines()) > MAX_LINES]
    assert not too_long, f"split these: {too_long}"


def read_ignorance(markdown: str) -> dict[str, set[str]]:
    """Room, or module of one -> the rooms and libraries in the third column of its row."""
    rows = re.findall(r"^\| (`[^|]*) \|[^|]*\| ([^|]*) \|$", markdown, re.MULTILINE)
    return {
        name: set(re.findall(r"`(\w+)`", third)) for first, third in rows for name in re.findall(r"`([\w/]+)`", first)
    }


def at_import(tree: ast.Module, module: str) -> set[str]:
    """What is imported when the module is: not what functions import, nor what is for the type checker."""
    top = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If)]
    return set(imports(ast.Module(top, []), module))


LOADED = {name: at_import(tree, name) for name, tree in TREES.items()}


@cache
def all_loaded(module: str) -> set[str]:
    """Everything that ``import module`` loads of varscore, and the libraries that this imports."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        parents = [name.rpartition(".")[0]] if "." in name and name in MODULES else []
        waiting += [*LOADED.get(name, ()), *parents]
    return found


IGNORANCE = read_ignorance(ARCHITECTURE)


@pytest.mark.parametrize("place", [place for place, unknown in IGNORANCE.items() if unknown])
def test_what_a_room_does_not_know_is_not_loaded(place: str) -> None:
    prefix = "varscore." + place.replace("/", ".")
    inside = [name for name in MODULES if name == prefix or name.startswith(prefix + ".")]
    assert inside, f"{place} is not there"
    known = {
        f"{name} loads {loaded}"
        for name in inside
        for loaded in all_loaded(name)
        if (room(loaded) if loaded.startswith("varscore.") else loaded.split(".")[0]) in IGNORANCE[place]
    }
    assert not known, "\n".join(sorted(known))


WITHOUT = {
    "scoring.effects": {"torch", "numba", "xgboost", "pyarrow"},
    "annotate": {"torch", "numba", "xgboost", "pyarrow"},
    "annotate.merge": {"torch", "numba", "xgboost"},
    "motifs.compare": {"torch", "xgboost", "pyarrow"},
    "normalise": {"torch", "numba", "xgboost"},
}
"""Module -> libraries that are not loaded with it, in a process of its own: what the command is that waits for them"""


def test_what_computes_nothing_loads_no_torch() -> None:
    code = "import importlib, sys; importlib.import_module('varscore.{}'); print(*sys.modules)"
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", code.format(name)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        )
        for name in WITHOUT
    }
    loaded = {name: set(process.communicate()[0].split()) for name, process in started.items()}
    assert all(f"varscore.{name}" in modules for name, modules in loaded.items())
    heavy = {name: sorted(WITHOUT[name] & modules) for name, modules in loaded.items() if WITHOUT[name] & modules}
    assert not heavy


def test_every_drawn_room_exists() -> None:
    missing = set(ROOMS) - {room(name) for name in MODULES}
    assert not missing, f"ARCHITECTURE.md draws rooms that are not there: {sorted(missing)}"


IMPORTED_AS = {"scikit-learn": "sklearn", "tomli-w": "tomli_w"}
"""Distributions whose module is called otherwise"""


def test_every_declared_dependency_is_imported() -> None:
    """In some module, at least where it is used; ``dev`` is for the tests and the tools."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = {name: wanted for name, wanted in project["optional-dependencies"].items() if name not in ("dev", "docs")}
    wanted = [*project["dependencies"], *(each for group in extras.values() for each in group)]
    declared = {re.split(r"[\[<>=! ]", each)[0] for each in wanted}
    text = "\n".join(path.read_text() for path in MODULES.values())
    by_name = re.findall(r'(?:import_module|optional)\("(\w+)', text)
    imported = {target.split(".")[0] for _, target in ARROWS} | set(by_name)
    imported |= {"tensorboard"} & set(re.findall(r"from torch\.utils\.(\w+)", text))
    idle = {name for name in declared if IMPORTED_AS.get(name, name.replace("-", "_")) not in imported}
    assert not idle, f"declared and never imported: {sorted(idle)}"


def test_the_command_table_imports_nothing_heavy() -> None:
    code = "import sys, varscore.cli.boundary, varscore.cli.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    heavy = {"torch", "numpy", "pyarrow", "sklearn", "scipy", "numba", "xgboost", "pysam", "cyvcf2", "matplotlib"}
    assert not heavy & set(loaded.stdout.split())
    assert "varscore.cli.app" in loaded.stdout.split()


def test_an_outline_of_a_network_loads_no_compiler() -> None:
    """Arithmetic on torch's meta device imports it, which takes every command that opens a model two seconds."""
    code = """
import sys, torch
from varscore.nets.registry import architectures, build
with torch.device("meta"):
    print(*[build(name).layers[0].__class__ for name in architectures()])
print(*sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    built, loaded = told.stdout.splitlines()
    assert len(built.split("> <")) > 10 and "torch" in loaded.split()
    assert not {name for name in loaded.split() if name.startswith(("torch._dynamo", "torch._inductor"))}


def messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of what is said by errors and logs, without what stands in backquotes."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        is_log = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "log"
        if is_log or name.endswith("Error") or name == "OutputExists":
            for part in ast.walk(call):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.lineno, re.sub(r"`[^`]*`?", "", part.value)


def test_messages_of_the_library_name_arguments_and_no_options() -> None:
    """Callers of functions know none; cli/log.py makes them of names in backquotes: `threads`, `check_ref=warn`."""
    found = [
        f"{name} line {line}: {text}"
        for name, tree in TREES.items()
        if room(name) != "cli"
        for line, text in messages(tree)
        if re.search(r"(?<![\w-])--[a-z]", text)
    ]
    assert not found, "\n".join(found)
