"""Two files of custom content that MultiQC reads without a plugin: what became of a file's alleles."""

from __future__ import annotations

import json
from pathlib import Path

from varscore.report.chosen import Counts
from varscore.storage.whole import put_file

GENERAL = "varscore_general_mqc.json"
"""Columns of MultiQC's first table; written beside the file that is asked for"""


def write_multiqc(path: Path, sample: str, counts: Counts) -> list[Path]:
    """``path`` (a name that ends in ``_mqc.json``) with a bar of VS_STATUS, and the general statistics beside it.

    Raises OutputError.
    """
    general = path.with_name(f"{sample}.{GENERAL}" if path.name != GENERAL else f"{sample}.general_mqc.json")
    bars = {
        "id": "varscore_status",
        "section_name": "varscore",
        "description": "What became of the alternative alleles: scored (PASS), or why not.",
        "plot_type": "bargraph",
        "pconfig": {"id": "varscore_status_plot", "title": "varscore: alleles by status", "ylab": "alleles"},
        "data": {sample: dict(sorted(counts.by_status.items()))},
    }
    share = 100 * counts.scored / counts.alleles if counts.alleles else 0.0
    figures: dict[str, float] = {"varscore_alleles": counts.alleles, "varscore_scored": round(share, 3)}
    headers = [
        {"varscore_alleles": {"title": "Alleles", "description": "Alternative alleles", "format": "{:,.0f}"}},
        {"varscore_scored": {"title": "% scored", "description": "Alleles with a score", "suffix": "%", "max": 100}},
    ]
    if any(counts.evalues):
        figures["varscore_rare"] = counts.below[1e-2]
        said = "Alleles whose smallest E-value is below 0.01"
        headers.append({"varscore_rare": {"title": "E < 0.01", "description": said, "format": "{:,.0f}"}})
    table = {"id": "varscore_general", "plot_type": "generalstats", "pconfig": headers, "data": {sample: figures}}
    put_file(path, json.dumps(bars, indent=1) + "\n")
    put_file(general, json.dumps(table, indent=1) + "\n")
    return [path, general]
