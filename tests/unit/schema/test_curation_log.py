"""Logs of curation against a model that keeps each spike by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdata.errors import QueryError
from labdata.schema.curation_log import Entry, active_entries, next_unit, replay

#: Samples occur in several units, as two units may find the same spike.
TRAINS = {
    0: np.array([5, 10, 20, 20, 30]),
    2: np.array([1, 10, 25, 40]),
    5: np.array([20, 21, 22]),
    9: np.array([7]),
}
Model = dict[int, list[tuple[int, int]]]


class Brute:
    """Units as lists of (sample, place), with a stack of all former states."""

    def __init__(self) -> None:
        place, units = 0, {}
        for unit, train in TRAINS.items():
            units[unit] = [(int(s), place + i) for i, s in enumerate(train)]
            place += len(train)
        self.states: list[tuple[Model, dict[int, str]]] = [(units, {})]

    @property
    def units(self) -> Model:
        return self.states[-1][0]

    def push(self, units: Model, labels: dict[int, str]) -> None:
        self.states.append((units, {u: x for u, x in labels.items() if u in units}))


def draw_entry(data: st.DataObject, brute: Brute, log: list[Entry]) -> Entry | None:
    units, labels = brute.states[-1]
    action = data.draw(st.sampled_from(["label", "merge", "split", "undo"]))
    first = next_unit(TRAINS, log)
    if action == "undo":
        if len(brute.states) == 1:
            return None
        brute.states.pop()
        return Entry("undo", undoes=active_entries(log)[-1])
    if action == "label":
        unit, label = data.draw(st.sampled_from(sorted(units))), data.draw(st.sampled_from("AB"))
        brute.push(units, {**labels, unit: label})
        return Entry("label", (unit,), label=label)
    if action == "merge":
        if len(units) < 2:
            return None
        chosen = data.draw(st.lists(st.sampled_from(sorted(units)), min_size=2, unique=True))
        joined = sorted(spike for unit in chosen for spike in units[unit])
        rest = {unit: spikes for unit, spikes in units.items() if unit not in chosen}
        brute.push({**rest, first: joined}, labels)
        return Entry("merge", tuple(chosen), new_units=(first,))
    splittable = sorted(unit for unit, spikes in units.items() if len(spikes) > 1)
    unit = data.draw(st.sampled_from(splittable))
    n_spikes = len(units[unit])
    groups = [0, 1, *data.draw(st.lists(st.integers(0, 1), min_size=n_spikes))][:n_spikes]
    parts = {
        first + g: [s for s, own in zip(units[unit], groups, strict=True) if own == g]
        for g in (0, 1)
    }
    rest = {other: spikes for other, spikes in units.items() if other != unit}
    brute.push({**rest, **parts}, labels)
    return Entry("split", (unit,), new_units=(first, first + 1), groups=np.array(groups))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_log_replays_to_what_the_model_has(data: st.DataObject) -> None:
    brute, log = Brute(), []
    for _ in range(data.draw(st.integers(1, 12))):
        entry = draw_entry(data, brute, log)
        if entry is not None:
            log.append(entry)
    state = replay(TRAINS, log)
    units, labels = brute.states[-1]
    assert {u: places.tolist() for u, places in state.spikes.items()} == {
        unit: [place for _, place in spikes] for unit, spikes in units.items()
    }
    assert state.labels == labels
    every = np.sort(np.concatenate(list(state.spikes.values())))
    assert every.tolist() == list(range(sum(map(len, TRAINS.values()))))  # none lost or doubled
    made = [new for entry in log for new in entry.new_units]
    assert len(set(made)) == len(made) and not set(made) & set(TRAINS)


@pytest.mark.parametrize(
    "entry,said",
    [
        (Entry("label", (1,), label="SUA"), "Unit 1 is not there"),
        (Entry("merge", (0,), new_units=(10,)), "two or more"),
        (Entry("merge", (0, 0), new_units=(10,)), "two or more"),
        (Entry("split", (9,), new_units=(10, 11), groups=np.array([0, 1])), "1 spikes"),
        (Entry("split", (5,), new_units=(10, 11), groups=np.array([1, 1, 1])), "each of two"),
        (Entry("split", (5,), new_units=(10,), groups=np.array([0, 0, 0])), "each of two"),
        (Entry("split", (5,), new_units=(10, 11)), "a group for each"),
    ],
)
def test_what_cannot_be_done_is_refused(entry: Entry, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        replay(TRAINS, [entry])
