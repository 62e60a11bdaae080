"""Data sets from peaks, against a labeller that loops over bases."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varscore.datasets import peaks
from varscore.datasets.examples import SPLITS, ExampleSet
from varscore.datasets.peaks import BinOptions, build_peaks, find_tracks, split_contigs
from varscore.errors import DataError, UsageError
from varscore.genome.sequence import Genome, encode

SMALL = BinOptions(bin=20, window=60, bins="all", validation=("chr2",), test=("chr3",))

Peaks = dict[str, list[tuple[str, int, int]]]
"""track -> its peaks"""


@dataclass
class World:
    """A genome, its peaks, and what a slow labeller makes of them."""

    contigs: dict[str, str]
    tracks: Peaks
    exclude: list[tuple[str, int, int]] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        (folder / "peaks").mkdir(parents=True)
        (folder / "g.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in self.contigs.items()))
        for name, rows in self.tracks.items():
            (folder / "peaks" / f"{name}.bed").write_text("".join(f"{c}\t{a}\t{b}\n" for c, a, b in rows))
        (folder / "exclude.bed").write_text("".join(f"{c}\t{a}\t{b}\n" for c, a, b in self.exclude))

    def build(self, folder: Path, options: BinOptions) -> ExampleSet:
        self.write(folder)
        with Genome(folder / "g.fa", cache_dir=folder / "cache") as genome:
            exclude = folder / "exclude.bed" if self.exclude else None
            build_peaks(genome, folder / "peaks", folder / "data", options, exclude)
        return ExampleSet(folder / "data")

    def slowly(self, options: BinOptions) -> dict[tuple[str, int], tuple[str, list[int]]]:
        """(contig, start of the window) -> bases of the window, labels; every bin that is known and not excluded."""
        found = {}
        for contig, bases in self.contigs.items():
            under = [{i for c, a, b in rows if c == contig for i in range(a, b)} for rows in self.tracks.values()]
            banned = {i for c, a, b in self.exclude if c == contig for i in range(a, b)}
            for start in (at for shift in options.shifts for at in range(shift, len(bases), options.bin)):
                if start + options.bin > len(bases):
                    continue
                first = start - (options.window - options.bin) // 2
                places = range(first, first + options.window)
                window = "".join(bases[i] if 0 <= i < len(bases) else "N" for i in places)
                if window.count("N") > options.max_unknown * options.window or banned & set(places):
                    continue
                inside = set(range(start, start + options.bin))
                found[contig, first] = window, [int(2 * len(inside & track) > options.bin) for track in under]
        return found


def contents(data: ExampleSet) -> dict[tuple[str, int], tuple[str, list[int]]]:
    rows = data.rows("all")
    windows, labels = data.windows(rows), data.labels(rows)
    return {
        (data.contigs[data.contig[i]], int(data.start[i])): (
            "".join("ACGTN"[base] for base in windows[i]),
            labels[i].tolist(),
        )
        for i in rows.tolist()
    }


BASES = st.text("ACGT", min_size=70, max_size=170)
GAP = st.tuples(st.integers(0, 150), st.integers(0, 25))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    contigs = {}
    for name in ("chr1", "chr2", "chr3"):
        bases = draw(BASES)
        for at, length in draw(st.lists(GAP, max_size=2)):
            bases = bases[:at] + "N" * len(bases[at : at + length]) + bases[at + length :]
        contigs[name] = bases
    span = st.tuples(st.sampled_from(list(contigs)), st.integers(0, 160), st.integers(1, 40))
    spans = st.lists(span.map(lambda s: (s[0], s[1], s[1] + s[2])), max_size=6)
    tracks = {f"t{i}": draw(spans) for i in range(draw(st.integers(1, 10)))}
    return World(contigs, tracks, draw(st.lists(st.tuples(st.just("chr1"), st.just(30), st.just(31)), max_size=1)))


@settings(max_examples=60)
@given(worlds(), st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from([(0,), (0,), (7,), (19,), (0, 10), (13, 4, 5)]))
def test_windows_and_labels_are_those_of_a_slow_labeller(
    world: World, max_unknown: float, shifts: tuple[int, ...]
) -> None:
    options = BinOptions(20, 60, "all", max_unknown=max_unknown, validation=("chr2",), test=("chr3",), shifts=shifts)
    expected = world.slowly(options)
    with tempfile.TemporaryDirectory() as folder:
        if any(any(labels) for _, labels in expected.values()):
            assert contents(world.build(Path(folder), options)) == expected
        else:
            with pytest.raises(DataError, match="no bin carries a label"):
                world.build(Path(folder), options)


def test_chunks_leave_no_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "_CHUNK", 3)
    random = np.random.default_rng(0)
    contigs = {
        name: "".join(random.choice(list("ACGTN"), 1007, p=[0.24] * 4 + [0.04])) for name in ("chr1", "chr2", "chr3")
    }
    world = World(contigs, {"t": [("chr1", 100, 700), ("chr3", 0, 50)]})
    options = BinOptions(20, 60, "all", max_unknown=0.05, validation=("chr2",), test=("chr3",))
    assert contents(world.build(tmp_path, options)) == world.slowly(options)


@pytest.fixture
def plain() -> World:
    """Three contigs of known sequence."""
    random = np.random.default_rng(1)
    contigs = {name: "".join(random.choice(list("ACGT"), 4000)) for name in ("chr1", "chr2", "chr3")}
    return World(contigs, {"t": [("chr1", 1000, 2000)]})


@pytest.mark.parametrize(("end", "positive"), [(1100, False), (1101, True), (1200, True)])
def test_more_than_half_of_a_bin_must_be_covered(tmp_path: Path, plain: World, end: int, positive: bool) -> None:
    plain.tracks = {"t": [("chr1", 1000, end)], "all": [("chr1", 0, 4000)]}
    data = plain.build(tmp_path, BinOptions(validation=("chr2",), test=("chr3",)))
    labels = {(data.start[i] + 400): data.labels(np.array([i]))[0].tolist() for i in data.rows("train")}
    assert labels[1000] == [1, int(positive)]


def test_pieces_of_two_peaks_add_up_but_overlaps_count_once(tmp_path: Path, plain: World) -> None:
    plain.tracks = {
        "apart": [("chr1", 1000, 1051), ("chr1", 1150, 1200)],
        "overlap": [("chr1", 1000, 1100), ("chr1", 1040, 1100)],
        "all": [("chr1", 0, 4000)],
    }
    data = plain.build(tmp_path, BinOptions(validation=("chr2",), test=("chr3",)))
    assert [task.name for task in data.tasks] == ["all", "apart", "overlap"]
    row = int(np.flatnonzero(data.start == 600)[0])
    assert data.labels(np.array([row])).tolist() == [[1, 1, 0]]


def test_splits_follow_contigs(tmp_path: Path, plain: World) -> None:
    data = plain.build(tmp_path, BinOptions(bins="all", validation=("chr2",), test=("chr3",)))
    for number, split in enumerate(SPLITS):
        rows = data.rows(split)
        assert {data.contigs[c] for c in data.contig[rows]} == {f"chr{number + 1}"}
        assert data.info["counts"][split] == len(rows) == 16
    assert len(data.rows("all")) == 48
    assert data.info["counts"]["labelled"] == len(data.rows("all", labelled_only=True)) == 5


@pytest.mark.parametrize("contigs", [["1", "7", "8", "9"], ["chr1", "chr7", "chr8", "chr9"]])
def test_held_out_contigs_go_by_either_name(contigs: list[str]) -> None:
    for validation, test in ((("chr7",), ("8", "chr9")), (("7",), ("chr8", "9"))):
        assert split_contigs(contigs, BinOptions(validation=validation, test=test)).tolist() == [0, 1, 2, 2]
    assert split_contigs(contigs, BinOptions(validation=(), test=())).tolist() == [0, 0, 0, 0]


def test_the_exact_name_of_a_contig_comes_first() -> None:
    options = BinOptions(validation=("7",), test=("chr7",))
    assert split_contigs(["chr7", "7"], options).tolist() == [2, 1]


def test_held_out_contigs_must_exist_and_belong_to_one_split() -> None:
    with pytest.raises(DataError, match="no contig 'chr7' to hold out"):
        split_contigs(["chr1"], BinOptions())
    with pytest.raises(DataError, match="in the validation split and in the test split"):
        split_contigs(["chr1"], BinOptions(validation=("chr1",), test=("1",)))
    with pytest.raises(DataError, match="no contig 'chrY' to skip"):
        split_contigs(["chr1"], BinOptions(validation=(), test=(), skip=("chrY",)))
    with pytest.raises(DataError, match="in the test split and to be skipped"):
        split_contigs(["chr1"], BinOptions(validation=(), test=("chr1",), skip=("1",)))


def test_no_bin_is_kept_of_a_contig_to_skip(tmp_path: Path, plain: World) -> None:
    options = {"bins": "all", "validation": ("chr2",)}
    whole = contents(plain.build(tmp_path / "whole", BinOptions(test=("chr3",), **options)))
    fewer = contents(plain.build(tmp_path / "fewer", BinOptions(test=(), skip=("3",), **options)))
    assert fewer == {key: example for key, example in whole.items() if key[0] != "chr3"} != whole


@pytest.fixture
def factors(plain: World) -> World:
    plain.tracks = {"DNase": [("chr1", 1000, 2000), ("chr2", 1000, 1400)], "CTCF": [("chr1", 1200, 1400)]}
    return plain


def starts(data: ExampleSet, split: str = "train") -> list[int]:
    return [int(start) + 400 for start in data.start[data.rows(split)]]


def test_bins_any_tf_and_all(tmp_path: Path, factors: World) -> None:
    factors.write(tmp_path)
    rows = [{"file": "DNase.bed", "cell": "K", "mark": "DNase"}, {"file": "CTCF.bed", "cell": "K", "mark": "CTCF"}]
    write_table(tmp_path / "peaks/tracks.tsv", rows)
    found = {}
    with Genome(tmp_path / "g.fa") as genome:
        for bins in ("any", "tf", "all"):
            options = BinOptions(bins=bins, validation=("chr2",), test=("chr3",))
            build_peaks(genome, tmp_path / "peaks", tmp_path / bins, options)
            found[bins] = starts(ExampleSet(tmp_path / bins))
    assert found["any"] == [1000, 1200, 1400, 1600, 1800]
    assert found["tf"] == [1200]
    assert found["all"] == list(range(400, 3600, 200))


def test_tf_bins_want_a_factor(tmp_path: Path, plain: World) -> None:
    with pytest.raises(DataError, match="no transcription-factor track"):
        plain.build(tmp_path, BinOptions(bins="tf", validation=("chr2",), test=("chr3",)))


@pytest.mark.parametrize(("ratio", "train", "validation"), [(0.0, 5, 2), (1.0, 10, 4), (1.5, 12, 5), (9.0, 16, 16)])
def test_unlabelled_bins_are_thinned_outside_the_test_split(
    tmp_path: Path, factors: World, ratio: float, train: int, validation: int
) -> None:
    options = BinOptions(bins="all", unlabelled=ratio, validation=("chr2",), test=("chr3",))
    data = factors.build(tmp_path, options)
    assert [len(data.rows(split)) for split in SPLITS] == [train, validation, 16]
    assert set(starts(data)) >= {1000, 1200, 1400, 1600, 1800}
    again = factors.build(tmp_path / "again", options)
    assert starts(again) == starts(data), "the same seed keeps the same bins"


def test_windows_over_a_contigs_end_or_unknown_bases_are_left_out_unless_wanted(tmp_path: Path, plain: World) -> None:
    plain.contigs["chr1"] = plain.contigs["chr1"][:2500] + "N" * 100 + plain.contigs["chr1"][2600:]
    options = {"bins": "all", "validation": ("chr2",), "test": ("chr3",)}
    strict = plain.build(tmp_path / "strict", BinOptions(**options))
    assert starts(strict) == [*range(400, 2000, 200), *range(3000, 3600, 200)]
    lenient = plain.build(tmp_path / "lenient", BinOptions(max_unknown=0.4, **options))
    assert starts(lenient) == list(range(0, 4000, 200))
    first = lenient.windows(lenient.rows("train")[:1])[0]
    assert (first[:400] == 4).all() and (first[400:] == encode(plain.contigs["chr1"][:600].encode())).all()


def test_a_blacklist_removes_windows_that_touch_it(tmp_path: Path, plain: World) -> None:
    plain.exclude = [("1", 2000, 2001)]  # by the contig's other name
    data = plain.build(tmp_path, BinOptions(bins="all", validation=("chr2",), test=("chr3",)))
    touching = [start for start in range(0, 4000, 200) if start - 400 <= 2000 < start + 600]
    assert starts(data) == [start for start in range(400, 3600, 200) if start not in touching]
    assert list(data.info["exclude"]) == ["exclude.bed"]


def test_an_empty_track_has_no_positives(tmp_path: Path, plain: World) -> None:
    plain.tracks["none"] = []
    data = plain.build(tmp_path, BinOptions(validation=("chr2",), test=("chr3",)))
    assert data.labels(data.rows("all")).sum(0).tolist() == [0, 5]


def test_windows_are_the_genomes_bases(tmp_path: Path, plain: World) -> None:
    data = plain.build(tmp_path, BinOptions(bins="all", validation=("chr2",), test=("chr3",)))
    rows = np.random.default_rng(0).permutation(data.rows("all"))
    with Genome(tmp_path / "g.fa") as genome:
        for row, window in zip(rows, data.windows(rows), strict=True):
            start = int(data.start[row])
            assert (window == genome.codes(data.contigs[data.contig[row]], start, start + 1000)).all()


def test_provenance_names_and_hashes_every_source(tmp_path: Path, plain: World) -> None:
    data = plain.build(tmp_path, BinOptions(validation=("chr2",), test=("chr3",)))
    info = json.loads((tmp_path / "data/dataset.json").read_text())
    assert list(info["peaks"]) == ["t.bed"] and len(info["peaks"]["t.bed"]) == 64
    assert info["reference"]["name"] == "g.fa"
    assert info["options"]["validation"] == ["chr2"]
    assert str(tmp_path) not in json.dumps(info)
    plain.tracks["t"].append(("chr1", 3000, 3001))  # changes no label
    other = plain.build(tmp_path / "other", BinOptions(validation=("chr2",), test=("chr3",)))
    assert contents(other) == contents(data)
    assert other.source_sha256 != data.source_sha256 and other.sha256 != data.sha256


@pytest.mark.parametrize(("bin_", "window"), [(200, 1001), (200, 100), (3, 10)])
def test_a_bin_stands_in_the_middle_of_its_window(bin_: int, window: int) -> None:
    with pytest.raises(UsageError, match="cannot stand in the middle"):
        BinOptions(bin=bin_, window=window)


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    columns = list(rows[0])
    lines = ["\t".join(columns), *("\t".join(row[column] for column in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(gzip.compress(b"chr1\t1\t2\n") if name.endswith("gz") else b"chr1\t1\t2\n")


def test_a_table_names_groups_and_keeps_facts(tmp_path: Path) -> None:
    touch(tmp_path, "a.bed", "sub/b.bed.gz", "c.bed", "d.bed", "e.bed")
    common = {"treatment": "None", "published_auroc_x": "0.5"}
    marks = {"a.bed": "DNase", "sub/b.bed.gz": "H3K27ac", "c.bed": "CTCF", "d.bed": "H2A.Z", "e.bed": "ATAC"}
    rows = [{"file": file, "cell": "K562", "mark": mark, **common} for file, mark in marks.items()]
    rows[2] |= {"treatment": "IFNg", "published_auroc_x": ""}
    write_table(tmp_path / "tracks.tsv", rows)
    tracks = find_tracks(tmp_path)
    assert [track.task.name for track in tracks] == [
        "K562|DNase",
        "K562|H3K27ac",
        "K562|CTCF|IFNg",
        "K562|H2A.Z",
        "K562|ATAC",
    ]
    assert [track.task.group for track in tracks] == ["DNase", "histone", "TF", "histone", "open"]
    assert [track.task.index for track in tracks] == [0, 1, 2, 3, 4]
    assert tracks[0].task.facts == {"cell": "K562", "mark": "DNase", **common}
    assert "published_auroc_x" not in tracks[2].task.facts
    assert find_tracks(tmp_path / "tracks.tsv") == tracks


def test_names_and_groups_of_a_table_are_taken_as_they_are(tmp_path: Path) -> None:
    touch(tmp_path, "a.bed")
    write_table(tmp_path / "my.tsv", [{"file": "a.bed", "name": "mine", "group": "odd", "mark": "CTCF"}])
    (track,) = find_tracks(tmp_path / "my.tsv")
    assert (track.task.name, track.task.group) == ("mine", "odd")


def test_without_a_table_every_peak_file_is_a_track(tmp_path: Path) -> None:
    touch(tmp_path, "b.x.bed.gz", "a.narrowPeak", "c.broadPeak.gz", "README.md")
    tracks = find_tracks(tmp_path)
    assert [(track.task.name, track.task.group) for track in tracks] == [("a", ""), ("b.x", ""), ("c", "")]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "no BED, narrowPeak or broadPeak file"),
        (lambda folder: (folder / "tracks.tsv").write_text(""), "no column 'file'"),
        (lambda folder: (folder / "tracks.tsv").write_text("name\nx\n"), "no column 'file'"),
        (
            lambda folder: (folder / "tracks.tsv").write_text("file\tname\n\tx\n"),
            "an empty column 'file'.*tracks.tsv line 2",
        ),
        (lambda folder: (folder / "tracks.tsv").write_text("file\nnone.bed\n"), "1 of 1 peak files are missing"),
        (lambda folder: (folder / "tracks.tsv").write_bytes(b"file\n\xff\xfe\n"), "cannot read the table"),
        (lambda folder: (folder / "tracks.tsv").write_text("file\tname\nx.bed\n"), "1 columns under a header of 2"),
        (lambda folder: (folder / "tracks.tsv").write_text("file\n"), "no line but the header"),
        (lambda folder: folder.rmdir(), "give a folder of peak files or a table"),
    ],
)
def test_no_tracks(tmp_path: Path, prepare: Callable[[Path], object], message: str) -> None:
    folder = tmp_path / "peaks"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(DataError, match=message):
        find_tracks(folder)


def test_a_table_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    touch(tmp_path, "a.bed")
    (tmp_path / "tracks.tsv").write_bytes(b"\xef\xbb\xbffile\tmark\r\na.bed\tCTCF\r\n\r\n")
    assert [track.task.name for track in find_tracks(tmp_path)] == ["CTCF"]


@pytest.mark.slow  # all of chromosome 21
@pytest.mark.realdata
def test_label_density_of_the_shared_tracks(shared_data: Path, tmp_path: Path) -> None:
    """README of the shared data: about 27 % of bins carry a label, 0.92 % of (bin, track) pairs."""
    with Genome(shared_data / "genome/hg19.masked.fa.gz") as genome:
        genome.contigs = {"chr21": genome.contigs["chr21"]}
        options = BinOptions(bins="all", validation=(), test=())
        build_peaks(genome, shared_data / "peaks/deepsea207", tmp_path / "data", options)
    data = ExampleSet(tmp_path / "data")
    labels = data.labels(data.rows("all"))
    assert len(data) > 10_000 and labels.shape[1] == 207
    assert labels.any(1).mean() == pytest.approx(0.27, abs=0.06)
    assert labels.mean() == pytest.approx(0.0092, abs=0.003)


@pytest.mark.parametrize("shift", [-1, 200])
def test_bins_are_shifted_by_less_than_one(shift: int) -> None:
    with pytest.raises(UsageError, match=r"bins of 200 bp cannot be shifted by .*; 0 to 199"):
        BinOptions(shifts=(0, shift))


@pytest.mark.parametrize("shifts", [(), (3, 3)])
def test_each_grid_is_another(shifts: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="a shift is given twice, or none"):
        BinOptions(shifts=shifts)


def test_every_file_of_peaks_is_a_track_or_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.bed", "b.BED.gz", "c.narrowpeak", "d.broadPeak.bgz", "e.peaks", "._a.bed", "README", "a.bedGraph"):
        (tmp_path / name).touch()
    assert [track.task.name for track in find_tracks(tmp_path)] == ["a", "b", "c", "d"]
    assert [record.message.split(": ")[1] for record in caplog.records] == [
        "e.peaks is no track (.bed, .narrowPeak or .broadPeak, .gz or not)"
    ]
    (tmp_path / "a.bed.gz").touch()
    with pytest.raises(DataError, match="two files of peaks are called a,"):
        find_tracks(tmp_path)


def test_names_of_files_are_utf8_wherever_they_are_read(tmp_path: Path) -> None:
    """In a locale without UTF-8, too, and where the name of a file is none."""
    (tmp_path / "g.fa").write_text("".join(f">chr{n}\n{'ACGT' * 50}\n" for n in (1, 2, 3)))
    (tmp_path / "peaks").mkdir()
    for name in ("J\u00fcrgen.bed".encode(), b"\xff.bed"):
        with open(os.path.join(os.fsencode(tmp_path), b"peaks", name), "w") as file:
            file.write("chr1\t20\t80\nchr2\t20\t80\nchr3\t20\t80\n")
    code = """if True:
        from pathlib import Path
        from varscore.datasets.peaks import BinOptions, build_peaks
        from varscore.genome.sequence import Genome
        options = BinOptions(bin=20, window=60, bins="all", validation=("chr2",), test=("chr3",))
        with Genome("g.fa", cache_dir=Path("cache")) as genome:
            build_peaks(genome, Path("peaks"), Path("data"), options)
    """
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=ascii_only, check=True)
    assert [task.name for task in ExampleSet(tmp_path / "data").tasks] == ["J\u00fcrgen", "\ufffd"]
