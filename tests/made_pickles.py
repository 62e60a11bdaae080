"""Pickles as they were made long ago."""

from __future__ import annotations

import numpy as np


def python_2_pickle(attributes: dict[str, np.ndarray]) -> bytes:
    """As scikit-learn of 2015 pickled a scaler under Python 2, protocol 0: strings for bytes, names of then."""
    text = b"ccopy_reg\n_reconstructor\np0\n(csklearn.preprocessing.data\nStandardScaler\np1\n"
    text += b"c__builtin__\nobject\np2\nNtp3\nRp4\n(dp5\n"
    for name, values in attributes.items():
        data = repr(values.astype("<f8").tobytes())[1:].encode("ascii")
        text += (
            (
                f"S'{name}'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I{len(values)}\nt"
                "cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS"
            ).encode()
            + data
            + b"\ntbs"
        )
    return text + b"S'copy'\nI01\nsb."
