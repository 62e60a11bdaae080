"""The stream from alleles to effects, against the network run on strings one window at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_nets import small
from spellings import minimal

from varscore.engine import ENGINES, PlainEngine
from varscore.engine.pool import EnginePool, Plan
from varscore.errors import VariantFileError
from varscore.genome.alleles import AlleleBatch, ByteColumn, Status
from varscore.genome.contigs import ContigNames
from varscore.genome.reasons import BY_DEFAULT, Rules
from varscore.genome.sequence import Genome, encode
from varscore.nets.layers import SequenceNet
from varscore.scoring.effects import effects
from varscore.scoring.score import ScoreBatch, score_chunks, spread

CPU = torch.device("cpu")
OTHER_STRAND = str.maketrans("ACGTN", "TGCAN")


def letters(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


SEQUENCES = {"chr1": letters(700, 1), "chr2": "N" * 40 + letters(360, 2), "chrM": letters(300, 3)}


@pytest.fixture(scope="module")
def net() -> SequenceNet:
    net = small("crnn-320-projection", seed=5)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return net.eval()


@pytest.fixture
def genome(tmp_path: Path) -> Iterator[Genome]:
    path = tmp_path / "g.fa"
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in SEQUENCES.items()))
    with Genome(path, cache_dir=tmp_path) as genome:
        yield genome


def batch_of(alleles: list[tuple[str, int, str, str]]) -> AlleleBatch:
    """contig, 1-based position, REF, ALT"""
    contigs = tuple(dict.fromkeys(contig for contig, *_ in alleles))
    return AlleleBatch(
        record=np.arange(len(alleles)),
        contig=np.array([contigs.index(contig) for contig, *_ in alleles], np.int32),
        contigs=contigs,
        start=np.array([pos - 1 for _, pos, _, _ in alleles], np.int64),
        ref=ByteColumn.of([ref.encode() for *_, ref, _ in alleles]),
        alt=ByteColumn.of([alt.encode() for *_, alt in alleles]),
    )


@dataclass(frozen=True)
class Chunk:
    """Of a piece of a variant file, all that scoring looks at."""

    alleles: AlleleBatch


def score(
    net: SequenceNet,
    genome: Genome,
    alleles: list[tuple[str, int, str, str]],
    engine: str = "exact",
    rules: Rules = BY_DEFAULT,
) -> ScoreBatch:
    """One chunk through one engine."""
    with EnginePool(Plan(net, [CPU], ENGINES[engine])) as pool:
        chunk = Chunk(batch_of(alleles))
        ((same, found),) = score_chunks([chunk], genome, ContigNames(genome, {}), pool, net.window, rules)
    assert same is chunk
    return found


def slow_effects(net: SequenceNet, alleles: list[tuple[str, int, str, str]]) -> dict[str, np.ndarray]:
    """Strand means, float64 (alleles, tasks) each, from windows cut out of strings, one-hot made letter by letter."""
    windows = []
    for contig, pos, ref, alt in alleles:
        start, ref, alt = minimal(SEQUENCES[contig], pos - 1, ref, alt)
        sequence, first = "N" * 500 + SEQUENCES[contig] + "N" * 500, 500 + start
        left, right = sequence[first - (net.window - 1) // 2 : first], sequence[first + len(ref) :]
        windows += [(left + allele + right)[: net.window] for allele in (ref, alt)]
    texts = [text for window in windows for text in (window, window[::-1].translate(OTHER_STRAND))]
    planes = [[[float(letter == base) for letter in text] for base in "ACGT"] for text in texts]
    with torch.inference_mode():
        logits = net(torch.tensor(planes)).double().numpy().reshape(len(alleles), 2, 2, net.n_tasks)
    z_ref, z_alt = logits[:, 0], logits[:, 1]
    p_ref, p_alt = 1 / (1 + np.exp(-z_ref)), 1 / (1 + np.exp(-z_alt))
    strands = {"ref": p_ref, "alt": p_alt, "diff": p_alt - p_ref, "logodds": (z_alt - z_ref) / np.log(2)}
    return {name: values.mean(1) for name, values in strands.items()}


def made_alleles(count: int) -> list[tuple[str, int, str, str]]:
    """Substitutions, insertions and deletions of several sizes, some of them near an end or at one site."""
    draw = random.Random(11)
    alleles = []
    for _ in range(count):
        contig = draw.choice(["chr1", "chr2"])
        size = draw.choice([1, 1, 1, 2, 5, 30])
        pos = draw.randint(41, len(SEQUENCES[contig]) - size)
        ref = SEQUENCES[contig][pos - 1 : pos - 1 + size]
        alleles.append((contig, pos, ref, letters(draw.choice([size, 1, 4, 33]), draw.randrange(1 << 30))))
    return [*alleles, ("chr1", 1, SEQUENCES["chr1"][0], "T"), ("chr1", 700, SEQUENCES["chr1"][-1], "GATT")]


@pytest.mark.parametrize("name", ENGINES)
def test_effects_are_those_of_the_bare_network_on_strings(net: SequenceNet, genome: Genome, name: str) -> None:
    alleles = made_alleles(40)
    found = score(net, genome, alleles, name)
    assert found.status.tolist() == [Status.PASS] * len(alleles)
    assert found.rows.tolist() == list(range(len(alleles)))
    for column, slow in slow_effects(net, alleles).items():
        np.testing.assert_allclose(getattr(found.effects, column), slow, rtol=1e-4, atol=3e-6, err_msg=column)


def slow_pairs(window: int, first: int, end: int) -> list[list[tuple[str, str]]]:
    """REF and ALT windows at either end of ``[first, end)`` inverted, and at either end of it doubled."""
    sequence, middle = SEQUENCES["chr1"], (window - 1) // 2
    inverted = sequence[:first] + sequence[first:end][::-1].translate(OTHER_STRAND) + sequence[end:]
    doubled = sequence[:end] + sequence[first:]
    differ = [at for at in range(len(sequence)) if sequence[at] != inverted[at]]
    ends = differ[0] - middle, differ[-1] + 1 - (window - middle)
    junction = doubled[end - 1 - middle :][:window]
    return [
        [(sequence[at : at + window], inverted[at : at + window]) for at in ends],
        [(sequence[at - middle :][:window], junction) for at in (end - 1, first - 1)],
    ]


def test_of_two_pairs_of_windows_the_one_that_changes_more_speaks(net: SequenceNet, genome: Genome) -> None:
    """Against the ALT contig written out. Tasks of which nothing is known have no say."""
    sequence, engine = SEQUENCES["chr1"], PlainEngine(net, CPU)
    places = [
        (start, start + size)
        for start in (120, 250, 301)
        for size in (90, 170)
        if sequence[start - 1] != sequence[start + size - 1]
    ]
    pairs = [pair for place in places for pair in slow_pairs(net.window, *place)]
    codes = encode("".join(text for ends in pairs for pair in ends for text in pair).encode())
    codes = codes.reshape(len(pairs), 2, 2, net.window)
    diff = np.stack(
        [effects(engine.logits(codes[:, end, 0]), engine.logits(codes[:, end, 1])).diff for end in (0, 1)], 1
    )
    alleles = [("chr1", first, "N", alt) for first, _ in places for alt in ("<INV>", "<DUP>")]
    affected = np.repeat([end - first for first, end in places], 2)
    chunk = Chunk(replace(batch_of(alleles), affected=affected))
    for untrained in ([], [0, 1]):
        with EnginePool(Plan(net, [CPU], ENGINES["exact"])) as pool:
            names = ContigNames(genome, {})
            ((_, found),) = score_chunks([chunk], genome, names, pool, net.window, untrained=untrained)
        assert found.rows.tolist() == list(range(len(alleles)))
        stronger = np.abs(np.delete(diff, untrained, 2)).max(2).argmax(1)
        assert 0 < stronger.mean() < 1, "always the same end: the test would not notice if none were chosen"
        np.testing.assert_allclose(found.effects.diff, diff[np.arange(len(diff)), stronger], atol=3e-6)


def test_a_pair_of_windows_and_its_reverse_complements_have_the_same_effects(net: SequenceNet) -> None:
    random_ = np.random.default_rng(4)
    ref = random_.integers(0, 5, (30, net.window), dtype=np.uint8)
    alt = np.where(random_.random(ref.shape) < 0.05, random_.integers(0, 4, ref.shape, dtype=np.uint8), ref)
    other = np.array([3, 2, 1, 0, 4], np.uint8)
    engine = PlainEngine(net, CPU)
    here = effects(engine.logits(ref), engine.logits(alt))
    there = effects(*(engine.logits(np.ascontiguousarray(other[windows][:, ::-1])) for windows in (ref, alt)))
    for column in ("ref", "alt", "diff", "logodds"):
        np.testing.assert_allclose(getattr(here, column), getattr(there, column), rtol=0, atol=1e-6)
    assert np.abs(here.diff).max() > 0.01


def test_alleles_without_a_score_keep_their_place(net: SequenceNet, genome: Genome) -> None:
    base = SEQUENCES["chr1"][299]
    alt, wrong = [letter for letter in "ACGT" if letter != base][:2]
    alleles = [
        ("chr1", 300, base, "<DEL>"),
        ("chr1", 300, base, alt),
        ("chrX", 300, base, alt),
        ("1", 300, base, alt),
        ("chr1", 300, wrong, alt),
    ]
    found = score(net, genome, alleles)
    reasons = [Status.SYMBOLIC, Status.PASS, Status.MISSING_CONTIG, Status.PASS, Status.REF_MISMATCH]
    assert found.status.tolist() == reasons
    assert found.rows.tolist() == [1, 3]
    np.testing.assert_array_equal(found.effects.diff[0], found.effects.diff[1])
    unchecked = score(net, genome, alleles, rules=Rules(check_ref=False))
    assert unchecked.rows.tolist() == [1, 3, 4]
    np.testing.assert_array_equal(unchecked.effects.diff[2], found.effects.diff[0])


def test_nothing_to_score_is_no_trouble(net: SequenceNet, genome: Genome) -> None:
    for name in ENGINES:
        found = score(net, genome, [("chr1", 5, "A", "*")], name)
        assert found.status.tolist() == [Status.SPANNING_DELETION]
        assert found.effects.diff.shape == (0, net.n_tasks)


def test_chunks_stream_and_only_a_few_are_read_ahead(net: SequenceNet, genome: Genome) -> None:
    alleles = made_alleles(48)  # and two more
    taken: list[int] = []

    def chunks() -> Iterator[Chunk]:
        for first in range(0, len(alleles), 5):
            taken.append(first)
            yield Chunk(batch_of(alleles[first : first + 5]))

    with EnginePool(Plan(net, [CPU], ENGINES["exact"])) as pool:
        stream = score_chunks(chunks(), genome, ContigNames(genome, {}), pool, net.window)
        pieces = [next(stream)]
        assert len(taken) <= 4
        pieces += stream
    assert len(pieces) == len(taken) == 10
    places = [place for chunk, _ in pieces for place in chunk.alleles.start.tolist()]
    assert places == [pos - 1 for _, pos, _, _ in alleles]
    whole = score(net, genome, alleles)
    np.testing.assert_array_equal(np.concatenate([found.effects.diff for _, found in pieces]), whole.effects.diff)


def test_contig_names_are_looked_up_once_and_remembered(genome: Genome, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ContigNames(genome, {"MT": 300, "1": None})
    with pytest.raises(VariantFileError, match="none of the contigs is in the FASTA; .* on X, GL000191.1"):
        names.demand_some(["X", "GL000191.1"])
    assert names.of(["1", "MT", "X", "1"]) == ["chr1", "chrM", None, "chr1"]
    names.demand_some(["X", "MT"])
    assert ContigNames(genome, {"MT": 299}).of(["MT"]) == [None]
    monkeypatch.setattr("varscore.genome.contigs.match_contigs", None)  # not asked again
    assert names.of(["MT", "1"]) == ["chrM", "chr1"]


def test_spread_puts_scores_in_their_rows() -> None:
    column = spread(np.array([1, 2], np.float32), np.array([0, 3]), 4)
    np.testing.assert_array_equal(column, np.array([1, np.nan, np.nan, 2], np.float32))
    block = spread(np.ones((1, 2), np.float32), np.array([1]), 2)
    assert np.isnan(block[0]).all() and (block[1] == 1).all()
    assert spread(np.zeros((0, 3), np.float32), np.zeros(0, np.int64), 2).shape == (2, 3)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_alternative_that_changes_nothing_has_no_effect(net: SequenceNet, genome: Genome, engine: str) -> None:
    """Not even one of rounding: the two windows go through the engine in different ways."""
    base = SEQUENCES["chr1"][349]
    other = "ACGT"["ACGT".index(base) - 1]
    found = score(net, genome, [("chr1", 350, base, base), ("chr1", 350, base, other)], engine)
    assert found.status.tolist() == [Status.PASS, Status.PASS]
    assert (found.effects.diff[0] == 0).all() and (found.effects.logodds[0] == 0).all()
    assert (found.effects.ref[0] == found.effects.alt[0]).all()
    assert (found.effects.diff[1] != 0).any()
