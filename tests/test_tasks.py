"""Lists of tasks side by side."""

from __future__ import annotations

import pytest

from varscore.errors import UsageError
from varscore.tasks import Task, choose, several, shared


def test_shared_tasks_are_found_by_name_and_by_order_where_a_name_is_repeated() -> None:
    ours, theirs = (tuple(Task(i, name) for i, name in enumerate(text)) for text in ("abacd", "dxaca"))
    own, other = shared(ours, theirs)
    assert own.tolist() == [0, 2, 3, 4]  # the first a, the second a, c, d
    assert other.tolist() == [2, 4, 3, 0]
    own, other = shared(ours, (Task(0, "y"),))
    assert own.tolist() == other.tolist() == []


def test_a_number_that_is_another_tasks_name_is_not_guessed() -> None:
    """Peak files of clusters are called 0.bed to 10.bed, and sorted as letters: number 2 is cluster 10."""
    tasks = tuple(Task(index, name) for index, name in enumerate(sorted(map(str, range(11)))))
    assert [task.name for task in tasks[:4]] == ["0", "1", "10", "2"]
    assert choose(tasks, ["0", "1"], "-") == [0, 1]
    with pytest.raises(UsageError, match="'2' is the number of one task and the name of another; 2:10 or 3:2$"):
        choose(tasks, ["2"], "-")
    assert choose(tasks, ["2:10"], "-") == [2] and choose(tasks, ["3:2"], "-") == [3]
    with pytest.raises(UsageError, match="10:9 or 2:10$"):
        choose(tasks, ["10"], "-")
    assert choose(tasks, several(tasks[3]), "-") == [3] and several(3) == ("3",) and several("3x") == ("3x",)
