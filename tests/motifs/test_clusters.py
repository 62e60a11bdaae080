"""Alignments against loops over cells, linkage against scipy's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from motifs.made_motifs import motif, random_motif, turned
from scipy.cluster.hierarchy import linkage, to_tree
from scipy.spatial.distance import squareform

from varscore.formats.motifs import read_motifs
from varscore.motifs import clusters as module
from varscore.motifs.clusters import Alignments, align, clusters, clusters_of


def slow_align(one: np.ndarray, two: np.ndarray) -> tuple[float, float, int, bool]:
    """The best r x overlap / union over both ways round and all offsets with five columns over one another."""
    best = (-2.0, 0.0, 0, False)
    w, v = len(one), len(two)
    for way in (False, True):
        other = two[::-1, ::-1] if way else two
        for offset in range(-v, w + 1):
            over = [row for row in range(w) if 0 <= row - offset < v]
            if len(over) < min(5, w, v):
                continue
            x, y = one[over].reshape(-1), other[[row - offset for row in over]].reshape(-1)
            r = float(np.corrcoef(x, y)[0, 1])
            if (ncor := r * len(over) / (w + v - len(over))) > best[0] + 1e-12:
                best = (ncor, r, offset, way)
    return best


def test_alignments_are_those_of_a_loop() -> None:
    dice = np.random.default_rng(0)
    matrices = [random_motif("m", width, dice).frequencies for width in (5, 8, 3, 12, 8, 6)]
    found = align(matrices)
    for i, one in enumerate(matrices):
        for j, two in enumerate(matrices):
            if i != j:
                ncor, r, offset, way = slow_align(one, two)
                assert (found.ncor[i, j], found.r[i, j]) == pytest.approx((ncor, r), abs=1e-12)
                assert (found.offset[i, j], found.turned[i, j]) == (offset, way)


def test_a_motif_turned_round_is_the_same() -> None:
    matrices = [motif("a", "GGATAAGCT").frequencies, motif("b", turned("NATAAGC")).frequencies]
    found = align(matrices)
    assert found.turned.tolist() == [[False, True], [True, False]]
    assert (found.offset[0, 1], found.r[0, 1]) == (1, pytest.approx(slow_align(*matrices)[1]))


def slow_clusters(found: Alignments, least_r: float, least_ncor: float) -> set[frozenset[int]]:
    """scipy's tree, cut from the leaves on: a node stays whole when its branches are and the means suffice."""
    tree = to_tree(linkage(squareform(1 - found.ncor, checks=False), "average"))

    def walk(node: object) -> tuple[list[int], list[frozenset[int]], bool]:
        if node.is_leaf():  # type: ignore[attr-defined]
            return [node.id], [], True  # type: ignore[attr-defined]
        left, right = walk(node.left), walk(node.right)  # type: ignore[attr-defined]
        pairs = np.ix_(left[0], right[0])
        whole = left[2] and right[2]
        whole = whole and found.r[pairs].mean() >= least_r and found.ncor[pairs].mean() >= least_ncor
        done = [*left[1], *right[1]]
        if not whole:
            done += [frozenset(branch[0]) for branch in (left, right) if branch[2]]
        return [*left[0], *right[0]], done, whole

    leaves, done, whole = walk(tree)
    return set(done) | ({frozenset(leaves)} if whole else set())


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_scipys_tree_cut(seed: int) -> None:
    dice = np.random.default_rng(seed)
    families = [random_motif("m", int(dice.integers(6, 14)), dice, 0.2).frequencies for _ in range(6)]
    matrices = []
    for _ in range(30):
        noisy = families[dice.integers(6)] + dice.uniform(0, 0.4)
        noisy = noisy + dice.uniform(0, 0.3, noisy.shape)
        matrices.append(noisy / noisy.sum(1, keepdims=True))
    found = align(matrices)
    label = clusters(found)
    made = {frozenset(np.flatnonzero(label == one).tolist()) for one in set(label.tolist())}
    assert made == slow_clusters(found, 0.6, 0.4)
    assert 1 < len(made) < 30
    firsts = [label.tolist().index(one) for one in range(label.max() + 1)]
    assert firsts == sorted(firsts)  # numbered in the order of their first motifs


def test_clusters_of_a_file_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path))
    dice = np.random.default_rng(1)
    motifs = [random_motif(f"m{i}", 6, dice) for i in range(100)]
    found = clusters_of(motifs)
    monkeypatch.setattr(module, "align", None)
    assert clusters_of(motifs).tolist() == found.tolist()
    note = next((tmp_path / "motif-clusters").iterdir())
    note.write_bytes(b"1 2 x")  # damaged: made again
    with pytest.raises(TypeError):
        clusters_of(motifs)


@pytest.mark.realdata
def test_gata_and_its_mates_have_one_voice(shared_data: Path) -> None:
    motifs = read_motifs(shared_data / "motifs" / "JASPAR2022_CORE_vertebrates_latest_versions.txt")
    few = [m for m in motifs if m.name.startswith(("GATA", "CTCF", "SOX"))]
    label = dict(zip((m.name for m in few), clusters_of(few).tolist(), strict=True))
    assert len({label[f"GATA{i}"] for i in (1, 2, 4, 5, 6)}) == 1
    assert label["CTCF"] != label["GATA2"] != label["SOX10"]
