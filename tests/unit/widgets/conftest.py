import numpy as np
import pytest

from labdata.objects import build_events, build_spikes

SYNC = {"clock": "nidq", "sync_headline": "nidq · 12 µs", "sync_residual_max_s": 12e-6}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def trains(rng):
    """Spike times by unit; labels are not positions, unit 40 is silent."""
    labels = [11, 4, 40, 7, 25]
    sizes = [400, 900, 0, 150, 600]
    return {u: np.sort(rng.uniform(0, 100, n)) for u, n in zip(labels, sizes, strict=True)}


@pytest.fixture
def spikes(trains, rng):
    n = sum(map(len, trains.values()))
    return build_spikes(
        np.concatenate(list(trains.values())),
        np.repeat(list(trains), [len(t) for t in trains.values()]),
        unit=list(trains),
        stream="imec0",
        sync=SYNC,
        t_start_s=0.0,
        t_stop_s=100.0,
        unit_coords={
            "depth": [300.0, 100.0, 200.0, np.nan, 50.0],
            "x": [0.0, 32.0, 0.0, 32.0, 0.0],
            "shank": [0, 0, 1, 1, 1],
            "passes_sua": np.array([1, 0, 0, 1, 1], dtype="int8"),
        },
        spike_vars={"spike_amplitude": rng.normal(100, 10, n).astype("float32")},
    )


@pytest.fixture
def onsets():
    """Events whose first and last window leave the recording."""
    return np.array([0.2, 10.0, 10.4, 33.3, 50.0, 71.25, 99.5])


@pytest.fixture
def events(onsets):
    times = np.concatenate([onsets, onsets + 0.1, np.arange(1.0, 99.0)])
    value = np.repeat([1, 0, 1], [len(onsets), len(onsets), 98])
    line = np.repeat(["1", "1", "7"], [len(onsets), len(onsets), 98])
    return build_events(times, value, stream="nidq", channel=line, sync={"clock": "nidq"})
