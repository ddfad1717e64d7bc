"""Round trips, and what other programs find in the files."""

import numpy as np
import pytest
import xarray as xr

from labdata.errors import ObjectError
from labdata.objects import (
    align_spikes,
    build_events,
    build_spikes,
    count_spikes,
    load,
    save,
    select_units,
)

SUFFIXES = [".nc", ".zarr", ".h5"]


def assert_identical(found, saved):
    xr.testing.assert_identical(found, saved)
    assert found.attrs == saved.attrs
    for name in saved.variables:
        assert found[name].dtype.kind == saved[name].dtype.kind
        if saved[name].dtype.kind != "U":
            assert found[name].dtype == saved[name].dtype
        assert {k: type(v) for k, v in found.attrs.items()} == {
            k: type(v) for k, v in saved.attrs.items()
        }


@pytest.fixture(params=["spikes", "events", "trials", "aligned", "psth", "none", "no_events"])
def dataset(request, spikes, events, trials, sync):
    return {
        "spikes": lambda: spikes,
        "events": lambda: events,
        "trials": lambda: trials,
        "aligned": lambda: align_spikes(spikes, trials["stim_time"]),
        "psth": lambda: count_spikes(spikes, trials["stim_time"]),
        "none": lambda: build_spikes({}, stream="imec0", sync=sync),
        "no_events": lambda: build_events([], stream="nidq", channel=1, sync=sync),
    }[request.param]()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_comes_back_identical(dataset, tmp_path, suffix):
    path = save(dataset, tmp_path / f"deep/er{suffix}")
    assert_identical(load(path), dataset)
    assert [p.name for p in path.parent.iterdir()] == [f"er{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.sortby("spike_time"),
        lambda ds: ds.isel(unit=[2, 0]),
        lambda ds: ds.sortby("depth"),
        lambda ds: select_units(ds, [5]),
    ],
    ids=["by time", "orphans", "units sorted", "silent only"],
)
def test_what_a_user_rearranged_comes_back_as_it_was(spikes, tmp_path, suffix, change):
    changed = change(spikes)
    assert_identical(load(save(changed, tmp_path / f"a{suffix}")), changed)


def test_on_disk_spikes_are_contiguous_ragged_arrays(spikes, tmp_path):
    neat = spikes.sortby("unit")
    with xr.open_dataset(save(neat, tmp_path / "a.nc"), engine="h5netcdf") as raw:
        assert "spike_unit" not in raw
        assert raw.row_size.attrs["sample_dimension"] == "spike"
        assert raw.unit.values.tolist() == [5, 7, 12, 900]
        assert raw.row_size.values.tolist() == [0, 350, 200, 40]
        second = raw.spike_time.values[:350]
    np.testing.assert_array_equal(second, np.sort(second))
    np.testing.assert_array_equal(second, spikes.spike_time.values[spikes.spike_unit.values == 7])


def test_zarr_has_the_layout_that_xarray_reads(spikes, tmp_path):
    zarr = pytest.importorskip("zarr")
    root = zarr.open_consolidated(str(save(spikes, tmp_path / "a.zarr")))
    assert root["spike_time"].attrs["_ARRAY_DIMENSIONS"] == ["spike"]
    assert set(root.attrs["coordinates"].split()) == {"depth", "shank", "label", "passes_sua"}
    assert root["spike_time"].dtype == np.float64


def test_a_loaded_unsynced_object_still_says_so(tmp_path):
    with pytest.warns(UserWarning, match="NOT SYNCHRONISED"):
        ds = build_spikes({1: [0.5]}, stream="imec0")
    for suffix in SUFFIXES:
        found = load(save(ds, tmp_path / f"a{suffix}"))
        assert found.attrs["synced"] == 0
        assert "NOT SYNCHRONISED" in repr(found)


def test_nothing_is_overwritten_unasked(spikes, tmp_path):
    for suffix in SUFFIXES:
        path = save(spikes, tmp_path / f"a{suffix}")
        with pytest.raises(ObjectError, match="exists"):
            save(spikes, path)
        smaller = select_units(spikes, [7])
        assert_identical(load(save(smaller, path, overwrite=True)), smaller)


def test_a_failed_save_leaves_what_was_there(spikes, tmp_path, monkeypatch):
    path = save(spikes, tmp_path / "a.nc")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(OSError, match="disk full"):
        save(select_units(spikes, [7]), path, overwrite=True)
    assert_identical(load(path), spikes)
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


def test_unknown_formats_missing_files_and_broken_objects_are_refused(spikes, tmp_path):
    with pytest.raises(ObjectError, match=r"ends in '\.csv'"):
        save(spikes, tmp_path / "a.csv")
    with pytest.raises(ObjectError, match="does not exist"):
        load(tmp_path / "b.nc")
    with pytest.raises(ObjectError, match="breaks the data model"):
        save(spikes.drop_vars("spike_unit"), tmp_path / "a.nc")
    with pytest.raises(ObjectError, match="Expected a dataset of kind"):
        save(xr.Dataset(), tmp_path / "a.nc")
