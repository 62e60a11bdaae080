"""What the configurations of all networks have in common."""

from __future__ import annotations

from dataclasses import Field
from typing import ClassVar, Protocol


class Config(Protocol):
    """A frozen dataclass: a field, with a default, for each argument of an architecture."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]

    def __init__(self, **arguments: object) -> None: ...

    @property
    def window(self) -> int:
        """Bases that the network is given"""

    @property
    def n_tasks(self) -> int: ...
