"""ipywidgets and Bokeh components for labdata: a model without display and a view each.

>>> from labdata_widgets import UnitExplorer  # doctest: +SKIP
>>> UnitExplorer(labdata.spikes(key), labdata.events(key))  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import Any

#: Public name -> module that defines it.
_PUBLIC = {
    "DashboardServer": "labdata_widgets.server",
    "ExplorerModel": "labdata_widgets.explorer.model",
    "SortingDashboard": "labdata_widgets.dashboard",
    "UnitExplorer": "labdata_widgets.explorer",
    "serve_dashboard": "labdata_widgets.server",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'labdata_widgets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
