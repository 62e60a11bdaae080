"""A model of some of a model's tasks predicts what the whole one does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_nets import also, random_codes, small

from varscore.errors import OutputExists, UsageError
from varscore.nets import architectures
from varscore.tasks import Task
from varscore.zoo.models import save_model
from varscore.zoo.priors import Priors
from varscore.zoo.selecting import select_tasks

TASKS = tuple(Task(i, f"cell|mark {i}", "TF" if i else "", {"note": f"fact {i}"}) for i in range(5))
CHOSEN = np.array([1, 4])


@pytest.mark.parametrize("name", list(architectures()))
def test_predictions_are_those_of_the_whole_model(name: str, tmp_path: Path) -> None:
    net = small(name).eval()
    with torch.no_grad():
        for parameter in net.output.parameters():
            parameter.normal_()
    for buffer in net.goal.buffers():
        buffer.copy_(torch.arange(1.0, 1 + len(buffer)))
    net.prepare([random_codes(20, net.window)])
    model = save_model(tmp_path / "whole", net, name, TASKS, {"training": {"seed": 1}, "metrics": {"test": {}}})
    codes, more = random_codes(3, net.window, seed=1), also(net, 3)
    try:
        part = select_tasks(model, CHOSEN, tmp_path / "part")
    except UsageError as error:
        assert name == "binding-multitask" or net.objective == "classes"
        assert "cannot be taken apart" in error.what and not (tmp_path / "part").exists()
        return
    assert net.objective != "classes", "a softmax over fewer classes is something else"
    taken = part.load()
    with torch.inference_mode():
        whole, some = net.goal.predict(net(codes, **more).numpy()), taken.goal.predict(taken(codes, **more).numpy())
    np.testing.assert_allclose(some, whole[:, CHOSEN], rtol=2e-6)
    assert [(t.index, t.name, t.group, t.facts) for t in part.tasks()] == [
        (new, TASKS[old].name, "TF", {"note": f"fact {old}"}) for new, old in enumerate(CHOSEN)
    ]
    assert "metrics" not in part.card and part.card["training"] == {"seed": 1}
    assert part.card["selected"] == {"id": "whole", "sha256": model.sha256, "tasks": 5}


def test_shifts_and_priors_go_with_their_tasks(tmp_path: Path) -> None:
    priors = Priors(
        np.array([5, 0, 7, 9, 2]), np.full(5, 20), np.array([5, 2, 7, 30, 2]), np.array([20, 80, 20, 900, 90])
    )
    model = save_model(tmp_path / "whole", small("crnn-320"), "crnn-320", TASKS, {}, torch.float16, priors)
    part = select_tasks(model, CHOSEN, tmp_path / "part")
    np.testing.assert_array_equal(part.load().goal.shift, model.load().goal.shift[CHOSEN])
    assert part.card.priors["untrained"] == ["0:cell|mark 1"]
    assert part.priors() is not None and part.verify()


def test_a_model_that_is_there_stays(tmp_path: Path) -> None:
    model = save_model(tmp_path / "whole", small("crnn-320"), "crnn-320", TASKS, {})
    with pytest.raises(OutputExists):
        select_tasks(model, CHOSEN, model.path)
    with pytest.raises(UsageError, match="no task is left"):
        select_tasks(model, CHOSEN[:0], tmp_path / "none")
    assert not (tmp_path / "none").exists()
