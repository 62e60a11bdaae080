"""TOMTOM against its definition, one column and one sum at a time."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from motifs.made_motifs import motif, random_motif, turned

from varscore.formats.motifs import Motif, format_meme, read_motifs
from varscore.motifs.tomtom import Targets, column_scores, compare, match, q_values, smoothed


def slow_match(query: np.ndarray, targets: list[np.ndarray]) -> list[tuple[float, int, int, bool]]:
    """p, offset, overlap and strand of each target; distributions of sums as counters."""
    everything = [column for target in targets for way in (target, target[::-1, ::-1]) for column in way]
    raw = [[-math.dist(q, c) for c in everything] for q in query]
    raw = [[s - float(np.median(row)) for s in row] for row in raw]
    span = max(map(max, raw)) - min(map(min, raw))
    rounded = [[round(s * 100 / span) for s in row] for row in raw]
    null = [Counter(row) for row in rounded]

    def chance(first: int, last: int, score: int) -> float:
        sums = {0: 1.0}
        for row in range(first, last):
            longer: Counter[int] = Counter()
            for total, p in sums.items():
                for s, times in null[row].items():
                    longer[total + s] += p * times / len(everything)
            sums = longer
        return math.fsum(p for total, p in sums.items() if total >= score)

    w, found, start = len(query), [], 0
    for target in targets:
        t, ways = len(target), []
        for way in (0, 1):
            for shift in range(1 - w, t):
                rows = [i for i in range(w) if 0 <= i + shift < t]
                total = sum(rounded[i][start + way * t + i + shift] for i in rows)
                ways.append((total, len(rows), -way, -shift))
        start += 2 * t
        total, overlap, way, shift = max(ways)
        kept = 1.0
        for offset in range(1 - w, t):
            rows = [i for i in range(w) if 0 <= i + offset < t]
            kept *= (1 - min(chance(rows[0], rows[-1] + 1, total), 1.0)) ** 2
        found.append((1 - kept, -shift, overlap, way == -1))
    return found


@pytest.mark.parametrize("width", [1, 3, 6])
def test_p_offset_overlap_and_strand_are_those_of_the_definition(width: int) -> None:
    dice = np.random.default_rng(width)
    targets = [random_motif("t", int(w), dice).frequencies for w in (4, 7, 5, 5, 2)]
    query = random_motif("q", width, dice).frequencies
    found = match(query, Targets.of(targets))
    for i, (p, offset, overlap, way) in enumerate(slow_match(query, targets)):
        assert found.p[i] == pytest.approx(p, rel=1e-6, abs=1e-14)
        assert (found.offset[i], found.overlap[i], found.turned[i]) == (offset, overlap, way)


def test_a_motif_finds_itself_either_way_round() -> None:
    dice = np.random.default_rng(7)
    targets = [random_motif("t", 12, dice, 0.15).frequencies for _ in range(30)]
    found = match(targets[4], Targets.of(targets))
    assert (found.p.argmin(), found.offset[4], found.overlap[4], found.turned[4]) == (4, 0, 12, False)
    part = targets[4][::-1, ::-1][3:10]
    back = match(part, Targets.of(targets))
    assert (back.p.argmin(), back.offset[4], back.overlap[4], back.turned[4]) == (4, 3, 7, True)
    assert 0 < found.p[4] < 1e-9  # summed from the top: neither 0 nor below


def test_scores_are_hundredths_of_their_range_less_the_median() -> None:
    dice = np.random.default_rng(0)
    scores = column_scores(random_motif("q", 4, dice).frequencies, random_motif("t", 50, dice).frequencies)
    assert abs(scores.max() - scores.min() - 100) <= 1
    assert np.abs(np.median(scores, axis=1)).max() <= 0.5


def test_q_values_by_hand() -> None:
    assert q_values(np.array([0.01, 0.02, 0.03, 0.5])) == pytest.approx([0.04, 0.04, 0.04, 0.5])
    assert q_values(np.array([[0.5, 0.03], [0.01, 0.02]])) == pytest.approx(np.array([[0.5, 0.04], [0.04, 0.04]]))


def test_e_is_p_times_targets() -> None:
    dice = np.random.default_rng(3)
    targets = [random_motif("t", 6, dice).frequencies for _ in range(5)]
    found = compare(targets[:2], Targets.of(targets))
    assert found.e == pytest.approx(5 * found.p)
    assert found.q.shape == (2, 5)


def test_counted_sites_get_a_pseudocount() -> None:
    one = Motif("m", "m", np.array([[1.0, 0, 0, 0]]), 9.9)
    assert smoothed(one) == pytest.approx(np.array([[9.925, 0.025, 0.025, 0.025]]) / 10)
    assert smoothed(motif("m", "AC")) is not None and (smoothed(motif("m", "AC")) == motif("m", "AC").frequencies).all()


def test_a_meme_file_reads_back(tmp_path: Path) -> None:
    dice = np.random.default_rng(5)
    made = [random_motif(f"filter{i:03d}", 7, dice) for i in range(3)]
    made[1] = Motif("filter001", "GATA1 of mouse", made[1].frequencies, 31.0)
    path = tmp_path / "m.meme"
    path.write_text(format_meme(made, (0.3, 0.2, 0.2, 0.3)))
    assert "Background letter frequencies\nA 0.300000 C 0.200000 G 0.200000 T 0.300000\n" in path.read_text()
    for one, back in zip(made, read_motifs(path), strict=True):
        assert (one.id, one.name, round(one.sites)) == (back.id, back.name, back.sites)
        assert back.frequencies == pytest.approx(one.frequencies, abs=2e-6)


@pytest.mark.realdata
def test_jaspar_motifs_are_their_own_best_match(shared_data: Path) -> None:
    motifs = read_motifs(shared_data / "motifs" / "JASPAR2018_CORE_vertebrates.txt")[:60]
    matrices = [smoothed(one) for one in motifs]
    found = compare(matrices[:12], Targets.of(matrices))
    assert found.p.argmin(1).tolist() == list(range(12))
    assert (found.p > 0).all() and (found.p <= 1).all()
    other = match(np.array(matrices[3])[::-1, ::-1], Targets.of(matrices))
    assert other.p == pytest.approx(found.p[3], rel=1e-9)  # the strand of the query makes no difference
    assert turned("AC") == "GT"
