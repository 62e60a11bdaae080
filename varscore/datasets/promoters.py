"""Promoters and their genes' expression into a data set of values, with folds of a cross-validation.

An example is the promoter of a gene, as it is transcribed: what lies on the minus strand is reverse-complemented.
Promoters that have much sequence in common are never parted between folds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.examples import ExampleSet, write_examples
from varscore.datasets.expression import IMMGEN, Expression, Lineages, Outputs, Scale, lineage_of
from varscore.datasets.spans import read_lines
from varscore.errors import DataError, UsageError
from varscore.formats.fasta import read_fasta
from varscore.formats.lines import demand_columns, table_rows
from varscore.genome.contigs import match_contigs
from varscore.genome.coords import anchor, whole_number
from varscore.genome.sequence import UNKNOWN, Genome, encode, reverse_complement
from varscore.storage.digest import file_sha256

SYSTEM = "expression"
WINDOW = 2000
_EPD = re.compile(r"(?:gt;)?FP\d+\s+(?P<gene>\S+?)(?:_\d+)?(?:\s|$)")
"""EPD's headers: FP000885 Sox4_1 :+U EU:NC; range -200 to 50. The number behind the name counts a gene's promoters"""
_FIRST_WORD = re.compile(r"(?P<gene>\S+)")
_COLUMNS = {
    "gene": ("genename", "gene", "symbol", "genesymbol", "name2", "name"),
    "contig": ("chrom", "chr", "chromosome", "contig"),
    "strand": ("strand",),
    "start": ("txstart", "start", "chromstart"),
    "end": ("txend", "end", "chromend"),
    "tss": ("tss",),
}


@dataclass(frozen=True)
class PromoterOptions:
    """How promoters and a matrix become examples."""

    window: int | None = None
    """None: the commonest length of the sequences, or 2000 of a genome"""
    upstream: int | None = None
    """Bases before the start site, of a genome; None: half of the window"""
    outputs: Outputs = "lineages"
    scale: Scale = "auto"
    pseudocount: float = 0.0
    strands: Literal["one", "both"] = "one"
    folds: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds < 3:
            raise UsageError("a cross-validation has 3 folds at least: one to train on, one to stop by, one to test on")
        if self.upstream is not None and self.upstream >= (self.window or WINDOW):
            raise UsageError(f"a window of {self.window or WINDOW} bp with {self.upstream} bp before the start site")


class Site(NamedTuple):
    """A start site, 0-based."""

    gene: str
    contig: str
    position: int
    strand: str


@dataclass(frozen=True)
class Promoters:
    """n promoters in the direction of transcription, one a gene. codes: uint8 (n, window); contig: int16 (n,), into
    ``contigs``; start: int64 (n,); counts: what was left out, and why."""

    genes: tuple[str, ...]
    codes: NDArray[np.uint8]
    contigs: tuple[str, ...]
    contig: NDArray[np.int16]
    start: NDArray[np.int64]
    counts: Mapping[str, int]

    def take(self, rows: NDArray[np.int64], **counts: int) -> Promoters:
        genes = tuple(self.genes[row] for row in rows.tolist())
        return Promoters(
            genes, self.codes[rows], self.contigs, self.contig[rows], self.start[rows], {**self.counts, **counts}
        )


def read_promoters(path: Path, window: int | None, gene: str | None = None) -> Promoters:
    """The sequences of a FASTA, cut to the ``window`` bases in their middle; None: their commonest length.

    gene: regular expression that finds the name in a header, as its group ``gene`` or its first group; by default the
    first word, and of EPD's headers the second without the number of the promoter. Of a gene's promoters the first
    counts; sequences that are shorter, or have an unknown base, are left out. Raises DataError and UsageError.
    """
    names = [_gene(header, gene, path) for header in _headers(path)]
    sequences = [encode(record.sequence) for record in read_fasta(str(path))]
    length = window or Counter(map(len, sequences)).most_common(1)[0][0]
    chosen: dict[str, NDArray[np.uint8]] = {}
    left = Counter({"shorter promoters": 0, "further promoters": 0, "promoters in unknown sequence": 0})
    for name, codes in zip(names, sequences, strict=True):
        if len(codes) < length:
            left["shorter promoters"] += 1
            continue
        first = anchor(len(codes)) - anchor(length)
        codes = codes[first : first + length]
        if (codes == UNKNOWN).any():
            left["promoters in unknown sequence"] += 1
        elif name in chosen:
            left["further promoters"] += 1
        else:
            chosen[name] = codes
    n = len(chosen)
    codes = np.stack(list(chosen.values())) if n else np.zeros((0, length), np.uint8)
    counts = {"promoters read": len(names), **left}
    return Promoters(tuple(chosen), codes, (path.name,), np.zeros(n, np.int16), np.arange(n) * length, counts)


def _headers(path: Path) -> Iterator[str]:
    yield from (line[1:].decode("utf-8", "replace").strip() for line in read_lines(path) if line.startswith(b">"))


def _gene(header: str, pattern: str | None, path: Path) -> str:
    try:
        found = re.search(pattern, header) if pattern else _EPD.match(header) or _FIRST_WORD.match(header)
    except re.error as error:
        raise UsageError(f"`gene={pattern!r}` is no regular expression", cause=str(error)) from None
    if found and found.re.groups:
        return found["gene"] if "gene" in found.re.groupindex else found[1]
    remedy = r"`gene=PATTERN`, with brackets around the name, such as '^\S+ (\S+)'"
    raise DataError(f"no gene in the header {header[:60]!r}", where=path, remedy=remedy)


def read_sites(path: Path) -> list[Site]:
    """Start sites of a BED file with names and strands, or of a table with a header, tab- or comma-separated.

    A table has columns for gene, contig and strand, and either start and end (0-based, half-open, as UCSC's) or ``tss``
    (1-based). Its header may be a comment, as in UCSC's dumps (``#bin name chrom strand txStart ... name2``). Raises
    DataError.
    """
    lines = [line.decode("utf-8", "replace") for line in read_lines(path)]
    lines = [line for line in lines if line.strip() and not line.startswith(("track", "browser"))]
    comments = [line.lstrip("#").strip("\r\n") for line in lines if line.startswith("#")]
    lines = [line for line in lines if not line.startswith("#")]
    delimiter = "\t" if "\t" in (lines or [""])[0] else ","
    rows = [row for _, row in table_rows(lines, delimiter, str(path))]
    for row in rows:
        demand_columns(len(row), len(rows[0]), f"{path}, the line of {row[0][:40]!r}")
    if rows and len(rows[0]) >= 6 and rows[0][1].isdigit() and rows[0][2].isdigit():
        at = {"gene": 3, "contig": 0, "strand": 5, "start": 1, "end": 2}
    else:
        above = [_columns(comment.split(delimiter)) for comment in comments]
        at = next((found for found in above if _suffice(found)), {}) or _columns(rows.pop(0) if rows else [])
    if not _suffice(at):
        remedy = "columns gene, chrom, strand, and start and end or TSS; or BED with names and strands"
        raise DataError("not a table of start sites", where=path, remedy=remedy)
    return [_site(row, at, path) for row in rows]


def _columns(header: Sequence[str]) -> dict[str, int]:
    """Where in a header what is wanted stands; of several names that a column may have the first counts."""
    head = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in header]
    return {
        what: min(found, key=lambda column: names.index(head[column]))
        for what, names in _COLUMNS.items()
        if (found := [column for column, name in enumerate(head) if name in names])
    }


def _suffice(at: Mapping[str, int]) -> bool:
    return {"gene", "contig", "strand"} <= at.keys() and ({"start", "end"} <= at.keys() or "tss" in at)


def _site(row: Sequence[str], at: Mapping[str, int], path: Path) -> Site:
    try:
        gene, contig, strand = (row[at[name]] for name in ("gene", "contig", "strand"))
        if "start" in at and "end" in at:
            position = whole_number(row[at["start"]]) if strand == "+" else whole_number(row[at["end"]]) - 1
        else:
            position = whole_number(row[at["tss"]]) - 1
    except (IndexError, ValueError):
        raise DataError("not a start site", where=path, cause=f"the line is {','.join(row)[:80]!r}") from None
    if strand not in ("+", "-") or position < 0:
        raise DataError("not a start site", where=path, cause=f"{gene}: base {position}, strand {strand!r}")
    return Site(gene, contig, position, strand)


def cut_promoters(genome: Genome, sites: Sequence[Site], window: int, upstream: int) -> Promoters:
    """The windows of a genome that begin ``upstream`` bases before start sites.

    Of a gene's sites the first counts; those off the FASTA, or with an unknown base, are left out.
    """
    names = match_contigs(dict.fromkeys(site.contig for site in sites), genome)
    index = {contig: number for number, contig in enumerate(genome.contigs)}
    placed = [site for site in sites if names[site.contig] is not None]
    contig = np.array([index[str(names[site.contig])] for site in placed], np.int16)
    minus = np.array([site.strand == "-" for site in placed], bool)
    position = np.array([site.position for site in placed], np.int64)
    start = np.where(minus, position + upstream + 1 - window, position - upstream)
    codes = np.zeros((len(placed), window), np.uint8)
    for number, name in enumerate(genome.contigs):
        rows = np.flatnonzero(contig == number)
        if len(rows):
            codes[rows] = genome.windows(name, start[rows], window)
    codes[minus] = reverse_complement(codes[minus])
    known = ~(codes == UNKNOWN).any(1)
    first = {placed[row].gene: row for row in np.flatnonzero(known)[::-1].tolist()}
    rows = np.array(sorted(first.values()), np.int64)
    counts = {
        "promoters read": len(sites),
        "promoters off the FASTA": len(sites) - len(placed),
        "promoters in unknown sequence": int((~known).sum()),
        "further promoters": int(known.sum()) - len(rows),
    }
    genes = tuple(site.gene for site in placed)
    return Promoters(genes, codes, tuple(genome.contigs), contig, start, {}).take(rows, **counts)


def alike(codes: NDArray[np.uint8], length: int) -> Iterator[tuple[int, int]]:
    """Pairs of rows that have ``length`` bases in a row in common, on either strand; linked ones, not all of them.

    codes: uint8 (n, window)
    """
    rows, window = codes.shape
    places = window - length + 1
    hashes = np.concatenate([_hashes(codes, length), _hashes(reverse_complement(codes), length)]).ravel()
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(np.diff(hashes[order]) == 0)
    owner = order // places % max(rows, 1)
    pairs = np.stack([owner[same], owner[same + 1]], 1)
    yield from map(tuple, np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0).tolist())


def _hashes(codes: NDArray[np.uint8], length: int) -> NDArray[np.uint64]:
    """A number for every stretch of ``length`` bases: uint64 (n, window - length + 1)."""
    base = np.uint64(0x9E3779B97F4A7C15)
    begins = np.zeros((codes.shape[1] + 1, len(codes)), np.uint64)
    for at in range(codes.shape[1]):
        begins[at + 1] = begins[at] * base + codes[:, at] + np.uint64(1)
    shift = np.multiply.reduce(np.full(length, base))
    found: NDArray[np.uint64] = (begins[length:] - begins[:-length] * shift).T
    return found


def overlapping(contig: NDArray[np.integer], start: NDArray[np.int64], window: int) -> Iterator[tuple[int, int]]:
    """Pairs of windows that share a base, of neighbours along a contig."""
    order = np.lexsort([start, contig])
    near = (np.diff(contig[order]) == 0) & (np.diff(start[order]) < window)
    for at in np.flatnonzero(near).tolist():
        yield int(order[at]), int(order[at + 1])


def deal_folds(n: int, pairs: Iterable[tuple[int, int]], folds: int, seed: int) -> NDArray[np.int16]:
    """int16 (n,): the fold of each example, of about equal sizes, at random but with linked examples together.

    Which examples are linked with one another decides, not by which of the possible pairs.
    """
    head = list(range(n))

    def top(row: int) -> int:
        while head[row] != row:
            head[row] = row = head[head[row]]
        return row

    for one, other in pairs:
        first, second = sorted((top(one), top(other)))
        head[second] = first
    group = np.unique([top(row) for row in range(n)], return_inverse=True)[1]
    sizes = np.bincount(group)
    shuffled = np.random.default_rng((seed, 3)).permutation(len(sizes))
    filled, fold_of = np.zeros(folds, np.int64), np.zeros(len(sizes), np.int16)
    for member in shuffled[np.argsort(-sizes[shuffled], kind="stable")].tolist():
        fold_of[member] = filled.argmin()
        filled[fold_of[member]] += sizes[member]
    dealt: NDArray[np.int16] = fold_of[group]
    return dealt


def build_promoters(
    promoters: Promoters,
    expression: Expression,
    folder: Path,
    options: PromoterOptions,
    lineages: Lineages = IMMGEN,
    info: Mapping[str, object] | None = None,
) -> dict[str, int]:
    """Write the data set of the genes that have both; returns counts. info: sources and reference, for its card.

    The folds are its cross-validation; fold 0 is the test split, fold 1 validation. Raises DataError.
    """
    logs, scale = expression.log2(options.scale, options.pseudocount)
    tasks, values = logs.outputs(options.outputs, lineages)
    row_of = {gene: row for row, gene in enumerate(logs.genes)}
    both = np.array([at for at, gene in enumerate(promoters.genes) if gene in row_of], np.int64)
    if len(both) < options.folds:
        examples = f"genes are {', '.join(promoters.genes[:3])} here, {', '.join(logs.genes[:3])} there"
        raise DataError(f"{len(both)} genes have a promoter and an expression", cause=examples, remedy="see `gene`")
    used = promoters.take(both, **{"promoters without expression": len(promoters.genes) - len(both)})
    n, window = used.codes.shape
    links = [*alike(used.codes, max(window // 2, 1)), *overlapping(used.contig, used.start, window)]
    fold = deal_folds(n, links, options.folds, options.seed)
    left_out = sum(not lineage_of(column, lineages) for column in logs.columns) if options.outputs == "lineages" else 0
    counts = {"genes": n, "outputs": len(tasks), **used.counts, "columns without lineage": left_out}
    write_examples(
        folder,
        info={
            **(info or {}),
            "kind": "values",
            "system": SYSTEM,
            "strands": options.strands,
            "window": window,
            "contigs": list(used.contigs),
            "options": {**asdict(options), "window": window, "scale": scale},
            "lineages": [list(pair) for pair in lineages] if options.outputs != "mean" else [],
            "counts": counts,
        },
        tasks=tasks,
        codes=used.codes,
        bases=used.codes.size,
        arrays={
            "offset": np.arange(n) * window,
            "contig": used.contig,
            "start": used.start,
            "values": values[[row_of[gene] for gene in used.genes]],
            "split": np.select([fold == 0, fold == 1], [2, 1], 0).astype(np.uint8),
            "fold": fold,
        },
        names=used.genes,
    )
    return counts


def hashed(paths: Iterable[Path]) -> dict[str, str]:
    """Name -> SHA-256 of files."""
    return {path.name: file_sha256(path) for path in paths}


class PermutedSet(ExampleSet):
    """A data set with every example's values replaced by another's, drawn at random: there is nothing to learn."""

    def __init__(self, folder: Path | str, seed: int) -> None:
        super().__init__(folder)
        self.info = {**self.info, "permuted": seed}
        self._targets = self._targets[np.random.default_rng((seed, 4)).permutation(len(self))]
