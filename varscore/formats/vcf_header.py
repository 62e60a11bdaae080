"""The header of a VCF: its lines as they stand, and the few facts that scoring needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

FIRST_LINE = b"##fileformat=VCF"
COLUMNS = (b"#CHROM", b"POS", b"ID", b"REF", b"ALT", b"QUAL", b"FILTER", b"INFO")
_FIELD = re.compile(rb'[<,]\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|[^,>]*)')


@dataclass(frozen=True)
class VcfHeader:
    """lines: every ``##`` line, verbatim and in order; columns: the ``#CHROM`` line; both without line ends.

    contigs: declared names -> length, None when the declaration has none
    reference: the value of ``##reference``; stated: everything that names the assembly, that included
    newline: LF or CRLF, as the file has it
    """

    lines: tuple[bytes, ...]
    columns: bytes
    n_samples: int = 0
    contigs: dict[str, int | None] = field(default_factory=dict)
    reference: str | None = None
    stated: tuple[str, ...] = ()
    newline: bytes = b"\n"

    @classmethod
    def parse(cls, lines: Sequence[bytes], columns: bytes, newline: bytes = b"\n") -> VcfHeader:
        """Raises ValueError when ``columns`` is not a ``#CHROM`` line that htslib would take."""
        names = columns.split(b"\t")
        _check_columns(names)
        references = [line.partition(b"=")[2] for line in lines if line.startswith(b"##reference=")]
        return cls(
            lines=tuple(lines),
            columns=columns,
            n_samples=max(0, len(names) - 9),
            contigs=dict(_contigs(lines)),
            reference=decode(references[0].strip()) if references else None,
            stated=tuple(dict.fromkeys(decode(text.strip()) for text in (*references, *_assemblies(lines)))),
            newline=newline,
        )

    @property
    def n_columns(self) -> int:
        return self.columns.count(b"\t") + 1


def decode(text: bytes) -> str:
    """Names and values of a VCF as str; bytes that are not UTF-8 survive the way back through :func:`encode`."""
    return text.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _check_columns(names: Sequence[bytes]) -> None:
    if tuple(names[:8]) != COLUMNS:
        raise ValueError("the #CHROM line does not name the eight columns of a VCF, separated by tabs")
    samples = names[9:]
    if len(names) > 8 and (names[8] != b"FORMAT" or not samples or not all(samples)):
        raise ValueError("after INFO the #CHROM line must have FORMAT and the names of samples, separated by tabs")
    if len(set(samples)) < len(samples):
        twice = next(name for name in samples if samples.count(name) > 1)
        raise ValueError(f"two samples have the same name: {decode(twice)!r}")


def _contigs(lines: Sequence[bytes]) -> Iterator[tuple[str, int | None]]:
    for fields in _contig_lines(lines):
        if name := fields.get(b"id"):
            length = fields.get(b"length", b"")
            yield decode(name), int(length) if length.isdigit() else None


def _assemblies(lines: Sequence[bytes]) -> Iterator[bytes]:
    """What ``##contig`` lines say in ``assembly=``."""
    yield from (fields[b"assembly"] for fields in _contig_lines(lines) if b"assembly" in fields)


def _contig_lines(lines: Sequence[bytes]) -> Iterator[dict[bytes, bytes]]:
    """Key, in lower case, -> value of every ``##contig`` line; of two of the same key the first. What a quoted value
    holds is no key."""
    for line in lines:
        if line.startswith(b"##contig="):
            pairs = [(field[1].lower(), field[2].strip().strip(b'"')) for field in _FIELD.finditer(line)]
            yield dict(reversed(pairs))
