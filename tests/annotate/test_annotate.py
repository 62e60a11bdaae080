"""``annotate_file`` against a slow annotator on strings, and the same scores whatever the road they come by."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pyarrow.parquet as pq
import pysam
import pytest
import torch
import zarr
from made_vcfs import without_our_tags
from spellings import minimal

from varscore.annotate import flow
from varscore.annotate.flow import annotate_file
from varscore.annotate.job import AnnotateJob, Summary, choose_tasks, missing_contigs
from varscore.engine.compute import Compute
from varscore.errors import OutputExists, UsageError, VariantFileError
from varscore.formats.regions import RegionSet, parse_regions
from varscore.formats.vcf import RecordChunk, VariantReader
from varscore.genome.sequence import Genome
from varscore.nets import build
from varscore.tasks import Task
from varscore.zoo.models import ModelFolder, save_model

WINDOW = 120
TASKS = ("K562|CTCF|None", "K562|DNase|None", "HepG2|CTCF|None", "HepG2|H3K4me3|None")
LABELS = ["0:K562_CTCF_None", "1:K562_DNase_None", "2:HepG2_CTCF_None", "3:HepG2_H3K4me3_None"]
OTHER_STRAND = str.maketrans("ACGTN", "TGCAN")


def letters(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


# upper and lower case, an island of 40 bases (351 to 390) among N, a contig shorter than the window
SEQUENCES = {
    "chr1": letters(600, 1) + letters(600, 2).lower(),
    "chr2": letters(300, 3) + "N" * 50 + letters(40, 4) + "N" * 50 + letters(260, 5),
    "chr3": letters(90, 6),
}


@dataclass(frozen=True)
class Record:
    """A line of a VCF; ``alts`` has one entry an ALT allele."""

    contig: str
    pos: int
    name: str
    ref: str
    alts: tuple[str, ...]

    @property
    def line(self) -> str:
        fields = self.contig, self.pos, self.name, self.ref, ",".join(self.alts), "17.50", "PASS", "AC=1;X=a"
        return "\t".join(map(str, fields)) + "\n"


HEADER = (
    "##fileformat=VCFv4.2\n"
    '##INFO=<ID=AC,Number=1,Type=Integer,Description="Count">\n'
    '##INFO=<ID=X,Number=1,Type=String,Description="Word">\n'
    '##FILTER=<ID=PASS,Description="All filters passed">\n'
    "##contig=<ID=chr1,length=1200>\n##contig=<ID=chr9>\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)


def made_records(count: int) -> list[Record]:
    """Variants of all kinds, most of them fit to be scored, sorted; no two have the same contig, POS and REF."""
    draw = random.Random(8)
    records: dict[tuple[str, int, str], Record] = {}
    while len(records) < count:
        contig = draw.choice(["chr1", "chr1", "chr2", "chr3"])
        pos = draw.randint(1, len(SEQUENCES[contig]))
        ref = SEQUENCES[contig][pos - 1 :][: draw.choice([1, 1, 1, 1, 2, 3, 20, 61])]
        if draw.random() < 0.05:
            ref = letters(len(ref), draw.randrange(1 << 30))
        alts = tuple(made_alt(ref, draw) for _ in range(draw.choice([1, 1, 1, 2, 4])))
        records[contig, pos, ref] = Record(contig, pos, f"v{len(records)}", ref, alts)
    return sorted(records.values(), key=lambda record: (record.contig, record.pos))


def made_alt(ref: str, draw: random.Random) -> str:
    odd = ["<DEL>", "*", "<*>", "G]chr1:5]", ".A", "ACRT", letters(61, 1)]
    if draw.random() < 0.1:
        return draw.choice(odd)
    same, inserted = letters(len(ref), draw.randrange(1 << 30)), ref + letters(draw.randint(1, 30), 6)
    return draw.choice([same, same, inserted, ref[0] if len(ref) > 1 else same.lower()])


RECORDS = made_records(200)
VCF = HEADER + "".join(record.line for record in RECORDS)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VARSCORE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """120 bp, four tasks, large random weights."""
    torch.manual_seed(3)
    shape = {"filters": 8, "projection": 4, "second_filters": 6, "hidden": 5}
    net = build("crnn-320-projection", n_tasks=len(TASKS), window=WINDOW, **shape)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    tasks = [Task(index, name) for index, name in enumerate(TASKS)]
    return save_model(tmp_path_factory.mktemp("zoo") / "model", net.eval(), "crnn-320-projection", tasks, {})


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    with path.open("w") as file:
        for name, sequence in SEQUENCES.items():
            lines = [sequence[first : first + 70] for first in range(0, len(sequence), 70)]
            print(f">{name} words", *lines, sep="\n", file=file)
    return path


@pytest.fixture
def job(tmp_path: Path, model: ModelFolder, reference: Path) -> AnnotateJob:
    """The 200 records as VCF, with a table as output."""
    (tmp_path / "in.vcf").write_text(VCF)
    return AnnotateJob(
        str(tmp_path / "in.vcf"), str(tmp_path / "out.tsv"), reference, model, compute=Compute("cpu", threads=1)
    )


# -- the slow annotator ----------------------------------------------------------------------------------------------


def judge(contig: str, pos: int, ref: str, alt: str) -> str:
    """Status of an allele, by the rules in their order."""
    if alt == ".":
        return "NO_ALT"
    if alt.startswith("<") and alt.endswith(">"):
        return "SYMBOLIC"
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return "BREAKEND"
    if alt == "*":
        return "SPANNING_DELETION"
    if set((ref + alt).upper()) - set("ACGT"):
        return "NON_ACGT"
    sequence = SEQUENCES.get(contig, SEQUENCES.get(f"chr{contig}"))
    if sequence is None:
        return "MISSING_CONTIG"
    if pos < 1 or pos - 1 + len(ref) > len(sequence):
        return "OFF_CONTIG"
    there = sequence[pos - 1 : pos - 1 + len(ref)].upper()
    if "N" in there:
        return "REF_UNKNOWN"
    if there != ref.upper():
        return "SWAPPED" if sequence[pos - 1 :].upper().startswith(alt.upper()) else "REF_MISMATCH"
    return "N_WINDOW" if max(text.count("N") for text in windows(contig, pos, ref, alt)) > WINDOW / 2 else "PASS"


def windows(contig: str, pos: int, ref: str, alt: str) -> tuple[str, str]:
    sequence = SEQUENCES.get(contig, SEQUENCES.get(f"chr{contig}", "")).upper()
    start, ref, alt = minimal(sequence, pos - 1, ref, alt)
    padded = "N" * WINDOW + sequence + "N" * WINDOW
    first = WINDOW + start
    left, right = padded[first - (WINDOW - 1) // 2 : first], padded[first + len(ref) :]
    return (left + ref.upper() + right)[:WINDOW], (left + alt.upper() + right)[:WINDOW]


ALLELES = [(record.contig, record.pos, record.ref, alt) for record in RECORDS for alt in record.alts]
STATUS = [judge(*allele) for allele in ALLELES]


@pytest.fixture(scope="module")
def expected(model: ModelFolder) -> list[dict[str, np.ndarray] | None]:
    """For each of ALLELES its effects, float64 (tasks,) each, from the bare network; None without a score."""
    scored = [row for row, status in enumerate(STATUS) if status == "PASS"]
    pairs = [windows(*ALLELES[row]) for row in scored]
    strands = [(window, window[::-1].translate(OTHER_STRAND)) for pair in pairs for window in pair]
    planes = [[[float(letter == base) for letter in text] for base in "ACGT"] for both in strands for text in both]
    with torch.inference_mode():
        logits = model.load()(torch.tensor(planes)).double().numpy().reshape(len(scored), 2, 2, len(TASKS))
    found: list[dict[str, np.ndarray] | None] = [None] * len(ALLELES)
    for row, (z_ref, z_alt) in zip(scored, logits, strict=True):
        p_ref, p_alt = 1 / (1 + np.exp(-z_ref)), 1 / (1 + np.exp(-z_alt))
        values = {"ref": p_ref, "alt": p_alt, "diff": p_alt - p_ref, "logodds": (z_alt - z_ref) / np.log(2)}
        found[row] = {name: block.mean(0) for name, block in values.items()}
    return found


NUMBERS = ("diff", "logodds", "ref_prob")


def close(number: float, exact: float) -> bool:
    return abs(number - exact) <= 3e-6 + 2e-5 * abs(exact)


def check_row(row: dict[str, str], status: str, exact: dict[str, np.ndarray] | None, columns: np.ndarray) -> None:
    """One allele of an annotated file; ``columns`` are the tasks that take part."""
    assert row["status"] == status
    if exact is None:
        assert (row["diff"], row["task"], row["logodds"], row["ref_prob"]) == (".", ".", ".", ".")
        return
    task = LABELS.index(row["task"])
    assert task in columns
    assert close(float(row["diff"]), exact["diff"][task])
    assert close(float(row["logodds"]), exact["logodds"][task])
    assert close(float(row["ref_prob"]), exact["ref"][task])
    assert abs(exact["diff"][task]) >= np.abs(exact["diff"][columns]).max() - 1e-6


# -- what comes out --------------------------------------------------------------------------------------------------


def read_tsv(path: Path | str) -> list[dict[str, str]]:
    lines = [line for line in Path(path).read_text().splitlines() if not line.startswith("##")]
    return list(csv.DictReader(lines, delimiter="\t"))


def read_vcf(path: Path | str, split: bool = False) -> list[dict[str, str]]:
    """The rows a TSV would have, from the text of a VCF."""
    rows = []
    content = Path(path).read_bytes()
    text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        chrom, pos, name, ref, alts, _, _, info = line.split("\t")[:8]
        tags = dict(entry.partition("=")[::2] for entry in info.split(";") if entry.startswith("VS_"))
        alleles = alts.split(",")
        # without a score the status stands alone, but where a record was split
        assert split or len(tags) == 1 or "PASS" in tags["VS_STATUS"].split(",")
        none = ",".join("." * len(alleles))
        columns = {
            column: tags.get(f"VS_{tag}", none).split(",")
            for column, tag in zip(
                ("status", *NUMBERS, "task", "span"), ("STATUS", "DIFF", "LOGODDS", "REF", "TASK", "SPAN"), strict=True
            )
        }
        for index, alt in enumerate(alleles):
            row = {"chrom": chrom, "pos": pos, "id": name, "ref": ref, "alt": alt}
            rows.append(row | {tag: values[index] for tag, values in columns.items()})
        assert {len(values) for values in columns.values()} == {len(alleles)}
    return rows


def exact_scores(job: AnnotateJob) -> dict[tuple[str, int, str, str], tuple[object, ...]]:
    """Status and the bits of every score of every allele."""
    path = Path(job.output).with_suffix(".exact.parquet")
    annotate_file(replace(job, scores=path, force=True))
    table = pq.read_table(path)
    keys = zip(*(table[name].to_pylist() for name in ("chrom", "pos", "ref", "alt")), strict=True)
    blocks = [table[name].to_pylist() for name in ("ref_prob", "alt_prob", "diff", "logodds")]
    values = zip(table["status"].to_pylist(), *blocks, strict=True)
    return dict(zip(keys, (tuple(map(str, value)) for value in values), strict=True))


def test_the_made_variants_are_of_all_kinds() -> None:
    counts = Counter(STATUS)
    assert counts["PASS"] > 150
    assert min(counts[status] for status in ("SYMBOLIC", "NON_ACGT", "REF_MISMATCH", "N_WINDOW")) > 0
    lengths = {(len(ref), len(alt)) for (*_, ref, alt), status in zip(ALLELES, STATUS, strict=True) if status == "PASS"}
    assert len(lengths) > 30


def test_the_table_agrees_with_the_slow_annotator(job: AnnotateJob, expected: list[dict[str, np.ndarray]]) -> None:
    summary = annotate_file(job)
    rows = read_tsv(job.output)
    places = [(row["chrom"], int(row["pos"]), row["ref"], row["alt"]) for row in rows]
    assert places == ALLELES
    for row, status, exact in zip(rows, STATUS, expected, strict=True):
        check_row(row, status, exact, np.arange(len(TASKS)))
    assert (summary.records, summary.alleles) == (len(RECORDS), len(ALLELES))
    assert summary.statuses == Counter(STATUS)


@pytest.mark.parametrize("name", ["out.vcf", "out.vcf.gz", "out.parquet", "out.bcf"])
def test_every_format_says_what_the_table_says(job: AnnotateJob, tmp_path: Path, name: str) -> None:
    output = tmp_path / name
    annotate_file(job)
    annotate_file(replace(job, output=str(output)))
    table = read_tsv(job.output)
    if name.endswith(".parquet"):
        parquet = pq.read_table(output).to_pylist()
        for ours, theirs in zip(table, parquet, strict=True):
            numbers = {key: "." if theirs[key] is None else f"{theirs[key]:.6g}" for key in NUMBERS}
            texts = {key: "." if value is None else str(value) for key, value in theirs.items()}
            assert ours == texts | numbers
        return
    if name.endswith(".bcf"):
        text = tmp_path / "again.vcf"
        text.write_text(pysam.bcftools.view("--no-version", str(output)))
        output = text
    rows = read_vcf(output)
    if name.endswith(".bcf"):  # numbers are binary there
        for ours, theirs in zip(table, rows, strict=True):
            for key in NUMBERS:
                assert (ours[key] == ".") == (theirs[key] == ".")
                assert ours[key] == "." or float(theirs[key]) == pytest.approx(float(ours[key]), rel=1e-5)
                ours[key] = theirs[key] = ""
    assert rows == table


def test_a_vcf_keeps_what_it_had(job: AnnotateJob, tmp_path: Path) -> None:
    annotate_file(replace(job, output=str(tmp_path / "out.vcf")))
    text = (tmp_path / "out.vcf").read_bytes()
    added = b"##contig=<ID=chr2,length=700>\n##contig=<ID=chr3,length=90>\n"
    assert text.count(added) == 1
    assert without_our_tags(text).replace(added, b"") == VCF.encode()


@pytest.mark.parametrize("suffix", [".parquet", ".zarr", ".h5"])
def test_the_matrix_agrees_with_the_slow_annotator(
    job: AnnotateJob, tmp_path: Path, expected: list[dict[str, np.ndarray] | None], suffix: str
) -> None:
    path = tmp_path / f"scores{suffix}"
    annotate_file(replace(job, scores=path))
    columns, tasks = read_matrix(path)
    assert tasks == [f"{index}:{name}" for index, name in enumerate(TASKS)]
    places = [columns[name].tolist() for name in ("chrom", "pos", "ref", "alt")]
    assert list(zip(*places, strict=True)) == ALLELES
    assert columns["status"].tolist() == STATUS
    blocks = {"ref": "ref_prob", "alt": "alt_prob", "diff": "diff", "logodds": "logodds"}
    for row, exact in enumerate(expected):
        for name, column in blocks.items():
            if exact is None:
                assert np.isnan(columns[column][row]).all()
            else:
                np.testing.assert_allclose(columns[column][row], exact[name], rtol=2e-5, atol=3e-6)


def read_matrix(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of a score matrix by name, NaN where there is no score, and the names of its tasks."""
    names = ("chrom", "pos", "ref", "alt", "status", "ref_prob", "alt_prob", "diff", "logodds")
    if path.suffix == ".zarr":
        root = zarr.open_group(path, mode="r")
        return {name: root[name][:] for name in names}, root.attrs["varscoreTasks"]
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            texts = {name: file[name].asstr()[:] for name in ("chrom", "ref", "alt", "status")}
            return {name: file[name][:] for name in names} | texts, list(file["task"].asstr()[:])
    table = pq.read_table(path)
    tasks = json.loads(table.schema.metadata[b"varscoreTasks"])
    empty = [float("nan")] * len(tasks)
    columns = {name: np.array([empty if v is None else v for v in table[name].to_pylist()]) for name in names}
    return columns, tasks


