"""The two innermost loops of inference in vectors: sums of table rows, and the cells of an LSTM. Needs numba.

Both are for compiled functions, which compile them into themselves. Nothing is checked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from varscore.nets.kernels.rational import LIMIT, formulas
from varscore.nets.kernels.vectors import Variable, Vector, data_of, fetch, filled, kind, load, store

LANES = 32
"""Values of a table row: tables of so few columns fit into a core's own cache, and a row into registers"""

CELLS = 16
"""Cells of an LSTM at a time: few enough for what each one needs to stay in registers"""

_, sigmoid, sigmoid_tanh = formulas(lambda x: x.cut(LIMIT), lambda formula: formula)

WORD, BYTE = ir.IntType(64), ir.IntType(8)


def _largest_sum(
    typing: Any, table: Any, places: Any, first: Any, positions: Any, steps: Any, stride: Any, peak: Any, at: Any
) -> Any:
    """``peak[f]`` = the largest, over positions p, sum of ``table[places[first + p + 3 s] + s * stride + f]`` over s.

    For ``LANES`` values of f. There are ``positions`` of p, and ``steps`` of s, which are added in their order. Arrays
    have one axis: table and peak float32, places uint32, at uint8, the first p to reach the maximum, not written if
    None.
    """
    signature = types.void(table, places, *[types.int64] * 4, peak, at)
    marks = not isinstance(at, types.NoneType)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, begin, out = (data_of(context, builder, signature.args[i], arguments[i]) for i in (0, 1, 6))
        first, positions, steps, stride = arguments[2:6]
        total = Variable(builder, filled(LANES, 0))
        best = Variable(builder, filled(LANES, float("-inf")))
        mark = Variable(builder, ir.Constant(kind(LANES, BYTE), [0] * LANES))
        with cgutils.for_range(builder, positions) as position:
            total.set(filled(LANES, 0))
            here = builder.add(first, position.index)
            with cgutils.for_range(builder, steps) as step:
                place = builder.add(here, builder.mul(step.index, ir.Constant(WORD, 3)))
                row = builder.zext(builder.load(builder.gep(begin, [place])), WORD)
                row = builder.add(row, builder.mul(step.index, stride))
                total.set((Vector(builder, total.get()) + load(builder, LANES, values, row)).value)
            now, before = Vector(builder, total.get()), Vector(builder, best.get())
            higher = now.above(before)
            best.set(now.where(higher, before).value)
            if marks:
                offset = builder.trunc(position.index, BYTE)
                mark.set(builder.select(higher, _spread(builder, offset), mark.get()))
        zero = ir.Constant(WORD, 0)
        store(builder, best.get(), out, zero)
        if marks:
            store(builder, mark.get(), data_of(context, builder, signature.args[7], arguments[7]), zero)
        return context.get_dummy_value()

    return signature, generate


def _spread(builder: Any, byte: Any) -> Any:
    """One byte in all places."""
    nothing, number = ir.Constant(kind(LANES, BYTE), ir.Undefined), ir.IntType(32)
    one = builder.insert_element(nothing, byte, ir.Constant(number, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(kind(LANES, number), None))


def _lstm_cells(
    typing: Any, gates: Any, given: Any, bias: Any, cell: Any, hidden: Any, following: Any, width: Any
) -> Any:
    """A step of one row's cells, at least ``CELLS`` of them. Float32 arrays of one axis.

    gates, given, bias: (4 H,), to be added, for input, forget, candidate and output gate; cell: (H,), updated; hidden:
    (H,), written. following: (4 H,), what the row after this one is given: it lies anywhere, and waiting for it would
    take two thirds as long as the arithmetic.
    """
    signature = types.void(gates, given, bias, cell, hidden, following, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = [data_of(context, builder, *each) for each in zip(signature.args[:6], arguments[:6], strict=True)]
        sums, (memory, out, soon), width = arrays[:3], arrays[3:], arguments[6]

        def step(at: Any) -> tuple[Vector, Vector]:
            """The new cell and hidden states from ``at`` on."""
            added = []
            for gate in range(4):
                here = builder.add(at, builder.mul(width, ir.Constant(WORD, gate)))
                own, more, constant = (load(builder, CELLS, each, here) for each in sums)
                fetch(builder, soon, here)
                added.append(own + (more + constant))
            inward, kept, candidate, outward = added
            state = sigmoid(kept) * load(builder, CELLS, memory, at) + sigmoid_tanh(inward, candidate)
            return state, sigmoid_tanh(outward, state)

        # what is left over is computed together with cells before it, from their states of before
        last = builder.sub(width, ir.Constant(WORD, CELLS))
        rest = [Variable(builder, filled(CELLS, 0)) for _ in range(2)]
        some = builder.icmp_signed("!=", builder.srem(width, ir.Constant(WORD, CELLS)), ir.Constant(WORD, 0))
        with builder.if_then(some):
            for variable, values in zip(rest, step(last), strict=True):
                variable.set(values.value)
        with cgutils.for_range(builder, builder.sdiv(width, ir.Constant(WORD, CELLS))) as loop:
            at = builder.mul(loop.index, ir.Constant(WORD, CELLS))
            for array, values in zip((memory, out), step(at), strict=True):
                store(builder, values.value, array, at)
        with builder.if_then(some):
            for array, variable in zip((memory, out), rest, strict=True):
                store(builder, variable.get(), array, last)
        return context.get_dummy_value()

    return signature, generate


largest_sum: Any = intrinsic(_largest_sum)
lstm_cells: Any = intrinsic(_lstm_cells)
