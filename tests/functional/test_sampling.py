"""Negatives: at their distances, as common as the positives, as far from promoters, and never twice."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_model import CONTIGS, variants_at

from varscore.functional.sampling import (
    Match,
    at_distances,
    context_classes,
    draw,
    frequency_classes,
    match_classes,
    nearest,
    strata,
    tss_classes,
)
from varscore.functional.variants import Variants
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.sequence import Genome

RANDOM = np.random.default_rng


def world(frequency: bool = False) -> tuple[Variants, Variants]:
    """200 positives and a pool of 30,000 on two contigs of 10 Mb; the pool is rarer than the positives."""
    random = RANDOM(3)
    positives = variants_at(
        np.repeat([0, 1], 100),
        np.concatenate([np.sort(random.integers(0, 10_000_000, 100)) for _ in range(2)]),
        random.uniform(0.05, 0.5, 200) if frequency else None,
    )
    pool = variants_at(
        np.repeat([0, 1], 15_000),
        np.concatenate([np.sort(random.integers(0, 10_000_000, 15_000)) for _ in range(2)]),
        random.beta(0.5, 3, 30_000) if frequency else None,
    )
    return positives, pool


def slow_distance(variants: Variants, positives: Variants, row: int) -> int:
    same = positives.contig == variants.contig[row]
    return int(np.abs(positives.start[same] - variants.start[row]).min())


def test_groups_lie_at_their_distances_and_share_nothing() -> None:
    positives, pool = world()
    distances = [360, 710, 6300, None]
    groups = at_distances(positives, pool, distances, 1, Match(), seed=0)
    assert list(groups) == ["360", "710", "6300", "random"]
    rows = np.concatenate(list(groups.values()))
    assert len(np.unique(rows)) == len(rows)
    for distance in (360, 710, 6300):
        found = [slow_distance(pool, positives, row) for row in groups[str(distance)].tolist()]
        assert min(found) >= distance / 2 and max(found) <= 1.5 * distance
        assert np.mean(found) == pytest.approx(distance, rel=0.15)
    assert len(groups["6300"]) > 190 and len(groups["random"]) == 200
    away = np.median([slow_distance(pool, positives, row) for row in groups["random"].tolist()])
    assert away > 15_000


def test_a_positive_has_no_more_negatives_than_the_ratio_says() -> None:
    positives, pool = world()
    rows = at_distances(positives, pool, [6300], 3, Match(), seed=1)["6300"]
    owners = []
    for row in rows.tolist():
        apart = np.abs(positives.start - pool.start[row]) + (positives.contig != pool.contig[row]) * 10**9
        owners.append(int(apart.argmin()))
    counts = Counter(Counter(owners).values())
    assert max(counts) == 3 and counts[3] > 150


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    positives, pool = world()
    first, again, other = (at_distances(positives, pool, [None], 1, Match(), seed)["random"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert len(np.intersect1d(first, other)) < 20


@pytest.mark.parametrize("distance", [None, 6300])
def test_matched_negatives_are_as_common_as_the_positives(distance: int | None) -> None:
    positives, pool = world(frequency=True)
    match = Match(frequency=True)
    (rows,) = at_distances(positives, pool, [distance], 1, match, seed=0).values()
    counts = [np.bincount(frequency_classes(f), minlength=14) for f in (positives.frequency, pool.frequency[rows])]
    if distance is None:
        np.testing.assert_array_equal(*counts)
    rarer = [np.minimum(f, 1 - f) for f in (positives.frequency, pool.frequency[rows])]
    assert abs(np.mean(rarer[0]) - np.mean(rarer[1])) < 0.03
    (unmatched,) = at_distances(positives, pool, [distance], 1, Match(), seed=0).values()
    assert abs(np.mean(rarer[0]) - np.mean(np.minimum(pool.frequency, 1 - pool.frequency)[unmatched])) > 0.1


def test_frequency_classes_fold_at_one_half_and_leave_out_the_unknown() -> None:
    found = frequency_classes(np.array([0.0005, 0.9995, 0.03, 0.97, 0.12, 0.5, np.nan]))
    assert found[0] == found[1] == 0
    assert found[2] == found[3] == 4
    assert found[4] == 6 and found[6] == -1


def test_variants_of_unknown_frequency_are_never_matched() -> None:
    positives = variants_at([0, 0], [10, 20], [0.3, np.nan])
    pool = variants_at([0, 0, 0], [100, 200, 300], [np.nan, np.nan, 0.3])
    assert strata(positives, Match(frequency=True))[1] == -1
    rows = at_distances(positives, pool, [None], 5, Match(frequency=True), 0)["random"]
    assert rows.tolist() == [2]


def test_classes_of_distance_to_a_tss_double_in_width() -> None:
    tss = {"chr1": np.array([1000, 5000]), "chr2": np.array([0])}
    variants = variants_at([0, 0, 0, 0, 0, 0, 1, 2], [1000, 1049, 1050, 951, 849, 4650, 0, 1000])
    assert tss_classes(variants, tss).tolist() == [0, 0, 1, 0, 2, 3, 0, 63]


def test_contexts_are_what_either_strand_and_either_order_of_the_alleles_shows(
    genome: Genome, sequences: dict[str, str]
) -> None:
    random = RANDOM(6)
    contig, start = random.integers(0, 3, 2000), random.integers(1, 49_000, 2000)
    letters = [sequences[CONTIGS[c]][s - 1 : s + 2] for c, s in zip(contig, start, strict=True)]
    alts = [random.choice([base for base in "ACGT" if base != three[1]]) for three in letters]
    opposite = str.maketrans("ACGT", "TGCA")

    def spellings(three: str, alt: str) -> frozenset[str]:
        """All that stands for the same: AC[G]>T, AT[G]>C and what the other strand has for both."""
        forms = [(three[0], three[1], three[2], alt), (three[0], alt, three[2], three[1])]
        back = [
            (c.translate(opposite), r.translate(opposite), a.translate(opposite), d.translate(opposite))
            for a, r, c, d in forms
        ]
        return frozenset("".join(form) for form in forms + back)

    def batch(refs: list[str], alts: list[str]) -> Variants:
        columns = (ByteColumn.of([text.encode() for text in texts]) for texts in (refs, alts))
        n = len(refs)
        alleles = AlleleBatch(np.arange(n), contig[:n].astype(np.int32), CONTIGS, start[:n], *columns)
        return Variants(alleles, np.full(n, np.nan))

    found = context_classes(batch([three[1] for three in letters], alts), genome)
    expected = [spellings(three, alt) for three, alt in zip(letters, alts, strict=True)]
    numbers: dict[frozenset[str], set[int]] = {}
    for spelt, number in zip(expected, found.tolist(), strict=True):
        numbers.setdefault(spelt, set()).add(number)
    assert len(numbers) == 52 == len(set(found.tolist())) and all(len(same) == 1 for same in numbers.values())
    indels = context_classes(batch(["A", "AC", "A", "ACG", "AC", "A"], ["AC", "A", "ACG", "A", "GT", "N"]), genome)
    assert indels[0] == indels[1] != indels[2] == indels[3] and indels[4] == indels[5] == -1
    assert not {*indels.tolist()} & {*found.tolist()}


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.lists(st.integers(0, 60), min_size=1, max_size=9))
def test_nearest_is_the_nearest(places: list[int], targets: list[int]) -> None:
    ordered = np.unique(targets)
    distance, index = nearest(np.array(places), ordered)
    assert distance.tolist() == [min(abs(place - target) for target in targets) for place in places]
    np.testing.assert_array_equal(np.abs(np.array(places) - ordered[index]), distance)


@given(
    st.lists(st.integers(-1, 4), min_size=1, max_size=60),
    st.lists(st.integers(-1, 5), min_size=1, max_size=60),
    st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0]),
)
def test_every_stratum_has_both_classes_at_the_ratio(positive: list[int], negative: list[int], ratio: float) -> None:
    of = np.array(positive), np.array(negative)
    rows = match_classes(*of, ratio, RANDOM(0))
    assert all(len(np.unique(chosen)) == len(chosen) for chosen in rows)
    for stratum in range(-1, 6):
        n, m = (int(np.sum(strata[chosen] == stratum)) for strata, chosen in zip(of, rows, strict=True))
        have = positive.count(stratum), negative.count(stratum)
        assert m == n * ratio
        if stratum < 0:
            assert n == m == 0
        else:  # no more would do
            step = (1, ratio) if ratio >= 1 else (1 / ratio, 1)
            assert n + step[0] > have[0] or m + step[1] > have[1]


@given(st.lists(st.integers(-1, 4), max_size=40), st.lists(st.integers(-1, 5), max_size=40), st.integers(1, 3))
def test_draws_are_as_many_as_asked_for_or_as_there_are(cases: list[int], pool: list[int], ratio: int) -> None:
    rows = draw(np.array(cases, int), np.array(pool, int), ratio, RANDOM(0))
    found = Counter(pool[row] for row in rows.tolist())
    assert len(set(rows.tolist())) == len(rows)
    expected = {s: min(cases.count(s) * ratio, pool.count(s)) for s in range(5)}
    assert found == Counter({s: n for s, n in expected.items() if n})


@pytest.mark.parametrize("ratio", [0.3, 0.5, 1.5, 2.25])
def test_a_ratio_that_is_no_whole_number_holds_over_all_strata(ratio: float) -> None:
    """Each positive by itself is a stratum: half a negative for each had been none, and one and a half two."""
    cases = np.arange(400)
    rows = draw(cases, np.repeat(cases, 5), ratio, RANDOM(1))
    each = np.bincount(rows // 5, minlength=400)
    assert abs(len(rows) - 400 * ratio) <= 1
    assert set(each.tolist()) == {int(ratio), int(ratio) + 1}
    halves = each[:200].sum(), each[200:].sum()
    assert abs(halves[0] - halves[1]) <= 2


def test_matching_hides_the_region() -> None:
    """Positives near promoters, negatives anywhere: after matching, distance and chromosome tell nothing."""
    random = RANDOM(5)
    tss = {contig: np.sort(random.integers(0, 10_000_000, 60)) for contig in CONTIGS[:2]}
    near = [int(random.choice(tss[CONTIGS[c]]) + random.integers(-3000, 3000)) for c in (0,) * 300 + (1,) * 100]
    positives = variants_at([0] * 300 + [1] * 100, near)
    anywhere = [int(random.choice(tss["chr1"]) + random.exponential(20_000)) for _ in range(3000)]
    negatives = variants_at(random.integers(0, 2, 3000), anywhere)
    match = Match(tss=tss)
    rows = match_classes(strata(positives, match), strata(negatives, match), 1, random)
    kept = positives.take(rows[0]), negatives.take(rows[1])
    assert len(kept[0]) == len(kept[1]) > 200
    assert np.bincount(kept[0].contig).tolist() == np.bincount(kept[1].contig).tolist()
    shares = [np.bincount(tss_classes(side, tss), minlength=64) for side in kept]
    np.testing.assert_array_equal(*shares)
