"""A whole session is saved in one file or folder, and loaded the same."""

import pytest
import xarray as xr

import labdata
from labdata.errors import ObjectError
from labdata.objects import build_spikes


@pytest.fixture
def tree(spikes, events, trials):
    other = build_spikes({}, stream="imec1", sync={"clock": "nidq"})
    root = xr.Dataset(attrs={"labdata_kind": "session", "labdata_schema": 1, "provenance": "{}"})
    return xr.DataTree.from_dict(
        {
            "/": root,
            "/spikes/imec0": spikes,
            "/spikes/imec1": other,
            "/events": events,
            "/trials/visual": trials,
        }
    )


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_session_goes_there_and_back(tree, tmp_path, suffix):
    path = labdata.save(tree, tmp_path / f"session{suffix}")
    found = labdata.load(path)
    assert [node.path for node in found.subtree] == [node.path for node in tree.subtree]
    for node in tree.subtree:
        assert found[node.path].to_dataset().identical(node.to_dataset()), node.path
    assert found.attrs == tree.attrs
    labdata.validate(found["spikes/imec0"].to_dataset())
    assert [p.name for p in tmp_path.iterdir()] == [f"session{suffix}"]
    with pytest.raises(ObjectError, match="exists"):
        labdata.save(tree, path)
    labdata.save(tree, path, overwrite=True)


def test_a_tree_that_is_no_session_is_refused(tree, tmp_path):
    del tree.attrs["labdata_kind"]
    with pytest.raises(ObjectError, match="kind None, not 'session'"):
        labdata.save(tree, tmp_path / "a.nc")


def test_each_part_is_checked(tree, tmp_path):
    tree["spikes/imec0"] = tree["spikes/imec0"].to_dataset().drop_vars("spike_time")
    with pytest.raises(ObjectError, match="spike_time is missing"):
        labdata.save(tree, tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []
