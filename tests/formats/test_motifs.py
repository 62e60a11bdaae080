"""Motif files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from varscore.errors import DataError
from varscore.formats.motifs import read_motifs

JASPAR = """>MA0001.1\tAGL 3
A  [ 0  3 79 ]
C  [94 75  4 ]
G  [ 1  0  3 ]
T  [ 2  3  0 ]
>MA0002.1 second
1 0
1 0
1 0
1 0

"""
MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF first its name
letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0
 0.5 0.5 0 0
 1e-1 0.2 0.3 0.4
URL http://example.org
MOTIF second

letter-probability matrix: alength= 4
 1 0 0 0
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "motifs.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_jaspar_counts_become_frequencies(tmp_path: Path) -> None:
    first, second = read_motifs(write(tmp_path, JASPAR))
    assert (first.id, first.name) == ("MA0001.1", "AGL 3")
    assert (second.id, second.name) == ("MA0002.1", "second")
    expected = [[0, 94 / 97, 1 / 97, 2 / 97], [3 / 81, 75 / 81, 0, 3 / 81], [79 / 86, 4 / 86, 3 / 86, 0]]
    assert first.frequencies == pytest.approx(np.array(expected))
    assert second.frequencies.tolist() == [[0.25] * 4, [0.25] * 4]  # a column without counts is uniform
    assert (first.sites, second.sites) == (97, 4), "the most of a column"


def test_a_jaspar_name_does_not_repeat_its_id(tmp_path: Path) -> None:
    (motif,) = read_motifs(write(tmp_path, ">MA0139.1\tMA0139.1.CTCF\n.5\n.2\n.2\n.1\n"))
    assert (motif.id, motif.name) == ("MA0139.1", "CTCF")
    assert motif.sites == 0, "frequencies are no counts"


def test_meme_matrices(tmp_path: Path) -> None:
    first, second = read_motifs(write(tmp_path, MEME))
    assert (first.id, first.name) == ("first", "its name")
    assert (second.id, second.name) == ("second", "second")
    assert first.frequencies == pytest.approx(np.array([[0.5, 0.5, 0, 0], [0.1, 0.2, 0.3, 0.4]]))
    assert second.frequencies.tolist() == [[1, 0, 0, 0]]
    assert (first.sites, second.sites) == (20, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no motif in the file"),
        ("hello\n", "no motif in the file"),
        (">x\nA 1 2\nC 1 2\nG 1 2\n", "motif x: not four rows"),
        (">x\nA 1 2\nC 1\nG 1 2\nT 1 2\n", "motif x: not four rows"),
        (">x\nT 1\nG 1\nC 1\nA 1\n", "motif x: rows are not in the order"),
        (">x\nA one\nC 1\nG 1\nT 1\n", "not a JASPAR or MEME"),
        (">x\nA -1\nC 1\nG 1\nT 1\n", "motif x: not a matrix of counts"),
        (">x\nA nan\nC 1\nG 1\nT 1\n", "motif x: not a matrix of counts"),
        (">x\nA []\nC []\nG []\nT []\n", "motif x: not a matrix of counts"),
        (MEME.replace("w= 2", "w= 3"), "motif first: 2 rows where w = 3"),
        (MEME.replace("ACGT", "ACDEFGHIKLMNPQRSTVWY"), "alphabet .* is not ACGT"),
        (MEME.replace("letter-probability", "log-odds"), "motif first: no letter-probability matrix"),
        (b"\x89PNG\xff", "cannot read motifs"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_motifs(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_no_motif_before_the_first_head_is_lost(tmp_path: Path) -> None:
    headless = JASPAR.removeprefix(">")
    with pytest.raises(DataError, match="it begins with 'MA0001.1.*not with >ID"):
        read_motifs(write(tmp_path, headless))
    assert len(read_motifs(write(tmp_path, "# of mine\n\n" + JASPAR))) == 2


@pytest.mark.parametrize("row", ["1e-1 0.2 0.3 0.4 # weak", "0.5 0.5 0", "-1 0 0 2 1"])
def test_a_matrix_does_not_end_at_a_row_that_is_none(row: str, tmp_path: Path) -> None:
    """Where w is not stated, as it need not be, the rest of the motif was gone."""
    text = MEME.replace(" w= 2", "").replace("1e-1 0.2 0.3 0.4", f"{row}\n 0.1 0.2 0.3 0.4")
    with pytest.raises(DataError, match="motif first: a row of "):
        read_motifs(write(tmp_path, text))


def test_tabs_in_heads_stay_out_of_tables(tmp_path: Path) -> None:
    texts = [">M1\tone\tof ETS\nA 1\nC 0\nG 0\nT 0\n", MEME.replace("first its name", "M1\tone\tof ETS")]
    for text in texts:
        found = read_motifs(write(tmp_path, text))[0]
        assert (found.id, found.name) == ("M1", "one of ETS")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read motifs"):
        read_motifs(tmp_path / "none")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("JASPAR2018_CORE_vertebrates.txt", 579),
        ("JASPAR2020_CORE_vertebrates_latest_versions.txt", 746),
        ("JASPAR2022_CORE_vertebrates_latest_versions.txt", 844),
        ("CISBP_Homo_sapiens.meme", None),
    ],
)
def test_published_collections_are_read_whole(shared_data: Path, name: str, count: int | None) -> None:
    path = shared_data / "motifs" / name
    motifs = read_motifs(path)
    assert len(motifs) == (count or path.read_text().count("\nMOTIF "))
    for motif in motifs:
        assert np.allclose(motif.frequencies.sum(1), 1) and motif.frequencies.shape[1] == 4


def test_a_file_that_never_ends_is_refused() -> None:
    with pytest.raises(DataError, match="too large to be what it should be, /dev/zero; more than 64 MB"):
        read_motifs(Path("/dev/zero"))
