"""Recordings and runs of one folder are put in order and on one axis, or refused."""

from __future__ import annotations

import re
from datetime import datetime

import numpy as np
import pytest

from labdata.errors import RuleError
from labdata.formats import spikeglx
from labdata.rules.ephys_segments import check_alike, find_segments, main_streams
from labdata.testing import ProbeSpec, write_openephys_recording, write_spikeglx_run

PROBE = ProbeSpec("NP2013", n_channels=8)
LATER = datetime(2024, 3, 5, 11)


def write(folder, **options):
    return write_openephys_recording(folder, **{"probes": (PROBE,), "duration_s": 1.0} | options)


def test_recordings_go_on_and_experiments_begin_anew(tmp_path):
    parts = [
        write(tmp_path, start_s=12.5),
        write(tmp_path, recording=2, start_s=60.0, seed=1, duration_s=1.5),
        write(tmp_path, experiment=2, acquired=LATER, seed=2),
    ]
    streams = find_segments(tmp_path)
    check_alike(streams)
    assert [stream.first.name for stream in streams] == ["imec0.ap", "nidq"]
    for stream, folder in zip(
        streams, ["Neuropix-PXI-100.ProbeA", "NI-DAQmx-103.PXIe-6341"], strict=True
    ):
        axis = stream.axis
        np.testing.assert_array_equal(axis.n_samples, [30_000, 45_000, 30_000])
        np.testing.assert_array_equal(axis.offset_samples, [0, 30_000, 75_000])
        np.testing.assert_array_equal(axis.epoch, [0, 0, 1])
        # recorded, to the second: 10:00:00, 10:00:48, 11:00:00
        np.testing.assert_allclose(axis.start_s, [0, 47.5, 3600])
        rows = stream.rows()
        assert [row["first_sample"] for row in rows] == [375_000, 1_800_000, 375_000]
        assert stream.duration_s == 3.5
        for line in stream.digital_lines():
            bit = int(line.event_name)
            samples = [part.edges[folder][bit][0] for part in parts]
            np.testing.assert_array_equal(
                line.samples,
                np.concatenate([s + o for s, o in zip(samples, [0, 30_000, 75_000], strict=True)]),
            )
            np.testing.assert_allclose(line.timestamps, axis.to_seconds(line.samples), atol=1e-9)
            values = np.concatenate([part.edges[folder][bit][1] for part in parts])
            np.testing.assert_array_equal(line.values, values)


def test_one_recording_is_what_it_was(tmp_path):
    truth = write(tmp_path)
    for stream in find_segments(tmp_path):
        assert stream.axis.start_s.tolist() == [0.0]
        for line in stream.digital_lines():
            samples, _ = truth.edges[stream.first.entry.folder_name][int(line.event_name)]
            np.testing.assert_array_equal(line.timestamps, samples / 30_000.0)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"start_s": 12.9}, "cannot be placed in time"),  # within the first
        ({"probes": (ProbeSpec("NP2013", n_channels=16),)}, "numbers of channels of imec0"),
    ],
)
def test_recordings_that_do_not_go_on_are_refused(tmp_path, second, message):
    write(tmp_path)
    write(tmp_path, recording=2, **{"start_s": 60.0} | second)
    with pytest.raises(RuleError, match=message):
        find_segments(tmp_path)


def test_other_sites_are_refused(tmp_path):
    write(tmp_path)
    moved = ProbeSpec("NP2013", n_channels=8, shanks=(0, 1))
    write(tmp_path, experiment=2, acquired=LATER, probes=(moved,))
    with pytest.raises(RuleError, match=r"experiment1/recording1 and experiment2/.* sites or gai"):
        check_alike(find_segments(tmp_path))


def test_both_programs_in_one_folder_are_refused(tmp_path):
    write(tmp_path)
    write_spikeglx_run(tmp_path, duration_s=1.0, n_channels=4, n_units=1)
    with pytest.raises(
        RuleError, match="run_g0_t0 of SpikeGLX and experiment1/recording1 of Open"
    ):
        find_segments(tmp_path)


def test_a_folder_without_a_recording(tmp_path):
    with pytest.raises(RuleError, match="no SpikeGLX run and no Open Ephys"):
        find_segments(tmp_path)


def write_gate(folder, gate, first_s, created):
    """A gate of a run of SpikeGLX whose acquisition began `first_s` before it."""
    write_spikeglx_run(folder, duration_s=1.0, n_channels=4, n_units=1, created=created)
    made = folder / "run_g0"
    for meta in made.rglob("*.meta"):
        rate_hz = spikeglx.read_meta(meta).sampling_rate_hz
        text = re.sub(r"(?m)^firstSample=.*$", "", meta.read_text())
        meta.write_text(f"{text.rstrip()}\nfirstSample={round(first_s * rate_hz)}\n")
    for path in [p for p in made.rglob("*") if p.is_file()]:
        path.rename(path.with_name(path.name.replace("_g0_", f"_g{gate}_")))
    made.rename(folder / f"run_g{gate}")


@pytest.mark.parametrize(
    ("first_s", "created", "again"),
    [
        (60.0, "2024-03-05T10:00:58", False),  # within what dates to the second tell
        (3660.0, "2024-03-05T11:00:52", False),
        (60.0, "2024-03-05T10:00:00", False),  # equal dates tell nothing
        (100.0, "2024-03-05T15:00:00", True),
        (2.0, "2024-03-05T15:00:00", True),  # it would be put before the first
    ],
)
def test_a_run_that_was_started_again_under_its_name_is_refused(tmp_path, first_s, created, again):
    write_gate(tmp_path / "a", 0, 5.0, "2024-03-05T10:00:00")
    write_gate(tmp_path / "b", 1, first_s, created)
    if again:
        with pytest.raises(
            RuleError, match=r"was made -?1\d{4} s after .* by their first samples"
        ):
            find_segments(tmp_path)
        return
    for stream in find_segments(tmp_path):
        np.testing.assert_allclose(stream.axis.start_s, [0.0, first_s - 5.0], atol=1e-3)


def test_a_device_has_one_main_stream(tmp_path):
    probes = [ProbeSpec("NP1000", n_channels=4, n_units=1, probe_num=n) for n in (0, 1)]
    write_spikeglx_run(tmp_path, duration_s=1.0, probes=probes)
    for path in tmp_path.rglob("*imec1.ap.*"):
        path.unlink()
    streams = find_segments(tmp_path)
    assert [s.first.name for s in streams] == ["imec0.ap", "imec0.lf", "imec1.lf", "nidq"]
    assert [s.first.name for s in main_streams(streams)] == ["imec0.ap", "imec1.lf", "nidq"]
