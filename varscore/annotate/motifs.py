"""What ``annotate`` adds when it is given motifs: the column ``motif``, which is VS_MOTIF in a VCF."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError, UsageError, reason
from varscore.formats.motifs import Motif, read_motifs
from varscore.genome.contigs import ContigNames
from varscore.genome.named import NamedGenome
from varscore.genome.sequence import Genome
from varscore.motifs.active import read_active
from varscore.motifs.chance import expected_changes
from varscore.motifs.changes import RATIO, SIGNS, Changes, MotifSet
from varscore.motifs.scan import UNIFORM
from varscore.scoring.score import ScoreBatch
from varscore.storage.digest import file_sha256, json_sha256
from varscore.tasks import safe

COLUMN = "motif"
MOST = 5
"""Changes of an allele that VS_MOTIF names; the table has all"""
P_ACTIVE, P_ANY = 1e-4, 1e-5
"""Thresholds for motifs that the model knows, and for a whole database, of which more are there by chance"""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MotifRules:
    """p: None for P_ACTIVE of motifs that the model knows, else P_ANY; models: globs of names or ids

    active: only motifs that match a filter of the model; None: where the model's folder says which
    """

    p: float | None = None
    ratio: float = RATIO
    models: tuple[str, ...] = ()
    background: tuple[float, ...] = UNIFORM
    active: bool | None = None
    one_voice: bool = True


@dataclass(frozen=True)
class MotifSearch:
    """A motif file, opened, and what counts as a change of a site. :meth:`open` makes one."""

    path: Path
    sha256: str
    motifs: MotifSet
    rules: MotifRules
    is_active: bool

    @classmethod
    def open(cls, path: Path, model_folder: Path, rules: MotifRules) -> MotifSearch:
        """Raises DataError for a damaged file, UsageError when no motif is left."""
        try:
            digest = file_sha256(path)
        except OSError as error:
            raise DataError("cannot read motifs", where=path, cause=reason(error)) from None
        motifs = read_motifs(path)
        chosen = _fitting(motifs, rules.models, path)
        known = None if rules.active is False else read_active(model_folder)
        if rules.active and known is None:
            raise UsageError(
                "which motifs the model knows is not known",
                where=model_folder,
                cause="it has no motifs.json",
                remedy=f"`varscore motifs MODEL --against {path.name}` makes one; or leave `motif_active` out",
            )
        active = [index for index in chosen if known and motifs[index].id in known]
        if known is not None and not active:
            message = f"none of these {len(chosen)} motifs is among the {len(known)} that match a filter of the model"
            if rules.active:
                raise UsageError(message, where=path, remedy="leave `motif_active` out")
            log.warning("%s: all of them are looked for", message)
        p = rules.p if rules.p is not None else (P_ACTIVE if active else P_ANY)
        ready = MotifSet.of(
            motifs,
            p=p,
            ratio=rules.ratio,
            background=rules.background,
            chosen=active or chosen,
            one_voice=rules.one_voice,
        )
        if deaf := ready.deaf():
            text = "%d of %d motifs are never reported: at p %g not even their best site is rare enough (%s)"
            log.warning(text, len(deaf), len(ready.models), p, ", ".join(motif.name for motif in deaf[:3]))
        return cls(path, digest, ready, rules, bool(active))

    @property
    def command(self) -> tuple[str, ...]:
        """The options that change what is reported, normalised."""
        rules = self.rules
        uniform = rules.background == UNIFORM
        return (
            f"--motifs {safe(self.path.name)}",
            f"--motif-p {self.motifs.p:g}",
            f"--motif-ratio {rules.ratio:g}",
            *(f"--motif-models {glob}" for glob in sorted(set(rules.models))),
            *(() if uniform else (f"--motif-background {','.join(f'{share:g}' for share in rules.background)}",)),
            *(("--motif-active",) if self.is_active else ()),
            *(() if rules.one_voice else ("--all-motifs",)),
        )

    @property
    def digest(self) -> str:
        """Of everything that the reported changes are a function of, beside the genome and the alleles."""
        ids = [model.motif.id for model in self.motifs.models]
        return json_sha256([self.sha256, self.command, ids])

    @property
    def meaning(self) -> str:
        """Of the column, for a header."""
        return (
            f"Binding sites that the allele breaks (-), makes (+) or changes (~), best p first, at most {MOST}, joined "
            f"by &: motifs with p <= {self.motifs.p:g} on one side and at least {self.motifs.ratio:g} times as much on "
            "the other; ExpectedPerSNV of ##varscoreMotifs says how many an SNV has by chance"
        )

    def notes(self, genome: Genome) -> tuple[tuple[str, str], ...]:
        """Provenance for the output's header: ``##varscoreMotifs``."""
        expected = expected_changes(genome, self.motifs, self.digest)
        parts = [
            f"File={safe(self.path.name)}",
            f"SHA256={self.sha256}",
            f"P={self.motifs.p:g}",
            f"Ratio={self.motifs.ratio:g}",
            f"Models={len(self.motifs.models)}",
            f"ExpectedPerSNV={expected:.4g}" if np.isfinite(expected) else "ExpectedPerSNV=.",
        ]
        return (("Motifs", f"<{','.join(parts)}>"),)

    def changes(self, found: ScoreBatch, genome: Genome, names: ContigNames) -> Changes:
        """What the scored alleles of a batch do that are spelled out; rows count among all that are scored."""
        named = NamedGenome(genome, names.of(found.alleles.contigs))
        spelled = np.flatnonzero(found.alleles.affected_bases[found.rows] == 0)
        changes = self.motifs.changes(found.alleles, found.rows[spelled], named)
        return replace(changes, row=spelled[changes.row])

    def column(self, sites: Changes, n: int) -> NDArray[np.object_]:
        """object (n,): ``-GATA1&+SPI1``, as bytes, of n scored alleles; ``.`` of those that change no site."""
        words: list[list[str]] = [[] for _ in range(n)]
        for row, motif, change in zip(sites.row.tolist(), sites.motif.tolist(), sites.change.tolist(), strict=True):
            if len(words[row]) < MOST:
                words[row].append(SIGNS[change] + safe(self.motifs.models[motif].motif.name))
        column = np.empty(n, object)
        column[:] = [("&".join(said) or ".").encode() for said in words]
        return column


def _fitting(motifs: Sequence[Motif], globs: Sequence[str], where: Path) -> list[int]:
    """Indices of the motifs whose name or id fits one of the globs, in any case, all without globs.

    Raises UsageError when a glob fits none.
    """
    chosen = set() if globs else set(range(len(motifs)))
    for glob in globs:
        wanted = glob.lower()
        fits = {i for i, m in enumerate(motifs) if any(fnmatchcase(text.lower(), wanted) for text in (m.name, m.id))}
        if not fits:
            raise UsageError(f"`motif_models={glob!r}` fits none of the {len(motifs)} motifs", where=where)
        chosen |= fits
    return sorted(chosen)
