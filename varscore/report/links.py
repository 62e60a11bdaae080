"""Links that the user asks for: ``--link NAME=URL`` with {chrom} {pos} {ref} {alt} {id}. By default there are none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from varscore.errors import UsageError

_FIELDS = {"chrom", "pos", "ref", "alt", "id"}


@dataclass(frozen=True)
class Link:
    """name: what the link is called; pattern: an address with fields in braces"""

    name: str
    pattern: str

    @classmethod
    def parse(cls, text: str) -> Link:
        """Raises UsageError for what is no NAME=URL, or has a field that no allele has."""
        name, _, pattern = text.partition("=")
        unknown = sorted(set(re.findall(r"\{(\w*)\}", pattern)) - _FIELDS)
        if not name.strip() or not re.match(r"https?://[^\s/]", pattern) or unknown:
            cause = f"it has no {{{unknown[0]}}}" if unknown else "it wants a name, = and an http(s) address"
            remedy = f"fields are {', '.join(f'{{{field}}}' for field in sorted(_FIELDS))}"
            raise UsageError(f"`link={text!r}` is no link", cause=cause, remedy=remedy)
        return cls(name.strip(), pattern)
