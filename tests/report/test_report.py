"""A whole page: what is in it is what the file and the matrix say, and in a browser it does what it is for."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam.bcftools
import pytest
from browser import CHROMIUM, Browser
from made_scored import BY_DIFF, HOSTILE, write_scored
from unpacked_page import Unpacked

from varscore.annotate.writers.arrays import open_matrix
from varscore.annotate.writers.motif_table import COLUMNS
from varscore.errors import DataError, OutputExists, UsageError
from varscore.report import rows
from varscore.report.flow import write_report
from varscore.report.job import ReportJob
from varscore.report.links import Link
from varscore.report.scored import open_scored

TASKS = ["0:K562|DNase|None", "1:K562|CTCF|None"]
FACTS = {"varscoreModel": "<ID=made.up,SHA256=abc123>", "varscoreReference": "<ID=hg0.fa,SHA256=def456>"}


Numbers = dict[tuple[object, ...], dict[str, np.ndarray]]


def write_matrix(path: Path, vcf: Path, facts: dict[str, str] = FACTS, tasks: Sequence[str] = TASKS) -> Numbers:
    """A matrix with seeded numbers for every allele of the file; the numbers by allele."""
    alleles = list(open_scored(str(vcf)).alleles())
    random = np.random.default_rng(3)
    shape = (len(alleles), len(tasks))
    values = {name: random.random(shape, np.float32) for name in ("ref", "alt", "logodds", "evalue")}
    values["diff"] = values["alt"] - values["ref"]
    unscored = [one.status != "PASS" for one in alleles]
    for block in values.values():
        block[unscored] = np.nan
    matrix = open_matrix(str(path), list(tasks), facts, blocks=list(values))
    matrix.write(
        [one.chrom for one in alleles],
        np.array([one.pos for one in alleles]),
        [one.ref.encode() for one in alleles],
        [one.alt.encode() for one in alleles],
        [one.status for one in alleles],
        values,
    )
    matrix.commit()
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


def test_alleles_of_one_spelling_keep_their_own_numbers(job: ReportJob, tmp_path: Path) -> None:
    """Two ``<DEL>`` at one place differ in their ends only; and a record may stand twice."""
    head, records = Path(job.source).read_text().split("#CHROM")
    names, *lines = records.splitlines()
    first = lines[0].split("\t")
    diffs = [0.25, -0.125, 0.25, 0.5]
    alts = ["<DEL>", "<DEL>", "G", "G"]
    rows = []
    for diff, alt in zip(diffs, alts, strict=True):
        info = re.sub(r"VS_DIFF=[^;]*", f"VS_DIFF={diff:g}", first[7])
        rows.append("\t".join([*first[:4], alt, *first[5:7], info]))
    rows[3] = rows[2]
    Path(job.source).write_text(head + "#CHROM" + "\n".join([names, *rows, ""]))
    diff = np.array([[0.25, 0.1], [-0.125, 0.2], [0.25, 0.3], [0.25, 0.3]], np.float32)
    matrix = open_matrix(str(tmp_path / "all.parquet"), TASKS, FACTS, blocks=["ref", "alt", "diff", "logodds"])
    blocks = dict.fromkeys(("ref", "alt", "diff", "logodds"), diff)
    matrix.write(["chr1"] * 4, np.full(4, 100), [b"A"] * 4, [alt.encode() for alt in alts], ["PASS"] * 4, blocks)
    matrix.commit()
    table = tmp_path / "sites.tsv"
    table.write_text(SITES + "chr1\t100\tA\tG\tSP1\tM2\tgained\t-\t.\t98\t1\t9\t0.01\t1e-7\t-0.5\t10\n" * 2)
    write_report(replace(job, scores=tmp_path / "all.parquet", motif_table=str(table)))
    page = read(job)
    order = [(one, row) for row, one in enumerate(page.data["rows"]["diff"])]
    for said, row in order:
        alike = diff[np.isclose(diff[:, 0], said)]
        assert any(np.array_equal(page.arrays["diff"][row], one.astype(np.float16)) for one in alike), (said, row)
    shown = {page.data["rows"]["alt"][row]: page.arrays["diff"][row].tolist() for said, row in order if said == -0.125}
    assert shown["<DEL>"] == pytest.approx([-0.125, 0.2], rel=1e-3)
    assert sorted(map(len, page.data["sites"])) == [0, 0, 1, 1]


def test_genes(job: ReportJob, tmp_path: Path) -> None:
    genes = tmp_path / "genes.gtf"
    line = 'chr1\tx\t{}\t{}\t{}\t.\t{}\t.\tgene_id "g{}"; gene_name "{}";\n'
    genes.write_text(
        "#!genome\n"
        + line.format("gene", 50, 250, "+", 1, "FIRST")
        + line.format("exon", 60, 70, "+", 1, "FIRST")
        + line.format("gene", 700, 950, "-", 2, "LAST")
    )
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


def test_of_many_alleles_only_the_largest_differences_travel(
    job: ReportJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = write_matrix(tmp_path / "all.parquet", Path(job.source))
    monkeypatch.setattr(rows, "DENSE", 3)
    monkeypatch.setattr(rows, "KEPT", 1)
    write_report(replace(job, scores=tmp_path / "all.parquet"))
    page = read(job)
    arrays, data = page.arrays, page.data["rows"]
    assert arrays["diff"].shape == arrays["kept"].shape == (7, 1)
    for row in range(4):
        key = tuple(data[name][row] for name in ("chrom", "pos", "ref", "alt"))
        own = expected[key]["diff"]
        largest = int(np.abs(own).argmax())
        assert arrays["kept"][row, 0] == largest and arrays["diff"][row, 0] == own[largest].astype(np.float16)
    assert "only the 50 largest differences of each are on the page" in " ".join(page.text.split())


def changed(job: ReportJob, *pairs: tuple[str, str]) -> ReportJob:
    text = Path(job.source).read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    Path(job.source).write_text(text)
    return job


def without(job: ReportJob, *tags: str) -> ReportJob:
    """The file without some tags: in INFO, in the header, in the list of tags."""
    text = Path(job.source).read_text()
    for name in tags:
        text = re.sub(rf";{name}=[^;\t\n]*", "", text)
        text = re.sub(rf"##INFO=<ID={name},.*\n", "", text)
        text = re.sub(rf",{name}\b", "", text)
    Path(job.source).write_text(text)
    return job


def test_a_network_of_values_has_its_own_words(job: ReportJob, tmp_path: Path) -> None:
    text = Path(job.source).read_text()
    Path(job.source).write_text(
        re.sub(r"VS_LOGODDS=[^;\n]*", lambda hit: re.sub(r"[-\d.e]+(?=,|$)", ".", hit[0]), text)
    )
    write_matrix(tmp_path / "all.parquet", Path(job.source))
    write_report(replace(job, scores=tmp_path / "all.parquet"))
    page = read(job)
    text = " ".join(page.text.split()).rpartition("The run")[0]
    assert page.data["kind"] == "values" and "logodds" not in page.data["rows"] and "VS_LOGODDS" not in text
    assert "lower with the alternative" in text and "how strongly the gene is expressed" in text
    assert "chromatin" not in text.lower() and "predicted probabilit" not in text.lower()
    assert "difference of predicted value" in page.scripts["page-charts"][0]


def test_what_a_file_does_not_have_is_not_spoken_of(job: ReportJob) -> None:
    write_report(without(job, "VS_E", "VS_E_TASK", "VS_E_DIFF", "VS_SIG", "VS_P_MADE_UP"))
    page = read(job)
    assert "No E-values" in page.text and "VS_SIG" not in page.text.split("How to read this")[-1]
    assert {"e", "sig", "p_made_up"}.isdisjoint(page.data["rows"]) and page.data["rows"]["diff"][0] == -0.5


def test_a_file_of_an_older_version_names_no_tags(job: ReportJob) -> None:
    write_report(job)
    known = read(job).data["rows"]
    lines = Path(job.source).read_text().splitlines(keepends=True)
    Path(job.source).write_text("".join(line for line in lines if not line.startswith("##varscoreTags")))
    (Path(job.source).parent / (Path(job.source).name + ".run.json")).write_text('{"format": 99}')
    write_report(replace(job, force=True))
    assert read(job).data["rows"] == known


@pytest.mark.parametrize("kept", [0, 1])
def test_no_allele_and_one(job: ReportJob, kept: int) -> None:
    lines = Path(job.source).read_text().splitlines(keepends=True)
    body = [line for line in lines if not line.startswith("#")]
    Path(job.source).write_text("".join([line for line in lines if line.startswith("#")] + body[:kept]))
    made = write_report(job)
    page = read(job)
    assert made.shown == kept and len(page.data["rows"]["pos"]) == kept
    assert ("No allele has a score" in page.text) is (kept == 0)


def test_a_huge_info_and_hostile_names_of_tags(job: ReportJob) -> None:
    huge = f"CSQ={'x|' * 200_000}"
    write_report(
        changed(job, ("AC=1;VS_STATUS=PASS", f"{huge};VS_STATUS=PASS"), ("VS_TASK=1:K562_CTCF", f"VS_TASK={HOSTILE}"))
    )
    page = read(job)
    assert job.output.stat().st_size < 1_500_000  # what others wrote into INFO does not travel
    assert page.data["rows"]["task"][0] == HOSTILE and not page.addresses()


SITES = "\t".join([*COLUMNS]) + "\n"


def test_a_table_of_motifs(job: ReportJob, tmp_path: Path) -> None:
    table = tmp_path / "sites.tsv"
    lines = [
        f"chr1\t300\tC\tT\t{HOSTILE}\tM1\tlost\t+\t295\t.\t9\t2\t1e-5\t0.01\t-0.5\t8\n",
        "chr1\t300\tC\tT\tSP1\tM2\tgained\t-\t.\t298\t1\t9\t0.01\t1e-7\t-0.5\t10\n",
        "chr1\t77\tC\tT\tSP1\tM2\tgained\t-\t.\t298\t1\t9\t0.01\t1e-7\t-0.5\t10\n",
    ]
    table.write_text(SITES + "".join(lines))
    write_report(replace(job, motif_table=str(table)))
    sites = read(job).data["sites"]
    assert sites[0] == [["SP1", "gained", "-", 0, 298, 0.01, 1e-7, 10], [HOSTILE, "lost", "+", 295, 0, 1e-5, 0.01, 8]]
    assert not any(sites[1:]) and not read(job).addresses()
    for text, message in (
        (SITES + "chr1\t3\n", "line 2"),
        (SITES.replace("ref_p\t", ""), "no column ref_p"),
        ("", "no column"),
    ):
        table.write_text(text)
        with pytest.raises(DataError, match=message):
            write_report(replace(job, motif_table=str(table), force=True))


def test_igv_is_inside_the_page_or_refused(job: ReportJob, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape("no such file")):
        write_report(replace(job, igv=True, igv_js=tmp_path / "none.js"))
    (tmp_path / "other.js").write_text("window.other = 1;")
    with pytest.raises(UsageError, match="is not igv.js"):
        write_report(replace(job, igv=True, igv_js=tmp_path / "other.js"))
    made = write_report(replace(job, igv=True, igv_js=fake_igv(tmp_path)))
    assert 100 < made.igv < 2 * len(FAKE_IGV) and ", 0.00 of them igv.js" in str(made)
    assert read(job).data["igv"] == [["chr1", 1_001_001]] and not read(job).addresses()


FAKE_IGV = """window.igv = {createBrowser: async (place, options) => {
  window.asked = options; place.textContent = "igv"; window.looked = [];
  return {on() {}, search: where => window.looked.push(where)};
}};"""


def fake_igv(folder: Path) -> Path:
    path = folder / "igv.js"
    path.write_text(FAKE_IGV)
    return path


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


def test_igv_is_given_everything_inline(browser: Browser, job: ReportJob, tmp_path: Path) -> None:
    write_report(replace(job, igv=True, igv_js=fake_igv(tmp_path)))
    browser.open(job.output)
    assert browser.run("document.getElementById('igv').textContent") == "igv"
    asked = browser.run("window.asked")
    assert asked["loadDefaultGenomes"] is False and asked["reference"]["fastaURL"].startswith("data:")
    alleles, diffs = (track["features"] for track in asked["tracks"])
    assert len(alleles) == 7 and [(one["start"], one["value"]) for one in diffs][:2] == [(299, -0.5), (99, 0.25)]
    browser.run("location.hash = 'chr1:100:A:G'")
    browser.run("new Promise(done => setTimeout(done, 200))")
    assert browser.run("window.looked")[-1] == "chr1:1-600"
    assert browser.requests == []


def test_the_real_igv_draws_and_fetches_nothing(browser: Browser, job: ReportJob) -> None:
    if importlib.util.find_spec("igv_notebook") is None:
        pytest.skip("igv.js of igv-notebook is not here")
    made = write_report(replace(job, igv=True))
    assert 300_000 < made.igv < made.size < 2_000_000
    browser.open(job.output)
    for _ in range(100):
        if browser.run("document.documentElement.dataset.igv ?? null"):
            break
        browser.run("new Promise(done => setTimeout(done, 100))")
    assert browser.run("document.documentElement.dataset.igv") == "yes", browser.messages
    assert (
        browser.run(
            "document.querySelector('#igv').shadowRoot?.querySelectorAll('canvas').length ?? "
            "document.querySelectorAll('#igv canvas').length"
        )
        >= 3
    )
    assert browser.requests == [] and browser.blocked == []


def test_only_the_largest_differences_are_drawn(
    browser: Browser, job: ReportJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_matrix(tmp_path / "all.parquet", Path(job.source))
    monkeypatch.setattr(rows, "DENSE", 3)
    monkeypatch.setattr(rows, "KEPT", 1)
    write_report(replace(job, scores=tmp_path / "all.parquet"))
    browser.open(job.output)
    drawn = browser.run("[...Bokeh.documents[0].get_model_by_name('heat-tiles').data.diff]")
    assert drawn.count("–") == 1 and len(drawn) == 2
    assert browser.run("varscore.tsv().trim().split('\\n').length") == 8  # every allele, and the names
    assert browser.run("document.querySelectorAll('#glance tbody tr').length") == 4


@pytest.mark.parametrize("media", ["screen", "print"])
def test_what_is_printed(browser: Browser, job: ReportJob, media: str) -> None:
    write_report(job)
    browser.open(job.output)
    browser.prefer(media)
    seen = "['.controls', '.screen', '.paper', '#glance'].map(name => document.querySelector(name).offsetHeight > 0)"
    assert browser.run(seen) == [media == "screen", media == "screen", media == "print", True]
    browser.prefer("screen")
    assert browser.run("document.querySelectorAll('.paper tbody tr').length") == 7


def test_nothing_is_wider_than_a_phone(browser: Browser, job: ReportJob, tmp_path: Path) -> None:
    write_matrix(tmp_path / "all.parquet", Path(job.source))
    write_report(replace(job, scores=tmp_path / "all.parquet"))
    browser.resize(400, 900)
    browser.open(job.output)
    assert browser.run("document.documentElement.scrollWidth") <= 400
    browser.resize(1280, 900)


def test_a_thousand_alleles_open_in_two_seconds(browser: Browser, tmp_path: Path) -> None:
    """Seconds that the page needs of the CPU, by the browser's own account, as other programs may be running."""
    vcf = tmp_path / "many.vcf"
    head, line = write_scored(vcf).read_text().split("chr1\t100\t")
    info = line.split("\n")[0].split("\t")[-1]
    vcf.write_text(head + "".join(f"chr1\t{pos}\trs{pos}\tA\tG\t.\t.\t{info}\n" for pos in range(1, 1001)))
    write_matrix(tmp_path / "all.parquet", vcf, tasks=[f"{t}:cell{t % 125}|DNase|None" for t in range(207)])
    made = write_report(ReportJob(str(vcf), tmp_path / "many.html", scores=tmp_path / "all.parquet"))
    assert made.shown == 1000 and made.size < 4_000_000
    browser.call("Performance.enable", timeDomain="threadTicks")
    browser.open(made.output)
    assert browser.run("performance.getEntriesByName('varscore-ready').length") == 1
    found = {one["name"]: one["value"] for one in browser.call("Performance.getMetrics")["metrics"]}
    assert 0 < found["TaskDuration"] < 2 and browser.requests == []
