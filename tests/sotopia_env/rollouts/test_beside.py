from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from sotopia_env.rollouts.beside import Beside


def test_what_is_given_while_it_works_is_the_next_batch() -> None:
    batches: list[list[int]] = []
    begun, go_on = threading.Event(), threading.Event()

    def work(batch: Sequence[int]) -> None:
        batches.append(list(batch))
        begun.set()
        assert go_on.wait(10)

    with Beside(work, threaded=True) as beside:
        beside.give(1)
        assert begun.wait(10) and beside.ready() == []
        beside.give(2)
        beside.give(3)
        go_on.set()
        assert beside.rest() == [1, 2, 3]
    assert batches == [[1], [2, 3]]


def test_without_a_thread_it_works_once_on_all_together() -> None:
    batches: list[list[int]] = []
    with Beside(lambda batch: batches.append(list(batch)), threaded=False) as beside:
        beside.give(1)
        beside.give(2)
        assert beside.ready() == [] and batches == []
        assert beside.rest() == [1, 2] and beside.rest() == []
    assert batches == [[1, 2]]


def test_what_the_work_raises_is_raised_where_its_result_is_asked_for_and_then_there_is_none() -> None:
    def work(batch: Sequence[int]) -> None:
        raise ValueError(f"no number for {batch[0]}")

    with Beside(work, threaded=True) as beside:
        beside.give(7)
        with pytest.raises(ValueError, match="no number for 7"):
            beside.rest()
        assert beside.rest() == []
