"""Lists of tasks side by side."""

from __future__ import annotations

from varscore.tasks import Task, shared


def test_shared_tasks_are_found_by_name_and_by_order_where_a_name_is_repeated() -> None:
    ours, theirs = (tuple(Task(i, name) for i, name in enumerate(text)) for text in ("abacd", "dxaca"))
    own, other = shared(ours, theirs)
    assert own.tolist() == [0, 2, 3, 4]  # the first a, the second a, c, d
    assert other.tolist() == [2, 4, 3, 0]
    own, other = shared(ours, (Task(0, "y"),))
    assert own.tolist() == other.tolist() == []
