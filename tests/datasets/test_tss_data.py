"""Start-site data sets, against windows cut one by one from the text of the genome."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varscore.datasets.examples import ExampleSet
from varscore.datasets.tss import (
    Peak,
    Sites,
    TssOptions,
    base_frequencies,
    build_tss,
    draw,
    known_runs,
    middle,
    read_peaks,
    split_sites,
    without,
)
from varscore.errors import DataError, UsageError
from varscore.genome.sequence import Genome, decode

OTHER = str.maketrans("ACGT", "TGCA")
OPTIONS = TssOptions(window=20, sharp=4, peak_share=0.2, test=("chr2",))


def letters(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


CONTIGS = {"chr1": letters(3000, 1), "chr2": letters(900, 2), "chr3": letters(60, 3) + "N" * 40}
PEAKS = [
    ("chr1", 100, 104, "+"), ("chr1", 100, 104, "-"), ("chr1", 500, 515, "-"), ("chr1", 508, 520, "+"),
    ("chr1", 3, 5, "+"), ("chr1", 1200, 1201, "-"), ("chr2", 300, 311, "+"), ("chr2", 450, 453, "-"),
    ("chr3", 55, 58, "+"), ("chrUn", 5, 9, "+"),
]  # fmt: skip


@pytest.fixture
def genome(tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in CONTIGS.items()))
    with Genome(tmp_path / "g.fa", cache_dir=tmp_path / "cache") as opened:
        yield opened


def bed(path: Path) -> Path:
    path.write_text("track name=x\n" + "".join(f"{c}\t{a}\t{b}\tp\t0\t{s}\n" for c, a, b, s in PEAKS))
    return path


def slow_window(contig: str, start: int, end: int, strand: str) -> str:
    """20 bases of which number 10 is the middle of the peak, in the direction of transcription."""
    bases = CONTIGS[contig]
    if strand == "+":
        site = start + (end - start) // 2
        return bases[site - 10 : site + 10]
    turned = bases[::-1].translate(OTHER)
    first, last = len(bases) - end, len(bases) - start  # the peak on the other strand, counted from its end
    site = first + (last - first) // 2
    return turned[site - 10 : site + 10]


def build(genome: Genome, folder: Path, options: TssOptions = OPTIONS) -> tuple[ExampleSet, dict[str, int]]:
    counts = build_tss(genome, [bed(folder / "p.bed")], folder / "d", options)
    return ExampleSet(folder / "d"), counts


def test_peaks_are_cut_in_the_direction_of_transcription(genome: Genome, tmp_path: Path) -> None:
    data, counts = build(genome, tmp_path)
    rows = data.rows("all")
    windows = [decode(window).decode() for window in data.windows(rows)]
    classes = data.labels(rows).argmax(1)
    usable = [p for p in PEAKS if p[0] in ("chr1", "chr2") and p[1] > 10]
    expected = {(slow_window(*p), int(p[2] - p[1] > 4)) for p in usable}
    found = {(window, kind) for window, kind in zip(windows, classes, strict=True) if kind < 2}
    assert found == expected and len(usable) == len(expected) == counts["sharp"] + counts["broad"] == 7
    assert (counts["peaks off the FASTA"], counts["peaks in unknown sequence"]) == (1, 2)
    assert (data.kind, data.strands, [t.name for t in data.tasks]) == (
        "classes",
        "one",
        ["sharp", "broad", "background"],
    )


def test_the_strands_of_one_place_are_reverse_complements(genome: Genome, tmp_path: Path) -> None:
    """A peak of odd width on both strands: the same middle, so that the windows share 19 of 20 bases."""
    (tmp_path / "two.bed").write_text("chr1\t100\t103\ta\t0\t+\nchr1\t100\t103\tb\t0\t-\nchr2\t300\t305\tb\t0\t-\n")
    build_tss(genome, [tmp_path / "two.bed"], tmp_path / "two", OPTIONS)
    data = ExampleSet(tmp_path / "two")
    of = {
        name.rpartition(":")[2]: i
        for i, name in enumerate(data.names)
        if data.labels(np.array([i]))[0, 0] and "chr1" in name
    }
    plus, minus = (decode(data.windows(np.array([of[s]]))[0]).decode() for s in "+-")
    assert plus[10] == CONTIGS["chr1"][101] and minus[10] == CONTIGS["chr1"][101].translate(OTHER)
    assert minus[::-1].translate(OTHER) == plus[1:] + CONTIGS["chr1"][111]


def test_names_say_where_windows_are(genome: Genome, tmp_path: Path) -> None:
    data, _ = build(genome, tmp_path)
    for row, name in enumerate(data.names):
        contig, span, strand = name.split(":")
        first, last = map(int, span.split("-"))
        bases = CONTIGS[contig][first - 1 : last]
        expected = bases if strand == "+" else bases[::-1].translate(OTHER)
        assert decode(data.windows(np.array([row]))[0]).decode() == expected


def test_background_is_known_touches_no_peak_and_lies_on_both_strands(genome: Genome, tmp_path: Path) -> None:
    data, counts = build(genome, tmp_path)
    background = data.labels(data.rows("all")).argmax(1) == 2
    assert counts["background"] == background.sum() == 4 * 7
    under = {(c, i) for c, a, b, _ in PEAKS for i in range(a, b)}
    strands = set()
    for name in np.array(data.names)[background]:
        contig, span, strand = name.split(":")
        first, last = map(int, span.split("-"))
        strands.add(strand)
        assert last - first + 1 == 20 and not under & {(contig, i) for i in range(first - 1, last)}
        assert "N" not in CONTIGS[contig][first - 1 : last]
    assert strands == {"+", "-"}


def test_held_out_chromosomes_are_the_test_split(genome: Genome, tmp_path: Path) -> None:
    data, counts = build(genome, tmp_path)
    held_out = np.array([name.startswith("chr2:") for name in data.names])
    assert np.array_equal(data.split == 2, held_out)
    labels = data.labels(data.rows("test"))
    assert labels.sum(0).tolist() == [1, 1, 8], "a fifth of the test split are peaks, too"
    assert counts["train"] + counts["validation"] == len(data) - 10


def test_windows_that_overlap_are_not_parted() -> None:
    start = np.sort(np.random.default_rng(0).integers(0, 30_000, 900))
    contig = np.repeat([0, 1], 450)
    start[450:] = np.sort(start[450:] - 12_000)
    sites = Sites(contig, start, np.zeros(900, bool), np.zeros(900, int))
    split = split_sites(sites, np.array([False, False]), OPTIONS)
    for i in range(899):
        if contig[i] == contig[i + 1] and start[i + 1] < start[i] + 20:
            assert split[i] == split[i + 1]
    assert 0.1 < (split == 1).mean() < 0.3


def test_the_same_seed_draws_the_same_windows(genome: Genome, tmp_path: Path) -> None:
    one, _ = build(genome, tmp_path)
    (tmp_path / "again").mkdir()
    two, _ = build(genome, tmp_path / "again")
    (tmp_path / "other").mkdir()
    other, _ = build(genome, tmp_path / "other", TssOptions(window=20, sharp=4, peak_share=0.2, test=("chr2",), seed=1))
    assert one.names == two.names and one.sha256 == two.sha256 and one.names != other.names


# reading


def test_a_table_of_genes(tmp_path: Path) -> None:
    text = (
        "gene\tposition\tstrand\tchromosome\tcage peak ranges\tprimary TSS\n"
        "A\t7.0\t-\tchr19\t[(10, 20), (30, 31)]\t(10, 20)\n"
        "B\t9.0\t+\tchr1\t[]\tnone\n"
        "C\t9.0\t+\tchr2\t[(5, 9)]\t\n"
    )
    for name, write in (("t.txt", (tmp_path / "t.txt").write_text), ("t.gz", None)):
        if write:
            write(text)
        else:
            (tmp_path / name).write_bytes(gzip.compress(text.encode()))
        assert read_peaks(tmp_path / name) == [
            Peak("chr19", 10, 20, "-", 14),
            Peak("chr19", 30, 31, "-", 30),
            Peak("chr19", 10, 20, "-", 14),
            Peak("chr2", 5, 9, "+", 7),
        ]


def test_the_summit_of_a_bed_line(tmp_path: Path) -> None:
    lines = ["chr1\t10\t20\tp\t5\t+\t12\t13", "chr1\t10\t20\tp\t5\t-\t19\t20", "chr1\t10\t20\tp\t5\t-\t10\t20"]
    (tmp_path / "p.bed").write_text("\n".join(lines) + "\n")
    assert [peak.site for peak in read_peaks(tmp_path / "p.bed")] == [12, 19, 14]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t10\t20\tp\t0", "not a BED line with a strand, .*line 2"),
        ("chr1\tx\t20\tp\t0\t+", "not a BED line with a strand"),
        ("chr1\t20\t20\tp\t0\t+", "not a peak, .*line 2"),
        ("chr1\t10\t20\tp\t0\t.", "on strand '.'"),
        ("chr1\t10\t20\tp\t0\t+\t\t\tchr1\t30\t40\tq\t0\t-", "not a BED line with a strand"),
        ("chr1\t10\t20\tp\t0\t+\t12\t13\txchr1\t30\t40\tq\t0\t-", "14 columns where .*line 2; a line end was lost"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "p.bed").write_text(f"chr1\t1\t2\tp\t0\t+\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_peaks(tmp_path / "p.bed")


def test_files_without_peaks(tmp_path: Path, genome: Genome) -> None:
    (tmp_path / "e.bed").write_text("")
    (tmp_path / "damaged.gz").write_bytes(b"\x1f\x8b\x08 no")
    (tmp_path / "n.bed").write_text("chr3\t70\t80\tp\t0\t+\n")
    with pytest.raises(DataError, match="no CAGE peak"):
        read_peaks(tmp_path / "e.bed")
    with pytest.raises(DataError, match="the compressed data are damaged"):
        read_peaks(tmp_path / "damaged.gz")
    with pytest.raises(DataError, match="no peak lies in known sequence"):
        build_tss(genome, [tmp_path / "n.bed"], tmp_path / "d", OPTIONS)
    with pytest.raises(DataError, match="no contig 'chr9' to hold out"):
        build_tss(genome, [tmp_path / "n.bed"], tmp_path / "d", TssOptions(test=("chr9",)))
    with pytest.raises(UsageError, match="shares"):
        TssOptions(peak_share=1.0)


# intervals, against sets of positions

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=8)


def disjoint(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, set[int]]:
    """Sorted disjoint intervals that do not touch, and the positions in them."""
    inside = {i for start, length in pairs for i in range(start, start + length)}
    edges = [i for i in sorted(inside) if i - 1 not in inside], [i + 1 for i in sorted(inside) if i + 1 not in inside]
    return np.array(list(zip(*edges, strict=True)), np.int64).reshape(-1, 2), inside


@given(SPANS, SPANS)
def test_intervals_without_others(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    (spans, inside), (holes, covered) = disjoint(one), disjoint(other)
    found = without(spans, holes)
    assert [i for a, b in found.tolist() for i in range(a, b)] == sorted(inside - covered)


@given(SPANS, st.integers(0, 200))
def test_numbers_are_drawn_once_each_out_of_intervals(pairs: list[tuple[int, int]], n: int) -> None:
    spans, inside = disjoint(pairs)
    found = draw(spans, n, np.random.default_rng(0)).tolist()
    assert len(found) == min(n, len(inside)) == len(set(found)) and set(found) <= inside


def test_numbers_are_drawn_alike() -> None:
    spans = np.array([[0, 3], [10, 11]])
    random = np.random.default_rng(0)
    counts = np.bincount([draw(spans, 1, random)[0] for _ in range(2000)], minlength=11)
    assert counts[[0, 1, 2, 10]] == pytest.approx([500] * 4, rel=0.15)


def test_known_runs(genome: Genome) -> None:
    assert known_runs(genome, "chr3").tolist() == [[0, 60]]
    assert known_runs(genome, "chr1").tolist() == [[0, 3000]]


def test_known_runs_across_pieces(genome: Genome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("varscore.datasets.tss._CHUNK", 7)
    assert known_runs(genome, "chr3").tolist() == [[0, 60]]


@pytest.mark.parametrize("width", [1, 2, 3, 10, 11])
def test_the_middle_is_the_same_base_seen_from_either_end(width: int) -> None:
    start, length = 40, 100
    mirrored = (length - start - width, length - start)
    assert middle(start, start + width, "-") == length - 1 - middle(*mirrored, "+")
    assert start <= middle(start, start + width, "-") < start + width


@pytest.mark.realdata
def test_real_peaks(shared_data: Path) -> None:
    peaks = {p for name in ("tssTable", "p1p2Table") for p in read_peaks(shared_data / f"tss/human_{name}.txt.gz")}
    assert len(peaks) == 66_969  # as the data set's README says


def test_frequencies_around_start_sites_in_the_direction_of_transcription(genome: Genome, tmp_path: Path) -> None:
    """Against letters counted one by one; the card of a model has those of the sites that it may learn from."""
    sites = Sites(np.array([0, 0]), np.array([2300 - 10, 2500 - 9]), np.array([False, True]), np.zeros(2, np.int64))
    both = CONTIGS["chr1"][300:2501] + CONTIGS["chr1"][2300:][: 2501 + 2000 - 2300][::-1].translate(OTHER)
    found = base_frequencies(sites, genome, OPTIONS)
    assert found == pytest.approx([both.count(base) / len(both) for base in "ACGT"], abs=1e-6)
    build_tss(genome, [bed(tmp_path / "p.bed")], tmp_path / "d", OPTIONS)
    assert sum(ExampleSet(tmp_path / "d").info["frequencies"]) == pytest.approx(1, abs=1e-5)
