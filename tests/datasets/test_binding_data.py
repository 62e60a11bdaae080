"""Binding data sets, against labels, signals and choices made base by base and bin by bin."""

from __future__ import annotations

import gzip
import logging
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varscore.datasets.binding import (
    AMBIGUOUS,
    BOUND,
    STATES,
    UNBOUND,
    UNKNOWN,
    BindingOptions,
    Grid,
    Sources,
    build_binding,
    label_bins,
)
from varscore.datasets.cells import find_chip, is_in_name, match_cells
from varscore.datasets.examples import ExampleSet
from varscore.datasets.signal import PeakSignal, read_expression, read_peak_signal
from varscore.datasets.spans import merge_spans
from varscore.errors import DataError, UsageError
from varscore.genome.sequence import Genome, decode

LENGTHS = {"chr1": 3000, "chr2": 1500, "chr3": 900, "chr4": 500}
GAP = ("chr1", 1210, 1233)
CELLS = ("A-1", "B1", "C1")
OPTIONS = BindingOptions(
    bin=20, stride=5, window=60, bound=10, others=37, test_cells=("C1",), validation=("chr2",), test=("chr3",)
)
DNASE = {
    "A-1": [("chr1", 100, 150, 8.0), ("chr1", 140, 160, 3.0), ("chr2", 700, 720, 1.5), ("chr3", 5, 90, 2.0)],
    "B1": [("chr1", 100, 150, 1.0), ("chr1", 2000, 2200, 4.0), ("chr4", 0, 400, 5.0)],
    "C1": [("chr3", 300, 340, 6.0), ("chr1", 100, 500, 9.0)],
}
PEAKS = {
    ("A-1", "F"): [("chr1", 110, 140), ("chr1", 400, 404), ("chr2", 701, 719), ("chr3", 50, 90)],
    ("B1", "F"): [("chr1", 120, 135), ("chr1", 2050, 2090)],
    ("B1", "G"): [("chr1", 2100, 2140), ("chr2", 10, 60)],
    ("C1", "F"): [("chr1", 120, 150), ("chr3", 310, 330)],
}
RELAXED = {("A-1", "F"): [("chr1", 90, 170), ("chr1", 390, 420), ("chr4", 200, 220)]}


def bases(contig: str) -> str:
    letters = "".join(random.Random(contig).choices("ACGT", k=LENGTHS[contig]))
    if contig == GAP[0]:
        letters = letters[: GAP[1]] + "N" * (GAP[2] - GAP[1]) + letters[GAP[2] :]
    return letters


