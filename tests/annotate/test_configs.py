"""Files for other annotators: they name the tags that are there, and bcftools takes the scores over by its own."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pysam
import pysam.bcftools
import pytest

from varscore.annotate.configs import configs, tags_of, write_configs
from varscore.errors import VariantFileError

HEAD = (
    "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=900>\n"
    '##INFO=<ID=AC,Number=A,Type=Integer,Description="count">\n##varscoreTags=VS_STATUS,VS_DIFF\n'
    '##INFO=<ID=VS_STATUS,Number=A,Type=String,Description="why, or PASS">\n'
    '##INFO=<ID=VS_DIFF,Number=A,Type=Float,Description="difference">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)
ROWS = "chr1\t10\t.\tA\tC,G\t.\t.\tVS_STATUS=PASS,PASS;VS_DIFF=-0.5,0.25\n"
ROWS += "chr1\t20\t.\tA\tT\t.\t.\tVS_STATUS=PASS;VS_DIFF=0.125\n"


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("scored.vcf").write_text(HEAD + ROWS)
    return str(pysam.tabix_index("scored.vcf", preset="vcf", force=True))


def test_only_tags_that_are_ours_are_named(scored: str) -> None:
    assert [(tag.name, tag.kind) for tag in tags_of(scored)] == [("VS_STATUS", "String"), ("VS_DIFF", "Float")]
    texts = configs(scored)
    assert "fields=VS_STATUS%VS_DIFF\n" in texts["vep.txt"]
    (entry,) = tomllib.loads(texts["vcfanno.toml"])["annotation"]
    assert entry["fields"] == entry["names"] == ["VS_STATUS", "VS_DIFF"] and entry["ops"] == ["self"] * 2
    assert [one["field"] for one in json.loads(texts["echtvar.json"])] == ["VS_STATUS", "VS_DIFF"]
    Path("bare.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    with pytest.raises(VariantFileError, match="no tags of varscore"):
        configs("bare.vcf")


def test_bcftools_takes_the_scores_over(scored: str, tmp_path: Path) -> None:
    """The commands of bcftools.sh, run by the bcftools that pysam has."""
    Path("other.vcf").write_text(
        "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=900>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        "chr1\t10\tmine\tA\tG\t.\t.\t.\nchr1\t30\tnot\tA\tG\t.\t.\t.\n"
    )
    (script, *_) = write_configs(tmp_path / "cfg", scored)
    lines = [line for line in script.read_text().splitlines() if line.startswith("bcftools")]
    words = [re.sub('"[$]1"', "other.vcf", line).replace('"$2"', "out.vcf.gz").split() for line in lines]
    for line in words:
        for command in " ".join(line).split(" && "):
            _, name, *arguments = command.split()
            getattr(pysam.bcftools, name)(*arguments, catch_stdout=False)
    with pysam.VariantFile("out.vcf.gz") as found:
        assert [(r.id, dict(r.info)) for r in found] == [
            ("mine", {"VS_STATUS": ("PASS",), "VS_DIFF": (0.25,)}), ("not", {})
        ]  # fmt: skip
