"""The exact engine against the plain one and against the bare network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_windows import SIZES, Change, changes, cut, mixture, naive
from small_nets import small, small_arguments
from torch import Tensor, nn

from varscore.engine import PlainEngine, SharedEngine
from varscore.engine.exact.reach import Span, reach
from varscore.engine.exact.shared import SHORT, TILES
from varscore.genome.windows import Windows
from varscore.nets import architectures, build
from varscore.nets.layers import SequenceConv, SequenceNet
from varscore.odds import probabilities
from varscore.scoring.effects import effects

CPU = torch.device("cpu")
NAMES = [name for name in sorted(architectures()) if not build(name, **small_arguments(name)).inputs]
"""Those that read nothing but sequence"""
EXACT = 1e-6
SITES = TILES["cpu"][1] // 2
"""SNVs that fill a tile with both their strands"""
KINDS = {
    "SNV": (1, 1),
    "MNV": (3, 3),
    "MNV of SHORT": (SHORT, SHORT),
    "MNV beyond SHORT": (SHORT + 1, SHORT + 1),
    "insertion": (1, 5),
    "deletion": (5, 1),
    "complex": (7, 3),
}


def lively(arch: str, **arguments: object) -> SequenceNet:
    """A network whose alternatives differ from their references by far more than the tolerance."""
    net = small(arch, **arguments).eval()
    for name, parameter in net.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=1.5 / parameter[0].numel() ** 0.5)
        elif "bias" in name:  # the others are scales of a normalisation
            nn.init.normal_(parameter, std=0.1)
    return net


NETS = {name: lively(name) for name in NAMES}
ENGINES = {name: SharedEngine(net, CPU) for name, net in NETS.items()}
SHARING = [name for name in NAMES if name != "kmer"]
IN_FULL = [name for name, net in NETS.items() if reach(net, Span(net.window // 2, net.window // 2 + 1)) is None]
"""Both engines only ever pass whole tiles through these: what differs is how torch rounds so many rows"""


def check(name: str, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Both engines give the bare network's probabilities and effects; returns the exact engine's logits."""
    expected, exact = naive(NETS[name], windows), EXACT * (10 if name in IN_FULL else 1)
    for engine in (PlainEngine(NETS[name], CPU), ENGINES[name]):
        found = engine.score(windows)
        for mine, theirs in zip(found, expected, strict=True):
            assert mine.dtype == np.float32 and mine.shape == theirs.shape
            assert np.abs(probabilities(mine) - probabilities(theirs)).max(initial=0) <= exact
        mine, theirs = effects(*found), effects(*expected)
        assert np.abs(mine.diff - theirs.diff).max(initial=0) <= exact
        large = max(1.0, *(np.abs(logits).max(initial=0) for logits in expected))
        assert np.abs(mine.logodds - theirs.logodds).max(initial=0) <= 1e-5 * large
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_variant(name: str, kind: str) -> None:
    windows = cut(mixture(20, sizes=[KINDS[kind]]), NETS[name].window)
    ref, alt = check(name, windows)
    differ = (windows.ref != windows.alt).any(1)
    assert np.abs(alt - ref)[:, differ].max((0, 2)).mean() > 1e-3, "the test would not notice if alt were ref"


@settings(max_examples=20)
@given(st.sampled_from(NAMES), st.lists(changes(), max_size=8))
def test_any_variants_together(name: str, alleles: list[Change]) -> None:
    """Contig edges, unknown bases, shared sites, REF equal to ALT: whatever hypothesis finds."""
    check(name, cut(alleles, NETS[name].window))


