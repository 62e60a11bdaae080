"""What is wrong with what a command is given is told before torch, or anything else that takes seconds, is loaded.

One process runs all commands with the heavy libraries out of reach, and says which of them somebody asked for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from cli.made_runs import SEQUENCE, VCF
from small_data import planted_set

from varscore.cli.boundary import parser

MODEL = "kmer.hg19-207"
HEAVY = ("torch", "xgboost", "matplotlib", "scipy", "pandas", "sklearn", "numba", "bokeh", "optuna", "ray", "onnx")
PROGRAM = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout

class OutOfReach:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy}:
            asked.append(name)
            raise ImportError(name + " is out of reach")

asked = []
sys.meta_path.insert(0, OutOfReach())
from varscore.cli.boundary import run

for line in sys.stdin:
    said = io.StringIO()
    asked.clear()
    with redirect_stderr(said), redirect_stdout(said):
        status = run(line.split())
    print(json.dumps([status, said.getvalue(), asked]))
"""
"""Commands from stdin; a line of status, what was said and what was asked for to each"""

# f: a file to be read, d: a folder, i: either; o: what is to be written, and is there; m: a model, c: a classifier,
# t: a task. They are right but for one, which is made wrong; each in its turn.
COMMANDS = """
annotate f:in.vcf -r f:g.fa -o o:old.vcf -m m: --dbsnp f:in.vcf --regions f:in.bed --scores o:old.parquet -c c:
annotate --saturate f:in.bed -r g.fa -o new.vcf --background f:old --conservation p=f:old --rename-chrs f:in.bed
annotate in.vcf -r g.fa -o new.vcf --motifs f:motifs.meme --motif-table o:old.tsv --skipped o:old --report o:old.html
annotate in.vcf -r g.fa -o new.vcf --haplotypes --samples-file f:words.txt --haplotype-table new.tsv --archive f:old
normalise f:in.vcf -r f:g.fa -o o:old.vcf --dbsnp f:in.vcf --rename-chrs f:in.bed --skipped o:old.tsv
genome f:g.fa
configs o:old.vcf f:in.vcf
merge f:in.vcf -o o:old.vcf --scores new.parquet --skipped new.tsv --motif-table n.tsv --haplotype-table m.tsv
slurm --shards 2 -- f:in.vcf -r f:g.fa -o o:old.vcf -m m:
predict m: f:g.fa -o o:old.tsv
predict kmer f:in.bed -r f:g.fa -o o:old.tsv
predict kmer f:in.bed -r f:g.fa --bigwig o:old.vcf
explain m: f:in.vcf -r f:g.fa -o o:folder --motifs f:motifs.meme --rename-chrs f:in.bed
motifs m: --data i:data -o o:folder --against f:motifs.meme --family f:in.bed
motifs compare f:motifs.meme --against f:motifs.meme -o o:old.tsv
motifs recurring f:g.fa -o o:folder --control f:g.fa
report f:in.vcf -o o:old.html -m m: -r f:g.fa --scores f:old --genes f:in.bed --explain d:folder --motif-table f:in.bed
report f:in.vcf -o new.html --igv-js f:old --multiqc o:old.json
demo o:old.vcf -m m:
bench kmer -o o:old.html
train-chromatin deepsea --data d:data -o o:old.vcf --init-motifs f:motifs.meme --init-from m:
train-tss tss --data d:data -o o:old.vcf
train-tfbs deepbind --data d:data -o o:old.vcf --masks-of f:g.fa
train-expression promoternet --data d:data -o o:old.vcf
train-binding binding-shallow --data d:data -o o:old.vcf
train-snp --positives f:in.vcf --negatives f:in.vcf --negatives-from f:in.vcf -r f:g.fa -m m: -o o:old.vcf
train-snp --positives in.vcf --negatives-from in.vcf -r g.fa -o new --match-tss f:in.bed --restrict f:in.bed
train-snp --positives in.vcf --negatives-from in.vcf -r g.fa -o new --about f:old --baseline-model m:
train-snp --positives in.vcf --negatives-from in.vcf -r g.fa -o new --rename-chrs f:in.bed --conservation p=f:old
background m: --vcf f:in.vcf -r f:g.fa -o o:old --exclude i:in.bed --rename-chrs f:in.bed --conservation p=f:old
evaluate m: --data d:data -o o:old.vcf --compare m:
cache info d:folder
cache verify d:folder
cache prune d:folder 1G
cache merge d:folder
archive build m: -r f:g.fa -o o:old --regions f:in.bed --background f:old -c c: --conservation p=f:old
archive merge f:old -o o:old
archive info f:old
archive verify f:old -r f:g.fa
archive export f:old -o o:old.vcf
dataset peaks -r f:g.fa --peaks i:folder -o o:folder --exclude i:in.bed --unknown f:in.bed
dataset deepsea d:folder -o o:folder --names f:words.txt
dataset tss -r f:g.fa --peaks f:in.bed -o o:folder
dataset tfbs --seq i:words.txt -o o:folder
dataset tfbs --positives f:g.fa --negatives f:g.fa --test-positives f:g.fa --test-negatives f:g.fa -o o:folder
dataset tfbs --peaks f:in.bed -r f:g.fa -o o:folder
dataset promoters --expression f:in.bed -o o:folder --genes f:words.txt --lineages f:in.bed --promoters f:g.fa
dataset promoters --expression f:in.bed -o o:folder --tss f:in.bed -r f:g.fa
dataset binding -r f:g.fa -o o:folder --chip i:folder --dnase i:folder --dnase-signal i:folder --relaxed i:folder
dataset binding -r g.fa -o new --chip folder --dnase folder --expression f:in.bed --exclude i:in.bed --shape a=f:old
search --data d:data -o o:old.vcf --space f:words.txt
search status d:study
search narrow d:study --data d:data -o o:old
search fork d:study --branch b --fix a=1 --space f:words.txt
search run-stages d:study --data d:data
search report d:study -o o:old.html
search best d:study -o new --data d:data
models tasks m:
models path m:
models priors m: --data d:data
models select m: -o o:old.vcf --tasks *
models select kmer -o new --tasks t:
models export m: --onnx o:old.html
models import danq-keras f:old -o o:old.vcf --names f:words.txt --check f:old
models import danq-xgboost d:folder -o o:old.vcf -m m:
models import torch f:old -o o:old.vcf --architecture deepsea --map f:words.txt --names f:words.txt --check f:old
"""
FURTHER = {
    "annotate in.vcf -r g.fa -o new.docx": "unknown kind of output",
    "annotate in.vcf -r g.fa -o new.vcf --scores new.docx": "not a name for a score matrix",
    "annotate in.vcf -r words.txt -o new.vcf": "not a FASTA, words.txt",
    "annotate words.txt -r g.fa -o new.vcf": "words.txt",
    "annotate in.vcf -r g.fa -o nowhere/new.vcf": "the output's folder does not exist",
    "annotate in.vcf -r g.fa -o new.vcf --samples-file words.txt": "--samples-file belongs to --haplotypes",
    "annotate in.vcf -r g.fa -o new.vcf --tasks nosuch": "--tasks 'nosuch' matches none",
    "normalise in.vcf -r g.fa -o nowhere/new.vcf": "the output's folder does not exist",
    "normalise in.vcf -r g.fa -o new.tsv": "unknown kind of output",
    "motifs compare motifs.meme --against motifs.meme -o nowhere/new.tsv": "the output's folder does not exist",
    "motifs kmer --data words.txt -o new": "neither a data set nor a FASTA",
    "predict kmer g.fa -o new.docx": "unknown kind of output",
    "predict kmer in.bed -r words.txt -o new.tsv": "not a FASTA, words.txt",
    "report in.vcf -o in.vcf": "the output is also an input",
    "slurm --shards 2 -- in.vcf -r g.fa -o new.docx": "unknown kind of output",
    "archive export old -o new.vcf": "the archive is damaged, old",
}
"""What is wrong in another way"""
LEFT_ALONE = {"skill", "models list", "models show", "models verify"}
"""These read nothing, or architectures, which torch has to be loaded for; verify tells of each model what is wrong"""


