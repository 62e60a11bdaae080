"""No output takes the place of what the same command reads, with ``--force`` neither."""

from __future__ import annotations

import hashlib
import random
import shutil
from pathlib import Path

import pytest
from cli.made_runs import set_up

from varscore.annotate.configs import write_configs
from varscore.cli.boundary import run
from varscore.errors import OutputExists, UsageError
from varscore.report.job import ReportJob
from varscore.zoo.models import ModelFolder


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A genome, a VCF that is scored, a copy of a model, peaks and a data set."""
    set_up(tmp_path, monkeypatch)
    Path("in.vcf").write_text("".join(Path("in.vcf").read_text().splitlines(keepends=True)[:9]))
    shutil.copytree(tiny_model.path, "m")
    assert run(["annotate", "in.vcf", "-r", "g.fa", "-m", "m", "-o", "scored.vcf.gz", "--threads", "1"]) == 0
    draw = random.Random(1)
    for name, contigs in (("small.fa", ("chr1", "chr2", "chr3")),):
        Path(name).write_text("".join(f">{contig}\n{''.join(draw.choices('ACGT', k=900))}\n" for contig in contigs))
    Path("peaks").mkdir()
    Path("peaks/a.bed").write_text("chr1\t200\t500\nchr2\t200\t500\nchr3\t200\t500\n")
    words = "--window 120 --bin 100 --bins all --validation chr2 --test chr3 -o d"
    assert run(["dataset", "peaks", "-r", "small.fa", "--peaks", "peaks", *words.split()]) == 0
    Path("link.html").symlink_to("g.fa")
    Path("m.jaspar").write_text(">M1 one\nA 9 1\nC 1 9\nG 1 1\nT 1 1\n")
    Path("genes.bed").write_text("chr1\t5\t900\tA\n")


def contents() -> dict[str, str]:
    files = [path for path in Path().rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    "words",
    [
        "report scored.vcf.gz -r g.fa -o g.fa --force",
        "report scored.vcf.gz -r g.fa -o link.html --force",
        "report scored.vcf.gz -o a.html --genes genes.bed --multiqc genes.bed --force",
        "report scored.vcf.gz -m m -o m/card.toml --force",
        "annotate in.vcf -r g.fa -m m -o a.vcf --motifs m.jaspar --report m.jaspar --force",
        "annotate in.vcf -r g.fa -m m -o a.vcf --report m/card.toml --force",
        "report scored.vcf.gz -o scored.vcf.gz --force",
        "report scored.vcf.gz -o scored.vcf.gz.tbi --force",
        "normalise in.vcf -r g.fa -o in.vcf --force",
        "normalise in.vcf -r g.fa -o a.vcf --skipped in.vcf --force",
        "models select m --tasks *CTCF* -o m --force",
        "models export m --onnx m/model.safetensors --force",
        "models export m --onnx m/tasks.tsv --force",
        "train-chromatin kmer --data d --steps 1 --batch-size 4 -o d",
        "train-chromatin crnn-320-projection --data d --init-from m --steps 1 --batch-size 4 --no-resume -o m",
    ],
)
def test_what_is_read_is_not_replaced(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents()
    assert run(words.split()) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "is also an input" in last or "take its own place" in last
    assert contents() == before


def test_a_page_and_its_counts_are_two_files() -> None:
    with pytest.raises(UsageError, match="two outputs have the same name"):
        ReportJob("scored.vcf.gz", Path("a.html"), multiqc=Path("a.html")).check()


def test_files_for_other_programs_replace_those_of_nobody() -> None:
    first = write_configs(Path("cfg"), "scored.vcf.gz")
    assert write_configs(Path("cfg"), "scored.vcf.gz") == first  # they say the same
    mine = next(path for path in first if path.name == "vcfanno.toml")
    own = mine.read_text() + "# and mine\n"
    mine.write_text(own)
    before = contents()
    with pytest.raises(OutputExists, match="another file is there, .*vcfanno.toml"):
        write_configs(Path("cfg"), "scored.vcf.gz")
    assert contents() == before and mine.read_text() == own
    assert run(["configs", "cfg", "scored.vcf.gz"]) == 2 and run(["configs", "cfg", "scored.vcf.gz", "--force"]) == 0
    assert mine.read_text() + "# and mine\n" == own
