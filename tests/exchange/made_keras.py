"""A weight file as Keras 0.2 wrote it for DanQ, and what Keras 0.2 on Theano predicts with it: plain loops in NumPy."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

FILTERS, WIDTH, POOL, UNITS, DENSE, TASKS, WINDOW = 7, 6, 5, 4, 9, 3, 64
STEPS = (WINDOW - WIDTH + 1) // POOL  # 11, and four positions are dropped
GATES = ("i", "c", "f", "o")
Layers = list[list[np.ndarray]]


def made_layers(seed: int = 0) -> Layers:
    """The arrays of each layer in the order of ``Sequential.layers``: most layers have none."""
    random = np.random.default_rng(seed)

    def draw(*shape: int, scale: float = 1.0) -> np.ndarray:
        return random.normal(0, scale, shape)

    def lstm() -> list[np.ndarray]:
        return [array for _ in GATES for array in (draw(FILTERS, UNITS), draw(UNITS, UNITS), draw(UNITS))]

    convolution = [draw(FILTERS, 4, WIDTH, 1, scale=0.5), draw(FILTERS, scale=0.3)]
    dense = [draw(STEPS * 2 * UNITS, DENSE, scale=0.3), draw(DENSE)]
    output = [draw(DENSE, TASKS), draw(TASKS)]
    return [convolution, [], [], lstm() + lstm(), [], [], dense, [], output, []]


def save_weights(path: Path, layers: Layers) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["nb_layers"] = len(layers)
        for number, arrays in enumerate(layers):
            group = file.create_group(f"layer_{number}")
            group.attrs["nb_params"] = len(arrays)
            for index, array in enumerate(arrays):
                group.create_dataset(f"param_{index}", data=array, dtype="float64")
    return path


def made_sequences(count: int, seed: int = 1) -> np.ndarray:
    """One-hot, channels A, G, C, T, (n, 4, window); some bases are unknown."""
    letters = np.random.default_rng(seed).integers(0, 4, (count, WINDOW))
    hot = np.eye(4)[letters].transpose(0, 2, 1)
    hot[0, :, 10:14] = 0
    return hot


def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(0.2 * x + 0.5, 0, 1)


def keras_lstm(steps: np.ndarray, arrays: list[np.ndarray]) -> np.ndarray:
    """(T, inputs) to the states in the order in which they are computed, (T, units)."""
    (wi, ui, bi), (wc, uc, bc), (wf, uf, bf), (wo, uo, bo) = (arrays[i : i + 3] for i in (0, 3, 6, 9))
    hidden = cell = np.zeros(UNITS)
    states = []
    for x in steps:
        i, f = hard_sigmoid(x @ wi + bi + hidden @ ui), hard_sigmoid(x @ wf + bf + hidden @ uf)
        cell = f * cell + i * np.tanh(x @ wc + bc + hidden @ uc)
        hidden = hard_sigmoid(x @ wo + bo + hidden @ uo) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


def keras_predict(sequence: np.ndarray, layers: Layers, backward: str) -> np.ndarray:
    """Probabilities (tasks,) of one sequence, (4, window) in the order A, G, C, T."""
    (kernels, bias), lstm, (w1, b1), (w2, b2) = layers[0], layers[3], layers[6], layers[8]
    positions = WINDOW - WIDTH + 1
    mapped = np.zeros((positions, FILTERS))
    for at in range(positions):
        for k in range(WIDTH):  # a convolution in the sense of mathematics: the kernel runs against the sequence
            mapped[at] += kernels[:, :, k, 0] @ sequence[:, at + WIDTH - 1 - k]
    mapped = np.maximum(mapped + bias, 0)
    pooled = np.array([mapped[POOL * t : POOL * t + POOL].max(0) for t in range(STEPS)])
    pooled = pooled * (1 - 0.2)
    forward = keras_lstm(pooled, lstm[:12])
    if backward == "forward":
        other = keras_lstm(pooled, lstm[12:])
    else:
        other = keras_lstm(pooled[::-1], lstm[12:])
        other = other[::-1] if backward == "aligned" else other
    states = np.concatenate([forward, other], 1) * (1 - 0.5)
    hidden = np.maximum(states.reshape(-1) @ w1 + b1, 0)
    return 1 / (1 + np.exp(-(hidden @ w2 + b2)))
