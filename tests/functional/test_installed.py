"""An installed varscore finds, beside its default model, the background and the classifiers that belong to it."""

from __future__ import annotations

import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pysam
import pytest
from made_model import GOOD, TASKS, make_model

from varscore.cli.boundary import run
from varscore.functional.trees import Settings, fit
from varscore.scoring.classifier import save_classifier
from varscore.scoring.evalue import BACKGROUND, BackgroundBuilder, save_background
from varscore.zoo.card import write_card
from varscore.zoo.models import open_model
from varscore.zoo.shelf import CLASSIFIERS

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """The package, and one model with a background, a classifier that is on and one that is off, in a wheel."""
    builders = pytest.importorskip("hatchling.builders.wheel")
    checkout = tmp_path / "checkout"
    shutil.copytree(REPOSITORY / "varscore", checkout / "varscore", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, checkout)
    model = make_model(checkout / "models" / "small")
    write_card(model.path, {**model.card, "default": True})
    draw = np.random.default_rng(0)
    builder = BackgroundBuilder(len(TASKS))
    builder.add(draw.lognormal(-3, 1, (500, len(TASKS))).astype(np.float32))
    save_background(str(model.path / BACKGROUND), builder.finish(model.sha256, (), {}))
    features = draw.normal(size=(80, 2 * len(TASKS))).astype(np.float32)
    trees = fit(features, np.abs(features[:, 0]) > 0.7, (), Settings(trees=3))
    for name in ("on", "off"):
        facts = {
            "on_by_default": name == "on",
            "metrics": GOOD,
            "model": {"id": model.id, "sha256": open_model(model.path).sha256},
            "features": {"tasks": len(TASKS), "conservation": []},
        }
        save_classifier(model.path / CLASSIFIERS / name, trees, facts)
    (made,) = builders.WheelBuilder(str(checkout)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    return Path(made)


def test_a_wheel_annotates_with_what_belongs_to_its_model(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    draw = random.Random(1)
    (tmp_path / "g.fa").write_text(">chr1\n" + "".join(draw.choices("CGT", k=2000)) + "A\n")
    pysam.faidx(str(tmp_path / "g.fa"))
    (tmp_path / "v.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    with (tmp_path / "g.fa").open() as file, (tmp_path / "v.vcf").open("a") as variants:
        bases = file.read().split("\n")[1]
        variants.writelines(f"chr1\t{pos}\t.\t{bases[pos - 1]}\tA\t.\t.\t.\n" for pos in (500, 900, 1200))
    monkeypatch.setenv("VARSCORE_MODELS", "")
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("varscore.zoo.shelf.resources.files", lambda package: site / package)
    files = [str(tmp_path / "v.vcf"), "-r", str(tmp_path / "g.fa"), "-o", str(tmp_path / "o.vcf")]
    assert run(["annotate", *files, "--threads", "1", "--device", "cpu", "--engine", "plain"]) == 0
    with pysam.VariantFile(str(tmp_path / "o.vcf")) as file:
        header = str(file.header)
        records = list(file)
    assert "##varscoreModel=<ID=small," in header and "##varscoreBackground=<N=500," in header
    assert "##varscoreClassifier=<ID=on," in header and "ID=off," not in header
    assert len(records) == 3
    for record in records:
        assert 0 < record.info["VS_SIG"][0] <= 1 and 0 < record.info["VS_P_ON"][0] < 1
        assert "VS_P_OFF" not in record.info