def test_globs_limit_the_strongest_task_and_the_matrix(
    job: AnnotateJob, tmp_path: Path, expected: list[dict[str, np.ndarray] | None]
) -> None:
    chosen = np.array([0, 2])
    annotate_file(replace(job, tasks=("*CTCF*",), scores=tmp_path / "m.h5"))
    for row, status, exact in zip(read_tsv(job.output), STATUS, expected, strict=True):
        check_row(row, status, exact, chosen)
    columns, tasks = read_matrix(tmp_path / "m.h5")
    assert tasks == [f"{index}:{TASKS[index]}" for index in chosen]
    scored = [row for row, exact in enumerate(expected) if exact is not None]
    exact_diff = np.array([exact["diff"][chosen] for exact in expected if exact is not None])
    np.testing.assert_allclose(columns["diff"][scored], exact_diff, atol=3e-6)


@pytest.mark.parametrize(
    ("globs", "columns"),
    [
        ((), [0, 1, 2, 3]),
        (("K562*",), [0, 1]),
        (("*|None",), [0, 1, 2, 3]),
        (("3:*", "*DNase*"), [1, 3]),
        (("2:HepG2_CTCF_None",), [2]),  # as VS_TASK has it
        (("HepG2|CTCF|None", "*CTCF*"), [0, 2]),
    ],
)
def test_tasks_are_chosen_by_name_number_or_label(globs: tuple[str, ...], columns: list[int]) -> None:
    tasks = [Task(index, name) for index, name in enumerate(TASKS)]
    assert choose_tasks(tasks, globs).tolist() == columns


