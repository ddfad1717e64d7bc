"""Random draws of sorters: seeded while a sorter runs, and only then."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from labdata.compute.analyses.sorter import repeatable_random, sort_recording
from labdata.errors import TaskError


def draw() -> float:
    return float(np.random.default_rng().random())


def test_draws_without_a_seed_repeat_and_those_with_one_are_left_alone() -> None:
    make = np.random.default_rng
    with repeatable_random(7):
        first, second = draw(), draw()
        assert first == second == float(make(7).random())
        assert float(np.random.default_rng(seed=3).random()) == float(make(3).random())
    assert np.random.default_rng is make
    assert draw() != draw()


def test_after_a_failure_draws_are_random_again() -> None:
    make = np.random.default_rng
    with pytest.raises(ZeroDivisionError), repeatable_random(0):
        raise ZeroDivisionError
    assert np.random.default_rng is make


def test_two_sortings_in_threads_leave_nothing_seeded() -> None:
    """The second begins when the first has ended, in whichever order they were asked for."""
    make, began, end = np.random.default_rng, threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> None:
        with repeatable_random(1):
            began.set()
            assert end.wait(10)
            order.append("first")

    def second() -> None:
        with repeatable_random(2):
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert began.wait(10)
    threads[1].start()
    end.set()
    for thread in threads:
        thread.join()
    assert order == ["first", "second"]
    assert np.random.default_rng is make


def test_what_spikeinterface_says_is_in_one_sentence_of_ours(tmp_path, monkeypatch) -> None:
    """Not its traceback; and a package that is missing is no recording that is too short."""
    sorters = pytest.importorskip("spikeinterface.sorters")
    from spikeinterface.sorters.utils import SpikeSortingError

    missing = SpikeSortingError("Motion failed: it requires torch: pip install torch.")
    for number, (raised, said, hint) in enumerate(
        [
            (ValueError("bad probe"), "could not start simple: ValueError: bad probe", "--queue"),
            (missing, "simple failed: Motion failed: it requires torch", "Install it"),
            (SpikeSortingError("no peaks"), "simple failed: no peaks", "long enough"),
        ]
    ):

        def fail(*_: object, error: Exception = raised, **__: object) -> None:
            raise error

        monkeypatch.setattr(sorters, "run_sorter", fail)
        with pytest.raises(TaskError) as caught:
            sort_recording(None, tmp_path / str(number), "simple", {}, 1)
        assert said in caught.value.message
        assert hint in (caught.value.hint or "")
