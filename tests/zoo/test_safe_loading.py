"""What comes with a model is never run, never leads out of its folder, and is never larger than it may be."""

from __future__ import annotations

import ast
import gzip
import json
import os
import shutil
import struct
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch
from safetensors.torch import load, save
from small_nets import small

from varscore.cli.boundary import run
from varscore.errors import ModelError
from varscore.storage import bounded
from varscore.storage.digest import sha256
from varscore.tasks import Task
from varscore.zoo.card import CARD, TASKS, WEIGHTS
from varscore.zoo.models import ModelFolder, open_model, save_model

PACKAGE = Path(__file__).resolve().parents[2] / "varscore"
SOURCES = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
NAME = "crnn-320-projection"

# -- the source ------------------------------------------------------------------------------------------------------

RUNS_WHAT_IT_READS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "marshal.load",
    "marshal.loads",
    "shelve.open",
    "joblib.load",
    "dill.load",
    "dill.loads",
    "cloudpickle.load",
    "cloudpickle.loads",
    "yaml.load",
    "yaml.unsafe_load",
    "torch.jit.load",
    "torch.hub.load",
    "pandas.read_pickle",
    "os.system",
    "os.popen",
}
NETWORK = {
    "socket",
    "http",
    "urllib.request",
    "urllib3",
    "requests",
    "httpx",
    "aiohttp",
    "ftplib",
    "smtplib",
    "pooch",
    "huggingface_hub",
    "wget",
}
UNPICKLER = "formats/scalerpickle.py"
"""Which subclasses the unpickler, to let in stand-ins of its own only; see its tests"""


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name of what is called, as far as it has one, np and torch's aliases spelled out."""
    spelled = {"np": "numpy", "pd": "pandas"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, _, rest = ast.unparse(node.func).partition(".")
            yield f"{spelled.get(head, head)}.{rest}" if rest else head, node


def says(call: ast.Call, option: str, value: object) -> bool:
    return any(
        word.arg == option and isinstance(word.value, ast.Constant) and word.value.value is value
        for word in call.keywords
    )


def faults(tree: ast.AST) -> list[str]:
    """Calls that run what they read."""
    found = [name for name, _ in calls(tree) if name in RUNS_WHAT_IT_READS]
    found += [name for name, call in calls(tree) if name == "torch.load" and not says(call, "weights_only", True)]
    found += [name for name, call in calls(tree) if name.startswith("subprocess.") and says(call, "shell", True)]
    found += [
        name
        for name, call in calls(tree)
        if name in ("numpy.load", "numpy.lib.format.open_memmap")
        and any(word.arg == "allow_pickle" for word in call.keywords)
    ]
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"import {name}" for name in modules if name.split(".")[0] in ("dill", "joblib", "marshal", "shelve")]
        if isinstance(node, ast.ImportFrom) and node.module == "pickle":
            found.append("from pickle import")  # else its calls would go by another name
        if isinstance(node, ast.ImportFrom) and node.module == "torch" and any(a.name == "load" for a in node.names):
            found.append("from torch import load")
    return found


def test_the_walker_finds_what_runs_code() -> None:
    source = (
        "torch.load(p)\ntorch.load(p, weights_only=False)\ntorch.load(p, weights_only=True)\n"
        "np.load(p, allow_pickle=x)\n"
        "def f():\n    pickle.loads(b)\n    subprocess.run(c, shell=True)\nfrom torch import load\nimport joblib\n"
    )
    assert sorted(faults(ast.parse(source))) == sorted(
        ["torch.load", "torch.load", "numpy.load", "pickle.loads", "subprocess.run", "from torch import load"]
        + ["import joblib"]
    )


RUNS_WHAT_IS_NAMED = "nets/plugins.py"
"""The one module that runs a file: one that the user names with --plugin, never one that a model or a data set names"""


@pytest.mark.parametrize("name", SOURCES)
def test_no_module_runs_what_it_reads(name: str) -> None:
    assert faults(SOURCES[name]) == (["exec", "compile"] if name == RUNS_WHAT_IS_NAMED else [])


