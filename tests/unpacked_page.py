"""What is in a page, read without a browser: its data, its attributes, its text."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np


@dataclass
class Unpacked(HTMLParser):
    """attributes: (element, name, value) of all elements; scripts: id or class -> texts; text: outside of scripts"""

    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    scripts: dict[str, list[str]] = field(default_factory=dict)
    text: str = ""

    @classmethod
    def of(cls, html: str) -> Unpacked:
        page = cls()
        HTMLParser.__init__(page)
        page._script: str | None = None
        page.feed(html)
        page.close()
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in ("script", "style"):
            said = dict(attrs)
            self._script = said.get("id") or said.get("class") or tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.text += data
        else:
            self.scripts.setdefault(self._script, []).append(data)

    @property
    def data(self) -> Any:
        return json.loads("".join(self.scripts["page-data"]))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        packed = json.loads("".join(self.scripts["page-arrays"]))
        return {name: _array(one) for name, one in packed.items()}

    def addresses(self) -> list[tuple[str, str, str]]:
        """Attributes that could make a browser ask for something: all but fragments of the page and data in it."""
        return [
            (tag, name, value)
            for tag, name, value in self.attributes
            if ("//" in value or name in ("src", "href", "action", "srcset", "poster"))
            and not value.startswith(("#", "data:"))
        ]


def _array(packed: dict[str, Any]) -> np.ndarray:
    content = zlib.decompress(base64.b64decode(packed["deflated"]))
    return np.frombuffer(content, np.dtype(packed["type"]).newbyteorder("<")).reshape(packed["shape"])
