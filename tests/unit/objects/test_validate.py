import numpy as np
import pytest
import xarray as xr

from labdata.errors import ObjectError
from labdata.objects import find_faults, validate


def test_all_faults_are_named_at_once(spikes):
    broken = spikes.assign(spike_time=spikes.spike_time.astype(np.float32)).drop_vars("spike_unit")
    broken.attrs.pop("clock")
    broken.attrs["flag"] = True
    with pytest.raises(ObjectError) as caught:
        validate(broken)
    for fault in (
        "clock is missing",
        "float32, not float64",
        "spike_unit is missing",
        "is a bool",
    ):
        assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda d: d.assign_attrs(labdata_kind="spokes"), "labdata_kind is 'spokes'"),
        (lambda d: d.assign_attrs(labdata_schema=2), "labdata_schema is 2"),
        (lambda d: d.assign_attrs(t_stop=10.0), "spikes lie outside"),
        (lambda d: d.assign_attrs(synced=0), "clock is not the stream's own"),
        (lambda d: d.assign_attrs(where={"a": 1}), "attribute where is a dict"),
        (lambda d: d.assign_coords(unit=("unit", np.full(4, 7, np.int32))), "Unit labels repeat"),
        (lambda d: d.assign(spike_time=d.spike_time * np.nan), "units attribute|not finite"),
    ],
)
def test_each_fault_is_found(spikes, change, fault):
    with pytest.raises(ObjectError, match=fault):
        validate(change(spikes))


def test_the_cheap_part_reads_no_spikes(spikes):
    outside = spikes.assign_attrs(t_stop=10.0)
    assert find_faults(outside, full=False) == []
    assert len(find_faults(outside)) == 1


def test_events_must_be_sorted(events):
    assert find_faults(events) == []
    assert "event_time is not sorted." in find_faults(events.isel(event=[2, 1, 0, 3]))
    odd = events.assign(event_value=events.event_value + np.int8(1))
    assert any("other values" in fault for fault in find_faults(odd))


def test_any_dataset_can_be_asked():
    assert find_faults(xr.Dataset()) != []
