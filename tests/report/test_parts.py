"""The ranking of cells, the order of tiles, cut-offs: against numbers worked out by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from varscore.errors import ModelError
from varscore.genome.sequence import Genome
from varscore.report.cells import rank_cells
from varscore.report.guide import cutoffs
from varscore.report.matrix import TaskEffects, cell_and_mark, names_in
from varscore.report.tiles import blocks_of
from varscore.tasks import Task
from varscore.zoo.card import Card
from varscore.zoo.models import ModelFolder, open_model
from varscore.zoo.shelf import bundled_folder

ROOT = Path(__file__).resolve().parents[2]

TASKS = [Task(0, "A|DNase"), Task(1, "A|CTCF"), Task(2, "B|DNase"), Task(3, "C|DNase")]


def test_cell_and_mark() -> None:
    assert cell_and_mark(Task(0, "K562|CTCF|None")) == ("K562", "CTCF")
    told = {"cell": "T-47D", "mark": "DNase", "treatment": "DMSO_0.02pct"}
    assert cell_and_mark(Task(0, "x", "DNase", told)) == ("T-47D", "DNase (DMSO_0.02pct)")
    assert cell_and_mark(Task(0, "liver", "ATAC")) == ("liver", "ATAC")


def test_the_mitochondrion_of_a_scored_file_is_the_genome_s_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(">chr1\nACGT\n>chrM\nACGTACGT\n")
    with Genome(tmp_path / "g.fa", cache_dir=tmp_path) as genome:
        assert names_in(genome).of(["1", "MT", "chrM", "2"]) == ["chr1", "chrM", "chrM", None]
    (tmp_path / "n.fa").write_text(">chr1\nACGT\n")
    with Genome(tmp_path / "n.fa", cache_dir=tmp_path) as genome:
        assert names_in(genome).of(["1", "MT"]) == ["chr1", None]


def test_cells_are_ranked_by_the_ratio_of_the_strongest_to_all() -> None:
    n = 40
    diff = np.zeros((n, 4), np.float32)
    diff[:10] = [0.4, -0.1, 0.3, 0.0]  # the ten that rank first
    diff[10:] = [0.1, 0.1, -0.1, 0.0]
    diff[20] = np.nan  # without a score
    evalue = np.ones((n, 4), np.float32)
    evalue[:3, 1] = evalue[2:5, 0] = 0.001
    usual = np.array([0.1, 0.1, 0.2, 0.0])  # of a matrix with more alleles
    found = rank_cells(TaskEffects(("",) * 4, diff, diff, evalue, usual, 500), TASKS)
    assert found is not None
    # A: tasks 4 and 1 times; B: 1.5 times; C never changes, so that it cannot be compared
    assert found.names == ["A", "B"] and found.ratios == pytest.approx([2.5, 1.5]) and found.usual == pytest.approx(2)
    assert found.notes == ["2 tasks; 5 of 10 alleles with E < 0.01", "1 task; 0 of 10 alleles with E < 0.01"]
    assert (found.strongest, found.compared, found.cells) == (10, 500, 2)
    assert found.relative == pytest.approx([1.25, 0.75]) and found.chance > 1
    assert rank_cells(TaskEffects(("",) * 4, diff[:19], diff[:19], None, usual, 19), TASKS) is None


def test_a_cell_stands_out_when_chance_does_not_do_as_much() -> None:
    random = np.random.default_rng(8)
    tasks = [Task(i, f"cell{i}|DNase") for i in range(40)]
    diff = random.normal(0, 0.05, (300, 40)).astype(np.float32)
    usual = np.abs(diff).mean(0, dtype=np.float64)
    same = rank_cells(TaskEffects(("",) * 40, diff, diff, None, usual, 300), tasks)
    assert same is not None and len(same.outstanding) <= 1 and 1 < same.chance < 1.8
    diff[:30, 7] *= 3
    found = rank_cells(TaskEffects(("",) * 40, diff, diff, None, usual, 300), tasks)
    assert found is not None and found.outstanding[0][0] == "cell7" and found.outstanding[0][1] > 2


def test_tiles_stand_in_blocks_by_mark_then_by_cell() -> None:
    cells = [(f"c{i}", "DNase") for i in range(5)]
    cells += [("K562", mark) for mark in ("CTCF", "JunD", "SP1", "YY1")] + [("c0", "CTCF"), ("c1", "SP1")]
    blocks = blocks_of(cells, None)
    assert [(block["title"], block["tasks"]) for block in blocks] == [
        ("DNase by cell", [0, 1, 2, 3, 4]),
        ("Other marks and factors in K562", [5, 6, 7, 8]),
        ("Other tasks", [9, 10]),
    ]


def test_tiles_that_change_alike_stand_together() -> None:
    random = np.random.default_rng(1)
    strength, kind = random.random((200, 1)) + 1, random.normal(size=(200, 1))
    group = np.array([1, -1, 1, -1, 1, -1])
    diff = (strength * 0.1 + kind * group * 0.03 + random.normal(size=(200, 6)) * 0.002).astype(np.float32)
    ((block),) = blocks_of([(f"c{i}", "DNase") for i in range(6)], diff)
    order = block["tasks"]
    assert isinstance(order, list) and sorted(order) == list(range(6))
    assert {int(group[i]) for i in order[:3]} in ({1}, {-1}) and {int(group[i]) for i in order[3:]} in ({1}, {-1})


def test_cutoffs_belong_to_the_weights_they_were_measured_with(tmp_path: Path) -> None:
    model = ModelFolder(tmp_path, Card({"files": {"model.safetensors": "aa"}}))
    assert cutoffs(None) == cutoffs(model) == []
    table = "rule\tcommon\tcommon_n\tregulatory\tregulatory_n\nVS_E < 0.01\t0.05\t2000\t0.2\t600\n"
    (tmp_path / "cutoffs.tsv").write_text("# model_sha256 bb\n" + table)
    assert cutoffs(model) == []
    (tmp_path / "cutoffs.tsv").write_text("# model_sha256 aa\n" + table)
    (found,) = cutoffs(model)
    assert (found.rule, found.common, found.common_n, found.regulatory, found.times) == (
        "VS_E < 0.01",
        0.05,
        2000,
        0.2,
        "4.0",
    )
    (tmp_path / "cutoffs.tsv").write_text("# model_sha256 aa\nrule\tcommon\nx\t1\n")
    with pytest.raises(ModelError, match="damaged table of cut-offs"):
        cutoffs(model)


def test_the_documentation_has_the_default_models_cut_offs() -> None:
    """docs/read-the-report.md between its comments is what benchmarks/cutoffs.py writes there."""
    spec = importlib.util.spec_from_file_location("cutoffs_script", ROOT / "benchmarks" / "cutoffs.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    table = script.table(cutoffs(open_model(bundled_folder() / "dilated.hg19-207")))
    text = script.PAGE.read_text()
    assert len(table.splitlines()) > 5 and script.filled(text, table) == text
    assert script.filled(text.replace(table, "older"), table) == text
    with pytest.raises(ValueError, match="no place"):
        script.filled(text.replace("<!-- cut-offs -->", ""), table)
