"""The folder that ``varscore explain`` writes: tables, arrays, pictures, and what was run."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np
from numpy.typing import NDArray

from varscore import __version__
from varscore.errors import OutputError
from varscore.genome.sequence import UNKNOWN
from varscore.interpret import ism
from varscore.interpret.explain import Explained, ExplainedPair, ExplainJob, Result
from varscore.interpret.gradients import Attribution
from varscore.interpret.logos import Picture
from varscore.interpret.methods import COMPARED, Options
from varscore.interpret.pictures import allele_picture, put_picture, sequence_picture, stack_picture
from varscore.interpret.profile import Profile
from varscore.interpret.sites import Told, as_tag, in_words, told
from varscore.interpret.subjects import AllelePair, Subject
from varscore.interpret.variants import Chosen, Scored
from varscore.motifs.changes import MotifChange
from varscore.storage.atomic import output_errors
from varscore.storage.folders import AtomicFolder
from varscore.tasks import Task, safe

MARKER = "explain.json"
CONTRIBUTIONS, SUBSTITUTIONS, ALLELES = "contributions.tsv.gz", "ism.tsv.gz", "alleles.tsv"
COMPLETENESS, SCORES, PROFILE = "completeness.tsv", "scores.npz", "profile.tsv"
EXACT = 1e-4
"""The largest miss, absolute and relative, that a complete method may show: beyond it a rule is wrong"""
UNITS = {"logodds": "log2 odds", "prob": "probability", "value": "value"}


class IncompleteError(AssertionError):
    """Contributions of a complete method that do not add up: a bug."""


class ExplainFolder:
    """Written beside its final name; a context manager: it appears when the block ends and is dropped when it fails.

    hypothetical: the arrays hold what any base would contribute; picture: ``none``, ``svg`` or ``png``; sites: what an
    allele does to binding sites, for titles and the table
    Raises OutputExists and OutputError.
    """

    def __init__(
        self,
        path: str,
        job: ExplainJob,
        tasks: Sequence[Task],
        *,
        hypothetical: bool = False,
        picture: str = "svg",
        sites: Callable[[AllelePair], Sequence[MotifChange]] | None = None,
        force: bool = False,
    ) -> None:
        self._sites, self._changed = sites, dict[str, list[list[Told]]]()
        self._path, self._job, self._tasks = path, job, tasks
        self._hypothetical, self._picture = hypothetical, picture
        self._folder = AtomicFolder(path, marker=MARKER, force=force)
        self.folder = Path(self._folder.temporary)
        self._options = job.options
        self._arrays: dict[str, list[NDArray[np.float32]]] = {}
        self._sequences: list[NDArray[np.uint8]] = []
        self._names: list[str] = []
        self._completeness = ["name\tmethod\ttask\treference\tsum\tdifference\tmiss"]
        self._profile = Profile()
        self._table: TextIO | None = None
        self._substitutions: TextIO | None = None
        self.unknown = 0
        """Windows of which more than half is unknown"""
        self.worst = 0.0
        """The largest miss of integrated gradients, as a share of the difference"""

    def __enter__(self) -> Self:
        with output_errors(self._path):
            if self._job.methods:
                self._table = _text(self.folder / CONTRIBUTIONS)
                self._table.write("name\tchrom\tpos\tbase\tallele\tmethod\ttask\tcontribution\n")
            if "ism" in self._job.methods:
                self._substitutions = _text(self.folder / SUBSTITUTIONS)
                self._substitutions.write("name\tchrom\tpos\tbase\tallele\ttask\tA\tC\tG\tT\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with output_errors(self._path), ExitStack() as tables:
                for table in filter(None, (self._table, self._substitutions)):
                    tables.callback(table.close)
        except OutputError:
            self._folder.abort()
            raise
        if kind is None:
            self._folder.commit()
        else:
            self._folder.abort()

    def add(self, result: Result, options: Options) -> None:
        """Enter what was found for a sequence, or for both alleles of a variant. Raises IncompleteError."""
        self._options = options
        with output_errors(self._path):
            if isinstance(result, ExplainedPair):
                self._enter(result.ref)
                self._enter(result.alt)
                if self._sites is not None:
                    self._changed[result.pair.name] = told(self._sites(result.pair), result)
                self._draw_pair(result)
            else:
                self._enter(result)
                self._draw(result)

    def finish(self, facts: Mapping[str, object], alleles: Chosen | None = None) -> None:
        """The arrays, the tables that were kept, and what was run."""
        with output_errors(self._path):
            if len(self._completeness) > 1:
                (self.folder / COMPLETENESS).write_text("\n".join(self._completeness) + "\n", "utf-8")
            if alleles is None and len(self._names) > 1 and self._job.methods:
                self._put_profile()
            if alleles is not None:
                (self.folder / ALLELES).write_text("\n".join(self._allele_lines(alleles)) + "\n", "utf-8")
            if self._job.methods:
                arrays: dict[str, Any] = {name: np.stack(parts) for name, parts in self._arrays.items()}
                np.savez(self.folder / SCORES, sequence=self.codes, name=np.array(self.names, str), **arrays)
            (self.folder / MARKER).write_text(json.dumps({**self._facts(), **facts}, indent=1) + "\n")

    @property
    def codes(self) -> NDArray[np.uint8]:
        """uint8 (n, window): all windows so far."""
        length = self._job.model.config().window
        return np.stack(self._sequences) if self._sequences else np.zeros((0, length), np.uint8)

    @property
    def names(self) -> list[str]:
        """Of all windows so far."""
        return self._names

    # -- tables and arrays ---------------------------------------------------------------------------------------------

    def _enter(self, found: Explained) -> None:
        subject = found.subject
        self._sequences.append(subject.codes)
        self.unknown += int(2 * np.count_nonzero(subject.codes == UNKNOWN) > len(subject.codes))
        self._names.append(f"{subject.name}.{subject.allele}" if subject.allele != "." else subject.name)
        for method, attribution in zip(self._job.methods, found.attributions, strict=True):
            self._array(method, subject, attribution)
            for number, task in enumerate(subject.tasks.tolist()):
                self._rows(method, subject, attribution, number, self._tasks[task].name)
                self._profile.add(method, task, subject.codes, attribution.scores[number])
                if method in COMPARED:
                    self._check(method, attribution, number, self._tasks[task].name)

    def _array(self, method: str, subject: Subject, attribution: Attribution) -> None:
        for number, task in enumerate(subject.tasks.tolist()):
            key = method if len(subject.tasks) == 1 else f"{method}.{task}"
            self._arrays.setdefault(key, []).append(self._block(method, subject, attribution, number))

    def _block(self, method: str, subject: Subject, attribution: Attribution, number: int) -> NDArray[np.float32]:
        """float32 (4, window)"""
        table: NDArray[np.float32] = attribution.hypothetical[number]
        codes = subject.codes
        if self._hypothetical:
            if method != "ism":
                return table
            return np.asarray(ism.hypothetical(table.T[:, :, None], codes)[:, :, 0].T)
        block: NDArray[np.float32] = np.zeros_like(table)
        at = np.flatnonzero(codes != UNKNOWN)
        block[codes[at], at] = attribution.scores[number, at]
        return block

    def _rows(self, method: str, subject: Subject, attribution: Attribution, number: int, task: str) -> None:
        shown = subject.mutated.place if method == "ism" else slice(0, len(subject.codes))
        letters, contig = subject.letters, subject.contig or "."
        places = range(len(letters))[shown]
        scores = attribution.scores[number].tolist()
        assert self._table is not None
        self._table.writelines(
            f"{subject.name}\t{contig}\t{subject.labels[at]}\t{letters[at]}\t{subject.allele}\t{method}\t{task}\t"
            f"{scores[at]:.6g}\n"
            for at in places
        )
        if method == "ism" and self._substitutions is not None:
            table = attribution.hypothetical[number].T.tolist()
            self._substitutions.writelines(
                f"{subject.name}\t{contig}\t{subject.labels[at]}\t{letters[at]}\t{subject.allele}\t{task}\t"
                + "\t".join("NA" if value != value else f"{value:.6g}" for value in table[at])
                + "\n"
                for at in places
            )

    def _check(self, method: str, attribution: Attribution, number: int, task: str) -> None:
        """Enter whether contributions add up. Raises IncompleteError when those of a complete method do not."""
        total, difference, miss = (
            float(values[number]) for values in (attribution.total, attribution.difference, attribution.miss)
        )
        name = self._names[-1]
        label = self._options.reference.label
        self._completeness.append(f"{name}\t{method}\t{task}\t{label}\t{total:.6g}\t{difference:.6g}\t{miss:.3g}")
        if method == "ig":
            self.worst = max(self.worst, abs(total - difference) / max(abs(difference), 1e-9))
        elif not miss <= max(EXACT, EXACT * abs(difference)):
            raise IncompleteError(f"contributions to {task} of {name} miss the difference by {miss:.3g}")

    # -- pictures ------------------------------------------------------------------------------------------------------

    def _title(self, method: str, task: str) -> str:
        return f"{task}: {method}, {UNITS[self._options.target]}, {self._job.model.id}"

    def _draw_pair(self, result: ExplainedPair) -> None:
        if self._picture == "none":
            return
        pair = result.pair
        both = zip(self._job.methods, result.ref.attributions, result.alt.attributions, strict=True)
        for method, ref, alt in both:
            for number, task in enumerate(pair.ref.tasks.tolist()):
                name = self._tasks[task].name
                effect = f"VS_DIFF {pair.diff[number]:+.4g}"
                if np.isfinite(pair.logodds[number]):
                    effect += f", log2 odds {pair.logodds[number]:+.3g}"
                title = [f"{_spelled(pair)}   {effect}", self._title(method, name)]
                sites = self._changed[pair.name][number] if pair.name in self._changed else []
                title += [f"motifs: {in_words(sites)}"] if sites else []
                site = sites[0].change if sites else None
                scores, unit = (ref.scores[number], alt.scores[number]), UNITS[self._options.target]
                picture = allele_picture(pair, *scores, self._job.flank, title, site, unit)
                self._put(pair.name, method, name, picture)

    def _draw(self, found: Explained) -> None:
        subject = found.subject
        if self._picture == "none":
            return
        for method, attribution in zip(self._job.methods, found.attributions, strict=True):
            for number, task in enumerate(subject.tasks.tolist()):
                name = self._tasks[task].name
                title = [subject.name, self._title(method, name)]
                middle = len(subject.codes) // 2
                picture = sequence_picture(subject, attribution.scores[number], middle, self._job.flank, title)
                self._put(safe(subject.name)[:100], method, name, picture)

    def _put_profile(self) -> None:
        middle, names = self._job.model.config().window // 2, [task.name for task in self._tasks]
        (self.folder / PROFILE).write_text("\n".join(self._profile.lines(middle, names)) + "\n", "utf-8")
        if self._picture == "none":
            return
        for method, task in self._profile.sums:
            title = [f"Mean over {len(self._names):,} windows", self._title(method, names[task])]
            picture = stack_picture(self._profile.mean((method, task)), middle, title)
            put_picture(self.folder, f"profile.{method}.{safe(names[task])}", picture, self._picture)

    def _put(self, name: str, method: str, task: str, picture: Picture) -> None:
        """Under a name that says what it shows; of several methods all but the first one's have theirs in it."""
        other = "" if method == self._job.methods[0] else f".{method}"
        stem, number = f"{name}.{safe(task)}{other}", 1
        while (self.folder / f"{stem}.{self._picture}").exists():  # inputs of one name
            number += 1
            stem = f"{name}.{number}.{safe(task)}{other}"
        put_picture(self.folder, stem, picture, self._picture)

    # -- what was run --------------------------------------------------------------------------------------------------

    def _allele_lines(self, alleles: Chosen) -> list[str]:
        lines = ["chrom\tpos\tref\talt\tstatus\ttask\tdiff\tlogodds\tmotif\tpicture"]
        for scored in (*alleles.scored, *alleles.unscored):
            lines += self._allele(scored)
        return lines

    def _allele(self, scored: Scored) -> list[str]:
        written = scored.written
        head = f"{written.contig}\t{written.pos}\t{written.ref}\t{written.alt}\t{scored.status}"
        if scored.variant is None:
            return [f"{head}\tNA\tNA\tNA\tNA\tNA"]
        rows = []
        changed = self._changed.get(scored.name, [[]] * len(scored.tasks))
        for task, diff, logodds, found in zip(scored.tasks.tolist(), scored.diff, scored.logodds, changed, strict=True):
            sites = as_tag(found) if scored.name in self._changed else "NA"
            picture = f"{scored.name}.{safe(self._tasks[task].name)}.{self._picture}"
            shown = picture if (self.folder / picture).exists() else "NA"
            value = f"{logodds:.6g}" if np.isfinite(logodds) else "NA"
            rows.append(f"{head}\t{self._tasks[task].name}\t{diff:.6g}\t{value}\t{sites}\t{shown}")
        return rows

    def _facts(self) -> dict[str, object]:
        job, options = self._job, self._options
        return {
            "format": 1,
            "varscore": __version__,
            "numpy": np.__version__,
            "model": job.model.id,
            "model_sha256": job.model.sha256,
            "methods": [*job.methods, *job.whole],
            "target": options.target,
            "unit": UNITS[options.target],
            "compared_with": options.reference.label if set(job.methods) & set(COMPARED) else None,
            "steps": options.steps if "ig" in job.methods else None,
            "seed": options.seed,
            "flank": job.flank,
            "hypothetical": self._hypothetical,
            "precision": job.compute.precision,
            "engine": job.compute.engine,
            "inputs": len(self._sequences),
        }


def _spelled(pair: AllelePair) -> str:
    variant = pair.variant
    ref, alt = (allele if len(allele) <= 20 else f"{len(allele):,} bp" for allele in (variant.ref, variant.alt))
    size = f" of {pair.affected:,} bp" if pair.affected else ""
    return f"{variant.contig}:{variant.pos} {ref}>{alt}{size}"


def _text(path: Path) -> TextIO:
    """A gzipped text file that is the same bytes whenever it is written."""
    return io.TextIOWrapper(gzip.GzipFile(path, "wb", compresslevel=6, mtime=0), encoding="utf-8", newline="\n")
