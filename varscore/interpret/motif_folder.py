"""The files of ``varscore motifs``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from varscore import __version__
from varscore.formats.motifs import Motif, format_meme
from varscore.interpret.motifs import Found, Placed
from varscore.motifs.active import NAME
from varscore.motifs.compare import MATCHES, STRANDS, format_table, matches
from varscore.storage.digest import file_sha256
from varscore.storage.whole import put_file
from varscore.zoo.models import ModelFolder


def put_found(folder: Path, found: Found, families: Mapping[str, str]) -> None:
    """Everything but motifs.json. Raises OutputError."""
    named = [
        Motif(motif.id, found.label(i) or motif.id, motif.frequencies, motif.sites)
        for i, motif in enumerate(found.matrices)
    ]
    put_file(folder / "filters.meme", format_meme(named, found.background))
    put_file(folder / "clusters.meme", format_meme(found.consensus(), found.background))
    head = ("filter", "sites", "largest_activation", "threshold", "consensus", "bits", "state")
    rows = (
        (f.id, f.sites, f.largest, f.threshold, f.consensus, float(f.bits.sum()), found.state(f)) for f in found.filters
    )
    put_file(folder / "filters.tsv", format_table(head, rows))
    matched = matches(found.matrices, found.targets, found.comparison)
    put_file(folder / "matches.tsv", format_table(("filter", *MATCHES), matched))
    members = (
        (found.matrices[member].id, number, STRANDS[turned], at)
        for number in range(int(found.cluster.max()) + 1)
        for member, turned, at in found.frame(number)
    )
    put_file(folder / "clusters.tsv", format_table(("filter", "cluster", "orientation", "offset"), members))
    if (placed := found.placed(found.options.projection_q)) is not None:
        head = ("filter", "motif", "strand", "family", "pc1", "pc2", "q")
        put_file(folder / "projection.tsv", format_table(head, projected(found, placed, families)))


def projected(found: Found, placed: Placed, families: Mapping[str, str]) -> Iterable[tuple[str | float, ...]]:
    """Rows of projection.tsv."""
    for matrix, (pc1, pc2) in zip(placed.chosen.tolist(), placed.places.tolist(), strict=True):
        target = int(found.best[matrix])
        motif, turned = found.targets[target], bool(found.comparison.turned[matrix, target])
        q = float(found.comparison.q[matrix, target])
        yield found.matrices[matrix].id, motif.name, STRANDS[turned], families.get(motif.id, "."), pc1, pc2, q


def facts(found: Found, model: ModelFolder, data: Path, against: Sequence[Path]) -> dict[str, object]:
    """What motifs.json says: counts, what was read, options, and which motifs the model knows."""
    options = found.options
    ok = len(found.matrices)
    return {
        "format": 1,
        "version": __version__,
        "model": {"id": model.id, "sha256": model.sha256},
        "data": {"name": data.name, "sequences": found.sequences},
        "against": [{"file": path.name, "sha256": file_sha256(path)} for path in against],
        "options": asdict(options),
        "counts": {
            "filters": len(found.filters),
            "with_sites": sum(one.sites >= options.min_sites for one in found.filters),
            "compared": ok,
            "targets": len(found.targets),
            "matched_e": found.matched_e,
            "matched_q": found.matched_q,
            "clusters": int(found.cluster.max()) + 1,
        },
        "projection": {
            f"q<{q:g}": {
                "filters": len(placed.chosen),
                "shares": placed.shares.tolist(),
                **_plain(asdict(placed.pairs)),
            }
            for q in dict.fromkeys((options.projection_q, options.q))
            if (placed := found.placed(q)) is not None
        },
        "active": found.active,
    }


def put_facts(folder: Path, content: Mapping[str, object]) -> None:
    put_file(folder / NAME, json.dumps(content, indent=1) + "\n")


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    """JSON has no NaN."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}
