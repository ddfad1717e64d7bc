"""The steps of spikes.py, each run in a process of its own: by labdata's python or by a peer's."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

#: Units, spikes a unit, seconds, samples a second of the probe and of the NI-DAQ.
N_UNITS, N_SPIKES, DURATION_S, RATE_HZ, NIDQ_HZ = 600, 40_000, 3600.0, 30_000.0, 25_000.0
SESSION = {"subject_name": "JC1", "session_name": "20250601_100000"}
KEY = {**SESSION, "dataset_name": "ephys_g0"}
SORTING = {**KEY, "probe_num": 0, "parameter_set_num": 5}
#: A sorting of 50 million spikes.
LARGE, N_LARGE = {**SORTING, "parameter_set_num": 6}, 50_000_000
WINDOW_S = (0.5, 1.5)


def trains() -> Iterator[np.ndarray]:
    """Yield the samples of each unit."""
    rng = np.random.default_rng(0)
    for _ in range(N_UNITS):
        yield np.sort(rng.integers(0, int(RATE_HZ * DURATION_S), N_SPIKES))


def edges(rate_hz: float, ppm: float) -> np.ndarray:
    """Return the samples of both edges of a 1 Hz wave, by a clock that is off by ppm."""
    return np.round(np.arange(0.25, DURATION_S, 0.5) * rate_hz * (1 + ppm * 1e-6) + 3).astype("i8")


def measured(work: Callable[[], Any], touch: Callable[[Any], float]) -> dict[str, float]:
    """Return the seconds of some work with all its values touched, and the bytes it added."""
    own = Path("/proc/self")
    before = int((own / "statm").read_text().split()[1]) * resource.getpagesize()
    (own / "clear_refs").write_text("5")  # the peak begins anew
    began = time.perf_counter()
    touch(work())
    seconds = time.perf_counter() - began
    lines = (own / "status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM")]
    return {"seconds": seconds, "bytes": int(line.split()[1]) * 1024 - before}


def fill() -> dict[str, Any]:
    """Fill a lab of labdata."""
    from labdata.progress import ignore_progress
    from labdata.schema import default_lab as lab
    from labdata.testing.bulk_results import insert_recordings
    from labdata.testing.rows import insert_dataset

    lab.create()
    insert_dataset(lab)
    insert_recordings(lab, [tuple(KEY.values())], ignore_progress)
    n_samples = int(RATE_HZ * DURATION_S)
    lab.EphysRecording.ProbeSetting.update1({**KEY, "probe_num": 0, "n_samples": n_samples})
    for stream, line, rate, ppm in (("imec0", "6", RATE_HZ, 12.0), ("nidq", "7", NIDQ_HZ, -30.0)):
        samples = edges(rate, ppm)
        described = {"sampling_rate": rate, "n_samples": int(DURATION_S * rate)}
        lab.DatasetEvents.insert1({**KEY, "stream_name": stream, **described})
        lab.DatasetEvents.Digital.insert1(
            {
                **KEY,
                "stream_name": stream,
                "event_name": line,
                "event_timestamps": samples / rate,
                "event_values": np.tile([1, 0], len(samples) // 2).astype("int8"),
                "event_samples": samples,
            }
        )
    pair = {"stream_name": "imec0", "event_name": "6", "clock_dataset": KEY["dataset_name"]}
    lab.StreamSync.insert1(KEY | pair | {"clock_stream": "nidq", "clock_stream_event": "7"})
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": 5,
            "algorithm_name": "none",
            "parameters_dict": {},
            "parameters_hash": "0" * 64,
        }
    )
    lab.SpikeSorting.insert1({**SORTING, "n_sorted_units": N_UNITS})
    for unit, samples in enumerate(trains()):
        lab.SpikeSorting.Unit.insert1({**SORTING, "unit_id": unit, "spike_times": samples})
    fill_large(lab)
    return {}


def fill_large(lab: Any) -> None:
    """Insert a sorting of 50 million spikes."""
    from labdata.database.codecs import SpikeTrainCodec

    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": 6,
            "algorithm_name": "none",
            "parameters_dict": {"large": True},
            "parameters_hash": "1" * 64,
        }
    )
    lab.SpikeSorting.insert1({**LARGE, "n_sorted_units": N_LARGE // N_SPIKES})
    table = lab.SpikeSorting.Unit
    values = [SORTING[name] for name in table.primary_key[:-2]]
    stored = [SpikeTrainCodec().encode(train) for train, _ in zip(trains(), range(50))]  # noqa: B905
    for unit in range(N_LARGE // N_SPIKES):
        names = ", ".join(f"`{name}`" for name in [*table.primary_key, "spike_times"])
        lab.connection.query(
            f"INSERT INTO {table.full_table_name} ({names}) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [*values, 6, unit, stored[unit % 50]],
        )


def get_spike_times() -> dict[str, float]:
    """Read spike times as the user guide does."""
    from labdata.schema import Session, SpikeSorting

    Session().fetch("KEY")  # connected
    import_readers()
    return measured(
        lambda: (SpikeSorting.Unit & SORTING).get_spike_times(),
        lambda units: sum(unit["spike_times"].sum() for unit in units),
    )


def import_readers() -> None:
    """Import what reads spikes; the seconds and the memory of a step are those beyond it."""
    import numcodecs.blosc  # noqa: F401

    import labdata
    import labdata.access.columns
    import labdata.clocks
    import labdata.objects
    import labdata.schema.placed_sorting

    labdata.spikes  # noqa: B018  (imports it)


def spikes() -> dict[str, float]:
    """Read them as a labelled dataset, units and times of all spikes."""
    import labdata
    from labdata.schema import Session

    Session().fetch("KEY")
    import_readers()
    return measured(
        lambda: labdata.spikes(SORTING),
        lambda ds: ds["spike_time"].values.sum() + ds["spike_unit"].values.sum(),
    )


def large() -> dict[str, float]:
    """Read 50 million spikes, all touched."""
    return read_large(lambda ds: ds["spike_time"].values.sum() + ds["spike_unit"].values.sum())


def large_open() -> dict[str, float]:
    """Open 50 million spikes, and look at one."""
    return read_large(lambda ds: float(ds["spike_time"][N_LARGE // 2]))


def read_large(touch: Callable[[Any], float]) -> dict[str, float]:
    """Measure reading the large sorting."""
    import labdata
    from labdata.schema import Session

    Session().fetch("KEY")
    import_readers()
    return measured(lambda: labdata.spikes(LARGE), touch)


def old_fill() -> dict[str, Any]:
    """Fill a lab of the published labdata 0.1.25."""
    from datetime import date, datetime

    from labdata import schema as old

    old.LabMember.insert1({"user_name": "couto", "date_joined": date(2019, 4, 1)})
    subject = {"subject_name": "JC1", "subject_dob": date(2025, 4, 8), "subject_sex": "M"}
    old.Species.insert1({"species_name": "mouse", "species_scientific_name": "Mus musculus"})
    old.Strain.insert1({"strain_name": "B6", "species_name": "mouse"})
    old.Subject.insert1({**subject, "strain_name": "B6", "user_name": "couto"})
    old.Session.insert1({**SESSION, "session_datetime": datetime(2025, 6, 1, 10)})
    old.Dataset.insert1(KEY)
    probe = {"probe_id": "p1"}
    old.Probe.insert1(
        {**probe, "probe_type": "24", "probe_n_shanks": 1, "probe_recording_channels": 384}
    )
    sites = {"channel_idx": np.arange(4), "channel_shank": np.zeros(4)}
    old.ProbeConfiguration.insert1(
        {
            **probe,
            **sites,
            "configuration_id": 1,
            "probe_n_channels": 4,
            "probe_gain": 2.3,
            "channel_coords": np.zeros((4, 2)),
        }
    )
    direct = {"allow_direct_insert": True}
    recording = {"n_probes": 1, "recording_duration": DURATION_S, "recording_software": "x"}
    old.EphysRecording.insert1({**KEY, **recording}, **direct)
    setting = {"probe_num": 0, **probe, "configuration_id": 1, "sampling_rate": RATE_HZ}
    old.EphysRecording.ProbeSetting.insert1({**KEY, **setting}, **direct)
    # as its sorter writes them: onsets of the probe in samples, the NI-DAQ's edges in seconds
    rises = edges(RATE_HZ, 12.0)[::2].astype("uint64")
    there = edges(NIDQ_HZ, -30.0) / NIDQ_HZ
    values = np.tile([1, 0], len(there) // 2).astype("uint8")
    for stream, event, times, levels in (
        ("imec0", "file0_sync_onsets", rises, None),
        ("nidq", "7", there, values),
    ):
        old.DatasetEvents.insert1({**KEY, "stream_name": stream}, **direct)
        row = {"event_name": event, "event_timestamps": times, "event_values": levels}
        old.DatasetEvents.Digital.insert1({**KEY, "stream_name": stream, **row}, **direct)
    pair = {"stream_name": "imec0", "event_name": "file0_sync_onsets"}
    clock = {"clock_dataset": KEY["dataset_name"], "clock_stream": "nidq"}
    old.StreamSync.insert1({**KEY, **pair, **clock, "clock_stream_event": "7"})
    old.SpikeSortingParams.insert1(
        {"parameter_set_num": 5, "algorithm_name": "none", "parameters_dict": "{}"}
    )
    old.SpikeSorting.insert1({**SORTING, "n_sorted_units": N_UNITS})
    for unit, samples in enumerate(trains()):
        row = {"unit_id": unit, "spike_times": samples.astype("uint64")}
        old.SpikeSorting.Unit.insert1({**SORTING, **row})
    return {}


def old_read() -> dict[str, float]:
    """Read spike times with the published labdata 0.1.25."""
    import scipy.interpolate  # noqa: F401

    from labdata import schema as old

    old.Session().fetch("KEY")
    return measured(
        lambda: (old.SpikeSorting.Unit & SORTING).get_spike_times(),
        lambda units: sum(unit["spike_times"].sum() for unit in units),
    )


def codec() -> dict[str, str]:
    """Measure the room and the speed of stored trains."""
    from labdata.database.codecs import SpikeTrainCodec, decode_array

    samples = [train for train, _ in zip(trains(), range(50), strict=False)]
    stored = [SpikeTrainCodec().encode(train) for train in samples]
    out, took = np.empty(N_SPIKES, "int64"), []
    for _ in range(20):
        began = time.perf_counter()
        for data in stored:
            decode_array(data, out=out)
        took.append(time.perf_counter() - began)
    n_bytes = sum(train.nbytes for train in samples)
    size = sum(map(len, stored)) / (n_bytes / 8)
    return {
        "stored trains:": f"{size:.2f} bytes a spike",
        "decoded at": f"{n_bytes / min(took) / 1e9:.2f} GB/s on one core",
    }


def align() -> dict[str, Any]:
    """Put spikes around events, and compare with the user guide's loop."""
    from labdata.objects import align_spikes, aligned_lists, build_spikes

    with np.load(os.environ["BENCH_EVENTS"]) as content:
        ts, events = list(content["trains"]), content["events"]
    ds = build_spikes(dict(enumerate(ts)), stream="imec0", sync={"clock": "nidq"})
    took = []
    for _ in range(7):
        began = time.perf_counter()
        aligned = align_spikes(ds, events, window_s=(-WINDOW_S[0], WINDOW_S[1]))
        took.append(time.perf_counter() - began)
    tpre, tpost = WINDOW_S
    began = time.perf_counter()
    triggered = []
    for sp in ts:
        triggered.append([sp[(sp > (p - tpre)) & (sp < (p + tpost))] - p for p in events])
    loop = time.perf_counter() - began
    # no random spike is at the edge of a window, where half-open and open ones differ
    equal = all(
        np.array_equal(mine, its)
        for unit in range(len(ts))
        for mine, its in zip(aligned_lists(aligned, unit), triggered[unit], strict=True)
    )
    return {"seconds": sorted(took)[len(took) // 2], "loop": loop, "equal": equal}


def pynapple() -> dict[str, float]:
    """Do the same with pynapple."""
    import pynapple as nap

    with np.load(os.environ["BENCH_EVENTS"]) as content:
        group = nap.TsGroup({i: nap.Ts(t) for i, t in enumerate(content["trains"])})
        events = nap.Ts(content["events"])
    began = time.perf_counter()
    nap.compute_perievent(group, events, (-WINDOW_S[0], WINDOW_S[1]))
    return {"seconds": time.perf_counter() - began}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(globals()[sys.argv[1]]()) + "\n")
