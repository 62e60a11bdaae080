"""The order in which a reference genome is looked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import pysam
import pysam.bcftools
import pytest
import typer
from typer.testing import CliRunner

from varscore.cli.config import config_file, find_reference
from varscore.cli.options import Reference
from varscore.errors import UsageError, VariantFileError

VCF = "##fileformat=VCFv4.2\n{reference}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VARSCORE_REFERENCE", raising=False)
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "etc" / "config.toml"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etc").mkdir()
    for name in ("option.fa", "environment.fa", "configured.fa", "etc/beside.fa", "in the vcf.fa"):
        (tmp_path / name).write_text(">c\nA\n")


def write_vcf(path: Path, reference: str | None) -> str:
    path.write_text(VCF.format(reference=f"##reference={reference}\n" if reference else ""))
    return str(path)


def configure(text: str) -> None:
    config_file().write_text(text)


def test_the_first_of_four_places_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a command line, because the option itself reads the environment."""
    app = typer.Typer()
    source = write_vcf(tmp_path / "v.vcf", "in the vcf.fa")

    @app.command()
    def show(reference: Reference = None, source: Annotated[str, typer.Argument()] = source) -> None:
        typer.echo(find_reference(reference, source).name)

    def found(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        return result.stdout.strip()

    assert found() == "in the vcf.fa"
    configure(f"reference = '{tmp_path}/configured.fa'")
    assert found() == "configured.fa"
    monkeypatch.setenv("VARSCORE_REFERENCE", "environment.fa")
    assert found() == "environment.fa"
    assert found("-r", "option.fa") == "option.fa"
    monkeypatch.setenv("VARSCORE_REFERENCE", "")
    assert found() == "configured.fa"


def test_a_relative_path_counts_from_the_configuration_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure('reference = "beside.fa"')
    assert find_reference(None, "-") == tmp_path / "etc" / "beside.fa"
    monkeypatch.setenv("HOME", str(tmp_path))
    configure('reference = "~/configured.fa"')
    assert find_reference(None, "-") == tmp_path / "configured.fa"


@pytest.mark.parametrize("written", ["{}/in the vcf.fa", "file://{}/in%20the%20vcf.fa", "file:{}/in%20the%20vcf.fa"])
def test_the_reference_of_a_vcf_may_be_a_path_or_a_url(tmp_path: Path, written: str) -> None:
    source = write_vcf(tmp_path / "v.vcf", written.format(tmp_path))
    assert find_reference(None, source) == tmp_path / "in the vcf.fa"


def test_a_bgzipped_vcf_and_a_bcf_have_one_too(tmp_path: Path) -> None:
    source = write_vcf(tmp_path / "v.vcf", f"{tmp_path}/configured.fa")
    pysam.tabix_compress(source, str(tmp_path / "v.vcf.gz"))
    pysam.bcftools.view("-Ob", "-o", str(tmp_path / "v.bcf"), source, catch_stdout=False)
    for name in ("v.vcf.gz", "v.bcf"):
        assert find_reference(None, str(tmp_path / name)) == tmp_path / "configured.fa"


@pytest.mark.parametrize(
    "stated", [None, "GRCh37", "ftp://example.org/hg19.fa", "/gone/hg19.fa", "etc", "a" * 5000, "file:///gone/hg19.fa"]
)
def test_without_any_one_line_names_all_three_places(tmp_path: Path, stated: str | None) -> None:
    source = write_vcf(tmp_path / "v.vcf", stated)
    with pytest.raises(UsageError) as caught:
        find_reference(None, source)
    message = str(caught.value)
    places = ("-r FASTA", "VARSCORE_REFERENCE", str(config_file()), "##reference")
    assert all(place in message for place in places)
    assert ("is not here" in message) == (stated is not None)
    assert caught.value.exit_status == 2


def test_a_stream_is_not_read_for_its_header(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # opening it would wait for ever
    for source in ("-", str(tmp_path / "fifo")):
        with pytest.raises(UsageError, match="no reference genome"):
            find_reference(None, source)


def test_a_vcf_that_is_not_there_is_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(VariantFileError, match="no such file"):
        find_reference(None, str(tmp_path / "gone.vcf"))


@pytest.mark.parametrize(
    ("content", "message"),
    [("reference = hg19.fa", "cannot read the configuration"), ("reference = 19", "not a path in quotes")],
)
def test_a_damaged_configuration_is_an_error(content: str, message: str) -> None:
    configure(content)
    with pytest.raises(UsageError, match=message):
        find_reference(None, "-")


def test_other_settings_and_no_file_are_no_trouble(tmp_path: Path) -> None:
    configure("colour = 1")
    source = write_vcf(tmp_path / "v.vcf", "option.fa")
    assert find_reference(None, source) == Path("option.fa")


def test_without_the_variable_the_configuration_is_in_the_users_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VARSCORE_CONFIG")
    monkeypatch.setattr("platformdirs.user_config_dir", lambda name: f"/home/me/.config/{name}")
    assert config_file() == Path("/home/me/.config/varscore/config.toml")


def test_a_setting_that_is_nearly_one_is_refused(tmp_path: Path) -> None:
    configure('refrence = "configured.fa"\n')
    with pytest.raises(UsageError, match=r"no setting 'refrence', .*; is it reference\?"):
        find_reference(None, write_vcf(tmp_path / "v.vcf", "in the vcf.fa"))
