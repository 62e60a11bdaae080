"""``varscore explain``: sequences, intervals, variant files and one variant, and what is wrong with them."""

from __future__ import annotations

import csv
import gzip
import json
import resource
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from made_models import NAMES, WINDOW, bases, genome, model, vcf

from varscore.cli.boundary import run
from varscore.cli.explain import OF_METHODS, Manner, warn_of_idle
from varscore.errors import OutputError
from varscore.genome.sequence import encode
from varscore.interpret.explain import ExplainJob
from varscore.interpret.methods import METHODS
from varscore.interpret.outputs import ExplainFolder
from varscore.zoo.models import find_model


@dataclass(frozen=True)
class Made:
    model: Path
    fasta: Path
    sequence: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    fasta, sequence = genome(folder)
    return Made(model(folder / "m").path, fasta, sequence)


def explain(made: Made, source: object, out: Path, *options: str) -> int:
    common = ["--device", "cpu", "--threads", "1"]
    return run(["explain", str(made.model), str(source), "-o", str(out), "-r", str(made.fasta), *common, *options])


def rows(path: Path) -> list[dict[str, str]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def test_a_variant_file(made: Made, tmp_path: Path) -> None:
    """Every kind of allele; what cannot be scored is named, the others have tables, arrays and pictures."""
    s = made.sequence
    other = {"A": "C", "C": "G", "G": "T", "T": "A"}
    records = [
        (500, s[499], other[s[499]]),
        (600, s[599], s[599] + "ACG"),
        (700, s[699:703], s[699]),
        (800, other[s[799]], other[other[s[799]]]),
        (900, s[899], "<DUP:TANDEM:X>"),
    ]
    out = tmp_path / "x"
    assert explain(made, vcf(tmp_path / "v.vcf", records), out, "--flank", "6") == 0
    alleles = rows(out / "alleles.tsv")
    assert [row["status"] for row in alleles[:3]] == ["PASS"] * 3
    assert {row["status"] for row in alleles[3:]} <= {"REF_MISMATCH", "SWAPPED", "SYMBOLIC"}
    for row in alleles[:3]:
        assert row["task"] in NAMES and float(row["diff"]) and (out / row["picture"]).is_file()
    pictures = {path.name for path in out.glob("*.svg")}
    assert pictures == {row["picture"] for row in alleles[:3]}

    table = rows(out / "contributions.tsv.gz")
    assert {row["method"] for row in table} == {"ism"}
    insertion = [row for row in table if row["pos"].startswith("600") and row["allele"] == "alt"]
    assert [(row["pos"], row["base"]) for row in insertion] == [
        ("600", s[599]),
        ("600.1", "A"),
        ("600.2", "C"),
        ("600.3", "G"),
    ]
    arrays = np.load(out / "scores.npz")
    assert arrays["ism"].shape == (6, 4, WINDOW) and arrays["ism"].dtype == np.float32
    assert arrays["sequence"].dtype == np.uint8 and arrays["name"][1].endswith(".alt")
    one_hot = (arrays["sequence"][:, None] == np.arange(4)[:, None]).astype(np.float32)
    assert (arrays["ism"] * (1 - one_hot) == 0).all() and np.count_nonzero(arrays["ism"]) > 50
    substitutions = [row for row in rows(out / "ism.tsv.gz") if row["allele"] == "ref" and row["pos"] == "500"]
    effect = float(substitutions[0][other[s[499]]])
    assert effect == pytest.approx(float(alleles[0]["logodds"]), abs=1e-5), "the variant is one of its substitutions"


def test_binding_sites_are_named(made: Made, tmp_path: Path) -> None:
    """A motif of the genome's own bases at a place is lost where one of its ten changes."""
    site = made.sequence[495:505]
    rows_of = "".join(f"{base} [ {' '.join(str(100 * (letter == base)) for letter in site)} ]\n" for base in "ACGT")
    (tmp_path / "m.jaspar").write_text(f">M1 MYMOTIF\n{rows_of}")
    alt = "ACGT"[("ACGT".index(made.sequence[499]) + 1) % 4]
    options = ("--span", "1", "--motifs", str(tmp_path / "m.jaspar"))
    assert explain(made, f"1:500 {made.sequence[499]}>{alt}", tmp_path / "x", *options) == 0
    (allele,) = rows(tmp_path / "x" / "alleles.tsv")
    assert allele["motif"].rstrip("*") == "-MYMOTIF"
    assert f"motifs: MYMOTIF lost{'*' * allele['motif'].endswith('*')}<" in picture_of(allele, tmp_path / "x")


def picture_of(allele: dict[str, str], folder: Path) -> str:
    return (folder / allele["picture"]).read_text()


def test_a_star_where_the_bases_of_a_site_go_with_the_prediction(made: Made, tmp_path: Path) -> None:
    """Every allele of some bases: the sum over the site's bases, taken from the table, against the sign of diff."""
    stars = []
    for at in range(500, 510):
        site = made.sequence[at - 5 : at + 5]
        rows_of = "".join(f"{base} [ {' '.join(str(100 * (letter == base)) for letter in site)} ]\n" for base in "ACGT")
        (tmp_path / "m.jaspar").write_text(f">M1 MYMOTIF\n{rows_of}")
        alt = "ACGT"[("ACGT".index(made.sequence[at]) + 1) % 4]
        out, options = tmp_path / str(at), ("--flank", "6", "--motifs", str(tmp_path / "m.jaspar"))
        assert explain(made, f"1:{at + 1} {made.sequence[at]}>{alt}", out, *options) == 0
        (allele,) = rows(out / "alleles.tsv")
        assert allele["motif"].rstrip("*") == "-MYMOTIF"
        table = [row for row in rows(out / "contributions.tsv.gz") if row["allele"] == "ref"]
        inside = [float(row["contribution"]) for row in table if at - 5 < int(row["pos"]) <= at + 5]
        assert len(inside) == 10
        assert allele["motif"].endswith("*") == (-sum(inside) * float(allele["diff"]) > 0)
        stars.append(allele["motif"].endswith("*"))
    assert {True, False} == set(stars), "both kinds are among them"


def test_every_allele_is_compared_with_the_sequence_given_for_it(made: Made, tmp_path: Path) -> None:
    """The second of two alleles with two sequences, as alone with the second one."""
    s, texts = made.sequence, [bases(WINDOW, seed) for seed in (1, 2)]
    records = [(at, s[at - 1], "ACGT"[("ACGT".index(s[at - 1]) + 1) % 4]) for at in (500, 700)]
    for name, chosen in (("both", [0, 1]), ("second", [1])):
        vcf(tmp_path / f"{name}.vcf", [records[number] for number in chosen])
        (tmp_path / f"{name}.fa").write_text("".join(f">s{number}\n{texts[number]}\n" for number in chosen))
        options = ("--method", "deeplift", "--task", "0", "--reference", str(tmp_path / f"{name}.fa"))
        assert explain(made, tmp_path / f"{name}.vcf", tmp_path / name, *options, "--picture", "none") == 0
    found = {name: np.load(tmp_path / name / "scores.npz")["deeplift"] for name in ("both", "second")}
    assert len(found["both"]) == 4 and np.allclose(found["both"][2:], found["second"], rtol=1e-4, atol=1e-6)


def test_top_and_order(made: Made, tmp_path: Path) -> None:
    s = made.sequence
    records = [(pos, s[pos - 1], "ACGT"[("ACGT".index(s[pos - 1]) + 1) % 4]) for pos in range(500, 540, 4)]
    path, every, top = vcf(tmp_path / "v.vcf", records), tmp_path / "all", tmp_path / "top"
    quick = ("--picture", "none", "--span", "0")
    assert explain(made, path, every, "--top", "all", *quick) == explain(made, path, top, "--top", "3", *quick) == 0
    strengths = {row["pos"]: abs(float(row["diff"])) for row in rows(every / "alleles.tsv")}
    kept = [row["pos"] for row in rows(top / "alleles.tsv")]
    assert len(strengths) == 10 and sorted(kept) == kept
    assert set(kept) == set(sorted(strengths, key=lambda pos: -strengths[pos])[:3])


def test_one_variant_as_text(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = made.sequence[499]
    alt, wrong = ("C", "G") if there not in "CG" else ("A", "T")
    assert explain(made, f"chr1:500 {there}>{alt}", tmp_path / "x", "--span", "2", "--task", "K562*") == 0
    assert [row["task"] for row in rows(tmp_path / "x" / "alleles.tsv")] == list(NAMES[:2])
    assert len(list((tmp_path / "x").glob("*.svg"))) == 2
    facts = json.loads((tmp_path / "x" / "explain.json").read_text())
    assert facts["target"] == "logodds" and facts["genome"] == "genome.fa" and facts["inputs"] == 2
    assert capsys.readouterr().err == "varscore: 1 allele explained (1 PASS)\n"
    assert explain(made, f"chr1:500 {wrong}>{there}", tmp_path / "y") == 2
    message = capsys.readouterr().err
    assert "SWAPPED" in message and f"the FASTA has {there} there" in message and message.count("\n") == 1
    assert not (tmp_path / "y").exists()


def test_sequences_stay_where_they_are(made: Made, tmp_path: Path) -> None:
    sequences = {"whole": bases(WINDOW, 3), "short": bases(WINDOW - 20, 4), "long": bases(WINDOW + 20, 5)}
    fasta = tmp_path / "s.fa"
    fasta.write_text("".join(f">{name} text\n{sequence}\n" for name, sequence in sequences.items()))
    assert explain(made, fasta, tmp_path / "x", "--task", "1", "--hypothetical") == 0
    arrays = np.load(tmp_path / "x" / "scores.npz")
    assert arrays["name"].tolist() == list(sequences)
    assert (arrays["sequence"][0] == encode(sequences["whole"].encode())).all()
    assert (arrays["sequence"][1][:10] == 4).all() and (arrays["ism"][1][:, :10] == 0).all()
    table = rows(tmp_path / "x" / "ism.tsv.gz")
    assert len(table) == 3 * WINDOW and table[0]["chrom"] == "." and table[WINDOW]["A"] == "NA"
    row = table[7]
    effects = np.array([float(row[base]) for base in "ACGT"])
    assert arrays["ism"][0][:, 7] == pytest.approx(effects - effects.sum() / 3, abs=1e-4)


def test_two_tasks_at_once_are_as_one_after_the_other(made: Made, tmp_path: Path) -> None:
    """Check 10, of all methods."""
    methods = [word for name in ("ism", "deeplift", "gradient", "ig") for word in ("--method", name)]
    bed = tmp_path / "b.bed"
    bed.write_text("chr1\t400\t401\nchr1\t900\t901\n")
    options = (*methods, "--span", "3", "--reference", "shuffle:2", "--steps", "4", "--picture", "none")
    assert explain(made, bed, tmp_path / "both", "--task", "*", *options) == 0
    both = np.load(tmp_path / "both" / "scores.npz")
    for task in ("0", "1"):
        assert explain(made, bed, tmp_path / task, "--task", task, *options) == 0
        alone = np.load(tmp_path / task / "scores.npz")
        for name in ("ism", "deeplift", "gradient", "ig"):
            assert (both[f"{name}.{task}"] == alone[name]).all() and np.abs(alone[name]).max() > 0
    lines = rows(tmp_path / "both" / "completeness.tsv")
    assert len(lines) == 2 * 2 * 2 and all(float(row["miss"]) < 1e-4 for row in lines if row["method"] == "deeplift")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "which of the 2 tasks"),
        (("--task", "K562|CTCX"), "K562|CTCF|None"),
        (("--task", "0", "--target", "value"), "predicts probabilities"),
        (("--task", "0", "--target", "prob", "--method", "deeplift"), "log-odds"),
        (("--task", "0", "--method", "magic"), "'magic' is none of ism"),
        (("--task", "0", "--method", "ig", "--precision", "bf16"), "gradients in bf16"),
        (("--task", "0", "--reference", "A,C,G,T=.5,.5,.5,.5"), "four frequencies"),
        (("--task", "0", "--reference", "nowhere.fa"), "nowhere.fa"),
        (("--task", "0", "--top", "none"), "neither all nor"),
    ],
)
def test_one_line_says_what_is_wrong(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    fasta = tmp_path / "s.fa"
    fasta.write_text(f">a\n{bases(WINDOW)}\n")
    assert explain(made, fasta, tmp_path / "x", *options) == 2
    message = capsys.readouterr().err
    assert said in message and message.count("\n") == 1 and "Traceback" not in message
    assert not (tmp_path / "x").exists()


ONE = "one variant is written"


@pytest.mark.parametrize(
    ("source", "remedy"),
    [("nowhere.vcf", "check the path"), ("chr1:500", ONE), ("chr1:400-600", ONE), ("rs12", ONE)],
)
def test_neither_a_file_nor_a_variant(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, remedy: str
) -> None:
    assert explain(made, source, tmp_path / "x") == 2
    message = capsys.readouterr().err
    assert f"no such file, {source}" in message and remedy in message and message.count("\n") == 1


def test_networks_that_a_method_cannot_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fasta = tmp_path / "s.fa"
    fasta.write_text(f">a\n{bases(WINDOW)}\n")
    kmer = Made(model(tmp_path / "kmer", "kmer", 1).path, fasta, "")
    assert explain(kmer, fasta, tmp_path / "x", "--method", "deeplift") == 2
    assert "no rule for a layer of the kind KmerCounts; ism explains it" in capsys.readouterr().err
    assert explain(kmer, fasta, tmp_path / "x", "--method", "gradient") == 2
    assert "no gradient" in capsys.readouterr().err
    assert explain(kmer, fasta, tmp_path / "x") == 0
    binding = Made(model(tmp_path / "binding", "binding-shallow", 1).path, fasta, "")
    assert explain(binding, fasta, tmp_path / "y") == 2
    assert "the model reads tracks besides sequence" in capsys.readouterr().err


def test_an_existing_folder_is_not_replaced(made: Made, tmp_path: Path) -> None:
    fasta = tmp_path / "s.fa"
    fasta.write_text(f">a\n{bases(WINDOW)}\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    options = ("--task", "0", "--span", "0", "--method", "gradient")
    assert explain(made, fasta, tmp_path / "mine", "--force", *options) == 2
    assert explain(made, fasta, tmp_path / "x", *options) == 0
    assert explain(made, fasta, tmp_path / "x", *options) == 2
    assert explain(made, fasta, tmp_path / "x", "--force", *options) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "s.fa", "x"]


@pytest.mark.parametrize("name", OF_METHODS)
def test_an_option_for_another_method_is_said(name: str, caplog: pytest.LogCaptureFixture) -> None:
    value = {"reference": "zeros", "window": "fixed", "raw_gradient": True}.get(name, 7)
    how = replace(Manner(), **{name: value})
    for methods in (OF_METHODS[name][:1], [each for each in METHODS if each not in OF_METHODS[name]]):
        caplog.clear()
        warn_of_idle(how, methods)
        assert (f"`{name}` changes nothing" in caplog.text) == (methods != OF_METHODS[name][:1])
    caplog.clear()
    warn_of_idle(Manner(), ())
    assert not caplog.text


def test_what_there_is_nothing_of_is_said(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No allele, and windows of unknown bases."""
    assert explain(made, vcf(tmp_path / "v.vcf", []), tmp_path / "x") == 0
    assert "no allele in the file" in capsys.readouterr().err
    assert (tmp_path / "x" / "alleles.tsv").read_text().count("\n") == 1
    fasta = tmp_path / "s.fa"
    fasta.write_text(f">a\n{bases(WINDOW)}\n>b\n{'N' * WINDOW}\n>c\n{bases(40)}\n")
    options = ("--task", "0", "--method", "deeplift", "--reference", "shuffle:2")
    assert explain(made, fasta, tmp_path / "y", *options) == 0
    said = capsys.readouterr().err
    assert "3 windows explained" in said and "2 of 3 windows are mostly N" in said
    assert (np.load(tmp_path / "y" / "scores.npz")["deeplift"][1] == 0).all()


def test_a_disk_that_fills_up_at_the_very_end_leaves_nothing(made: Made, tmp_path: Path) -> None:
    """The tables are compressed, and so written when they are closed."""
    job = ExplainJob(find_model(str(made.model)), methods=("ism",))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(OutputError, match="cannot write: File too large"):
        try:
            with ExplainFolder(str(tmp_path / "x"), job, job.model.tasks()):
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