def made_wrong(line: str) -> dict[str, str]:
    """A line of ``COMMANDS`` with one of its names after the other made wrong -> what has to be said."""
    words = [_parted(word) for word in line.split()]
    right = [before + RIGHT.get(kind, f"new.{name}" if kind == "o" else name) for before, kind, name in words]
    found = {}
    for at, (before, kind, name) in enumerate(words):
        for wrong in WRONG.get(kind, [name] if kind == "o" else []):
            found[" ".join([*right[:at], before + wrong, *right[at + 1 :]])] = wrong
    return found


RIGHT = {"m": MODEL, "c": "none", "t": "*"}
WRONG = {
    "f": ["nosuch", "empty", "folder"],
    "d": ["nosuch", "words.txt"],
    "i": ["nosuch"],
    "m": ["nosuch"],
    "c": ["nosuch"],
    "t": ["nosuch"],
}


def _parted(word: str) -> tuple[str, str, str]:
    """``p=f:old`` as ``p=``, ``f``, ``old``; no kind for a word that stays as it is."""
    before, equals, rest = word.rpartition("=")
    kind, colon, name = rest.partition(":")
    return (before + equals, kind, name) if colon and len(kind) == 1 else ("", "", word)


LINES = COMMANDS.strip().splitlines()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, list[str]]]:
    """Command -> its status, what it said, and the heavy libraries that it asked for."""
    folder = tmp_path_factory.mktemp("early")
    texts = {
        "g.fa": f">chr1\n{SEQUENCE}\n",
        "in.vcf": VCF,
        "in.bed": "chr1\t100\t200\n",
        "words.txt": "not a\nvariant\n",
        "motifs.meme": "MEME version 4\n\nMOTIF one\nletter-probability matrix: w= 2\n1 0 0 0\n0 1 0 0\n",
        "empty": "",
    }
    texts |= dict.fromkeys(("old", "old.vcf", "old.tsv", "old.html", "old.json", "old.parquet"), "old\n")
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "folder").mkdir()
    (folder / "folder" / "something").touch()
    (folder / "study").mkdir()
    (folder / "study" / "study.toml").touch()
    planted_set(folder / "data", train=8, validation=4, test=4)
    asked = [*FURTHER, *(case for line in LINES for case in made_wrong(line))]
    settings = {name: value for name, value in os.environ.items() if not name.startswith("VARSCORE_")}
    settings |= {"VARSCORE_CACHE": str(folder / "cache"), "VARSCORE_CONFIG": str(folder / "none.toml")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(heavy=HEAVY)],
        input="\n".join(asked),
        capture_output=True,
        text=True,
        cwd=folder,
        env=settings | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(asked, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("line", [*LINES, "further"])
def test_what_is_wrong_is_told_before_anything_heavy_is_loaded(
    line: str, told: dict[str, tuple[int, str, list[str]]]
) -> None:
    expected = FURTHER if line == "further" else made_wrong(line)
    assert expected
    for case, words in expected.items():
        status, said, loaded = told[case]
        assert not loaded, f"{case}: {loaded[0]} is loaded before {words!r} is told"
        assert status == 2 and words in said and said.count("\n") == 1, f"{case}: {status}, {said}"


def test_every_command_and_every_option_that_names_a_file_is_tried() -> None:
    tried = {name: " ".join(line for line in LINES if f"{line} ".startswith(f"{name} ")) for name in _leaves()}
    assert {name for name, lines in tried.items() if not lines} == LEFT_ALONE
    missing = {
        f"{name} {option.opts[0]}"
        for name, command in _leaves().items()
        for option in command.params
        if option.param_type_name == "option" and "Path" in _kind(option) and name not in LEFT_ALONE
        if not {*option.opts} & {*tried[name].split(), *NOT_NAMED}
    }
    assert not missing


NOT_NAMED = {"--cache", "--init-motifs"}
"""A folder that is made when it is not there, and what all networks are trained with, tried with one"""


def _kind(option: Any) -> str:
    return str(getattr(option.type_descriptor, "annotation", ""))


def _leaves() -> dict[str, Any]:
    """Every command by its words."""
    found, waiting = {}, [("", parser())]
    while waiting:
        name, command = waiting.pop()
        below = getattr(command, "commands", {})
        waiting += [(f"{name} {word}".strip(), each) for word, each in below.items()]
        if not below or command.params and name == "search":
            found[name] = command
    return found
