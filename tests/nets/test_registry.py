"""Every registered architecture, and the registry itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from published_counts import ROWS
from small_nets import SIZES, also, random_codes, small
from torch import nn

from varscore.errors import UsageError
from varscore.nets import architectures, build, find
from varscore.nets.layers import Activation, Projection, SequenceConv, SequenceNet, one_hot
from varscore.nets.registry import Recipe, register

NAMES = list(architectures())


@pytest.fixture(params=NAMES)
def net(request: pytest.FixtureRequest) -> SequenceNet:
    return small(request.param)


def test_one_logit_a_task(net: SequenceNet) -> None:
    assert net.n_tasks == SIZES["n_tasks"] and net.window == SIZES["window"]
    logits = net(random_codes(3, net.window), **also(net, 3))
    assert logits.shape == (3, net.n_outputs) and net.n_outputs == net.n_tasks * net.goal.per_task
    assert logits.dtype == torch.float32


def test_codes_and_one_hot_are_the_same_input(net: SequenceNet) -> None:
    net.eval()
    with torch.no_grad():
        net.output.weight.normal_()  # some begin at 0
    codes = random_codes(4, net.window)
    more = also(net, 4)
    difference = (net(codes, **more) - net(one_hot(codes), **more)).abs().max()
    assert difference < 1e-5


def test_every_input_base_matters(net: SequenceNet) -> None:
    net.eval()
    with torch.no_grad():
        net.output.weight.normal_()
    codes = random_codes(2, net.window, unknown=0)
    more = also(net, 2)
    assert not torch.equal(net(codes, **more), net(3 - codes, **more))


def test_the_gradient_reaches_every_parameter(net: SequenceNet) -> None:
    net.train()
    with torch.no_grad():
        net.output.weight.normal_()
    net(random_codes(8, net.window), **also(net, 8)).square().sum().backward()
    unreached = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unreached


def test_a_window_does_not_see_its_batch_mates(net: SequenceNet) -> None:
    net.eval()
    codes = random_codes(6, net.window)
    more = also(net, 6)
    alone = torch.cat([net(codes[i : i + 1], **{k: x[i : i + 1] for k, x in more.items()}) for i in range(6)])
    assert (net(codes, **more) - alone).abs().max() < 1e-5


def test_the_same_seed_gives_the_same_weights() -> None:
    for name in NAMES:
        one, two, other = small(name).state_dict(), small(name).state_dict(), small(name, seed=1).state_dict()
        assert all(torch.equal(one[key], two[key]) for key in one), name
        if not name.startswith("kmer"):  # begins at 0
            assert not all(torch.equal(one[key], other[key]) for key in one), name


@pytest.mark.parametrize(("name", "arguments", "keras", "both"), ROWS)
def test_parameter_counts_are_the_papers(name: str, arguments: dict[str, int], keras: int, both: int) -> None:
    with torch.device("meta"):  # no memory, no initialisation
        net = build(name, n_tasks=919, **arguments)
    assert net.counts() == (keras, both)
    assert sum(p.numel() for p in net.parameters()) == both


CHROMATIN = [name for name in NAMES if find(name).configure().n_tasks == 919]


def test_every_chromatin_network_has_a_published_count() -> None:
    assert {name for name, *_ in ROWS} == set(CHROMATIN)


# MODELS.md: what each layer leaves of the window
MAPS = {
    "deepsea": [(320, 248), (480, 60), (960, 53), (50_880,), (925,), (919,)],
    "danq-jaspar": [(1024, 64), (1024, 64), (65_536,), (925,), (919,)],
    "cnn-500": [(320, 80), (128, 35), (256, 14), (3584,), (2048,), (919,)],
    "cnn-500-projection": [(320, 80), (64, 80), (128, 35), (256, 14), (3584,), (2048,), (919,)],
    "dilated": [(320, 194), (128, 194), (128, 95), (128, 93), (128, 89), (128, 81), (128, 65), (256,), (512,), (919,)],
    "danq-500": [(320, 36), (200, 36), (7200,), (925,), (919,)],
    "danq-500-projection": [(320, 36), (64, 36), (200, 36), (7200,), (925,), (919,)],
}


@pytest.mark.parametrize("name", MAPS)
def test_feature_maps_are_the_papers(name: str) -> None:
    with torch.device("meta"):
        net, x = build(name, n_tasks=919), torch.zeros(1, 4, find(name).window(1000))
        shapes = []
        for layer in net.eval().layers:
            x = layer(x)
            if not isinstance(layer, (nn.Dropout, nn.Dropout1d, Activation)):
                shapes.append(tuple(x.shape[1:]))
    assert shapes == MAPS[name]


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("deepsea", [0.2, 0.2, 0.5]),
        ("danq-jaspar", [0.2, 0.5]),
        ("cnn-500", [0.2, 0.5]),
        ("cnn-500-projection", [0.2, 0.5]),
        ("danq-500", [0.2, 0.5]),
    ],
)
def test_dropouts_are_the_papers(name: str, rates: list[float]) -> None:
    with torch.device("meta"):
        layers = list(build(name).layers)
    assert [layer.p for layer in layers if isinstance(layer, nn.Dropout)] == rates
    first = next(i for i, layer in enumerate(layers) if isinstance(layer, nn.Dropout))
    before = Projection if name.endswith("projection") else SequenceConv
    assert isinstance(layers[first - 1], before)


def test_slopes_are_the_papers() -> None:
    for name in sorted({*CHROMATIN} - {"dilated"}):
        slope = 0.3 if "crnn" in name or "500" in name else 0.0
        found = {module.slope for module in small(name).modules() if isinstance(module, Activation)}
        assert found <= {slope}, name


def test_deepsea_trains_as_its_paper_says_at_a_rate_for_the_mean_loss() -> None:
    recipe = find("deepsea").recipe
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 1e-6)
    assert (recipe.max_norm, recipe.output_l1) == (0.9, 1e-8)
    assert recipe.lr == pytest.approx(1e-6 * 919 * recipe.batch_size, rel=0.05)


def test_a_network_of_500_bp_reads_the_middle_of_more_and_others_all_of_it() -> None:
    assert find("cnn-500").window(1000) == find("danq-500-projection").window(501) == 500
    assert find("cnn-500").window(300) == 300
    assert find("danq").window(1000) == 1000 and find("danq").window(2000) == 2000


def test_lists_are_sorted_and_recipes_are_known() -> None:
    assert sorted(NAMES) == NAMES
    for name, architecture in architectures().items():
        assert architecture.name == name and architecture.summary
        assert architecture.recipe.optimizer in ("adam", "adamw", "rmsprop", "sgd")
        assert architecture.recipe.schedule in ("plateau", "cosine", "constant")


def test_a_preset_gives_way_to_an_argument() -> None:
    assert find("crnn-700").configure().filters == 700
    assert find("crnn-700").configure(filters=10).filters == 10
    assert find("crnn-700").configure().projection == 0


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(UsageError, match=r"no architecture 'crnn320'; did you mean .*crnn-320"):
        find("crnn320")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filter": 3}, "has no argument 'filter'; did you mean filters"),
        ({"filters": "3"}, "filters = '3' is no int"),
        ({"filters": True}, "filters = True is no int"),
        ({"filters": 3.0}, "filters = 3.0 is no int"),
        ({"filters": -3}, "filters = -3 is no int of 0 or more"),
        ({"dropout": "much"}, "dropout = 'much' is no float"),
        ({"dropout": 1.5}, "dropout = 1.5 is no share"),
        ({"recurrent_dropout": 3}, "recurrent_dropout = 3 is no share"),
        ({"filters": 0}, "cannot be built with these arguments"),
        ({"dilations": [1], "filters": 0}, "cannot be built with these arguments; nothing is left of layers.0.weight"),
        ({"hidden": 0}, "cannot be built with these arguments; hidden_size"),
        ({"window": 20}, "20 positions are too few"),
        ({"window": 100}, "10 positions are too few"),
        ({"pool": 0}, "cannot be built"),
        ({"dilations": 3}, "dilations = 3 is no tuple of ints of 0 or more"),
        ({"dilations": [1, -2]}, "dilations = .1, -2. is no tuple of ints of 0 or more"),
        ({"dilations": (1, True)}, "dilations = .1, True. is no tuple"),
        ({"dilations": ("1",)}, "dilations = .'1',. is no tuple"),
        ({"dilations": [0]}, "cannot be built"),
        ({"dilations": [1, 50]}, "1000 bp are too few for dilations of 51 in all"),
    ],
)
def test_wrong_arguments_are_usage_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        build("dilated" if "dilations" in arguments else "crnn-320-projection", **arguments)
    assert "\n" not in str(caught.value)


def test_an_int_will_do_for_a_float() -> None:
    assert find("crnn-320").configure(dropout=0).dropout == 0


def test_a_name_cannot_be_registered_twice() -> None:
    with pytest.raises(ValueError, match="registered twice"):
        register("danq", object, Recipe(), "")(nn.Module)


def test_recipes_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        find("danq").recipe.lr = 1.0  # type: ignore[misc]
