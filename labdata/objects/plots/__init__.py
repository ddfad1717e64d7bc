"""One call a plot: for papers with matplotlib, for screens with Bokeh (``backend="bokeh"``).

Each takes an object of labdata and returns the axes, or Bokeh's figure. Axes are named with their
units, times with their clock; data that are not synchronised wear an amber note. Colours are those
of Okabe and Ito for categories and viridis for numbers, which the colour-blind tell apart.
"""

from labdata.objects.plots.correlograms import plot_correlograms
from labdata.objects.plots.counts import plot_unit_counts
from labdata.objects.plots.drift import plot_drift_map
from labdata.objects.plots.probe import plot_probe, plot_waveform
from labdata.objects.plots.raster import plot_raster
from labdata.objects.plots.responses import plot_psth
from labdata.objects.plots.tuning import plot_tuning_curve

__all__ = [
    "plot_correlograms",
    "plot_drift_map",
    "plot_probe",
    "plot_psth",
    "plot_raster",
    "plot_tuning_curve",
    "plot_unit_counts",
    "plot_waveform",
]
