"""A track of the default model along a sequence with one strong site in it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from varscore.engine import ENGINES
from varscore.genome.coords import Variant
from varscore.genome.sequence import Genome
from varscore.predict.around import tracks_around
from varscore.zoo.models import find_model

SITE = "TGGCCACCAGGGGGCGCTA"
"""What CTCF binds best (JASPAR MA0139)"""


@pytest.mark.slow
@pytest.mark.parametrize("place", [2310, 3275])
def test_the_track_peaks_within_a_step_of_the_site(tmp_path: Path, place: int) -> None:
    letters = random.Random(2).choices("ACGT", k=6000)
    letters[place : place + len(SITE)] = SITE
    (tmp_path / "g.fa").write_text(f">c\n{''.join(letters)}\n")
    model = find_model(None)
    tasks = [task.index for task in model.tasks() if "CTCF" in task.name]
    engine = ENGINES["exact"](model.load(), torch.device("cpu"), "fp32")
    middle = Variant("c", 3000, letters[3000], "A" if letters[3000] != "A" else "C")
    with Genome(tmp_path / "g.fa", cache_dir=tmp_path / "cache") as genome:
        found = tracks_around(engine, genome, middle, tasks)
    mean = found.ref.mean(0)
    at = int(np.argmax(mean))
    step = int(np.median(found.end - found.start))
    assert found.start[at] - step <= place + len(SITE) // 2 < found.end[at] + step
    far = (found.end < place - 1000) | (found.start > place + 1000)
    assert mean[at] > 5 * mean[far].max()
