"""labdata: from raw recordings to labelled arrays on one clock.

``import labdata`` connects to nothing and imports nothing heavy; each public name is loaded when
it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0.dev0"

#: Public name -> module that defines it.
_PUBLIC = {
    "LabdataError": "labdata.errors",
    "align_spikes": "labdata.objects",
    "concat_spikes": "labdata.objects",
    "correlogram": "labdata.objects",
    "count_spikes": "labdata.objects",
    "cut_waveforms": "labdata.objects",
    "drift_map": "labdata.objects",
    "events": "labdata.access",
    "from_dataframe": "labdata.objects",
    "from_pynapple": "labdata.objects",
    "from_spikeinterface": "labdata.objects",
    "iter_units": "labdata.objects",
    "load": "labdata.objects",
    "motion": "labdata.access",
    "load_ipython_extension": "labdata.notebook",
    "load_project_schema": "labdata.schema",
    "onsets_of": "labdata.objects",
    "plot_correlograms": "labdata.objects",
    "plot_drift_map": "labdata.objects",
    "plot_probe": "labdata.objects",
    "plot_psth": "labdata.objects",
    "plot_raster": "labdata.objects",
    "plot_tuning_curve": "labdata.objects",
    "plot_unit_counts": "labdata.objects",
    "plot_waveform": "labdata.objects",
    "psth": "labdata.objects",
    "recording": "labdata.access",
    "restrict_time": "labdata.objects",
    "save": "labdata.objects",
    "select_units": "labdata.objects",
    "session_tree": "labdata.access",
    "spikes": "labdata.access",
    "spikes_of": "labdata.objects",
    "to_dataframe": "labdata.objects",
    "to_pynapple": "labdata.objects",
    "to_spikeinterface": "labdata.objects",
    "trials": "labdata.access",
    "tuning_curve": "labdata.objects",
    "validate": "labdata.objects",
    "waveforms": "labdata.access",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'labdata' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
