"""bigWig tracks against the intervals they were written from."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from varscore.errors import DataError, UsageError
from varscore.files.bigwig import BigWig

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
    with pytest.raises(UsageError, match=r"varscore\[bigwig\]"):
        BigWig(path)
