"""Fill the tables of docs/models.md from what remake.sh has made: the text between two comments of the same name.

    page.py OUT [NAME=MOTIFS.json ...]

OUT is remake.sh's folder; each NAME=MOTIFS.json is another model's column in the table of motifs.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from varscore.functional.assess import Interval
from varscore.zoo.models import open_model

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "models.md"
COLUMNS = {
    "kmer.hg19-207": "k-mers",
    "crnn-320-projection.hg19-207": "CRNN-320-projection",
    "dilated.hg19-207": "**dilated**",
    "deepsea*": "DeepSEA, published",
    "danq*": "DanQ, published",
}
OTHERS = ("kmer.hg19-207", "crnn-320-projection.hg19-207")
ENOUGH = 50
FELT = 0.1
"""log2 odds that a broken site costs, at least, where the network uses it"""


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def short(value: object) -> str:
    """.914 for 0.9137"""
    return f"{float(str(value)):.3f}".lstrip("0")


def means(folder: Path, published: bool) -> str:
    """Mean AUROC and AUPRC of DNase and factors, a column a model."""
    found = {(row["group"], row["model"]): row for row in read(folder / "means.csv")}
    models = [name for name in COLUMNS if published or not name.endswith("*")]
    lines = [f"| | {' | '.join(COLUMNS[name] for name in models)} |", "|-|" + "-|" * len(models)]
    for measure in ("auroc", "auprc"):
        for group in ("DNase", "TF"):
            figures = " | ".join(short(found[group, name][measure]) for name in models)
            lines.append(f"| {measure.upper()}, {group} | {figures} |")
    return "\n".join(lines)


def ahead(folder: Path, other: str) -> str:
    """Share of tasks on which the model is ahead of another in AUROC, AUPRC and both."""
    rows = [row for row in read(folder / "metrics.csv") if int(row["positives"]) >= ENOUGH]
    better = [[float(row[name]) > float(row[f"{name}:{other}"]) for name in ("auroc", "auprc")] for row in rows]
    shares = [sum(each) / len(rows) for each in (*zip(*better, strict=True), [all(pair) for pair in better])]
    return ", ".join(f"{share:.1%}".replace("%", " %") for share in shares)


def won(out: Path) -> str:
    lines = ["| | all bins | labelled bins |", "|-|-|-|"]
    for other in OTHERS:
        lines.append(f"| {COLUMNS[other]} | {ahead(out / 'test', other)} | {ahead(out / 'labelled', other)} |")
    return "\n".join(lines)


def lost(out: Path) -> str:
    """The tasks of losers.py's files, with intervals where the model is behind beyond doubt."""
    said = []
    for other in OTHERS:
        for folder, words in (("test", "all bins"), ("labelled", "labelled bins")):
            path = out / f"losers.{folder}.{other}.json"
            found = json.loads(path.read_text())["losers"]
            clear = [each for each in found if min(each["auroc"]["high"], each["auprc"]["high"]) < 0]
            behind = ", ".join(f"{each['task']} ({_worst(each)})" for each in clear) or "none"
            rest = ", ".join(each["task"] for each in found if each not in clear)
            undecided = f"; undecided: {rest}" if rest else ""
            said.append(f"- {COLUMNS[other]}, {words}: behind {behind}{undecided}.")
    return "\n".join("\n".join(textwrap.wrap(each, 118, subsequent_indent="  ")) for each in said)


def _worst(loser: Mapping[str, Any]) -> str:
    measure = min(("auroc", "auprc"), key=lambda name: loser[name]["high"])
    interval = loser[measure]
    return f"{measure.upper()} {interval['value']:+.3f}, {interval['low']:+.3f} to {interval['high']:+.3f}"


