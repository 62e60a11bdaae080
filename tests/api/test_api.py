"""What a notebook calls, against what the command writes."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from inspect import signature
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_model import make_model
from small_world import *  # noqa: F403

import varscore
from varscore.api.table import MATRICES
from varscore.cli.boundary import run
from varscore.errors import DataError, ModelError, UsageError, VarscoreError
from varscore.genome.coords import Variant
from varscore.tasks import Task
from varscore.zoo.models import ModelFolder

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}


@pytest.fixture(scope="module")
def vcf(tmp_path_factory: pytest.TempPathFactory, sequences: dict[str, str]) -> Path:
    """A hundred alleles: substitutions, a deletion, an insertion, and some that cannot be scored."""
    draw = random.Random(5)
    lines = []
    for contig, pos in sorted((draw.choice(["chr1", "chr2"]), draw.randrange(1000, 190_000)) for _ in range(95)):
        ref = sequences[contig][pos - 1]
        lines.append(f"{contig}\t{pos}\tv{pos}\t{ref}\t{OTHER[ref]}\t.\t.\t.\n")
    three = sequences["chr3"]
    lines.append(f"chr3\t2000\t.\t{three[1999:2003]}\t{three[1999]}\t.\t.\t.\n")
    lines.append(f"chr3\t3000\t.\t{three[2999]}\t{three[2999]}GATTACA,{OTHER[three[2999]]}\t.\t.\t.\n")
    lines.append(f"chr3\t3500\t.\t{three[3499]}\t<DEL>,<DUP>\t.\t.\tSVLEN=-40,300\n")
    lines.append(f"chr3\t4000\t.\t{three[3999]}\t<DEL>\t.\t.\t.\nchrQ\t5\t.\tA\tC\t.\t.\t.\n")
    path = tmp_path_factory.mktemp("vcf") / "in.vcf"
    path.write_text(HEADER + "".join(lines))
    return path


@pytest.fixture(scope="module")
def loaded(model: ModelFolder) -> varscore.Model:
    return varscore.load(str(model.path), device="cpu")


def test_the_door_opens_at_once_and_offers_what_it_says() -> None:
    code = (
        "import sys, time; before = time.process_time(); import varscore; took = time.process_time() - before\n"
        "print(took, sorted({'torch', 'numpy', 'pyarrow'} & set(sys.modules)), sorted(varscore.__all__))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    took, _, rest = said.partition(" ")
    assert float(took) < 0.05
    assert (
        rest.strip()
        == "[] ['Contributions', 'Model', 'ScoreTable', 'VarscoreError', 'annotate', 'list_models', 'load', 'report']"
    )
    assert all(callable(getattr(varscore, name)) for name in varscore.__all__)
    assert isinstance(varscore.annotate, ModuleType), "the package that can be called"
    assert isinstance(varscore.report, ModuleType) and "motif_table" in signature(varscore.report).parameters
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = varscore.scores


def test_the_page_names_what_there_is() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text()
    assert not [name for name in varscore.__all__ if f"varscore.{name}" not in page]


def test_scores_are_those_of_the_command(
    vcf: Path, loaded: varscore.Model, model: ModelFolder, reference: Path, tmp_path: Path
) -> None:
    seen: list[int] = []
    done: list[tuple[int, int]] = []
    out, every = tmp_path / "out.parquet", tmp_path / "all.parquet"
    summary = varscore.annotate(vcf, out, reference, model=str(model.path), scores=every, progress=seen.append)
    found = loaded.score(vcf, reference, progress=lambda n, of: done.append((n, of)))
    assert found.to_arrow().equals(pq.read_table(out).replace_schema_metadata())
    assert (summary.alleles, summary.scored) == (len(found), 100) == (102, 100)
    assert sum(seen) == 100 and done[-1] == (102, 102)
    matrix = pq.read_table(every)
    for name in MATRICES:
        values = np.array([row or [np.nan] * len(found.tasks) for row in matrix[name].to_pylist()], np.float32)
        assert np.array_equal(getattr(found, name), values, equal_nan=True)
    assert found.status[-2:] == ["SYMBOLIC", "MISSING_CONTIG"] and np.isnan(found.diff[-2:]).all()


def test_one_variant_in_every_form(loaded: varscore.Model, reference: Path, sequences: dict[str, str]) -> None:
    ref = sequences["chr2"][999]
    alt = OTHER[ref]
    name = f"chr2:1000{ref}>{alt}"
    columns = {"chrom": ["2"], "pos": [1000], "ref": [ref], "alt": [alt]}
    forms = [
        name, [name], ("chr2", 1000, ref, alt), [("chr2", 1000, ref, alt)], Variant("chr2", 999, ref, alt),
        [Variant("chr2", 999, ref, alt)], pa.table(columns), f"chr2:g.1000{ref}>{alt}",
    ]  # fmt: skip
    gaps = pa.table({**columns, "id": pa.nulls(1)})  # a gap in a frame is no name
    forms += [("chr2", np.int64(1000), ref, alt), gaps]
    scores = [loaded.score(form, reference) for form in forms]
    assert scores[-1].id == ["."]
    assert all(len(one) == 1 and np.array_equal(one.diff, scores[0].diff) for one in scores)
    assert scores[0].status == ["PASS"]


def test_order_is_the_callers_and_top_is_by_size(
    loaded: varscore.Model, reference: Path, sequences: dict[str, str]
) -> None:
    places = [5000, 3000, 9000, 1000]
    given = [("chr1", pos, sequences["chr1"][pos - 1], OTHER[sequences["chr1"][pos - 1]]) for pos in places]
    found = loaded.score(given, reference)
    assert found.pos.tolist() == places
    largest = np.abs(found.columns["diff"])
    assert found.top(2).pos.tolist() == [places[row] for row in np.argsort(-largest)[:2]]
    assert found.take(found.pos > 4000).pos.tolist() == [5000, 9000] and len(found.take([])) == 0
    assert "<td>9000</td>" in found._repr_html_() and "4 alleles" in repr(found)


def test_predictions_are_those_of_the_engine(loaded: varscore.Model, sequences: dict[str, str]) -> None:
    window = sequences["chr1"][: loaded.window]
    one = loaded.predict(window)
    both = loaded.predict([window, "NN" + window + "NNN"])
    assert one.shape == (1, len(loaded.tasks)) and one.dtype == np.float32
    assert np.array_equal(both[0], one[0]) and loaded.predict([]).shape == (0, len(loaded.tasks))
    turned = window.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    assert np.allclose(loaded.predict(turned), one, atol=1e-6)


def test_callers_take_turns(loaded: varscore.Model, reference: Path, vcf: Path) -> None:
    alone = loaded.score(vcf, reference).diff
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(loaded.score(vcf, reference).diff)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and all(np.array_equal(one, alone, equal_nan=True) for one in found)


def test_what_cannot_be_is_an_error_of_the_tree(loaded: varscore.Model, reference: Path) -> None:
    with pytest.raises(DataError, match="write chr1:1005A>G"):
        loaded.score("chr1:1005", reference)
    with pytest.raises(UsageError, match="no position of their own"):
        loaded.score(["rs12"], reference)
    with pytest.raises(UsageError, match="not a table of variants"):
        loaded.score(type("Frame", (), {"columns": ["a"]})(), reference)
    twice = pa.Table.from_arrays([pa.array(["1"])] * 2 + [pa.array([5])], names=["chrom", "chrom", "pos"])
    with pytest.raises(UsageError, match="two columns are called chrom"):
        loaded.score(twice, reference)
    for one in (("chr1", 5.5, "A", "C"), ("chr1", 5, "A"), ("chr1", "x", "A", "C"), 5):
        with pytest.raises(DataError, match=r"variant 1.*write \(chrom"):
            loaded.score([one], reference)
    for sequence in ("ACGU", "MEFLQ", ""):
        with pytest.raises(DataError, match="sequence 2"):
            loaded.predict(["ACGT", sequence])
    with pytest.raises(ModelError, match="no model 'nosuch'"):
        varscore.load("nosuch")
    assert issubclass(DataError, varscore.VarscoreError)


def test_one_name_alone_is_a_name(reference: Path, vcf: Path, tmp_path: Path) -> None:
    """A text had been taken for a list of its letters: tasks 1 and 2 for "12"."""
    model = make_model(tmp_path / "model", tuple(Task(index, f"cell{index}|X", "TF") for index in range(13)))
    loaded = varscore.load(model.path, device="cpu")
    wanted = loaded.tasks[12]
    for tasks in ("12", 12, np.int64(12), wanted, wanted.name, ["12"], np.array([12]), (wanted,), iter(["12"])):
        found = loaded.score(vcf, reference, tasks=tasks)
        scored = np.array(found.status) == "PASS"
        assert scored.any() and set(found.columns["task"][scored].tolist()) == {12}
        assert np.array_equal(found.columns["diff"][scored], found.diff[scored, 12])
    for name, tasks in (("a.tsv", "12"), ("b.tsv", ["12"])):
        out = tmp_path / name
        varscore.annotate(vcf, out, reference, model=str(model.path), tasks=tasks, regions="chr3", device="cpu")
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    assert "\tchr1\t" not in (tmp_path / "a.tsv").read_text() and "\nchr3\t" in (tmp_path / "a.tsv").read_text()
    for name in ("none", ["none"]):
        with pytest.raises(ModelError, match="no classifier 'none'"):
            loaded.score(vcf, reference, classifiers=name)
    with pytest.raises(UsageError, match="`tasks` '' matches none"):
        loaded.score(vcf, reference, tasks="")
    with pytest.raises(UsageError, match="check_ref is True or False"):
        loaded.score(vcf, reference, check_ref="skip")
    with pytest.raises(UsageError, match="`check_ref=ignore` is none of warn, skip, error"):
        varscore.annotate(vcf, tmp_path / "c.tsv", reference, model=str(model.path), check_ref="ignore")


def test_options_that_nobody_has_are_no_default(model: ModelFolder, reference: Path, vcf: Path, tmp_path: Path) -> None:
    """A precision of fp64 had been fp32, and stood in the header."""
    with pytest.raises(UsageError, match="`precision=fp64` is none of fp32, tf32, bf16, fp16"):
        varscore.load(model.path, precision="fp64")
    for options in ({"precision": "fp64"}, {"threads": 0}, {"threads": -1}, {"classifiers": "x"}):
        with pytest.raises(VarscoreError):
            varscore.annotate(vcf, tmp_path / "a.tsv", reference, model=str(model.path), **options)
    assert not list(tmp_path.iterdir())
    wanted = (region for region in ["chr3"])
    found = varscore.annotate(vcf, tmp_path / "a.tsv", reference, model=str(model.path), regions=wanted)
    assert found.records and found.outside
    with pytest.raises(DataError, match="no such file, .*x.bw"):
        varscore.annotate(vcf, tmp_path / "b.tsv", reference, model=str(model.path), conservation={"y": "x.bw"})
    done = varscore.annotate("rs5", tmp_path / "c.tsv", reference, dbsnp=vcf, model=str(model.path))
    assert done.records == 0


def test_cells_of_a_frame(loaded: varscore.Model, reference: Path, sequences: dict[str, str]) -> None:
    """Numbers with gaps, bytes, and several alleles in a list."""
    ref = sequences["chr1"][4999]
    others = [base for base in "ACGT" if base != ref]
    expected = loaded.score([("chr1", 5000, ref, alt) for alt in others], reference)
    for kind in (pa.int64(), pa.float64(), pa.decimal128(20, 1)):
        table = {"chrom": [b"chr1"], "pos": pa.array([5000]).cast(kind, safe=False), "ref": [ref], "alt": [others]}
        if kind == pa.decimal128(20, 1):
            table["pos"] = pa.array([5000.0]).cast(kind)
        found = loaded.score(pa.table(table), reference)
        assert found.alt == others and np.array_equal(found.diff, expected.diff)


@pytest.mark.parametrize(
    "variant",
    [
        ("chr1", True, "A", "C"), ("chr1", float("inf"), "A", "C"), ("chr1", 10**19, "A", "C"), ("chr1", 5, "A", None),
        ("chr1", 5, "A", float("nan")), ("chr1", 5, b"A", b"C"), ("chr1", 5, "A", ""), ("chr1", 5, "A", ["C"]),
    ],
)  # fmt: skip
def test_what_is_no_variant(variant: tuple[object, ...], loaded: varscore.Model, reference: Path) -> None:
    with pytest.raises(DataError, match="not a variant, variant 2"):
        loaded.score([("chr1", 5, "A", "C"), variant], reference)


def test_arguments_that_are_none(loaded: varscore.Model, reference: Path, vcf: Path) -> None:
    found = loaded.score(vcf, reference)
    for wrong in (None, 5, pa.chunked_array([["chr1:5A>G"]])):
        with pytest.raises(UsageError):
            loaded.score(wrong, reference)
    for sequences in (None, 5, b"ACGT", [b"ACGT"], [None], [["ACGT"]], Path("x.fa")):
        with pytest.raises(DataError):
            loaded.predict(sequences)  # type: ignore[arg-type]
    for rows in ([len(found)], [True, False], [1.5], {1, 2}):
        with pytest.raises(UsageError, match="no such rows"):
            found.take(rows)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the first -1 alleles"):  # which had been all but the last
        found.top(-1)


def test_frames_need_their_library(
    loaded: varscore.Model, reference: Path, sequences: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = sequences["chr1"][4999]
    found = loaded.score(("chr1", 5000, ref, OTHER[ref]), reference)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(UsageError, match="pip install polars"):
        found.to_polars()


def test_pandas_gets_the_same_table(loaded: varscore.Model, reference: Path, vcf: Path) -> None:
    pandas = pytest.importorskip("pandas")
    found = loaded.score(vcf, reference)
    frame = found.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame["pos"].tolist() == found.pos.tolist()
    again = loaded.score(frame[["chrom", "pos", "ref", "alt"]].head(5), reference)
    assert np.array_equal(again.diff, found.diff[:5])


def test_an_explanation_is_that_of_the_command(
    loaded: varscore.Model, model: ModelFolder, reference: Path, sequences: dict[str, str], tmp_path: Path
) -> None:
    ref = sequences["chr1"][4999]
    name = f"chr1:5000{ref}>{OTHER[ref]}"
    found = loaded.explain(name, reference, task="0", flank=4)
    words = ["explain", str(model.path), name, "-r", str(reference), "-o", str(tmp_path / "e"), "--task", "0"]
    assert run([*words, "--flank", "4", "--device", "cpu", "--threads", "1", "--picture", "svg"]) == 0
    with np.load(tmp_path / "e" / "scores.npz") as arrays:
        said = {key: arrays[key] for key in arrays.files}
    rows = [found.ref[0], found.alt[0]]
    shown = [one for one in said.values() if one.dtype == np.float32 and one.shape[-1] == loaded.window]
    tables = [one.reshape(2, -1, loaded.window).sum(1) for one in shown]
    assert any(np.array_equal(one, np.stack(rows)) for one in tables) and np.count_nonzero(rows[0])
    (picture,) = (tmp_path / "e").glob("**/*.svg")
    assert found.logo(flank=4).count("<use") == picture.read_text().count("<use")
    assert found.diff == pytest.approx(loaded.score(name, reference).diff[0, [0]])
    with pytest.raises(varscore.VarscoreError, match="cannot be scored"):
        loaded.explain(f"chr1:5000{OTHER[ref]}>{OTHER[OTHER[ref]]}", reference, task="0")
    with pytest.raises(UsageError, match="no method 'magic'"):
        loaded.explain(name, reference, method="magic")
