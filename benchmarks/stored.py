"""How fast scores are that are there already: from an archive and from a cache.

Alleles per CPU-second of all threads, per CPU-second of the first, which reads, looks up and hands text to the one that
compresses, and per second of the clock: what a second core gives lies between the last two.

The values are made up, the columns and the profile those of the default model: nothing is computed. An archive of the
blocks around substitutions 300 bases apart, as a genome's are, and one of a dense stretch; a cache of the former's
alleles.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from varscore.annotate.flow import annotate_file
from varscore.annotate.job import AnnotateJob
from varscore.annotate.stores import columns_of
from varscore.engine.compute import Compute
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.pairs import Windows
from varscore.genome.sequence import Genome, decode
from varscore.scoring.annotations import Annotations
from varscore.scoring.score import Judged
from varscore.scoring.stored.archive import BLOCK, Archive, Head, identities
from varscore.scoring.stored.asked import Reuse
from varscore.scoring.stored.building import ArchiveWriter
from varscore.scoring.stored.cache import ScoreCache
from varscore.scoring.stored.profile import Arithmetic, Profile, profile_of_columns
from varscore.scoring.stored.reuse import ArchivedScores, keys_of
from varscore.storage.atomic import AtomicFile, Spool
from varscore.storage.bgzf import BgzfWriter
from varscore.zoo.models import find_model, ranked_tasks

APART = 300
LINE = 60
dice = np.random.default_rng(0)


@contextmanager
def clock(name: str, alleles: int) -> Iterator[None]:
    clocks = time.process_time, time.thread_time, time.perf_counter
    starts = [now() for now in clocks]
    yield
    rates = (f"{alleles / (now() - start):,.0f}" for now, start in zip(clocks, starts, strict=True))
    print(f"| {name} | {' | '.join(rates)} |", flush=True)


def write_genome(folder: Path, bases: int) -> tuple[Path, np.ndarray]:
    codes = dice.integers(0, 4, bases).astype(np.uint8)
    path = folder / "g.fa"
    letters = decode(codes)
    path.write_bytes(b"\n".join([b">chr1", *(letters[at : at + LINE] for at in range(0, bases, LINE)), b""]))
    return path, codes


def write_vcf(folder: Path, codes: np.ndarray, places: np.ndarray) -> Path:
    path = folder / "in.vcf.gz"
    lines = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID=chr1,length={len(codes)}>",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]
    lines += [
        f"chr1\t{at + 1}\t.\t{'ACGT'[base]}\t{'ACGT'[(base + 1) % 4]}\t.\tPASS\tAC=1;AF=0.01"
        for at, base in zip(places.tolist(), codes[places].tolist(), strict=True)
    ]
    with path.open("wb") as file:
        writer = BgzfWriter(file.write)
        writer.write(("\n".join(lines) + "\n").encode())
        writer.close()
    return path


def write_archive(path: Path, job: AnnotateJob, profile: Profile, genome: Genome, blocks: np.ndarray) -> Archive:
    """Made-up records in these blocks of the contig."""
    tasks = [task.name for task in job.model.tasks()]
    head = Head(
        profile=dict(profile.facts),
        columns=list(columns_of(job)),
        precision="float32",
        block=BLOCK,
        window=job.model.config().window,
        contigs=dict(genome.contigs),
        tasks=tasks,
        provenance={"reference_sha256": genome.sha256},
    )
    file, spool = AtomicFile(str(path), force=True), Spool(str(path))
    writer = ArchiveWriter(file, spool, head)
    for some in np.array_split(blocks, max(1, len(blocks) // 512)):
        starts = some * BLOCK
        codes = [genome.codes("chr1", start, start + BLOCK) for start in starts.tolist()]
        records = [made_records(head, 3 * BLOCK).reshape(BLOCK, 3) for _ in codes]
        writer.add(0, starts, codes, records, identities(genome, "chr1", starts, BLOCK, head.window))
    writer.finish()
    file.commit()
    spool.abort()
    return Archive(path)


def made_records(head: Head, count: int) -> np.ndarray:
    records = np.zeros(count, head.record)
    for name in records.dtype.names or ():
        values = dice.standard_normal(count) * np.exp(dice.standard_normal(count)) * 0.01
        records[name] = dice.integers(0, len(head.tasks), count) if "task" in name else values
    return records


def judged(genome: Genome, places: np.ndarray) -> Judged:
    """One substitution at each place."""
    one, n = np.ones(len(places), np.int64), len(places)
    ref = genome.windows("chr1", places, 1)[:, 0]
    letters = (np.frombuffer(decode(codes), np.uint8) for codes in (ref, (ref + 1) % 4))
    alleles = AlleleBatch(
        np.arange(n), np.zeros(n, np.int32), ("chr1",), places, *(ByteColumn.end_to_end(data, one) for data in letters)
    )
    return Judged(alleles, np.arange(n), ["chr1"])


def windows_of(genome: Genome, places: np.ndarray, length: int) -> Windows:
    """One substitution at each place."""
    starts = places - (length - 1) // 2
    ref = genome.windows("chr1", starts, length)
    alt, one = ref.copy(), np.ones(len(places), np.int64)
    alt[:, (length - 1) // 2] = (ref[:, (length - 1) // 2] + 1) % 4
    return Windows.anchored(np.arange(len(places)), ref, alt, np.zeros(len(places), np.int32), starts, one, one)


def look_up(name: str, archive: Archive, profile: Profile, genome: Genome, places: np.ndarray) -> None:
    scores = ArchivedScores(archive, profile, archive.head.columns, any_device=False)
    scores.fit(genome)
    chunks = [judged(genome, some) for some in np.array_split(places, -(-len(places) // 1024))]
    with clock(name, len(places)):
        found = sum(int(scores.find(chunk, genome)[0].sum()) for chunk in chunks)
    assert found == len(places)


def cached(folder: Path, profile: Profile, archive: Archive, genome: Genome, places: np.ndarray) -> None:
    """Write and look up keys, the hashing of windows included in the latter."""
    cache = ScoreCache(folder, profile, archive.head.record)
    chunks = [windows_of(genome, some, archive.head.window) for some in np.array_split(places, -(-len(places) // 1024))]
    with clock("cache: keys of windows", len(places)):
        keys = [keys_of(chunk) for chunk in chunks]
    with clock("cache: written", len(places)):
        for each in keys:
            cache.add(each, made_records(archive.head, len(each)))
        cache.close()
    again = ScoreCache(folder, profile, archive.head.record)
    with clock("cache: keys and look-up", len(places)):
        assert all(again.find(keys_of(chunk))[0].all() for chunk in chunks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alleles", type=int, default=200_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference, codes = write_genome(folder, asked.alleles * APART + 2000)
        places = 1000 + np.arange(asked.alleles) * APART
        source = write_vcf(folder, codes, places)
        model = find_model(None)
        reuse = Reuse(archive=folder / "a.vsa", archive_only=True)
        job = AnnotateJob(
            str(source),
            str(folder / "out.vcf.gz"),
            reference,
            model,
            annotations=Annotations.open(model),
            compute=Compute("cpu", threads=1),
            resume=False,
            reuse=reuse,
        )
        ranked = ranked_tasks(model, np.arange(len(model.tasks())))
        how = Arithmetic("cpu", "fp32", "exact")
        profile = profile_of_columns(model, how, job.annotations, ranked, columns_of(job))
        with Genome(reference) as genome:
            archive = write_archive(folder / "a.vsa", job, profile, genome, np.unique(places // BLOCK))
            size = archive.path.stat().st_size / (3 * archive.bases)
            print(f"{asked.alleles:,} alleles, {len(archive.head.columns)} columns, {size:.1f} bytes a substitution\n")
            print("| | alleles a CPU-second | of the first thread | alleles a second |\n|-|-:|-:|-:|")
            look_up(f"archive: look-up, one in {APART} bases", archive, profile, genome, places)
            dense = write_archive(folder / "d.vsa", job, profile, genome, np.arange(16, 16 + asked.alleles // BLOCK))
            look_up(
                "archive: look-up, every base", dense, profile, genome, np.arange(16 * BLOCK, 16 * BLOCK + dense.bases)
            )
            cached(folder / "cache", profile, archive, genome, places)
        with clock("annotate --archive-only, .vcf.gz to .vcf.gz", asked.alleles):
            summary = annotate_file(job)
        assert summary.scored == asked.alleles


if __name__ == "__main__":
    sys.exit(main())
