"""XGBoost's text dumps (``booster[0]:`` ...), which is how DanQ's authors publish their classifiers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from varscore.errors import ModelError
from varscore.formats.xgbjson import MOST_BYTES, Tree
from varscore.storage.bounded import read_text

_SPLIT = re.compile(r"(\d+):\[f(\d+)<([^\]]+)\] yes=(\d+),no=(\d+),missing=(\d+)")
_LEAF = re.compile(r"(\d+):leaf=([^,\s]+)")
Node = tuple[int, int, int, int, float]
"""yes, no, missing, feature, threshold; at a leaf -1, -1, -1, 0, its value"""


def read_dump(path: Path, width: int) -> tuple[Tree, ...]:
    """The trees of a text dump, in order. Nodes may be numbered with gaps; statistics behind them are ignored.

    Raises ModelError, with the line, for what is no dump of a model of ``width`` features.
    """
    try:
        text = read_text(path, ModelError, MOST_BYTES, "ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError("cannot read the dump", where=path, cause=str(error)) from None
    trees = tuple(_tree(nodes, f"{path} booster[{number}]") for number, nodes in enumerate(_nodes(text, width, path)))
    if not trees:
        raise ModelError("not a text dump of XGBoost", where=path, cause="it has no line booster[0]:")
    return trees


def _nodes(text: str, width: int, path: Path) -> Iterator[dict[int, Node]]:
    """The nodes of one tree after another, by the numbers the dump gives them."""
    nodes: dict[int, Node] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith("booster["):
            if nodes is not None:
                yield nodes
            nodes = {}
        elif line:
            index, node = _node(line, width, f"{path} line {number}")
            if nodes is None or index in nodes:
                cause = "it stands before the first booster" if nodes is None else f"node {index} comes twice"
                raise ModelError("not a text dump of XGBoost", where=f"{path} line {number}", cause=cause)
            nodes[index] = node
    if nodes is not None:
        yield nodes


def _node(line: str, width: int, where: str) -> tuple[int, Node]:
    try:
        if leaf := _LEAF.match(line):
            index, node = int(leaf[1]), (-1, -1, -1, 0, float(leaf[2]))
        elif split := _SPLIT.match(line):
            yes, no, missing = int(split[4]), int(split[5]), int(split[6])
            index, node = int(split[1]), (yes, no, missing, int(split[2]), float(split[3]))
        else:
            raise ValueError("neither a split nor a leaf")
        if not np.isfinite(np.float32(node[4])) or node[3] >= width or node[2] not in node[:2]:
            raise ValueError(f"a feature beyond f{width - 1}, or a value that is no number")
    except ValueError as error:
        raise ModelError("not a text dump of XGBoost", where=where, cause=str(error)) from None
    return index, node


def _tree(nodes: dict[int, Node], where: str) -> Tree:
    """Nodes numbered anew, level by level from node 0. Raises ModelError where they do not form a tree."""
    order = [0]
    for index in order:  # grows while it is walked
        yes, no = nodes.get(index, (-1, -1))[:2]
        order += [] if yes < 0 else [yes, no]
        if len(order) > len(nodes):
            break
    if sorted(order) != sorted(nodes):
        raise ModelError("not a text dump of XGBoost", where=where, cause="its nodes do not form a tree")
    number = {index: i for i, index in enumerate(order)} | {-1: -1}
    ordered = [nodes[index] for index in order]
    return Tree(
        left=np.array([number[node[0]] for node in ordered]),
        right=np.array([number[node[1]] for node in ordered]),
        feature=np.array([node[3] for node in ordered]),
        value=np.array([node[4] for node in ordered], np.float32),
        default_left=np.array([node[0] >= 0 and node[2] == node[0] for node in ordered]),
    )
