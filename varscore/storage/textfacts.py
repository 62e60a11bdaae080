"""Where the header and the blocks of a text output stand: what a run.json says of it, and a merge reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from varscore.storage.fields import count, entries, integer

HEAD = -1
"""The number of what comes before the first block"""
Stretch = tuple[int, int, int]
"""Block, bytes, CRC-32"""


@dataclass(frozen=True)
class TextFacts:
    """pieces: of the header (block HEAD) and of each block of records, in order; None for an output that is no text, or
    whose blocks nobody asked for; is_sorted, reach: of a VCF, see SortOrder"""

    pieces: Sequence[Stretch] | None = None
    is_sorted: bool = True
    reach: int = 0

    def fields(self) -> dict[str, object]:
        """As JSON, which :meth:`parse` reads."""
        if self.pieces is None:
            return {}
        return {"pieces": [list(piece) for piece in self.pieces], "is_sorted": self.is_sorted, "reach": self.reach}

    @classmethod
    def parse(cls, fields: Mapping[str, object]) -> TextFacts:
        """Raises TypeError and ValueError for what :meth:`fields` has not made."""
        if "pieces" not in fields:
            return cls()
        pieces = [stretch(piece) for piece in entries(fields["pieces"])]
        return cls(pieces, bool(fields.get("is_sorted", True)), count(fields.get("reach", 0)))

    def demand_blocks(self, blocks: Sequence[int], *, all_of_them: bool) -> None:
        """Raises ValueError unless the pieces are the header and, in order, those ``blocks`` or some of them."""
        if self.pieces is None:
            return
        numbers = [block for block, _, _ in self.pieces]
        rest = numbers[1:]
        if numbers[:1] != [HEAD] or any(a >= b for a, b in pairwise(rest)) or not set(rest) <= set(blocks):
            raise ValueError("its pieces are not a header and blocks of the shard")
        if all_of_them and len(rest) != len(blocks):
            raise ValueError(f"{len(blocks) - len(rest)} of its {len(blocks)} blocks have no piece")


def stretch(value: object) -> Stretch:
    """Of a JSON file. Raises TypeError and ValueError for anything else."""
    block, size, crc = entries(value)
    return integer(block), count(size), count(crc)