@pytest.fixture
def genome(tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{bases(name)}\n" for name in LENGTHS))
    with Genome(tmp_path / "g.fa", cache_dir=tmp_path / "cache") as opened:
        yield opened


def write(path: Path, rows: list[tuple]) -> None:  # type: ignore[type-arg]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress("".join("\t".join(map(str, row)) + "\n" for row in rows).encode()))


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    for (cell, factor), rows in PEAKS.items():
        write(tmp_path / f"chip/ChIPseq.{cell}.{factor}.conservative.train.bed.gz", rows)
    for (cell, factor), rows in RELAXED.items():
        write(tmp_path / f"wide/ChIPseq.{cell}.{factor}.relaxed.narrowPeak.gz", rows)
    for cell, rows in DNASE.items():
        write(tmp_path / f"dnase/wgX{cell.replace('-', '')}UniPk.bed.gz", rows)
    return Sources(tmp_path / "chip", tmp_path / "dnase")


def build(genome: Genome, sources: Sources, folder: Path, **more: object) -> ExampleSet:
    options = BindingOptions(**{**vars(OPTIONS), **more})
    build_binding(genome, sources, folder, options)
    return ExampleSet(folder)


# the slow way


def bases_under(rows: list[tuple[str, int, int]], contig: str, start: int, end: int) -> int:
    return sum(any(c == contig and a <= base < b for c, a, b, *_ in rows) for base in range(start, end))


def slow_state(cell: str, factor: str, contig: str, start: int, relaxed: bool) -> int:
    certain = PEAKS.get((cell, factor), [])
    wide = RELAXED.get((cell, factor), []) if relaxed else []
    if contig not in {row[0] for row in certain + wide}:
        return UNKNOWN
    if bases_under(certain, contig, start, start + 20) >= 10:
        return BOUND
    return AMBIGUOUS if wide and bases_under(certain + wide, contig, start, start + 20) else UNBOUND


def slow_bins(contig: str) -> list[int]:
    letters = bases(contig)
    return [s for s in range(20, LENGTHS[contig] - 39, 5) if "N" not in letters[s - 20 : s + 40]]


def slow_signal(cell: str, contig: str, start: int, end: int) -> list[float]:
    return [
        np.log(1 + max([h for c, a, b, h in DNASE[cell] if c == contig and a <= base < b], default=0))
        for base in range(start, end)
    ]


@pytest.mark.parametrize("relaxed", [False, True])
def test_every_label_is_that_of_a_slow_labeller(
    genome: Genome, sources: Sources, tmp_path: Path, relaxed: bool
) -> None:
    if relaxed:
        sources = Sources(sources.chip, sources.dnase, relaxed=tmp_path / "wide")
    data = build(genome, sources, tmp_path / "d")
    rows = data.rows("all")
    assert [task.name for task in data.tasks] == ["F", "G"] and data.cells == CELLS
    labels, known, seen = data.labels(rows), data.known(rows), set()
    counts = np.zeros((2, 4), int)
    for row in rows.tolist():
        cell, contig, start = data.cells[data.cell[row]], data.contigs[data.contig[row]], int(data.start[row]) + 20
        states = [slow_state(cell, factor, contig, start, relaxed) for factor in "FG"]
        assert labels[row].tolist() == [int(state == BOUND) for state in states]
        assert known[row].tolist() == [state != UNKNOWN for state in states]
        counts[[0, 1], states] += 1
        seen |= set(states)
    assert seen == ({UNBOUND, AMBIGUOUS, BOUND, UNKNOWN} if relaxed else {UNBOUND, BOUND, UNKNOWN})
    stated = [[int(task.facts[name]) for name in STATES] for task in data.tasks]
    assert stated == counts.tolist()


def test_training_and_test_have_the_bins_they_should(genome: Genome, sources: Sources, tmp_path: Path) -> None:
    data = build(genome, sources, tmp_path / "d")
    found: dict[tuple[str, str], list[int]] = {}
    for row in data.rows("all").tolist():
        contig, cell = data.contigs[data.contig[row]], data.cells[data.cell[row]]
        assert data.split[row] == {"chr1": 0, "chr2": 1, "chr3": 2, "chr4": 0}[contig]
        found.setdefault((cell, contig), []).append(int(data.start[row]) + 20)
    assert found["C1", "chr3"] == slow_bins("chr3"), "every bin of the held-out cell type and chromosome"
    assert {key for key in found if key[0] == "C1" or key[1] == "chr3"} == {("C1", "chr3")}, "and of no other"
    for cell in ("A-1", "B1"):
        others = 0
        for contig in ("chr1", "chr2", "chr4"):
            there = any(c == contig for (owner, _), rows in PEAKS.items() if owner == cell for c, _, _ in rows)
            opened = [s for s in slow_bins(contig) if there and bases_under(DNASE[cell], contig, s, s + 20)]
            chosen = set(found.get((cell, contig), []))
            assert set(opened) <= chosen <= (set(slow_bins(contig)) if there else set())
            others += len(chosen) - len(opened)
        assert others == 37
    assert ("B1", "chr4") not in found, "nothing is known of a chromosome that no peak is on"
    open_b4 = sum(bases_under(DNASE["B1"], "chr4", s, s + 20) > 0 for s in slow_bins("chr4"))
    assert data.info["counts"]["not measured"] == open_b4 > 0
    assert data.info["counts"]["test"] == len(slow_bins("chr3"))


def test_windows_and_dnase_are_the_cell_types_own(genome: Genome, sources: Sources, tmp_path: Path) -> None:
    data = build(genome, sources, tmp_path / "d")
    rows = data.rows("all")
    windows, tracks = data.windows(rows), data.tracks(rows)
    assert data.track_names == ("DNase",) and tracks.shape == (len(rows), 1, 60)
    for row in rows.tolist():
        contig, start = data.contigs[data.contig[row]], int(data.start[row])
        assert decode(windows[row]).decode() == bases(contig)[start : start + 60]
        expected = slow_signal(data.cells[data.cell[row]], contig, start, start + 60)
        assert tracks[row, 0] == pytest.approx(expected, rel=1e-6)
    assert tracks.max() == pytest.approx(np.log(9))


def test_without_test_cells_every_cell_type_is_tested_on_held_out_chromosomes(
    genome: Genome, sources: Sources, tmp_path: Path
) -> None:
    data = build(genome, sources, tmp_path / "d", test_cells=())
    test = data.rows("test")
    assert {data.cells[c] for c in data.cell[test]} == {"A-1", "C1"}, "B was not measured there"
    assert len(test) == 2 * len(slow_bins("chr3"))
    assert {data.cells[c] for c in data.cell[data.rows("train")]} == set(CELLS)


def test_ambiguous_bins_may_be_left_unknown(genome: Genome, sources: Sources, tmp_path: Path) -> None:
    wide = Sources(sources.chip, sources.dnase, relaxed=tmp_path / "wide")
    options = {"factors": ("F",), "others": 10_000}
    unbound, unknown = (build(genome, wide, tmp_path / a, ambiguous=a, **options) for a in ("unbound", "unknown"))
    ambiguous = int(unbound.tasks[0].facts["ambiguous"])
    slow = sum(slow_state("A-1", "F", c, s, True) == AMBIGUOUS for c in ("chr1", "chr2", "chr4") for s in slow_bins(c))
    assert ambiguous == slow > 10
    assert len(unknown) == len(unbound) - ambiguous, "nothing else is known of these bins"
    assert unknown.tasks[0].facts["bound"] == unbound.tasks[0].facts["bound"]


def test_the_sample_of_others_is_the_seeds(genome: Genome, sources: Sources, tmp_path: Path) -> None:
    one, two, other = (build(genome, sources, tmp_path / n, seed=s) for n, s in (("a", 0), ("b", 0), ("c", 1)))
    assert one.start.tolist() == two.start.tolist() != other.start.tolist()


def test_some_cells_and_factors(genome: Genome, sources: Sources, tmp_path: Path) -> None:
    data = build(genome, sources, tmp_path / "d", cells=("A-1",), factors=("F",))
    assert data.cells == ("A-1", "C1") and [task.name for task in data.tasks] == ["F"]


def test_excluded_regions(genome: Genome, sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "x.bed").write_text("chr3\t400\t405\n")
    data = build(genome, Sources(sources.chip, sources.dnase, exclude=tmp_path / "x.bed"), tmp_path / "d")
    found = (data.start[data.rows("test")] + 20).tolist()
    assert found == [s for s in slow_bins("chr3") if not (s - 20 < 405 and s + 40 > 400)]


# labels, for any peaks

INTERVALS = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)).map(lambda p: (p[0], p[0] + p[1])), max_size=5)


