"""Binding data sets: what is read, what is bound, what is for the test, and what the negatives are."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from varscore.datasets.examples import ExampleSet
from varscore.datasets.tfbs import (
    TRAINED,
    Peak,
    Read,
    TfbsOptions,
    build_peaks,
    build_sequences,
    fit,
    pairs_of,
    read_fastas,
    read_peaks,
    read_seq,
)
from varscore.datasets.tfbs import test_file as file_for_test
from varscore.errors import DataError, UsageError
from varscore.genome.sequence import Genome, decode, encode, reverse_complement

HEADER = "FoldID\tEventID\tseq\tBound\n"
OPTIONS = TfbsOptions(window=30)


def letters(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def reads(count: int, length: int = 30, seed: int = 0, bound: bool = True) -> list[Read]:
    return [Read(f"s{seed}.{i}", encode(letters(length, 1000 * seed + i).encode()), bound) for i in range(count)]


def dinucleotides(text: str) -> Counter[str]:
    return Counter(a + b for a, b in zip(text, text[1:], strict=False))


def build(folder: Path, train: list[Read], test: list[Read], options: TfbsOptions = OPTIONS) -> ExampleSet:
    source = folder / "source"
    source.write_text("x")
    build_sequences("F", train, test, [source], folder / "d", options)
    return ExampleSet(folder / "d")


def texts(data: ExampleSet, split: str = "all") -> dict[str, str]:
    rows = data.rows(split)
    return {data.names[row]: decode(codes).decode() for row, codes in zip(rows, data.windows(rows), strict=True)}


# reading


@pytest.mark.parametrize("zipped", [True, False])
def test_deepbinds_tables(tmp_path: Path, zipped: bool) -> None:
    text = f"{HEADER}A\tseq_1_peak\tACGTn\t1\nA\tseq_1_shuf\tATTTA\t0\n".encode()
    path = tmp_path / "x.seq.gz"
    path.write_bytes(gzip.compress(text) if zipped else text)
    one, two = read_seq(path)
    assert (one.name, one.codes.tolist(), one.bound) == ("seq_1_peak", [0, 1, 2, 3, 4], True)
    assert (two.name, two.codes.tolist(), two.bound) == ("seq_1_shuf", [0, 3, 3, 3, 0], False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no sequence"),
        (HEADER, "no sequence"),
        ("FoldID\tEventID\tseq\nA\tx\tACGT\n", "no column 'Bound'"),
        (f"{HEADER}A\tx\tACGT\t0.7\n", "Bound is '0.7', .*line 2"),
        (f"{HEADER}A\tx\tACGT\t1\nA\tx\tACGT\n", "3 columns where the first line has 4, .*line 3"),
        (f"{HEADER}A\tx\tACGT\t1A\ty\tACGT\t1\n", "7 columns where .*line 2; a line end was lost"),
        (f"{HEADER}A\tx\tAC GT\t1\n", "not a sequence, .*line 2"),
        (f"{HEADER}A\tx\t\t1\n", "not a sequence"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.seq").write_text(text)
    with pytest.raises(DataError, match=message):
        read_seq(tmp_path / "x.seq")
    with pytest.raises(DataError, match="no such file, .*none.seq"):
        read_seq(tmp_path / "none.seq")


def test_files_of_a_folder_belong_together(tmp_path: Path) -> None:
    for name in ("A_AC.seq.gz", "A_B.seq.gz", "B_(x)_AC.seq.gz", "C_B.seq.gz", "D.seq", "D_B.seq", "note.txt"):
        (tmp_path / name).write_text(HEADER)
    pairs, alone = pairs_of(tmp_path)
    assert {name: (a.name, b and b.name) for name, (a, b) in pairs.items()} == {
        "A": ("A_AC.seq.gz", "A_B.seq.gz"),
        "B_(x)": ("B_(x)_AC.seq.gz", None),
        "D": ("D.seq", "D_B.seq"),
    }
    assert alone == ["C"]
    assert file_for_test(tmp_path / "A_AC.seq.gz") == ("A", tmp_path / "A_B.seq.gz")
    with pytest.raises(DataError, match="no training sequences"):
        pairs_of(tmp_path.parent / "nothing")


def test_bound_and_unbound_fastas(tmp_path: Path) -> None:
    (tmp_path / "p.fa").write_text(">a x\nACG\nT\n>b\nTT\n")
    (tmp_path / "n.fa").write_text(">c\nGG\n")
    found = [(r.name, decode(r.codes), r.bound) for r in read_fastas(tmp_path / "p.fa", tmp_path / "n.fa")]
    assert found == [("a", b"ACGT", True), ("b", b"TT", True), ("c", b"GG", False)]
    assert [r.bound for r in read_fastas(tmp_path / "p.fa", None)] == [True, True]


# examples


@pytest.mark.parametrize(
    ("text", "window", "expected"),
    [
        ("ACGTA", 5, "ACGTA"),
        ("ACGTA", 3, "CGT"),
        ("ACGTA", 2, "CG"),
        ("ACGT", 2, "CG"),
        ("ACGT", 1, "C"),
        ("AC", 5, "NACNN"),
        ("ACG", 5, "NACGN"),
    ],
)
def test_sequences_fit_the_window(text: str, window: int, expected: str) -> None:
    assert decode(fit(encode(text.encode()), window)).decode() == expected


def test_negatives_are_shuffles_in_the_same_split(tmp_path: Path) -> None:
    data = build(tmp_path, reads(80), reads(20, seed=1))
    found = {split: texts(data, split) for split in ("train", "validation", "test")}
    assert len(data) == 200 and len(found["test"]) == 40 and 0 < len(found["validation"]) < 40
    for texts_of in found.values():
        for name, text in texts_of.items():
            if not name.endswith(":shuffled"):
                other = texts_of[f"{name}:shuffled"]
                assert other != text and dinucleotides(other) == dinucleotides(text)
    bound = {name for name, label in zip(data.names, data.labels(data.rows("all"))[:, 0], strict=True) if label}
    assert bound == {name for name in data.names if not name.endswith(":shuffled")}
    counts = data.info["counts"]
    assert counts["train"] + counts["validation"] == 160 and counts["test"] == 40 and counts[TRAINED] == 80
    assert [task.name for task in data.tasks] == ["F"] and (data.kind, data.strands) == ("labels", "both")


def test_bound_sequences_keep_their_order(tmp_path: Path) -> None:
    data = build(tmp_path, reads(50), reads(10, seed=1))
    assert [name for name in data.names if name.startswith("s0") and "shuffled" not in name] == [
        f"s0.{i}" for i in range(50)
    ]


def test_given_negatives_are_used_and_lengths_may_differ(tmp_path: Path) -> None:
    train = reads(20, 44) + reads(20, 12, seed=2, bound=False)
    data = build(tmp_path, train, reads(5, seed=3) + reads(5, 31, seed=4, bound=False))
    assert set(data.names) == {read.name for read in train} | {f"s{s}.{i}" for s in (3, 4) for i in range(5)}
    found = texts(data)
    assert found["s0.3"] == decode(train[3].codes).decode()[7:37]
    assert found["s2.3"] == "N" * 9 + decode(train[23].codes).decode() + "N" * 9
    labels = dict(zip(data.names, data.labels(data.rows("all"))[:, 0].tolist(), strict=True))
    assert labels == {name: int(name.startswith(("s0", "s3"))) for name in found}


def test_shuffles_of_short_sequences_leave_the_padding_alone(tmp_path: Path) -> None:
    found = texts(build(tmp_path, reads(30, 20), reads(5, 29, seed=1)))
    assert all(text.startswith("NNNNN") and "N" not in text[5:25] for name, text in found.items() if "s0" in name)


def test_without_test_sequences_some_are_drawn(tmp_path: Path) -> None:
    data = build(tmp_path, reads(300), [])
    assert 0.12 < (data.split == 2).mean() < 0.28
    tested = {name.removesuffix(":shuffled") for name in texts(data, "test")}
    assert 2 * len(tested) == len(texts(data, "test")), "a sequence and its shuffle are tested together"


def test_what_comes_twice_counts_once_and_for_the_test(tmp_path: Path) -> None:
    test = reads(6, seed=1)
    data = build(tmp_path, reads(40) + reads(3) + test[:2], test)
    assert data.info["counts"]["repeats left out"] == 5
    assert {name for name in texts(data, "test") if "shuffled" not in name} == {read.name for read in test}
    assert Counter(name for name in data.names if "shuffled" not in name).most_common(1)[0][1] == 1


def test_what_a_network_sees_twice_counts_once_whatever_lies_around_it_and_on_either_strand(tmp_path: Path) -> None:
    test = reads(6, seed=1)
    longer = Read("longer", np.concatenate([encode(b"ACGTA"), test[0].codes, encode(b"GGCCT")]), True)
    turned = Read("turned", reverse_complement(test[1].codes), True)
    data = build(tmp_path, [*reads(40), longer, turned], test)
    assert data.info["counts"]["repeats left out"] == 2
    assert not {"longer", "turned"} & set(data.names)


def test_the_seed_decides(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    one, two = (build(tmp_path / name, reads(30), reads(4, seed=1)) for name in "ab")
    other = build(tmp_path / "c", reads(30), reads(4, seed=1), TfbsOptions(window=30, seed=5))
    assert texts(one) == texts(two) and one.sha256 == two.sha256
    assert texts(one) != texts(other) and one.sha256 != other.sha256


def test_what_cannot_be_built(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no bound sequence to train on"):
        build(tmp_path, reads(5, bound=False), reads(5, seed=1))
    with pytest.raises(DataError, match="no unbound sequence is left"):
        build(tmp_path, [*reads(9), *reads(5, bound=False)], [])
    with pytest.raises(DataError, match="no example is left for the validation split"):
        build(tmp_path, reads(1), reads(5, seed=1), TfbsOptions(window=30, validation=1e-9))
    with pytest.raises(UsageError, match="between 0 and 1"):
        TfbsOptions(validation=0)


# peaks

CONTIGS = {"chr1": letters(4000, 1), "chr8": letters(1500, 2), "chr3": letters(50, 3) + "N" * 80}


@pytest.fixture
def genome(tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in CONTIGS.items()))
    with Genome(tmp_path / "g.fa", cache_dir=tmp_path / "cache") as opened:
        yield opened


def test_summits_and_signals_of_peaks(tmp_path: Path) -> None:
    narrow = ["chr1\t100\t200\tp\t0\t.\t5.5\t-1\t-1\t30", "chr1\t300\t401\tp\t0\t.\t9\t-1\t-1\t-1"]
    (tmp_path / "n.bed").write_text("track x\n" + "\n".join(narrow) + "\n")
    assert read_peaks(tmp_path / "n.bed") == [Peak("chr1", 350, 9.0), Peak("chr1", 130, 5.5)]
    (tmp_path / "b.bed").write_text("1 10 20\n1 5 6\n")
    assert read_peaks(tmp_path / "b.bed") == [Peak("1", 15, 0.0), Peak("1", 5, 0.0)]
    (tmp_path / "w.bed").write_text("chr1\t10\t20\nchr1\t20\t20\n")
    with pytest.raises(DataError, match="not a peak, .*line 2"):
        read_peaks(tmp_path / "w.bed")
    (tmp_path / "n.bed").write_text("\n".join(narrow).replace("5.5", "nan") + "\n")
    with pytest.raises(DataError, match="not a peak, .*line 1"):
        read_peaks(tmp_path / "n.bed")
    (tmp_path / "j.bed").write_text("chr1\t10\t20\ta\nchr1\t30\t40\tbchr1\t50\t60\tc\n")
    with pytest.raises(DataError, match="7 columns where the first line has 4, .*line 2; a line end was lost"):
        read_peaks(tmp_path / "j.bed")


def test_windows_around_peaks(genome: Genome, tmp_path: Path) -> None:
    peaks = [(contig, at) for contig, end in (("1", 3900), ("chr8", 1400)) for at in range(100, end, 61)]
    lines = [f"{contig}\t{at}\t{at + 11}" for contig, at in [*peaks, peaks[3], ("chr3", 40), ("chrUn", 7)]]
    (tmp_path / "p.bed").write_text("\n".join(lines) + "\n")
    counts = build_peaks("F", genome, tmp_path / "p.bed", tmp_path / "d", OPTIONS)
    data = ExampleSet(tmp_path / "d")
    expected = {}
    for contig, at in peaks:
        full = f"chr{contig.removeprefix('chr')}"
        expected[f"{full}:{at + 5 - 15 + 1}-{at + 5 + 15}"] = CONTIGS[full][at - 10 : at + 20]
    found = texts(data)
    assert {name: text for name, text in found.items() if "shuffled" not in name} == expected
    assert all(dinucleotides(found[f"{name}:shuffled"]) == dinucleotides(text) for name, text in expected.items())
    assert {name for name in texts(data, "test") if "shuffled" not in name} == {n for n in expected if "chr8" in n}
    assert (counts["peaks off the FASTA"], counts["peaks in one place"], counts["peaks in unknown sequence"]) == (
        1,
        1,
        1,
    )
    starts = [int(name.split(":")[1].split("-")[0]) for name in data.names if name.startswith("chr1:")]
    assert starts != sorted(starts), "without a signal the order is random"
    for row, name in enumerate(data.names):
        assert name.startswith(f"{data.contigs[data.contig[row]]}:{data.start[row] + 1}-")
    assert data.info["reference"]["name"] == "g.fa"


@pytest.mark.parametrize("seed", range(5))
def test_peaks_that_overlap_are_in_one_split(genome: Genome, tmp_path: Path, seed: int) -> None:
    places = np.random.default_rng(seed).choice(np.arange(100, 3900), 80, replace=False).tolist()
    (tmp_path / "p.bed").write_text("".join(f"chr1\t{at}\t{at + 11}\n" for at in [*places, 120, 140]) + "chr8\t9\t40\n")
    build_peaks("F", genome, tmp_path / "p.bed", tmp_path / "d", TfbsOptions(window=30, validation=0.5, seed=seed))
    data = ExampleSet(tmp_path / "d")
    near = (np.abs(data.start[:, None] - data.start) < 30) & (data.contig[:, None] == data.contig)
    assert (data.split[:, None] == data.split)[near].all()
    assert near.sum() > 3 * len(data), "some overlap"
    assert set(data.split.tolist()) == {0, 1, 2}


def test_peaks_elsewhere_are_an_error(genome: Genome, tmp_path: Path) -> None:
    (tmp_path / "p.bed").write_text("chrUn\t7\t10\nchr3\t60\t70\n")
    with pytest.raises(DataError, match="no peak lies in known sequence"):
        build_peaks("F", genome, tmp_path / "p.bed", tmp_path / "d", OPTIONS)


@pytest.mark.realdata
def test_a_real_set(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "tfbs101/SRF_H1-hESC_SRF_HudsonAlpha_AC.seq.gz"
    name, test = file_for_test(path)
    assert name == "SRF_H1-hESC_SRF_HudsonAlpha" and test is not None
    counts = build_sequences(name, read_seq(path), read_seq(test), [path, test], tmp_path / "d", TfbsOptions())
    data = ExampleSet(tmp_path / "d")
    assert counts["train"] + counts["validation"] == 2 * 4605 and counts["test"] == 1000
    assert data.labels(data.rows("test")).sum() == 500 and set(data.info["sources"]) == {path.name, test.name}
    train = {window.tobytes() for window in data.windows(np.flatnonzero(data.split < 2))}
    assert not train & {window.tobytes() for window in data.windows(data.rows("test"))}
