"""The workflow files: their commands exist, and the engines that are installed accept them."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from varscore import __version__
from varscore.cli.reference import commands, parameters

WORKFLOWS = Path(__file__).resolve().parent.parent.parent / "workflows"
ENVIRONMENT = WORKFLOWS.parent / "packaging" / "conda" / "environment.yaml"
PROJECT = tomllib.loads((WORKFLOWS.parent / "pyproject.toml").read_text())["project"]
COMMANDS = dict(commands())


def command_lines(text: str) -> list[str]:
    """Every ``varscore COMMAND ...``, comments left out, lines that go on put together."""
    code = "\n".join(line for line in text.splitlines() if not re.match(r"\s*(#|//)", line))
    code = re.sub(r'\\{1,2}\n|"\s*\n\s*"', " ", code)
    return re.findall(r"\bvarscore (?:annotate|merge) .*", code)


@pytest.mark.parametrize("name", ["Snakefile", "varscore.nf"])
def test_commands_and_options_exist(name: str) -> None:
    lines = command_lines((WORKFLOWS / name).read_text())
    assert [line.split()[1] for line in lines] == ["annotate", "merge"]
    for line in lines:
        command = f"varscore {line.split()[1]}"
        known = next(value for key, value in COMMANDS.items() if command in (key, f"varscore {key}"))
        options = {spelling for parameter in parameters(known) for spelling in parameter.opts}
        used = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", line.split("2>")[0]))
        assert used and used <= options, used - options


def test_the_container_has_what_it_copies() -> None:
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", (WORKFLOWS / "Containerfile").read_text(), re.MULTILINE)
    assert copied and all((WORKFLOWS.parent / name).exists() for line in copied for name in line.split())


def test_both_workflows_name_the_same_image_and_environment() -> None:
    snakefile, config = ((WORKFLOWS / name).read_text() for name in ("Snakefile", "nextflow.config"))
    named = [
        *re.findall(r'conda:\n +"(.*)"', snakefile),
        *re.findall(r'process.conda = "\$\{projectDir\}/(.*)"', config),
    ]
    assert len(named) == 3 and {(WORKFLOWS / name).resolve() for name in named} == {ENVIRONMENT}
    assert 'config.get("container", "varscore.sif")' in snakefile and "/varscore.sif" in config
    assert f"{PROJECT['name']} ={__version__}" in yaml.safe_load(ENVIRONMENT.read_text())["dependencies"]


@pytest.mark.slow
def test_snakemake_plans_shards_and_a_merge(tmp_path: Path) -> None:
    if shutil.which("snakemake") is None:
        pytest.skip("snakemake is not installed")
    (tmp_path / "a.vcf").write_text("##fileformat=VCFv4.2\n")
    (tmp_path / "g.fa").write_text(">1\nA\n")
    words = [
        "snakemake",
        "-s",
        WORKFLOWS / "Snakefile",
        "-n",
        "--cores",
        "1",
        "--config",
        "vcf=a.vcf",
        "reference=g.fa",
    ]
    done = subprocess.run([*words, "shards=3"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^merge +1$", done.stdout, re.MULTILINE) and re.search(r"^shard +3$", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_nextflow_reads_its_file() -> None:
    if shutil.which("nextflow") is None:
        pytest.skip("nextflow is not installed")
    done = subprocess.run(["nextflow", "lint", WORKFLOWS / "varscore.nf"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
