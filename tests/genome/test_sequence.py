"""Base codes and genome access, against strings, pysam and files damaged by hand."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import pickle
import random
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varscore.errors import FastaError
from varscore.genome import sequence
from varscore.genome.contigs import match_contigs
from varscore.genome.fasta.index import Fasta
from varscore.genome.sequence import Genome, decode, encode, one_hot, reverse_complement

Contigs = Mapping[str, str]


def random_sequence(length: int, seed: int, letters: str = "ACGTacgtN") -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


CONTIGS = {
    "chr1": random_sequence(1003, 1),
    "chr2": random_sequence(240, 2),  # ends with a full line
    "tiny": "a",
    "iupac": "ACGTRYKMSWBDHVN-acgtn*",
}


def fasta_text(contigs: Contigs, width: int = 60, newline: str = "\n") -> bytes:
    lines = []
    for name, bases in contigs.items():
        lines.append(f">{name} some text > here")
        lines += [bases[i : i + width] for i in range(0, len(bases), width)]
    return "".join(line + newline for line in lines).encode()


def bgzip(text: bytes, block: int = 50, end: bool = True) -> bytes:
    """Text as BGZF with blocks of a chosen size, written from the SAM specification."""
    out = b""
    for piece in [text[i : i + block] for i in range(0, len(text), block)] + [b""] * end:
        squeeze = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = squeeze.compress(piece) + squeeze.flush()
        header = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(packed) + 25)
        out += header + packed + struct.pack("<II", zlib.crc32(piece), len(piece))
    return out


def expected(bases: str, start: int, end: int) -> str:
    """The slow truth: one character at a time, N for what is unknown or not there."""
    inside = (bases[i].upper() if 0 <= i < len(bases) else "N" for i in range(start, end))
    return "".join(base if base in "ACGT" else "N" for base in inside)


def assert_same(genome: Genome, contigs: Contigs) -> None:
    assert genome.contigs == {name: len(bases) for name, bases in contigs.items()}
    assert list(genome.contigs) == list(contigs)
    for name, bases in contigs.items():
        assert decode(genome.codes(name, -3, len(bases) + 3)).decode() == expected(bases, -3, len(bases) + 3)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("VARSCORE_CACHE", str(folder))
    return folder


@pytest.fixture(params=["plain", "bgzipped"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    """Writes a genome as one of the two kinds of FASTA."""

    def write_fasta(contigs: Contigs, width: int = 60, newline: str = "\n") -> Path:
        text = fasta_text(contigs, width, newline)
        path = tmp_path / ("genome.fa" if request.param == "plain" else "genome.fa.gz")
        path.write_bytes(text if request.param == "plain" else bgzip(text))
        return path

    return write_fasta


# -- base codes ------------------------------------------------------------------------------------------------------


def test_codes_of_every_byte() -> None:
    codes = encode(bytes(range(256)))
    assert codes.dtype == np.uint8
    assert {chr(i): int(c) for i, c in enumerate(codes) if c != 4} == dict(
        zip("ACGTacgt", [0, 1, 2, 3] * 2, strict=True)
    )
    assert decode(codes[[65, 67, 71, 84, 97, 78, 0]]) == b"ACGTANN"


@given(st.text("ACGTN", max_size=50))
def test_encode_and_decode_are_inverse(bases: str) -> None:
    assert decode(encode(bases.encode())).decode() == bases
    assert np.array_equal(encode(np.frombuffer(bases.lower().encode(), np.uint8)), encode(bases.encode()))


@given(st.text("ACGTN", max_size=50))
def test_reverse_complement_pairs_bases_from_the_end(bases: str) -> None:
    pair = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
    truth = "".join(pair[base] for base in reversed(bases))
    assert decode(reverse_complement(encode(bases.encode()))).decode() == truth


def test_reverse_complement_works_on_the_last_axis() -> None:
    codes = encode(np.frombuffer(b"AACGTN", np.uint8).reshape(2, 3))
    assert [decode(row) for row in reverse_complement(codes)] == [b"GTT", b"NAC"]


def test_one_hot_columns() -> None:
    hot = one_hot(encode(b"ACGTNa").reshape(1, 2, 3))
    assert hot.shape == (1, 2, 4, 3) and hot.dtype == np.float32
    assert hot[0, 0].T.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert hot[0, 1].T.tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]


# -- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("width", [1, 60, 240, 5000])
def test_every_base_is_read_with_and_without_an_index(write: Callable[..., Path], width: int, newline: str) -> None:
    path = write(CONTIGS, width, newline)
    for _ in ("index is made", "index is there"):
        with Genome(path) as genome:
            assert_same(genome, CONTIGS)
    assert Path(f"{path}.fai").exists()


def test_odd_but_valid_layouts(tmp_path: Path) -> None:
    path = tmp_path / "odd.fa"
    path.write_bytes(b"\n>a\nACGT\nAC\n\n\n>empty\n>b\tx\r\nAC\nG")  # blank lines, no bases, no last line end
    assert_same(Genome(path), {"a": "ACGTAC", "empty": "", "b": "ACG"})
    assert_same(Genome(path), {"a": "ACGTAC", "empty": "", "b": "ACG"})


def test_our_index_is_the_one_samtools_makes(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.fa.gz", tmp_path / "theirs.fa.gz"
    (tmp_path / "plain.fa").write_bytes(fasta_text({**CONTIGS, "long": random_sequence(200_000, 3)}))
    pysam.tabix_compress(str(tmp_path / "plain.fa"), str(ours))
    theirs.write_bytes(ours.read_bytes())
    pysam.faidx(str(theirs))
    Genome(ours).close()
    assert Path(f"{ours}.fai").read_text() == Path(f"{theirs}.fai").read_text()
    with pysam.FastaFile(str(ours)) as reader, Genome(theirs) as genome:  # each reads with the other's index
        for start in range(0, 200_000, 7919):
            assert (
                decode(genome.codes("long", start, start + 500)).decode()
                == reader.fetch("long", start, start + 500).upper()
            )


@settings(max_examples=60)
@given(
    starts=st.lists(st.integers(-5000, 205_000), max_size=30),
    length=st.sampled_from([0, 1, 7, 1000, 4097, 4098, 70_000]),
)
def test_windows_are_slices_wherever_the_blocks_meet(starts: list[int], length: int, long_genome: Genome) -> None:
    windows = long_genome.windows("long", np.array(starts, np.int64), length)
    assert windows.shape == (len(starts), length) and windows.dtype == np.uint8
    with pysam.FastaFile(str(long_genome.path)) as reader:
        for start, window in zip(starts, windows, strict=True):
            first = min(max(start, 0), 200_000)
            inside = reader.fetch("long", first, max(start + length, first)).upper()
            assert decode(window).decode() == ("N" * min(first - start, length) + inside).ljust(length, "N")[:length]
            assert np.array_equal(window, long_genome.codes("long", start, start + length))


@pytest.fixture(scope="module")
def long_genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    path = tmp_path_factory.mktemp("long") / "long.fa.gz"
    plain = path.with_suffix("")
    plain.write_bytes(fasta_text({"other": "ACGT" * 10, "long": random_sequence(200_000, 4)}))
    pysam.tabix_compress(str(plain), str(path))
    return Genome(path)


def test_sorted_input_decodes_each_block_once_and_memory_is_bounded(
    long_genome: Genome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequence, "_CACHED_BLOCKS", 2)
    reads: list[int] = []
    bases = Fasta.bases

    def counted(self: Fasta, contig: str, start: int, end: int, codes: bytes) -> np.ndarray:
        reads.append(start)
        return bases(self, contig, start, end, codes)

    monkeypatch.setattr(Fasta, "bases", counted)
    with Genome(long_genome.path) as genome:
        for first in range(0, 199_000, 5000):
            genome.windows("long", np.arange(first, first + 5000, 10), 1000)
        assert reads == [0, 65_536, 131_072, 196_608]
        shuffled = np.random.default_rng(0).permutation(199_000)[:200]
        assert np.array_equal(genome.windows("long", shuffled, 20), long_genome.windows("long", shuffled, 20))
        assert len(genome._blocks) <= 2


def test_a_genome_serves_threads_forks_and_pickles(long_genome: Genome) -> None:
    starts = np.random.default_rng(1).integers(0, 199_000, (40, 50))
    truth = [long_genome.windows("long", row, 300) for row in starts]
    with Genome(long_genome.path) as genome, ThreadPoolExecutor(4) as pool:
        for found, right in zip(pool.map(lambda row: genome.windows("long", row, 300), starts), truth, strict=True):
            assert np.array_equal(found, right)
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(genome.windows("long", starts[0], 300), truth[0]) else 1)
        assert os.waitpid(child, 0)[1] == 0
    copy = pickle.loads(pickle.dumps(long_genome))
    assert np.array_equal(copy.windows("long", starts[0], 300), truth[0])


def test_a_closed_genome_reads_nothing(write: Callable[..., Path]) -> None:
    genome = Genome(write(CONTIGS))
    genome.close()
    with pytest.raises(ValueError, match="closed"):
        genome.codes("chr1", 0, 5)


def test_an_unknown_contig_is_named(write: Callable[..., Path]) -> None:
    with pytest.raises(FastaError, match="no contig named 'chr9'"):
        Genome(write(CONTIGS)).codes("chr9", 0, 5)


# -- where the index goes --------------------------------------------------------------------------------------------


def test_an_index_that_cannot_lie_beside_the_fasta_goes_to_the_cache(write: Callable[..., Path], cache: Path) -> None:
    path = write(CONTIGS)
    for suffix in (".fai", ".gzi"):  # a folder in the way stops even root
        Path(f"{path}{suffix}").mkdir()
    assert_same(Genome(path), CONTIGS)
    made = sorted(cache.rglob("*.fai"))
    stamp = made[0].stat().st_mtime_ns
    assert_same(Genome(path), CONTIGS)
    assert sorted(cache.rglob("*.fai")) == made and len(made) == 1 and made[0].stat().st_mtime_ns == stamp
    assert not list(path.parent.glob("*.tmp")) and not list(path.parent.glob(".*.tmp"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_a_read_only_folder_is_left_alone(write: Callable[..., Path], tmp_path: Path, cache: Path) -> None:
    path = write(CONTIGS)
    folder = tmp_path / "readonly"
    folder.mkdir()
    path = path.rename(folder / path.name)
    folder.chmod(0o555)
    try:
        assert_same(Genome(path), CONTIGS)
        assert [entry.name for entry in folder.iterdir()] == [path.name]
        assert len(list(cache.rglob("*.fai"))) == 1
    finally:
        folder.chmod(0o755)


def test_without_any_writable_place_the_index_stays_in_memory(write: Callable[..., Path], cache: Path) -> None:
    path = write(CONTIGS)
    for suffix in (".fai", ".gzi"):
        Path(f"{path}{suffix}").mkdir()
    cache.write_text("a file where the cache folder should be")
    genome = Genome(path)
    assert_same(genome, CONTIGS)
    assert genome.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_cache_is_not_made_before_it_is_needed(write: Callable[..., Path], cache: Path) -> None:
    assert_same(Genome(write(CONTIGS)), CONTIGS)
    assert not cache.exists()


def test_the_checksum_is_computed_once_and_anew_when_the_file_changes(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(CONTIGS)
    first = Genome(path, cache_dir=tmp_path / "mine").sha256
    assert first == hashlib.sha256(path.read_bytes()).hexdigest()
    write({**CONTIGS, "more": "ACGT"})
    assert Genome(path, cache_dir=tmp_path / "mine").sha256 == hashlib.sha256(path.read_bytes()).hexdigest() != first

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(hashlib, "file_digest", refuse)
    assert Genome(path, cache_dir=tmp_path / "mine").sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


# -- stale indexes ---------------------------------------------------------------------------------------------------

CHANGES: dict[str, tuple[Contigs, int]] = {
    "other line width": (CONTIGS, 50),
    "one base more": ({**CONTIGS, "chr1": CONTIGS["chr1"] + "A"}, 60),
    "one base less": ({**CONTIGS, "chr2": CONTIGS["chr2"][:-1]}, 60),
    "one base moved between contigs": (
        {**CONTIGS, "chr1": CONTIGS["chr1"] + "A", "chr2": CONTIGS["chr2"][1:]},
        60,
    ),
    "a contig renamed": ({("chrA" if k == "chr2" else k): v for k, v in CONTIGS.items()}, 60),
    "a contig added": ({**CONTIGS, "more": "ACGT"}, 60),
    "a contig removed": ({k: v for k, v in CONTIGS.items() if k != "iupac"}, 60),
    "contigs in another order": (dict(reversed(CONTIGS.items())), 60),
    "everything but the start cut off": ({"chr1": CONTIGS["chr1"][:100]}, 60),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_stale_index_is_noticed_and_replaced_in_the_cache(
    write: Callable[..., Path], change: str, caplog: pytest.LogCaptureFixture, cache: Path
) -> None:
    path = write(CONTIGS)
    Genome(path).close()
    stale = Path(f"{path}.fai").read_bytes()
    contigs, width = CHANGES[change]
    write(contigs, width)
    os.utime(path, (1, 1))  # the index looks newer than the FASTA
    with caplog.at_level(logging.WARNING):
        assert_same(Genome(path), contigs)
    assert len(caplog.records) == 1 and "does not describe it" in caplog.text and str(path) in caplog.text
    assert Path(f"{path}.fai").read_bytes() == stale
    assert len(list(cache.rglob("*.fai"))) == 1


def test_a_block_index_of_another_compression_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, text = tmp_path / "genome.fa.gz", fasta_text(CONTIGS)
    path.write_bytes(bgzip(text, 50))
    Genome(path).close()
    for block in (49, 100, 1000):
        path.write_bytes(bgzip(text, block))
        assert_same(Genome(path), CONTIGS)
    assert len(caplog.records) == 3


@pytest.mark.parametrize("suffix", [".fai", ".gzi"])
@pytest.mark.parametrize("content", [b"", b"chr1\t5", b"\xff\xfe" * 40, b"chr1\t-1\t5\t6\t7\n", b"chr1\t9\t5\t0\t0\n"])
def test_a_damaged_index_is_replaced(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(bgzip(fasta_text(CONTIGS)))
    Genome(path).close()
    Path(f"{path}{suffix}").write_bytes(content)
    assert_same(Genome(path), CONTIGS)


def test_an_index_half_missing_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(bgzip(fasta_text(CONTIGS)))
    for suffix in (".fai", ".gzi"):
        Genome(path).close()
        Path(f"{path}{suffix}").unlink()
        assert_same(Genome(path), CONTIGS)
        assert Path(f"{path}{suffix}").exists()


def test_lines_that_changed_between_the_checked_ones_never_give_wrong_bases(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    bases = random_sequence(600, 5, "ACGT")
    path.write_bytes(fasta_text({"a": bases}))
    Genome(path).close()
    lines = path.read_bytes().splitlines()
    lines[4], lines[5] = lines[4] + lines[5][:1], lines[5][1:]  # same length, same ends, one base in the next line
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(FastaError, match=r"does not describe the FASTA .*delete its \.fai"):
        Genome(path).codes("a", 0, 600)
    Path(f"{path}.fai").unlink()
    with pytest.raises(FastaError, match="lines of a differ in length"):
        Genome(path)


@settings(max_examples=150)
@given(data=st.data())
def test_an_index_of_any_other_text_never_gives_wrong_bases(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Edit the FASTA under its index in a random way: right bases or a FastaError, nothing else."""
    folder = tmp_path_factory.mktemp("edited")
    path = folder / "genome.fa"
    pack = data.draw(st.sampled_from([bytes, lambda text: bgzip(text, 7)]))
    text = fasta_text({"a": "ACGTTGCAAC", "b": "GGATTACA"}, 4)
    path.write_bytes(pack(text))
    Genome(path, cache_dir=folder).close()
    at = data.draw(st.integers(0, len(text)))
    removed = data.draw(st.integers(0, 5))
    added = data.draw(st.text("ACGT\r\n>ab ", max_size=6)).encode()
    edited = text[:at] + added + text[at + removed :]
    path.write_bytes(pack(edited))
    try:
        genome = Genome(path, cache_dir=folder)
        found = {name: decode(genome.codes(name, 0, size)).decode() for name, size in genome.contigs.items()}
    except FastaError:
        return
    truth: dict[str, str] = {}
    name = None  # only blank lines stand before the first header, or it would have been refused
    for line in edited.decode().split("\n"):
        if line.startswith(">"):
            name = re.split(r"\s", line[1:].lstrip(" \t"))[0]
            truth[name] = ""
        elif name is not None:
            truth[name] += line.strip()
    assert found == {name: expected(bases, 0, len(bases)) for name, bases in truth.items()}


# -- files that are no FASTA -----------------------------------------------------------------------------------------


def gzipped(text: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=31)
    return squeeze.compress(text) + squeeze.flush()


GOOD = fasta_text(CONTIGS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (bgzip(b""), "empty"),
        (b"ACGT\n", "not a FASTA"),
        (b"\xff\xfe>\x00a\x00", "not a FASTA"),
        (bgzip(b"##fileformat=VCFv4.2\n"), "not a FASTA"),
        (gzipped(GOOD), "gunzip"),
        (bgzip(GOOD, end=False), "truncated"),
        (bgzip(GOOD)[:-40] + bgzip(b""), "damaged BGZF block"),
        (bgzip(GOOD).replace(bgzip(GOOD)[20:40], b"x" * 20), "damaged BGZF block"),
        (b">a\nAC\n>b\nAC\n>a\nGG\n", "contig a stands twice"),
        (b">a\nACG\nAC\nACG\n", "lines of a differ in length"),
        (b">a\nAC\nACG\n", "lines of a differ in length"),
        (b">a\nAC\n\nAC\n", "lines of a differ in length"),
        (b">a\nA C\nAC \n", "FASTA"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_usable_fasta_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(content)
    with pytest.raises(FastaError, match=message) as caught:
        Genome(path).codes("a", 0, 3)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_and_folders_are_one_line(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none.fa", "no such FASTA"),
        (tmp_path, "a folder, where a file is expected"),
        (Path(os.devnull), "a device or a pipe, where a file is expected"),
    ):
        with pytest.raises(FastaError, match=message) as caught:
            Genome(path)
        assert str(path) in str(caught.value)


def test_a_damaged_block_met_later_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa.gz"
    good = bgzip(fasta_text({"a": random_sequence(6000, 6)}))
    path.write_bytes(good)
    Genome(path).close()
    middle = len(good) // 2
    for at in range(middle, middle + 100, 3):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        try:
            assert decode(Genome(path).codes("a", 0, 6000)).decode() == expected(random_sequence(6000, 6), 0, 6000)
        except FastaError as error:
            assert str(path) in str(error)


def test_a_failing_disk_is_one_line(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(CONTIGS)
    genome = Genome(path)

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", fail)
    for read in (lambda: genome.codes("chr1", 0, 900), lambda: Genome(path)):
        with pytest.raises(FastaError, match="Input/output error"):
            read()


# -- contig names ----------------------------------------------------------------------------------------------------


def named(tmp_path: Path, contigs: Mapping[str, int]) -> Genome:
    path = tmp_path / "names.fa"
    path.write_bytes(fasta_text({name: "A" * size for name, size in contigs.items()}))
    return Genome(path)


def test_contigs_match_with_and_without_chr(tmp_path: Path) -> None:
    genome = named(tmp_path, {"chr1": 10, "2": 10, "X": 10, "chrX": 12})
    found = match_contigs(["1", "chr1", "chr2", "X", "chrX", "3", "GL000192.1"], genome)
    assert found == {
        "1": "chr1",
        "chr1": "chr1",
        "chr2": "2",
        "X": "X",
        "chrX": "chrX",
        "3": None,
        "GL000192.1": None,
    }


def test_mitochondria_match_only_when_the_lengths_agree(tmp_path: Path) -> None:
    genome = named(tmp_path, {"chrM": 16_571, "chr1": 10})
    assert match_contigs(["chrM"], genome, {"chrM": 16_569}) == {"chrM": "chrM"}  # the same name is taken as it is
    for name in ("MT", "M", "chrMT"):
        assert match_contigs([name], genome) == {name: None}
        assert match_contigs([name], genome, {name: 16_569}) == {name: None}
        assert match_contigs([name], genome, {name: 16_571}) == {name: "chrM"}
        assert match_contigs([name], named(tmp_path, {"1": 5}), {}) == {name: None}


# -- real data, imports ----------------------------------------------------------------------------------------------


@pytest.mark.realdata
def test_the_real_genome_reads_like_pysam(shared_data: Path) -> None:
    path = shared_data / "genome" / "hg19.masked.fa.gz"
    starts = np.random.default_rng(2).integers(1_000_000, 2_000_000, 200)
    with Genome(path) as genome, pysam.FastaFile(str(path)) as reader:
        assert genome.contigs == dict(zip(reader.references, reader.lengths, strict=True))
        windows = genome.windows("chr20", starts, 1000)
        for start, window in zip(starts.tolist(), windows, strict=True):
            assert decode(window).decode() == reader.fetch("chr20", start, start + 1000).upper()


def test_sequence_and_windows_import_no_torch() -> None:
    code = "import sys, varscore.genome.windows; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_text(">chr1\nACGTACGT\n")
    with Genome(path, cache_dir=tmp_path / "cache") as genome:
        first, about = genome.sha256, path.stat()
    with path.open("r+") as file:  # in place, so that the inode stays as well
        file.seek(7)
        file.write("T")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (about.st_size, about.st_mtime_ns, about.st_ino)
    with Genome(path, cache_dir=tmp_path / "cache") as genome:
        assert genome.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() != first
