"""Motion of the tissue: estimated beside a sorting, stored, and returned on the clock.

The truth is made by hand: from a known second on, every channel records what the one two rows
lower would have, which is what tissue does that moves by two rows.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

import labdata
from labdata.errors import QueryError
from labdata.formats import spikeglx
from labdata.testing import ProbeSpec, write_spikeglx_run

pytest.importorskip("spikeinterface", reason="needs SpikeInterface")
pytestmark = [pytest.mark.sorting, pytest.mark.slow]

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
RUN = ["run", "spikeinterface", "-a", "JC1", "--sorter", "simple", "--n-jobs", "1"]
DURATION_S, MOVES_S = 24.0, 12.0


def move(folder, depth):
    """Move the tissue by two rows; return by how many um."""
    (path,) = folder.rglob("*.ap.bin")
    meta = spikeglx.read_meta(path)
    data = np.fromfile(path, "<i2").reshape(-1, meta.n_channels)
    rows = np.unique(depth)
    pitch = rows[2] - rows[0]
    columns = np.arange(len(depth))
    for row in range(len(rows)):
        mine = np.flatnonzero(depth == rows[row])
        below = np.flatnonzero(depth == rows[max(row - 2, 0)])
        columns[mine] = below[: len(mine)]
    first = round(MOVES_S * meta.sampling_rate_hz)
    data[first:, : len(depth)] = data[first:, columns]
    data.tofile(path)
    return float(pitch)


@pytest.fixture
def moved(lab_rig, tmp_path):
    probe = ProbeSpec("NP1000", n_channels=48, n_units=16)
    run = write_spikeglx_run(
        tmp_path, run_name="ephys", probes=[probe], duration_s=DURATION_S, seed=4
    )
    folder = lab_rig.record(run.run_folder)
    pitch = move(folder, run.probes[0].positions_um[:, 1])
    lab_rig.upload(lab_rig.put(folder))
    return lab_rig, pitch


def test_a_known_motion_is_found_stored_and_returned(moved, typed, told):
    lab_rig, pitch = moved
    lab = lab_rig.lab
    typed(*RUN)
    with pytest.raises(QueryError, match="No motion is stored"):
        labdata.motion(KEY)
    before = {name: len(table()) for name, table in {"s": lab.SpikeSorting}.items()}
    (said,) = told(*RUN, "--motion", "kilosort_like")
    assert "sorted already (set 1), motion of 1 shank added" in said["result"]
    assert "added" not in told(*RUN, "--motion", "kilosort_like")[0]["result"]
    assert {"s": len(lab.SpikeSorting())} == before and len(lab.SpikeSorting.Motion()) == 1

    found = labdata.motion(KEY)
    moved_um = found["displacement"].isel(shank=0).mean("depth")
    early = float(moved_um.sel(time=slice(0, MOVES_S - 2)).median())
    late = float(moved_um.sel(time=slice(MOVES_S + 2, None)).median())
    assert late - early == pytest.approx(pitch, abs=8.0)
    assert found.attrs["method"] == "kilosort_like" and found["shank"].values.tolist() == [0]
    assert found["displacement"].attrs["units"] == "um" and found.attrs["synced"] == 0

    lab.StreamSync.insert1(
        {
            **KEY,
            "stream_name": "imec0",
            "event_name": 6,
            "clock_dataset": KEY["dataset_name"],
            "clock_stream": "nidq",
            "clock_stream_event": 7,
        }
    )
    on_clock = labdata.motion(KEY)
    (stream,) = [("JC1", "20240305_100000", "ephys_g0", "imec0")]
    from labdata.schema.synchrony import stream_clocks

    clock = stream_clocks(lab, [stream])[stream]
    np.testing.assert_allclose(on_clock["time"], clock.apply(found["time"].values))
    assert on_clock.attrs["clock"] == "nidq"

    other = {**(lab.SpikeSorting & KEY).fetch1("KEY"), "motion_num": 9}
    lab.SpikeSorting.Motion.insert1(
        {
            **other,
            "motion_method": "old",
            "displacement": np.array([0.0, 5.0]),
            "displacement_times": np.array([1.0, 2.0]),
        }
    )
    with pytest.raises(QueryError, match="Several methods"):
        labdata.motion(KEY)
    old = labdata.motion(KEY, method="old")
    assert old["shank"].values.tolist() == [-1]  # of the whole probe
    assert old["displacement"].values.ravel().tolist() == [0.0, 5.0]


@pytest.mark.skipif(find_spec("torch") is None, reason="needs PyTorch: make test-kilosort")
@pytest.mark.parametrize("preset", ["dredge", "nonrigid_accurate"])
def test_estimators_on_pytorch_find_the_same(moved, told, preset):
    _, pitch = moved
    told(*RUN, "--motion", preset)
    found = labdata.motion(KEY)
    moved_um = found["displacement"].isel(shank=0).mean("depth")
    early = float(moved_um.sel(time=slice(0, MOVES_S - 2)).median())
    late = float(moved_um.sel(time=slice(MOVES_S + 2, None)).median())
    assert late - early == pytest.approx(pitch, abs=8.0)
    assert found.attrs["method"] == preset


def test_what_cannot_be_estimated_is_said_and_nothing_is_stored(lab_rig, typed, tmp_path):
    run = write_spikeglx_run(tmp_path, run_name="ephys", duration_s=4.0, n_channels=4, n_units=1)
    lab_rig.upload(lab_rig.put(lab_rig.record(run.run_folder)))
    said = typed(*RUN, "--motion", "kilosort_like", code=1).err
    assert "No shank has 8 channels" in said
    assert len(lab_rig.lab.SpikeSorting()) == 0
    if find_spec("torch") is None:  # said before anything is begun, not after the sorting
        said = typed(*RUN, "--motion", "dredge", code=1).err
        assert "The estimator dredge needs torch" in said and "kilosort_like" in said
    assert "invalid choice" in typed(*RUN, "--motion", "guess", code=2).err
