"""``varscore report`` and ``--report`` from end to end with a small model."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from unpacked_page import Unpacked

from varscore.cli.boundary import run
from varscore.demo import DemoFiles
from varscore.engine.plain import PlainEngine
from varscore.genome.coords import anchor
from varscore.genome.sequence import Genome
from varscore.zoo.models import ModelFolder


@pytest.fixture
def demo(tmp_path: Path, tiny_model: ModelFolder) -> DemoFiles:
    files = DemoFiles(tmp_path / "demo")
    assert run(["demo", str(files.folder), "--threads", "1"]) == 0
    return files


def test_what_is_computed_again_is_what_annotate_wrote(demo: DemoFiles, tmp_path: Path) -> None:
    """The page of the demo, of ``annotate --report`` with the matrix, and of ``report`` hold the same numbers."""
    out, matrix = tmp_path / "out.vcf.gz", tmp_path / "all.parquet"
    both = ["--scores", str(matrix), "--report", str(tmp_path / "a.html"), "--threads", "1"]
    assert run(["annotate", str(demo.vcf), "-r", str(demo.fasta), "-o", str(out), *both]) == 0
    assert run(["report", str(out), "-r", str(demo.fasta), "-o", str(tmp_path / "b.html"), "--threads", "1"]) == 0
    pages = [Unpacked.of(path.read_text()) for path in (demo.page, tmp_path / "a.html", tmp_path / "b.html")]
    rows = [page.data["rows"] for page in pages]
    assert "-AP-1" in rows[0].pop("motif") and "motif" not in rows[1]  # only the demo looks for motifs
    assert rows[0] == rows[1] == rows[2]
    table = pq.read_table(matrix, columns=["pos", "alt", "diff"]).to_pylist()
    expected = {(row["pos"], row["alt"]): row["diff"] for row in table}
    for page in pages:
        for found, pos, alt in zip(page.arrays["diff"], rows[0]["pos"], rows[0]["alt"], strict=True):
            diff = expected[pos, alt]
            assert np.isnan(found).all() if diff is None else np.allclose(found, diff, atol=1e-3, rtol=1e-3)
        assert "Research use only" in page.text and not page.addresses()


def test_the_demo_without_the_extra_says_how_to_get_it(
    tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from varscore.report import page

    page._library.cache_clear()
    monkeypatch.setitem(sys.modules, "bokeh.resources", None)
    assert run(["demo", str(tmp_path / "demo"), "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("page")] == ["page      not made: pip install bokeh jinja2"]
    assert not DemoFiles(tmp_path / "demo").page.exists()
    assert run(["report", str(DemoFiles(tmp_path / "demo").scored), "-o", str(tmp_path / "a.html")]) == 2
    assert "a page needs the package bokeh" in capsys.readouterr().err


def test_scores_of_another_genome_or_model_are_refused(
    demo: DemoFiles, tmp_path: Path, tiny_model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.fa"
    other.write_text(demo.fasta.read_text().replace("GATGAGTCATC", "GATCCCCCATC").replace("ACGT", "AGGT"))
    page = str(tmp_path / "page.html")
    assert run(["report", str(demo.scored), "-r", str(other), "-o", page, "--threads", "1"]) == 2
    assert "the file's scores are not those of this model and FASTA" in capsys.readouterr().err
    card = tiny_model.path / "card.toml"
    card.write_text(re.sub(r'("model.safetensors" = ")[0-9a-f]{4}', r"\g<1>0000", card.read_text()))
    assert run(["report", str(demo.scored), "-m", "tiny", "-o", page, "--threads", "1"]) == 2
    assert "the file was scored with another model" in capsys.readouterr().err
    assert not Path(page).exists()
    # without -m the file's own model is looked for, and is not here any more
    assert run(["report", str(demo.scored), "-r", str(demo.fasta), "-o", page, "--threads", "1"]) == 0
    assert "is not at hand here" in Path(page).read_text()


def test_report_wants_a_file(demo: DemoFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = ["annotate", str(demo.vcf), "-r", str(demo.fasta), "--report", str(tmp_path / "a.html"), "--threads", "1"]
    assert run([*start, "-o", "-"]) == 2
    assert "--report cannot read a stream" in capsys.readouterr().err
    assert run([*start, "-o", str(tmp_path / "x.vcf"), "--shard", "1/2"]) == 2
    assert "--report cannot read a shard's output" in capsys.readouterr().err
    (tmp_path / "a.html").touch()
    assert run([*start, "-o", str(tmp_path / "x.vcf")]) == 2
    assert not (tmp_path / "x.vcf").exists() and "a.html" in capsys.readouterr().err


def test_logos_are_what_every_substitution_does(demo: DemoFiles, tiny_model: ModelFolder) -> None:
    """An allele's logos on the demo's page, against the network's own answer to each substitution, one by one."""
    page = Unpacked.of(demo.page.read_text())
    rows, facts, arrays = page.data["rows"], page.data["logos"], page.arrays
    row = next(
        i for i, (ref, alt) in enumerate(zip(rows["ref"], rows["alt"], strict=True)) if len(ref) == len(alt) == 1
    )
    assert rows["status"][row] == "PASS"
    diff = np.nan_to_num(arrays["diff"][row].astype(float))
    task = int(facts["tasks"][row].partition(":")[0])
    assert abs(diff[task]) == np.abs(diff).max()

    net = tiny_model.load()
    engine = PlainEngine(net, torch.device("cpu"))
    start = rows["pos"][row] - 1
    with Genome(demo.fasta) as genome:
        window = genome.codes(rows["chrom"][row], start - anchor(120), start - anchor(120) + 120)
    for turn, allele in enumerate((rows["ref"][row], rows["alt"][row])):
        own = window.copy()
        own[anchor(120)] = "ACGT".index(allele)
        first = anchor(120) - facts["flank"]
        shown = arrays["logo_base"][row, turn]
        drawn = np.flatnonzero(shown != 5)
        assert np.array_equal(shown[drawn], own[first + drawn])
        for column in (0, 29, 30, 31, 60):
            mutants = np.array([own] * 4)
            mutants[:, first + column] = range(4)
            logits = engine.logits(mutants).mean(0)[:, task] / np.log(2)
            here = int(own[first + column])
            expected = -sum(logits[base] - logits[here] for base in range(4)) / 3
            assert float(arrays["logo"][row, turn, column]) == pytest.approx(expected, rel=2e-3, abs=2e-3)
    assert np.flatnonzero(arrays["logo_changed"][row]).tolist() == [30]
