"""What comes out: the input untouched but for our tags, in every format, or nothing at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import logging
import os
import re
import resource
import shutil
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import cyvcf2
import numpy as np
import pyarrow.parquet as pq
import pysam
import pysam.bcftools
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_vcfs import (
    COLUMNS,
    DECLARED,
    EMPTY,
    EXTRA,
    GENOTYPES,
    MADE,
    PROVENANCE,
    SITES,
    TASKS,
    UNDECLARED,
    records,
    save,
    scores_for,
    without_our_tags,
)

from varscore.annotate.writers import table_writer
from varscore.annotate.writers.byname import open_writer
from varscore.annotate.writers.scores import AlleleScores, Provenance, format_floats
from varscore.errors import OutputError, OutputExists, UsageError, VariantFileError
from varscore.formats.kinds import SUFFIXES, OutputFormat, format_of
from varscore.formats.vcf import VariantReader
from varscore.storage.bgzf import EOF_BLOCK, BgzfWriter

TAGS = (
    "VS_STATUS",
    "VS_DIFF",
    "VS_TASK",
    "VS_LOGODDS",
    "VS_REF",
    "VS_E",
    "VS_E_TASK",
    "VS_E_DIFF",
    "VS_SIG",
    "VS_P_GWAS",
)
LENGTHS = {"chr1": 1000, "chr2": 500, "1": 2000, "X": 3000}


def annotate(
    source: str,
    target: str | Path,
    letter: str | None = None,
    *,
    size: int = 4096,
    force: bool = False,
    lengths: dict[str, int] | None = None,
) -> None:
    reader = VariantReader(source)
    contig_lengths = LENGTHS if lengths is None else lengths
    with open_writer(
        str(target), reader.header, PROVENANCE, TASKS, EXTRA, letter, force=force, contig_lengths=contig_lengths
    ) as writer:
        for chunk in reader.chunks(size):
            writer.write(chunk, scores_for(chunk))


def annotated(tmp_path: Path, text: bytes, **options: int) -> bytes:
    """``text`` after a round trip to an annotated plain VCF."""
    source = save(tmp_path / "source", text)
    annotate(source, tmp_path / "out.vcf", force=True, **options)
    return (tmp_path / "out.vcf").read_bytes()


def contents(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def n_rows(path: Path) -> int:
    """Alleles in an output of any kind."""
    if path.suffix == ".parquet":
        return int(pq.read_table(path).num_rows)
    if ".tsv" in path.suffixes:
        return sum(not line.startswith(b"#") for line in contents(path).splitlines()) - 1
    return sum(max(1, len(record.ALT)) for record in cyvcf2.VCF(str(path)))


# --- the contract of every writer -----------------------------------------------------------------------------------

every_suffix = pytest.mark.parametrize("suffix", SUFFIXES)


@every_suffix
def test_every_allele_comes_out(tmp_path: Path, suffix: str) -> None:
    annotate(save(tmp_path / "in", SITES), tmp_path / f"out{suffix}", size=2)
    assert n_rows(tmp_path / f"out{suffix}") == 7


@every_suffix
def test_a_file_without_records_is_written(tmp_path: Path, suffix: str) -> None:
    annotate(save(tmp_path / "in", EMPTY), tmp_path / f"out{suffix}")
    assert n_rows(tmp_path / f"out{suffix}") == 0


@every_suffix
def test_a_chunk_of_which_no_record_is_left(tmp_path: Path, suffix: str) -> None:
    reader = VariantReader(save(tmp_path / "in", annotated(tmp_path, SITES)))  # with the tags of an earlier run
    with open_writer(str(tmp_path / f"o{suffix}"), reader.header, PROVENANCE, TASKS, EXTRA) as writer:
        for chunk in reader.chunks(2):
            none = chunk.select(np.zeros(len(chunk), bool))
            writer.write(none, scores_for(none))
            writer.write(chunk, scores_for(chunk))
    assert n_rows(tmp_path / f"o{suffix}") == 7


@every_suffix
def test_the_output_appears_when_it_is_complete(tmp_path: Path, suffix: str) -> None:
    reader = VariantReader(save(tmp_path / "in", SITES))
    target = tmp_path / "o" / f"out{suffix}"
    target.parent.mkdir()
    writer = open_writer(str(target), reader.header, PROVENANCE, TASKS, EXTRA)
    for chunk in reader.chunks():
        writer.write(chunk, scores_for(chunk))
    assert not target.exists()
    writer.commit()
    assert target.exists()
    assert {path.name for path in target.parent.iterdir()} <= {target.name, f"{target.name}.tbi", f"{target.name}.csi"}


@every_suffix
def test_a_failure_leaves_everything_as_it_was(tmp_path: Path, suffix: str) -> None:
    source = save(tmp_path / "in", SITES)
    target = tmp_path / "o" / f"out{suffix}"
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(OutputExists):
        annotate(source, target)
    reader = VariantReader(source)
    with (
        pytest.raises(RuntimeError),
        open_writer(str(target), reader.header, PROVENANCE, TASKS, EXTRA, force=True) as writer,
    ):
        for chunk in reader.chunks():
            writer.write(chunk, scores_for(chunk))
        raise RuntimeError
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.read_bytes() == b"old"
    annotate(source, target, force=True)
    assert n_rows(target) == 7


@every_suffix
def test_chunks_do_not_show(tmp_path: Path, suffix: str) -> None:
    source = save(tmp_path / "in", many(2500))  # more than two blocks of records
    for size in (100, 999, 4096):
        annotate(source, tmp_path / f"{size}{suffix}", size=size)
    assert len({hashlib.sha256((tmp_path / f"{size}{suffix}").read_bytes()).digest() for size in (100, 999, 4096)}) == 1


@pytest.mark.parametrize("suffix", [".vcf.gz", ".tsv.gz"])
def test_no_bgzf_block_has_records_of_two_blocks(tmp_path: Path, suffix: str) -> None:
    annotate(save(tmp_path / "in", many(2500)), tmp_path / f"out{suffix}", size=700)
    data = (tmp_path / f"out{suffix}").read_bytes()
    texts = []
    while data:
        member = zlib.decompressobj(wbits=31)
        texts.append(member.decompress(data))
        data = member.unused_data
    ends = set(itertools.accumulate(map(len, texts)))
    rows = b"".join(texts).splitlines(keepends=True)
    starts = list(itertools.accumulate(map(len, rows), initial=0))
    first, each = next(i for i, row in enumerate(rows) if row.startswith(b"chr1")), 2 if suffix == ".tsv.gz" else 1
    assert {starts[first + each * record] for record in (0, 1024, 2048, 2500)} <= ends
    assert len(ends) > 4


@every_suffix
def test_a_full_disk_is_an_error(tmp_path: Path, suffix: str) -> None:
    letter = next(kind.value for known, kind in SUFFIXES.items() if known == suffix)[0]
    with pytest.raises(OutputError, match="/dev/full"):
        annotate(save(tmp_path / "in", many(3000)), "/dev/full", letter)


@every_suffix
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    source = save(tmp_path / "in", many(20000))
    target = tmp_path / "o" / f"out{suffix}"
    target.parent.mkdir()
    target.write_bytes(b"old")
    with files_no_larger_than(50_000), pytest.raises(OutputError, match="cannot write: File too large"):
        annotate(source, target, force=True)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.read_bytes() == b"old"


@every_suffix
def test_dev_null_takes_everything(tmp_path: Path, suffix: str) -> None:
    annotate(save(tmp_path / "in", SITES), "/dev/null", SUFFIXES[suffix].value[0])
    assert not Path("/dev/null").is_file()


@every_suffix
def test_stdout_gets_the_bytes_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    source = save(tmp_path / "in", SITES)
    letter = SUFFIXES[suffix].value[0]
    annotate(source, tmp_path / "file", letter)
    stdout = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", stdout)
    annotate(source, "-", letter)
    assert stdout.buffer.getvalue() == (tmp_path / "file").read_bytes()


@every_suffix
def test_a_closed_pipe_is_left_to_the_command_line(tmp_path: Path, suffix: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    source = save(tmp_path / "in", many(20000))
    reader = VariantReader(source)
    writer = open_writer(str(fifo), reader.header, PROVENANCE, TASKS, EXTRA, SUFFIXES[suffix].value[0])
    os.close(reading)
    with pytest.raises(BrokenPipeError), writer:
        for chunk in reader.chunks():
            writer.write(chunk, scores_for(chunk))
    assert fifo.is_fifo()


class files_no_larger_than:
    """Any file that grows beyond ``size`` bytes fails, like on a full disk."""

    def __init__(self, size: int) -> None:
        self.size, self.before = size, resource.getrlimit(resource.RLIMIT_FSIZE)

    def __enter__(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def many(n: int) -> bytes:
    return EMPTY + b"".join(b"chr1\t%d\trs%d\tA\tC,GT\t.\t.\tAC=1,%d\n" % (i + 1, i, i) for i in range(n))


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "letter", "kind"),
    [
        ("a.vcf", None, OutputFormat.VCF),
        ("a.VCF.gz", None, OutputFormat.VCF_GZ),
        ("a.b.bcf", None, OutputFormat.BCF),
        ("a.bcf", "u", OutputFormat.BCF_RAW),
        ("a.bcf", "b", OutputFormat.BCF),
        ("a.tsv", None, OutputFormat.TSV),
        ("a.tsv.gz", "t", OutputFormat.TSV_GZ),
        ("a.parquet", None, OutputFormat.PARQUET),
        ("-", None, OutputFormat.VCF),
        ("-", "z", OutputFormat.VCF_GZ),
        ("a", "p", OutputFormat.PARQUET),
        ("a.txt", "t", OutputFormat.TSV),
        ("/dev/null", None, OutputFormat.VCF),
    ],
)
def test_the_suffix_or_the_letter_decides(path: str, letter: str | None, kind: OutputFormat) -> None:
    assert format_of(path, letter) is kind


@pytest.mark.parametrize(
    ("path", "letter", "message"),
    [
        ("a.txt", None, ".vcf, .vcf.gz, .vcf.bgz, .bcf, .tsv, .tsv.gz, .parquet"),
        ("a", None, "-O v z b u t p"),
        ("a.vcf", "z", "does not go with"),
        ("a.parquet", "t", "does not go with"),
        ("a.vcf", "x", "-O takes one of"),
        ("a.tsv", "tz", "-O takes one of"),
    ],
)
def test_other_names_are_refused(path: str, letter: str | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        format_of(path, letter)
    assert message in str(caught.value)


# --- VCF text -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_taking_our_tags_out_gives_the_input_back(tmp_path: Path, name: str) -> None:
    source = save(tmp_path / "in", MADE[name])
    annotate(source, tmp_path / "out.vcf", lengths={})
    annotate(source, tmp_path / "out.vcf.gz", lengths={})
    text = (tmp_path / "out.vcf").read_bytes()
    ended = MADE[name] if MADE[name].endswith(b"\n") else MADE[name] + b"\n"
    assert without_our_tags(text) == without_our_tags(ended)
    assert contents(tmp_path / "out.vcf.gz") == text


def test_tags_by_hand(tmp_path: Path) -> None:
    source = save(tmp_path / "in", SITES)
    reader = VariantReader(source)
    nan = np.nan
    scores = AlleleScores(
        status=np.array([0, 0, 11, 4, 1, 2, 5], np.uint8),
        task=np.array([1, 0, -1, -1, -1, -1, -1], np.int32),
        diff=np.array([0.25, -1e-7, nan, nan, nan, nan, nan], np.float32),
        logodds=np.array([123456.789, np.inf, nan, nan, nan, nan, nan], np.float32),
        extra={"p_k562": np.array([1, 0.1, nan, nan, nan, nan, nan], np.float32)},
    )
    with open_writer(str(tmp_path / "out.vcf"), reader.header, PROVENANCE, TASKS, ("p_k562",)) as writer:
        for chunk in reader.chunks():
            writer.write(chunk, scores)
    infos = [line.split(b"\t")[7] for line in records((tmp_path / "out.vcf").read_bytes())]
    assert infos == [
        b"AC=1;VS_STATUS=PASS;VS_DIFF=0.25;VS_TASK=1:HepG2_CTCF__rep_1_;VS_LOGODDS=123457;VS_P_K562=1",
        b"AC=1,2,3;DB;VS_STATUS=PASS,REF_MISMATCH,SPANNING_DELETION;VS_DIFF=-1e-07,.,.;VS_TASK=0:K562_DNase,.,.;"
        b"VS_LOGODDS=.,.,.;VS_P_K562=0.1,.,.",
        b"VS_STATUS=NO_ALT",
        b"DB;VS_STATUS=SYMBOLIC",
        b"VS_STATUS=NON_ACGT",
    ]


def test_our_header_lines(tmp_path: Path) -> None:
    lines = annotated(tmp_path, SITES.replace(b"##contig=<ID=chr2>\n", b"")).splitlines()
    added = [line for line in lines if line.startswith(b"##") and line not in SITES.splitlines()]
    assert added[:3] == [
        b"##contig=<ID=chr2,length=500>",
        b"##contig=<ID=1,length=2000>",
        b"##contig=<ID=X,length=3000>",
    ]
    assert [line.split(b",Desc")[0].decode() for line in added[3:13]] == [
        f"##INFO=<ID={tag},Number=A,Type={'String' if tag in ('VS_STATUS', 'VS_TASK', 'VS_E_TASK') else 'Float'}"
        for tag in TAGS
    ]
    assert added[13:] == [
        b"##varscoreTags=VS_STATUS,VS_DIFF,VS_TASK,VS_LOGODDS,VS_REF,VS_E,VS_E_TASK,VS_E_DIFF,VS_SIG,VS_P_GWAS",
        b"##varscoreVersion=1.2",
        b"##varscoreCommand=annotate --check-ref warn",
        b"##varscoreModel=<ID=crnn_700,SHA256=ab12>",
        b"##varscoreReference=<ID=my.fa,SHA256=cd34>",
        b"##varscoreBackground=n=9",
    ]
    assert lines[lines.index(added[-1]) + 1] == COLUMNS


def test_a_line_break_in_an_option_cannot_break_the_header() -> None:
    provenance = Provenance("1", "annotate --tasks 'a\n\tb'", "m", "", "r", "")
    assert b"##varscoreCommand=annotate --tasks 'a b'" in provenance.lines()


@pytest.mark.parametrize("name", MADE)
def test_annotating_twice_is_annotating_once(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    once = annotated(tmp_path, MADE[name])
    with caplog.at_level(logging.INFO):
        assert annotated(tmp_path, once, size=1) == once
    assert len(caplog.records) == (0 if name == "empty" else 1)


def with_info(header_lines: bytes, info: bytes) -> bytes:
    """A VCF of one record."""
    text = EMPTY.replace(COLUMNS, header_lines + COLUMNS)
    return text + b"chr1\t5\t.\tA\tC\t.\t.\t" + info + b"\n"


OLD = b"VS_P_OLD=3;AC=1;VS_DIFF=7;DB;VS_X;VS_E_TASK=1:a;VS_QUAL=7"


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (b"", b"VS_P_OLD=3;AC=1;DB;VS_X;VS_QUAL=7"),  # the contract's names are ours wherever they are
        (b"##varscoreTags=VS_STATUS,VS_P_OLD,VS_X\n", b"AC=1;DB;VS_QUAL=7"),
        (b"##varscoreTags=VS_STATUS,AC,DB\n", b"VS_P_OLD=3;AC=1;DB;VS_X;VS_QUAL=7"),  # forged: not of its prefix
        (b"##varscoreVersion=0\n##varscoreClassifier=<ID=old,SHA256=00>\n", b"AC=1;DB;VS_X;VS_QUAL=7"),
        (b"##varscoreTags_VS_P=VS_P_OLD\n", b"VS_P_OLD=3;AC=1;DB;VS_X;VS_QUAL=7"),
    ],
)
def test_only_our_own_tags_are_replaced(tmp_path: Path, lines: bytes, kept: bytes) -> None:
    declared = b"".join(
        b'##INFO=<Number=1,ID=%b,Type=String,Description="x, ID=VS_DIFF">\n' % name
        for name in (b"VS_P_OLD", b"VS_X", b"VS_QUAL", b"VS_E_TASK", b"VS_DIFF")
    )
    out = annotated(tmp_path, with_info(declared + lines, OLD))
    (line,) = records(out)
    assert line.split(b"\t")[7].partition(b";VS_STATUS=")[0] == kept
    assert out.count(b"VS_DIFF=") == 1 and b"varscoreVersion=0" not in out
    for name in (b"VS_P_OLD", b"VS_X", b"VS_QUAL", b"VS_E_TASK"):
        assert (b"##INFO=<Number=1,ID=%b," % name in out) == (name in kept)
    assert b"##INFO=<Number=1,ID=VS_DIFF," not in out


def test_a_tag_that_nobody_says_is_ours_is_not_replaced_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    annotated(tmp_path, with_info(b"", b"VS_DIFF=mine"))
    (warning,) = caplog.records
    assert warning.levelname == "WARNING" and "VS_DIFF" in warning.message and "`tag_prefix`" in warning.message


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"AC=1;", b"AC=1;"),
        (b"AC=1;VS_DIFF=2;", b"AC=1;"),
        (b"VS_DIFF=2;", b""),
        (b".", b""),
        (b";;", b""),
        (b"AC=1", b"AC=1;"),
    ],
)
def test_a_semicolon_at_the_end_of_info_is_used(tmp_path: Path, before: bytes, after: bytes) -> None:
    once = annotated(tmp_path, with_info(b"", before))
    assert records(once)[0].split(b"\t")[7].startswith(after + b"VS_STATUS=")
    assert annotated(tmp_path, once) == once


KEYS = st.from_regex(rb"(VS_|V|)[A-Z]{0,3}", fullmatch=True) | st.sampled_from([b"VS_DIFF", b"VS_P_GWAS", b"VS_E"])
ENTRIES = st.builds(lambda key, value: key + value, KEYS, st.sampled_from([b"", b"=", b"=1,2", b"=VS_A", b"=a b"]))


@given(st.lists(st.lists(ENTRIES, max_size=4), min_size=1, max_size=4), st.booleans())
def test_any_info_keeps_its_own_entries(
    tmp_path_factory: pytest.TempPathFactory, infos: list[list[bytes]], gt: bool
) -> None:
    tmp_path = tmp_path_factory.mktemp("info")
    header = DECLARED + COLUMNS + (b"\tFORMAT\tanna" if gt else b"") + b"\n"
    rest = b"\tGT\t0/1" if gt else b""
    text = header + b"".join(b"chr1\t5\t.\tA\tC\t.\t.\t%b%b\n" % (b";".join(info), rest) for info in infos)
    ours = {*map(str.encode, TAGS), b"VS_REF", b"VS_E", b"VS_E_TASK", b"VS_E_DIFF", b"VS_SPAN"}
    for line, info in zip(records(annotated(tmp_path, text)), infos, strict=True):
        column = line.split(b"\t")[7].split(b";")
        own = [entry for entry in info if entry.partition(b"=")[0] not in ours]
        if b";".join(own).strip(b";") in (b"", b"."):
            own = []
        elif own[-1] == b"":  # the semicolon before it is used
            own.pop()
        assert column[: len(own)] == own
        assert [entry.partition(b"=")[0].decode() for entry in column[len(own) :]] == list(TAGS)
        assert line.split(b"\t")[8:] == rest.split(b"\t")[1:]


@given(st.lists(st.floats(width=32), max_size=20))
def test_floats_have_six_digits(values: list[float]) -> None:
    expected = [f"{value:.6g}".encode() if np.isfinite(value) else b"." for value in values]
    assert format_floats(np.array(values, np.float32)) == expected


def test_columns_of_scores_have_one_length() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        AlleleScores(np.zeros(2, np.uint8), np.zeros(2, np.int32), np.zeros(1, np.float32), np.zeros(2, np.float32))


# --- as other programs see it -------------------------------------------------------------------------------------


def expected_rows(path: str) -> list[tuple[object, ...]]:
    """(POS, ALT, status, diff, task) of every allele, straight from the scores."""
    rows: list[tuple[object, ...]] = []
    for chunk in VariantReader(path).chunks():
        scores = scores_for(chunk)
        for row in range(len(scores)):
            task = int(scores.task[row])
            label = "." if task < 0 else f"{task}:" + ("K562_DNase", "HepG2_CTCF__rep_1_", "na_ve_T")[task]
            alt = chunk.alleles.alt[row].decode()
            rows.append(
                (int(chunk.alleles.start[row]) + 1, alt, int(scores.status[row]), float(scores.diff[row]), label)
            )
    return rows


NAMES = ["PASS", "NO_ALT", "SYMBOLIC", "BREAKEND", "SPANNING_DELETION"]


@pytest.mark.parametrize("suffix", [".vcf", ".vcf.gz", ".bcf"])
@pytest.mark.parametrize("name", ["sites", "genotypes", "undeclared", "crlf"])
def test_cyvcf2_reads_every_value(tmp_path: Path, name: str, suffix: str) -> None:
    source = save(tmp_path / "in.vcf", MADE[name])
    annotate(source, tmp_path / f"out{suffix}")
    found = []
    for record in cyvcf2.VCF(str(tmp_path / f"out{suffix}")):
        if record.INFO.get("VS_DIFF") is None:  # of no allele there is a score
            found += [
                (record.POS, alt, NAMES.index(status), np.nan, ".")
                for alt, status in zip(record.ALT or ["."], record.INFO["VS_STATUS"].split(","), strict=True)
            ]
            continue
        diffs = record.INFO["VS_DIFF"]
        values = zip(
            record.ALT,
            record.INFO["VS_STATUS"].split(","),
            diffs if isinstance(diffs, tuple) else [diffs],
            record.INFO["VS_TASK"].split(","),
            strict=True,
        )
        found += [
            (record.POS, alt, NAMES.index(status), np.nan if diff is None else diff, task)
            for alt, status, diff, task in values
        ]
    expected = expected_rows(source)
    assert [row[:3] + row[4:] for row in found] == [row[:3] + row[4:] for row in expected]
    np.testing.assert_allclose([row[3] for row in found], [row[3] for row in expected], rtol=1e-5)


@pytest.mark.parametrize("suffix", [".vcf.gz", ".bcf"])
def test_bcftools_norm_splits_every_tag(tmp_path: Path, suffix: str) -> None:
    text = EMPTY + b"chr1\t10\t.\tA\tC,GT,*,<DEL>,T\t.\t.\tAC=1,2,3,4,5\nchr1\t12\t.\tA\t.\t.\t.\t.\n"
    source = save(tmp_path / "in.vcf", text)
    annotate(source, tmp_path / f"out{suffix}")
    split = pysam.bcftools.norm("-m-", "--no-version", str(tmp_path / f"out{suffix}")).splitlines()
    one_each = EMPTY + b"".join(
        b"chr1\t10\t.\tA\t%b\t.\t.\tAC=%d\n" % (alt, i + 1) for i, alt in enumerate([b"C", b"GT", b"*", b"<DEL>", b"T"])
    )
    expected = records(annotated(tmp_path, one_each + b"chr1\t12\t.\tA\t.\t.\t.\t.\n"))
    found = [re.sub(r";VS_\w+=\.", "", line) for line in split if not line.startswith("#")]
    assert found == [line.decode() for line in expected]


@pytest.mark.skipif(shutil.which("bcftools") is None, reason="bcftools is not installed")
@pytest.mark.parametrize("suffix", [".vcf", ".vcf.gz", ".bcf"])
def test_the_bcftools_program_has_nothing_to_say(tmp_path: Path, suffix: str) -> None:
    annotate(save(tmp_path / "in.vcf", SITES), tmp_path / f"out{suffix}")
    shown = subprocess.run(["bcftools", "view", "-H", tmp_path / f"out{suffix}"], capture_output=True, check=True)
    assert shown.stderr == b""
    assert len(shown.stdout.splitlines()) == 5


# --- BGZF and indexes ---------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 90_000)), max_size=5), st.randoms())
def test_bgzf_reads_back_and_does_not_depend_on_the_calls(pieces: list[tuple[int, int]], random: object) -> None:
    noise = np.random.default_rng(1).bytes(90_000)  # does not compress
    parts = [bytes([byte]) * size + noise[: size // 3] for byte, size in pieces]
    outputs = []
    for calls in (parts, [b"".join(parts)]):
        sink = io.BytesIO()
        writer = BgzfWriter(lambda block, sink=sink: sink.write(block) and None)  # type: ignore[misc]
        for call in calls:
            writer.write(call)
        writer.close()
        outputs.append(sink.getvalue())
    assert outputs[0] == outputs[1]
    assert gzip.decompress(outputs[0]) == b"".join(parts)
    assert outputs[0].endswith(EOF_BLOCK)


def test_htslib_accepts_our_bgzf(tmp_path: Path) -> None:
    annotate(save(tmp_path / "in", many(5000)), tmp_path / "out.vcf.gz")
    with pysam.BGZFile(str(tmp_path / "out.vcf.gz")) as file:
        assert file.read() == contents(tmp_path / "out.vcf.gz")
    with pysam.VariantFile(str(tmp_path / "out.vcf.gz")) as file:
        assert file.compression == "BGZF"


@pytest.mark.parametrize("suffix", [".vcf.gz", ".bcf"])
def test_sorted_output_has_an_index(tmp_path: Path, suffix: str) -> None:
    text = many(5000) + b"chr2\t7\t.\tA\tC\t.\t.\t.\n"
    out = tmp_path / f"out{suffix}"
    annotate(save(tmp_path / "in", text), out)
    assert Path(f"{out}{'.csi' if suffix == '.bcf' else '.tbi'}").exists()
    with pysam.VariantFile(str(out)) as file:
        assert [record.pos for record in file.fetch("chr1", 99, 102)] == [100, 101, 102]
        assert [record.pos for record in file.fetch("chr2")] == [7]


@pytest.mark.parametrize("suffix", [".vcf.gz", ".bcf"])
@pytest.mark.parametrize("places", [[b"chr1\t9", b"chr1\t8"], [b"chr1\t9", b"chr2\t3", b"chr1\t10"]])
@pytest.mark.parametrize("size", [1, 10])
def test_unsorted_output_has_none_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, places: list[bytes], size: int
) -> None:
    out = tmp_path / f"out{suffix}"
    for stale in (".tbi", ".csi"):
        Path(f"{out}{stale}").write_bytes(b"of an older file")
    text = EMPTY + b"".join(place + b"\t.\tA\tC,T\t.\t.\t.\n" for place in places)
    annotate(save(tmp_path / "in", text), out, size=size)
    assert len(caplog.records) == 1 and "not sorted" in caplog.text
    assert sorted(path.name for path in tmp_path.glob("*out*")) == [out.name]
    assert [record.POS for record in cyvcf2.VCF(str(out))] == [int(place[5:]) for place in places]


@pytest.mark.parametrize(
    "text",
    [
        EMPTY.replace(b"##contig=<ID=chr2>", b"##contig=<ID=chr2,length=%d>" % (2**29 + 1)),
        EMPTY + b"chr1\t%d\t.\tA\tC\t.\t.\t.\n" % (2**29 + 1),
        EMPTY + b"chr1\t5\t.\tA\tC\t.\t.\tEND=%d\n" % (2**29 + 9),
    ],
)
def test_long_contigs_need_a_csi(tmp_path: Path, text: bytes) -> None:
    annotate(save(tmp_path / "in", text), tmp_path / "out.vcf.gz")
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.vcf.gz", "out.vcf.gz.csi"]


def test_records_that_no_index_can_hold_are_still_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = EMPTY + b"chr1\t%d\t.\tA\tC\t.\t.\t.\n" % 2**45
    annotate(save(tmp_path / "in", text), tmp_path / "out.vcf.gz")
    assert sorted(path.name for path in tmp_path.glob("*out*")) == ["out.vcf.gz"]
    assert "could not be indexed" in caplog.text


def test_telomeres_can_be_indexed(tmp_path: Path) -> None:
    annotate(save(tmp_path / "in", EMPTY + b"chr1\t0\t.\tA\tC\t.\t.\t.\n"), tmp_path / "out.vcf.gz")
    assert (tmp_path / "out.vcf.gz.tbi").exists()


def test_an_index_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        raise OSError("building of index failed")

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr("pysam.tabix_index", no_space)
    try:
        with pytest.raises(OutputError, match=r"out\.vcf\.gz\.tbi"):
            annotate(save(tmp_path / "in", SITES), tmp_path / "out.vcf.gz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob("*out*"))


# --- BCF ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["b", "u"])
@pytest.mark.parametrize("name", MADE)
def test_bcf_holds_what_the_vcf_holds(tmp_path: Path, name: str, letter: str) -> None:
    """bcftools, reading our VCF (with its header completed), shows what it shows of our BCF."""
    source = save(tmp_path / "in", MADE[name])
    annotate(source, tmp_path / "out.vcf", lengths={})
    annotate(source, tmp_path / "out.bcf", letter, lengths={})
    stored = gzip.decompress((tmp_path / "out.bcf").read_bytes())[:200] in (tmp_path / "out.bcf").read_bytes()
    assert stored is (letter == "u")
    lines = [line for chunk in VariantReader(str(tmp_path / "out.bcf")).chunks() for line in chunk.lines]
    plain = tmp_path / "judge.vcf"
    plain.write_bytes((tmp_path / "out.vcf").read_bytes().replace(b"caf\xe9", b"cafe"))
    shown = pysam.bcftools.view("-H", str(plain)).splitlines()
    assert [line.replace(b"caf\xe9", b"cafe").decode() for line in lines] == shown


def test_bcf_declares_what_the_input_did_not(tmp_path: Path) -> None:
    annotate(save(tmp_path / "in", UNDECLARED), tmp_path / "out.bcf", lengths={"1": 77})
    with pysam.VariantFile(str(tmp_path / "out.bcf")) as file:
        assert {name: contig.length for name, contig in file.header.contigs.items()} == {"1": 77, "X": None}
        assert {"q10", "lowDP"} <= set(file.header.filters)
        assert {"AC", "FOO", "BAR", "SVTYPE", "END", *TAGS} == set(file.header.info)
        assert [record.chrom for record in file] == ["1", "X"]


def test_a_record_that_bcf_cannot_hold_fails_in_one_line(tmp_path: Path) -> None:
    source = save(tmp_path / "in", SITES + b"chr2\t%d\t.\tA\tC\t.\t.\t.\n" % 2**40)
    with pytest.raises(VariantFileError, match="cannot be written as BCF") as caught:
        annotate(source, tmp_path / "out.bcf")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_bcf_comes_out_as_any_format(tmp_path: Path) -> None:
    source = save(tmp_path / "in.bcf", GENOTYPES, "bcf")
    for suffix in SUFFIXES:
        annotate(source, tmp_path / f"out{suffix}")
        assert n_rows(tmp_path / f"out{suffix}") == 3


# --- tables -------------------------------------------------------------------------------------------------------


def test_tsv_by_hand(tmp_path: Path) -> None:
    reader = VariantReader(save(tmp_path / "in", SITES))
    with open_writer(str(tmp_path / "out.tsv"), reader.header, PROVENANCE, TASKS, ("sig",)) as writer:
        for chunk in reader.chunks():
            n = len(chunk.alleles)
            status = np.array([0, 11, 4, 1, 1, 2, 0], np.uint8)
            diff = np.where(status == 0, np.float32(0.125), np.float32(np.nan))
            task = np.where(status == 0, 1, -1).astype(np.int32)
            writer.write(chunk, AlleleScores(status, task, diff, -diff, {"sig": np.full(n, 1e-6, np.float32)}))
    lines = (tmp_path / "out.tsv").read_text().splitlines()
    assert lines[:5] == [line.decode() for line in PROVENANCE.lines()]
    assert [line.split("\t") for line in lines[5:9]] == [
        ["chrom", "pos", "id", "ref", "alt", "status", "diff", "task", "logodds", "sig"],
        ["chr1", "10", "rs1", "A", "C", "PASS", "0.125", "1:HepG2_CTCF__rep_1_", "-0.125", "1e-06"],
        ["chr1", "10", ".", "A", "C", "REF_MISMATCH", ".", ".", ".", "1e-06"],
        ["chr1", "10", ".", "A", "GT", "SPANNING_DELETION", ".", ".", ".", "1e-06"],
    ]
    assert lines[10].split("\t")[3:6] == ["AC", ".", "NO_ALT"]
    assert len(lines) == 13


@pytest.mark.parametrize("name", MADE)
def test_parquet_says_what_the_tsv_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(table_writer, "ROW_GROUP", 3)
    source = save(tmp_path / "in", MADE[name])
    annotate(source, tmp_path / "out.tsv.gz", size=2)
    annotate(source, tmp_path / "out.parquet", size=2)
    text = contents(tmp_path / "out.tsv.gz").decode().splitlines()
    names, *rows = [line.split("\t") for line in text if not line.startswith("#")]
    table = pq.read_table(tmp_path / "out.parquet")
    assert (
        table.column_names
        == names
        == [
            "chrom",
            "pos",
            "id",
            "ref",
            "alt",
            "status",
            "diff",
            "task",
            "logodds",
            "ref_prob",
            "e",
            "e_task",
            "e_diff",
            "sig",
            "p_gwas",
        ]
    )
    texts = {"chrom", "id", "ref", "alt", "status", "task", "e_task"}
    kinds = dict(zip(names, map(str, table.schema.types), strict=True))
    assert kinds == {name: "string" if name in texts else "int64" if name == "pos" else "float" for name in names}
    found = [
        ["." if value is None else f"{value:.6g}" if isinstance(value, float) else str(value) for value in row.values()]
        for row in table.to_pylist()
    ]
    assert found == rows
    file = pq.ParquetFile(tmp_path / "out.parquet")
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert all(size == 3 for size in groups[:-1])
    metadata = table.schema.metadata
    assert {key: metadata[key.encode()].decode() for key, _ in PROVENANCE.items()} == dict(PROVENANCE.items())


def test_of_several_classifiers_none_is_lost_in_metadata(tmp_path: Path) -> None:
    notes = (("Classifier", "<ID=a,SHA256=1>"), ("Background", "<N=3>"), ("Classifier", "<ID=b,SHA256=2>"))
    provenance = replace(PROVENANCE, notes=notes)
    facts = provenance.facts()
    assert facts["varscoreClassifier"] == "<ID=a,SHA256=1> <ID=b,SHA256=2>" and facts["varscoreBackground"] == "<N=3>"
    with VariantReader(str(save(tmp_path / "in", SITES))) as reader:
        open_writer(str(tmp_path / "o.parquet"), reader.header, provenance, ["t"]).commit()
    said = pq.read_schema(tmp_path / "o.parquet").metadata
    assert said[b"varscoreClassifier"] == b"<ID=a,SHA256=1> <ID=b,SHA256=2>"


def test_unscored_is_null_in_parquet(tmp_path: Path) -> None:
    annotate(save(tmp_path / "in", SITES), tmp_path / "out.parquet")
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    unscored = [row for row in rows if row["status"] != "PASS"]
    assert len(unscored) == 3
    assert all(row[column] is None for row in unscored for column in ("diff", "task", "logodds", "sig", "p_gwas"))
    assert (rows[0]["chrom"], rows[0]["pos"], rows[0]["id"], rows[1]["id"]) == ("chr1", 10, "rs1", ".")


# --- real files ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=[400, pytest.param(None, marks=pytest.mark.slow)])
def real_files(shared_data: Path, tmp_path: Path, request: pytest.FixtureRequest) -> list[Path]:
    """The first records of each file; or, which takes longer, all of them."""
    files = sorted((shared_data / "variants").glob("*.vcf.gz"))
    assert files
    if request.param is None:
        return files
    (tmp_path / "heads").mkdir()
    for path in files:
        with gzip.open(path) as whole, gzip.open(tmp_path / "heads" / path.name, "wb") as head:
            records = 0
            for line in whole:
                records += not line.startswith(b"#")
                head.write(line)
                if records == request.param:
                    break
    return sorted((tmp_path / "heads").iterdir())


@pytest.mark.realdata
def test_real_files_come_back_once_our_tags_are_out(tmp_path: Path, real_files: list[Path]) -> None:
    for path in real_files:
        out = tmp_path / path.name
        annotate(str(path), out, lengths={})
        with gzip.open(path) as file:
            assert without_our_tags(contents(out)) == without_our_tags(file.read())
        assert Path(f"{out}.tbi").exists()
        out.unlink()


@pytest.mark.realdata
def test_real_files_fit_into_bcf_and_tables(tmp_path: Path, real_files: list[Path]) -> None:
    for path in real_files:
        if VariantReader(str(path)).header.n_samples > 1000:
            continue  # a minute of FORMAT columns would test htslib, not us
        expected = [len(chunk) for chunk in VariantReader(str(path)).chunks()]
        alleles = sum(len(chunk.alleles) for chunk in VariantReader(str(path)).chunks())
        for suffix in (".bcf", ".parquet"):
            annotate(str(path), tmp_path / f"out{suffix}", force=True, lengths={})
        assert [len(chunk) for chunk in VariantReader(str(tmp_path / "out.bcf")).chunks()] == expected
        assert n_rows(tmp_path / "out.parquet") == alleles
