"""What ``annotate`` adds: significance, probabilities and E-values, each worked out another way."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xgboost
from made_model import GOOD, TASKS, make_model, variants_at

from varscore.errors import ModelError, UsageError
from varscore.formats.bigwig import BigWig
from varscore.functional.background import BackgroundJob
from varscore.functional.flow import SnpJob
from varscore.functional.selection import Sources
from varscore.functional.trees import Settings, fit
from varscore.scoring.annotations import OF_BACKGROUND, Annotations
from varscore.scoring.classifier import save_classifier
from varscore.scoring.effects import Effects
from varscore.scoring.evalue import BACKGROUND, BackgroundBuilder, save_background
from varscore.scoring.features import raw_features
from varscore.zoo.models import ModelFolder, save_model
from varscore.zoo.shelf import CLASSIFIERS

pybigtools = pytest.importorskip("pybigtools")
N = 400


@pytest.fixture
def track(tmp_path: Path) -> Path:
    writer = pybigtools.open(str(tmp_path / "cons.bw"), "w")
    writer.write({"chr1": 1000}, iter([("chr1", 0, 20, 3.0), ("chr1", 20, 40, -1.0)]))
    return tmp_path / "cons.bw"


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    """With a background over conservation, the classifier ``plain``, and ``wide``, which wants conservation."""
    model = make_model(tmp_path / "models" / "owner")
    random = np.random.default_rng(0)
    builder = BackgroundBuilder(4)
    builder.add(background_values())
    made = builder.finish(model.sha256, ["cons"], {"model": "owner", "sources": [{"name": "my common.vcf"}]})
    save_background(str(model.path / BACKGROUND), made)
    for name, names in (("plain", ()), ("wide", ("cons",))):
        raw = random.normal(size=(80, 6 + len(names))).astype(np.float32)
        facts = {
            "features": {"tasks": 3, "conservation": list(names)},
            "model": {"id": model.id, "sha256": model.sha256},
            "on_by_default": True,
            "metrics": GOOD,
        }
        trees = fit(raw, np.abs(raw[:, -1]) + np.abs(raw[:, 0]) > 1.3, names, Settings(trees=9))
        save_classifier(model.path / CLASSIFIERS / name, trees, facts)
    return model


def background_values() -> np.ndarray:
    random = np.random.default_rng(1)
    return np.concatenate([random.lognormal(-3, 1, (N, 3)), random.normal(size=(N, 1))], 1).astype(np.float32)


def effects(rows: int) -> Effects:
    return Effects(*np.random.default_rng(2).normal(0, 0.3, (4, rows, 3)).astype(np.float32))


ALLELES = variants_at([0, 0, 0, 2], [5, 25, 500, 7]).alleles
ROWS = np.array([0, 1, 3])


def slow_significance(found: Effects, conservation: list[float] | None) -> list[float]:
    values, background = np.abs(found.diff * found.logodds), background_values()
    result = []
    for row in range(len(found)):
        evalues = [max(np.mean(background[:, t] > values[row, t]), 1 / (N + 1)) for t in range(3)]
        significance = float(np.prod(evalues)) ** (1 / 3)
        if conservation is not None:
            share = 1.0 if np.isnan(conservation[row]) else np.mean(background[:, 3] > conservation[row])
            significance *= max(share, 1 / (N + 1))
        result.append(significance)
    return result


def test_everything_is_computed_as_by_hand(model: ModelFolder, track: Path) -> None:
    opened = Annotations.open(model, tracks={"cons": track})
    assert opened.columns == (*OF_BACKGROUND, "p_plain", "p_wide")
    found = effects(3)
    extra = opened.compute(found, ALLELES, ROWS)
    assert list(extra.columns) == list(opened.columns)
    scores = [3.0, -1.0, np.nan]
    np.testing.assert_allclose(extra.columns["sig"], slow_significance(found, scores), rtol=1e-5)
    values, background = np.abs(found.diff * found.logodds), background_values()
    counted = (background[None, :, :3] > values[:, None]).mean(1)
    assert extra.evalues is not None and extra.evalues.dtype == np.float32
    np.testing.assert_allclose(extra.evalues, np.maximum(counted, 1 / (N + 1)), rtol=1e-6)
    for name, block in (("plain", ()), ("wide", (scores,))):
        _, ensemble = next(pair for pair in opened.classifiers if pair[0].id == name)
        raw = np.concatenate([found.logodds, found.diff, *(np.array(s)[:, None] for s in block)], 1)
        prepared = ensemble.preparation.apply(raw.astype(np.float32))
        booster = xgboost.Booster(model_file=str(model.path / CLASSIFIERS / name / "classifier.json"))
        np.testing.assert_allclose(extra.columns[f"p_{name}"], booster.predict(xgboost.DMatrix(prepared)), rtol=1e-6)


def test_without_conservation_significance_is_the_tasks_alone_and_the_header_says_so(
    model: ModelFolder, track: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = Annotations.open(model)
    assert opened.columns == (*OF_BACKGROUND, "p_plain")  # the other one wants a track
    found = effects(3)
    extra = opened.compute(found, ALLELES, ROWS)
    np.testing.assert_allclose(extra.columns["sig"], slow_significance(found, None), rtol=1e-5)
    assert "change nothing" not in caplog.text
    assert Annotations.open(model, ["plain"], tracks={"Cons": track}).columns == (*OF_BACKGROUND, "p_plain")
    assert "change nothing: Cons; the background takes all of cons or none" in caplog.text
    notes = dict(opened.notes)
    assert "CONSERVATION=none" in notes["Background"] and f"N={N}," in notes["Background"]
    assert "SOURCES=my_common.vcf" in notes["Background"]
    assert notes["Classifier"].startswith("<ID=plain,SHA256=")


def test_deepsea_s_floor_is_an_option_that_the_command_tells(model: ModelFolder) -> None:
    opened = Annotations.open(model, [], deepsea_floor=True)
    assert opened.columns == OF_BACKGROUND and opened.command == ("--deepsea-floor",)
    huge = Effects(*np.full((4, 1, 3), 100, np.float32))
    assert opened.compute(huge, ALLELES, ROWS[:1]).columns["sig"] == pytest.approx(1e-6)
    assert Annotations.open(model, []).compute(huge, ALLELES, ROWS[:1]).columns["sig"] == pytest.approx(1 / (N + 1))


def test_the_command_names_what_changes_scores(model: ModelFolder, track: Path) -> None:
    opened = Annotations.open(model, ["plain"], tracks={"z": track, "cons": track})
    assert opened.command == ("--classifier plain", "--conservation cons", "--conservation z")


def test_a_classifier_that_is_named_has_to_have_its_tracks(model: ModelFolder, track: Path) -> None:
    with pytest.raises(UsageError, match=r"wide wants conservation scores .*, cons; `conservation=cons=BIGWIG`"):
        Annotations.open(model, ["wide"])
    assert Annotations.open(model, ["wide"], tracks={"cons": track}).columns == (*OF_BACKGROUND, "p_wide")


def test_a_model_without_extras_gets_none(tmp_path: Path) -> None:
    opened = Annotations.open(make_model(tmp_path / "bare"))
    extra = opened.compute(effects(3), ALLELES, ROWS)
    assert (opened.columns, opened.command, opened.notes) == ((), (), ())
    assert extra.columns == {} and extra.evalues is None


def test_another_model_s_background_is_refused(model: ModelFolder, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", seed=9)
    with pytest.raises(ModelError, match="the background belongs to another model"):
        Annotations.open(other, background=model.path / BACKGROUND)
    with pytest.raises(ModelError, match="cannot read the background"):
        Annotations.open(model, background=tmp_path / "absent")


def test_a_model_of_values_has_neither_background_nor_classifier(tmp_path: Path) -> None:
    """Effects without log-odds have no magnitude: every variant would be as rare as the rarest."""
    net = make_model(tmp_path / "labels").load()
    net.adapt("values", net.strands, None)
    model = save_model(tmp_path / "values", net, "crnn-320-projection", TASKS, {})
    assert Annotations.open(model).columns == ()
    job = BackgroundJob(model, ("common.vcf",), tmp_path / "g.fa", str(tmp_path / "b.safetensors"))
    snps = SnpJob(
        tmp_path / "c", tmp_path / "g.fa", make_model(tmp_path / "other"), Sources(("a.vcf",)), baseline=model
    )
    for check in (job.check, snps.check, replace(snps, model=model, baseline=None).check):
        with pytest.raises(UsageError, match="values, which have no odds"):
            check()
    builder = BackgroundBuilder(3)
    builder.add(np.full((9, 3), np.nan, np.float32))
    save_background(str(model.path / BACKGROUND), builder.finish(model.sha256, (), {}))
    with pytest.raises(UsageError, match="there is no background"):
        Annotations.open(model)


def test_nothing_scored_is_no_trouble_and_a_copy_computes_the_same(model: ModelFolder, track: Path) -> None:
    opened = Annotations.open(model, tracks={"cons": track})
    empty = opened.compute(effects(0), ALLELES, ROWS[:0])
    assert all(column.shape == (0,) for column in empty.columns.values())
    copy = pickle.loads(pickle.dumps(opened))
    first, second = (one.compute(effects(3), ALLELES, ROWS) for one in (opened, copy))
    for name in opened.columns:
        np.testing.assert_array_equal(first.columns[name], second.columns[name])
    assert isinstance(copy.tracks.files[0][1], BigWig)


def test_the_smallest_e_value_and_its_task_are_those_of_a_slow_search(model: ModelFolder) -> None:
    opened, found = Annotations.open(model, []), effects(40)
    values, background = np.abs(found.diff * found.logodds), background_values()[:, :3]
    alleles = variants_at([0] * 40, range(40)).alleles
    for tasks in ([0, 1, 2], [0, 2], [1]):
        columns = opened.compute(found, alleles, np.arange(40), np.array(tasks)).columns
        for row in range(40):
            shares = {t: max(float(np.mean(background[:, t] > values[row, t])), 1 / (N + 1)) for t in tasks}
            least = min(shares.values())
            ties = [t for t in tasks if shares[t] == least]
            best = max(ties, key=lambda t: values[row, t] / background[:, t].max())
            assert columns["e"][row] == pytest.approx(least, rel=1e-6)
            assert columns["e_task"][row] == best and columns["e_diff"][row] == found.diff[row, best]


def test_tasks_without_a_positive_in_training_take_no_part(model: ModelFolder) -> None:
    card = model.card.changed(priors={"untrained": ["1:y"]})
    opened = Annotations.open(ModelFolder(model.path, card), [])
    found = effects(3)
    found.diff[:, 1] = 50  # the largest by far, of a task that nothing is known of
    columns = opened.compute(found, ALLELES, ROWS).columns
    assert set(columns["e_task"].tolist()) <= {0, 2}
    values, background = np.abs(found.diff * found.logodds), background_values()
    for row in range(3):
        shares = [max(np.mean(background[:, t] > values[row, t]), 1 / (N + 1)) for t in (0, 2)]
        assert columns["sig"][row] == pytest.approx(np.sqrt(shares[0] * shares[1]), rel=1e-5)
    assert "geometric mean of the E-values of all 2 tasks" in opened.meanings["sig"]
    assert raw_features(found, np.empty((3, 0)), (1,)).shape == (3, 4)
    kept = np.concatenate([found.logodds[:, [0, 2]], found.diff[:, [0, 2]]], 1)
    np.testing.assert_array_equal(raw_features(found, np.empty((3, 0)), (1,)), kept)


def test_the_header_says_what_numbers_mean(model: ModelFolder, track: Path) -> None:
    said = Annotations.open(model, tracks={"cons": track}).meanings
    assert list(said) == ["e", "e_task", "e_diff", "sig", "p_plain", "p_wide"]
    assert "n=400 background variants" in said["sig"] and "geometric mean" in said["sig"]
    assert "times that of the conservation scores" in said["sig"]
    assert "conservation" not in Annotations.open(model).meanings["sig"]
    assert "prior of 0.5" in said["p_plain"] and "AUROC 0.700, 95% interval 0.600 to 0.800" in said["p_plain"]


def test_a_classifier_of_deepsea_s_scores_works_without_them(
    model: ModelFolder, track: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As DanQ's do once imported: phyloP is -0.033 and GERP's neutral rate 1.909 where no bigWig says otherwise."""
    names = ("phylop_primates", "gerp_neutral")
    raw = np.random.default_rng(3).normal(size=(80, 8)).astype(np.float32)
    facts = {"features": {"tasks": 3, "conservation": list(names)}, "on_by_default": False}
    save_classifier(tmp_path / "danq", fit(raw, np.abs(raw[:, -1]) > 0.7, names, Settings(trees=9)), facts)
    found = effects(3)
    for tracks, scores in (({}, [-0.033] * 3), ({"phylop_primates": track}, [3.0, -1.0, -0.033])):
        opened = Annotations.open(model, [str(tmp_path / "danq")], tracks=tracks)
        expected = np.concatenate([found.logodds, found.diff, np.array([scores, [1.909] * 3]).T], 1, dtype=np.float32)
        (_, ensemble), extra = opened.classifiers[0], opened.compute(found, ALLELES, ROWS)
        np.testing.assert_array_equal(extra.columns["p_danq"], ensemble.probabilities(expected))
        assert "IMPUTED=" in dict(opened.notes)["Classifier"]
        assert "gerp_neutral = 1.909" in caplog.text
