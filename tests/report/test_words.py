"""What the page says of an allele, by node: each kind of model in its own words; and the words that are chosen."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from varscore.report.chosen import Histogram
from varscore.report.scored import Allele
from varscore.report.words import CHROMATIN, KINDS, OTHER, STARTS, VALUES, Opening, words_for
from varscore.tasks import Task

NODE = shutil.which("node")
WORDS = Path(__file__).resolve().parents[2] / "varscore" / "report" / "words.js"
ABOUT = """
const about = {kind: "chromatin", openable: 3, background: {n: 8476, floor: 0.0001},
  cutoffs: [["|VS_DIFF| > 0.05", 0.02, 0.2], ["VS_E < 0.001", 0.01, 0.2], ["VS_SIG < 0.01", 0.005, 0.05]],
  taskName: text => text};
const effects = {columns: [0, 1, 2, 3], names: ["0:A|DNase", "1:B|DNase", "2:C|DNase", "3:A|CTCF"],
  cells: ["A", "B", "C", "A"], marks: ["DNase", "DNase", "DNase", "CTCF"],
  ref: [0.7, 0.5, 0.4, 0.9], diff: [-0.2, -0.1, 0.01, -0.6], closes: 2, opens: 0};
const row = {chrom: "1", pos: 7, ref: "A", alt: "G", id: "", status: "PASS", diff: -0.6, task: "3:A_CTCF", e: 0.0005,
  e_task: "3:A_CTCF", e_diff: -0.6, sig: 0.2, motif: "-AP-1*&+SP1"};
