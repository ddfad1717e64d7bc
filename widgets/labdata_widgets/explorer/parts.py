"""The parts that are not plots: the bar, the units table, and Bokeh in a notebook.

They are written for the browser (``static/``) where ipywidgets has no fitting control: a table of
dense rows that answers keys, and a bar with fields that validate as one types. Their traits mirror
the model; they decide nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import anywidget
from jupyter_bokeh import BokehModel
from traitlets import Bool, Dict, Float, Int, List, Unicode

STATIC = Path(__file__).parent / "static"


class ControlBar(anywidget.AnyWidget):
    """Event, window, bin, clock badge, save and help."""

    _esm = STATIC / "bar.js"
    _css = STATIC / "explorer.css"
    events = List(Dict()).tag(sync=True)
    event = Unicode("").tag(sync=True)
    start_s = Float(-0.5).tag(sync=True)
    stop_s = Float(1.0).tag(sync=True)
    bin_s = Float(0.01).tag(sync=True)
    course = Unicode("amplitude").tag(sync=True)
    badge = Dict().tag(sync=True)
    caption = Unicode("").tag(sync=True)
    file_name = Unicode("unit").tag(sync=True)
    dark = Bool(False).tag(sync=True)


class UnitTable(anywidget.AnyWidget):
    """The list of units; keys and clicks choose one."""

    _esm = STATIC / "table.js"
    columns = List(Dict()).tag(sync=True)
    data = Dict().tag(sync=True)
    order = List(Int()).tag(sync=True)
    unit = Int(None, allow_none=True).tag(sync=True)
    sort_by = Unicode("unit").tag(sync=True)
    descending = Bool(False).tag(sync=True)
    has_verdicts = Bool(False).tag(sync=True)
    sua_only = Bool(False).tag(sync=True)
    where = Unicode("").tag(sync=True)
    where_problem = Unicode("").tag(sync=True)
    empty = Unicode("").tag(sync=True)


class Headline(anywidget.AnyWidget):
    """One line on what is shown, and one on what to know about it; read by screen readers."""

    _esm = STATIC / "headline.js"
    text = Unicode("").tag(sync=True)
    note = Unicode("").tag(sync=True)
    amber = Bool(False).tag(sync=True)
    loading = Bool(False).tag(sync=True)


class LiveBokeh(BokehModel):  # type: ignore[misc]
    """A Bokeh model whose state is that of now, for a page that asks for it later.

    jupyter_bokeh describes the model as it was when it was wrapped. A Voilà page, or a second
    view, asks for the state after the data were set, and would show empty figures.
    """

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the widget's state with a fresh description of the Bokeh model."""
        wanted = key is None or "render_bundle" in ({key} if isinstance(key, str) else set(key))
        if wanted and hasattr(self, "_model"):
            self._trait_values["render_bundle"] = self._model_to_traits(self._model)
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        return state


@cache
def load_bokeh() -> None:
    """Give BokehJS to the page, from this installation and not from the network.

    Notebooks that are saved with their outputs grow by the size of BokehJS (8 MB).
    """
    from bokeh.io import output_notebook
    from bokeh.resources import INLINE

    output_notebook(INLINE, hide_banner=True)
