"""How far a change reaches, held against what changes when real layers run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_nets import random_codes, small
from torch import Tensor, nn

from varscore.engine.exact.reach import Reach, Span, extent, reach, receptive, sections, stride, touched
from varscore.nets import architectures, build, find
from varscore.nets.dilated import PositionPool, Residual
from varscore.nets.layers import Activation, BiLSTM, ConvPool, FlattenTime, SequenceConv, SequenceNet

SHARING = [
    name
    for name, each in architectures().items()
    if getattr(each.network, "forward", None) is SequenceNet.forward and name not in ("kmer", "deepmotif")
]
"""Plain lists of layers that work position by position; k-mer counts and DeepMotif's maximum are of the whole window"""


def cells_that_read(span: Span, width: int, pool: int, length: int) -> list[int]:
    """Pooled cells one of whose convolution outputs reads a position of the span."""
    cells = (length - width + 1) // pool
    return [
        cell
        for cell in range(cells)
        if any(
            span.lo <= position < span.hi
            for output in range(cell * pool, (cell + 1) * pool)
            for position in range(output, output + width)
        )
    ]


@st.composite
def layers(draw: st.DrawFn) -> tuple[int, int, int, Span]:
    """width, pool, length, span"""
    width, pool = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    length = draw(st.integers(width + pool - 1, 50))
    lo = draw(st.integers(0, length - 1))
    return width, pool, length, Span(lo, draw(st.integers(lo + 1, length)))


@given(layers())
def test_touched_cells_are_those_that_read_the_span(layer: tuple[int, int, int, Span]) -> None:
    width, pool, length, span = layer
    found = touched(span, width, pool, length)
    assert list(range(found.lo, found.hi)) == cells_that_read(span, width, pool, length)
    assert 0 <= found.lo <= found.hi <= (length - width + 1) // pool


@given(layers())
def test_receptive_is_what_the_cells_read(layer: tuple[int, int, int, Span]) -> None:
    width, pool, length, span = layer
    cells = touched(span, width, pool, length)
    assume(len(cells))
    read = receptive(cells, width, pool)
    assert read.lo >= 0 and read.hi <= length
    outputs = [output for cell in (cells.lo, cells.hi - 1) for output in range(cell * pool, (cell + 1) * pool)]
    assert (min(outputs), max(outputs) + width) == (read.lo, read.hi)


@settings(max_examples=30)
@given(layers(), st.integers(0, 99))
def test_only_touched_cells_change_when_the_layers_run(layer: tuple[int, int, int, Span], seed: int) -> None:
    width, pool, length, span = layer
    torch.manual_seed(seed)
    before = random_codes(1, length, seed)
    after = before.repeat(8, 1)
    after[:, span.place] = random_codes(8, len(span), seed + 1)
    x = torch.randn(1, 3, length)
    y = x.repeat(8, 1, 1)
    y[:, :, span.place] = torch.randn(8, 3, len(span))
    cells = touched(span, width, pool, length)
    for module, old, new in (
        (SequenceConv(5, width, pool, 0.3), before, after),
        (ConvPool(3, 5, width, pool, 0.3).double(), x.double(), y.double()),
    ):
        changed = changed_positions(module(old), module(new))
        assert changed <= set(range(cells.lo, cells.hi))


def changed_positions(old: Tensor, new: Tensor) -> set[int]:
    """Positions of feature maps, (1 or more rows, channels, positions), where some row and channel differ."""
    return set(np.flatnonzero((old != new).any(1).any(0).numpy()).tolist())


def feature_maps(net: SequenceNet, codes: Tensor) -> list[Tensor]:
    """Outputs of the first layer and of every later convolution or residual block, float64."""
    maps, x = [], codes
    for layer in net.layers:
        if isinstance(layer, (BiLSTM, FlattenTime, PositionPool)):
            break
        x = layer(x)
        if isinstance(layer, (SequenceConv, ConvPool, Residual)):
            maps.append(x)
    return maps


def check_reach(net: SequenceNet, span: Span, rows: int = 100) -> Reach:
    """All cells that change lie in the reach, and in some of many windows the reach's outermost cells do change."""
    found = reach(net, span)
    assert found is not None and found.window == span
    before = random_codes(rows, net.window, unknown=0)
    after = before.clone()
    after[:, span.place] = random_codes(rows, len(span), 1, unknown=0)
    with torch.inference_mode():
        maps = zip(feature_maps(net.double(), before), feature_maps(net, after), strict=True)
        changed = [changed_positions(old, new) for old, new in maps]
    claimed = [found.first, *found.maps]
    assert len(changed) == len(claimed)
    for cells, claim in zip(changed, claimed, strict=True):
        assert cells and cells <= set(range(claim.lo, claim.hi))
        assert {claim.lo, claim.hi - 1} <= cells
    assert found.steps == claimed[-1]
    return found


@pytest.mark.parametrize("name", SHARING)
@pytest.mark.parametrize("span", [(89, 90), (90, 91), (89, 105), (75, 91), (89, 180), (0, 91), (0, 180)])
def test_reach_of_small_networks(name: str, span: tuple[int, int]) -> None:
    check_reach(small(name).eval(), Span(*span))


# changed cells of the first layer and of later convolutions, by hand: cell c reads [c * pool, c * pool + pool + k - 1),
# of a residual block c, c + d and c + 2 d
SNV = {
    "danq": (Span(36, 39), ()),
    "danq-jaspar": (Span(31, 34), ()),
    "deepsea": (Span(123, 125), (Span(29, 32), Span(22, 32))),
    "cnn-500": (Span(38, 42), (Span(14, 21), Span(4, 11))),
    "danq-500": (Span(17, 20), ()),
    "dilated": (Span(94, 100), (Span(45, 50), Span(43, 50), Span(39, 50), Span(31, 50), Span(15, 50))),
    "crnn": (Span(67, 72), (Span(28, 36),)),
}
SNV |= {f"{name}-500-projection": SNV[f"{name}-500"] for name in ("cnn", "danq")}
SNV |= {f"crnn-{size}": SNV["crnn"] for size in ("320", "320-projection", "700", "700-projection")}


