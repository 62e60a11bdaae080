"""What ``annotate --haplotypes`` asks for: whose genotypes, what counts of them, and the columns that come of it."""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.annotate.rows import spread_numbers
from varscore.annotate.writers.scores import STATUS_NAMES, AlleleScores
from varscore.errors import DataError, UsageError, VariantFileError, reason
from varscore.formats.lines import read_blocks, source_name
from varscore.formats.vcf_header import VcfHeader, decode
from varscore.genome.alleles import Status
from varscore.scoring.backgrounds import HaplotypeRules, HapStatus
from varscore.scoring.cohort import Samples
from varscore.scoring.haplotypes import OnHaplotypes, most_changed_background
from varscore.scoring.score import ScoreBatch, spread
from varscore.storage.atomic import is_stream
from varscore.storage.bounded import read_text

SHOWN = 5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OfHaplotypes:
    """samples: names, None for all of the file; table: where the rows of all backgrounds go"""

    samples: tuple[str, ...] | None = None
    rules: HaplotypeRules = HaplotypeRules()
    table: Path | None = None

    def options(self) -> list[str]:
        """Those that change scores, normalised."""
        rules = self.rules
        said = [f"--haplotypes --phase {rules.phase} --max-joint {rules.max_joint} --min-count {rules.min_count}"]
        if self.samples is not None:
            digest = hashlib.sha256(json.dumps(sorted(set(self.samples))).encode()).hexdigest()[:16]
            said.append(f"--samples {digest}")
        return said

    def choose(self, header: VcfHeader, where: str) -> Samples:
        """Raises VariantFileError for a file without samples, UsageError for a sample that it does not have."""
        names = [decode(name) for name in header.columns.split(b"\t")[9:]]
        if not names:
            raise VariantFileError(
                "no genotypes", where=where, cause="the file has no samples", remedy="leave out `haplotypes`"
            )
        wanted = set(names if self.samples is None else self.samples)
        if missing := sorted(wanted.difference(names)):
            near = difflib.get_close_matches(missing[0], names, 3, 0.4) or names[:SHOWN]
            raise UsageError(f"no sample {missing[0]!r}", where=where, remedy=f"near: {', '.join(near)}")
        if not wanted:
            raise UsageError("no sample is chosen", where=where, remedy=f"it has {', '.join(names[:SHOWN])}")
        columns = [column for column, name in enumerate(names) if name in wanted]
        return Samples(tuple(names[column] for column in columns), tuple(columns), len(names))


def read_names(path: Path) -> list[str]:
    """The names of a file, one a line. Raises DataError."""
    try:
        return [name.strip() for name in read_text(path, DataError).split("\n") if name.strip()]
    except (OSError, UnicodeDecodeError) as error:
        cause = reason(error) if isinstance(error, OSError) else "it is no text"
        raise DataError("cannot read the names of samples", where=path, cause=cause) from None


def haplotype_columns(batch: ScoreBatch, carried: OnHaplotypes) -> dict[str, NDArray[np.generic]]:
    """The columns of the scored alleles of a chunk, (m,) each, in output order."""
    found, effects, rows = carried.found, carried.effects, batch.rows
    alleles, best = most_changed_background(found, effects)
    at, m = np.searchsorted(rows, alleles), len(rows)
    status = found.status[rows]
    counted = np.flatnonzero((status != HapStatus.SAME) & (status != HapStatus.UNPHASED))
    names = np.array([b"SYMBOLIC" if one is HapStatus.SAME else one.name.encode() for one in HapStatus], object)
    return {
        "hap_diff": spread(effects.diff[best], at, m),
        "hap_task": spread_numbers(effects.task[best], at, m),
        "hap_logodds": spread(effects.logodds[best], at, m),
        "hap_n": spread_numbers(found.backgrounds[rows[counted]], counted, m),
        "joint_diff": spread(effects.joint_diff[best], at, m),
        "joint_task": spread_numbers(effects.joint_task[best], at, m),
        "hap_status": names[status],
    }


@dataclass
class Tally:
    """What has come of the haplotypes, to be told at the end."""

    pairs: int = 0
    skipped: int = 0
    odd: int = 0

    def count(self, carried: OnHaplotypes | None) -> None:
        if carried is not None:
            self.pairs += len(carried.found.carried)
            self.skipped += carried.found.skipped
            self.odd += carried.found.odd

    def tell(self) -> None:
        if self.pairs or self.skipped:
            log.info(
                "%s pairs of an allele and a background scored, %s left out (more than `max_joint` variants, or fewer "
                "than `min_count` carriers)",
                f"{self.pairs:,}",
                f"{self.skipped:,}",
            )
        if self.odd:
            log.warning("%s records have genotypes that cannot be: they are UNPHASED", f"{self.odd:,}")


def tell_unscored(scores: AlleleScores) -> None:
    """Enter VS_STATUS as VS_HAP_STATUS of the alleles that have no score at all."""
    unscored = np.flatnonzero(scores.status != Status.PASS)
    scores.extra["hap_status"][unscored] = [STATUS_NAMES[status] for status in scores.status[unscored].tolist()]


@contextmanager
def on_disk(source: str, wanted: bool) -> Iterator[str]:
    """A path from which ``source`` can be read twice: its own, or that of a copy when it is a stream and ``wanted``."""
    if not wanted or not is_stream(source):
        yield source
        return
    folder = tempfile.mkdtemp(prefix="varscore-")
    path = os.path.join(folder, source_name(source))
    try:
        with open(path, "wb") as file:
            for block in read_blocks(source):
                file.write(block)
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)
