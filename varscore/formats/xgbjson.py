"""XGBoost's JSON models, written from trees and read into trees.

XGBoost trusts what it loads; so a model that somebody else has made is read here, checked, and written anew for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varscore.errors import ModelError

MOST_BYTES = 1 << 30
_ROOT = 2147483647  # what XGBoost writes for the parent of a root
_COLUMNS = ("left_children", "right_children", "split_indices", "split_conditions", "default_left", "split_type")


@dataclass(frozen=True)
class Tree:
    """A regression tree of n nodes, the root first and every node before its children.

    left, right: int64 (n,), -1 at a leaf; feature: int64 (n,); value: float32 (n,), threshold or, at a leaf, its value.
    A row goes left where its feature is below the threshold, or missing and ``default_left`` (bool (n,)) says so.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    value: NDArray[np.float32]
    default_left: NDArray[np.bool_]


def booster_json(trees: Sequence[Tree], width: int) -> bytes:
    """A logistic XGBoost model of ``width`` features whose margin is the sum of the trees, for XGBoost 2 and later."""
    model = {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
        "iteration_indptr": list(range(len(trees) + 1)),
        "tree_info": [0] * len(trees),
        "trees": [_tree_json(tree, number, width) for number, tree in enumerate(trees)],
    }
    parameters = {"base_score": "5E-1", "boost_from_average": "0", "num_class": "0", "num_target": "1"}
    learner = {
        "attributes": {},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {"model": model, "name": "gbtree"},
        "learner_model_param": {**parameters, "num_feature": str(width)},
        "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    return json.dumps({"learner": learner, "version": [2, 1, 0]}).encode()


def _tree_json(tree: Tree, number: int, width: int) -> dict[str, object]:
    n = len(tree.left)
    parents = np.full(n, _ROOT)
    for children in (tree.left, tree.right):
        inner = np.flatnonzero(children >= 0)
        parents[children[inner]] = inner
    return {
        "base_weights": [0.0] * n,
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": tree.default_left.astype(int).tolist(),
        "id": number,
        "left_children": tree.left.tolist(),
        "loss_changes": [0.0] * n,
        "parents": parents.tolist(),
        "right_children": tree.right.tolist(),
        "split_conditions": tree.value.astype(np.float64).tolist(),
        "split_indices": np.where(tree.left >= 0, tree.feature, 0).tolist(),
        "split_type": [0] * n,
        "sum_hessian": [0.0] * n,
        "tree_param": {"num_deleted": "0", "num_feature": str(width), "num_nodes": str(n), "size_leaf_vector": "1"},
    }


def parse_booster(content: bytes, width: int, where: object) -> tuple[Tree, ...]:
    """The trees of a logistic XGBoost model of ``width`` features, as :func:`booster_json` or XGBoost writes it.

    Raises ModelError for anything else: another kind of model, a feature that is not there, nodes that do not form a
    tree, a value that is no number.
    """
    try:
        if len(content) > MOST_BYTES:
            raise ValueError("it is too large")
        learner = json.loads(content)["learner"]
        parameters, booster = learner["learner_model_param"], learner["gradient_booster"]
        kind = booster["name"], learner["objective"]["name"]
        if kind != ("gbtree", "binary:logistic") or any(booster["model"]["tree_info"]):
            raise ValueError(f"it is a model of the kind {kind}")
        if int(parameters["num_feature"]) != width:
            raise ValueError(f"it has {parameters['num_feature']} features instead of {width}")
        if float(parameters["base_score"].strip("[]")) != 0.5:
            raise ValueError("it does not begin at a probability of 0.5")
        trees = tuple(_parse_tree(tree, width) for tree in booster["model"]["trees"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ModelError("not an XGBoost model this varscore can use", where=where, cause=f"{error}") from None
    if not trees:
        raise ModelError("not an XGBoost model this varscore can use", where=where, cause="it has no tree")
    return trees


def _parse_tree(tree: dict[str, Any], width: int) -> Tree:
    """Raises ValueError, KeyError or TypeError for a tree that is none."""
    columns = {name: np.array(tree[name]) for name in _COLUMNS}
    n = len(tree["left_children"])
    if n < 1 or any(column.shape != (n,) for column in columns.values()):
        raise ValueError("a tree's columns are not of one length")
    left, right, feature = (columns[name].astype(np.int64, casting="safe") for name in _COLUMNS[:3])
    value = columns["split_conditions"].astype(np.float32)
    if tree["categories"] or columns["split_type"].any() or not np.isfinite(value).all():
        raise ValueError("a tree has nodes of another kind")
    nodes = _walk(left, right)
    if ((feature[nodes] < 0) | (feature[nodes] >= width)).any():
        raise ValueError("a tree asks for a feature that is not there")
    number = np.full(n + 1, -1)  # the last one for -1, no child
    number[nodes] = np.arange(len(nodes))
    return Tree(
        left=number[left[nodes]],
        right=number[right[nodes]],
        feature=feature[nodes],
        value=value[nodes],
        default_left=columns["default_left"][nodes].astype(bool),
    )


def _walk(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """The nodes that are reached from the first, level by level. Raises ValueError where that is no binary tree."""
    seen = np.zeros(len(left), bool)
    level, levels = np.zeros(1, np.int64), []
    while len(level):
        seen[level] = True
        levels.append(level)
        inner = level[(left[level] != -1) | (right[level] != -1)]
        children = np.stack([left[inner], right[inner]], 1).ravel()
        if ((children < 0) | (children >= len(left))).any():
            raise ValueError("a tree's child is out of range")
        if len(np.unique(children)) < len(children) or seen[children].any():
            raise ValueError("a tree's nodes form a circle")
        level = children
    return np.concatenate(levels)
