"""An offline page: one HTML file with text, tables, pictures and charts, which fetches nothing.

The content security policy in the page names the scripts by hash and closes everything else, so that nothing can be
fetched and no text of a user can run, even if it got into the page as markup. Data and the charts' library travel
compressed. The same page gives the same bytes: nothing in it depends on time, machine or earlier pages.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from varscore.errors import UsageError

if TYPE_CHECKING:
    from bokeh.models.ui import UIElement
    from jinja2 import Template
    from markupsafe import Markup

EXTRA = "pip install bokeh jinja2"
"""What to do when the libraries of the pages are missing"""
_TYPES = {"float16", "float32", "int8", "uint8", "int16", "uint16", "int32", "uint32"}
"""What frame.js can unpack"""


@dataclass(frozen=True)
class Section:
    """A part of a page. id: for links, ``#id``; content: markup, see :func:`table`, :func:`picture`, :func:`chart`"""

    id: str
    heading: str
    content: Markup


@dataclass(frozen=True)
class Page:
    """What a page is made of.

    lead: a sentence under the title
    data: JSON by name, arrays: by name, for ``scripts`` (JavaScript; see frame.js for what they are given)
    libraries: JavaScript that travels compressed, and is there before ``scripts`` start
    charts: Bokeh models by name, each shown where :func:`chart` of that name stands; they may share sources
    styles: CSS after the frame's own
    """

    title: str
    sections: Sequence[Section]
    lead: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[np.number]] = field(default_factory=dict)
    charts: Mapping[str, UIElement] = field(default_factory=dict)
    scripts: Sequence[str] = ()
    libraries: Sequence[str] = ()
    styles: str = ""

    def html(self) -> str:
        """The whole file. Raises UsageError when jinja2, or Bokeh for charts, is not installed."""
        library, packed = _library() if self.charts else ((), ())
        scripts = [script("frame.js"), *self.scripts]
        return str(
            _template("frame.html").render(
                page=self,
                policy=_policy([*scripts, *library, *self.libraries]),
                styles=script("frame.css") + self.styles,
                scripts=scripts,
                data=_json(dict(self.data)),
                arrays=_json({name: _packed(array) for name, array in self.arrays.items()}),
                charts=_json(_charts(self.charts)) if self.charts else "null",
                library=[*packed, *(deflated(each.encode()) for each in self.libraries)],
            )
        )


def demand_libraries() -> None:
    """Raises UsageError when jinja2 or Bokeh is not installed, before any work is done for a page with charts."""
    _template("frame.html")
    _library()


def table(names: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> Markup:
    """A plain table; every cell is text, whatever is in it. right: names of the columns of numbers"""
    return _fragment("table", names=names, rows=rows, right=set(right))


def picture(content: bytes, label: str, kind: str = "svg+xml") -> Markup:
    """A picture inside the page. content: an SVG file, or a PNG with kind ``png``; label: what it shows, in words"""
    return _fragment("picture", kind=kind, content=base64.b64encode(content).decode(), label=label)


def chart(name: str, label: str, caption: str = "") -> Markup:
    """Where the chart ``name`` of a page stands. label: what it shows, for those who cannot see it"""
    return _fragment("chart", name=name, label=label, caption=caption)


def markup(template: str, **values: object) -> Markup:
    """A jinja2 template of the package, filled in; every value is escaped unless it is markup."""
    return _markup(_template(template).render(**values))


def _fragment(macro: str, /, **values: object) -> Markup:
    return _markup(getattr(_template("fragments.html").module, macro)(**values).strip())


def _markup(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(text)


@cache
def _template(name: str) -> Template:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise _missing("jinja2") from None
    loader = PackageLoader("varscore", "report")
    pages = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return pages.get_template(name)


def _missing(package: str) -> UsageError:
    return UsageError(f"a page needs the package {package}", cause="it is not installed", remedy=EXTRA)


@cache
def script(name: str) -> str:
    """A script or style sheet of the package."""
    return (resources.files("varscore.report") / name).read_text(encoding="utf-8")


def _policy(scripts: Sequence[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _json(value: object) -> str:
    """JSON that can stand in a script element: no character of it is markup."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def deflated(content: bytes) -> str:
    """As scripts and arrays travel in a page: compressed, in base64."""
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _packed(array: NDArray[np.number]) -> dict[str, object]:
    if array.dtype.name not in _TYPES:
        raise ValueError(f"a page cannot hold {array.dtype}: {', '.join(sorted(_TYPES))}")
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {"type": array.dtype.name, "shape": list(array.shape), "deflated": deflated(little.tobytes())}


# -- Bokeh -----------------------------------------------------------------------------------------------------------


@cache
def _library() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """BokehJS's scripts, and the same as they travel."""
    try:
        from bokeh.resources import Resources
    except ImportError:
        raise _missing("bokeh") from None
    inline = Resources(mode="inline", components=["bokeh", "bokeh-widgets", "bokeh-tables"], log_level="error")
    scripts = tuple(inline.js_raw)
    return scripts, tuple(deflated(script.encode()) for script in scripts)


def _charts(charts: Mapping[str, UIElement]) -> dict[str, object]:
    """The document that BokehJS shows, and which of its roots stands where.

    Bokeh numbers models one after the other in a process; here they are numbered within the page.
    """
    from bokeh.document import Document

    document = Document()
    for model in charts.values():
        document.add_root(model)
    numbers: dict[str, str] = {}
    said = _renumbered(document.to_json(deferred=False), numbers)
    roots = {numbers[model.id]: f"chart-{name}" for name, model in charts.items()}
    return {"document": said, "roots": roots}


def _renumbered(value: object, numbers: dict[str, str]) -> object:
    """The JSON of a document with ``m1``, ``m2`` .. for the ids of its models, as they come."""
    if isinstance(value, dict):
        return {
            key: numbers.setdefault(inner, f"m{len(numbers) + 1}")
            if key == "id" and isinstance(inner, str)
            else _renumbered(inner, numbers)
            for key, inner in value.items()
        }
    return [_renumbered(inner, numbers) for inner in value] if isinstance(value, list) else value
