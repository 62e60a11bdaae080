"""What ``varscore report`` is given beside the scored file: folders of explain, tables of motifs, tracks."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from unpacked_page import Unpacked

import varscore
from varscore.cli.boundary import run
from varscore.demo import DemoFiles
from varscore.engine.plain import PlainEngine
from varscore.genome.sequence import Genome
from varscore.zoo.models import ModelFolder

OPTIONS = ["--explain-top", "3", "--threads", "1"]


@pytest.fixture
def scored(tmp_path: Path, tiny_model: ModelFolder) -> DemoFiles:
    """The demo's files, scored with motifs and their table, without its page."""
    files = DemoFiles(tmp_path / "demo")
    files.folder.mkdir()
    files.write()
    motifs = ["--motifs", str(files.motifs), "--no-motif-active", "--motif-p", "1e-6"]
    motifs += ["--motif-table", str(files.folder / "sites.tsv.gz")]
    assert run(["annotate", str(files.vcf), "-r", str(files.fasta), "-o", str(files.scored), *motifs]) == 0
    return files


def page_of(path: Path) -> Unpacked:
    return Unpacked.of(path.read_text())


def test_logos_of_explain_are_those_of_report(scored: DemoFiles, tmp_path: Path) -> None:
    """With the window that report has; a folder of another model, or of none, is refused."""
    own, given, folder = tmp_path / "own.html", tmp_path / "given.html", tmp_path / "why"
    start = ["report", str(scored.scored)]
    assert run([*start, "-r", str(scored.fasta), "-o", str(own), "--explain-top", "40", "--threads", "1"]) == 0
    explain = ["explain", "tiny", str(scored.vcf), "-r", str(scored.fasta), "-o", str(folder), "--top", "all"]
    assert run([*explain, "--window", "fixed", "--picture", "none", "--threads", "1"]) == 0
    assert run([*start, "-o", str(given), "--explain", str(folder)]) == 0
    one, other = page_of(own), page_of(given)
    assert sum(map(bool, one.data["logos"]["tasks"])) > 10
    for name in ("tasks", "starts", "sizes", "method", "unit", "sites"):
        assert one.data["logos"][name] == other.data["logos"][name], name
    for name in ("logo_base", "logo_changed"):
        assert np.array_equal(one.arrays[name], other.arrays[name])
    assert np.allclose(one.arrays["logo"].astype(float), other.arrays["logo"].astype(float), atol=5e-3, rtol=2e-3)
    facts = json.loads((folder / "explain.json").read_text())
    (folder / "explain.json").write_text(json.dumps({**facts, "model_sha256": "0"}))
    assert run([*start, "-o", str(given), "--explain", str(folder), "--force"]) == 2
    assert run([*start, "-o", str(given), "--explain", str(tmp_path), "--force"]) == 2
    assert run([*start, "-o", str(given), "--explain", str(folder), "--no-sequence", "--force"]) == 2


