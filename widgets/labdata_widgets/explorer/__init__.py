"""The unit explorer: a model without display, and its view in a notebook or a dashboard."""

from labdata_widgets.explorer.model import ExplorerModel, UnitView, event_choices
from labdata_widgets.explorer.view import UnitExplorer

__all__ = ["ExplorerModel", "UnitExplorer", "UnitView", "event_choices"]
