"""The spike sorting dashboard, for Voilà (:mod:`labdata_widgets.server`) or a notebook."""

from labdata_widgets.dashboard.model import SortingChoice
from labdata_widgets.dashboard.view import SortingDashboard

__all__ = ["SortingChoice", "SortingDashboard"]
