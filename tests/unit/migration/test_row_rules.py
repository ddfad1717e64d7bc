"""What old rows become, against values that are worked out by hand or by the code that inserts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labdata.migration.recordings import Recordings
from labdata.migration.row_rules import RULES, other_identity
from labdata.migration.values import Misfit

DATASET = {"subject_name": "JC1", "session_name": "s", "dataset_name": "d"}
SORTING = {**DATASET, "probe_num": 0, "parameter_set_num": 1}
PLACE = tuple(SORTING.values())


def apply(table: str, row: dict[str, Any], recordings: Recordings | None = None) -> Any:
    notes: list[str] = []
    found = RULES[table](row, recordings or Recordings(), notes.append)
    return found, notes


def events(stream: str, times: Any, *, rate_hz: float | None, duration_s: float | None) -> Any:
    place = tuple(DATASET.values())
    known = Recordings(
        {(*place, 0): rate_hz} if rate_hz else {}, {place: duration_s} if duration_s else {}
    )
    row = {**DATASET, "stream_name": stream, "event_timestamps": times, "event_values": None}
    return apply("DatasetEvents.Digital", row, known)


@pytest.mark.parametrize("kind", ["uint64", "int64", "int32"])
def test_whole_samples_of_a_probe_get_seconds(kind: str) -> None:
    found, notes = events("imec0", np.array([15, 30], kind), rate_hz=30.0, duration_s=2)
    np.testing.assert_array_equal(found["event_timestamps"], [0.5, 1.0])
    np.testing.assert_array_equal(found["event_samples"], np.array([15, 30], "int64"))
    assert len(notes) == 1


@pytest.mark.parametrize("stream", ["imec0", "nidq", "bpod"])
def test_seconds_within_the_recording_stay(stream: str) -> None:
    times = np.array([0.25, 1.5])
    found, notes = events(stream, times, rate_hz=30000.0, duration_s=2)
    np.testing.assert_array_equal(found["event_timestamps"], times)
    assert (found.get("event_samples"), notes) == (None, [])


def test_samples_kept_as_floats_are_known_by_the_length_of_the_recording() -> None:
    found, _ = events("imec0", np.array([30000.0, 45000.0]), rate_hz=30000.0, duration_s=2)
    np.testing.assert_array_equal(found["event_timestamps"], [1.0, 1.5])
    assert found["event_samples"].dtype == np.int64


def test_times_of_a_probe_that_fit_neither_are_said() -> None:
    times = np.array([30000.5, 45000.0])
    found, notes = events("imec0", times, rate_hz=30000.0, duration_s=2)
    np.testing.assert_array_equal(found["event_timestamps"], times)
    assert "look at them" in notes[0]


def test_samples_out_of_order_are_refused() -> None:
    with pytest.raises(Misfit, match="not in order"):
        events("imec0", np.array([5, 3]), rate_hz=30.0, duration_s=2)


def test_levels_are_signed_so_that_their_differences_are_right() -> None:
    row = {**DATASET, "stream_name": "nidq", "event_timestamps": np.arange(2.0)}
    found, _ = apply("DatasetEvents.Digital", {**row, "event_values": np.array([1, 0], "uint8")})
    assert list(np.diff(found["event_values"])) == [-1]
    counts = np.array([7, 300], "uint16")
    found, notes = apply("DatasetEvents.Digital", {**row, "event_values": counts})
    assert found["event_values"] is counts
    assert len(notes) == 1


def test_spikes_are_put_in_order_with_what_belongs_to_them() -> None:
    row = {
        "spike_times": np.array([30, 10, 20], "uint64"),
        "spike_positions": np.array([[3, 3], [1, 1], [2, 2]]),
        "spike_amplitudes": np.array([0.3, 0.1, 0.2]),
    }
    found, notes = apply("SpikeSorting.Unit", row)
    assert list(found["spike_times"]) == [10, 20, 30]
    assert found["spike_positions"].tolist() == [[1, 1], [2, 2], [3, 3]]
    assert list(found["spike_amplitudes"]) == [0.1, 0.2, 0.3]
    assert len(notes) == 1
    assert apply("SpikeSorting.Unit", found)[1] == []


def test_spikes_whose_amplitudes_cannot_follow_are_refused() -> None:
    row = {"spike_times": np.array([3, 1]), "spike_amplitudes": np.array([1.0])}
    with pytest.raises(Misfit, match="another length"):
        apply("SpikeSorting.Unit", row)


# a probe that recorded channels 10, 11, 12, 13, of which 13 and 11 were sorted
SUBSET = Recordings(channel_rows={PLACE: np.array([3, 1])}, n_channels={PLACE: 4})


def test_channels_of_a_sorting_become_those_of_the_probe() -> None:
    wave = {**SORTING, "waveform_median": np.zeros((9, 1)), "waveform_channels": np.array([0])}
    found, notes = apply("SpikeSorting.Waveforms", wave, SUBSET)
    assert (found["waveform_channels"].tolist(), len(notes)) == ([3], 1)
    whole = {**SORTING, "waveform_median": np.zeros((9, 2)), "waveform_channels": None}
    found, _ = apply("SpikeSorting.Waveforms", whole, SUBSET)
    assert found["waveform_channels"].tolist() == [3, 1]
    metrics = {**SORTING, "channel_index": 1, "active_electrodes": np.array([[0, 1]])}
    found, _ = apply("UnitMetrics", metrics, SUBSET)
    assert (found["channel_index"], found["active_electrodes"].tolist()) == (1, [3, 1])
    sorting = {**SORTING, "sorting_channel_indices": np.array([13, 11])}
    found, _ = apply("SpikeSorting", sorting, SUBSET)
    assert found["sorting_channel_indices"].tolist() == [3, 1]


def test_all_channels_in_order_stay_as_they_are() -> None:
    known = Recordings(channel_rows={PLACE: np.arange(2)}, n_channels={PLACE: 2})
    wave = {**SORTING, "waveform_median": np.zeros((9, 2)), "waveform_channels": None}
    assert apply("SpikeSorting.Waveforms", wave, known) == (wave, [])


def test_a_channel_that_was_not_sorted_is_refused() -> None:
    wave = {**SORTING, "waveform_median": np.zeros((9, 1)), "waveform_channels": np.array([2])}
    with pytest.raises(Misfit, match="not sorted"):
        apply("SpikeSorting.Waveforms", wave, SUBSET)


def test_channels_of_which_nothing_is_known_are_said() -> None:
    wave = {**SORTING, "waveform_median": np.zeros((9, 1)), "waveform_channels": np.array([0])}
    found, notes = apply("SpikeSorting.Waveforms", wave)
    assert (found, len(notes)) == (wave, 1)


@pytest.mark.parametrize(("ml", "ul"), [(0.6, 600.0), (1.0, 1000.0), (0.61235, 612.35)])
def test_millilitres_are_a_thousand_microlitres(ml: float, ul: float) -> None:
    assert apply("Watering", {"water_volume": ml})[0]["water_volume"] == ul


def test_a_configuration_has_the_identity_that_the_ephys_rule_gives_it() -> None:
    from labdata.rules.ephys import insert_configuration

    inserted: list[dict[str, Any]] = []

    class Table:
        def insert1(self, row: dict[str, Any], **_: Any) -> None:
            inserted.append(row)

        def __and__(self, key: Any) -> Any:
            return Table()

        def __bool__(self) -> bool:
            return len(inserted) > 1

        def fetch(self, *_: Any) -> list[int]:
            return []

        def fetch1(self, *_: Any) -> dict[str, Any]:
            return {}

    class Lab:
        Probe = ProbeConfiguration = Table()

    class Probe:
        probe_id, part_number, probe_type, n_shanks, n_channels = "1", "NP2010", "24", 4, 3
        channel_idx, shank = np.arange(3), np.array([0, 0, 1])
        positions_um = np.array([[0.0, 0.0], [32.0, 15.0], [250.0, 0.0]])
        uv_per_bit = {"ap": np.full(3, 2.34375)}  # noqa: RUF012

    insert_configuration(Lab(), Probe())  # type: ignore[arg-type]
    row = {
        "probe_gain": 2.34375,
        "channel_idx": Probe.channel_idx.astype("uint16"),
        "channel_shank": Probe.shank.astype("float64"),
        "channel_coords": np.asfortranarray(Probe.positions_um),
    }
    found, _ = apply("ProbeConfiguration", row)
    assert found["configuration_hash"] == inserted[1]["configuration_hash"]
    assert other_identity(found["configuration_hash"], ("1", 2)) != found["configuration_hash"]


def test_a_parameter_set_has_the_identity_that_a_sorter_gives_it() -> None:
    from labdata.compute.analyses.sorting_tables import find_parameter_set

    asked: list[dict[str, str]] = []

    class Params:
        def __and__(self, key: dict[str, str]) -> Any:
            asked.append(key)
            return self

        def fetch(self, *_: Any) -> list[int]:
            return [1]

    class Lab:
        SpikeSortingParams = Params()

    find_parameter_set(Lab(), "mountainsort5", {"b": [1, None], "a": 2.5})
    row = {"algorithm_name": "mountainsort5", "parameters_dict": '{"a": 2.5, "b": [1, null]}'}
    assert apply("SpikeSortingParams", row)[0]["parameters_hash"] == asked[0]["parameters_hash"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("COMPLETED", "COMPLETED"),
        ("FAILED", "FAILED"),
        ("CANCELED", "CANCELLED"),
        ("WAITING (ARCHIVE)", "CANCELLED"),
        ("WORKING", "CANCELLED"),
        (None, "CANCELLED"),
    ],
)
def test_no_old_task_waits_here(before: str | None, after: str) -> None:
    row = {"task_waiting": 1, "task_status": before, "task_log": "x" * 3999}
    found, _ = apply("ComputeTask", row)
    assert (found["task_status"], found["task_waiting"]) == (after, 0)
    assert len(found["task_log"]) <= 4000
