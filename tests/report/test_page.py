"""The offline frame of pages: what stands in it, that text stays text, and that nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from unpacked_page import Unpacked

from varscore.errors import UsageError
from varscore.report.page import Page, Section, chart, picture, table

bokeh = pytest.importorskip("bokeh", reason="pages with charts need Bokeh")
HOSTILE = "</script><img src=x onerror=alert(1)>&amp;'\""
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'


def made_page(script: str = "") -> Page:
    from bokeh.models import ColumnDataSource
    from bokeh.plotting import figure

    plot = figure(height=120, sizing_mode="stretch_width", name="plot", toolbar_location=None)
    plot.scatter("x", "y", source=ColumnDataSource({"x": [1, 2], "y": [3.0, 4.0]}, name="points"))
    content = table(["name", "n"], [[HOSTILE, 3]], right=["n"]) + picture(SVG, HOSTILE) + chart("plot", "two points")
    arrays = {"f": np.array([[0.1, -2.5e-5, np.inf]], np.float16), "b": np.arange(-3, 3, dtype=np.int8)}
    return Page(
        f"A page of {HOSTILE}",
        [Section("first", HOSTILE, content)],
        lead=HOSTILE,
        data={"said": [HOSTILE, 1.5]},
        arrays=arrays,
        charts={"plot": plot},
        scripts=[script] if script else [],
    )


def test_data_come_back_and_text_stays_text() -> None:
    page = Unpacked.of(made_page().html())
    assert page.data == {"said": [HOSTILE, 1.5]}
    assert page.arrays["f"].dtype == np.float16 and np.array_equal(page.arrays["b"], np.arange(-3, 3))
    assert np.array_equal(page.arrays["f"], np.array([[0.1, -2.5e-5, np.inf]], np.float16))
    assert page.text.count(HOSTILE) == 6  # title twice, lead, link, heading, cell; the seventh is an alternative text
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert [a for a in page.attributes if a[0] == "img"][-1] == ("img", "alt", HOSTILE)
    assert not page.addresses()


def test_the_policy_names_every_script_and_closes_the_rest() -> None:
    html = made_page("varscore.start(() => {});").html()
    policy = next(v for t, n, v in Unpacked.of(html).attributes if t == "meta" and v.startswith("default-src"))
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["connect-src"] == rules["base-uri"] == "'none'"
    inline = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(inline) == 2
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules["script-src"].split()
    assert "unsafe" not in rules["script-src"]


def test_the_same_page_has_the_same_bytes_whatever_was_made_before() -> None:
    first = made_page().html()
    made_page().html()
    assert made_page().html() == first


def test_a_page_without_charts_is_small() -> None:
    page = Page("t", [Section("a", "b", table(["x"], [[1]]))])
    assert len(page.html()) < 16_000


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from varscore.report import page

    page._library.cache_clear()
    monkeypatch.setitem(sys.modules, "bokeh.resources", None)
    with pytest.raises(UsageError, match=re.escape("pip install bokeh jinja2")):
        made_page().html()


def test_an_array_that_scripts_cannot_read_is_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        Page("t", [], arrays={"x": np.zeros(2)}).html()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with Browser() as opened:
        yield opened


def test_in_a_browser_the_page_works_and_asks_for_nothing(browser: Browser, tmp_path: Path) -> None:
    script = """varscore.start(({data, arrays, model}) => {
      window.found = {said: data.said, f: [...arrays.f.values].slice(0, 2), b: [...arrays.b.values],
        infinite: arrays.f.values[2] === Infinity, y: [...model("points").data.y]};
      try { eval("1") } catch (error) { window.found.refused = true }
    });"""
    path = tmp_path / "page.html"
    path.write_text(made_page(script).html())
    browser.open(path)
    found = browser.run("window.found")
    halves = np.array([0.1, -2.5e-5], np.float16).astype(float).tolist()
    assert found == {
        "said": [HOSTILE, 1.5],
        "f": halves,
        "b": list(range(-3, 3)),
        "infinite": True,
        "y": [3, 4],
        "refused": True,
    }
    assert browser.run("document.querySelectorAll('#chart-plot *').length") > 0
    assert browser.run("document.querySelectorAll('img').length") == 1  # none out of the hostile text
    assert browser.requests == []


def test_what_gets_in_as_markup_cannot_run_or_fetch(browser: Browser, tmp_path: Path) -> None:
    html = made_page().html()
    injected = (
        "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'><img src='https://example.org/x.png'>"
    )
    path = tmp_path / "injected.html"
    path.write_text(html.replace("<main>", f"<main>{injected}"))
    browser.open(path)
    assert browser.run("window.ran ?? null") is None
    assert browser.requests == [] and "https://example.org/x.png" in browser.blocked
