"""Model folders: what is saved comes back, and what is wrong with one is said in one line."""

from __future__ import annotations

import pickle
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from safetensors.torch import load_file, save_file
from small_nets import also, random_codes, small

from varscore.errors import ModelError, OutputError
from varscore.nets import architectures
from varscore.storage.digest import sha256
from varscore.tasks import Task
from varscore.zoo.card import CARD, TASKS, WEIGHTS
from varscore.zoo.models import ModelFolder, find_model, open_model, save_model
from varscore.zoo.shelf import available, bundled_folder

TASK_LIST = tuple(Task(i, f"cell|mark {i}", "TF" if i else "", {"note": 'a "quoted"\tfact'}) for i in range(5))
NAME = "crnn-320-projection"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return save_model(
        tmp_path_factory.mktemp("zoo") / "m.test", small(NAME), NAME, TASK_LIST, {"training": {"seed": 1}}
    )


@pytest.fixture
def model(original: ModelFolder, tmp_path: Path) -> ModelFolder:
    """A copy to damage."""
    shutil.copytree(original.path, tmp_path / "m")
    return open_model(tmp_path / "m")


def edit_card(model: ModelFolder, edit: Callable[[dict[str, Any]], None]) -> None:
    card = tomllib.loads((model.path / CARD).read_text())
    edit(card)
    (model.path / CARD).write_text(tomli_w.dumps(card))


def refused(model: ModelFolder, message: str) -> None:
    """Opening or verifying the model fails with this message, in one line."""
    with pytest.raises(ModelError, match=message) as caught:
        open_model(model.path).verify()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", list(architectures()))
def test_every_architecture_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    net = small(name).eval()
    with torch.no_grad():
        net.output.weight.normal_()
    net.prepare([random_codes(20, net.window)])
    model = save_model(tmp_path / name, net, name, TASK_LIST, {})
    again = model.load()
    codes, more = random_codes(3, net.window, seed=1), also(net, 3)
    assert torch.equal(again(codes, **more), net(codes, **more))
    assert not again.training
    assert all(p.requires_grad and p.device.type == "cpu" for p in again.parameters())
    assert model.config() == net.config
    assert model.tasks() == TASK_LIST
    assert set(model.verify()) == {WEIGHTS, TASKS}


@pytest.mark.parametrize("name", list(architectures()))
def test_half_precision_storage_moves_predictions_little(name: str, tmp_path: Path) -> None:
    net = small(name).eval()
    with torch.no_grad():
        net.output.weight.normal_(std=0.3)
    net.prepare([random_codes(20, net.window)])
    model = save_model(tmp_path / name, net, name, TASK_LIST, {}, torch.float16)
    stored = {tensor.dtype for tensor in load_file(model.path / WEIGHTS).values()}
    assert stored - {torch.int64} == {torch.float16}, "batch norms count in whole numbers"
    codes, more = random_codes(16, net.window, seed=1), also(net, 16)
    moved = (model.load()(codes, **more).sigmoid() - net(codes, **more).sigmoid()).abs().max()
    assert 0 < moved < 1e-3


def test_the_card_says_what_the_model_is(original: ModelFolder) -> None:
    card = tomllib.loads((original.path / CARD).read_text())
    assert card["architecture"] == NAME and card["id"] == "m.test" == original.id
    assert card["training"] == {"seed": 1}
    assert card["files"][WEIGHTS] == original.sha256 == sha256((original.path / WEIGHTS).read_bytes())
    assert card["arguments"]["filters"] == 6


def test_a_model_can_be_trained_on_and_saved_again(original: ModelFolder, tmp_path: Path) -> None:
    net = original.load().train()
    net(random_codes(2, net.window)).sum().backward()
    torch.optim.SGD(net.parameters(), 0.1).step()
    again = save_model(tmp_path / "m", net, NAME, TASK_LIST, {})
    assert again.sha256 != original.sha256
    assert open_model(original.path).load() is not net
    original.verify()  # loading shares no memory with the file


