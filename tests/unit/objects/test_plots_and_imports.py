import subprocess
import sys

import numpy as np
import pytest

from labdata.objects import plot_raster


def test_a_raster_has_a_tick_a_spike_and_a_row_a_trial():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, ax = pyplot.subplots()
    try:
        trials = [np.array([0.1, 0.2]), np.array([]), [-0.3]]
        assert plot_raster(trials, markersize=3, ax=ax) is ax
        x, y = ax.lines[0].get_data()
        assert x.tolist() == [0.1, 0.2, -0.3]
        assert y.tolist() == [0, 0, 2]
        assert ax.lines[0].get_markersize() == 3
        assert ax.get_ylim() == (-0.5, 2.5)
        plot_raster([], ax=ax)
    finally:
        pyplot.close(figure)


@pytest.mark.parametrize(
    ("package", "unwanted"),
    [
        ("labdata.clocks", ["scipy", "pandas", "xarray", "datajoint"]),
        ("labdata.objects", ["datajoint", "matplotlib", "zarr", "h5netcdf", "labdata.schema"]),
    ],
)
def test_importing_brings_in_nothing_heavy(package, unwanted):
    code = f"import sys, {package}; print(*[m for m in {unwanted} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
