"""What makes a run the same run: the facts that its output is a function of."""

from __future__ import annotations

import os
from importlib import metadata

from varscore import __version__
from varscore.annotate.job import AnnotateJob
from varscore.errors import VariantFileError, reason
from varscore.formats.kinds import format_of
from varscore.genome.sequence import Genome
from varscore.nets.plugins import loaded
from varscore.scoring.stored.profile import file_ends
from varscore.storage.digest import file_sha256, json_sha256


def identify(job: AnnotateJob, genome: Genome, device: str) -> dict[str, str]:
    """Facts by name. All shards of a run have the same; whoever carries on with a run must have the same.

    device: ``cpu`` or ``cuda``, which differ in the last digits. Raises VariantFileError when the input cannot be read.
    """
    return {
        "input": "a stream" if job.from_stream else _digest_of_file(job.source),
        "reference": f"{genome.path.name} {genome.sha256}",
        "plugins": " ".join(plugin.sha256 for plugin in loaded()) or "none",
        "model": f"{job.model.id} {json_sha256(dict(job.model.card))}",
        "classifiers and background": json_sha256(job.annotations.notes),
        "conservation": json_sha256([(name, file_ends(track.path)) for name, track in job.annotations.tracks.files]),
        "options": f"{job.command()} --device {device}{' --saturate' if job.saturate else ''}",
        "regions": "all" if job.regions is None else json_sha256(job.regions.intervals),
        "tag prefix": job.tag_prefix,
        "motifs": job.motifs.digest if job.motifs else "none",
        "output format": format_of(job.output, job.output_format).value,
        "version": f"varscore {__version__}, torch {metadata.version('torch')}",
    }


def journal_key(job: AnnotateJob, identity: dict[str, str]) -> dict[str, str]:
    """What a journal must agree with: the run, its shard, and where its outputs go."""
    further = {"--scores": job.scores, "--skipped": job.skipped, "--motif-table": job.motif_table}
    further["--haplotype-table"] = job.haplotype_table
    paths = {name: os.path.realpath(path) if path else "none" for name, path in further.items()}
    return {**identity, "shard": str(job.shard or "none"), **paths}


def _digest_of_file(path: str) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise VariantFileError("cannot read", where=path, cause=reason(error)) from None
