"""What a file that is not what was wanted looks like, and what to do with it: for messages."""

from __future__ import annotations

import re

_MAGIC = {
    b"\xff\xfe": "UTF-16 text (save it as UTF-8)",
    b"\xfe\xff": "UTF-16 text (save it as UTF-8)",
    b"#\0": "UTF-16 text (save it as UTF-8)",
    b"\xef\xbb\xbf": "UTF-8 with a byte order mark (save it without)",
    b"PK\x03\x04": "a spreadsheet or a zip archive (save it as CSV, or unpack it)",
    b"BZh": "bzip2 (unpack it)",
    b"\xfd7zXZ": "xz (unpack it)",
    b"\x28\xb5\x2f\xfd": "zstandard (unpack it)",
    b"BCF\x04": "BCF 1 (convert it with an old bcftools)",
    b"BAM\x01": "BAM",
    b"CRAM": "CRAM",
    b"PAR1": "Parquet",
    b"\x89HDF": "HDF5",
    b"{": "JSON",
    b"@HD\t": "SAM",
    b"@SQ\t": "SAM",
    b"##gff": "GFF",
}
_LINE = (
    "a VCF has the lines ##fileformat=VCFv4.2 and #CHROM POS ID REF ALT QUAL FILTER INFO (with tabs), then one line a "
    "variant"
)
_NORMALISE = "`varscore normalise FILE -r FASTA -o OUT.vcf.gz` makes a VCF of it"
_TABLE = f"if its first line names the columns chrom, pos, ref and alt, or variant, or rsid, {_NORMALISE}"
_NAMED = _NORMALISE
_RSID = "`varscore normalise FILE --dbsnp DBSNP.vcf.gz -r FASTA -o OUT.vcf.gz` takes the variants out of dbSNP's VCF"
_INTERVALS = (
    "intervals have no alleles: `varscore annotate --saturate FILE` scores every substitution in them, "
    "`regions=FILE` limits a VCF to them"
)

RSID = r"rs\d+"
VARIANT = r"\w+[:\-_]\d+[:\-_][ACGTN]+[:\-_>/][ACGTN]+|[\w.]+:(?:g\.)?\d+[ACGTN]+>[ACGTN]+"
REGION = r"[\w.]+:[\d,]+(?:-[\d,]+)?"
_COLUMN_NAME = re.compile(r"#?(chr|chrom|chromosome|contig|variant|variant_id|rsid|snp|snpid|marker|pos|position|bp)")


def describe(head: bytes) -> tuple[str, str | None]:
    """Of the first bytes of a file that is not a VCF: what they look like, and what to do with such a file."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return f"it looks like {name}", None
    if re.match(rb"\s*<(!doctype|html|\?xml)", head, re.IGNORECASE):
        return "it looks like a web page, perhaps a failed download", None
    if b"\0" in head:
        return "it looks like binary data", None
    return _describe_text(head.decode("utf-8", "replace").splitlines() or [""])


def describe_name(name: str) -> tuple[str, str] | None:
    """Of what was given in the place of a file and is none: what it looks like, and what to do. None: a file's name."""
    if re.match("(https?|ftp|s3|gs):/", name, re.IGNORECASE):
        return "it is an address, and varscore opens no network connection", "download it, and give the file"
    if re.fullmatch(RSID, name, re.IGNORECASE):
        return "it looks like an rsID, and a file is expected", _RSID
    if re.fullmatch(VARIANT, name, re.IGNORECASE):
        return "it looks like a variant, and a file is expected", "`varscore annotate` takes it as it is"
    if re.fullmatch(REGION, name, re.IGNORECASE):
        return "it looks like a region, and a file is expected", "regions of a VCF are chosen with `region`"
    return None


def _describe_text(lines: list[str]) -> tuple[str, str | None]:
    first = lines[0].rstrip("\r")
    if first.startswith(">"):
        return "it looks like FASTA", "`varscore predict MODEL FILE` takes sequences"
    if first.startswith(("#CHROM\tPOS", "##")):
        return "its first line is not ##fileformat=VCFv...", _LINE
    body = next(
        (line.rstrip("\r") for line in lines if line.strip() and not line.startswith(("#", "track", "browser"))), first
    )
    tabs, blanks = body.split("\t"), body.split()
    if len(tabs) >= 5 and tabs[1].isdigit() and all(re.fullmatch(r"[ACGTNacgtn,.*]+", allele) for allele in tabs[3:5]):
        return "its first line is not ##fileformat=VCFv...", _LINE
    if re.fullmatch(RSID, body.strip(), re.IGNORECASE):
        return "it looks like a list of rsIDs", _RSID
    if re.fullmatch(VARIANT, body.strip(), re.IGNORECASE):
        return "it looks like a list of variants by name", _NAMED
    for fields in (tabs, blanks):
        if len(fields) >= 3 and fields[1].isdigit() and fields[2].isdigit():
            return "it looks like BED", _INTERVALS
    for delimiter, kind in (
        ("\t", "a table"),
        (",", "CSV"),
        (";", "CSV"),
        (None, "a table with blanks between columns"),
    ):
        if _is_table(lines, delimiter):
            return f"it looks like {kind}", _TABLE
    return "it looks like other text", _LINE


def _is_table(lines: list[str], delimiter: str | None) -> bool:
    """Whether the first line names columns of variants, or has as many columns as the second."""
    first, *others = (line.strip("\r").split(delimiter) for line in lines[:2])
    names = [field.strip(' "').lower() for field in first]
    return len(first) > 2 and (
        any(map(_COLUMN_NAME.fullmatch, names)) or any(len(other) == len(first) for other in others)
    )
