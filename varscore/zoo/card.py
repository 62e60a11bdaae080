"""The card of a model: what its folder holds, how it came about, how good it is. It is read and written here alone.

A :class:`Card` is the document as it stands, so that what a person or a later varscore says in it is kept; what
varscore itself asks of it has a name and a type here and nowhere else.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from varscore.errors import ModelError, reason
from varscore.storage.bounded import CARD_BYTES, read_bounded
from varscore.storage.whole import put_file

CARD, WEIGHTS, TASKS, PRIORS = "card.toml", "model.safetensors", "tasks.tsv", "priors.tsv"
FORMAT = 1
LARGEST, MOST_LAYERS = 1 << 26, 1 << 10
"""What a number among a card's arguments may be; layers are made one by one, before any shape is compared"""
HELD_OUT = ("test", "validation", "skip")
"""What contigs are kept from training for: to measure the model, to choose its weights, nothing at all"""
REPEATED = ("blocks", "longest", "convs_before", "convs_after", "rnn_layers", "fc_layers")


class Card(Mapping[str, Any]):
    """card.toml of a model, a mapping of TOML types."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._document = dict(document)

    def __getitem__(self, key: str) -> Any:
        return self._document[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._document)

    def __len__(self) -> int:
        return len(self._document)

    def changed(self, **sections: object) -> Card:
        """A card with these entries in the place of those of the same name, or at its end."""
        return Card({**self._document, **sections})

    # -- what it is

    @property
    def id(self) -> str:
        """Empty: the folder's name."""
        return str(self.get("id", ""))

    @property
    def architecture(self) -> str:
        return str(self["architecture"])

    @property
    def arguments(self) -> Mapping[str, object]:
        """Of the architecture's configuration."""
        return self._table("arguments")

    @property
    def files(self) -> Mapping[str, str]:
        """Name of each file beside the card -> its SHA-256."""
        return self._table("files")

    @property
    def objective(self) -> str | None:
        """What the outputs mean; None: what the architecture's mean."""
        return self._text("objective")

    @property
    def strands(self) -> str | None:
        return self._text("strands")

    @property
    def visible(self) -> tuple[int, int] | None:
        """Positions [start, end) of the window that the network sees; None: all."""
        span = self.get("visible")
        return (int(span[0]), int(span[1])) if span else None

    @property
    def is_default(self) -> bool:
        return bool(self.get("default"))

    @property
    def priors(self) -> Mapping[str, Any]:
        """What is said of how frequent positives are: ``shifted``, mean ``training`` and ``true``, ``untrained``."""
        return self._table("priors")

    @property
    def untrained(self) -> tuple[int, ...]:
        """Tasks without a positive example in training, ascending. Raises ValueError where they are not numbers."""
        said = self.priors.get("untrained", [])
        return tuple(sorted({int(str(label).partition(":")[0]) for label in said}))

    # -- how it came about

    def origin(self) -> dict[str, object]:
        """The part that is as true of the model with fewer tasks: figures, backgrounds and classifiers are of all."""
        kept = (
            "licence",
            "intended_use",
            "limits",
            "trained_on",
            "interim",
            "frequencies",
            "imported",
            "training",
            "data",
        )
        return {name: self[name] for name in kept if name in self}

    @property
    def interim(self) -> bool:
        """Whether its training was cut short."""
        return bool(self.get("interim"))

    @property
    def imported(self) -> Mapping[str, Any]:
        """Where weights come from that another program trained; empty for others."""
        return self._table("imported")

    @property
    def ended(self) -> str:
        """Why its training ended; empty where the card does not say."""
        return str(self._table("training").get("ended", ""))

    @property
    def epochs(self) -> int:
        return int(self._table("training").get("epochs", 0))

    @property
    def storage(self) -> str:
        return str(self._table("training").get("storage", ""))

    @property
    def validation_loss(self) -> float:
        """NaN before there is one."""
        return float(self._table("training").get("validation_loss", math.nan))

    @property
    def counts(self) -> Mapping[str, int]:
        """What the data set held that it was trained on: examples by split, positives, ..."""
        found = self._table("data").get("counts", {})
        return found if isinstance(found, Mapping) else {}

    @property
    def data_sha256(self) -> str | None:
        """Of the raw material that it was trained on; None where the card does not say."""
        return self._table("data").get("source_sha256")

    @property
    def frequencies(self) -> tuple[float, ...] | None:
        """Of A, C, G and T in the DNA that it is for, where the card states them."""
        found = self.get("frequencies")
        return tuple(map(float, found)) if found else None

    @property
    def trained_on(self) -> str:
        """Name of the assembly whose sequence it learnt from; empty where the card does not say."""
        return str(self.get("trained_on", ""))

    @property
    def held_out(self) -> Mapping[str, tuple[str, ...]]:
        """Use -> contigs that no weight was trained on: ``test``, ``validation``, ``skip``; empty: unknown."""
        options = self._table("data").get("options", {})
        given = {use: options.get(use) for use in HELD_OUT} if isinstance(options, Mapping) else {}
        return {use: tuple(map(str, names)) for use, names in given.items() if isinstance(names, list) and names}

    # -- how good it is

    def measured_on(self, split: str) -> str | None:
        """SHA-256 of the data set whose ``split`` the figures are of; None without figures."""
        return self._split(split).get("data_sha256")

    def figures(self, split: str, group: str = "all") -> Mapping[str, float]:
        """Measure -> mean over the tasks of a group, as ``varscore evaluate --record`` writes them; may be empty."""
        found = self._split(split).get(group, {})
        found = found if isinstance(found, Mapping) else {}
        return {key: value for key, value in found.items() if isinstance(value, int | float)}

    def with_figures(
        self, split: str, labelled_only: bool, figures: Mapping[str, object], file: str, sha256: str
    ) -> Card:
        """A card with figures of a split, or of its labelled examples alone, and the file of their tasks."""
        metrics = {name: dict(section) for name, section in self._table("metrics").items()}
        before = metrics.get(split, {})
        if labelled_only:
            metrics[split] = {**before, "labelled": figures}
        else:
            metrics[split] = {**figures, **{name: before[name] for name in ("labelled",) if name in before}}
        return self.changed(files={**self.files, file: sha256}, metrics=metrics)

    def _split(self, split: str) -> Mapping[str, Any]:
        found = self._table("metrics").get(split, {})
        return found if isinstance(found, Mapping) else {}

    def _table(self, name: str) -> Mapping[str, Any]:
        found = self.get(name, {})
        return found if isinstance(found, Mapping) else {}

    def _text(self, name: str) -> str | None:
        found = self.get(name)
        return None if found is None else str(found)


