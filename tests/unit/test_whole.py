"""A label is never another one: numbers are not cut, wrapped, or made of a mask."""

import numpy as np
import pytest

import labdata
from labdata.errors import ObjectError, QueryError
from labdata.objects import build_spikes, build_trials, select_units
from labdata.whole import whole_numbers

SYNC = {"clock": "nidq"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (7, [7]),
        ([3.0, -2.0], [3, -2]),
        (np.array([1, 2], dtype=object), [1, 2]),
        (np.array([2**31 - 1], "uint64"), [2**31 - 1]),
    ],
)
def test_what_is_whole_comes_back(given, expected):
    found = whole_numbers(given, "labels", QueryError, dtype="int32")
    assert found.tolist() == expected and found.dtype == np.int32


@pytest.mark.parametrize(
    "given", [[4.7], [True, False], [2**31], [2**40], [np.nan], [np.inf], ["3"], [2**70], [None]]
)
def test_what_is_not_is_refused(given):
    with pytest.raises(QueryError, match="labels are"):
        whole_numbers(given, "labels", QueryError, dtype="int32")


def spikes(labels=(0, 1, 4)):
    trains = {label: [1.0 + k] for k, label in enumerate(labels)}
    return build_spikes(trains, stream="imec0", sync=SYNC, t_start_s=0.0, t_stop_s=9.0)


def test_units_are_those_that_were_asked_for():
    for units in ([4.7], [2**32 + 4]):
        with pytest.raises(ObjectError, match="is no whole number"):
            select_units(spikes(), units)
        with pytest.raises(ObjectError):
            labdata.correlogram(spikes(), units)
    assert select_units(spikes(), [4.0]).unit.values.tolist() == [4]
    with pytest.raises(ObjectError, match="A mask"):
        labdata.correlogram(spikes(), [True, False, True])


def test_a_mask_that_knows_its_units_chooses_those_in_whatever_order_they_are():
    found = spikes((0, 1, 4)).assign_coords(depth=("unit", [30.0, 10.0, 20.0]))
    mask = found["depth"].sortby("depth") < 15.0
    assert mask.values.tolist() == [True, False, False]
    assert select_units(found, mask).unit.values.tolist() == [1]
    assert select_units(found, mask.values).unit.values.tolist() == [0]  # by position
    with pytest.raises(ObjectError, match="does not have unit 0"):
        select_units(found, mask.isel(unit=[0, 1]))


def test_labels_are_not_shortened():
    for labels in ([3.5], [2**32 + 3]):
        with pytest.raises(ObjectError):
            spikes(labels)
        with pytest.raises(ObjectError):
            build_spikes([1.0], [3], stream="imec0", sync=SYNC, unit=np.array(labels))


def test_ids_of_trials_are_not_shortened():
    dates = np.array([202403050001, 202403050002])
    with pytest.raises(ObjectError, match="202403050001 is no whole number of 32 bits"):
        build_trials([1.0, 2.0], stream="box", sync=SYNC, trial=dates)
    with pytest.raises(ObjectError, match=r"1\.5 is no whole number"):
        build_trials([1.0, 2.0], stream="box", sync=SYNC, trial=[1.5, 2.5])
    trials = build_trials([1.0, 2.0], stream="box", sync=SYNC).assign_coords(trial=dates)
    with pytest.raises(ObjectError, match="202403050001 is no whole number"):
        labdata.align_spikes(spikes(), trials["start_time"])
