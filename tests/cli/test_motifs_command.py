"""``varscore motifs``: the folder, the page, comparison alone, and what is wrong with what is given."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from motifs.made_motifs import motif
from small_nets import small

from varscore.cli.boundary import run
from varscore.formats.motifs import format_meme, read_motifs
from varscore.interpret.filters import first_layer
from varscore.motifs.active import read_active
from varscore.nets.layers import SequenceNet
from varscore.tasks import Task
from varscore.zoo.models import save_model

KNOWN = ["GATAAGCA", "TTGCGCAA", "CCGGAAGT", "TGACTCAT"]


def saved(net: SequenceNet, architecture: str, folder: Path) -> None:
    tasks = [Task(i, f"task{i}", "DNase") for i in range(net.n_tasks)]
    save_model(folder, net, architecture, tasks, {"licence": "MIT"})


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model four of whose filters are known motifs, sequences, and a database of these and 30 others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("VARSCORE_MOTIFS", raising=False)
    net = small("crnn-320-projection")
    layer = first_layer(net)
    with torch.no_grad():
        for index, consensus in enumerate(KNOWN):
            weight = motif("m", consensus).frequencies - 0.25
            layer.weight[index] = 0
            layer.weight[index, :, 2:10] = torch.from_numpy(weight.T)
            layer.bias[index] = -2.5  # type: ignore[index]
    saved(net, "crnn-320-projection", tmp_path / "model")
    dice = random.Random(0)
    records = []
    for i in range(150):
        letters = dice.choices("ACGT", k=180)
        site = KNOWN[i % 4]
        at = dice.randrange(0, 170)
        letters[at : at + len(site)] = site
        records.append(f">s{i}\n{''.join(letters)}\n")
    (tmp_path / "s.fa").write_text("".join(records))
    others = ["".join(dice.choices("ACGT", k=8)) for _ in range(30)]
    database = [motif(f"M{i:02d}", consensus) for i, consensus in enumerate([*KNOWN, *others])]
    (tmp_path / "db.meme").write_text(format_meme(database))
    return tmp_path


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter="\t"))


def test_the_folder_says_what_the_filters_are_like(workspace: Path) -> None:
    words = ["motifs", "model", "--data", "s.fa", "--against", "db.meme", "-o", "out", "--trim", "0.5"]
    assert run(words) == 0
    out = workspace / "out"
    names = {"filters.meme", "filters.tsv", "matches.tsv", "clusters.tsv", "clusters.meme", "logos.html", "motifs.json"}
    assert names <= {path.name for path in out.iterdir()} <= names | {"projection.tsv"}
    best = {row["filter"]: row for row in reversed(table(out / "matches.tsv"))}
    for index in range(4):
        row = best[f"filter{index:03d}"]
        assert (row["target"], row["orientation"]) == (f"M{index:02d}", "+")
        assert float(row["E"]) == pytest.approx(34 * float(row["p"]), rel=1e-4)
        assert float(row["q"]) < 0.01
    states = {row["filter"]: row for row in table(out / "filters.tsv")}
    assert len(states) == 6
    assert KNOWN[0] in states["filter000"]["consensus"]
    assert {row["state"] for row in states.values()} <= {"ok", "too few sites", "uninformative"}
    matrices = {one.id: one for one in read_motifs(out / "filters.meme")}
    assert matrices["filter000"].name == "M00"
    assert matrices["filter000"].sites == int(states["filter000"]["sites"])
    members = table(out / "clusters.tsv")
    assert sorted(row["filter"] for row in members) == sorted(matrices)
    assert len(read_motifs(out / "clusters.meme")) == len({row["cluster"] for row in members})
    facts = json.loads((out / "motifs.json").read_text())
    assert facts["counts"]["filters"] == 6 and facts["counts"]["targets"] == 34
    assert facts["counts"]["matched_q"] >= 4
    assert {"M00", "M01", "M02", "M03"} <= set(read_active(out) or ())
    assert run(words) == 2  # it is there
    assert run([*words, "--force"]) == 0
    assert json.loads((out / "motifs.json").read_text()) == facts


def test_the_page_has_a_logo_of_every_matrix_and_fetches_nothing(workspace: Path) -> None:
    pytest.importorskip("jinja2")
    assert run(["motifs", "model", "--data", "s.fa", "--against", "db.meme", "-o", "out", "--projection-q", "0.5"]) == 0
    page = (workspace / "out" / "logos.html").read_text()
    ids = [one.id for one in read_motifs(workspace / "out" / "filters.meme")]
    assert sorted(re.findall(r'<figure id="(filter\d+)">', page)) == sorted(ids)
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert "default-src &#39;none&#39;" in page
    placed = table(workspace / "out" / "projection.tsv")
    assert page.count("<circle") == len(placed) >= 3
    assert {row["strand"] for row in placed} <= {"+", "-"}


@pytest.mark.parametrize("architecture", ["danq", "deepbind", "tss", "binding-shallow", "dilated"])
def test_filters_are_matrices_without_a_database_too(workspace: Path, architecture: str) -> None:
    saved(small(architecture), architecture, Path("bare"))
    assert run(["motifs", "bare", "--data", "s.fa", "-o", "bare.out", "--min-sites", "1"]) == 0
    facts = json.loads(Path("bare.out/motifs.json").read_text())
    assert facts["counts"]["targets"] == 0 == facts["counts"]["matched_q"] and facts["active"] == []
    assert len(read_motifs(Path("bare.out/filters.meme"))) == facts["counts"]["compared"] > 0
    assert table(Path("bare.out/matches.tsv")) == [] and Path("bare.out/logos.html").exists()


def test_two_files_are_compared_alone(workspace: Path) -> None:
    assert run(["motifs", "compare", "db.meme", "--against", "db.meme", "-o", "m.tsv"]) == 0
    rows = table(workspace / "m.tsv")
    best = {row["query"]: row["target"] for row in reversed(rows)}
    assert best == {f"M{i:02d}": f"M{i:02d}" for i in range(34)}
    assert all(float(row["E"]) < 10 for row in rows)


def test_a_small_database_is_warned_of(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "few.meme").write_text(format_meme([motif(f"M{i}", c) for i, c in enumerate(KNOWN)]))
    assert run(["motifs", "model", "--data", "s.fa", "--against", "few.meme", "-o", "out"]) == 0
    assert "only 4 motifs to compare with" in capsys.readouterr().err


def test_annotate_looks_for_what_the_model_knows(workspace: Path) -> None:
    assert run(["motifs", "model", "--data", "s.fa", "--against", "db.meme", "-o", "out", "--trim", "0.5"]) == 0
    (workspace / "model" / "motifs.json").write_bytes((workspace / "out" / "motifs.json").read_bytes())
    sequence = "".join(random.Random(1).choices("ACGT", k=400))
    sequence = sequence[:200] + KNOWN[0] + sequence[208:]
    (workspace / "g.fa").write_text(f">c\n{sequence}\n")
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    alt = "C" if sequence[203] != "C" else "G"
    (workspace / "v.vcf").write_text(f"{head}c\t204\t.\t{sequence[203]}\t{alt}\t.\t.\t.\n")
    assert (
        run(
            ["annotate", "v.vcf", "-r", "g.fa", "-m", "model", "--motifs", "db.meme", "-o", "out.vcf", "--threads", "1"]
        )
        == 0
    )
    text = (workspace / "out.vcf").read_text()
    assert ",P=0.0001," in text and "VS_MOTIF=-M00" in text
    models = int(re.findall(r"Models=(\d+)", text)[0])
    assert models == len(read_active(workspace / "out") or ()) < 34


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("motifs model -o out", "--data DATA|FASTA says which sequences"),
        ("motifs model db.meme --data s.fa -o out", "QUERY goes with compare and recurring alone"),
        ("motifs compare -o m.tsv", "compare wants QUERY and --against MOTIFS"),
        ("motifs compare db.meme -o m.tsv", "compare wants QUERY and --against MOTIFS"),
        ("motifs recurring -o rec", "recurring wants QUERY, a FASTA"),
        ("motifs recurring s.fa --data s.fa -o rec", "--data goes with a model"),
        ("motifs model --data s.fa --control s.fa -o out", "--control goes with recurring alone"),
        ("motifs recurring s.fa --control nothing.fa -o rec", "no such file, nothing.fa"),
        ("motifs recurring db.meme -o rec", "db.meme"),
        ("motifs recurring s.fa --against s.fa -o rec", "not a JASPAR or MEME motif file, s.fa"),
        ("motifs model --data nothing.fa -o out", "no such file, nothing.fa"),
        ("motifs model --data s.fa --against s.fa -o out", "not a JASPAR or MEME motif file, s.fa"),
        ("motifs model --data s.fa --min-sites 9999 -o out", "no filter of model has 9999 sites in 150 sequences"),
        ("motifs attention --data s.fa -o out", "--method attention"),
    ],
)
def test_what_is_wrong_is_said(workspace: Path, words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    saved(small("attentionnet"), "attentionnet", workspace / "attention")
    assert run(words.split()) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (workspace / "out").exists() and not (workspace / "m.tsv").exists()


def test_the_same_seed_gives_the_same_folder(workspace: Path) -> None:
    for name in ("one", "two"):
        assert run(f"motifs model --data s.fa --against db.meme -o {name}".split()) == 0
    one, two = ({path.name: path.read_bytes() for path in (workspace / n).iterdir()} for n in ("one", "two"))
    assert one == two
    assert np.isfinite(json.loads(one["motifs.json"])["options"]["q"])


def test_motifs_that_recur(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The planted ones come back, are named by the database, and the profile adds up to the share with a site."""
    words = ["motifs", "recurring", "s.fa", "--against", "db.meme", "-o", "rec", "--number", "4"]
    assert run(words) == 0
    found, profile = table(Path("rec/recurring.tsv")), table(Path("rec/profile.tsv"))
    assert 1 <= len(found) <= 4 and "motifs in 150 sequences against 450" in capsys.readouterr().err
    best = {row["query"]: row["name"] for row in reversed(table(Path("rec/matches.tsv")))}
    assert {"M00", "M01", "M02", "M03"} & set(best.values())
    for row in found:
        shares = [float(line["sequences"]) for line in profile if line["motif"] == row["motif"]]
        assert sum(shares) == pytest.approx(float(row["share"]), abs=1e-5)
        assert int(row["with_site"]) == round(150 * float(row["share"]))
    picture = Path("rec/recurring.svg").read_text()
    assert picture.startswith("<svg") and found[0]["consensus"] in picture and "http://www.w3.org/2000/svg" in picture
    assert [one.id for one in read_motifs(Path("rec/recurring.meme"))] == [row["motif"] for row in found]
    first = Path("rec/recurring.tsv").read_bytes()
    assert run(words) == 2 and run([*words, "--force"]) == 0 and Path("rec/recurring.tsv").read_bytes() == first
    facts = json.loads(Path("rec/recurring.json").read_text())
    assert facts["control"] == "dinucleotide shuffles" and facts["counts"]["found"] == len(found)
    assert run([*words, "--force", "--control", "s.fa"]) == 0
    assert all(float(row["p"]) > 0.5 for row in table(Path("rec/recurring.tsv"))), "nothing recurs against itself"
