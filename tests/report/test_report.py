"""A whole page: what is in it is what the file and the matrix say, and in a browser it does what it is for."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam.bcftools
import pytest
from browser import CHROMIUM, Browser
from made_scored import BY_DIFF, HOSTILE, write_scored
from unpacked_page import Unpacked

from varscore.annotate.writers.arrays import open_matrix
from varscore.errors import DataError, OutputExists, UsageError
from varscore.report.flow import ReportJob, write_report
from varscore.report.links import Link
from varscore.report.scored import open_scored

TASKS = ["0:K562|DNase|None", "1:K562|CTCF|None"]
FACTS = {"varscoreModel": "<ID=made.up,SHA256=abc123>", "varscoreReference": "<ID=hg0.fa,SHA256=def456>"}


Numbers = dict[tuple[object, ...], dict[str, np.ndarray]]


def write_matrix(path: Path, vcf: Path, facts: dict[str, str] = FACTS) -> Numbers:
    """A matrix with seeded numbers for every allele of the file; the numbers by allele."""
    alleles = list(open_scored(str(vcf)).alleles())
    random = np.random.default_rng(3)
    shape = (len(alleles), len(TASKS))
    values = {name: random.random(shape, np.float32) for name in ("ref", "alt", "logodds", "evalue")}
    values["diff"] = values["alt"] - values["ref"]
    unscored = [one.status != "PASS" for one in alleles]
    for block in values.values():
        block[unscored] = np.nan
    matrix = open_matrix(str(path), TASKS, facts, blocks=list(values))
    matrix.write(
        [one.chrom for one in alleles], np.array([one.pos for one in alleles]), [one.ref.encode() for one in alleles],
        [one.alt.encode() for one in alleles], [one.status for one in alleles], values,
    )  # fmt: skip
    matrix.close()
    return {one.key: {name: block[i] for name, block in values.items()} for i, one in enumerate(alleles)}


@pytest.fixture
def job(tmp_path: Path) -> ReportJob:
    vcf = write_scored(tmp_path / "made.vcf")
    return ReportJob(str(vcf), tmp_path / "report.html")


def read(job: ReportJob) -> Unpacked:
    return Unpacked.of(job.output.read_text())


@pytest.mark.parametrize("suffix", ["parquet", "zarr", "h5"])
def test_the_page_holds_what_file_and_matrix_say(job: ReportJob, tmp_path: Path, suffix: str) -> None:
    expected = write_matrix(tmp_path / f"all.{suffix}", Path(job.source))
    made = write_report(replace(job, scores=tmp_path / f"all.{suffix}"))
    page = read(job)
    rows = page.data["rows"]
    keys = list(zip(rows["chrom"], rows["pos"], rows["ref"], rows["alt"], strict=True))
    assert keys[:4] == BY_DIFF and made.shown == len(keys) == 7 and made.scored == 4
    wanted = {one.key: one for one in open_scored(job.source).alleles()}
    for column in ("diff", "task", "e", "sig", "p_made_up", "status"):
        assert rows[column] == [wanted[key].values.get(column) for key in keys]
    assert page.data["tasks"] == [["0:K562|DNase|None", "K562", "DNase"], ["1:K562|CTCF|None", "K562", "CTCF"]]
    arrays = page.arrays
    for row, key in enumerate(keys):
        assert np.array_equal(arrays["diff"][row], expected[key]["diff"].astype(np.float16), equal_nan=True)
        assert np.array_equal(arrays["ref"][row], expected[key]["ref"].astype(np.float16), equal_nan=True)
        assert np.allclose(10 ** arrays["e"][row].astype(float), expected[key]["evalue"], rtol=5e-3, equal_nan=True)
    assert made.size == job.output.stat().st_size


def test_no_attribute_has_an_address_and_hostile_ids_are_text(job: ReportJob) -> None:
    write_report(replace(job, title=HOSTILE))
    page = read(job)
    assert not page.addresses()
    assert not [a for a in page.attributes if a[1].startswith("on") or a[0] == "img"]
    assert HOSTILE in page.text and HOSTILE in page.data["rows"]["id"]


def test_links_are_only_those_asked_for(job: ReportJob) -> None:
    link = Link.parse("dbSNP=https://example.org/snp/{id}?at={chrom}-{pos}")
    write_report(replace(job, links=(link,)))
    assert read(job).data["links"] == [["dbSNP", "https://example.org/snp/{id}?at={chrom}-{pos}"]]
    assert not read(job).addresses()  # the page makes them when an allele is shown
    for text in ("dbSNP", "=https://a.b", "x=javascript:alert(1)", "x=https://a.b/{sample}", "x=file:///etc"):
        with pytest.raises(UsageError, match="is no link"):
            Link.parse(text)


def test_two_runs_give_the_same_bytes(job: ReportJob) -> None:
    write_report(job)
    first = job.output.read_bytes()
    write_report(replace(job, force=True))
    assert job.output.read_bytes() == first
    with pytest.raises(OutputExists):
        write_report(job)


def test_what_is_missing_names_the_option_that_brings_it(job: ReportJob) -> None:
    write_report(job)
    text = " ".join(read(job).text.split())
    for option in ("-r FASTA", "--scores FILE", "--genes FILE", "annotate --motifs FILE"):
        assert option in text
    assert "8,476 common variants (common_20, common_22)" in text


def test_filter_top_and_sort(job: ReportJob) -> None:
    write_report(replace(job, filter="VS_SIG<0.5", top=2, sort="e"))
    rows = read(job).data["rows"]
    expected = pysam.bcftools.query("-i", "VS_SIG<0.5", "-f", "%POS\n", job.source).split()
    assert len(expected) == 3 and [str(pos) for pos in rows["pos"]] == ["300", "100"]
    assert "1 further ones are counted here" in " ".join(read(job).text.split())
    with pytest.raises(UsageError, match="the file has no such score"):
        write_report(replace(job, sort="p_gwas", force=True))


def test_a_matrix_of_another_run_is_refused(job: ReportJob, tmp_path: Path) -> None:
    write_matrix(tmp_path / "other.parquet", Path(job.source), {**FACTS, "varscoreModel": "<ID=b,SHA256=0>"})
    with pytest.raises(DataError, match="the matrix is of another run.*its model is <ID=b,SHA256=0>"):
        write_report(replace(job, scores=tmp_path / "other.parquet"))
    lines = Path(job.source).read_text().splitlines(keepends=True)
    Path(job.source).write_text("".join(line for line in lines if "\t100\t" not in line))
    write_matrix(tmp_path / "less.parquet", Path(job.source))
    Path(job.source).write_text("".join(lines))
    with pytest.raises(DataError, match="the matrix has 3 of 4 alleles of the page.*chr1:100:A:G"):
        write_report(replace(job, scores=tmp_path / "less.parquet"))


def test_genes(job: ReportJob, tmp_path: Path) -> None:
    genes = tmp_path / "genes.gtf"
    line = 'chr1\tx\t{}\t{}\t{}\t.\t{}\t.\tgene_id "g{}"; gene_name "{}";\n'
    genes.write_text(
        "#!genome\n" + line.format("gene", 50, 250, "+", 1, "FIRST") + line.format("exon", 60, 70, "+", 1, "FIRST")
        + line.format("gene", 700, 950, "-", 2, "LAST")
    )  # fmt: skip
    write_report(replace(job, genes=str(genes)))
    data = read(job).data
    near = dict(zip(data["rows"]["pos"], zip(data["rows"]["gene"], data["rows"]["tss"], strict=True), strict=True))
    # FIRST starts at 50 on +, LAST at 950 on -, so that 1000 lies upstream of it
    assert near == {100: ("FIRST", 50), 300: ("FIRST", 250), 900: ("LAST", 50), 1000: ("LAST", -50)}
    assert data["genes"] == [["chr1", 49, 250, "FIRST", "+"], ["chr1", 699, 950, "LAST", "-"]]
    genes.write_text("chr1\t5\n")
    with pytest.raises(DataError, match="neither a GTF nor a BED line.*line 1"):
        write_report(replace(job, genes=str(genes), force=True))


def test_multiqc(job: ReportJob, tmp_path: Path) -> None:
    write_report(replace(job, multiqc=tmp_path / "made_mqc.json"))
    bars = json.loads((tmp_path / "made_mqc.json").read_text())
    assert bars["plot_type"] == "bargraph" and bars["data"] == {"made": {"PASS": 4, "SYMBOLIC": 2, "NO_ALT": 1}}
    general = json.loads((tmp_path / "made.varscore_general_mqc.json").read_text())
    figures = {"varscore_alleles": 7, "varscore_scored": 57.143, "varscore_rare": 2}
    assert general["plot_type"] == "generalstats" and general["data"] == {"made": figures}


# -- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with Browser() as opened:
        yield opened


def test_in_a_browser(browser: Browser, job: ReportJob, tmp_path: Path) -> None:
    expected = write_matrix(tmp_path / "all.parquet", Path(job.source))
    write_report(replace(job, scores=tmp_path / "all.parquet"))
    browser.open(job.output)
    assert browser.requests == [] and browser.blocked == []
    assert browser.run("document.getElementById('name').textContent").startswith("chr1:300 C>T")
    assert browser.run("document.querySelectorAll('main img').length") == 0
    # a link into the page, and what is drawn for it
    browser.run("location.hash = 'chr1:100:A:G'")
    browser.run("new Promise(done => setTimeout(done, 300))")
    assert browser.run("document.getElementById('name').textContent") == "chr1:100 A>G rs1"
    drawn = browser.run(
        "Object.fromEntries(Object.entries(Bokeh.documents[0].get_model_by_name('heat-tiles').data)"
        ".map(([key, values]) => [key, [...values]]))"
    )
    half = expected["chr1", 100, "A", "G"]["diff"].astype(np.float16)
    assert [float(text) for text in drawn["diff"]] == pytest.approx(half.astype(float).tolist(), rel=6e-3)
    assert "K562" in browser.run("document.getElementById('verdict').textContent")
    # filter and download
    browser.run(
        "const f = document.getElementById('filter'); f.value = 'diff<0 k562'; f.dispatchEvent(new Event('input'))"
    )
    found = list(csv.DictReader(io.StringIO(browser.run("varscore.tsv()")), delimiter="\t"))
    positions = pysam.bcftools.query("-i", "VS_DIFF<0", "-f", "%POS\n", job.source).split()
    assert sorted(row["pos"] for row in found) == sorted(positions)
    assert browser.run("document.getElementById('count').textContent") == "2 of 7 alleles"
    browser.run("f.value = 'nothing>3'; f.dispatchEvent(new Event('input'))")
    assert "There is no nothing" in browser.run("document.getElementById('filter-trouble').textContent")
    assert browser.requests == []