def test_weights_that_were_changed(model: ModelFolder) -> None:
    content = bytearray((model.path / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (model.path / WEIGHTS).write_bytes(content)
    refused(model, f"{WEIGHTS} does not have the checksum on the card.*copy the model again")


def test_tasks_that_were_changed(model: ModelFolder) -> None:
    with (model.path / TASKS).open("a") as file:
        file.write("5\tx\t\n")
    with pytest.raises(ModelError, match="checksum"):
        model.tasks()


@pytest.mark.parametrize("name", [WEIGHTS, TASKS])
def test_a_missing_file(model: ModelFolder, name: str) -> None:
    (model.path / name).unlink()
    refused(model, f"cannot read '{name}'.*copy the whole model folder")


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "sub/x", "", ".", "..", CARD, "a\0b", "./model.safetensors"])
def test_a_card_cannot_reach_outside_its_folder(model: ModelFolder, name: str) -> None:
    secret = b"secret"
    (model.path.parent / "x").write_bytes(secret)
    (model.path / "sub").mkdir()
    (model.path / "sub" / "x").write_bytes(secret)
    edit_card(model, lambda card: card["files"].update({name: sha256(secret)}))
    refused(model, "outside its folder|cannot read")


def test_a_pickle_in_the_place_of_the_weights_is_not_opened(model: ModelFolder, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    for content in (pickle.dumps(Trap()), b"", b"\x80" * 100, b"\xff" * 8):
        (model.path / WEIGHTS).write_bytes(content)
        edit_card(model, lambda card, content=content: card["files"].update({WEIGHTS: sha256(content)}))  # type: ignore[misc]
        refused(model, "weights do not fit")
    assert not (tmp_path / "sprung").exists()


def save_weights(model: ModelFolder, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, model.path / WEIGHTS)
    edit_card(model, lambda card: card["files"].update({WEIGHTS: sha256((model.path / WEIGHTS).read_bytes())}))


def test_weights_of_another_network(model: ModelFolder) -> None:
    save_weights(model, {"layers.0.weight": torch.zeros(6, 4, 30)})
    refused(model, "weights do not fit the architecture.*Missing key")


def test_weights_of_another_shape(model: ModelFolder) -> None:
    weights = load_file(model.path / WEIGHTS)
    weights["layers.0.weight"] = weights["layers.0.weight"][:, :, :10].contiguous()
    save_weights(model, weights)
    refused(model, "weights do not fit the architecture.*size mismatch")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda card: card.update(architecture="crnn-9"),
            "the architecture 'crnn-9' is not known here.*`plugin=FILE.py`",
        ),
        (lambda card: card["arguments"].update(colour=3), "has no argument 'colour'"),
        (lambda card: card["arguments"].update(hidden="x"), "hidden = 'x' is no int"),
        (lambda card: card["arguments"].update(hidden=0), "cannot be built"),
        # an honest attempt to make room for these would end the process
        (lambda card: card["arguments"].update(hidden=10**6), "weights do not fit.*size mismatch"),
        (lambda card: card.update(arguments=3), "the card does not name the model's files"),
        (lambda card: card.update(format=99), "not a card this varscore can read"),
        (lambda card: card.pop("format"), "not a card this varscore can read"),
        (lambda card: card.pop("architecture"), "not a card this varscore can read"),
        (lambda card: card.update(architecture=["danq"]), "not a card this varscore can read"),
        (lambda card: card.pop("files"), "the card does not name the model's files"),
        (lambda card: card["files"].pop(WEIGHTS), "the card does not name the model's files"),
        (lambda card: card.update(files=[WEIGHTS]), "the card does not name the model's files"),
        (lambda card: card["files"].update({WEIGHTS: 3}), "checksum"),
    ],
)
def test_a_card_that_is_wrong(model: ModelFolder, edit: Callable[[dict[str, Any]], None], message: str) -> None:
    edit_card(model, edit)
    refused(model, message)


