"""Vectors written out, for inner loops of which the compiler makes no good ones.

It knows neither that arrays do not overlap nor that there are always as many values, and what it does about that can
cost more than the arithmetic. A :class:`Vector` stands for values that a function under construction will have in
registers; formulas of ``+ * /`` mean the same for it as for numbers. Needs numba.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils


class Vector:
    """Float32 values. Products and sums may be fused, which rounds once instead of twice; otherwise they are IEEE."""

    __array_ufunc__ = None  # a number of numpy's leaves it to the vector what their sum is

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _values(self, other: Any) -> Any:
        """Those of another vector, or a number in all places."""
        if isinstance(other, Vector):
            return other.value
        return filled(self.value.type.count, float(other))

    def __add__(self, other: Any) -> Vector:
        return Vector(self.builder, self.builder.fadd(self.value, self._values(other), flags=("contract",)))

    def __mul__(self, other: Any) -> Vector:
        return Vector(self.builder, self.builder.fmul(self.value, self._values(other), flags=("contract",)))

    def __truediv__(self, other: Any) -> Vector:
        return Vector(self.builder, self.builder.fdiv(self.value, self._values(other)))

    __radd__, __rmul__ = __add__, __mul__

    def above(self, other: Any) -> Any:
        """Where it is larger, or no number."""
        return self.builder.fcmp_unordered(">", self.value, self._values(other))

    def where(self, mask: Any, other: Any) -> Vector:
        """It where the mask holds, and elsewhere the other."""
        return Vector(self.builder, self.builder.select(mask, self.value, self._values(other)))

    def cut(self, limit: float) -> Vector:
        """Nothing beyond ``limit`` in either direction."""
        high = Vector(self.builder, self._values(limit))
        low = Vector(self.builder, self._values(-limit))
        raised = self.where(self.above(low), low)
        return high.where(raised.builder.fcmp_ordered(">", raised.value, high.value), raised)


def kind(lanes: int, element: Any = ir.FloatType()) -> Any:  # noqa: B008  # types are values without a state
    """The type of so many elements together."""
    return ir.VectorType(element, lanes)


def filled(lanes: int, number: float) -> Any:
    """The same number in all places."""
    return ir.Constant(kind(lanes), [number] * lanes)


def load(builder: Any, lanes: int, data: Any, index: Any) -> Vector:
    """The values from ``data[index]`` on."""
    value = builder.load(builder.bitcast(builder.gep(data, [index]), kind(lanes).as_pointer()))
    value.align = 1  # they may lie anywhere
    return Vector(builder, value)


def store(builder: Any, value: Any, data: Any, index: Any) -> None:
    """Write values to ``data[index]`` and behind it."""
    builder.store(value, builder.bitcast(builder.gep(data, [index]), value.type.as_pointer())).align = 1


def fetch(builder: Any, data: Any, index: Any) -> None:
    """Have the memory around ``data[index]`` brought near: it will be read soon."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    prefetch = builder.module.declare_intrinsic(
        "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, *[number] * 3])
    )
    to_read, as_near_as_can_be, as_data = number(0), number(3), number(1)
    place = builder.bitcast(builder.gep(data, [index]), byte)
    builder.call(prefetch, [place, to_read, as_near_as_can_be, as_data])


def data_of(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Where an array of one axis begins."""
    return context.make_array(array_type)(context, builder, array).data


class Variable:
    """Values that change while a loop runs."""

    def __init__(self, builder: Any, start: Any) -> None:
        self._builder, self._place = builder, cgutils.alloca_once(builder, start.type)  # type: ignore[no-untyped-call]
        self.set(start)

    def get(self) -> Any:
        return self._builder.load(self._place)

    def set(self, to: Any) -> None:
        self._builder.store(to, self._place)
