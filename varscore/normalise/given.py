"""What ``annotate`` may be given instead of a VCF: a list, a table, one variant. A VCF is made of it.

It lies beside the output and stays there, as what was scored. The same list makes the same bytes, so that a run can be
carried on.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from varscore.errors import StrictError
from varscore.formats.variantlist import Entry, Kind, read_regions, read_text, recognise
from varscore.genome.coords import Interval
from varscore.genome.sequence import Genome
from varscore.genome.spelling import RSID, is_variant
from varscore.normalise.flow import Normalised, normalise, skipped_text, write_vcf
from varscore.scoring.survey import GenomeRules
from varscore.storage.atomic import SideFile, is_stream
from varscore.storage.whole import put_file

VCF_SUFFIX, LEFT_OUT_SUFFIX = ".input.vcf", ".input.skipped.tsv"
_SHOWN = 5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Given:
    """Where variants come from: a file of some kind, or one variant that is written out.

    path: the file, or the variant's text; entry: that variant; dbsnp: a VCF in which rsIDs are looked up
    """

    path: str
    kind: Kind
    entry: Entry | None = None
    dbsnp: str | None = None

    @classmethod
    def of(cls, source: str, kind: Kind | None = None, dbsnp: str | None = None) -> Given:
        """kind: None to recognise it.

        Raises VariantFileError for a file that is not there, DataError for a variant that is none.
        """
        is_name = RSID.fullmatch(source.strip()) is not None or is_variant(source)
        if is_name and kind in (None, Kind.NAMES, Kind.HGVS, Kind.RSID) and not os.path.exists(source):
            return cls(source, Kind.NAMES, read_text(source, "the variant given"), dbsnp)
        found = kind or recognise(source)
        if kind is None and found is Kind.REGION:
            found = Kind.VCF  # whose reader says that these are intervals: a whole BED is much, and has to be asked for
        return cls(source, found, None, dbsnp)

    @property
    def is_list(self) -> bool:
        """Whether a VCF has to be made of it."""
        return self.kind not in (Kind.VCF, Kind.REGION)

    @property
    def name(self) -> str:
        """The path, or a file name that speaks of the variant."""
        return self.path if self.entry is None else re.sub(r"[^\w.+-]+", "_", self.path.strip())

    @property
    def files(self) -> list[str]:
        """What is read besides the file that is scored."""
        return [path for path in (self.path if self.is_list and self.entry is None else None, self.dbsnp) if path]

    def intervals(self) -> tuple[Interval, ...]:
        """Stretches in which every substitution is to be scored; none unless that is what the file has."""
        return tuple(read_regions(self.path)) if self.kind is Kind.REGION else ()


@contextmanager
def place_for_vcf(output: str) -> Iterator[str]:
    """Where the VCF goes that is made of a list: beside the output, or for a stream into a folder that is removed."""
    if not is_stream(output):
        yield output + VCF_SUFFIX
        return
    with tempfile.TemporaryDirectory(prefix="varscore-") as folder:
        yield str(Path(folder) / f"input{VCF_SUFFIX}")


def make_vcf(given: Given, path: str, reference: Path, rules: GenomeRules) -> Normalised:
    """Write the VCF of what was given, and beside it a table of what could not be written; say how much that is.

    Alleles stay as they are spelled: ``annotate`` finds their minimal form itself. Raises the errors of
    :func:`varscore.normalise.flow.normalise`.
    """
    source = given.path if given.entry is None else [given.entry]
    with Genome(reference) as genome:
        found = normalise(source, genome, kind=given.kind, dbsnp=given.dbsnp, left_align=False, rules=rules)
        write_vcf(found, genome, SideFile(path), index=False)
    if found.left_out:
        put_file(Path(path.removesuffix(VCF_SUFFIX) + LEFT_OUT_SUFFIX), skipped_text(found).encode())
        log.warning("%s", _left_out_message(found.left_out))
    return found


def demand_all_given(found: Normalised | None) -> None:
    """Raises StrictError when something that was given is no record of the output."""
    if found is not None and found.left_out:
        raise StrictError(f"`strict`: {_left_out_message(found.left_out)}")


def _left_out_message(left_out: Sequence[tuple[str, str, str]]) -> str:
    shown = ", ".join(f"{text} ({reason})" for _, text, reason in left_out[:_SHOWN])
    more = f" and {len(left_out) - _SHOWN:,} more" if len(left_out) > _SHOWN else ""
    return f"{len(left_out):,} of the variants given could not be written into a VCF: {shown}{more}"
