"""The page of a search: what stands on it, and that it works in a browser without asking for anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from search.test_reading import planted
from unpacked_page import Unpacked

from varscore.errors import UsageError
from varscore.search.page import study_page
from varscore.search.space import WHOLE, subspace
from varscore.search.study import Settings, Study, begin_study
from varscore.search.trials import Trial

for module in ("sklearn", "optuna", "plotly", "matplotlib", "jinja2"):
    pytest.importorskip(module, reason=f"{module} is not installed")

HOSTILE = "<img src=x onerror=alert(1)></script>"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """200 trials of the planted objective, one that failed, and a branch of it with a dozen."""
    study = begin_study(tmp_path_factory.mktemp("page") / "s", Settings("nowhere", "0" * 64, "labels", "auroc"))
    main = study.make_branch("main", WHOLE)
    for trial in planted():
        if trial.number == 7:
            trial = Trial(7, trial.drawn, "error", 1000, 0.5, note=HOSTILE, host=HOSTILE)
        main.trial_folder(trial.number).mkdir()
        trial.write(main.trial_folder(trial.number))
    child = study.make_branch("stage2", subspace(WHOLE, {"conv_norm": [False]}), "main", f"narrowed: {HOSTILE}")
    for trial in planted(12, child.space, "stage2"):
        child.trial_folder(trial.number).mkdir()
        trial.write(child.trial_folder(trial.number))
    return study


@pytest.fixture(scope="module")
def html(study: Study) -> str:
    return study_page(study, f"A search {HOSTILE}").html()


def test_the_page_has_everything_and_is_small(study: Study, html: str) -> None:
    assert len(html) < 6_000_000
    page = Unpacked.of(html)
    trials = page.data["trials"]
    columns = dict(zip(trials["columns"], trials["values"], strict=True))
    assert {"branch", "trial", "auroc", "state", *WHOLE} <= set(columns)
    assert [len(column) for column in trials["values"]] == [212] * len(columns)
    first = study.branch("main").trials()[0]
    at = columns["trial"].index(0)
    assert columns["auroc"][at] == round(first.metric, 5) and columns["filters"][at] == first.drawn["filters"]
    assert {"b0-importance", "b0-pair0", "b0-keys", "b0-curves", "b0-progress", "b1-curves"} <= set(page.data["charts"])
    assert "b1-importance" not in page.data["charts"], "twelve trials say nothing"
    assert "fixed: conv_norm = false" in page.text and "cross-validated balanced accuracy" in page.text
    assert "conv_norm without true" in page.text
    assert not page.addresses() and not [a for a in page.attributes if a[1].startswith("on")]
    assert HOSTILE in page.text


def test_the_tree_lies_in_the_branch_as_text_and_picture(study: Study, html: str) -> None:
    text = (study.branch("main").folder / "tree.txt").read_text()
    assert "nonlinearity is elu" in text and "class: top" in text
    picture = (study.branch("main").folder / "tree.svg").read_text()
    assert "nonlinearity is" in picture and "n = 200" in picture and "best: 40" in picture
    assert not (study.branch("stage2").folder / "tree.txt").exists()


def test_an_empty_study_has_no_page(tmp_path: Path) -> None:
    study = begin_study(tmp_path / "s", Settings("nowhere", "0" * 64, "labels", "auroc"))
    study.make_branch("main", WHOLE)
    with pytest.raises(UsageError, match="no trial has ended yet"):
        study_page(study, "t")


@pytest.fixture
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with Browser() as browser:
        yield browser


def test_in_a_browser_it_draws_sorts_and_filters_and_asks_for_nothing(
    browser: Browser, html: str, tmp_path: Path
) -> None:
    (tmp_path / "p.html").write_text(html)
    browser.open(tmp_path / "p.html")
    assert browser.run("document.querySelectorAll('.plot .main-svg').length") >= 8
    assert browser.run("document.querySelectorAll('#trial-table tbody tr').length") == 100
    best = browser.run("document.querySelector('#trial-table tbody tr').cells[2].textContent")
    every = browser.run(
        "Array.from(document.querySelectorAll('#trial-table tbody tr'), row => +row.cells[2].textContent)"
    )
    assert float(best) == max(every) and every == sorted(every, reverse=True)
    browser.run(
        "(() => {const f = document.getElementById('trial-filter'); f.value = 'elu conv_norm=false auroc>0.78';"
        "f.dispatchEvent(new Event('input'));})()"
    )
    count = browser.run("document.getElementById('trial-count').textContent")
    assert re.fullmatch(r"\d+ of 212 trials", count) and 0 < int(count.split()[0]) < 60
    rows = browser.run("Array.from(document.querySelectorAll('#trial-table tbody tr'), row => row.textContent)")
    assert all("elu" in row and "false" in row for row in rows)
    assert browser.run("document.querySelectorAll('img:not(.picture)').length") == 0
    assert browser.requests == [] and browser.messages == []
