"""Vectors written out, for inner loops of which the compiler makes no good ones.

It knows neither that arrays do not overlap nor that there are always as many values, and what it does about that can
cost more than the arithmetic. A :class:`Vector` stands for values that a function under construction will have in
registers. Needs numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba.core import cgutils

if TYPE_CHECKING:
    from numba.core import types


class Vector:
    """Float32 values."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: Vector) -> Vector:
        return Vector(self.builder, self.builder.fadd(self.value, other.value, flags=("contract",)))

    def above(self, other: Vector) -> ir.Value:
        """Where it is larger, or no number."""
        return self.builder.fcmp_unordered(">", self.value, other.value)

    def where(self, mask: ir.Value, other: Vector) -> Vector:
        """It where the mask holds, and elsewhere the other."""
        return Vector(self.builder, self.builder.select(mask, self.value, other.value))


def kind(lanes: int, element: ir.Type = ir.FloatType()) -> ir.VectorType:  # noqa: B008  # types are values without a state
    """The type of so many elements together."""
    return ir.VectorType(element, lanes)


def filled(lanes: int, number: float) -> ir.Constant:
    """The same number in all places."""
    return ir.Constant(kind(lanes), [number] * lanes)


def load(builder: ir.IRBuilder, lanes: int, data: ir.Value, index: ir.Value) -> Vector:
    """The values from ``data[index]`` on."""
    value = builder.load(builder.bitcast(builder.gep(data, [index]), kind(lanes).as_pointer()))
    value.align = 1  # they may lie anywhere
    return Vector(builder, value)


def store(builder: ir.IRBuilder, value: ir.Value, data: ir.Value, index: ir.Value) -> None:
    """Write values to ``data[index]`` and behind it."""
    builder.store(value, builder.bitcast(builder.gep(data, [index]), value.type.as_pointer())).align = 1


def data_of(context: Any, builder: ir.IRBuilder, array_type: types.Array, array: ir.Value) -> ir.Value:
    """Where an array of one axis begins."""
    return context.make_array(array_type)(context, builder, array).data


class Variable:
    """Values that change while a loop runs."""

    def __init__(self, builder: ir.IRBuilder, start: ir.Value) -> None:
        self._builder, self._place = builder, cgutils.alloca_once(builder, start.type)  # type: ignore[no-untyped-call]
        self.set(start)

    def get(self) -> ir.Value:
        return self._builder.load(self._place)

    def set(self, to: ir.Value) -> None:
        self._builder.store(to, self._place)
