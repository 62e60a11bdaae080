"""The motif benchmark asks a network that is a matrix itself: all that it finds is known beforehand."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from varscore.datasets.examples import ExampleSet
from varscore.datasets.peaks import BinOptions, build_peaks
from varscore.errors import DataError
from varscore.formats.motifs import Motif
from varscore.genome.sequence import Genome, decode
from varscore.genome.windows import Windows
from varscore.motifs.scan import Words, consensus, log_odds
from varscore.nets.objectives import Labels

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "motifs.py"
BINS, PLANTED = 400, range(6, 390, 8)
RANDOM = np.random.default_rng(7)


def sharp(name: str, width: int) -> Motif:
    """A motif that mostly has one base a column."""
    bases = RANDOM.integers(0, 4, width)
    frequencies = np.full((width, 4), 0.02) + RANDOM.random((width, 4)) * 0.05
    frequencies[np.arange(width), bases] = 1
    return Motif(f"M.{name}", name, frequencies / frequencies.sum(1, keepdims=True), 100.0)


CTCF, REST = sharp("CTCF", 15), sharp("REST", 21)


class MatrixEngine:
    """A network whose log2 odds of CTCF are the best score of its matrix in the bin; it knows nothing else."""

    def __init__(self) -> None:
        self.net: Any = SimpleNamespace(goal=Labels(4), strands="both-mean", inputs=(), n_tasks=4)

    def _logits(self, windows: np.ndarray) -> np.ndarray:
        logits = np.zeros((len(windows), 4), np.float32)
        matrix = log_odds(CTCF)
        logits[:, 0] = [Words(window).best(matrix).max() * math.log(2) for window in windows[:, 400:600]]
        return logits

    def score(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        ref, alt = (self._logits(codes)[None] for codes in (windows.ref, windows.alt))
        return ref, alt

    def predict(self, windows: np.ndarray, *_: object) -> np.ndarray:
        return 1 / (1 + np.exp(-self._logits(windows) / 50))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("motif_benchmark", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    module.SITES = 10  # type: ignore[attr-defined]
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    """A contig with CTCF's site, on either strand, in the middle of every eighth bin, and nothing else to find."""
    folder = tmp_path_factory.mktemp("bench")
    codes = RANDOM.integers(0, 4, BINS * 200).astype(np.uint8)
    site = consensus(CTCF)
    for i in PLANTED:
        codes[i * 200 + 90 : i * 200 + 105] = site if i % 16 == 6 else 3 - site[::-1]
    (folder / "g.fa").write_text(f">chr8\n{decode(codes).decode()}\n")
    (folder / "peaks").mkdir()
    peaks = {"ctcf": PLANTED, "rest": range(9, 390, 16), "d1": range(1, BINS, 2), "d2": range(1, BINS, 2)}
    for name, bins in peaks.items():
        (folder / "peaks" / f"{name}.bed").write_text("".join(f"chr8\t{i * 200}\t{i * 200 + 200}\n" for i in bins))
    cells = {"ctcf": "GM12878\tCTCF", "rest": "GM12878\tNRSF", "d1": "A\tDNase", "d2": "B\tDNase"}
    rows = "".join(f"{name}.bed\t{text}\n" for name, text in cells.items())
    (folder / "peaks" / "tracks.tsv").write_text(f"file\tcell\tmark\n{rows}")
    with Genome(folder / "g.fa", cache_dir=folder) as genome:
        options = BinOptions(bins="all", validation=(), test=("chr8",))
        build_peaks(genome, folder / "peaks", folder / "data", options)
    return ExampleSet(folder / "data")


@pytest.fixture
def bench(script: ModuleType, data: ExampleSet) -> Any:
    model = SimpleNamespace(id="matrix", sha256="0" * 64)
    return script.Bench(model, MatrixEngine(), data, data.rows("test"), (REST, CTCF))


def test_a_base_of_a_site_costs_what_the_matrix_says(script: ModuleType, bench: Any) -> None:
    broken = script.break_ctcf(bench)
    matrix = log_odds(CTCF)
    worst = (matrix.max(1) - matrix.min(1)).max()
    others = (matrix.max(1, keepdims=True) - matrix)[matrix < matrix.max(1, keepdims=True)]
    assert broken.sites == 10
    assert broken.told == pytest.approx(worst, abs=1e-4) == broken.worst
    assert broken.mean == pytest.approx(others.mean(), abs=1e-4)
    assert broken.agreement == pytest.approx(1, abs=1e-4)


def test_its_own_site_raises_a_factor_and_that_of_another_does_not(script: ModuleType, bench: Any) -> None:
    ctcf, rest = script.raise_factors(bench, np.random.default_rng(0))
    assert (ctcf.factor, rest.factor) == ("CTCF", "NRSF")
    assert ctcf.p < 1e-30 and ctcf.neutral > 5 and ctcf.open > 5
    assert (rest.raised, rest.neutral, rest.open, rest.p) == (0, 0, 0, 1)
    matrix = log_odds(CTCF)
    assert ctcf.sites == rest.sites == 10
    assert ctcf.broken == pytest.approx((matrix.max(1) - matrix.min(1)).max(), abs=1e-4) and rest.broken == 0


def test_shuffled_sites_are_no_sites(script: ModuleType) -> None:
    site, matrix = consensus(CTCF), log_odds(CTCF)
    orders = script.shuffled(site, matrix, 50, np.random.default_rng(0))
    assert (np.sort(orders, 1) == np.sort(site)).all()
    assert max(Words(order).best(matrix)[0] for order in orders) < matrix.max(1).sum() / 2


def test_bins_are_ranked_by_the_matrix_that_does_it_best(script: ModuleType, bench: Any) -> None:
    ctcf, rest = script.rank_bins(bench)
    assert (ctcf.positives, rest.positives) == (len(PLANTED), len(range(9, 390, 16)))
    assert (ctcf.matrix, ctcf.motif, ctcf.scope) == (1.0, "M.CTCF CTCF", "bin"), (
        "near the bin no other bin's site counts"
    )
    assert ctcf.network == 1.0
    assert rest.matrix < 0.5 and rest.network < 0.1, "chance is 24 of 396"


def test_measures_of_an_evaluation_take_the_place_of_predictions(
    script: ModuleType, bench: Any, tmp_path: Path
) -> None:
    table = tmp_path / "metrics.csv"
    table.write_text(
        "index,name,positives,auroc,auprc\n0,GM12878|CTCF,48,.9,.5\n1,GM12878|NRSF,24,.8,.4\n2,A|DNase,0,NA,NA\n"
    )
    bench = script.Bench(bench.model, bench.engine, bench.data, bench.rows, bench.motifs, table)
    assert [(row.auroc, row.network) for row in script.rank_bins(bench)] == [(0.9, 0.5), (0.8, 0.4)]
    table.write_text(table.read_text().replace(",48,", ",47,"))
    with pytest.raises(DataError, match="not of these bins.*47 positives of GM12878|CTCF there, 48 here"):
        script.rank_bins(bench)


def test_the_report_says_all_of_it(script: ModuleType, bench: Any) -> None:
    figures = script.measure(bench, 0)
    text = script.markdown("matrix", figures)
    assert "| 1 of 2 | 24 |" in text and "| GM12878 NRSF | 24 |" in text
    stated = json.loads(json.dumps(script.facts(bench, "test", figures)))
    marks = {"factors": 2, "factors_raised": 1, "ctcf_log2_odds": stated["broken"]["told"]}
    assert stated["marks"] == marks | {"tasks": 0, "tasks_above_matrix": 0}, "none has 50 positives"