@pytest.mark.parametrize("text", [b"architecture = ", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_damaged_card(model: ModelFolder, text: bytes) -> None:
    (model.path / CARD).write_bytes(text)
    refused(model, "damaged card")


def test_no_card_or_no_folder(model: ModelFolder) -> None:
    (model.path / CARD).unlink()
    refused(model, "not a model directory.*it has no card.toml")
    with pytest.raises(ModelError, match="not a model directory"):
        open_model(model.path / TASKS)
    (model.path / CARD).mkdir()
    refused(model, "cannot read the card")


def test_a_damaged_task_table_with_the_right_checksum(model: ModelFolder) -> None:
    for text in (
        "",
        "index\tname\tgroup\n",
        "index\tname\n0\tx\n",
        "index\tname\tgroup\n1\tx\ty\n",
        "index\tname\tgroup\n0\tx\ty\tz\n",
    ):
        (model.path / TASKS).write_text(text)
        edit_card(model, lambda card, text=text: card["files"].update({TASKS: sha256(text.encode())}))  # type: ignore[misc]
        refused(model, "damaged model.*not a task table")


def test_fewer_tasks_than_outputs(model: ModelFolder) -> None:
    text = "index\tname\tgroup\n0\tx\ty\n"
    (model.path / TASKS).write_text(text)
    edit_card(model, lambda card: card["files"].update({TASKS: sha256(text.encode())}))
    refused(model, "1 tasks for 5 outputs")


def test_a_folder_whose_writing_failed_is_no_model(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        if path.name == TASKS:
            raise OutputError("disk full")
        path.write_bytes(content)

    monkeypatch.setattr("varscore.zoo.models.put_file", full)
    with pytest.raises(OutputError):
        save_model(model.path, small(NAME, seed=1), NAME, TASK_LIST, {})
    refused(model, "not a model directory")


def test_names_are_looked_up_in_order(original: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("one/net.a", "two/net.a", "two/net.b"):
        shutil.copytree(original.path, tmp_path / place)
    monkeypatch.setenv("VARSCORE_MODELS", f"{tmp_path / 'one'}:{tmp_path / 'two'}:")
    assert available()["net.a"] == tmp_path / "one/net.a"
    assert find_model("net.b").path == tmp_path / "two/net.b"
    assert find_model(str(tmp_path / "two/net.a")).path == tmp_path / "two/net.a"
    with pytest.raises(ModelError, match="no model 'net.c'.*net.a"):
        find_model("net.c")
    with pytest.raises(ModelError, match="not a model directory"):
        find_model(str(tmp_path))


def test_the_beginning_of_a_name_will_do_where_no_other_begins_so(
    original: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first.a", "second.a", "second.b"):
        shutil.copytree(original.path, tmp_path / "shelf" / name)
    monkeypatch.setenv("VARSCORE_MODELS", str(tmp_path / "shelf"))
    monkeypatch.setattr("varscore.zoo.shelf.bundled_folder", lambda: tmp_path / "none")
    monkeypatch.chdir(tmp_path)
    assert find_model("fir").path == tmp_path / "shelf/first.a"
    with pytest.raises(ModelError, match=r"no model 'second\.'.*second\.b"):
        find_model("second.")
    shutil.copytree(original.path, tmp_path / "fir")
    assert find_model("fir").path == Path("fir"), "a model's folder goes before another's name"


def test_the_default_model_is_marked_on_its_card(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("varscore.zoo.shelf.bundled_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match="no default model"):
        find_model(None)
    edit_card(model, lambda card: card.update(default=True))
    assert find_model(None).path == find_model("default").path == model.path


@pytest.mark.parametrize("folder", sorted(bundled_folder().glob(f"*/{CARD}")), ids=lambda path: path.parent.name)
def test_bundled_models_are_whole(folder: Path) -> None:
    model = open_model(folder.parent)
    model.verify()