def test_only_one_module_unpickles() -> None:
    using = [
        name
        for name, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("pickle.Unpickler", "pickle.load", "pickle.loads")
    ]
    assert using == [UNPICKLER]


def test_nothing_reaches_for_the_network() -> None:
    found = []
    for name, tree in SOURCES.items():
        for node in ast.walk(tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found += [f"{name}: {module}" for module in modules if {module, module.split(".")[0]} & NETWORK]
    assert not found


# -- a model's folder ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    tasks = tuple(Task(i, f"cell|mark {i}", "TF") for i in range(5))
    return save_model(tmp_path_factory.mktemp("zoo") / "m", small(NAME), NAME, tasks, {})


@pytest.fixture
def model(original: ModelFolder, tmp_path: Path) -> ModelFolder:
    """A copy to tamper with."""
    shutil.copytree(original.path, tmp_path / "m")
    return open_model(tmp_path / "m")


def edit_card(model: ModelFolder, edit: Callable[[dict[str, Any]], object]) -> None:
    card = tomllib.loads((model.path / CARD).read_text())
    edit(card)
    (model.path / CARD).write_text(tomli_w.dumps(card))


def put_weights(model: ModelFolder, content: bytes) -> None:
    """Other weights, with the checksum that goes with them."""
    (model.path / WEIGHTS).write_bytes(content)
    edit_card(model, lambda card: card["files"].update({WEIGHTS: sha256(content)}))


def refused(model: ModelFolder, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and one line that says this, on stdout for the model and on stderr at the end."""
    assert run(["models", "verify", str(model.path)]) == 2
    out, err = capsys.readouterr()
    assert message in out and out.count("\n") == err.count("\n") == 1
    with pytest.raises(ModelError):
        open_model(model.path).verify()


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "card.toml", "a\0b", "a\nb", "./tasks.tsv"]
)
def test_a_card_cannot_name_files_elsewhere(model: ModelFolder, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (model.path.parent / "secret").write_text("secret")
    edit_card(model, lambda card: card["files"].update({name: sha256(b"secret")}))
    refused(model, "the card names a file outside its folder", capsys)


def test_a_pipe_or_a_device_is_no_file(model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (model.path / WEIGHTS).unlink()
    os.mkfifo(model.path / WEIGHTS)
    refused(model, "not a file", capsys)
    (model.path / WEIGHTS).unlink()
    (model.path / WEIGHTS).symlink_to("/dev/zero")
    refused(model, "not a file", capsys)
    (model.path / CARD).unlink()
    (model.path / CARD).symlink_to("/dev/zero")
    refused(model, "not a file", capsys)


@pytest.mark.parametrize(("name", "most"), [(CARD, "CARD_BYTES"), (TASKS, "TABLE_BYTES"), (WEIGHTS, "WEIGHTS_BYTES")])
def test_absurd_sizes_are_refused_before_they_are_read(
    model: ModelFolder, name: str, most: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.truncate(model.path / name, getattr(bounded, most) + 1)  # a hole: it takes no room on the disk
    refused(model, "the file is too large to be what it should be", capsys)


def test_a_deeply_nested_card(model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (model.path / CARD).write_text("x = " + "[" * 100_000)
    refused(model, "damaged card", capsys)


# -- safetensors -----------------------------------------------------------------------------------------------------


def tensors(header: object, body: bytes, size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + body


def entry(first: int, last: int, shape: list[int] | None = None, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": [(last - first) // 4] if shape is None else shape, "data_offsets": [first, last]}


HOSTILE = {
    "empty": b"",
    "a header that never ends": tensors({}, b"", size=1 << 62),
    "a header larger than any": tensors(b" " * (bounded.HEADER_BYTES + 1), b""),
    "no JSON": tensors(b"{", b""),
    "a list": tensors([], b""),
    "nested": tensors(b'{"a":' * 100_000, b""),
    "overlapping": tensors({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
    "the same bytes a thousand times": tensors({str(i): entry(0, 8) for i in range(1000)}, bytes(8)),
    "a gap": tensors({"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)),
    "beyond the end": tensors({"a": entry(0, 1 << 40, [1 << 38])}, bytes(4)),
    "bytes left over": tensors({"a": entry(0, 4)}, bytes(9)),
    "a shape that is larger than its bytes": tensors({"a": entry(0, 4, [1 << 30, 1 << 30])}, bytes(4)),
    "a negative shape": tensors({"a": entry(0, 4, [-1, -1])}, bytes(4)),
    "an overflowing shape": tensors({"a": entry(0, 0, [1 << 63, 2, 0])}, b""),
    "backwards": tensors({"a": entry(4, 0, [1])}, bytes(4)),
    "no offsets": tensors({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "an unknown type": tensors({"a": entry(0, 4, [1], "Q99")}, bytes(4)),
    "true for one": tensors({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, bytes(4)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_weights(model: ModelFolder, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError):
        bounded.demand_tensors(HOSTILE[kind])
    put_weights(model, HOSTILE[kind])
    refused(model, "the weights do not fit the architecture on the card", capsys)


def test_honest_weights_pass(original: ModelFolder) -> None:
    for kind in (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.uint8):
        content = save({"b": torch.ones(3, 5).to(kind), "a": torch.zeros(0, 2), "c": torch.tensor(1)})
        bounded.demand_tensors(content)
        assert set(load(content)) == {"a", "b", "c"}
    bounded.demand_tensors((original.path / WEIGHTS).read_bytes())


@pytest.mark.parametrize(
    "arguments", [{"n_tasks": 10**15}, {"window": 10**15}, {"hidden": 10**9}, {"filters": 2**62}, {"hidden": 1 << 20}]
)
def test_absurd_networks_are_refused_without_being_built(
    model: ModelFolder, arguments: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    edit_card(model, lambda card: card["arguments"].update(arguments))
    refused(model, "FAILED, the ", capsys)


@pytest.mark.parametrize("dilations", [[1, 1 << 30], [1] * 5000, [[1]], ["1"], [1.5], [-1], {"a": 1}])
def test_absurd_rows_of_numbers_are_refused_without_being_built(
    tmp_path: Path, dilations: object, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = tuple(Task(i, f"task {i}", "TF") for i in range(5))
    model = save_model(tmp_path / "rows", small("dilated"), "dilated", tasks, {})
    assert model.load().config.dilations == (1, 2) and run(["models", "verify", str(model.path)]) == 0
    capsys.readouterr()
    edit_card(model, lambda card: card["arguments"].update(dilations=dilations))
    refused(model, "FAILED, ", capsys)


def test_verify_names_what_it_has_not_read(model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (model.path / "extra.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert run(["models", "verify", str(model.path)]) == 0
    assert capsys.readouterr().out.endswith("5 tasks; not read: extra.pkl\n")


def test_a_pickle_in_the_place_of_weights_is_not_run(model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": torch.ones(2)}, model.path / WEIGHTS)
    put_weights(model, (model.path / WEIGHTS).read_bytes())
    refused(model, "the weights do not fit the architecture on the card", capsys)


# -- bombs -----------------------------------------------------------------------------------------------------------


def test_a_gzip_bomb_is_no_vcf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import resource

    bomb = tmp_path / "bomb.vcf.gz"
    with gzip.open(bomb, "wb", 1) as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    (tmp_path / "g.fa").write_text(">chr1\nACGT\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run(["annotate", str(bomb), "-r", str(tmp_path / "g.fa"), "-o", str(tmp_path / "out.vcf")]) == 2
    *notes, error = capsys.readouterr().err.splitlines()
    assert error.startswith("varscore: error: not a VCF or BCF") and all("error" not in note for note in notes)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
    assert not (tmp_path / "out.vcf").exists()


def test_an_array_of_objects_is_no_data_set(tmp_path: Path) -> None:
    """What numpy says when a pickle hides in an .npy: data sets are opened with this very call."""
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        np.load(tmp_path / "a.npy", mmap_mode="c")
