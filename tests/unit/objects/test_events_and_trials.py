import numpy as np
import pytest

from labdata.errors import ObjectError
from labdata.objects import (
    UnsyncedWarning,
    build_events,
    build_trials,
    concat_events,
    onsets_of,
    restrict_time,
    validate,
)


def test_events_are_sorted_with_everything_that_belongs_to_them(events):
    validate(events)
    assert events.event_time.values.tolist() == [1.0, 1.2, 1.5, 4.0]
    assert events.channel.values.tolist() == ["1", "7", "1", "1"]
    assert events.event_value.values.tolist() == [1, 1, 0, 1]
    assert events.sample_index.values.tolist() == [25000, 30000, 37500, 100000]
    assert events.sample_index.dtype == np.int64
    assert events.event_time.attrs == {"units": "s", "clock": "nidq"}


def test_onsets_of_a_channel(events):
    assert onsets_of(events, 1).values.tolist() == [1.0, 4.0]
    assert onsets_of(events, "7").attrs["clock"] == "nidq"
    with pytest.raises(ObjectError, match="There is no channel 3"):
        onsets_of(events, 3)


def test_events_of_streams_are_joined_in_time(events, sync):
    other = build_events([1.1, 3.0], stream="imec0", channel=1, sync=sync)
    both = concat_events([events, other])
    validate(both)
    assert both.stream.values.tolist() == ["nidq", "imec0", "nidq", "nidq", "imec0", "nidq"]
    with pytest.raises(ObjectError, match="on 2 streams"):
        onsets_of(both, 1)
    assert onsets_of(both, 1, stream="imec0").values.tolist() == [1.1, 3.0]
    assert both.attrs["stream"] == "nidq,imec0"


def test_events_on_different_clocks_are_not_joined(events):
    other = build_events([1.1], stream="obx0", channel=1, sync={"clock": "obx0"})
    with pytest.raises(ObjectError, match="nidq, obx0"):
        concat_events([events, other])


def test_unsynced_events_are_loud():
    with pytest.warns(UnsyncedWarning, match="clock of nidq itself"):
        ds = build_events([1.0], stream="nidq", channel=0)
    assert ds.attrs["synced"] == 0


def test_events_in_a_window(events):
    part = restrict_time(events, 1.2, 4.0)
    assert part.event_time.values.tolist() == [1.2, 1.5]


@pytest.mark.parametrize(
    ("times", "more", "message"),
    [
        ([np.nan], {}, "has the time nan"),
        ([1.0], {"event_value": [1, 0]}, "event_value has shape"),
    ],
)
def test_malformed_events_are_refused(sync, times, more, message):
    value = more.pop("event_value", None)
    with pytest.raises(ObjectError, match=message):
        build_events(times, value, stream="nidq", channel=1, sync=sync)


def test_no_events_are_a_valid_table(sync):
    validate(build_events([], stream="nidq", channel=1, sync=sync))


def test_trials_keep_what_did_not_happen(trials):
    validate(trials)
    assert trials.trial.values.tolist() == [3, 4, 9]
    assert np.isnan(trials.stim_time.values[1])
    assert trials.stim_time.attrs == {"units": "s", "clock": "nidq"}
    assert trials.attrs["trialset_description"] == "visual"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"trial": [1, 1]}, "ids repeat"),
        ({"times_s": {"stim": [0, 1]}}, "call it 'stim_time'"),
        ({"variables": {"x": [1]}}, "x has shape"),
    ],
)
def test_malformed_trials_are_refused(sync, more, message):
    with pytest.raises(ObjectError, match=message):
        build_trials([0.0, 1.0], stream="bpod", sync=sync, **more)
