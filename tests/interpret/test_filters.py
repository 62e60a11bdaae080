"""Filters as matrices against loops over sequences and placements; a planted motif; columns of a projection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_nets import random_codes, small

from varscore.errors import DataError, UsageError
from varscore.interpret.filters import Filter, activations, filters, first_layer, information
from varscore.interpret.motifs import MotifOptions, read_families, read_sequences
from varscore.interpret.projection import principal_components, projection_columns, strand_pairs
from varscore.nets.layers import SequenceNet

CPU = torch.device("cpu")


def slow_filter(net: SequenceNet, codes: np.ndarray, index: int, threshold: float) -> tuple[np.ndarray, float]:
    """Counts and the largest value of a filter, one placement at a time."""
    layer = first_layer(net)
    weight, bias = layer.weight.detach().numpy()[index], float(layer.bias.detach()[index])  # type: ignore[index]
    width, sites = weight.shape[1], []
    for row in codes.tolist():
        best, where = -np.inf, None
        for at in range(len(row) - width + 1):
            site = row[at : at + width]
            if 4 in site:
                continue
            value = bias + sum(float(weight[base, place]) for place, base in enumerate(site))
            if value > best + 1e-6:
                best, where = value, site
        sites.append((best, where))
    largest = max(value for value, _ in sites)
    counts = np.zeros((width, 4), np.int64)
    for value, site in sites:
        if value > 0 and value > threshold * largest:
            for place, base in enumerate(site):
                counts[place, base] += 1
    return counts, largest


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_counts_are_those_of_a_loop(threshold: float) -> None:
    net, codes = small("danq"), random_codes(12, 60, unknown=0.02).numpy()
    made = filters(codes, activations(net, codes, CPU), first_layer(net).kernel_size[0], threshold)
    for one in made:
        counts, largest = slow_filter(net, codes, one.index, threshold)
        assert (one.counts == counts).all()
        assert one.largest == pytest.approx(largest, abs=1e-5)
        assert one.sites == counts[0].sum()


def test_a_planted_motif_comes_back_with_its_columns_in_order() -> None:
    """GATAA in A, C, G, T: correlation .9 and more with what the filter was made of."""
    net = small("danq")
    layer = first_layer(net)
    width = layer.kernel_size[0]
    wanted = np.full((width, 4), 0.25)
    wanted[4:9] = 0.02
    wanted[range(4, 9), ["ACGT".index(base) for base in "GATAA"]] = 0.94
    with torch.no_grad():
        layer.weight[2] = torch.from_numpy((wanted - 0.25).T)
        layer.bias[2] = -1.0  # type: ignore[index]
    codes = random_codes(400, 120, unknown=0).numpy()
    made = filters(codes, activations(net, codes, CPU), width, 0.5)[2]
    assert made.sites > 50
    assert np.corrcoef(made.frequencies.reshape(-1), wanted.reshape(-1))[0, 1] > 0.9
    assert made.consensus[4:9] == "GATAA"
    motif = made.motif(trim=0.5)
    assert motif is not None and len(motif.frequencies) == 5


def test_filters_of_the_bundled_size_are_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    net, codes = small("danq"), random_codes(10, 70).numpy()
    whole = activations(net, codes, CPU)
    monkeypatch.setattr("varscore.interpret.filters.MAP", 1)
    seen: list[int] = []
    pieces = activations(net, codes, CPU, seen.append)
    assert pieces.largest == pytest.approx(whole.largest, abs=1e-6)
    assert (whole.place == pieces.place).mean() > 0.9  # what is equal but for rounding may change places
    assert seen == [1] * 10


@pytest.mark.parametrize("name", ["attentionnet", "kmer"])
def test_networks_without_filters_say_so(name: str) -> None:
    with pytest.raises(UsageError, match="no first layer of motif filters"):
        activations(small(name), random_codes(2, 180).numpy(), CPU)


def test_information_and_trimming() -> None:
    assert information(np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4])).tolist() == [2, 1, 0]
    counts = np.array([[5, 5, 5, 5], [20, 0, 0, 0], [0, 20, 0, 0], [5, 5, 5, 5], [0, 0, 20, 0], [0, 0, 0, 20]])
    one = Filter(3, counts, 1.0, 0.5)
    motif = one.motif(0.25)
    assert motif is not None and (motif.id, len(motif.frequencies), motif.sites) == ("filter003", 5, 20)
    assert one.frequencies[1].tolist() == [20.25 / 21, *[0.25 / 21] * 3]
    assert Filter(0, counts[:4], 1.0, 0.5).motif(0.25) is None  # two columns are left


def test_a_fasta_gives_its_first_records(tmp_path: Path) -> None:
    path = tmp_path / "s.fa"
    path.write_text(">a\nACGTACGT\n>b\nAC\n>c\nTTTT\n")
    assert read_sequences(path, 4, MotifOptions(sequences=2)).tolist() == [[2, 3, 0, 1], [4, 0, 1, 4]]


def test_families(tmp_path: Path) -> None:
    path = tmp_path / "f.tsv"
    path.write_text("# id\tfamily\nMA1\tGATA\n")
    assert read_families(path) == {"MA1": "GATA"}
    path.write_text("MA1\n")
    with pytest.raises(DataError, match="'MA1' has no family"):
        read_families(path)


# -- the projection --------------------------------------------------------------------------------------------------


def test_a_column_of_the_projection_for_each_filter() -> None:
    net = small("crnn-320-projection")
    columns = projection_columns(net)
    assert columns is not None
    weights = {tuple(parameter.shape): parameter for parameter in net.parameters()}
    assert (columns == weights[columns.T.shape].detach().double().numpy().T).all()
    assert projection_columns(small("danq")) is None


def test_principal_components_are_those_of_the_covariance() -> None:
    dice = np.random.default_rng(0)
    columns = dice.normal(size=(20, 6)) * np.arange(1, 7)
    places, shares = principal_components(columns)
    values, vectors = np.linalg.eigh(np.cov(columns.T))
    assert shares == pytest.approx(values[::-1][:2] / values.sum())
    for axis in range(2):
        vector = vectors[:, ::-1][:, axis]
        vector = vector * np.sign(vector[np.abs(vector).argmax()])
        assert places[:, axis] == pytest.approx((columns - columns.mean(0)) @ vector)


def test_pairs_of_opposite_strands_are_counted_and_compared() -> None:
    dice = np.random.default_rng(1)
    motif = np.repeat(np.arange(8), 2)
    turned = np.tile([False, True], 8)
    base = dice.normal(size=(8, 10))
    alike = base[motif] + 0.3 * dice.normal(size=(16, 10))
    pairs = strand_pairs(alike, motif, turned)
    assert (pairs.opposite, pairs.same, pairs.other) == (8, 0, 16 * 15 // 2 - 8)
    expected = [
        np.dot(alike[i], alike[i + 1]) / np.linalg.norm(alike[i]) / np.linalg.norm(alike[i + 1])
        for i in range(0, 16, 2)
    ]
    assert pairs.opposite_cosine == pytest.approx(np.mean(expected))
    assert pairs.opposite_cosine > 0.8 > pairs.other_cosine + 0.5
    assert pairs.p == pytest.approx(1 / 1001)
    random = strand_pairs(dice.normal(size=(16, 10)), motif, turned)
    assert random.p > 0.01
    assert np.isnan(strand_pairs(alike, np.arange(16), turned).p)
