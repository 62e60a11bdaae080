"""Pictures of a search, by plotly, Optuna and scikit-learn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from varscore.errors import UsageError
from varscore.search.journal import in_memory
from varscore.search.reading import Importance, Interaction, Tree, Trials, node_label
from varscore.search.space import ABSENT, TABLE, Value, plain
from varscore.search.study import Study
from varscore.search.trials import Trial

if TYPE_CHECKING:
    from plotly.basedatatypes import BaseTraceType
    from plotly.graph_objects import Figure as Chart

BLUES, FAINT, TOP = "Viridis", "rgba(120, 130, 140, 0.28)", "#d95f02"
FEW = 3
"""Trials in a cell of a map, below which its mean is not coloured"""
NOTHING = -0.18
"""Where a key without effect is drawn, below its values, which lie from 0 to 1"""
LINES = 400
"""Trials that are drawn one by one: the best, and as many others"""


def _plotly() -> Any:
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise UsageError("plotly cannot be imported", cause=str(error), remedy="pip install plotly") from None
    return go


def drawn_tree(tree: Tree) -> bytes:
    """An SVG of the tree: in every box its rule (left: yes), how many trials are there, and their share of top."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from sklearn.tree import plot_tree

    count = int(tree.fitted.tree_.node_count)
    depth = int(tree.fitted.get_depth())
    figure = Figure(figsize=(max(6.0, 1.9 * 2 ** min(depth, 3)), 1.4 * (depth + 1)), layout="constrained")
    FigureCanvasAgg(figure)  # which plot_tree measures its boxes with
    axis = figure.subplots()
    boxes = plot_tree(tree.fitted, ax=axis, filled=True, impurity=False, class_names=["rest", "top"], fontsize=9)
    labelled = [box for box in boxes if "samples" in box.get_text()]
    for box, node in zip(labelled, _preorder(tree), strict=True):
        box.set_text(node_label(tree, node))
    assert len(labelled) == count
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "varscore", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _preorder(tree: Tree) -> list[int]:
    """The nodes as plot_tree draws them."""
    inner, found, ahead = tree.fitted.tree_, [], [0]
    while ahead:
        node = ahead.pop()
        found.append(node)
        if inner.children_left[node] >= 0:
            ahead += [inner.children_right[node], inner.children_left[node]]
    return found


def importance_bars(ranking: Sequence[Importance]) -> Chart:
    """Bars of every key's importance, the largest on top, with the spread over folds and shuffles."""
    go = _plotly()
    rows = list(reversed(ranking))
    bars = go.Bar(
        x=[row.mean for row in rows],
        y=[row.key for row in rows],
        orientation="h",
        marker_color="#3b6fb6",
        error_x={"type": "data", "array": [row.spread for row in rows], "color": "#888888"},
    )
    return _figure(bars, height=560, x="share of the variance lost when the key is shuffled")


def interaction_map(pair: Interaction, metric: str) -> Chart:
    """Mean metric by the values of two keys, with n in every cell; cells of fewer than three stay grey."""
    go = _plotly()
    few = pair.counts < FEW
    text = [
        [f"{mean:.3f}<br>n {n}" if n else "" for mean, n in zip(means, counts, strict=True)]
        for means, counts in zip(pair.mean.tolist(), pair.counts.tolist(), strict=True)
    ]
    axes = {"x": [_label(value) for value in pair.other_values], "y": [_label(value) for value in pair.one_values]}
    known = [
        [None if hidden else mean for mean, hidden in zip(*rows, strict=True)]
        for rows in zip(pair.mean.tolist(), few.tolist(), strict=True)
    ]
    cells = go.Heatmap(z=known, text=text, texttemplate="%{text}", colorscale=BLUES, colorbar={"title": metric}, **axes)
    grey = go.Heatmap(
        z=[[0 if hidden else None for hidden in row] for row in few.tolist()],
        text=text,
        texttemplate="%{text}",
        showscale=False,
        opacity=0.35,
        colorscale=[[0, "#9aa3ad"], [1, "#9aa3ad"]],
        **axes,
    )
    figure = _figure(grey, cells, height=120 + 62 * len(pair.one_values), x=pair.other, y=pair.one)
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category", autorange="reversed", automargin=True)
    return figure


