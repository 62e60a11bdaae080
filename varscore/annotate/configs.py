"""Files that make other annotators carry an annotated VCF's tags: what ``varscore configs`` writes.

Each names the tags that the header really has. Tests run bcftools and vcfanno on them, not VEP, echtvar, IGV.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from varscore.errors import OutputExists, VariantFileError
from varscore.formats.vcf import VariantReader
from varscore.formats.vcf_header import VcfHeader
from varscore.storage.whole import put_file

_INFO = re.compile(rb"##INFO=<ID=([^,>]+),Number=([^,>]+),Type=([^,>]+)")
_OURS = re.compile(rb"##varscoreTags(?:_\w+)?=(.*)")
PARTS_PER_MILLION = 1_000_000
"""echtvar keeps whole numbers: floats are multiplied by this"""
UNSCORED = -2_147_483_648
"""What echtvar says where there is no score"""


@dataclass(frozen=True)
class Tag:
    """A tag of an annotated VCF. kind: ``Float`` or ``String``"""

    name: str
    kind: str


def tags_of(path: str) -> list[Tag]:
    """The tags that varscore has written into a VCF or BCF. Raises VariantFileError when there are none."""
    with VariantReader(path) as reader:
        found = _tags(reader.header)
    if not found:
        raise VariantFileError(
            "no tags of varscore in the header", where=path, remedy="give the output of varscore annotate"
        )
    return found


def _tags(header: VcfHeader) -> list[Tag]:
    ours = {name for line in header.lines if (told := _OURS.match(line)) for name in told[1].split(b",")}
    declared = (found for line in header.lines if (found := _INFO.match(line)) and found[1] in ours)
    return [Tag(found[1].decode(), found[3].decode()) for found in declared]


def configs(path: str) -> dict[str, str]:
    """File name -> text. path: of the annotated, bgzipped and indexed VCF, as the files are to name it."""
    tags = tags_of(path)
    names = [tag.name for tag in tags]
    vep = f"file={path},short_name=varscore,format=vcf,type=exact,coords=0,fields={'%'.join(names)}"
    split = f"bcftools norm -m- {shlex.quote(path)} -Ob -o split.bcf"
    return {
        "bcftools.sh": _bcftools(path, names),
        "vep.txt": f"--custom {vep}\n",
        "vcfanno.toml": _vcfanno(path, names),
        "echtvar.json": json.dumps([_echtvar(tag) for tag in tags], indent=1) + "\n",
        "echtvar.sh": f"{split}\nechtvar encode varscore.zip echtvar.json split.bcf\n",
        "igv.bat": f"new\nload {path}\n",
    }


def _bcftools(path: str, names: list[str]) -> str:
    columns = ",".join(f"INFO/{name}" for name in names)
    file = shlex.quote(path)
    return (
        "# sh bcftools.sh IN.vcf.gz OUT.vcf.gz: take the scores over into another VCF of the same variants.\n"
        "# Records of several alleles are split first; alleles have to be spelled alike.\n"
        f"bcftools norm -m- {file} -Oz -o varscore.split.vcf.gz && bcftools index -t varscore.split.vcf.gz\n"
        'bcftools norm -m- "$1" -Oz -o other.split.vcf.gz && bcftools index -t other.split.vcf.gz\n'
        f'bcftools annotate -a varscore.split.vcf.gz -c {columns} other.split.vcf.gz -Oz -o "$2"\n'
    )


def _vcfanno(path: str, names: list[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    ops = ", ".join('"self"' for _ in names)
    return f"[[annotation]]\nfile={json.dumps(path)}\nfields=[{listed}]\nops=[{ops}]\nnames=[{listed}]\n"


def _echtvar(tag: Tag) -> dict[str, object]:
    entry: dict[str, object] = {"field": tag.name, "alias": tag.name.lower()}
    if tag.kind == "Float":  # negative numbers are lost without zigzag, and an allele without a score would read -1
        entry |= {"multiplier": PARTS_PER_MILLION, "zigzag": True, "missing_value": UNSCORED}
    return entry


def write_configs(folder: Path, path: str, *, force: bool = False) -> list[Path]:
    """Write the files into a folder; returns them.

    Raises OutputError, and OutputExists for a file that says something else, unless ``force``.
    """
    texts = configs(path)
    for name, text in texts.items():
        if not force and (folder / name).exists() and (folder / name).read_bytes() != text.encode():
            raise OutputExists("another file is there", where=folder / name, remedy="another folder, or `force`")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        put_file(folder / name, text.encode())
    return [folder / name for name in texts]
