"""Products with one matrix, again and again, against numpy in double precision."""

import numpy as np
import pytest
import torch

from varscore.engine.exact import product
from varscore.engine.exact.product import Product, padded


@pytest.mark.parametrize(("inputs", "outputs"), [(96, 1200), (7, 5), (512, 2048)])
@pytest.mark.parametrize("mkl", [True, False])
def test_the_product_is_that_of_double_precision_for_any_number_of_rows(
    inputs: int, outputs: int, mkl: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not mkl:
        monkeypatch.setattr(product, "_mkl_packs", lambda: False)
    torch.manual_seed(0)
    weight = torch.randn(outputs, inputs)
    times = Product(weight)
    for rows in (128, 16, 128):
        x, out = torch.randn(rows, inputs), torch.full((rows, outputs), torch.nan)
        found = times(x, out)
        expected = x.double().numpy() @ weight.double().numpy().T
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-3 * np.sqrt(inputs) / 16)
        assert found.data_ptr() == out.data_ptr()


def test_the_same_rows_give_the_same_bits_in_any_place_of_a_tile() -> None:
    times = Product(torch.randn(2048, 512))
    x, order = torch.randn(128, 512), torch.randperm(128)
    found, again = times(x, torch.empty(128, 2048)), times(x[order], torch.empty(128, 2048))
    assert torch.equal(found[order], again)


@pytest.mark.parametrize("columns", [1, 16, 17, 925, 2048])
def test_rows_begin_an_odd_number_of_cache_lines_apart(columns: int) -> None:
    matrix = torch.randn(3, 4, columns)
    copy = padded(matrix)
    assert torch.equal(copy, matrix)
    assert copy.stride(1) % 32 == 16
    assert copy.stride(1) >= columns
