"""What a scored file's header says of its run, in words."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from varscore.annotate.writers.runrecord import read_record
from varscore.errors import DataError
from varscore.report.scored import PASS, Scored
from varscore.storage.runjson import SUFFIX

log = logging.getLogger(__name__)

_WHY = {
    "PASS": "scored", "NO_ALT": "no alternative allele", "SYMBOLIC": "not spelled out, such as <DEL>",
    "BREAKEND": "a breakend", "SPANNING_DELETION": "* for a deletion before it", "NON_ACGT": "letters other than ACGT",
    "MISSING_CONTIG": "its contig is not in the FASTA", "OFF_CONTIG": "past the end of its contig",
    "TOO_LONG": "longer than half the window", "REF_UNKNOWN": "the FASTA has N there",
    "SWAPPED": "REF and ALT are swapped", "REF_MISMATCH": "REF is not what the FASTA has",
    "N_WINDOW": "more than half of its surroundings are unknown",
}  # fmt: skip


def _entries(fact: str) -> dict[str, str]:
    """``{"N": "8476"}`` of ``<N=8476>``."""
    return dict(part.partition("=")[::2] for part in fact.strip("<>").split(","))


def floor(fact: str) -> dict[str, float]:
    """How many variants E-values are measured against, and the smallest there is, where the file says both."""
    said = _entries(fact)
    try:
        return {"n": int(said["N"]), "floor": float(said["FLOOR"])}
    except (KeyError, ValueError):
        return {}


def background(fact: str) -> str:
    """``8,476 common variants (1000 Genomes)`` of ``<N=8476,..,SOURCES=..>``."""
    said = _entries(fact)
    if not said.get("N", "").isdigit():
        return ""
    sources = said.get("SOURCES", "").replace("+", ", ")
    return f"{int(said['N']):,} common variants{f' ({sources})' if sources else ''}"


def reasons(by_status: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """(status, what it means, alleles), in the order in which alleles are judged."""
    order = list(_WHY)
    known = sorted(by_status, key=lambda name: (order.index(name) if name in order else len(order), name))
    return [(name or "(none)", _WHY.get(name, ""), by_status[name]) for name in known]


def assembly_hint(by_status: Mapping[str, int]) -> bool:
    """Whether so many REFs disagree that the file may be on another assembly."""
    compared = by_status.get(PASS, 0) + by_status.get("REF_MISMATCH", 0)
    return by_status.get("REF_MISMATCH", 0) >= max(3, 0.1 * compared)


def run_facts(scored: Scored) -> list[tuple[str, str]]:
    """What run.json says of the run, where it lies beside the file: how, when, with which versions, of what."""
    if not os.path.exists(scored.path + SUFFIX):
        return []
    try:
        run = read_record(scored.path)
    except DataError as error:  # of another version, or damaged: it only adds to the page
        log.warning("left out of the page: %s", error)
        return []
    said = {key: run.told.get(key) for key in ("command", "started", "finished", "seconds")}
    said |= {**run.versions, **run.identity}
    return [(name, str(value)) for name, value in said.items() if value not in (None, "", "none")]