def motifs(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """The three questions of motifs.py, a column a model, and each factor's site in the first model."""
    found = list(columns.values())
    rows: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "factors whose site is above its shuffled bases, p < .01": lambda told: (
            f"{told['marks']['factors_raised']} of {told['marks']['factors']}"
        ),
        "log2 odds that CTCF loses by the matrix's worst base, median of 100 sites": lambda told: (
            f"{told['broken']['told']:.2f}"
        ),
        "… by the model's own worst base": lambda told: f"{told['broken']['worst']:.2f}",
        "correlation of its changes with the matrix's": lambda told: f"{told['broken']['agreement']:.2f}",
        "tasks of 50 positives ranked better than by the best matrix": lambda told: (
            f"{told['marks']['tasks_above_matrix']} of {told['marks']['tasks']}"
        ),
    }
    lines = [f"| | {' | '.join(columns)} |", "|-|" + "-|" * len(columns)]
    lines += [f"| {words} | {' | '.join(map(figure, found))} |" for words, figure in rows.items()]
    own = found[0]["factors"]
    said = "Median change in log2 odds of a factor's task: by its consensus over shuffled bases, in closed and open "
    said += "windows; and, of its strongest sites under its own peaks, by the one base that its matrix wants least."
    lines += ["", *textwrap.wrap(said, 120), ""]
    lines += ["| factor | closed | open | windows raised | real sites | broken |", "|-|-|-|-|-|-|"]
    for each in sorted(own, key=lambda factor: -float(factor["neutral"])):
        raised = f"{each['raised']:.0%}".replace("%", " %")
        lost = "" if each["broken"] is None else f"{-each['broken']:+.2f}"
        site = f"{each['factor']} | {each['neutral']:+.2f} | {each['open']:+.2f} | {raised} | {each['sites']} | {lost}"
        lines.append(f"| {site} |")
    low = [each["factor"] for each in own if not (each["p"] < 0.01 and each["raised"] > 0.5)]
    broken = {each["factor"]: each["broken"] for each in own if each["broken"] is not None}
    mute = [factor for factor, lost in broken.items() if factor not in low and lost < FELT]
    said = f"Not raised: {', '.join(low) or 'none'}. Hardly moved by a break where they are bound (less than {FELT}): "
    said += f"{', '.join(mute) or 'none'}. What the model says of their sites says little. The k-mer model "
    said += "raises almost all of them a little: it counts words, wherever they stand."
    return "\n".join([*lines, "", *textwrap.wrap(said, 120)])


def calibration(model: Path, out: Path) -> str:
    """Of the test bins, and how far one may trust the ratio, on them and on the chromosome that chose the weights."""
    card, told = open_model(model).card, json.loads((out / "calibration.json").read_text())
    lines = ["| test bins | mean prediction | share of positives | ratio | expected calibration error |", "|-|-|-|-|-|"]
    for group in ("DNase", "TF", "all"):
        found = card.figures("test", group)
        ratio = found["predicted"] / found["observed"]
        lines.append(
            f"| {group} | {found['predicted']:.4f} | {found['observed']:.4f} | {ratio:.2f} | {found['ece']:.4f} |"
        )
    lines += ["", "| ratio, 95 % of resamples of 1-Mb stretches | chr8 and chr9 | chr7 |", "|-|-|-|"]
    for group in ("DNase", "TF"):
        both = (Interval(**told[split][group]).text(2) for split in ("test", "validation"))
        lines.append(f"| {group} | {' | '.join(both)} |")
    return "\n".join(lines)


def classifiers(out: Path) -> tuple[str, str]:
    """The table of classifiers, and that of raQTLs' directions."""
    tables = (out / "classified" / "tables.md").read_text().strip().split("\n\n")
    return tuple(each.replace("dilated.hg19-207", "default").replace("kmer.hg19-207", "k-mers") for each in tables[:2])  # type: ignore[return-value]


def fill(text: str, name: str, content: str) -> str:
    """``text`` with what stands between the comments of this name replaced. Raises ValueError when they are missing."""
    found, n = re.subn(
        rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", lambda hit: f"{hit[1]}\n{content}\n{hit[2]}", text, flags=re.S
    )
    if n != 1:
        raise ValueError(f"{PAGE} has no place, or several, for {name}")
    return found


def main(out: Path, others: Mapping[str, Path]) -> None:
    model = out / next(path.parent.name for path in out.glob("classified/*/card.toml"))
    told = {name: json.loads(path.read_text()) for name, path in {"default": out / "motifs.json", **others}.items()}
    trees, directions = classifiers(out)
    made = {
        "test": means(out / "test", published=True),
        "labelled": means(out / "labelled", published=False),
        "won": won(out),
        "lost": lost(out),
        "motifs": motifs(told),
        "calibration": calibration(model, out),
        "classifiers": trees,
        "directions": directions,
    }
    text = PAGE.read_text()
    for name, content in made.items():
        text = fill(text, name, content)
    PAGE.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), {name: Path(path) for name, _, path in (each.partition("=") for each in sys.argv[2:])})