def test_tracks_are_what_is_predicted_there(scored: DemoFiles, tmp_path: Path, tiny_model: ModelFolder) -> None:
    """Tracks, against the network's own answer to each window of REF; the same page from Python; a table of motifs."""
    page, again = tmp_path / "page.html", tmp_path / "again.html"
    sites = scored.folder / "sites.tsv.gz"
    given = ["-r", str(scored.fasta), "--tracks", "--motif-table", str(sites), *OPTIONS]
    assert run(["report", str(scored.scored), "-o", str(page), *given]) == 0
    made = varscore.report(
        scored.scored, again, scored.fasta, tracks=True, motif_table=sites, explain_top=3, device="cpu"
    )
    assert again.read_bytes() == page.read_bytes() and made.shown == 18
    found = page_of(page)
    rows, arrays, around = found.data["rows"], found.arrays, found.data["around"]
    engine = PlainEngine(tiny_model.load(), torch.device("cpu"))
    with Genome(scored.fasta) as genome:
        for row in range(3):
            task, first = int(around["tasks"][row].partition(":")[0]), found.data["logos"]["starts"][row] - 1
            starts, values = arrays["track_start"][row], arrays["track"][row].astype(float)
            known = np.flatnonzero(np.isfinite(values[0]))[3:-3]  # the outermost are cut to what is shown
            step = int(starts[known[0] + 1] - starts[known[0]])
            begins = first + starts[known] - (120 // 2 - step // 2)
            windows = np.stack([genome.codes(rows["chrom"][row], int(at), int(at) + 120) for at in begins])
            assert np.allclose(values[0, known], engine.predict(windows)[:, task], atol=2e-3)
            touched = np.abs(values[0] - values[1]) > 1e-3
            assert touched.any() and np.abs(starts[:-1][touched]).max() <= 140  # no window reaches farther
    with_table = found.data["sites"]
    with gzip.open(sites, "rt") as table:
        lines = list(csv.DictReader(table, delimiter="\t"))
    assert sum(map(len, with_table)) == len(lines) > 5
    for line in lines:
        row = rows["pos"].index(int(line["pos"]))
        while rows["alt"][row] != line["alt"]:
            row = rows["pos"].index(int(line["pos"]), row + 1)
        assert [line["motif"], line["change"]] in [site[:2] for site in with_table[row]]


def test_no_sequence_means_no_base_of_the_genome(scored: DemoFiles, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run(["report", str(scored.scored), "-r", str(scored.fasta), "-o", str(page), "--no-sequence"]) == 0
    found = page_of(page)
    assert found.data["logos"] is None and not [name for name in found.arrays if name.startswith("logo")]
    assert "GATGAGTCATC"[1:-1] not in page.read_text() and "without bases of the genome" in found.text
    assert "diff" in found.arrays
    assert run(["report", str(scored.scored), "-o", str(tmp_path / "b.html"), "--tracks"]) == 2


def test_igv_says_where_it_is_to_be_had(
    scored: DemoFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    assert run(["report", str(scored.scored), "-o", str(tmp_path / "a.html"), "--igv"]) == 2
    said = capsys.readouterr().err
    assert "igv-notebook" in said and "--igv-js" in said and not (tmp_path / "a.html").exists()


def test_structural_and_long_alleles(tmp_path: Path, tiny_model: ModelFolder) -> None:
    """They are scored again as annotate has scored them, and have no logo."""
    files = DemoFiles(tmp_path / "demo")
    files.folder.mkdir()
    files.write()
    with Genome(files.fasta) as genome:
        bases = "".join("ACGTN"[code] for code in genome.codes("demo1", 0, 4000))
    records = [
        (999, "<DEL>", "END=1030"),
        (1499, "<DUP:TANDEM>", "SVLEN=40"),
        (1999, "<INV>", "END=2044"),
        (2499, "<DEL>", "IMPRECISE;END=2544"),
        (2999, bases[2998] + "ACGTACGTTT" * 4, "."),
        (3499, "G", "."),
    ]
    lines = ["##fileformat=VCFv4.3", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"demo1\t{pos}\t.\t{bases[pos - 1]}\t{alt}\t.\t.\t{info}" for pos, alt, info in records]
    vcf, out, page = tmp_path / "sv.vcf", tmp_path / "out.vcf", tmp_path / "page.html"
    vcf.write_text("\n".join(lines) + "\n")
    matrix = ["--scores", str(tmp_path / "all.parquet")]
    assert run(["annotate", str(vcf), "-r", str(files.fasta), "-o", str(out), *matrix, "--threads", "1"]) == 0
    assert run(["report", str(out), "-r", str(files.fasta), "-o", str(page), "--tracks", "--threads", "1"]) == 0
    found, rows = page_of(page), page_of(page).data["rows"]
    table = pq.read_table(tmp_path / "all.parquet", columns=["pos", "diff"]).to_pylist()
    expected = {row["pos"]: row["diff"] for row in table}
    assert sorted(rows["pos"]) == [pos for pos, *_ in records]
    for row, pos in enumerate(rows["pos"]):
        if rows["status"][row] == "PASS":
            assert np.allclose(found.arrays["diff"][row], expected[pos], atol=1e-3, rtol=1e-3)
    drawn = {pos for pos, task in zip(rows["pos"], found.data["logos"]["tasks"], strict=True) if task}
    assert drawn <= {3499} and rows["status"].count("PASS") >= 4
