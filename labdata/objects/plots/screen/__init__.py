"""The same plots for a screen, with Bokeh: they are moved, zoomed, and name what is pointed at."""

from labdata.objects.plots.screen.correlograms import draw_correlograms
from labdata.objects.plots.screen.counts import draw_unit_counts
from labdata.objects.plots.screen.pictures import draw_drift_map, draw_psth_picture
from labdata.objects.plots.screen.probe import draw_probe, draw_waveform
from labdata.objects.plots.screen.responses import draw_psth_lines, draw_raster
from labdata.objects.plots.screen.tuning import draw_tuning_curve

__all__ = [
    "draw_correlograms",
    "draw_drift_map",
    "draw_probe",
    "draw_psth_lines",
    "draw_psth_picture",
    "draw_raster",
    "draw_tuning_curve",
    "draw_unit_counts",
    "draw_waveform",
]
