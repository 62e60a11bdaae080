"""How work that takes long learns that it is to end."""

from __future__ import annotations

from typing import Protocol


class Stop(Protocol):
    """Whether a run is to stop, asked between two steps of it."""

    @property
    def asked(self) -> bool: ...

    def leave(self) -> None:
        """Called when what is done is safe: raises what ends the run."""
