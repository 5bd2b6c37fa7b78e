"""What a run has to do, under keys that name what may change it, in an order that loses little."""

from dataclasses import replace

from benchmarks.tables.splits import Split
from benchmarks.tables.tasks import Task, in_stages, plan

LINEAR = "linear"


def test_our_cells_are_of_our_code(split: Split) -> None:
    """A peer's are not: they stay when our sources change."""
    ours, changed = (Task(split, "ours", 300, 300, code) for code in ("before", "after"))
    assert ours.key != changed.key
    assert Task(split, LINEAR, 300, 300, "before").key == Task(split, LINEAR, 300, 300, "after").key


def test_slow_method_comes_last(split: Split) -> None:
    """EBM, so that a run that is stopped has the others; a cap is for the peers, and ours has its own budget."""
    tasks = plan([split, replace(split, number=1)], ["ours", "EBM", LINEAR], "code", cap_seconds=30)
    assert [(task.method, task.split.number) for task in tasks[-2:]] == [("EBM", 0), ("EBM", 1)]
    assert {task.cap_seconds for task in tasks if task.method != "ours"} == {30}
    assert all(task.cap_seconds > 300 for task in tasks if task.method == "ours")


def test_answers_are_timed_table_by_table(split: Split) -> None:
    """Ours and LightGBM on all splits of a table, then of the next; the other peers come last, all tables together."""
    other = replace(split, source=replace(split.source, name="other"))
    stages = in_stages(
        plan([split, replace(split, number=1), other], ["ours", "LightGBM", LINEAR], "code", cap_seconds=30)
    )
    assert [sorted({task.place[0] for task in stage}) for stage in stages] == [["small"], ["other"], ["other", "small"]]
    assert [sorted({task.method for task in stage}) for stage in stages] == [["LightGBM", "ours"]] * 2 + [[LINEAR]]
    [first, *_] = in_stages(plan([split, other], ["LightGBM", LINEAR], "code", cap_seconds=30))
    assert len(first) == 4
