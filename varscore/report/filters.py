"""``--filter``: which alleles a report is about, ``VS_SIG<0.01 && VS_P_RAQTL_K562>0.5 && status=="PASS"``.

    expression = both {"||" both}      both = part {"&&" part}
    part = "!" part | "(" expression ")" | name comparison value
    comparison = < <= > >= == !=       value = number | "text"

Names are tags (VS_SIG) or columns (sig), in either case. Nothing is evaluated but this. A comparison with a value that
an allele does not have does not hold, ``!=`` included.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from varscore.errors import UsageError
from varscore.report.scored import TEXT, Allele, is_number
from varscore.scoring.tags import ALWAYS, SOMETIMES, tag

Holds = Callable[[Allele], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<text>"[^"]*"|'[^']*')|"""
    r"(?P<sign>&&|\|\||<=|>=|==|!=|[<>!()]))"
)
_COMPARISONS: dict[str, Callable[[float | str, float | str], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_PLACE = ("chrom", "pos", "id", "ref", "alt")
_TEXTS = {"chrom", "id", "ref", "alt", *TEXT}
MOST_NESTED = 50


def parse_filter(text: str, columns: Sequence[str], prefix: str = "VS") -> Holds:
    """What an expression says of an allele. Raises UsageError, with the place, for anything else than one."""
    return _Parser(text, _tokens(text), _names(columns, prefix)).parse()


def _names(columns: Sequence[str], prefix: str) -> dict[str, str]:
    """Spelling, in lower case -> column."""
    known = {name: name for name in (*_PLACE, *columns)}
    known |= {tag(column, prefix).lower(): column for column in (*ALWAYS, *SOMETIMES) if column in columns}
    return known | {f"{prefix.lower()}_{column}": column for column in columns if column not in ("ref_prob",)}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            raise _error(text, place, f"{text[place:].strip()[0]!r} means nothing here")
        kind = str(found.lastgroup)
        tokens.append(_Token(kind, found[kind], found.start(kind)))
        place = found.end()
    return [*tokens, _Token("end", "", len(text))]


def _error(text: str, place: int, why: str) -> UsageError:
    return UsageError(
        f"`filter` cannot be read at character {place + 1}",
        where=repr(text[:200]),
        cause=why,
        remedy='such as VS_SIG<0.01 && (VS_E<0.001 || status=="PASS")',
    )


class _Parser:
    def __init__(self, text: str, tokens: list[_Token], names: dict[str, str]) -> None:
        self._text, self._tokens, self._names = text, tokens, names
        self._next = self._depth = 0

    def parse(self) -> Holds:
        holds = self._either()
        if self._peek().kind != "end":
            raise self._wrong(f"{self._peek().text!r} comes too much")
        return holds

    def _either(self) -> Holds:
        parts = [self._both()]
        while self._take("||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda allele: any(part(allele) for part in parts)

    def _both(self) -> Holds:
        parts = [self._part()]
        while self._take("&&"):
            parts.append(self._part())
        return parts[0] if len(parts) == 1 else lambda allele: all(part(allele) for part in parts)

    def _part(self) -> Holds:
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise self._wrong("it is nested too deeply")
        try:
            if self._take("!"):
                inner = self._part()
                return lambda allele: not inner(allele)
            if self._take("("):
                held = self._either()
                if not self._take(")"):
                    raise self._wrong("a ) is missing")
                return held
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Holds:
        name = self._peek()
        if name.kind != "name":
            raise self._wrong("a tag or column is expected")
        column = self._names.get(name.text.lower())
        if column is None:
            near = difflib.get_close_matches(name.text.lower(), self._names, 3, 0.3) or sorted(self._names)
            raise self._wrong(f"the file has no {name.text}; near it are {', '.join(near)}")
        self._next += 1
        sign = self._peek()
        if sign.text not in _COMPARISONS:
            raise self._wrong(f"one of {' '.join(_COMPARISONS)} is expected")
        self._next += 1
        value = self._peek()
        if value.kind not in ("number", "text"):
            raise self._wrong('a number or "text" is expected')
        self._next += 1
        wanted: float | str = float(value.text) if value.kind == "number" else value.text[1:-1]
        if column in _TEXTS and value.kind == "number":
            wanted = value.text  # a contig may be called 20
        elif value.kind == "text" and (column == "pos" or is_number(column)):
            raise _error(self._text, value.place, f"{name.text} is a number, and wants no quotes behind {sign.text}")
        return _holds(column, _COMPARISONS[sign.text], wanted)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, sign: str) -> bool:
        taken = self._peek().kind == "sign" and self._peek().text == sign
        self._next += taken
        return taken

    def _wrong(self, why: str) -> UsageError:
        return _error(self._text, self._peek().place, why)


def _holds(column: str, compare: Callable[[float | str, float | str], bool], wanted: float | str) -> Holds:
    def holds(allele: Allele) -> bool:
        found = _of(allele, column)
        return found is not None and isinstance(found, str) == isinstance(wanted, str) and compare(found, wanted)

    return holds


def _of(allele: Allele, column: str) -> float | str | None:
    if column in _PLACE:
        value: float | str = getattr(allele, column)
        return float(value) if column == "pos" else value
    return allele.values.get(column)
