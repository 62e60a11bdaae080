"""``varscore normalise``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from varscore.cli.genome import Fitting
from varscore.cli.groups import grouped
from varscore.cli.inputs import demand_free, demand_source
from varscore.cli.listing import Listing
from varscore.cli.options import Force, Reference

Output = Annotated[
    str,
    typer.Option("--output", "-o", metavar="OUT", help="VCF to write: .vcf, .vcf.gz or .vcf.bgz; - is stdout."),
]


@grouped
def normalise(
    source: Annotated[str, typer.Argument(metavar="IN", help="Variants: as IN of varscore annotate.")],
    output: Output,
    reference: Reference = None,
    *,
    listing: Listing,
    left_align: Annotated[
        bool,
        typer.Option(
            "--left-align/--no-left-align",
            help="Write each allele in its minimal, left-aligned form, as bcftools norm -m- -f does.",
        ),
    ] = True,
    skipped: Annotated[
        Path | None,
        typer.Option(metavar="FILE.tsv", help="Also list what could not be written, and what cannot be scored."),
    ] = None,
    fitting: Fitting,
    force: Force = False,
) -> None:
    """Make a sorted VCF of variants in any form: one record an ALT allele, REF checked against the genome.

    Of a VCF the columns CHROM, POS, ID, REF and ALT are kept. A REF that the FASTA contradicts stays as it is written.
    """
    import logging

    demand_source(source)
    given = listing.read(source)

    from varscore.cli.config import find_reference
    from varscore.errors import UsageError
    from varscore.genome.sequence import Genome
    from varscore.normalise import normalise as normalised
    from varscore.normalise import skipped_text, write_vcf
    from varscore.storage.atomic import AtomicFile, is_stream
    from varscore.storage.outputs import check_names, with_indexes
    from varscore.storage.whole import put_file

    if not output.endswith((".vcf", ".vcf.gz", ".vcf.bgz")) and not is_stream(output):
        raise UsageError("unknown kind of output", where=output, remedy="end its name in .vcf, .vcf.gz or .vcf.bgz")
    fasta = find_reference(reference, given.path if given.kind.value == "vcf" else "-")
    outputs = [str(path) for path in (output, skipped) if path is not None]
    read = [path for path in (given.path if given.entry is None else None, given.dbsnp, fasta) if path is not None]
    check_names(outputs, with_indexes(*map(str, read)))
    demand_free(outputs, force)
    entries = given.path if given.entry is None else [given.entry]
    with Genome(fasta) as genome:
        found = normalised(
            entries, genome, kind=given.kind, dbsnp=given.dbsnp, left_align=left_align, rules=fitting.rules()
        )
        found.names.warn_of_missing()
        write_vcf(found, genome, AtomicFile(output, force=force))
    if skipped is not None:
        put_file(skipped, skipped_text(found).encode())
    logging.getLogger(__name__).info("%s", found, extra={"json_fields": dict(found.counts)})
