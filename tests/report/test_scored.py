"""The same alleles and values come back from every format; what was not scored is refused."""

from __future__ import annotations

import gzip
import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pysam.bcftools
import pytest
from made_scored import BY_DIFF, HOSTILE, write_scored

from varscore.errors import DataError, VariantFileError
from varscore.report.chosen import choose
from varscore.report.scored import open_scored


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    return write_scored(tmp_path / "made.vcf")


def test_a_vcf_is_read_as_bcftools_reads_it(vcf: Path) -> None:
    scored = open_scored(str(vcf))
    assert scored.model == ("made.up", "abc123") and scored.reference == ("hg0.fa", "def456")
    assert scored.columns == (
        "status",
        "diff",
        "task",
        "logodds",
        "ref_prob",
        "e",
        "e_task",
        "e_diff",
        "sig",
        "p_made_up",
    )
    assert scored.meanings["p_made_up"] == 'Probability from "made up"'
    alleles = list(scored.alleles())
    text = pysam.bcftools.query("-f", "%CHROM\t%POS\t%REF\t%ALT\t%VS_STATUS\t%VS_DIFF\n", str(vcf))
    expected = []
    for chrom, pos, ref, alts, statuses, said in (line.split("\t") for line in text.splitlines()):
        own = said.split(",") * (len(alts.split(",")) if said == "." else 1)
        expected += [
            (chrom, int(pos), ref, *one) for one in zip(alts.split(","), statuses.split(","), own, strict=True)
        ]
    found = [
        (*one.key, one.status, "." if math.isnan(one.number("diff")) else f"{one.number('diff'):g}") for one in alleles
    ]
    assert found == expected and len(found) == 7
    assert alleles[1].id == HOSTILE and "diff" not in alleles[2].values


def test_the_tables_say_the_same(vcf: Path, tmp_path: Path) -> None:
    scored = open_scored(str(vcf))
    alleles = list(scored.alleles())
    names = ["chrom", "pos", "id", "ref", "alt", *scored.columns]
    rows = [[*one.key[:2], one.id, *one.key[2:], *(one.values.get(c, ".") for c in scored.columns)] for one in alleles]
    facts = "".join(f"##varscore{key}={value}\n" for key, value in scored.facts.items() if key != "Tags")
    body = "".join("\t".join(map(str, row)) + "\n" for row in [names, *rows])
    table = tmp_path / "made.tsv.gz"
    table.write_bytes(gzip.compress((facts + body).encode()))
    assert list(open_scored(str(table)).alleles()) == alleles
    (tmp_path / "renamed.tsv").write_text((facts + body).replace("chrom\tpos", "#chrom\tpos", 1))
    assert list(open_scored(str(tmp_path / "renamed.tsv")).alleles()) == alleles
    assert open_scored(str(table)).model == scored.model
    for row in rows:  # annotate has VS_SPAN as whole numbers
        row.append(40 if row[4] == "<DEL>" else ".")
    names.append("span")
    columns = {
        name: [None if row[i] == "." and name not in ("id", "alt") else row[i] for row in rows]
        for i, name in enumerate(names)
    }
    metadata = {f"varscore{key}": value for key, value in scored.facts.items() if key != "Tags"}
    parquet = tmp_path / "made.parquet"
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), parquet)
    spans = [{"span": 40.0} if one.alt == "<DEL>" else {} for one in alleles]
    assert list(open_scored(str(parquet)).alleles()) == [
        replace(one, values={**one.values, **span}) for one, span in zip(alleles, spans, strict=True)
    ]
    assert [one.number("span") for one in open_scored(str(parquet)).alleles() if one.alt == "<DEL>"] == [40.0]


def test_alleles_are_ranked_and_counted(vcf: Path) -> None:
    scored = open_scored(str(vcf))
    chosen = choose(scored, "diff", 1000)
    assert [one.key for one in chosen.alleles[:4]] == BY_DIFF and len(chosen.alleles) == 7
    assert chosen.counts.by_status == {"PASS": 4, "SYMBOLIC": 2, "NO_ALT": 1}
    assert sum(chosen.counts.diffs.counts) == sum(chosen.counts.evalues) == 4
    assert [chosen.counts.below[limit] for limit in (1e-2, 1e-3, 1e-4)] == [2, 1, 0]
    assert [one.key for one in choose(scored, "sig", 2).alleles] == [BY_DIFF[0], BY_DIFF[2]]
    some = choose(scored, "diff", 1, lambda one: one.number("diff") > 0)
    assert [one.key for one in some.alleles] == [BY_DIFF[1]] and some.counts.passed == 2 and some.counts.alleles == 7


def test_what_was_not_scored_is_refused(vcf: Path, tmp_path: Path) -> None:
    text = vcf.read_text()
    bare = tmp_path / "bare.vcf"
    bare.write_text("".join(line + "\n" for line in text.splitlines() if not line.startswith("##varscoreModel")))
    with pytest.raises(DataError, match="no scores of varscore.*varscoreModel"):
        open_scored(str(bare))
    with pytest.raises(DataError, match="no scores of varscore.*M2"):
        open_scored(str(vcf), "M2")
    table = tmp_path / "table.tsv"
    table.write_text("chrom\tpos\tref\nchr1\t3\tA\n")
    with pytest.raises(DataError, match="names no column id, alt, status, diff, task, logodds"):
        open_scored(str(table))
    broken = tmp_path / "broken.vcf"
    broken.write_text(text.replace("VS_DIFF=-0.5,.", "VS_DIFF=-0.5"))
    with pytest.raises(VariantFileError, match="VS_DIFF has 1 values for 2 alleles.*record 2"):
        list(open_scored(str(broken)).alleles())


def test_a_number_that_is_none_any_more_is_refused(vcf: Path, tmp_path: Path) -> None:
    """A German spreadsheet writes a comma; such alleles had been scored, and without an effect."""
    table = tmp_path / "t.tsv"
    head = "##varscoreModel=<ID=m,SHA256=0>\nchrom\tpos\tid\tref\talt\tstatus\tdiff\ttask\tlogodds\tp_x\tgene\n"
    row = "chr1\t5\t.\tA\tC\tPASS\t{}\t0:t\t{}\t{}\tTP53\n"
    table.write_text(head + row.format("-0.5", "NA", "nan"))
    (found,) = open_scored(str(table)).alleles()
    assert found.values == {"status": "PASS", "diff": -0.5, "task": "0:t", "gene": "TP53"}
    for column, values in (("diff", ("-0,5", "1", "1")), ("logodds", ("1", "#NAME?", "1")), ("p_x", ("1", "1", "0,9"))):
        table.write_text(head + row.format(1, 1, 1) + row.format(*values))
        with pytest.raises(DataError, match=f"{column} is '.*', no number, .*t.tsv line 4; another program"):
            list(open_scored(str(table)).alleles())
    broken = tmp_path / "broken.vcf"
    broken.write_text(vcf.read_text().replace("VS_DIFF=-0.5,.", "VS_DIFF=-0.5,x"))
    with pytest.raises(DataError, match="diff is 'x', no number, .*record 2"):
        list(open_scored(str(broken)).alleles())
