"""The lab of the demo: folders as labdata expects them, small, the same every time."""

from __future__ import annotations

import hashlib
import importlib.util
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from labdata.formats.spikeglx import find_runs, read_digital_events
from labdata.testing import LabTruth, write_lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> LabTruth:
    folder = tmp_path_factory.mktemp("lab")
    return write_lab(folder, main_duration_s=9.0, short_duration_s=4.0)


def test_folders(lab: LabTruth) -> None:
    assert len(lab.subjects) == 2
    for session in lab.sessions:
        expected = lab.folder / session.subject_name / session.session_name / "ephys_g0"
        assert session.path == expected
        (run,) = find_runs(session.path)
        assert run.probe_nums == tuple(probe.probe_num for probe in session.run.probes)
        assert session.log_path.is_file()
        when = datetime.strptime(session.session_name, "%Y%m%d_%H%M%S")
        assert {meta.recorded for meta in run.streams} == {when}
    assert {len(session.run.probes) for session in lab.sessions} == {1, 2}
    assert all(
        sum(s.subject_name == subject for s in lab.sessions) >= 2 for subject in lab.subjects
    )
    assert lab.main.run.duration_s == 9.0


def test_nothing_in_the_folders_but_what_a_rig_writes(lab: LabTruth) -> None:
    suffixes = {path.suffix for path in lab.folder.rglob("*") if path.is_file()}
    assert suffixes == {".bin", ".meta", ".csv"}


def test_the_log_fits_the_pulses_of_every_session(lab: LabTruth) -> None:
    for session in lab.sessions:
        rows = session.log_path.read_text().splitlines()[1:]
        (run,) = find_runs(session.path)
        lines = {x.event_name: x for x in read_digital_events(run.stream("nidq").bin_path)}
        assert len(rows) == np.count_nonzero(lines["1"].values == 1)


def test_one_session_has_damaged_sync(lab: LabTruth) -> None:
    damaged = [s for s in lab.sessions if s.run.dropped_sync.size]
    assert len(damaged) == 1
    assert damaged[0].run.spurious_sync_s.size == 1
    assert damaged[0] is not lab.main


def test_first_samples_place_streams_against_each_other(lab: LabTruth) -> None:
    for session in lab.sessions:
        (run,) = find_runs(session.path)
        metas = {meta.stream_name: meta for meta in run.streams}
        nidq = metas["nidq"]
        assert nidq.first_sample > 0
        for probe in session.run.probes:
            meta = metas[f"imec{probe.probe_num}"]
            assert meta.first_sample > 0
            stated_s = (
                meta.first_sample / meta.sampling_rate_hz
                - nidq.first_sample / nidq.sampling_rate_hz
            )
            true_s = probe.clock.start_s - session.run.nidq.start_s
            assert abs(stated_s - true_s) < 2e-3


def test_the_sync_wave_alone_tells_no_pulse_from_the_next(lab: LabTruth) -> None:
    for session in lab.sessions:
        np.testing.assert_allclose(np.diff(session.run.sync_on_s), 1.0, atol=1e-9)


def test_twice_is_the_same(lab: LabTruth) -> None:
    def digests() -> dict[Path, tuple[str, int]]:
        return {
            path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
            for path in lab.folder.rglob("*")
            if path.is_file()
        }

    before = digests()
    again = write_lab(lab.folder, main_duration_s=9.0, short_duration_s=4.0)
    assert digests() == before
    for one, other in zip(lab.sessions, again.sessions, strict=True):
        np.testing.assert_array_equal(
            one.run.probes[0].spike_samples, other.run.probes[0].spike_samples
        )


@pytest.mark.slow
@pytest.mark.sorting
@pytest.mark.skipif(
    importlib.util.find_spec("spikeinterface") is None,
    reason="SpikeInterface is not installed: pip install 'labdata-jupyter[sorting]'",
)
def test_a_sorter_finds_nine_of_ten_units(tmp_path: Path) -> None:
    import spikeinterface as si
    from spikeinterface.comparison import compare_sorter_to_ground_truth
    from spikeinterface.extractors import read_spikeglx
    from spikeinterface.sorters import run_sorter

    main = write_lab(tmp_path / "lab", short_duration_s=2.0).main
    (probe,) = main.run.probes
    found = run_sorter(
        "spykingcircus2",
        read_spikeglx(main.path, stream_id="imec0.ap"),
        folder=tmp_path / "sorting",
        verbose=False,
        job_kwargs={"n_jobs": 2, "progress_bar": False},
    )
    truth = si.NumpySorting.from_samples_and_labels(
        [probe.spike_samples], [probe.spike_units], probe.clock.nominal_rate_hz
    )
    comparison = compare_sorter_to_ground_truth(truth, found, delta_time=0.4, exhaustive_gt=True)
    accuracy = comparison.get_performance()["accuracy"].to_numpy(float)
    assert accuracy.size == probe.n_units == 10
    assert (accuracy > 0.8).sum() >= 9, accuracy
