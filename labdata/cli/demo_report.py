"""What the demo found, next to what is true."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..counted import show_size
from . import write
from .demo_lab import STIMULUS, DemoLab

if TYPE_CHECKING:
    import xarray as xr

_BLOCKS = " ▁▂▃▄▅▆▇█"
WINDOW_S, BIN_S = (-0.2, 0.6), 0.0125


def print_report(demo: DemoLab) -> None:
    """Print files, units, clocks and one response.

    Parameters
    ----------
    demo : DemoLab
        A finished demo.
    """
    from ..access import events, spikes

    data = spikes(demo.main_key, lab=demo.lab)
    found = events(demo.main_key, lab=demo.lab)
    write("")
    for title, text in (
        ("files", _files(demo)),
        ("units", _units(demo)),
        ("clock", _clock(demo, data)),
    ):
        write(f"  {title:<12} {text}")
    _psth(data, found)
    write(look_around(demo.folder, demo.truth.subjects, project=demo.lab.project))


def look_around(folder: Path, subjects: Sequence[str], *, project: str | None = None) -> str:
    """Return the lines that a user copies into a shell to go on from here.

    Parameters
    ----------
    folder : Path
        Of the demo; its name may have spaces.
    subjects : sequence of str
        Its subjects.
    project : str, optional
        The project that it was made in.
    """
    chosen = f" -p {project}" if project else ""
    return (
        f"\nLook around:  export LABDATA_PATH={shlex.quote(str(folder / 'labdata'))}\n"
        f"              labdata sessions -a {shlex.join(subjects)} --include-size{chosen}"
    )


def compare_with_truth(demo: DemoLab) -> tuple[int, int, float]:
    """Compare the sorted units with the true ones, by SpikeInterface.

    Parameters
    ----------
    demo : DemoLab
        A finished demo.

    Returns
    -------
    n_good, n_true, mean_accuracy : int, int, float
        Units found with an accuracy above 0.8, true units, mean accuracy over the true units.
    """
    from spikeinterface.comparison import compare_sorter_to_ground_truth
    from spikeinterface.core import NumpySorting

    probe = demo.truth.main.run.probes[0]
    rate_hz = float((demo.lab.EphysRecording.ProbeSetting & demo.main_key).fetch1("sampling_rate"))
    true = {int(u): probe.unit_samples(int(u)) for u in np.unique(probe.spike_units)}
    rows = (demo.lab.SpikeSorting.Unit & demo.main_key).fetch(
        "unit_id", "spike_times", as_dict=True
    )
    sorted_ = {int(row["unit_id"]): row["spike_times"] for row in rows}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        comparison = compare_sorter_to_ground_truth(
            NumpySorting.from_unit_dict([true], rate_hz),
            NumpySorting.from_unit_dict([sorted_], rate_hz),
            delta_time=0.4,
        )
    accuracy = comparison.get_performance()["accuracy"].to_numpy(dtype="float64")
    return int(np.sum(accuracy > 0.8)), len(true), float(accuracy.mean())


def spark(values: Any) -> str:
    """Return a row of block characters whose height is the value.

    Parameters
    ----------
    values : array_like
        Not negative.
    """
    heights = np.asarray(values, dtype="float64")
    top = heights.max() if heights.size and heights.max() > 0 else 1.0
    return "".join(_BLOCKS[round(h / top * (len(_BLOCKS) - 1))] for h in heights)


def _files(demo: DemoLab) -> str:
    stored = int(np.sum(demo.lab.File.fetch("file_size")))
    raw = int(np.sum(demo.lab.UploadJob.AssignedFiles.fetch("src_size")))
    n_raw = len(demo.lab.UploadJob.AssignedFiles())
    return (
        f"{n_raw} files, {show_size(raw)} put; {show_size(stored)} stored, "
        f"{raw / stored:.2f} times smaller, compared sample by sample"
    )


def _units(demo: DemoLab) -> str:
    n_good, n_true, accuracy = compare_with_truth(demo)
    n_found = len(demo.lab.SpikeSorting.Unit & demo.main_key)
    return (
        f"{n_found} found, {n_true} true; {n_good} of {n_true} with accuracy above 0.8 "
        f"(mean {accuracy:.3f}, SpikeInterface)"
    )


def _clock(demo: DemoLab, data: xr.Dataset) -> str:
    """Report the residual of the pulses, and the error against the truth."""
    run = demo.truth.main.run
    probe = run.probes[0]
    (row,) = (demo.lab.StreamSync & demo.main_key & {"stream_name": data.attrs["stream"]}).fetch(
        as_dict=True
    )
    clock_map = (demo.lab.StreamSync & row).clock_map()
    own_s = probe.spike_samples / data.attrs["sampling_rate_hz"]
    slope, offset = probe.clock.map_to(run.nidq)
    error_s = clock_map.apply(own_s) - (own_s * slope + offset)
    return (
        f"{clock_map.report.headline}; residual "
        f"{clock_map.report.residual_rms_s * 1e6:.1f} µs rms, drift "
        f"{clock_map.report.drift_ppm:+.1f} ppm; "
        f"true error {np.abs(error_s).max() * 1e6:.1f} µs at most"
    )


def _psth(data: xr.Dataset, found: xr.Dataset) -> None:
    from ..objects import align_spikes, count_spikes, onsets_of

    onsets = onsets_of(found, STIMULUS, stream="nidq")
    psth = count_spikes(align_spikes(data, onsets, window_s=WINDOW_S), bin_s=BIN_S)
    rate = psth["rate"].mean("trial")
    after = rate.where(psth["time"] > 0, drop=True).max("time")
    before = rate.where(psth["time"] < 0, drop=True).mean("time")
    unit = int(psth["unit"].values[int((after - before).values.argmax())])
    shown = rate.sel(unit=unit).values
    n_before = int(np.sum(psth["time"].values < 0))
    write(f"  response     unit {unit} around {len(onsets)} stimuli, {shown.max():.0f} Hz at most")
    write(f"               {spark(shown[:n_before])}│{spark(shown[n_before:])}")
    edges = f"{WINDOW_S[0]:g} s"
    write(f"               {edges:<{n_before}}0{WINDOW_S[1]:>{len(shown) - n_before}g} s")
