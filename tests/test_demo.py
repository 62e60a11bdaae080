"""The demo's genome and variants are what they say they are."""

from __future__ import annotations

from pathlib import Path

import cyvcf2
import pyfaidx
import pytest

from varscore.demo import CONSENSUS, CONTIGS, SITES, DemoFiles, DemoVariant, genome, variants

GENOME = genome()
RECORDS = variants(GENOME)


def gc(sequence: str) -> float:
    return sum(sequence.count(base) for base in "GC") / len(sequence)


def cpg_ratio(sequence: str) -> float:
    """CpG observed over expected from the counts of C and G."""
    return sequence.count("CG") * len(sequence) / (sequence.count("C") * sequence.count("G"))


def mutated(record: DemoVariant, alt: str) -> str:
    sequence = GENOME[record.contig]
    return sequence[: record.start] + alt + sequence[record.start + len(record.ref) :]


def test_the_genome_is_the_same_every_time_and_looks_like_one() -> None:
    assert genome() == GENOME
    assert {name: len(sequence) for name, sequence in GENOME.items()} == {c.name: c.length for c in CONTIGS}
    assert 0.37 < gc(GENOME["demo2"]) < 0.45
    assert cpg_ratio(GENOME["demo2"]) < 0.45
    first, last = CONTIGS[0].island
    assert gc(GENOME["demo1"][first:last]) > 0.58
    assert cpg_ratio(GENOME["demo1"][first:last]) > 0.7
    assert set(GENOME["demo3"][3000:3200]) == {"N"}
    assert "N" not in GENOME["demo1"] + GENOME["demo2"]


def test_every_site_is_where_it_should_be() -> None:
    for site in SITES.values():
        there = GENOME[site.contig][site.start :][: len(CONSENSUS[site.protein])]
        wrong = sum(a != b for a, b in zip(there, CONSENSUS[site.protein], strict=True))
        assert wrong == (site.flaw is not None)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.meaning)
def test_a_variant_does_what_it_says(record: DemoVariant) -> None:
    there = GENOME[record.contig][record.start : record.start + len(record.ref)]
    assert (there == record.ref) == (
        record.meaning not in ("REF is not what the genome has", "the genome is unknown here")
    )
    if record.alts == ("<INS>",) or there != record.ref:
        return
    assert record.ref not in record.alts
    for alt in record.alts:
        after = mutated(record, alt)
        sites = {name: site for name, site in SITES.items() if site.contig == record.contig}
        kept = {name for name, site in sites.items() if site.sequence in after}
        named = {name for name in sites if f"the {name} site" in record.meaning}
        if record.meaning.startswith("nothing"):
            assert kept == set(sites)
        elif record.meaning.startswith("completes"):
            (name,) = named
            site = sites[name]
            assert after[site.start :].startswith(CONSENSUS[site.protein])
        else:
            # of sites with one sequence the others stay, so look at the place itself
            (name,) = named
            site = sites[name]
            assert not after[site.start :].startswith(site.sequence)
            assert kept | named == set(sites)


def test_other_programs_read_the_files(tmp_path: Path) -> None:
    files = DemoFiles(tmp_path)
    assert files.write() == RECORDS
    fasta = pyfaidx.Fasta(str(files.fasta))
    assert {record.name: str(record) for record in fasta} == GENOME
    records = list(cyvcf2.VCF(str(files.vcf)))
    assert [(r.CHROM, r.POS, r.REF, tuple(r.ALT)) for r in records] == [
        (r.contig, r.start + 1, r.ref, r.alts) for r in RECORDS
    ]
    order = [(list(GENOME).index(r.CHROM), r.POS) for r in records]
    assert order == sorted(order)
    kinds = {("snp" if r.is_snp else "indel" if r.is_indel else "other", len(r.ALT)) for r in records}
    assert kinds >= {("snp", 1), ("snp", 2), ("indel", 1)}
