"""Maps in which rows share columns, against the layers of every row on its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from varscore.compiled import COMPILES
from varscore.engine.exact.cells import Workspace
from varscore.engine.exact.maps import SharedMap, WholeMap, common_cells
from varscore.engine.exact.product import BLOCK
from varscore.engine.exact.reach import Span
from varscore.nets.dilated import Residual
from varscore.nets.layers import Activation, ConvPool, Projection, SequenceConv

pytestmark = pytest.mark.skipif(not COMPILES, reason="shared maps are for machines with numba")

WINDOW = 90
FIRST = SequenceConv(7, 5, 3, 0.3)
LATER = nn.Sequential(
    Projection(7, 4),
    ConvPool(4, 6, 3, 2, 0.3),
    Activation(0.5),
    ConvPool(6, 3, 2, 1, 0.0),
    Residual(3, 1),
    Residual(3, 3),
)
WORKSPACE = Workspace()


def windows(shifts: list[int], seed: int = 0) -> tuple[Tensor, np.ndarray]:
    """Windows of one contig, uint8 (n, WINDOW), each so far right of the one before; and the shifts, -1 first."""
    starts = np.concatenate([[0], np.cumsum(shifts, dtype=np.int64)])
    contig = np.random.default_rng(seed).integers(0, 5, int(starts[-1]) + WINDOW, dtype=np.uint8)
    rows = np.stack([contig[start : start + WINDOW] for start in starts.tolist()])
    return torch.from_numpy(rows), np.array([-1, *shifts])


def maps(codes: Tensor, shift: np.ndarray) -> list[SharedMap]:
    with torch.inference_mode():
        found = [SharedMap.first(FIRST, codes, shift, Workspace())]
        for layer in LATER:
            local = isinstance(layer, (ConvPool, Residual))
            found.append(found[-1].convolved(layer) if local else found[-1].through(layer))
    return found


def whole_maps(codes: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        found = [FIRST(codes)]
        for layer in LATER:
            found.append(layer(found[-1]))
    return found


@settings(max_examples=40)
@given(st.lists(st.one_of(st.just(-1), st.integers(0, 12), st.integers(0, 200)), max_size=14))
def test_shared_columns_are_those_of_every_row_alone(shifts: list[int]) -> None:
    """To rounding those of torch's layers; to the bit those of rows that share nothing. -1: somewhere else."""
    codes, shift = windows([WINDOW if by < 0 else by for by in shifts])
    shift[1:][np.array(shifts, np.int64) < 0] = -1
    apart = maps(codes, np.full(len(codes), -1))
    for mine, alone, torchs in zip(maps(codes, shift), apart, whole_maps(codes), strict=True):
        assert mine.size == (torchs.shape[2], len(codes))
        assert torch.equal(mine.whole(), alone.whole())
        assert (mine.whole() - torchs).abs().max() < 1e-5


@given(st.lists(st.integers(0, 30), max_size=9), st.integers(1, 6), st.integers(1, 8))
def test_cells_are_common_if_they_begin_at_one_base(shifts: list[int], stride: int, cells: int) -> None:
    begin = np.concatenate([[5], 5 + np.cumsum(shifts, dtype=np.int64)])
    index, made = common_cells(begin, stride, cells)
    seen: dict[int, int] = {}
    for cell in range(cells):
        for row, start in enumerate(begin.tolist()):
            column = seen.setdefault(start + cell * stride, len(seen))
            assert index[cell, row] == column
    assert len(made) == len(seen)
    assert index.ravel()[made].tolist() == list(range(len(seen)))


def test_columns_are_as_many_as_places_differ() -> None:
    """64 neighbouring windows of 28 cells 3 bases apart: places 0 to 63 + 81; then 13 cells 6 bases apart."""
    codes, shift = windows([1] * 63)
    found = maps(codes, shift)
    assert found[0].size == (28, 64)
    assert [one.index.max() + 1 for one in (found[0], found[1])] == [64 + 81] * 2
    assert found[2].size == (13, 64)
    assert [one.index.max() + 1 for one in (found[2], found[3])] == [64 + 72] * 2
    assert [(one.size[0], one.index.max() + 1) for one in found[4:]] == [(12, 64 + 66), (10, 64 + 54), (4, 64 + 18)]
    assert all(len(one.values) % BLOCK == 0 for one in found)
    assert maps(codes, np.full(64, -1))[0].index.max() + 1 == 28 * 64


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("before", "layer", "reach"), [(1, LATER[1], 10), (4, LATER[5], 9)])
def test_a_stretch_of_some_rows_and_what_a_layer_makes_of_it(
    shared: bool, before: int, layer: ConvPool | Residual, reach: int
) -> None:
    codes, shift = windows([1, 0, 7, 100, 2])
    whole = whole_maps(codes)[before]
    seen = maps(codes, shift)[before] if shared else WholeMap(whole)
    rows, field = torch.tensor([3, 0, 0, 5]), Span(2, 2 + reach)
    with torch.inference_mode():
        local = seen.at(field, rows)
        assert local.shape == (4, whole.shape[1], reach)
        assert (local - whole[rows][:, :, field.place]).abs().max() < 1e-6
        local[:, :, 3] = 2.5
        assert (seen.cells(layer, local) - layer(local)).abs().max() < 1e-5
        again = seen.at(field, rows)
    assert (again - whole[rows][:, :, field.place]).abs().max() < 1e-6, "what was laid in is in a copy"


def test_a_map_of_rows_apart_is_what_was_given() -> None:
    steps = torch.randn(5, 3, 4)
    found = SharedMap.separate(steps, WORKSPACE)
    assert found.size == (5, 3)
    assert torch.equal(found.whole(), steps.permute(1, 2, 0))
