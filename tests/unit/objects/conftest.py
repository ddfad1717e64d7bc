import numpy as np
import pytest

from labdata.objects import build_events, build_spikes, build_trials, build_waveforms

SYNC = {"clock": "nidq", "sync_residual_max_s": 1.2e-5, "stream_sync_n_dropped": 1}


@pytest.fixture
def sync():
    return dict(SYNC)


@pytest.fixture
def spikes():
    """Four units, labels in no order, unit 5 silent, depths that sort differently."""
    rng = np.random.default_rng(3)
    trains = {12: 200, 5: 0, 7: 350, 900: 40}
    return build_spikes(
        {u: np.sort(rng.uniform(0, 60, n)) for u, n in trains.items()},
        stream="imec0",
        sync=SYNC,
        unit_coords={
            "depth": np.array([30.0, 10.0, 20.0, 40.0]),
            "shank": np.array([0, 1, 1, 2], dtype=np.int32),
            "label": np.array(["good", "noise", "good", "mua"]),
            "passes_sua": np.array([True, False, True, False]),
        },
        spike_vars={"spike_amplitude": np.arange(590, dtype=np.float32)},
        t_start_s=0.0,
        t_stop_s=60.0,
        sampling_rate_hz=30000.0,
        provenance={"parameter_set_num": 5, "key": {"subject_name": "JC1"}},
    )


@pytest.fixture
def events():
    times = np.array([1.0, 1.5, 1.2, 4.0])
    return build_events(
        times,
        [1, 0, 1, 1],
        stream="nidq",
        channel=["1", "1", "7", "1"],
        sample_index=np.array([25000, 37500, 30000, 100000]),
        sync=SYNC,
    )


@pytest.fixture
def trials():
    return build_trials(
        [0.5, 2.0, 3.5],
        [1.5, 3.0, 4.5],
        stream="bpod",
        sync=SYNC,
        trial=[3, 4, 9],
        times_s={"stim_time": [1.0, np.nan, 4.0]},
        variables={
            "response": (
                np.array([1, -1, 0], dtype=np.int8),
                {"flag_values": np.array([-1, 0, 1], np.int8), "flag_meanings": "right none left"},
            ),
            "rewarded": np.array([True, False, False]),
        },
        attrs={"trialset_description": "visual"},
    )


@pytest.fixture
def waveforms():
    """A unit on channels 1 to 4 of six, in two columns of one shank and one of another."""
    shape = np.array([0.0, -1.0, 0.5], dtype=np.float32)
    wave = shape[:, None] * np.array([40.0, 100.0, 30.0, 20.0])
    return build_waveforms(
        {7: (wave, np.array([1, 2, 3, 4]))},
        sampling_rate_hz=1000.0,
        n_before=1,
        stream="imec0",
        channel=np.arange(6, dtype=np.int32),
        channel_coords={
            "x": (np.array([0.0, 32, 0, 32, 250, 250]), {"units": "um"}),
            "depth": (np.array([0.0, 0, 15, 15, 0, 15]), {"units": "um"}),
            "shank": (np.array([0, 0, 0, 0, 1, 1]), {"units": "1"}),
        },
        unit_coords={},
    )
