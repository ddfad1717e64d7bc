"""What a scientist holds: labelled xarray datasets on one clock. Needs no database.

Plain ``xarray.Dataset``s with a validated layout (:mod:`labdata.objects.validate`) and functions
that keep it; no subclass and no accessor, so that there is one way to do a thing.

>>> from labdata.objects import align_spikes, build_spikes, count_spikes
>>> sync = {"clock": "nidq"}
>>> spikes = build_spikes({3: [1.0, 1.2, 5.0], 9: []}, stream="imec0", sync=sync)
>>> counts = count_spikes(align_spikes(spikes, [1.1, 4.9], window_s=(-0.5, 0.5)), bin_s=0.5)
>>> counts["count"].sum("time").values.tolist()
[[2, 1], [0, 0]]
"""

from labdata.errors import PauseWarning, UnsyncedWarning
from labdata.objects.aligned import align_spikes, aligned_lists, count_spikes
from labdata.objects.converting import (
    from_pynapple,
    from_spikeinterface,
    to_pynapple,
    to_spikeinterface,
)
from labdata.objects.correlograms import correlogram
from labdata.objects.drift import drift_map
from labdata.objects.events import build_events, onsets_of
from labdata.objects.io import load, save
from labdata.objects.joining import concat_events, concat_spikes
from labdata.objects.mean_response import psth
from labdata.objects.plots import (
    plot_correlograms,
    plot_drift_map,
    plot_probe,
    plot_psth,
    plot_raster,
    plot_tuning_curve,
    plot_unit_counts,
    plot_waveform,
)
from labdata.objects.selecting import iter_units, restrict_time, select_units, spikes_of, tidy
from labdata.objects.snippets import cut_waveforms
from labdata.objects.spikes import build_spikes, wrap_spikes
from labdata.objects.tables import from_dataframe, to_dataframe
from labdata.objects.trials import build_trials
from labdata.objects.tuning import tuning_curve
from labdata.objects.validate import count_orphans, find_faults, validate
from labdata.objects.voltages import build_waveforms, wrap_recording

__all__ = [
    "PauseWarning",
    "UnsyncedWarning",
    "align_spikes",
    "aligned_lists",
    "build_events",
    "build_spikes",
    "build_trials",
    "build_waveforms",
    "concat_events",
    "concat_spikes",
    "correlogram",
    "count_orphans",
    "count_spikes",
    "cut_waveforms",
    "drift_map",
    "find_faults",
    "from_dataframe",
    "from_pynapple",
    "from_spikeinterface",
    "iter_units",
    "load",
    "onsets_of",
    "plot_correlograms",
    "plot_drift_map",
    "plot_probe",
    "plot_psth",
    "plot_raster",
    "plot_tuning_curve",
    "plot_unit_counts",
    "plot_waveform",
    "psth",
    "restrict_time",
    "save",
    "select_units",
    "spikes_of",
    "tidy",
    "to_dataframe",
    "to_pynapple",
    "to_spikeinterface",
    "tuning_curve",
    "validate",
    "wrap_recording",
    "wrap_spikes",
]