@settings(max_examples=100)
@given(INTERVALS, st.none() | INTERVALS, st.integers(1, 12))
def test_labels_for_any_peaks(certain: list[tuple[int, int]], wide: list[tuple[int, int]] | None, bound: int) -> None:
    options = BindingOptions(bin=12, stride=3, window=20, bound=bound)
    start = np.arange(0, 110, 3)
    grid = Grid(np.zeros(len(start), np.int16), start, np.zeros(len(start), np.uint8))
    peaks = {"c": merge_spans(np.array(certain, np.int64).reshape(-1, 2))}
    relaxed = None if wide is None else {"c": merge_spans(np.array(certain + wide, np.int64).reshape(-1, 2))}
    found = label_bins(grid, peaks, relaxed, ["c"], options)
    under, touched = (
        {base for a, b in rows for base in range(a, b)} for rows in (certain, [] if wide is None else certain + wide)
    )
    for s, state in zip(start.tolist(), found.tolist(), strict=True):
        inside = set(range(s, s + 12))
        expected = BOUND if len(inside & under) >= bound else AMBIGUOUS if inside & touched else UNBOUND
        assert state == expected
    nowhere = label_bins(grid, {}, None, ["c"], options)
    assert (nowhere == UNKNOWN).all()


# signals

HEIGHTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20), st.integers(0, 9)), min_size=1, max_size=8)


@settings(max_examples=100)
@given(HEIGHTS, st.integers(0, 80), st.integers(0, 40))
def test_the_highest_peak_is_the_signal(peaks: list[tuple[int, int, int]], start: int, length: int) -> None:
    spans = np.array([(a, a + n) for a, n, _ in peaks], np.int64)
    signal = PeakSignal({"c": spans}, {"c": np.array([float(h) for _, _, h in peaks])})
    slow = [max([h for a, n, h in peaks if a <= i < a + n], default=0) for i in range(start, start + length)]
    assert signal.along("c", start, start + length).tolist() == slow
    assert not signal.along("other", start, start + length).any()


def test_the_column_of_the_signal(genome: Genome, tmp_path: Path) -> None:
    narrow = "chr1\t10\t20\tp\t500\t.\t7.5\t-1\t-1\t5"
    for name, text, column, height in (
        ("a.narrowPeak", narrow, None, 7.5),
        ("a.bed", "chr1\t10\t20\t3", None, 3),
        ("b.bed", narrow, 5, 500),
        ("c.bed", "# x\ntrack y\n1 10 20 4\n", None, 4),
    ):
        (tmp_path / name).write_text(text + "\n")
        found = read_peak_signal(tmp_path / name, genome, column)
        assert found.along("chr1", 8, 12).tolist() == [0, 0, height, height]


