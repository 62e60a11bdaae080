"""tanh and the logistic function as fractions, for compiled loops.

tanh is a rational function (degree 9 over 8, fitted to relative error by least squares on [0, 9]); in float32 it is
within 4e-7 of the true value, about what float32 loses over a few operations, and unlike a call to the mathematical
library it vectorises.
"""

from __future__ import annotations

import numpy as np

from varscore.compiled import inlined

LIMIT = np.float32(9)
"""Beyond it tanh is 1 in float32"""

_P0, _P1, _P2 = np.float32(0.99999998), np.float32(0.133887344), np.float32(3.50473431e-3)
_P3, _P4 = np.float32(2.07591210e-5), np.float32(1.35614150e-8)
_Q1, _Q2 = np.float32(0.467220522), np.float32(2.59118026e-2)
_Q3, _Q4 = np.float32(3.30057364e-4), np.float32(7.86143798e-7)
_ONE, _HALF = np.float32(1), np.float32(0.5)


@inlined
def _fraction(x):  # type: ignore[no-untyped-def]  # numba infers float32
    """p, q with tanh(x) = p / q."""
    x = min(max(x, -LIMIT), LIMIT)
    u = x * x
    p = x * (_P0 + u * (_P1 + u * (_P2 + u * (_P3 + u * _P4))))
    return p, _ONE + u * (_Q1 + u * (_Q2 + u * (_Q3 + u * _Q4)))


@inlined
def tanh(x):  # type: ignore[no-untyped-def]
    p, q = _fraction(x)
    return p / q


@inlined
def sigmoid(x):  # type: ignore[no-untyped-def]
    p, q = _fraction(_HALF * x)
    return _HALF * (q + p) / q


@inlined
def sigmoid_tanh(x, y):  # type: ignore[no-untyped-def]
    """``sigmoid(x) * tanh(y)`` with one division, which is what costs most."""
    p, q = _fraction(_HALF * x)
    r, s = _fraction(y)
    return _HALF * (q + p) * r / (q * s)
