"""Scored files made by hand, of two tasks, so that every number on a page is known."""

from __future__ import annotations

from pathlib import Path

HOSTILE = "<img_src=x_onerror=alert(1)>"
HEADER = """##fileformat=VCFv4.3
##contig=<ID=chr1,length=5000>
##varscoreVersion=0.1.0
##varscoreCommand=annotate
##varscoreModel=<ID=made.up,SHA256=abc123>
##varscoreReference=<ID=hg0.fa,SHA256=def456>
##varscoreBackground=<N=8476,SHA256=77,SOURCES=common_20+common_22,FLOOR=0.0001,CONSERVATION=none>
##varscoreTags=VS_STATUS,VS_DIFF,VS_TASK,VS_LOGODDS,VS_REF,VS_E,VS_E_TASK,VS_E_DIFF,VS_SIG,VS_P_MADE_UP
##INFO=<ID=AC,Number=1,Type=Integer,Description="Count">
##INFO=<ID=VS_STATUS,Number=A,Type=String,Description="PASS or why not">
##INFO=<ID=VS_DIFF,Number=A,Type=Float,Description="The largest difference">
##INFO=<ID=VS_TASK,Number=A,Type=String,Description="Its task">
##INFO=<ID=VS_LOGODDS,Number=A,Type=Float,Description="Its log-odds">
##INFO=<ID=VS_REF,Number=A,Type=Float,Description="Before">
##INFO=<ID=VS_E,Number=A,Type=Float,Description="Smallest E-value">
##INFO=<ID=VS_E_TASK,Number=A,Type=String,Description="Its task">
##INFO=<ID=VS_E_DIFF,Number=A,Type=Float,Description="Its difference">
##INFO=<ID=VS_SIG,Number=A,Type=Float,Description="Significance">
##INFO=<ID=VS_P_MADE_UP,Number=A,Type=Float,Description="Probability from \\"made up\\"">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""


def scored(status: str, diff: float, task: str, e: float, sig: float) -> dict[str, str]:
    return {
        "STATUS": status,
        "DIFF": f"{diff:g}",
        "TASK": task,
        "LOGODDS": f"{4 * diff:g}",
        "REF": "0.4",
        "E": f"{e:g}",
        "E_TASK": task,
        "E_DIFF": f"{diff:g}",
        "SIG": f"{sig:g}",
        "P_MADE_UP": f"{abs(diff):g}",
    }


RECORDS = [
    ("chr1", 100, "rs1", "A", ["G"], [scored("PASS", 0.25, "0:K562_DNase", 0.003, 0.2)]),
    ("chr1", 300, HOSTILE, "C", ["T", "G"], [scored("PASS", -0.5, "1:K562_CTCF", 0.0001, 0.01), None]),
    ("chr1", 300, ".", "CA", ["C"], [scored("PASS", 0.125, "0:K562_DNase", 0.5, 0.9)]),
    ("chr1", 900, "rs4", "G", ["<DEL>"], [None]),
    ("chr1", 1000, "rs5", "T", ["A" * 40], [scored("PASS", -0.25, "1:K562_CTCF", 0.02, 0.05)]),
    ("chr1", 1000, "rs6", "T", ["."], ["NO_ALT"]),
]
BY_DIFF = [("chr1", 300, "C", "T"), ("chr1", 100, "A", "G"), ("chr1", 1000, "T", "A" * 40), ("chr1", 300, "CA", "C")]
"""The scored alleles, largest |VS_DIFF| first; of equal ones the first in the file"""


def write_scored(path: Path) -> Path:
    lines = [HEADER]
    for chrom, pos, name, ref, alts, values in RECORDS:
        lines.append("\t".join([chrom, str(pos), name, ref, ",".join(alts), ".", ".", _info(values)]) + "\n")
    path.write_text("".join(lines))
    return path


def _info(values: list[dict[str, str] | str | None]) -> str:
    known = next((value for value in values if isinstance(value, dict)), None)
    statuses = [one["STATUS"] if isinstance(one, dict) else one or "SYMBOLIC" for one in values]
    entries = [f"AC=1;VS_STATUS={','.join(statuses)}"]
    for name in known or {}:
        if name != "STATUS":
            texts = [one[name] if isinstance(one, dict) else "." for one in values]
            entries.append(f"VS_{name}={','.join(texts)}")
    return ";".join(entries)