@pytest.mark.parametrize("line", ["chr1\t10\t20\tname", "chr1\t10\t20", "chr1\t10\t20\tnan", "chr1\t10\t20\t-1", "x"])
def test_peaks_without_a_signal(genome: Genome, tmp_path: Path, line: str) -> None:
    (tmp_path / "a.bed").write_text(f"chr1\t1\t2\t3\n{line}\n")
    with pytest.raises(DataError, match="line 2"):
        read_peak_signal(tmp_path / "a.bed", genome)


def write_bigwig(path: Path, rows: list[tuple[str, int, int, float]]) -> None:
    pybigtools = pytest.importorskip("pybigtools")
    path.parent.mkdir(exist_ok=True)
    writer = pybigtools.open(str(path), "w")
    writer.write(LENGTHS, iter(rows))


def test_dnase_of_every_base_and_shape(genome: Genome, sources: Sources, tmp_path: Path) -> None:
    noise = random.Random(3)
    tracks = {}
    for name in ("dnase/A-1", "dnase/B1", "dnase/C1", "shape/mgw"):
        rows = [(c, a, a + 7, round(noise.random() * 9, 2)) for c in LENGTHS for a in range(0, LENGTHS[c] - 7, 11)]
        write_bigwig(tmp_path / "bw" / f"{Path(name).name}.bw", rows)
        tracks[Path(name).name] = {(c, i): v for c, a, b, v in rows for i in range(a, b)}
    (tmp_path / "bw/t.tsv").write_text("cell\tfile\n" + "".join(f"{c}\t{c}.bw\n" for c in CELLS))
    signals = Sources(
        sources.chip, sources.dnase, dnase_signal=tmp_path / "bw/t.tsv", shape={"MGW": tmp_path / "bw/mgw.bw"}
    )
    data = build(genome, signals, tmp_path / "d")
    assert data.track_names == ("DNase", "MGW")
    known = [i for c in ("chr1", "chr4") for i in ((c, p) for p, base in enumerate(bases(c)) if base != "N")]
    values = [tracks["mgw"][place] for place in known if place in tracks["mgw"]]
    mean, scale = np.mean(values), np.std(values)
    assert data.info["standardised"]["MGW"] == pytest.approx([mean, scale], rel=1e-5)
    rows = data.rows("all")[::7]
    for row, found in zip(rows.tolist(), data.tracks(rows), strict=True):
        contig, start, cell = data.contigs[data.contig[row]], int(data.start[row]), data.cells[data.cell[row]]
        places = [(contig, start + i) for i in range(60)]
        assert found[0] == pytest.approx([np.log1p(tracks[cell].get(place, 0)) for place in places], rel=1e-5)
        shape = [(tracks["mgw"].get(place, mean) - mean) / scale for place in places]
        assert found[1] == pytest.approx(shape, abs=1e-4)


def test_expression_is_standardised_over_training_cell_types(genome: Genome, sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "e.tsv").write_text("gene\ta1\tB1\tC1\tother\nF\t1\t5\t9\t0\nG\t2\t2\t7\t0\n")
    data = build(genome, Sources(sources.chip, sources.dnase, expression=tmp_path / "e.tsv"), tmp_path / "d")
    assert data.scalar_names == ("F", "G")
    expected = {"A-1": [-1, 0], "B1": [1, 0], "C1": [3, 5]}
    rows = data.rows("all")
    for cell, found in zip(data.cell.tolist(), data.scalars(rows).tolist(), strict=True):
        assert found == expected[CELLS[cell]]
    with pytest.raises(DataError, match="no column for B1"):
        (tmp_path / "f.tsv").write_text("gene\ta1\nF\t1\n")
        read_expression(tmp_path / "f.tsv", CELLS, [True] * 3)
    with pytest.raises(DataError, match="no number"):
        (tmp_path / "g.tsv").write_text("gene\ta1\tb1\tc1\nF\t1\tx\t2\n")
        read_expression(tmp_path / "g.tsv", CELLS, [True] * 3)


# files