@pytest.mark.parametrize("glob", ["PML*", "k562", "7:*", ""])
def test_a_glob_that_fits_no_task_is_refused(glob: str) -> None:
    with pytest.raises(UsageError, match=r"matches none of the 4 tasks; near it are "):
        choose_tasks([Task(index, name) for index, name in enumerate(TASKS)], ["*CTCF*", glob])


# -- the same scores by every road -----------------------------------------------------------------------------------


@pytest.fixture
def exact(job: AnnotateJob) -> dict[tuple[str, int, str, str], tuple[object, ...]]:
    return exact_scores(job)


def test_scores_do_not_depend_on_the_order_of_records(
    job: AnnotateJob, tmp_path: Path, exact: dict[object, object]
) -> None:
    shuffled = random.Random(1).sample(RECORDS, len(RECORDS))
    (tmp_path / "shuffled.vcf").write_text(HEADER + "".join(record.line for record in shuffled))
    assert exact_scores(replace(job, source=str(tmp_path / "shuffled.vcf"))) == exact


def test_scores_do_not_depend_on_how_a_file_is_cut(
    job: AnnotateJob, tmp_path: Path, exact: dict[object, object]
) -> None:
    together = {}
    for name, records in (("a", RECORDS[:67]), ("b", RECORDS[67:])):
        (tmp_path / f"{name}.vcf").write_text(HEADER + "".join(record.line for record in records))
        together |= exact_scores(replace(job, source=str(tmp_path / f"{name}.vcf")))
    assert together == exact