@pytest.mark.parametrize("name", SHARING)
def test_reach_of_full_size_networks(name: str) -> None:
    """SNVs on either strand, substitutions of up to 16 bases and indels."""
    torch.manual_seed(0)
    config = find(name).configure()
    sizes = {"dense": 1, "hidden": 1, "filters": 64, "third_filters": 64, "channels": 16}
    arguments = {size: value for size, value in sizes.items() if hasattr(config, size)}
    net = build(name, n_tasks=1, **arguments).eval()
    length = net.window
    at = (length - 1) // 2
    snv = check_reach(net, Span(at, at + 1), rows=8)
    flipped = check_reach(net, Span(at + 1, at + 2), rows=8)
    if name in SNV:
        assert (snv.first, snv.maps) == SNV[name]
        assert len(flipped.first) <= 7
    for span in (Span(at, at + 16), Span(at - 14, at + 2), Span(at, length), Span(0, at + 2)):
        check_reach(net, span, rows=4)


@settings(max_examples=25)
@given(st.integers(1, 9), st.integers(0, 40), st.integers(1, 41), st.integers(0, 99))
def test_a_residual_block_widens_a_change_by_its_dilation(dilation: int, lo: int, size: int, seed: int) -> None:
    torch.manual_seed(seed)
    block, before = Residual(3, dilation).double(), torch.randn(1, 3, 42, dtype=torch.float64).repeat(8, 1, 1)
    span = Span(lo, min(lo + size, 42))
    after = before.clone()
    after[:, :, span.place] = torch.randn(8, 3, len(span), dtype=torch.float64)
    cells = touched(span, *extent(block), 42)
    reads = [c for c in range(42 - 2 * dilation) if any(span.lo <= c + k * dilation < span.hi for k in range(3))]
    assert changed_positions(block(before), block(after)) == set(reads)
    assert set(reads) <= set(range(cells.lo, cells.hi))
    if 2 * dilation <= span.lo and span.hi <= 42 - 2 * dilation:  # at the ends of a map some taps find nothing
        assert (cells.lo, cells.hi) == (reads[0], reads[-1] + 1)


def test_a_span_in_a_dropped_tail_touches_nothing() -> None:
    net = small("danq", window=30, width=4, pool=10)  # 27 positions: 7 are dropped
    assert reach(net, Span(22, 23)) == Reach(Span(22, 23), Span(1, 2), ())
    assert reach(net, Span(23, 30)) is None


def test_nothing_is_known_of_networks_with_other_layers() -> None:
    class Doubled(nn.Module):
        """A convolution with padding: it looks beyond a change."""

        def forward(self, x: Tensor) -> Tensor:
            return x + x.roll(1, 2)

    net = small("danq")
    parts = sections(net)
    assert parts is not None and parts.recurrent is net.layers[2] and parts.first is net.layers[0]
    for place in (1, 3):
        strange = small("danq")
        strange.layers[place] = Doubled()
        assert reach(strange, Span(89, 90)) is None
    later = small("danq")
    later.layers[6] = nn.Tanh()  # after the first dense layer anything may stand
    assert reach(later, Span(89, 90)) == reach(net, Span(89, 90))
    convolved = small("danq")
    convolved.layers[3] = ConvPool(8, 8, 1, 1, 0.0)  # behind the recurrent layer everything has changed
    assert reach(convolved, Span(89, 90)) is None
    assert reach(small("kmer"), Span(89, 90)) is None
    assert sections(small("kmer")) is None


def test_activations_and_dropout_reach_no_further() -> None:
    net, longer = small("crnn-320"), small("crnn-320")
    longer.layers.insert(2, Activation(0.1))
    assert reach(longer, Span(89, 90)) == reach(net, Span(89, 90))


def test_a_layer_that_computes_otherwise_than_its_kind_is_not_taken_for_it() -> None:
    class Wide(ConvPool):
        """Sees the cells beside its own as well."""

        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return y + y.roll(1, 2)

    net = small("crnn-320")
    place = next(i for i, layer in enumerate(net.layers) if type(layer) is ConvPool)
    own = net.layers[place]
    net.layers[place] = Wide(own.in_channels, own.out_channels, own.kernel_size[0], own.pool, 0.1)
    assert reach(small("crnn-320"), Span(89, 90)) is not None
    assert reach(net, Span(89, 90)) is None


def test_lists_in_a_list_are_its_layers() -> None:
    net, nested = small("danq"), small("danq")
    layers = list(nested.layers)
    nested.layers = nn.Sequential(layers[0], nn.Sequential(*layers[1:4]), nn.Sequential(nn.Sequential(*layers[4:])))
    assert reach(nested, Span(89, 90)) == reach(net, Span(89, 90)) is not None


def test_a_flattening_wants_its_dense_layer() -> None:
    net = small("danq")
    place = next(i for i, layer in enumerate(net.layers) if isinstance(layer, FlattenTime))
    net.layers = net.layers[: place + 1]
    assert sections(net) is None


def test_stride_is_how_far_cells_lie_apart() -> None:
    assert stride(build("danq", n_tasks=1, hidden=2, dense=2)) == 13
    assert stride(small("dilated")) == small("dilated").stride
    assert stride(small("kmer")) == 1
