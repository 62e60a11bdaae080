"""The report of a search: one offline page, and a tree as text and picture in the folder of every branch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from varscore.errors import UsageError
from varscore.report.page import Page, Section, markup, picture, script, table
from varscore.search.figures import drawn_tree, importance_bars, interaction_map, key_lines, learning_curves, progress
from varscore.search.proposals import FEWEST, narrow, propose_fork
from varscore.search.reading import Tree, Trials, grow_tree, importances, interactions, read_trials
from varscore.search.space import ABSENT, TABLE, plain, shown
from varscore.search.stages import lines
from varscore.search.study import Branch, Study
from varscore.search.trials import Trial, ranked
from varscore.storage.whole import put_file

if TYPE_CHECKING:
    from markupsafe import Markup
    from plotly.graph_objects import Figure as Chart

TREE_TEXT, TREE_PICTURE = "tree.txt", "tree.svg"
EXTRA = "pip install jinja2 plotly"


def study_page(study: Study, title: str) -> Page:
    """Raises UsageError when there is no trial yet, or a library of the extra ``search`` is missing."""
    branches = [branch for _, branch in lines(study)]
    trials = {branch.name: branch.trials() for branch in branches}
    if not any(trials.values()):
        raise UsageError("no trial has ended yet", where=study.folder, remedy="varscore search -o STUDY")
    charts: dict[str, Chart] = {}
    sections = [Section("stages", "Stages", _stages(study, trials))]
    for number, branch in enumerate(branches):
        if trials[branch.name]:
            content = _branch(study, branch, trials[branch.name], f"b{number}", charts)
            sections.append(Section(f"branch-{branch.name}", f"Branch {branch.name}", content))
    sections.append(Section("trials", "All trials", markup("search_trials.html")))
    settings = study.settings
    lead = (
        f"{sum(map(len, trials.values())):,} trials, up to {settings.epochs} epochs each, compared by "
        f"{study.metric.name} of the validation split at the epoch of the lowest validation loss; {settings.sampler}, "
        f"seed {settings.seed}. The test split has not been read."
    )
    return Page(
        title,
        sections,
        lead,
        data={
            "charts": {name: json.loads(figure.to_json()) for name, figure in charts.items()},
            "trials": _all_trials(study, trials),
        },
        scripts=[script("search.js")],
        libraries=[_plotly()],
        styles=script("search.css"),
    )


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UsageError("plotly cannot be imported", cause=str(error), remedy=EXTRA) from None
    return str(get_plotlyjs())


def _stages(study: Study, trials: dict[str, list[Trial]]) -> Markup:
    """Figure 1A: a strip of stages, what was fixed at each, the best metric."""
    rows = []
    for depth, branch in lines(study):
        best = ranked(trials[branch.name], study.metric)
        fixed = [f"{key} = {plain(values[0])}" for key, values in branch.space.items() if len(values) == 1]
        rows.append(
            {
                "depth": depth,
                "name": branch.name,
                "why": branch.why,
                "trials": len(trials[branch.name]),
                "best": f"{best[0].metric:.4f}" if best else "-",
                "metric": study.metric.name,
                "fixed": ", ".join(fixed),
            }
        )
    return markup("search_stages.html", rows=rows)


def _branch(study: Study, branch: Branch, ended: list[Trial], prefix: str, charts: dict[str, Chart]) -> Markup:
    trials = read_trials(ended, study.metric, branch.space)
    parts: list[tuple[str, Markup]] = []

    def chart(name: str, heading: str, label: str, figure: Chart) -> None:
        charts[f"{prefix}-{name}"] = figure
        parts.append((heading, markup("search_chart.html", id=f"{prefix}-{name}", label=label)))

    tree = grow_tree(trials)
    if tree is not None:
        drawn = drawn_tree(tree)
        put_file(branch.folder / TREE_TEXT, f"{tree.verdict}\n\n{tree.text}")
        put_file(branch.folder / TREE_PICTURE, drawn)
        parts.append(("What the best fifth have in common", _tree(tree, drawn, trials)))
    parts.append(("What to do next", table(["proposal"], [[line] for line in _proposals(trials, tree)])))
    ranking = importances(trials)
    if ranking:
        chart("importance", "Which keys matter", "importance of every key", importance_bars(ranking))
        for number, pair in enumerate(interactions(trials, ranking)):
            label = f"mean {study.metric.name} by {pair.one} and {pair.other}"
            heading = f"{pair.one} and {pair.other} (H squared {pair.strength:.2f})"
            chart(f"pair{number}", heading, label, interaction_map(pair, study.metric.name))
    chart("keys", "Every trial, key by key", "a line a trial, across the 24 keys", key_lines(trials))
    chart("curves", "Learning curves", "the metric by epoch, of every trial", learning_curves(trials))
    chart(
        "progress",
        "Trial by trial",
        "the metric of every trial, and the best so far",
        progress(study, branch.name, ended),
    )
    return markup("search_branch.html", parts=parts)


def _tree(tree: Tree, drawn: bytes, trials: Trials) -> Markup:
    about = f"{trials.top_count} trials of {len(trials)} are the best; {tree.verdict}."
    shown_tree = picture(drawn, "decision tree of the best trials; the same rules stand below as text")
    return markup("search_tree.html", about=about, picture=shown_tree, text=tree.text)


def _proposals(trials: Trials, tree: Tree | None) -> Iterator[str]:
    if len(trials) < FEWEST:
        yield f"nothing yet: {len(trials)} trials that count, {FEWEST} are wanted"
        return
    dropped = narrow(trials).dropped
    yield from map(str, dropped)
    if not dropped:
        yield "nothing to give up"
    for side in propose_fork(tree, trials.space) or ():
        yield f"fork: --branch {side.name} --fix {side.fix}"


def _all_trials(study: Study, trials: dict[str, list[Trial]]) -> dict[str, Chart]:
    """The table of all trials, a list a column."""
    flat = [(name, trial) for name, several in trials.items() for trial in several]
    columns: dict[str, list[object]] = {
        "branch": [name for name, _ in flat],
        "trial": [trial.number for _, trial in flat],
        study.metric.name: [None if trial.metric is None else round(trial.metric, 5) for _, trial in flat],
        "state": [trial.state for _, trial in flat],
        "epochs": [len(trial.history) for _, trial in flat],
        "seconds": [round(trial.seconds) for _, trial in flat],
        "parameters": [trial.parameters for _, trial in flat],
    }
    points = [shown(trial.drawn) for _, trial in flat]
    for key in TABLE:
        columns[key] = [
            value if (value := point[key]) == ABSENT or not isinstance(value, bool) else plain(value)
            for point in points
        ]
    return {
        "columns": list(columns),
        "values": list(columns.values()),
        "sort": study.metric.name,
        "higher": study.metric.higher,
    }
