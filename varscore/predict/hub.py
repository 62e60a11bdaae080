"""What genome browsers want beside tracks: a UCSC track hub and a session of IGV.

Of many values that share a pixel the largest is to be drawn: a peak is a few windows wide, and lost in a mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from varscore.genome.assembly import identify

UCSC = {"GRCh37": "hg19", "GRCh38": "hg38", "T2T-CHM13v2": "hs1", "GRCm38": "mm10", "GRCm39": "mm39"}
_COLOURS = {"DNase": (27, 120, 120), "TF": (170, 80, 20), "histone": (100, 70, 160)}
_OTHER = (70, 70, 70)


@dataclass(frozen=True)
class Track:
    """file: its name in the folder; group: the task's class; strand: ``+`` or ``-``, empty for both together"""

    name: str
    file: str
    group: str
    strand: str = ""

    @property
    def label(self) -> str:
        return f"{self.name} {self.strand}".strip()

    @property
    def colour(self) -> str:
        return ",".join(map(str, _COLOURS.get(self.group, _OTHER)))


def browser_name(contigs: Mapping[str, int]) -> str | None:
    """What browsers call the assembly that these contigs are of; None for one that is not known."""
    return UCSC.get(str(identify(contigs)))


def hub_files(title: str, assembly: str, tracks: Sequence[Track], bounds: tuple[float, float] | None) -> dict[str, str]:
    """The text of a hub's three files, by name. bounds: of the axis; None: each track's own"""
    limits = f"viewLimits {bounds[0]:g}:{bounds[1]:g}\n" if bounds else "autoScale on\n"
    stanzas = [
        f"track {track.file.rpartition('.')[0].replace('.', '_')}\nbigDataUrl {track.file}\n"
        f"shortLabel {track.label[:17]}\nlongLabel {track.label}, predicted by {title}\ntype bigWig\n"
        f"visibility full\nwindowingFunction maximum\nmaxHeightPixels 100:40:8\ncolor {track.colour}\n{limits}"
        for track in tracks
    ]
    hub = f"hub varscore\nshortLabel varscore\nlongLabel predictions of {title}\ngenomesFile genomes.txt\nemail none\n"
    genomes = f"genome {assembly}\ntrackDb trackDb.txt\n"
    return {"hub.txt": hub, "genomes.txt": genomes, "trackDb.txt": "\n".join(stanzas)}


def igv_session(
    assembly: str | None, reference: str, locus: str, tracks: Sequence[Track], bounds: tuple[float, float] | None
) -> str:
    """JSON for IGV and igv.js. assembly: its name there; None: that of the FASTA ``reference``, looked for beside it"""
    genome: dict[str, object] = {"genome": assembly}
    if assembly is None:
        genome = {"reference": {"id": reference, "fastaURL": reference, "indexURL": f"{reference}.fai"}}
    axis: dict[str, object] = {"min": bounds[0], "max": bounds[1]} if bounds else {"autoscale": True}
    rows = [
        {"name": track.label, "url": track.file, "type": "wig", "format": "bigwig", "height": 50}
        | {"windowFunction": "max", "color": f"rgb({track.colour})"}
        | axis
        for track in tracks
    ]
    return json.dumps({**genome, "locus": locus, "tracks": rows}, indent=1) + "\n"