@pytest.mark.parametrize("name", ["danq", "crnn-320-projection", "kmer"])
@pytest.mark.parametrize("count", [0, 1, SITES - 1, SITES, SITES + 1])
def test_any_number_of_sites_and_of_alleles_at_a_site(name: str, count: int) -> None:
    window = NETS[name].window
    sites = [Change(0, start, 1, (start % 4,)) for start in range(count)]
    check(name, cut(sites, window))
    alleles = [Change(0, 200, 1, (n % 4, n // 4 % 4, n // 16 % 4, n // 64)) for n in range(count)]
    check(name, cut(alleles, window))


def test_full_and_sparse_sites_mixed() -> None:
    """Sites with 1, 2, 3 and 70 alleles, in disorder."""
    alleles = [
        Change(0, 100 + 3 * site, 1, (n % 4,)) for site, many in enumerate([1, 3, 70, 2, 1]) for n in range(many)
    ]
    order = np.random.default_rng(0).permutation(len(alleles))
    for name in SHARING:
        check(name, cut([alleles[i] for i in order], NETS[name].window))


def test_equal_places_on_two_contigs_are_two_sites() -> None:
    windows = cut([Change(0, 150, 1, (1,)), Change(1, 150, 1, (1,))], NETS["danq"].window)
    ref, _ = check("danq", windows)
    assert np.abs(ref[:, 0] - ref[:, 1]).max() > 1e-3


def test_both_strands_of_snvs_fill_a_tile_and_those_of_indels_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first layer sees a tile of references and one of alternatives at a time."""
    seen: list[int] = []
    columns, forward = SequenceConv.columns, SequenceConv.forward
    monkeypatch.setattr(
        SequenceConv, "columns", lambda layer, *given: (seen.append(len(given[0])), columns(layer, *given))
    )
    monkeypatch.setattr(SequenceConv, "forward", lambda layer, x: (seen.append(len(x)), forward(layer, x))[1])
    net = lively("danq")
    small_tile, tile = TILES["cpu"][0], TILES["cpu"][1]
    SharedEngine(net, CPU).score(cut([Change(0, start, 1, (0,)) for start in range(SITES)], net.window))
    assert seen == [tile, tile]
    seen.clear()
    SharedEngine(net, CPU).score(cut([Change(0, start, 1, (0, 1)) for start in range(small_tile)], net.window))
    assert seen == [small_tile] * 4


def test_neighbouring_windows_stand_in_the_order_in_which_each_strand_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    net, seen = small("deepsea").eval(), []
    columns = SequenceConv.columns

    def spy(layer: SequenceConv, codes: Tensor, shift: np.ndarray, *others: Any) -> None:
        seen.append(shift)
        columns(layer, codes, shift, *others)

    monkeypatch.setattr(SequenceConv, "columns", spy)
    starts = [7, 3, 40, 12] * (SITES // 4)
    SharedEngine(net, CPU).score(cut([Change(i % 2, start, 1, (0,)) for i, start in enumerate(starts)], net.window))
    shift = seen[0]
    # of each strand: contig 0 has 7 and 40, contig 1 has 3 and 12; the second strand is read from the right
    assert shift[:8].tolist() == [-1, 33, -1, 9, -1, 33, -1, 9]


# -- the same bits whatever is computed beside a variant ---------------------------------------------------------------


MIXED = mixture(150, seed=3)


def same_bits(engine: PlainEngine, windows: Windows, rows: np.ndarray, expected: Sequence[np.ndarray]) -> None:
    for found, whole in zip(engine.score(windows.take(rows)), expected, strict=True):
        assert np.array_equal(found, whole[:, rows])


@pytest.mark.parametrize("kind", [PlainEngine, SharedEngine])
@pytest.mark.parametrize("name", NAMES)
def test_order_batch_mates_and_splits_do_not_change_a_bit(name: str, kind: type[PlainEngine]) -> None:
    random = np.random.default_rng(1)
    windows = cut(MIXED, NETS[name].window)
    engine = kind(NETS[name], CPU)
    expected = engine.score(windows)
    every = np.arange(len(windows))
    same_bits(engine, windows, random.permutation(every), expected)
    same_bits(engine, windows, random.choice(every, 80, replace=False), expected)
    same_bits(engine, windows, random.choice(every, 300), expected)
    for part in np.array_split(random.permutation(every), 4):
        same_bits(engine, windows, part, expected)
    for row in random.choice(every, 3):
        same_bits(engine, windows, np.array([row]), expected)


@settings(max_examples=15)
@given(
    st.sampled_from(SHARING),
    st.lists(st.integers(0, len(MIXED) - 1), min_size=1, max_size=90),
    st.lists(st.integers(0, len(MIXED) - 1), max_size=20),
)
def test_any_batch_gives_the_same_bits(name: str, rows: list[int], others: list[int]) -> None:
    windows, engine = cut(MIXED, NETS[name].window), ENGINES[name]
    apart = engine.score(windows.take(np.array(rows)))
    together = engine.score(windows.take(np.array(others + rows, np.int64)))
    for one, both in zip(apart, together, strict=True):
        assert np.array_equal(one, both[:, len(others) :])


# -- networks of other makes -------------------------------------------------------------------------------------------


class Neighbours(nn.Module):
    """Adds to every position what is left of it: a layer the engine does not know."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x.roll(1, 2)


def test_layers_the_engine_does_not_know_are_computed_in_full() -> None:
    windows = cut(mixture(30, sizes=SIZES[:5]), NETS["danq"].window)
    for place in (1, 3):
        net = lively("danq")
        net.layers[place] = Neighbours()
        expected = naive(net, windows)
        for mine, theirs in zip(SharedEngine(net, CPU).score(windows), expected, strict=True):
            assert np.abs(probabilities(mine) - probabilities(theirs)).max() <= EXACT


def test_weights_and_mode_stay_as_they_were() -> None:
    net = lively("crnn-320-projection")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    SharedEngine(net, CPU).score(cut(MIXED[:10], net.window))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not net.training and all(parameter.requires_grad for parameter in net.parameters())


def test_single_windows_are_the_plain_engines() -> None:
    net = NETS["danq"]
    windows = cut(MIXED[:10], net.window)
    assert np.array_equal(ENGINES["danq"].logits(windows.ref), PlainEngine(net, CPU).logits(windows.ref))


# -- full size, reduced precision, GPU ---------------------------------------------------------------------------------

FULL = [
    ("danq", {"dense": 64}),
    ("danq-jaspar", {"dense": 16}),
    ("deepsea", {"dense": 16}),
    ("cnn-500", {"dense": 64}),
    ("danq-500-projection", {"dense": 64}),
    ("crnn-320-projection", {}),
    ("crnn-700", {}),
    ("dilated", {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), FULL, ids=[name for name, _ in FULL])
def test_full_size_networks(name: str, arguments: dict[str, int]) -> None:
    torch.manual_seed(0)
    net = build(name, n_tasks=20, **arguments).eval()
    nn.init.xavier_uniform_(net.output.weight, gain=0.5)  # logits of size 1, as of trained networks
    windows = cut(mixture(12, seed=5), net.window)
    engine = SharedEngine(net, CPU)
    found, expected = engine.score(windows), naive(net, windows)
    for mine, theirs in zip(found, expected, strict=True):
        assert np.abs(probabilities(mine) - probabilities(theirs)).max() <= EXACT
    assert np.abs(effects(*found).diff - effects(*expected).diff).max() <= EXACT
    same_bits(engine, windows, np.arange(12)[::-1], found)
    same_bits(engine, windows, np.array([7]), found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["danq", "crnn-320-projection", "deepsea", "dilated"])
def test_full_size_neighbours_get_the_bits_they_get_alone(name: str) -> None:
    """What neighbouring windows share is computed in blocks of one shape, here of a library's own making."""
    torch.manual_seed(0)
    net = build(name, n_tasks=20, **({} if name == "dilated" else {"dense": 16})).eval()
    windows = cut([Change(0, start, 1, (start % 4,)) for start in range(40, 110)], net.window)
    engine = SharedEngine(net, CPU)
    found, expected = engine.score(windows), naive(net, windows)
    for mine, theirs in zip(found, expected, strict=True):
        assert np.abs(probabilities(mine) - probabilities(theirs)).max() <= EXACT
    for row in (0, 1, 35, 69):
        same_bits(engine, windows, np.array([row]), found)
    same_bits(engine, windows, np.arange(0, 70, 3), found)


def error_of_effects(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """rms error of alt - ref over its rms"""
    mine, theirs = effects(*found).diff, effects(*expected).diff
    return float(np.sqrt(np.mean((mine - theirs) ** 2)) / np.sqrt(np.mean(theirs**2)))


@pytest.mark.parametrize("name", SHARING)
@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_reduced_precision_on_the_cpu(name: str, precision: str) -> None:
    windows = cut(MIXED[:40], NETS[name].window)
    expected = naive(NETS[name], windows)
    engine = SharedEngine(NETS[name], CPU, precision)
    found = engine.score(windows)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == np.float32
        assert np.abs(probabilities(mine) - probabilities(theirs)).max() < (EXACT if precision == "tf32" else 0.1)
    assert error_of_effects(found, expected) < 0.5
    same_bits(engine, windows, np.arange(40)[::-1], found)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
class TestOnAGpu:
    @pytest.mark.parametrize("name", NAMES)
    def test_the_cpus_scores(self, name: str) -> None:
        net = lively(name)
        windows = cut(MIXED, net.window)
        expected = naive(net, windows)
        engine = SharedEngine(net.to("cuda"), torch.device("cuda"))
        found = engine.score(windows)
        for mine, theirs in zip(found, expected, strict=True):
            assert np.abs(probabilities(mine) - probabilities(theirs)).max() < 1e-4
        assert error_of_effects(found, expected) < 0.01
        same_bits(engine, windows, np.random.default_rng(0).permutation(len(windows)), found)

    @pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
    @pytest.mark.parametrize("name", SHARING)
    def test_reduced_precision(self, name: str, precision: str) -> None:
        net = lively(name)
        windows = cut(MIXED[:40], net.window)
        expected = naive(net, windows)
        found = SharedEngine(net.to("cuda"), torch.device("cuda"), precision).score(windows)
        assert error_of_effects(found, expected) < 0.5


# -- pairs that differ elsewhere than from the anchor to the right -----------------------------------------------------


def elsewhere(window: int, count: int = 40, seed: int = 9) -> Windows:
    """Pairs that differ within any span, on references of the genome and of other sequences at the same places."""
    random = np.random.default_rng(seed)
    base = cut([Change(0, int(start), 1, (1,)) for start in random.choice([150, 157, 200], count)], window)
    sequence = random.integers(0, 3, count)
    ref, alt = base.ref.copy(), base.ref.copy()
    for other in (1, 2):  # every sequence its own bases, the same in all windows of it
        letters = np.random.default_rng(other).integers(0, 4, 600, dtype=np.uint8)
        for row in np.flatnonzero(sequence == other).tolist():
            ref[row] = letters[base.start[row] : base.start[row] + window]
    lo = random.choice([0, 1, window // 3, window // 2, window - 20], count)
    hi = np.minimum(window, lo + random.choice([1, 9, window // 3, window], count))
    place = np.arange(window)
    alt = np.where((place >= lo[:, None]) & (place < hi[:, None]), random.integers(0, 4, ref.shape), ref)
    return replace(base, ref=ref, alt=alt.astype(np.uint8), lo=lo, hi=hi, sequence=sequence)


@pytest.mark.parametrize("name", SHARING)
def test_a_pair_may_differ_anywhere_and_its_reference_may_be_another_sequence(name: str) -> None:
    windows = elsewhere(NETS[name].window)
    middle = (NETS[name].window - 1) // 2
    sides = (windows.lo >= middle) * 1 + (windows.hi <= NETS[name].window - middle) * 2
    assert set(sides.tolist()) >= {0, 1, 2}
    for engine in (PlainEngine(NETS[name], CPU), ENGINES[name]):
        expected, found = naive(NETS[name], windows), engine.score(windows)
        for mine, theirs in zip(found, expected, strict=True):
            assert np.abs(probabilities(mine) - probabilities(theirs)).max() <= 10 * EXACT
        order = np.random.default_rng(2).permutation(len(windows))
        same_bits(engine, windows, order[:11], found)
        same_bits(engine, windows, order, found)
