"""What share of variants passes a cut-off: writes cutoffs.tsv into a model's folder, which the report quotes, and for
the default model the table of docs/read-the-report.md, between its two comments.

    python benchmarks/cutoffs.py [-m MODEL] [-r FASTA] [--common VCF] [--regulatory TABLE]
    python benchmarks/cutoffs.py --page      only the table, from the cutoffs.tsv that is there

Common variants are the alleles of --common with a frequency of 5 to 95 %, every nth of them, so that about 3,000 are
scored. Regulatory ones are all of --regulatory, SNPs whose effect was measured (SuRE's raQTLs in K562). VS_P is left
out: classifiers have been trained on such SNPs.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from varscore.engine.compute import Compute
from varscore.engine.device import use_threads
from varscore.formats.sites import VariantTable, read_variants
from varscore.genome.contigs import ContigNames
from varscore.genome.sequence import Genome
from varscore.report.guide import CUTOFFS, Cutoff, cutoffs
from varscore.scoring.annotations import Annotations
from varscore.scoring.effects import strongest
from varscore.scoring.score import score_chunks
from varscore.storage.whole import put_file
from varscore.zoo.models import ModelFolder, find_model, ranked_tasks

PAGE = Path(__file__).resolve().parents[1] / "docs" / "read-the-report.md"
NAME = "cut-offs"
"""Of the comments in PAGE"""
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SCORED = 3000
RULES = {"VS_DIFF": (0.05, 0.1, 0.2), "VS_E": (0.01, 0.001, 0.0002), "VS_SIG": (0.1, 0.05, 0.02, 0.01)}
"""Tag -> cut-offs: |VS_DIFF| above, the others below"""


def common(path: Path) -> VariantTable:
    """The common alleles of a VCF, every nth."""
    table = read_variants(str(path))
    rows = np.flatnonzero((table.frequency >= 0.05) & (table.frequency <= 0.95))
    rows = rows[:: max(1, len(rows) // SCORED)]
    return VariantTable(table.alleles.take(rows, np.arange(len(rows))), table.frequency[rows])


def scores(model: ModelFolder, table: VariantTable, genome: Genome) -> dict[str, np.ndarray]:
    """VS_DIFF (absolute), VS_E and VS_SIG of what can be scored, float (n,)."""
    annotations = Annotations.open(model, [])
    tasks = ranked_tasks(model, np.arange(model.config().n_tasks))
    with Compute(threads=1).pool(model.load()) as pool:
        names = ContigNames(genome, {})
        ((_, found),) = score_chunks([table], genome, names, pool, model.config().window)
    best = strongest(found.effects.diff, tasks)
    extra = annotations.compute(found.effects, found.alleles, found.rows).columns
    diff = np.abs(found.effects.diff[np.arange(len(best)), best])
    return {"VS_DIFF": diff, "VS_E": extra["e"], "VS_SIG": extra["sig"]}


def lines(model: ModelFolder, sets: dict[str, dict[str, np.ndarray]], names: dict[str, str]) -> list[str]:
    found = [f"# model_sha256 {model.sha256}", *(f"# {kind}: {name}" for kind, name in names.items())]
    found.append("rule\tcommon\tcommon_n\tregulatory\tregulatory_n")
    for tag, limits in RULES.items():
        for limit in limits:
            passed = {kind: (one[tag] > limit if tag == "VS_DIFF" else one[tag] < limit) for kind, one in sets.items()}
            rule = f"|{tag}| > {limit}" if tag == "VS_DIFF" else f"{tag} < {limit}"
            figures = [f"{passed[kind].mean():.5f}\t{len(passed[kind])}" for kind in ("common", "regulatory")]
            found.append("\t".join([rule, *figures]))
    return found


def table(found: Sequence[Cutoff]) -> str:
    """The cut-offs as a table of the documentation."""
    said = ["| rule | common | regulatory | times |", "|-|-|-|-|"]
    for one in found:
        rule = one.rule.replace("|", "\\|")
        said.append(f"| {rule} | {one.common:.2%} | {one.regulatory:.1%} | {one.times} |".replace("%", " %"))
    return "\n".join(said)


def filled(text: str, content: str) -> str:
    """``text`` with what stands between the comments replaced. Raises ValueError when they are missing."""
    found, n = re.subn(
        rf"(<!-- {NAME} -->\n).*?(\n<!-- /{NAME} -->)", lambda hit: f"{hit[1]}\n{content}\n{hit[2]}", text, flags=re.S
    )
    if n != 1:
        raise ValueError(f"{PAGE} has no place, or several, for {NAME}")
    return found


def fill_page(model: ModelFolder) -> None:
    """Put the default model's cut-offs into the documentation."""
    if model.card.is_default:
        PAGE.write_text(filled(PAGE.read_text(), table(cutoffs(model))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model")
    parser.add_argument("-r", "--reference", type=Path, default=DATA / "genome" / "hg19.masked.fa.gz")
    parser.add_argument("--common", type=Path, default=DATA / "variants" / "1kg_phase3_chr20_1-2Mb.vcf.gz")
    parser.add_argument("--regulatory", type=Path, default=DATA / "labels" / "sure_raqtl_k562.tsv")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    if given.page:
        fill_page(find_model(given.model))
        return
    if not given.reference.exists():
        print("the real data set is not here: nothing to measure")
        return
    use_threads(1)
    model = find_model(given.model)
    tables = {"common": common(given.common), "regulatory": read_variants(str(given.regulatory))}
    with Genome(given.reference) as genome:
        sets = {kind: scores(model, table, genome) for kind, table in tables.items()}
    names = {"common": given.common.name, "regulatory": given.regulatory.name}
    text = "\n".join(lines(model, sets, names)) + "\n"
    put_file(model.path / CUTOFFS, text)
    fill_page(model)
    print(text)


if __name__ == "__main__":
    main()
