"""Labels that a table says are not known, against a loop over bins, tasks and lines of the table."""

from __future__ import annotations

import hashlib
import logging
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from varscore.datasets.examples import ExampleSet
from varscore.datasets.peaks import BinOptions, build_peaks
from varscore.datasets.unknown import read_unknown
from varscore.errors import DataError
from varscore.genome.sequence import Genome

OPTIONS = BinOptions(bin=20, window=60, bins="all", validation=("chr2",), test=("chrX",))
TRACKS = [f"{mark}.{cell}.bed" for mark in ("ctcf", "rad21", "dnase") for cell in ("a", "b", "c")]
CONTIGS = ["chr1", "chr2", "chrX"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genome of three contigs of 400 bases, and nine tracks of peaks."""
    folder, random = tmp_path_factory.mktemp("world"), np.random.default_rng(3)
    (folder / "peaks").mkdir()
    (folder / "g.fa").write_text("".join(f">{c}\n{''.join(random.choice(list('ACGT'), 400))}\n" for c in CONTIGS))
    for track in TRACKS:
        starts = random.integers(0, 380, 9)
        rows = [f"{random.choice(CONTIGS)}\t{start}\t{start + 30}\n" for start in starts]
        (folder / "peaks" / track).write_text("".join(rows))
    return folder


def build(world: Path, output: Path, text: str | None, options: BinOptions = OPTIONS) -> ExampleSet:
    table = None
    if text is not None:
        table = output.with_suffix(".tsv")
        table.write_text(text)
    with Genome(world / "g.fa") as genome:
        build_peaks(genome, world / "peaks", output, options, None, table)
    return ExampleSet(output)


def truth(data: ExampleSet, rows: list[tuple[str, str, int, int]]) -> np.ndarray:
    """bool (n, tasks): known; bin by bin, task by task, line by line."""
    known = np.ones((len(data), len(TRACKS)), bool)
    for i in range(len(data)):
        contig, start = data.contigs[data.contig[i]], int(data.start[i]) + 20
        for j, track in enumerate(sorted(TRACKS)):
            for wanted, where, first, last in rows:
                touches = contig == where and any(first <= base < last for base in range(start, start + 20))
                known[i, j] &= not (touches and fnmatchcase(track, wanted))
    return known


def test_unknown_labels_are_those_of_the_table(world: Path, tmp_path: Path) -> None:
    lines = ["track contig start end", "ctcf.a.bed X  ", "rad21* chr1 101 140", "dnase.?.bed chr2  81", "* chr2 360 "]
    text = "\n".join(lines).replace(" ", "\t") + "\n"
    rows = [
        ("ctcf.a.bed", "chrX", 0, 400),
        ("rad21*", "chr1", 101, 140),
        ("dnase.?.bed", "chr2", 0, 81),
        ("*", "chr2", 360, 400),
    ]
    plain, data = build(world, tmp_path / "plain", None), build(world, tmp_path / "data", text)
    everything = data.rows("all")
    known, expected = data.known(everything), truth(data, rows)
    assert known is not None and (known == expected).all()
    assert not expected.all(1).all() and expected.any(), "the case says something"
    assert (data.labels(everything) == plain.labels(everything) * expected).all(), "no label where nothing is known"
    assert data.info["counts"]["unknown labels"] == int((~expected).sum())
    assert data.info["counts"]["labelled"] == int(data.labels(everything).any(1).sum())
    learnt = data.rows("train")
    assert data.info["population"]["examples"] == expected[learnt].sum(0).tolist()
    assert data.info["population"]["positives"] == data.labels(learnt).sum(0).tolist()
    assert data.info["unknown"] == {"data.tsv": hashlib.sha256(text.encode()).hexdigest()}
    assert plain.known(everything) is None and "unknown labels" not in plain.info["counts"]


def test_tracks_go_by_the_name_of_their_task_too(world: Path) -> None:
    names = [("wgX.bed.gz", "K562|CTCF"), ("wgY.bed.gz", "GM12878|CTCF"), ("wgZ.bed.gz", "odd[1]")]
    table = world / "names.tsv"
    table.write_text("track\tcontig\nK562|CTCF\tchr1\n*CTCF\t1\nwg[XZ].bed.gz\tchr1\nodd[1]\tchr1\n")
    chosen = [patch.tracks.tolist() for patch in read_unknown(table, names, ["chr1"])]
    assert chosen == [[True, False, False], [True, True, False], [True, False, True], [False, False, True]]


def test_bins_without_a_known_label_are_unlabelled(world: Path, tmp_path: Path) -> None:
    any_bins = BinOptions(bin=20, window=60, bins="any", validation=("chr2",), test=("chrX",))
    data = build(world, tmp_path / "data", "track\tcontig\n*\tchrX\n", any_bins)
    assert len(data) and "chrX" not in {data.contigs[contig] for contig in data.contig}


def test_peaks_where_nothing_should_be_known_are_warned_of(
    world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = build(world, tmp_path / "plain", None)
    on_x = plain.rows("test")
    with caplog.at_level(logging.WARNING):
        build(world, tmp_path / "data", "track\tcontig\nctcf*\tchrX\n")
    hidden = int(plain.labels(on_x)[:, :3].sum())
    assert hidden and f"{hidden} positive labels lie where it says unknown" in caplog.text


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(world: Path) -> None:
    table = world / "bom.tsv"
    table.write_bytes(b"\xef\xbb\xbftrack\tcontig\tstart\tend\r\nt\tchr1\t5\t9\r\n\r\n")
    (patch,) = read_unknown(table, [("t.bed", "t")], ["chr1"])
    assert (patch.contig, patch.start, patch.end) == (0, 5, 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'track'"),
        ("track\tchrom\nt\tchr1\n", "no column 'contig'"),
        ("track contig\nt chr1\n", "no column 'track'"),
        ("track\tcontig\n", "no line but the header"),
        ("track\tcontig\tcontig\nt\tchr1\tchr1\n", "two columns of one name"),
        ("track\tcontig\nt\tchr1\nt\n", "1 columns under a header of 2.*line 3"),
        ("track\tcontig\nt\tchr1\t5\t9\n", "4 columns under a header of 2.*line 2"),
        ("track\tcontig\nt\t \n", "an empty column 'contig'.*line 2"),
        ("track\tcontig\nt\tchr1\n\nu\tchr1\n", "no track 'u'.*line 4"),
        ("track\tcontig\nt*x\tchr1\n", "no track 't\\*x'.*line 2"),
        ("track\tcontig\nt\tchr7\n", "no contig 'chr7'.*line 2"),
        ("track\tcontig\tstart\tend\nt\tchr1\t9\t9\n", "not a stretch of a contig.*line 2"),
        ("track\tcontig\tstart\tend\nt\tchr1\t-1\t9\n", "not a stretch of a contig.*line 2"),
        ("track\tcontig\tstart\tend\nt\tchr1\tx\t9\n", "not a stretch of a contig.*line 2"),
        ("track\tcontig\tend\nt\tchr1\t99999999999999999999\n", "not a stretch of a contig.*line 2"),
    ],
)
def test_bad_tables_are_told_what_and_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "unknown.tsv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_unknown(tmp_path / "unknown.tsv", [("t.bed", "t")], ["chr1"])


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the table"):
        read_unknown(tmp_path / "none.tsv", [("t.bed", "t")], ["chr1"])
