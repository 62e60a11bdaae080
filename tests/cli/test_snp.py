"""``varscore train-snp`` from variants to a classifier that ``annotate`` uses."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pysam
import pytest
from cli.made_snps import largest_effect, made_snvs, write_genome, write_vcf
from sklearn.metrics import roc_auc_score

from varscore.cli.boundary import run
from varscore.genome.sequence import Genome
from varscore.scoring.classifier import open_classifier
from varscore.scoring.platt import Platt
from varscore.zoo.models import ModelFolder

FAST = ["--trees", "8", "--folds", "4", "--locus", "2000", "--threads", "1", "--device", "cpu"]
GROUPS = ("positive", "360", "710", "6300", "random")


@pytest.fixture
def data(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SNVs that the model ``tiny`` thinks much of (p.vcf) and little of (n.vcf), and all of them (all.vcf)."""
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_REFERENCE", str(write_genome(tmp_path)))
    with Genome(tmp_path / "g.fa") as genome:
        snvs = made_snvs(genome, 240)
        effect = largest_effect(tiny_model, genome, snvs)
    much = effect > np.median(effect)
    write_vcf(tmp_path / "p.vcf", [snv for snv, yes in zip(snvs, much, strict=True) if yes])
    write_vcf(tmp_path / "n.vcf", [snv for snv, yes in zip(snvs, much, strict=True) if not yes])
    write_vcf(tmp_path / "all.vcf", snvs, "AF=0.25")
    return tmp_path


def train(data: Path, *more: str, name: str = "mine", status: int = 0) -> Path:
    common = ["train-snp", "--positives", str(data / "p.vcf"), "-o", str(data / name)]
    assert run([*common, *FAST, *more]) == status
    return data / name


def predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.usefixtures("painted")
def test_a_classifier_learns_tells_how_well_and_annotates(
    data: Path, tiny_model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(data, "--negatives", str(data / "n.vcf"))
    out = capsys.readouterr().out
    card = tomllib.loads((folder / "card.toml").read_text())
    rows = predictions(folder)
    label = np.array([row["label"] == "1" for row in rows])
    scores, probability = (np.array([float(row[name]) for row in rows]) for name in ("score", "probability"))
    figures = card["metrics"]["cross-validation"]["all"]
    assert figures["auroc"] == pytest.approx(roc_auc_score(label, scores), abs=1e-4)
    weight = np.where(label, 0.5 / label.mean(), 0.5 / (1 - label.mean()))
    found = card["metrics"]["calibration"]
    assert found["brier"] == pytest.approx(np.average((probability - label) ** 2, weights=weight), abs=1e-5)
    assert found["brier_low"] <= found["brier"] <= found["brier_high"] < found["brier_of_constant"] == 0.25
    fold = np.array([row["fold"] for row in rows])
    for name in np.unique(fold).tolist():  # what a fold's probabilities are made with, the others have taught
        here = fold == name
        taught = Platt.fit(scores[~here], label[~here])
        assert probability[here] == pytest.approx(taught.apply(scores[here].astype(np.float32)), abs=1e-4)
    assert Platt.read(card["calibration"]).slope == pytest.approx(Platt.fit(scores, label).slope, rel=1e-4)
    assert figures["auroc"] > 0.9 and figures["auroc_low"] < figures["auroc"] < figures["auroc_high"]
    assert f"{figures['auroc']:.3f} ({figures['auroc_low']:.3f}-{figures['auroc_high']:.3f})" in out
    assert card["on_by_default"] and card["model"] == {"id": "tiny", "sha256": tiny_model.sha256}
    assert card["data"]["positives"] == label.sum() and card["data"]["negatives"] == (~label).sum()
    assert {row["fold"] for row in rows} == {"0", "1", "2", "3"}
    loci: dict[str, set[str]] = {}
    for row in rows:
        loci.setdefault(row["locus"], set()).add(row["fold"])
    assert all(len(folds) == 1 for folds in loci.values()) and len(loci) > 8
    for name in (
        "metrics.json",
        "metrics.csv",
        "importance.csv",
        "roc.png",
        "pr.png",
        "reliability.png",
        "importance.png",
    ):
        assert (folder / name).stat().st_size > 100
    facts = json.loads((folder / "metrics.json").read_text())
    assert sum(facts["gain"].values()) == pytest.approx(1, abs=1e-3)
    assert set(facts["gain"]) == {"logodds TF", "diff TF", "logodds DNase", "diff DNase"}

    assert (
        run(["annotate", str(data / "all.vcf"), "-o", str(data / "o.vcf.gz"), "-c", str(folder), "--threads", "1"]) == 0
    )
    ensemble = open_classifier(folder).load()
    with pysam.VariantFile(str(data / "o.vcf.gz")) as file:
        assert file.header.info["VS_P_MINE"].number == "A"
        assert any(str(line).startswith("##varscoreClassifier=<ID=mine,SHA256=") for line in file.header.records)
        found = {(r.chrom, r.pos, r.alts[0]): r.info["VS_P_MINE"][0] for r in file if r.alts}
    given = {(row["chrom"], int(row["pos"]), row["alt"]): float(row["probability"]) for row in rows}
    assert found.keys() == given.keys()
    called = np.array([found[key] for key in given])
    assert roc_auc_score(label, called) > 0.95  # trained on them
    assert len(ensemble.models) == 1


def test_the_same_seed_makes_the_same_files(data: Path) -> None:
    """With an empty cache, and with what that has kept."""
    pool = ["--negatives-from", str(data / "n.vcf"), "--distance", "20000,random", "--cache", str(data / "scores")]
    first, again, other = (
        train(data, *pool, "--seed", seed, name=name) for seed, name in (("1", "a"), ("1", "b"), ("2", "c"))
    )
    for name in ("classifier.json", "scaler.json", "predictions.tsv", "metrics.csv"):
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
    assert (first / "predictions.tsv").read_bytes() != (other / "predictions.tsv").read_bytes()
    with (first / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["negatives_group"] for row in rows] == ["all", "20000", "random"]
    assert {row["set"] for row in rows} == {"cross-validation"}
    assert int(rows[0]["negatives"]) == sum(int(row["negatives"]) for row in rows[1:])


def test_a_chromosome_is_held_out_and_a_baseline_stands_beside(
    data: Path, tiny_model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--hold-out", "2", "--baseline-model", str(tiny_model.path), "--group-by", "none"]
    folder = train(data, "--negatives", str(data / "n.vcf"), *more)
    rows = predictions(folder)
    assert all((row["fold"] == "held-out") == (row["chrom"] == "chr2") for row in rows)
    with (folder / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["set"] for row in table] == ["cross-validation"] * 2 + ["hold-out"] * 2
    held = [row for row in rows if row["fold"] == "held-out"]
    expected = roc_auc_score([row["label"] == "1" for row in held], [float(row["score"]) for row in held])
    assert float(table[2]["auroc"]) == pytest.approx(expected, abs=1e-4)
    assert [row["score"] for row in rows] == [row["baseline"] for row in rows]  # the same model
    assert "AUROC above the baseline, hold-out, all: 0.000 (0.000-0.000)" in capsys.readouterr().out
    alone = train(data, "--negatives", str(data / "n.vcf"), "--hold-out", "chr2", "--group-by", "none", name="alone")
    assert (alone / "classifier.json").read_bytes() == (folder / "classifier.json").read_bytes()


def test_without_the_held_out_chromosome_the_trees_are_the_same(data: Path) -> None:
    """What is held out has no influence on the classifier."""
    text = (data / "p.vcf").read_text()
    first = train(data, "--negatives", str(data / "n.vcf"), "--hold-out", "chr2", name="a")
    (data / "p.vcf").write_text(re.sub(r"^chr2\t.*\n", "", text, count=20, flags=re.MULTILINE))
    second = train(data, "--negatives", str(data / "n.vcf"), "--hold-out", "chr2", name="b")
    assert len(predictions(second)) == len(predictions(first)) - 20
    assert (first / "classifier.json").read_bytes() == (second / "classifier.json").read_bytes()


def test_variants_that_cannot_be_scored_are_counted(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (data / "p.vcf").open("a") as file:
        file.write("chr1\t500\t.\tA\t<DEL>\t.\t.\t.\nchr1\t900000\t.\tA\tC\t.\t.\t.\nchrX\t5\t.\tA\tC\t.\t.\t.\n")
    folder = train(data, "--negatives", str(data / "n.vcf"))
    err = capsys.readouterr().err
    assert "1 of 123 alleles of" in err and "2 of 122 positives cannot be scored: 1 SYMBOLIC, 1 OFF_CONTIG" in err
    card = tomllib.loads((folder / "card.toml").read_text())
    assert card["data"]["cannot_be_scored"] == {"positives": {"SYMBOLIC": 1, "OFF_CONTIG": 1}}
    assert card["data"]["positives"] == 120


def test_the_card_says_what_it_is_told_and_where_the_variants_come_from(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = data / "about.toml"
    about.write_text('limits = "few"\n[contact]\nname = "me"\n')
    (data / "x.bed").write_text("chr1\t0\t300000\n")
    folder = train(data, "--negatives", str(data / "n.vcf"), "--about", str(about), "--restrict", str(data / "x.bed"))
    card = tomllib.loads((folder / "card.toml").read_text())
    assert (card["limits"], card["contact"]) == ("few", {"name": "me"})
    sources = card["data"]["sources"]
    digest = hashlib.sha256((data / "p.vcf").read_bytes()).hexdigest()
    assert sources["positives"] == [{"name": "p.vcf", "sha256": digest}]
    assert sources["restricted_to"]["name"] == "x.bed" and str(data) not in (folder / "card.toml").read_text()
    for text, message in (
        ("[metrics]\n", "--about cannot say metrics"),
        ("a =", "is no TOML file"),
        (None, "there is no such file"),
    ):
        if text is None:
            about.unlink()
        else:
            about.write_text(text)
        train(data, "--negatives", str(data / "n.vcf"), "--about", str(about), name="other", status=2)
        assert message in capsys.readouterr().err


def test_one_that_finds_nothing_is_off_and_its_card_says_why(
    data: Path, tiny_model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels drawn by lot. ``annotate`` leaves it out by itself, and takes it when it is named."""
    rows = [line for line in (data / "all.vcf").read_text().splitlines() if not line.startswith("#")]
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    lot = np.random.default_rng(0).random(len(rows)) < 0.5
    for name, chosen in (("p.vcf", lot), ("n.vcf", ~lot)):
        picked = (row for row, yes in zip(rows, chosen, strict=True) if yes)
        (data / name).write_text(head + "\n".join(picked) + "\n")
    folder = train(data, "--negatives", str(data / "n.vcf"), name="models/tiny/classifiers/lot")
    card = tomllib.loads((folder / "card.toml").read_text())
    figures = card["metrics"]["cross-validation"]["all"]
    assert not card["on_by_default"] and figures["auroc_low"] <= 0.5
    assert f"not all above 0.55: {figures['auroc']:.3f} (" in card["off_because"]
    assert "not on by default" in capsys.readouterr().out
    annotate = ["annotate", str(data / "all.vcf"), "--threads", "1", "-o"]
    assert run([*annotate, str(data / "a.tsv")]) == run([*annotate, str(data / "b.tsv"), "-c", "lot"]) == 0
    assert "p_lot" not in (data / "a.tsv").read_text() and "p_lot" in (data / "b.tsv").read_text()


def test_distance_groups_and_frequencies_at_full_strength(data: Path) -> None:
    """Common positives among 10,000 mostly rare variants: DeepSEA's four groups are full, each at its distance, each as
    common as the positives, so that frequency, which would tell the classes apart, no longer does."""
    random = np.random.default_rng(0)
    with Genome(data / "g.fa") as genome:
        places = [("chr1", place) for place in np.sort(random.choice(np.arange(200, 299_800), 7000, False)).tolist()]
        places += [("chr2", place) for place in np.sort(random.choice(np.arange(200, 119_800), 3000, False)).tolist()]
        bases = [int(genome.codes(contig, place, place + 1)[0]) for contig, place in places]
    positive = np.zeros(len(places), bool)
    positive[150::250] = True  # 40, some 10 kb apart
    frequency = np.where(positive, random.uniform(0.05, 0.5, len(places)), random.beta(0.4, 2, len(places)))
    lines = [
        f"{contig}\t{place + 1}\t.\t{'ACGT'[base]}\t{'CGTA'[base]}\t.\t.\tAF={af:.5f}\n"
        for (contig, place), base, af in zip(places, bases, frequency, strict=True)
    ]
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (data / "p.vcf").write_text(head + "".join(line for line, yes in zip(lines, positive, strict=True) if yes))
    (data / "pool.vcf").write_text(head + "".join(lines))
    groups = ["--distance", "360,710,6300,random", "--match-af", "--ratio", "1", "--locus", "500"]
    rows = predictions(train(data, "--negatives-from", str(data / "pool.vcf"), *groups))
    stated = {(c, str(place + 1)): af for (c, place), af in zip(places, frequency.tolist(), strict=True)}
    common = {name: [stated[row["chrom"], row["pos"]] for row in rows if row["group"] == name] for name in GROUPS}
    assert {name: len(values) for name, values in common.items()} == dict.fromkeys(GROUPS, 40)
    own = common.pop("positive")
    for name, others in common.items():
        assert 0.4 < roc_auc_score([1] * 40 + [0] * 40, own + others) < 0.6, name
        if name != "random":
            here = [row for row in rows if row["group"] == name]
            away = [
                min(
                    abs(int(row["pos"]) - int(p["pos"]))
                    for p in rows
                    if p["label"] == "1" and p["chrom"] == row["chrom"]
                )
                for row in here
            ]
            assert min(away) >= int(name) / 2 and max(away) <= 1.5 * int(name)
    unmatched = [af for af, yes in zip(frequency, positive, strict=True) if not yes]
    assert roc_auc_score([1] * 40 + [0] * len(unmatched), own + unmatched) > 0.7


def test_conservation_becomes_features(data: Path) -> None:
    pybigtools = pytest.importorskip("pybigtools")
    writer = pybigtools.open(str(data / "c.bw"), "w")
    writer.write({"chr1": 300_000, "chr2": 120_000}, iter([("chr1", 0, 300_000, 1.5)]))
    folder = train(data, "--negatives", str(data / "n.vcf"), "--conservation", f"phylop={data / 'c.bw'}")
    assert open_classifier(folder).conservation == ("phylop",)
    assert "conservation" in (folder / "importance.csv").read_text()
    arguments = ["annotate", str(data / "all.vcf"), "-o", str(data / "o.tsv"), "-c", str(folder), "--threads", "1"]
    assert run(arguments) == 2
    assert run([*arguments, "--conservation", f"phylop={data / 'c.bw'}"]) == 0
    assert "p_mine" in (data / "o.tsv").read_text()


def test_an_existing_classifier_is_kept_without_force(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train(data, "--negatives", str(data / "n.vcf"))
    before = (folder / "classifier.json").read_bytes()
    train(data, "--negatives", str(data / "n.vcf"), "--trees", "3", status=2)
    assert "the output exists" in capsys.readouterr().err
    assert (folder / "classifier.json").read_bytes() == before
    train(data, "--negatives", str(data / "n.vcf"), "--trees", "3", "--force")
    assert (folder / "classifier.json").read_bytes() != before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "there are no negatives: give --negatives or --negatives-from"),
        (["--negatives", "{n}", "--distance", "0"], "'0' is not a list of bp"),
        (["--negatives", "{n}", "--distance", "360,360"], "each once"),
        (["--negatives", "{n}", "--ratio", "0"], "--ratio must be above 0"),
        (["--negatives", "{n}", "--ratio", "nan", "--match-context"], "--ratio must be above 0"),
        (["--negatives", "{n}", "--distance", "360"], "give --negatives-from"),
        (["--negatives", "{n}", "--ratio", "2"], "give --negatives-from or --match-*"),
        (["--negatives", "{n}", "--hold-out", "chr9"], "--hold-out chr9: no such contig"),
        (["--negatives", "{n}", "--hold-out", "chr1,chr2"], "only one class is left to train on"),
        (["--negatives", "{n}", "--conservation", "x"], "'x' is not NAME=BIGWIG"),
        (["--negatives", "absent.vcf"], "no such file, absent.vcf"),
        (["--negatives", "{n}", "--match-af"], "the allele frequency of no positive is known"),
        (["--negatives", "{n}", "--locus", "1000000", "--hold-out", "chr2"], "lie in one locus or chromosome"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(
    data: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    train(data, *(word.format(n=data / "n.vcf") for word in more), status=2)
    err = capsys.readouterr().err
    assert message in err and err.count("varscore: error") == 1
    assert not (data / "mine" / "card.toml").exists()