@pytest.mark.parametrize("size", [7, 256])
def test_scores_do_not_depend_on_the_batch_size(job: AnnotateJob, exact: dict[object, object], size: int) -> None:
    assert exact_scores(replace(job, batch_size=size)) == exact


def test_scores_do_not_depend_on_the_chunks(
    job: AnnotateJob, exact: dict[object, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnnotateJob, "chunk", lambda job: 13)
    assert exact_scores(job) == exact


@pytest.mark.slow  # it starts processes
def test_scores_do_not_depend_on_the_number_of_processes(
    job: AnnotateJob, exact: dict[object, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnnotateJob, "chunk", lambda job: 64)
    assert exact_scores(replace(job, compute=Compute("cpu", threads=2))) == exact


@pytest.mark.parametrize("kind", ["gz", "bgzf", "bcf", "stdin"])
def test_scores_do_not_depend_on_the_container(
    job: AnnotateJob, tmp_path: Path, exact: dict[object, object], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = str(tmp_path / f"again.{kind}")
    if kind == "gz":
        Path(path).write_bytes(gzip.compress(VCF.encode()))
    elif kind == "bgzf":
        with pysam.BGZFile(path, "wb") as file:
            file.write(VCF.encode())
    elif kind == "bcf":
        # bcftools wants its contigs declared
        declared = VCF.replace("##contig=<ID=chr9>\n", "##contig=<ID=chr2>\n##contig=<ID=chr3>\n")
        (tmp_path / "declared.vcf").write_text(declared)
        pysam.bcftools.view("-Ob", "-o", path, str(tmp_path / "declared.vcf"), catch_stdout=False)
    else:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(VCF.encode())))
        path = "-"
    assert exact_scores(replace(job, source=path)) == exact


def test_contigs_may_be_spelled_without_chr(job: AnnotateJob, tmp_path: Path, exact: dict[object, object]) -> None:
    (tmp_path / "bare.vcf").write_text(VCF.replace("\nchr", "\n").replace("ID=chr", "ID="))
    bare = exact_scores(replace(job, source=str(tmp_path / "bare.vcf")))
    assert {("chr" + contig, *rest): value for (contig, *rest), value in bare.items()} == exact


def test_norm_splits_every_tag(job: AnnotateJob, tmp_path: Path) -> None:
    annotate_file(job)
    output = str(tmp_path / "out.vcf.gz")
    annotate_file(replace(job, output=output))
    split = tmp_path / "split.vcf"
    split.write_text(pysam.bcftools.norm("--no-version", "-m-", output))
    rows = read_vcf(split, split=True)
    assert len(rows) == len(ALLELES)
    keys = ("chrom", "pos", "ref", "alt", "status", "task", *NUMBERS)

    def content(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
        numbers = [row | {key: row[key][:6] for key in NUMBERS} for row in rows]
        return sorted(tuple(row[key] for key in keys) for row in numbers)

    assert content(rows) == content(read_tsv(job.output))


# -- statuses, regions, small files ----------------------------------------------------------------------------------


def base(contig: str, pos: int) -> str:
    return SEQUENCES[contig][pos - 1].upper()


def other(letter: str) -> str:
    return "A" if letter != "A" else "C"


# every reason, each on an allele for which the next one holds as well
REASONS = {
    "NO_ALT": ("chrX", 0, "N", "."),
    "SYMBOLIC": ("chrX", 0, "N", "<DEL[1>"),
    "BREAKEND": ("chrX", 0, "N", "N[chr1:7["),
    "SPANNING_DELETION": ("chrX", 0, "N", "*"),
    "NON_ACGT": ("chrX", 0, "N", "A"),
    "MISSING_CONTIG": ("chrX", 0, "A", "C"),
    "OFF_CONTIG": ("chr1", 1201, "A", "A" * 401),
    "TOO_LONG": ("chr2", 320, "A", "A" * 401),
    "REF_UNKNOWN": ("chr2", 350, "A", "C"),
    "REF_MISMATCH": ("chr2", 370, other(base("chr2", 370)), "GG"),
    "N_WINDOW": ("chr2", 370, base("chr2", 370), "GG"),
    "PASS": ("chr1", 600, base("chr1", 600), "GG"),
}


def test_every_status_and_the_first_that_holds(
    job: AnnotateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("varscore.scoring.score.LONGEST", 400)
    lines = [Record(contig, pos, name, ref, (alt,)).line for name, (contig, pos, ref, alt) in REASONS.items()]
    (tmp_path / "s.vcf").write_text(HEADER + "".join(lines))
    output, skipped = tmp_path / "out.vcf", tmp_path / "skipped.tsv"
    summary = annotate_file(replace(job, source=str(tmp_path / "s.vcf"), output=str(output), skipped=skipped))
    rows = read_vcf(output)
    assert {row["id"]: row["status"] for row in rows} == {name: name for name in REASONS}
    assert ";VS_STATUS=NO_ALT\n" in output.read_text()
    assert summary.statuses == Counter(REASONS.keys())
    assert (summary.records, summary.alleles, summary.scored) == (len(REASONS), len(REASONS) - 1, 1)
    columns = ("chrom", "pos", "id", "ref", "alt", "status")
    assert read_tsv(skipped) == [{name: row[name] for name in columns} for row in rows if row["status"] != "PASS"]
    zipped = tmp_path / "skipped.tsv.gz"
    annotate_file(replace(job, source=str(tmp_path / "s.vcf"), output=str(output), skipped=zipped, force=True))
    with pysam.BGZFile(str(zipped)) as file:
        assert file.read() == skipped.read_bytes()


def test_one_value_for_each_alternative(job: AnnotateJob, tmp_path: Path) -> None:
    here = base("chr1", 500)
    alts = tuple(letter for letter in "ACGT" if letter != here)
    several = Record("chr1", 500, "several", here, (*alts, "*", "<DEL>", here + "AC"))
    apart = [Record("chr1", 500, f"one{index}", here, (alt,)) for index, alt in enumerate(several.alts)]
    (tmp_path / "m.vcf").write_text(HEADER + "".join(record.line for record in (several, *apart)))
    output = tmp_path / "out.vcf"
    annotate_file(replace(job, source=str(tmp_path / "m.vcf"), output=str(output)))
    rows = read_vcf(output)
    together, alone = rows[:6], rows[6:]
    assert [row | {"id": ""} for row in together] == [row | {"id": ""} for row in alone]
    assert [row["status"] for row in together] == ["PASS"] * 3 + ["SPANNING_DELETION", "SYMBOLIC", "PASS"]
    assert [row["diff"] == "." for row in together] == [False] * 3 + [True, True, False]
    assert len({row["diff"] for row in together}) == 5


def test_a_region_keeps_what_overlaps_and_counts_the_rest(job: AnnotateJob, tmp_path: Path) -> None:
    spans = [("chr1", 200, 500), ("chr3", 40, 40)]

    def overlaps(record: Record) -> bool:
        first, last = record.pos, record.pos + len(record.ref) - 1
        return any(record.contig == contig and first <= end and last >= start for contig, start, end in spans)

    inside = [record for record in RECORDS if overlaps(record)]
    regions = RegionSet(parse_regions(["1:200-500", "chr3:40"]))
    told: list[int] = []
    summary = annotate_file(replace(job, regions=regions, output=str(tmp_path / "some.vcf")), told.append)
    assert sum(told) == len(RECORDS)
    assert (summary.records, summary.outside) == (len(inside), len(RECORDS) - len(inside))
    assert 10 < len(inside) < len(RECORDS) / 2
    annotate_file(replace(job, output=str(tmp_path / "all.vcf")))
    kept = {record.name for record in inside}
    rows = [row for row in read_vcf(tmp_path / "all.vcf") if row["id"] in kept]
    assert read_vcf(tmp_path / "some.vcf") == rows
    nowhere = annotate_file(replace(job, regions=RegionSet(parse_regions(["chr2:9,999"]))))
    assert (nowhere.records, nowhere.alleles, nowhere.outside) == (0, 0, len(RECORDS))
    assert read_tsv(job.output) == []


def test_without_comparison_the_reference_is_the_fasta(job: AnnotateJob, tmp_path: Path) -> None:
    here = base("chr1", 500)
    wrong, alt = [letter for letter in "ACGT" if letter != here][:2]
    records = [Record("chr1", 500, name, ref, (alt,)) for name, ref in (("right", here), ("wrong", wrong))]
    (tmp_path / "r.vcf").write_text(HEADER + "".join(record.line for record in records))
    job = replace(job, source=str(tmp_path / "r.vcf"))
    annotate_file(job)
    assert [row["status"] for row in read_tsv(job.output)] == ["PASS", "REF_MISMATCH"]
    annotate_file(replace(job, check_ref="skip", force=True))
    right, wrong_row = read_tsv(job.output)
    assert right | {"id": "", "ref": ""} == wrong_row | {"id": "", "ref": ""}
    with pytest.raises(VariantFileError, match=rf"REF of chr1:500:{wrong}>{alt} is not what the FASTA has \({here}\)"):
        annotate_file(replace(job, check_ref="error", force=True))
    assert "--check-ref skip" in Path(job.output).read_text()  # the old output is still there


def test_a_vcf_without_records_gets_its_header(job: AnnotateJob, tmp_path: Path) -> None:
    bare = "##fileformat=VCFv4.2\n" + HEADER.splitlines(keepends=True)[-1]
    (tmp_path / "e.vcf").write_text(bare)
    output = tmp_path / "e.out.vcf"
    summary = annotate_file(replace(job, source=str(tmp_path / "e.vcf"), output=str(output)))
    assert (summary.records, summary.alleles, str(summary)) == (0, 0, "0 records, 0 alleles, 0 scored")
    lines = output.read_text().splitlines()
    contigs = [f"##contig=<ID={name},length={len(sequence)}>" for name, sequence in SEQUENCES.items()]
    assert [line for line in lines if line.startswith("##contig")] == contigs
    assert [line for line in lines if not line.startswith("##varscore")][-1] + "\n" == bare.splitlines(True)[-1]


def test_provenance_says_what_changes_scores_and_nothing_else(job: AnnotateJob, tmp_path: Path) -> None:
    annotate_file(replace(job, output=str(tmp_path / "a.vcf")))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.vcf").write_text(VCF)
    moved = replace(
        job,
        source=str(tmp_path / "elsewhere" / "b.vcf"),
        output=str(tmp_path / "c.vcf"),
        batch_size=9,
        skipped=tmp_path / "s.tsv",
        check_ref="warn",
    )
    annotate_file(moved)
    assert (tmp_path / "a.vcf").read_bytes() == (tmp_path / "c.vcf").read_bytes()
    assert replace(job, tasks=("b*", "a*")).command() == replace(job, tasks=("a*", "b*")).command()
    changes = [
        {"tasks": ("a*",)},
        {"compute": Compute("cpu", "bf16")},
        {"check_ref": "skip"},
        {"compute": Compute("cpu", engine="plain")},
    ]
    changes += [{"as_written": True}]
    assert len({replace(job, **change).command() for change in ({}, *changes)}) == 6


# -- contigs ---------------------------------------------------------------------------------------------------------


def made_genome(folder: Path, lengths: dict[str, int]) -> Genome:
    path = folder / "contigs.fa"
    path.write_text("".join(f">{name}\n{letters(length, 1)}\n" for name, length in lengths.items()))
    return Genome(path, cache_dir=folder)


@pytest.mark.parametrize(
    ("fasta", "declared", "used", "added"),
    [
        ({"chr1": 9, "chr2": 8}, {}, ["chr1"], {"chr1": 9, "chr2": 8}),
        ({"chr1": 9, "chr2": 8}, {"chr1": 9}, ["chr1"], {"chr2": 8}),
        ({"chr1": 9, "chr2": 8, "chrM": 7}, {}, ["1"], {"1": 9, "2": 8}),
        ({"1": 9, "2": 8, "MT": 7}, {"chr2": None}, ["chr2"], {"chr1": 9}),
        ({"chr1": 9, "chr2": 8}, {"1": 9, "2": None}, [], {}),
        ({"chr1": 9, "chrM": 7, "chr2": 8}, {"MT": 7}, ["chr1", "MT"], {"chr1": 9, "chr2": 8}),
        ({"chr1": 9, "GL1": 7}, {"1": 9}, ["1"], {}),
        ({"chr1": 9}, {}, [], {"chr1": 9}),
        ({"chr1": 9}, {"chrX": None}, ["chrX"], {"chr1": 9}),
    ],
)
def test_missing_contigs_are_declared_as_the_vcf_spells_them(
    tmp_path: Path, fasta: dict[str, int], declared: dict[str, int | None], used: list[str], added: dict[str, int]
) -> None:
    with made_genome(tmp_path, fasta) as genome:
        assert missing_contigs(genome, declared, used) == added


NO_CONTIGS = "".join(line for line in HEADER.splitlines(True) if not line.startswith("##contig"))
FOREIGN = "".join(Record(f"GL{number}", 5, ".", "A", ("C",)).line for number in range(60))


@pytest.mark.parametrize("header", [NO_CONTIGS, NO_CONTIGS.replace("#CHROM", "##contig=<ID=GL1>\n#CHROM")])
@pytest.mark.parametrize("chunk", [7, 512])
def test_a_file_on_no_contig_of_the_fasta_is_refused(
    job: AnnotateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str, chunk: int
) -> None:
    monkeypatch.setattr(AnnotateJob, "chunk", lambda job: chunk)
    (tmp_path / "f.vcf").write_text(header + FOREIGN)
    with pytest.raises(VariantFileError, match=r"none of the contigs is in the FASTA, .*f.vcf; .* GL0, GL1, GL2, "):
        annotate_file(replace(job, source=str(tmp_path / "f.vcf")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.vcf", "in.vcf"]


def test_a_file_that_begins_on_foreign_contigs_is_not_refused(
    job: AnnotateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnnotateJob, "chunk", lambda job: 7)
    (tmp_path / "f.vcf").write_text(NO_CONTIGS + FOREIGN + Record("1", 600, ".", base("chr1", 600), ("GG",)).line)
    summary = annotate_file(replace(job, source=str(tmp_path / "f.vcf")))
    assert (summary.scored, summary.statuses["MISSING_CONTIG"]) == (1, 60)


# -- memory, names of outputs ----------------------------------------------------------------------------------------


def test_only_a_few_chunks_are_held_at_a_time(
    job: AnnotateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: weakref.WeakSet[RecordChunk] = weakref.WeakSet()
    most, number = 0, 0
    read = VariantReader.chunks

    class Chunk(RecordChunk):
        __hash__ = object.__hash__

    def watched(reader: VariantReader, size: int = 10, wanted: None = None) -> Iterator[RecordChunk]:
        nonlocal most, number
        for chunk in read(reader, size, wanted):
            copy = Chunk(*(getattr(chunk, name) for name in RecordChunk.__dataclass_fields__))
            alive.add(copy)
            number += 1
            most = max(most, len(alive))
            yield copy
            del copy

    monkeypatch.setattr(AnnotateJob, "chunk", lambda job: 10)
    monkeypatch.setattr(VariantReader, "chunks", watched)
    annotate_file(replace(job, scores=tmp_path / "m.zarr", skipped=tmp_path / "s.tsv"))
    assert number == 2 * 20  # once to compare, once to score
    assert most <= 7


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"output": "in.vcf"}, "the output is also an input"),
        ({"output": "link.vcf"}, "the output is also an input"),
        ({"skipped": "g.fa"}, "the output is also an input"),
        ({"skipped": "out.tsv"}, "two outputs have the same name"),
        ({"output": "x.parquet", "scores": "x.parquet"}, "two outputs have the same name"),
        ({"scores": "x.h5", "skipped": "x.h5"}, "two outputs have the same name"),
        ({"output": "nowhere/out.vcf"}, "the output's folder does not exist"),
        ({"scores": "nowhere/x.h5"}, "the output's folder does not exist"),
        ({"scores": "x.txt"}, "not a name for a score matrix"),
        ({"output": "x.txt"}, "unknown kind of output"),
        ({"skipped": "."}, "the output is a folder"),
    ],
)
def test_names_of_outputs_are_checked_before_anything_is_read(
    job: AnnotateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, str], message: str
) -> None:
    reference = tmp_path / "g.fa"
    reference.write_text(">chr1\nACGT\n")
    (tmp_path / "link.vcf").symlink_to("in.vcf")
    monkeypatch.setattr(flow, "VariantReader", None)
    paths = {name: tmp_path / value for name, value in names.items()}
    output = {"output": str(paths.pop("output"))} if "output" in paths else {}
    with pytest.raises(UsageError, match=message):
        annotate_file(replace(job, reference=reference, force=True, **output, **paths))
    assert (tmp_path / "in.vcf").read_text() == VCF


@pytest.mark.parametrize("name", ["out.tsv", "m.parquet", "m.zarr", "m.h5", "s.tsv"])
def test_an_existing_output_is_refused_and_replaced_only_on_request(
    job: AnnotateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kinds = {"m": "scores", "s": "skipped"}
    job = replace(job, **{kinds[name[0]]: tmp_path / name}) if name[0] in kinds else job
    annotate_file(job)
    if name != "out.tsv":
        Path(job.output).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(flow, "VariantReader", None)
        with pytest.raises(OutputExists, match=f"the output exists already, .*{name}"):
            annotate_file(job)
    annotate_file(replace(job, force=True))


def test_streams_may_be_given_twice_but_not_standard_output(job: AnnotateJob) -> None:
    replace(job, output="/dev/null", output_format="t", skipped=Path("/dev/null"), force=True).check()
    replace(job, source="-", output="-").check()
    with pytest.raises(UsageError, match="two outputs have the same name, -"):
        replace(job, output="-", skipped=Path("-")).check()


def test_the_summary_counts_every_reason() -> None:
    counts = Counter({"PASS": 1234, "SYMBOLIC": 3, "REF_MISMATCH": 20})
    summary = Summary(records=1200, alleles=1257, outside=5, statuses=counts)
    assert str(summary) == (
        "1,200 records, 1,257 alleles, 1,234 scored, 20 REF_MISMATCH, 3 SYMBOLIC, "
        "5 records outside the regions left out"
    )
    counted = {"records": 1200, "alleles": 1257, "scored": 1234, "outside": 5, "REF_MISMATCH": 20, "SYMBOLIC": 3}
    assert summary.fields() == counted