def test_a_table_of_chip_files(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("cell\tfactor\tfile\trelaxed\nB\tF\tx.bed\ty.bed\nA\tF\tz.bed\t\n")
    found = find_chip(tmp_path / "t.tsv")
    assert [(c.cell, c.factor, c.conservative.name, c.relaxed and c.relaxed.name) for c in found] == [
        ("A", "F", "z.bed", None),
        ("B", "F", "x.bed", "y.bed"),
    ]
    (tmp_path / "t.tsv").write_text("cell\tfactor\tfile\nB\tF\tx.bed\nB\tF\tz.bed\n")
    with pytest.raises(DataError, match="two sets of peaks for F in B"):
        find_chip(tmp_path / "t.tsv")
    with pytest.raises(DataError, match="no ChIP-seq peaks"):
        find_chip(tmp_path)
    with pytest.raises(DataError, match="cannot read the table"):
        find_chip(tmp_path / "none.tsv")


def test_cell_types_are_found_in_the_names_of_files(tmp_path: Path) -> None:
    for name in ("wgAwgH1hescUniPk.bed.gz", "HeLa-S3.bed"):
        (tmp_path / name).write_text("")
    found = match_cells(tmp_path, ["H1-hESC", "HeLaS3", "K562"])
    assert {cell: path.name for cell, path in found.items()} == {
        "H1-hESC": "wgAwgH1hescUniPk.bed.gz",
        "HeLaS3": "HeLa-S3.bed",
    }
    with pytest.raises(DataError, match="which file is whose"):
        match_cells(tmp_path, ["H1-hESC", "hESC"])
    (tmp_path / "HeLa-S3.rep2.bed").write_text("")
    with pytest.raises(DataError, match="which file is whose"):
        match_cells(tmp_path, ["HeLa-S3"])


@pytest.mark.parametrize(
    ("cell", "name", "there"),
    [
        ("H1-hESC", "wgEncodeAwgDnaseUwdukeH1hescUniPk.bed.gz", True),
        ("HCT116", "wgEncodeAwgDnaseUwHct116UniPk.bed.gz", True),
        ("K562", "DNASE.K-562.fc.signal.bigwig", True),
        ("H1", "H1975.bed", False),
        ("H1", "DNASE.H1975.H1.bed", True),
        ("A1", "wgXA1UniPk.bed", True),
        ("K562", "1K5621.bed", False),
        ("HeLa", "Helas3.bed", False),
        ("HeLa", "HeLa-S3.bed", True),
        ("liver", "sliver.bed", False),
        ("liver", "fetal_liver_2.bed", True),
        ("PC-3", "ENCFF2PC3.bed", True),
        ("肝", "K562.bed", False),
    ],
)
def test_a_cell_type_is_no_part_of_a_longer_word_or_number(cell: str, name: str, there: bool) -> None:
    assert is_in_name(cell, name) is there


def test_a_cell_type_without_dnase_is_left_out_aloud(
    genome: Genome, sources: Sources, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    next((tmp_path / "dnase").glob("*A1*")).unlink()
    with caplog.at_level(logging.WARNING):
        assert build(genome, sources, tmp_path / "d").cells == ("B1", "C1")
    assert "no DNase for A-1" in caplog.text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"factors": ("H",)}, "no factor 'H'; one of F, G"),
        ({"test_cells": ("D",)}, "no cell type 'D'; one of A-1, B1, C1"),
        ({"test_cells": CELLS}, "no cell type is left to train on"),
        ({"test": ("chr9",)}, "no contig 'chr9' to hold out"),
        ({"test": ("chr4",)}, "no bin of the test split is bound"),
        ({"factors": ("G",), "test_cells": ("B1",)}, "no cell type is left to train on"),
    ],
)
def test_nothing_to_learn_from(
    genome: Genome, sources: Sources, tmp_path: Path, more: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        build(genome, sources, tmp_path / "d", **more)
    assert not (tmp_path / "d").exists()


def test_impossible_bins() -> None:
    with pytest.raises(UsageError, match="middle of a window"):
        BindingOptions(bin=201)
    with pytest.raises(UsageError, match="cannot be bound"):
        BindingOptions(bound=201)


@pytest.mark.realdata
def test_real_files_find_their_cell_types_and_are_silent_on_three_chromosomes(shared_data: Path) -> None:
    chips = find_chip(shared_data / "binding/chip_conservative")
    cells = sorted({chip.cell for chip in chips})
    assert len(chips) == 109 and len({chip.factor for chip in chips}) == 31
    found = match_cells(shared_data / "binding/dnase_signal", cells)
    assert sorted(found) == cells and found["IMR-90"].name.startswith("IMR90")
    assert found["H1-hESC"].name == "wgEncodeAwgDnaseUwdukeH1hescUniPk.bed.gz"
    ctcf = [chip for chip in chips if chip.factor == "CTCF"]
    texts = [gzip.decompress(chip.conservative.read_bytes()).decode() for chip in ctcf]
    named = {line.split("\t")[0] for text in texts for line in text.splitlines()}
    assert {"chr2", "chr22", "chrX"} <= named and not {"chr1", "chr8", "chr21"} & named
