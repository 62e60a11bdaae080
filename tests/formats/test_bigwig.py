"""bigWig tracks against the intervals they were written from."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from varscore.errors import DataError, UsageError
from varscore.formats.bigwig import BigWig
from varscore.genome.sequence import Genome

pybigtools = pytest.importorskip("pybigtools")
INTERVALS = [("chr1", 10, 20, 1.5), ("chr1", 30, 31, -2.0), ("chr1", 900, 5000, 0.25), ("2", 0, 5, 7.0)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "a.bw"
    writer = pybigtools.open(str(made), "w")
    writer.write({"chr1": 6000, "2": 500}, iter(INTERVALS))
    return made


def slow(contig: str, position: int) -> float:
    names = {contig, contig.removeprefix("chr"), f"chr{contig}"}
    return next((v for c, start, end, v in INTERVALS if c in names and start <= position < end), np.nan)


def test_values_are_those_of_the_intervals(path: Path) -> None:
    contigs = "1", "chr1", "chr2", "chrX"
    random = np.random.default_rng(0)
    contig, start = random.integers(0, 4, 600), random.choice([*range(-3, 40), 899, 900, 4999, 5000, 5999, 6000], 600)
    found = BigWig(path).values(contigs, contig, start)
    expected = [slow(contigs[c], s) for c, s in zip(contig, start, strict=True)]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))
    assert np.isfinite(found).sum() > 50
    assert found.dtype == np.float32


def test_no_positions_no_values(path: Path) -> None:
    assert BigWig(path).values(("chr1",), np.zeros(0, int), np.zeros(0, int)).shape == (0,)


def test_a_copy_reads_the_same_file(path: Path) -> None:
    copy = pickle.loads(pickle.dumps(BigWig(path)))
    assert copy.values(("chr1",), np.array([0, 0]), np.array([12, 30])).tolist() == [1.5, -2]


def test_what_is_no_bigwig_is_said_so(tmp_path: Path, path: Path) -> None:
    (tmp_path / "x.bw").write_text("track")
    (tmp_path / "short.bw").write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="no such file"):
        BigWig(tmp_path / "absent.bw")
    for name in ("x.bw", "short.bw"):
        with pytest.raises(DataError, match=f"bigWig, .*{name}"):
            BigWig(tmp_path / name).values(("chr1",), np.array([0]), np.array([12]))


def test_without_the_library_it_says_how_to_get_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pybigtools", None)
    with pytest.raises(UsageError, match="pip install pybigtools"):
        BigWig(path)


def genome(folder: Path, **lengths: int) -> Genome:
    (folder / "g.fa").write_text("".join(f">{name}\n{'A' * length}\n" for name, length in lengths.items()))
    return Genome(folder / "g.fa", cache_dir=folder)


def test_a_track_of_another_genome_is_refused_or_warned_of(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    track = BigWig(path)
    track.fit(genome(tmp_path, chr1=6000, chr3=9))
    assert not caplog.messages
    track.fit(genome(tmp_path, **{"1": 5999}))
    assert "its chr1 has 6,000 bases, the FASTA's 5,999" in caplog.text
    with pytest.raises(DataError, match="none of the bigWig's contigs .*a.bw; it has chr1, 2; g.fa has chr9"):
        track.fit(genome(tmp_path, chr9=5))


def test_names_are_those_that_it_was_fitted_with(tmp_path: Path, path: Path) -> None:
    track = BigWig(path)
    track.fit(genome(tmp_path, **{"1": 6000, "chr2": 500}), {"23": "1", "x": "chr2"}.get)
    found = track.values(("23", "x", "1"), np.array([0, 1, 2]), np.array([12, 3, 12]))
    assert found[:2].tolist() == [1.5, 7.0] and np.isnan(found[2])


def test_missing_values_are_warned_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    track = BigWig(path)
    track.values(("chr1",), np.zeros(4, int), np.array([12, 13, 25, 26]))
    track.warn_of_missing()
    assert not caplog.messages
    track.values(("chr1",), np.zeros(1, int), np.array([27]))
    track.warn_of_missing()
    assert "a.bw has no value for 3 of 5 positions" in caplog.text
