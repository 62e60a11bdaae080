"""``varscore models`` on a small model, whole and damaged."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import torch
from published_counts import ROWS
from safetensors.torch import load_file

from varscore.cli.boundary import run
from varscore.nets import architectures
from varscore.zoo.card import TASKS, WEIGHTS, write_card
from varscore.zoo.models import ModelFolder, open_model, save_model


def output(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """What a command that ends with ``status`` writes to stdout."""
    assert run(["models", *arguments]) == status
    return capsys.readouterr().out


@pytest.mark.parametrize(("name", "arguments", "keras", "both"), ROWS)
def test_show_counts_parameters_both_ways(
    capsys: pytest.CaptureFixture[str], name: str, arguments: dict[str, int], keras: int, both: int
) -> None:
    given = [f"--arg={argument}={value}" for argument, value in arguments.items()]
    shown = output(capsys, "show", name, "--tasks", "919", *given)
    assert re.search(rf"^{keras:,} parameters with one LSTM", shown, re.MULTILINE)
    assert re.search(rf"^{both:,} parameters with torch", shown, re.MULTILINE)


def test_show_lists_layers_whose_parameters_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    shown = output(capsys, "show", "crnn-320-projection", "--tasks", "10", "--arg", "dense=40", "--arg", "hidden=7")
    head, *lines = shown[shown.index("layer ") :].partition("\n\n")[0].splitlines()
    cells = [line[head.index("parameters") :].replace(",", "") for line in lines]
    counts = [int(cell) for cell in cells if cell.strip()]
    conv, projection, second = 320 * 30 * 4 + 320, 320 * 64, 64 * 96 * 11 + 96
    lstm = 2 * 4 * 7 * (96 + 7 + 2)
    assert counts == [conv, projection, second, lstm, 14 * 40 + 40, 40 * 10 + 10]
    assert re.search(r"^BiLSTM .* 14 x 64 +", shown, re.MULTILINE)
    assert re.search(r"^dense +40$", shown, re.MULTILINE)
    assert re.search(r"^optimizer +adam$", shown, re.MULTILINE)


def test_every_architecture_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    _, *lines = output(capsys, "list", "--architectures").splitlines()
    listed = {line.split()[0]: line.split()[1:4] for line in lines}
    assert set(listed) == set(architectures())
    assert listed["crnn-320-projection"] == ["1,000", "919", "2,477,479"]
    assert listed["danq-500"] == ["500", "919", "7,882,319"]


def test_list_shows_figures_and_marks(tiny_model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    card = tiny_model.path / "card.toml"
    card.write_text(card.read_text().replace("default = true", "default = true\ninterim = true"))
    head, line = output(capsys, "list").splitlines()
    assert head.split() == ["model", "architecture", "tasks", "parameters", "AUROC", "AUPRC", "notes"]
    assert line.split()[:3] == ["tiny", "crnn-320-projection", "3"]
    assert line.split()[4:] == ["0.9123", "0.3450", "default,", "interim"]


def test_list_shows_a_damaged_model_beside_the_whole_ones(
    capsys: pytest.CaptureFixture[str], tiny_model: ModelFolder
) -> None:
    broken = tiny_model.path.parent / "broken"
    broken.mkdir()
    (broken / "card.toml").write_text("format = ")
    lines = output(capsys, "list").splitlines()
    assert [line.split()[0] for line in lines] == ["model", "broken", "tiny"]
    assert "damaged" in lines[1]


def test_list_of_nothing_says_where_it_looked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VARSCORE_MODELS", str(tmp_path))
    monkeypatch.setattr("varscore.zoo.shelf.bundled_folder", lambda: tmp_path / "none")
    assert run(["models", "list"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert str(tmp_path / "none") in err


@pytest.mark.parametrize("as_folder", [True, False])
def test_show_a_model_prints_its_card(
    capsys: pytest.CaptureFixture[str], tiny_model: ModelFolder, as_folder: bool
) -> None:
    shown = output(capsys, "show", str(tiny_model.path) if as_folder else "tiny")
    assert f"sha256: {tiny_model.sha256}" in shown
    assert "tasks: 2 TF, 1 DNase" in shown
    for entry, value in {
        "licence": "MIT",
        "training.epochs": "3",
        "training.recipe.lr": "0.001",
        "metrics.test.all.auroc": "0.91234",
        "hidden": "5",
    }.items():
        assert re.search(rf"^{re.escape(entry)} +{re.escape(value)}$", shown, re.MULTILINE), entry


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["show", "crnn-32"], "no model or architecture 'crnn-32'; did you mean crnn-320"),
        (["show", "tiny", "--tasks", "4"], "tiny is a model"),
        (["show", "danq", "--arg", "window=20"], ""),
        (["show", "danq", "--arg", "colour=blue"], ""),
        (["path", "tinny"], "no model 'tinny'; `varscore models list` has tiny"),
        (["verify", "tiny", "nothing"], "1 of 2 models failed"),
    ],
)
@pytest.mark.usefixtures("tiny_model")
def test_what_cannot_be_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert run(["models", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"varscore: error: {line}")
    assert err.count("\n") == 1


def test_path_prints_the_folder(capsys: pytest.CaptureFixture[str], tiny_model: ModelFolder) -> None:
    assert output(capsys, "path", "tiny") == f"{tiny_model.path}\n"


def test_select_writes_a_model_of_some_tasks(
    capsys: pytest.CaptureFixture[str], tiny_model: ModelFolder, tmp_path: Path
) -> None:
    wanted = tiny_model.tasks()[2].name
    said = output(capsys, "select", "tiny", "--tasks", wanted, "-o", str(tmp_path / "one"))
    assert "1 of 3 tasks of tiny" in said
    (task,) = open_model(tmp_path / "one").tasks()
    assert (task.index, task.name) == (0, wanted)
    output(capsys, "select", "tiny", "--tasks", wanted, "-o", str(tmp_path / "one"), status=2)
    output(capsys, "select", "tiny", "--tasks", "no such*", "-o", str(tmp_path / "none"), status=2)
    assert not (tmp_path / "none").exists()


def test_verify_says_what_it_checked(capsys: pytest.CaptureFixture[str], tiny_model: ModelFolder) -> None:
    tensors = len(load_file(tiny_model.path / WEIGHTS))
    line = f"tiny: ok, 2 checksums, {tensors} weight tensors that fit and are finite, 3 tasks\n"
    assert output(capsys, "verify") == output(capsys, "verify", str(tiny_model.path)).replace(
        str(tiny_model.path), "tiny"
    )
    assert output(capsys, "verify", "tiny") == line


@pytest.mark.parametrize("damage", ["weights", "tasks", "fewer tasks", "nan", "architecture"])
def test_verify_notices_damage(capsys: pytest.CaptureFixture[str], tiny_model: ModelFolder, damage: str) -> None:
    folder = tiny_model.path
    if damage == "weights":
        content = bytearray((folder / WEIGHTS).read_bytes())
        content[-1] ^= 1
        (folder / WEIGHTS).write_bytes(content)
    elif damage == "tasks":
        (folder / TASKS).write_text((folder / TASKS).read_text().replace("K562", "K563"))
    elif damage == "architecture":
        write_card(folder, {**tiny_model.card, "arguments": {**tiny_model.card["arguments"], "hidden": 6}})
    else:
        net = tiny_model.load()
        if damage == "nan":
            net.output.bias.data[1] = torch.nan
        tasks = tiny_model.tasks()[: 2 if damage == "fewer tasks" else 3]
        save_model(folder, net, tiny_model.architecture, tasks, {})
    out = output(capsys, "verify", status=2)
    assert out.startswith("tiny: FAILED, ")


@pytest.mark.usefixtures("tiny_model")
def test_on_a_terminal_the_table_is_drawn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setitem(os.environ, "COLUMNS", "200")
    assert "──" in output(capsys, "list")


def test_held_out_chromosomes_are_told(tiny_model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tiny_model.path)
    assert "does not say" in output(capsys, "show", folder, "--held-out")
    options = {"test": ["chr8", "chr9"], "validation": ["chr7"]}
    write_card(tiny_model.path, tiny_model.card.changed(trained_on="GRCh37", data={"options": options}))
    first, _, *rows = output(capsys, "show", folder, "--held-out").splitlines()
    assert first.endswith(": trained on GRCh37")
    assert [re.split(r" {2,}", row)[:2] for row in rows] == [["chr8 chr9", "test"], ["chr7", "validation"]]
