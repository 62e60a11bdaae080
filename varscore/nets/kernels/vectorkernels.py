"""The innermost loop of the first layer in vectors: sums of table rows. Needs numba.

It is for compiled functions, which compile it into themselves. Nothing is checked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from varscore.nets.kernels.vectors import Variable, Vector, data_of, filled, kind, load, store

LANES = 32
"""Values of a table row: tables of so few columns fit into a core's own cache, and a row into registers"""

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

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
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


def _spread(builder: ir.IRBuilder, byte: ir.Value) -> ir.Value:
    """One byte in all places."""
    nothing, number = ir.Constant(kind(LANES, BYTE), ir.Undefined), ir.IntType(32)
    one = builder.insert_element(nothing, byte, ir.Constant(number, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(kind(LANES, number), None))


largest_sum: Any = intrinsic(_largest_sum)