def key_lines(trials: Trials) -> Chart:
    """Every trial as a line across the 24 keys, the best fifth above the others."""
    go = _plotly()
    names = list(TABLE)
    random = np.random.default_rng(0)
    places = np.empty((len(trials), len(names)))
    for column, (name, key) in enumerate(TABLE.items()):
        most = max(len(key.values) - 1, 1)
        places[:, column] = [
            NOTHING if point[name] == ABSENT else key.values.index(point[name]) / most for point in trials.points
        ]
    places += random.normal(0, 0.012, places.shape)  # so that lines through one value can be told apart
    traces = []
    for is_top, name, colour in ((False, "the others", FAINT), (True, _name_of_best(trials), TOP)):
        rows = _some(trials, is_top)
        line = np.full((len(rows), len(names) + 1), np.nan)
        line[:, :-1] = places[rows]
        x = np.tile([*range(len(names)), np.nan], len(rows))
        traces.append(
            go.Scatter(
                x=_gaps(x),
                y=_gaps(line.ravel().round(3)),
                mode="lines",
                name=name,
                hoverinfo="skip",
                line={"color": colour, "width": 1},
            )
        )
    ticks = [
        go.Scatter(
            x=[column] * len(key.values),
            y=[i / max(len(key.values) - 1, 1) for i in range(len(key.values))],
            mode="text",
            text=[_label(value) for value in key.values],
            textfont={"size": 9},
            showlegend=False,
            hoverinfo="skip",
        )
        for column, key in enumerate(TABLE.values())
    ]
    figure = _figure(*traces, *ticks, height=560)
    figure.add_annotation(x=0, y=NOTHING, text="no effect", showarrow=False, xanchor="right", xshift=-8)
    figure.update_xaxes(tickvals=list(range(len(names))), ticktext=names, tickangle=60, automargin=True)
    figure.update_yaxes(visible=False)
    return figure


def learning_curves(trials: Trials) -> Chart:
    """The metric by epoch of every trial, the best fifth above the others."""
    go = _plotly()
    column, traces = trials.metric.column, []
    for is_top, name, colour in ((False, "the others", FAINT), (True, _name_of_best(trials), TOP)):
        x: list[float] = []
        y: list[float] = []
        for row in _some(trials, is_top):
            history = [each for each in trials.trials[row].history if column in each]
            x += [*(each["epoch"] + 1 for each in history), np.nan]
            y += [*(round(each[column], 4) for each in history), np.nan]
        mode = "lines+markers"
        line = {"color": colour, "width": 1}
        traces.append(go.Scatter(x=_gaps(x), y=_gaps(y), mode=mode, name=name, line=line, marker={"size": 4}))
    return _figure(*traces, height=420, x="epoch", y=trials.metric.name)


def progress(study: Study, name: str, trials: Sequence[Trial]) -> Chart:
    """Optuna's optimization history of a branch's trials."""
    made = in_memory(study, name, trials)
    from optuna.visualization import plot_optimization_history

    figure = plot_optimization_history(made, target_name=study.metric.name)
    figure.update_layout(title=None, height=380, **_LAYOUT)
    return figure


_LAYOUT: dict[str, object] = {
    "template": "none",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "margin": {"l": 120, "r": 20, "t": 20, "b": 60},
    "legend": {"orientation": "h", "y": 1.08},
}


def _figure(*traces: BaseTraceType, height: int, x: str = "", y: str = "") -> Chart:
    figure = _plotly().Figure(list(traces))
    figure.update_layout(height=height, xaxis_title=x, yaxis_title=y, **_LAYOUT)
    return figure


def _some(trials: Trials, is_top: bool) -> list[int]:
    """The best of the rows, as many as can be drawn."""
    rows = np.flatnonzero(trials.top == is_top)
    return sorted(rows[np.argsort(-trials.goodness[rows], kind="stable")][:LINES].tolist())


def _name_of_best(trials: Trials) -> str:
    return f"the best {int(trials.top.sum())}"


def _gaps(values: ArrayLike) -> list[float | None]:
    """JSON has no NaN: a gap in a line is null."""
    return [None if value != value else value for value in np.asarray(values, float).tolist()]


def _label(value: Value) -> str:
    return plain(value) if value != ABSENT else "no effect"