def read_card(folder: Path) -> Card:
    """The card of a model's folder. Raises ModelError when there is none, it is damaged, or it asks for the absurd."""
    path = folder / CARD
    card = Card(read_document(path, "model"))
    if card.get("format") != FORMAT or not isinstance(card.get("architecture"), str):
        raise ModelError("not a card this varscore can read", where=path, remedy="a newer varscore may read it")
    tables = (card.get("files"), card.get("arguments", {}))
    if not all(isinstance(table, dict) for table in tables) or not {WEIGHTS, TASKS} <= card.files.keys():
        raise ModelError("the card does not name the model's files", where=path)
    for name, value in card.arguments.items():
        numbers = value if type(value) is list else [value]
        largest = MOST_LAYERS if name in REPEATED else LARGEST
        if len(numbers) > MOST_LAYERS or any(type(number) is int and number > largest for number in numbers):
            raise ModelError(f"the card asks for an absurd network: {name} = {value}", where=path)
    return card


def read_document(path: Path, whose: str) -> dict[str, Any]:
    """The TOML of a card, of a ``whose``. Raises ModelError when there is no card or it is damaged."""
    try:
        return tomllib.loads(read_bounded(path, CARD_BYTES).decode())
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"not a {whose} directory", where=path.parent, cause=f"it has no {path.name}") from None
    except OSError as error:
        raise ModelError(f"cannot read the card ({reason(error)})", where=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError("damaged card", where=path, cause=str(error)) from None


def write_card(folder: Path, card: Mapping[str, object]) -> None:
    """Raises OutputError. A file's name that is no UTF-8 stands on the card as far as it is."""
    text = tomli_w.dumps(card, multiline_strings=True).encode("utf-8", "surrogateescape")
    put_file(folder / CARD, text.decode("utf-8", "replace"))