"""


def said(script: str) -> Any:
    if NODE is None:
        pytest.skip("no node here")
    given = f"global.varscore = {{}}; const w = require({json.dumps(str(WORDS))}); {ABOUT}"
    given += f"; console.log(JSON.stringify({script}))"
    done = subprocess.run([NODE, "-e", given], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_an_allele_at_a_glance_and_in_a_sentence() -> None:
    found, sentence, floor, few = said(
        """[w.glance(row, effects, about, ["TGACTCA", 0, true]), w.sentence(row, effects, about),
        w.glance({...row, e: 0.0001, motif: null}, effects, about, ["GGGCGG", 12, true]),
        w.glance({...row, diff: 0.01, e: 0.2, motif: null},
          {...effects, diff: [0.01, 0.005, 0, -0.002], closes: 0}, about, null)]"""
    )
    assert found == {
        "effect": "closes chromatin",
        "cells": "2 of 3 cell types: A (0.70 to 0.50) and B (0.50 to 0.40); CTCF in A (0.90 to 0.30)",
        "why": "Motif lost: AP-1. Motif gained: SP1. Changes TGACTCA, on which the prediction rests.",
        "sure": "E 5e-4: 1 in 2,000 of common variants change it more. Passes VS_E < 0.001 (×20).",
    }
    assert sentence == (
        "Motif lost: AP-1. Motif gained: SP1. Closes chromatin in 2 of 3 cell types (probability of DNase down by more "
        "than 0.05), in A (0.70 to 0.50) and B (0.50 to 0.40). Other marks that change: CTCF in A (0.90 to 0.30). "
        "Rarest effect: 3:A_CTCF (-0.6), E = 5e-4: 1 in 2,000 of common variants change it more."
    )
    assert floor["why"] == "Weakens GGGCGG, 12 bp away, on which the prediction rests."
    assert said('w.reason({diff: -0.1}, ["GGGCGG", 12, false])') == ""  # worth more, though the prediction falls
    assert floor["sure"].startswith("E 1e-4: none of 8,476 common variants changes it more.")
    assert few == {
        "effect": "hardly changes",
        "cells": "most: DNase in A (0.70 to 0.71)",
        "why": "",
        "sure": "E 0.2: 20 % of common variants change it more. Passes no cut-off.",
    }


def test_other_kinds_have_their_own_words() -> None:
    values, starts, without, unscored = said(
        """[
        w.sentence({...row, e: null, motif: null}, {columns: [0, 1], names: ["0:B", "1:T4"], cells: ["B", "T4"],
          marks: ["lineage", "lineage"], ref: [5.25, 3], diff: [-0.5, 0.125], closes: 0, opens: 0},
          {...about, kind: "values", openable: 0}),
        w.glance({...row, e: null, motif: null}, {columns: [0, 1], names: ["0:sharp", "1:broad"],
          cells: ["sharp", "broad"], marks: ["TSS", "TSS"], ref: [0.5, 0.2], diff: [-0.3, 0.02], closes: 0, opens: 0},
          {...about, kind: "starts", openable: 0, cutoffs: []}, null),
        w.sentence({...row, e: null, motif: null}, null, about),
        w.sentence({status: "SYMBOLIC", diff: null}, effects && null, about)]"""
    )
    assert values == "The predicted value is lower in 1 of 2: B (5.25 to 4.75) and T4 (3 to 3.13)."
    assert starts == {"effect": "less likely", "cells": "sharp (0.50 to 0.20)", "why": "", "sure": ""}
    assert without == "Most changed: 3:A_CTCF, -0.6." and unscored == "No score: SYMBOLIC."


def test_numbers_and_both_ways() -> None:
    assert said("[0.000118, 0.0005, -0.25, 123456, 0.00281].map(x => w.figure(x, 2))") == [
        "1.2e-4",
        "5e-4",
        "-0.25",
        "1.2e+5",
        "0.0028",
    ]
    both = said("w.glance(row, {...effects, diff: [-0.2, 0.1, 0.3, 0], closes: 1, opens: 2}, about, null)")
    assert both["effect"] == "opens chromatin, closes it in 1"
    assert both["cells"] == (
        "opens in 2 of 3 cell types: C (0.40 to 0.70) and B (0.50 to 0.60); "
        "closes in 1 of 3 cell types: A (0.70 to 0.50)"
    )


def test_the_pages_filter() -> None:
    script = """["diff<-0.1 e<0.001", "closes>=2 ctcf", "status=pass", "sig<0.1", "diff<x", "nothing>1"].map(text => {
      const names = {diff: "diff", e: "e", closes: "closes", status: "status", sig: "sig"};
      const holds = w.parseFilter(text, names);
      return typeof holds === "string" ? holds : holds({...row, closes: 2, text: "pass\\na_ctcf"});
    })"""
    assert said(script) == [
        True,
        True,
        True,
        False,
        "x is no number.",
        "There is no nothing; there are diff, e, closes, status, sig.",
    ]


def allele(**values: float | str) -> Allele:
    return Allele("1", 5, ".", "A", "G", {"status": "PASS", **values})


def test_the_words_are_those_of_the_model() -> None:
    odds, value = allele(diff=0.1, logodds=0.3, task="0:x"), allele(diff=0.1, task="0:x")
    dnase, starts = [Task(0, "A|DNase|None")], [Task(0, "sharp", "TSS")]
    assert words_for([odds], dnase).kind == CHROMATIN and words_for([odds], starts).kind == STARTS
    assert words_for([odds], [Task(0, "SRF", "TF")]).kind == OTHER and words_for([value], starts).kind == VALUES
    assert words_for([allele(diff=0.1, logodds=0.3, task="3:GM12878_DNase")], []).kind == CHROMATIN
    for words in KINDS.values():
        if words.kind != CHROMATIN:
            assert "chromatin" not in words.about + words.diff + words.less + words.more
    assert "log-odds" in KINDS[VALUES].diff and "probability" not in KINDS[VALUES].amount


def test_cells_that_open_and_close_are_counted() -> None:
    tasks = [Task(0, "A|DNase"), Task(1, "B|ATAC"), Task(2, "A|CTCF")]
    diff = np.array([[-0.06, 0.2, 0.9], [-0.05, np.nan, 0.0]], np.float32)
    found = Opening.count(diff, tasks)
    assert found is not None
    assert (found.closes.tolist(), found.opens.tolist(), found.of) == ([1, 0], [1, 0], 2)
    assert Opening.count(diff[:, 2:], tasks[2:]) is None


def test_a_histogram_grows_to_what_it_is_given() -> None:
    random = np.random.default_rng(4)
    values = np.concatenate([random.normal(0, 0.003, 500), random.normal(0, 4, 500), [0.0, -8.0, 7.99]])
    found = Histogram()
    for value in values.tolist():
        found.add(value)
    expected, _ = np.histogram(values, np.array(found.edges))
    assert found.reach >= np.abs(values).max() > found.reach / 2
    assert found.counts == expected.tolist() and sum(found.counts) == len(values)
