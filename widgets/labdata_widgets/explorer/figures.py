"""The Bokeh figures of the explorer: made once, then only their data sources change.

Text, axes and backgrounds take their colours from CSS variables of the page (Bokeh reads
``--bk-*`` when it paints), so that light and dark need nothing from Python. Marks cannot, and
have a colour of each theme.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.layouts import column
from bokeh.models import (
    BoxZoomTool,
    ColumnDataSource,
    CustomJS,
    HoverTool,
    Label,
    LinearColorMapper,
    PanTool,
    Range1d,
    ResetTool,
    Span,
    TapTool,
    WheelZoomTool,
)
from bokeh.plotting import figure
from bokeh.transform import dodge

from labdata_widgets.explorer.counts import COUNTS, add_image, counted, no_image, told
from labdata_widgets.explorer.marks import MAX_MARKS
from labdata_widgets.explorer.model import UnitView
from labdata_widgets.explorer.trials import AlignedUnit

#: Okabe-Ito colours, and a grey for text, by theme.
LIGHT = {"mark": "#0072B2", "chosen": "#D55E00", "failing": "#6b7078", "line": "#8a8f98"}
DARK = {"mark": "#56B4E9", "chosen": "#E69F00", "failing": "#8d939c", "line": "#767c86"}

#: Cells of an aggregated plot: rows at most, columns.
CELLS = (120, 300)
_LEFT = 58
_RATE = ("x", "right", "mean", "low", "high", "sem")


class UnitFigures:
    """Raster, PSTH and course over time of one unit.

    Attributes
    ----------
    root : bokeh.models.Column
        All three, one above the other; time axes of raster and PSTH are linked.
    """

    def __init__(self) -> None:
        around = Range1d(-0.5, 1.0)
        self.raster = _figure("Trial", x_range=around, y_range=Range1d(0.5, 1.5))
        self.raster.xaxis.visible = False
        self.raster.yaxis.ticker.min_interval = 1  # trials are whole
        self.psth = _figure("Rate (Hz)", x_range=around, y_range=Range1d(0, 1), height=176)
        self.course = _figure("", x_range=Range1d(0, 1), y_range=Range1d(0, 1), height=158)
        self._marks: list[Any] = []
        self._lines: list[Any] = []
        self._draw_raster()
        self._draw_psth()
        self._draw_course()
        self.root = column(
            self.raster, self.psth, self.course, sizing_mode="stretch_both", spacing=2
        )
        self.paint(LIGHT)

    def show(self, view: UnitView | None, *, event: str, clock: str, course: str) -> str:
        """Draw a unit; return what was aggregated, in words.

        Parameters
        ----------
        view : UnitView or None
            None empties the figures.
        event, clock : str
            Named on the axes.
        course : str
            ``amplitude`` or ``depth``.

        Returns
        -------
        str
            What was aggregated; empty if nothing was.
        """
        aligned = view.aligned if view else None
        for fig in (self.raster, self.psth):
            _number(fig, aligned is not None)
        _say(self._raster_note, _why_not_aligned(view, event))
        notes = [
            self._show_aligned(aligned, event),
            self._show_course(view, clock, course),
        ]
        return " ".join(n for n in notes if n)

    def paint(self, colours: Mapping[str, str]) -> None:
        """Colour the marks for a theme.

        Parameters
        ----------
        colours : mapping
            ``LIGHT`` or ``DARK``.
        """
        for renderer, attribute in self._marks:
            setattr(renderer.glyph, attribute, colours["mark"])
        for line in self._lines:
            line.line_color = colours["line"]
        palette = COUNTS["dark" if colours is DARK else "light"]
        for fig in (self.raster, self.course):
            for mapper in fig.select(LinearColorMapper):
                mapper.palette = palette

    def resend(self) -> None:
        """Send all data once more, to a page that was not there when they changed."""
        for source in (self._spikes, self._rate, self._over, *self._images):
            source.data = dict(source.data)

    def _draw_raster(self) -> None:
        fig = self.raster
        self._spikes = ColumnDataSource({"x": [], "trial": []})
        ticks = fig.segment(
            "x",
            dodge("trial", -0.42),
            "x",
            dodge("trial", 0.42),
            source=self._spikes,
            line_width=1.2,
        )
        self._marks.append((ticks, "line_color"))
        self._images = [add_image(fig)]
        self._lines.append(_event_line(fig))
        self._raster_note = _note(fig)
        tips = [("time", "@x{0.0000} s"), ("trial", "@trial")]
        fig.add_tools(HoverTool(renderers=[ticks], tooltips=tips, point_policy="snap_to_data"))

    def _draw_psth(self) -> None:
        fig = self.psth
        self._rate = ColumnDataSource({n: [] for n in _RATE})
        # not varea_step: Bokeh 3.9 never returns from drawing one without points
        band = fig.quad(
            "x", "right", "low", "high", source=self._rate, fill_alpha=0.25, line_color=None
        )
        line = fig.step("x", "mean", source=self._rate, mode="after", line_width=1.6)
        self._marks += [(band, "fill_color"), (line, "line_color")]
        self._lines.append(_event_line(fig))
        tips = [("from", "@x{0.000} s"), ("mean ± s.e.m.", "@mean{0.00} ± @sem{0.00} Hz")]
        fig.add_tools(HoverTool(renderers=[line], tooltips=tips, mode="vline", line_policy="prev"))

    def _draw_course(self) -> None:
        fig = self.course
        self._over = ColumnDataSource({"x": [], "y": []})
        dots = fig.scatter("x", "y", source=self._over, size=2.5, fill_alpha=0.55, line_color=None)
        self._marks.append((dots, "fill_color"))
        self._images.append(add_image(fig))
        self._course_note = _note(fig)
        tips = [("time", "@x{0.000} s"), ("value", "@y{0.0}")]
        fig.add_tools(HoverTool(renderers=[dots], tooltips=tips))

    def _show_aligned(self, aligned: AlignedUnit | None, event: str) -> str:
        if aligned is None:
            self._spikes.data = {"x": [], "trial": []}
            self._images[0].data = no_image()
            self._rate.data = {n: [] for n in _RATE}
            return ""
        _say(self._raster_note, "" if len(aligned.relative_s) else "No spikes in this window")
        window = (float(aligned.edge_s[0]), float(aligned.edge_s[-1]))
        trials = (0.5, aligned.n_trials + 0.5)
        _span(self.raster.x_range, *window)
        _span(self.raster.y_range, *trials)
        many = len(aligned.relative_s) > MAX_MARKS
        points = {"x": aligned.relative_s, "trial": aligned.trial}
        shape = (min(CELLS[0], max(aligned.n_trials, 1)), CELLS[1])
        self._images[0].data = (
            counted(points["x"], points["trial"], window, trials, shape) if many else no_image()
        )
        self._spikes.data = {n: [] for n in points} if many else points
        mean, sem = aligned.mean_hz, aligned.sem_hz
        error = np.nan_to_num(sem)
        steps = {
            "mean": mean,
            "low": np.maximum(mean - error, 0),
            "high": mean + error,
            "sem": sem,
        }
        # a step needs the end of its last bin
        edges = {"x": aligned.edge_s, "right": np.append(aligned.edge_s[1:], aligned.edge_s[-1])}
        self._rate.data = edges | {n: np.append(v, v[-1]) for n, v in steps.items()}
        top = float(np.nanmax(mean + error)) if np.isfinite(mean).any() else 0.0
        _span(self.psth.y_range, 0.0, 1.08 * top if top > 0 else 1.0)
        _name(self.psth.xaxis[0], f"Time from {event} (s)")
        return told("raster", len(aligned.relative_s), shape) if many else ""

    def _show_course(self, view: UnitView | None, clock: str, course: str) -> str:
        _name(self.course.xaxis[0], f"Time on {clock} (s)" if clock else "Time (s)")
        _name(
            self.course.yaxis[0],
            "Amplitude (µV)" if course == "amplitude" else "Depth (µm)",
        )
        values = view.values.get(course) if view else None
        if view is None or values is None or not len(values):
            _number(self.course, False)
            self._over.data = {"x": [], "y": []}
            self._images[1].data = no_image()
            _say(
                self._course_note,
                f"labdata.spikes(key, with_=['{course}']) shows it" if view else "",
            )
            return ""
        _say(self._course_note, "")
        _number(self.course, True)
        spans = (_extent(view.time_s, 0.0), _extent(values, 0.05))
        _span(self.course.x_range, *spans[0])
        _span(self.course.y_range, *spans[1])
        many = len(values) > MAX_MARKS
        shape = (CELLS[0] // 2, CELLS[1])
        self._images[1].data = counted(view.time_s, values, *spans, shape) if many else no_image()
        self._over.data = {"x": [], "y": []} if many else {"x": view.time_s, "y": values}
        return told(course, len(values), shape) if many else ""


class ProbeMap:
    """Where units lie on the probe; a click chooses one.

    Attributes
    ----------
    root : bokeh.plotting.figure
    on_choice : callable or None
        Called with the label of the unit that was clicked.
    """

    def __init__(self) -> None:
        self.on_choice: Callable[[int], None] | None = None
        self.root = _figure(
            "Depth from tip (µm)", x_range=Range1d(0, 1), y_range=Range1d(0, 1), left=50
        )
        self.root.xaxis.axis_label = "x (µm)"
        self.root.xaxis.ticker.desired_num_ticks = 3
        self._units = ColumnDataSource(
            {n: [] for n in ("x", "y", "unit", "marker", "color", "alpha")}
        )
        dots = self.root.scatter(
            "x",
            "y",
            source=self._units,
            marker="marker",
            size=7,
            line_color="color",
            fill_color="color",
            line_alpha="alpha",
            fill_alpha="alpha",
        )
        dots.nonselection_glyph = dots.selection_glyph = None
        self._chosen = ColumnDataSource({"x": [], "y": []})
        self._ring = self.root.scatter(
            "x", "y", source=self._chosen, size=15, fill_color=None, line_width=2.5
        )
        self._note = _note(self.root)
        tips = [("unit", "@unit"), ("depth", "@y{0} µm"), ("x", "@x{0} µm")]
        self.root.add_tools(HoverTool(renderers=[dots], tooltips=tips), TapTool(renderers=[dots]))
        self._units.selected.on_change("indices", self._clicked)
        self._colours: Mapping[str, str] = LIGHT
        self._table, self._listed = pd.DataFrame(), frozenset[int]()
        self.paint(LIGHT)

    def show_units(self, table: pd.DataFrame, listed: Sequence[int]) -> None:
        """Draw all units; those that are not listed are faint.

        Parameters
        ----------
        table : pandas.DataFrame
            See :func:`labdata_widgets.explorer.units.unit_table`.
        listed : sequence of int
            Labels of the units in the list.
        """
        moved = table is not self._table
        self._table, self._listed = table, frozenset(listed)
        placed = len(table) > 0 and not table["depth_um"].isna().all()
        _number(self.root, placed)
        if not placed:
            self._units.data = {n: [] for n in self._units.data}
            _say(self._note, "No positions" if len(table) else "")
            return
        _say(self._note, "")
        x = table["x_um"].fillna(0.0).to_numpy()
        y = table["depth_um"].to_numpy()
        failing = table["passes"].to_numpy() == 0
        self._units.data = {
            "x": x,
            "y": y,
            "unit": table.index.to_numpy(),
            "marker": np.where(failing, "x", "circle").tolist(),
            "color": np.where(failing, self._colours["failing"], self._colours["mark"]).tolist(),
            "alpha": np.where(np.isin(table.index, list(self._listed)), 0.8, 0.2),
        }
        if moved:
            _span(self.root.x_range, *_extent(x, 0.12, least=60.0))
            _span(self.root.y_range, *_extent(y, 0.05, least=100.0))

    def show_chosen(self, unit: int | None) -> None:
        """Draw a ring around a unit.

        Parameters
        ----------
        unit : int or None
            Its label.
        """
        if unit is None or unit not in self._table.index:
            self._chosen.data = {"x": [], "y": []}
            return
        row: Any = self._table.loc[unit]
        x = 0.0 if np.isnan(row["x_um"]) else float(row["x_um"])
        self._chosen.data = {"x": [x], "y": [float(row["depth_um"])]}

    def paint(self, colours: Mapping[str, str]) -> None:
        """Colour the marks for a theme.

        Parameters
        ----------
        colours : mapping
            ``LIGHT`` or ``DARK``.
        """
        self._colours = colours
        self._ring.glyph.line_color = colours["chosen"]
        if len(self._table):
            self.show_units(self._table, tuple(self._listed))

    def resend(self) -> None:
        """Send all data once more, to a page that was not there when they changed."""
        for source in (self._units, self._chosen):
            source.data = dict(source.data)

    def _clicked(self, attribute: str, old: list[int], new: list[int]) -> None:
        if new and self.on_choice is not None:
            self.on_choice(int(self._units.data["unit"][new[0]]))
            self._units.selected.indices = []


def _figure(
    y_label: str, *, x_range: Any, y_range: Any, height: int | None = None, left: int = _LEFT
) -> Any:
    zoom = BoxZoomTool()
    fig = figure(
        x_range=x_range,
        y_range=y_range,
        sizing_mode="stretch_both" if height is None else "stretch_width",
        min_height=90,
        tools=[zoom, WheelZoomTool(), PanTool(), ResetTool()],
        toolbar_location=None,
        min_border_left=left,
        min_border_right=10,
        min_border_top=6,
        min_border_bottom=4,
        outline_line_color=None,
        **({} if height is None else {"height": height}),
    )
    fig.toolbar.active_drag = zoom
    fig.toolbar.active_scroll = None
    fig.yaxis.axis_label = y_label
    fig.grid.visible = False
    for axis in fig.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "12px"
        axis.major_label_text_font_size = "11px"
        axis.axis_label_standoff = 6
        axis.minor_tick_line_color = None
        axis.major_tick_in = 0
        axis.major_tick_out = 4
        axis.ticker.desired_num_ticks = 5
    fig.yaxis.ticker.desired_num_ticks = 4
    fig.js_on_event("doubletap", CustomJS(args={"fig": fig}, code="fig.reset.emit()"))
    return fig


def _event_line(fig: Any) -> Any:
    line = Span(location=0, dimension="height", line_width=1)
    fig.add_layout(line)
    return line


def _note(fig: Any) -> Any:
    """Return a line of text in the middle of a figure, for what is missing there."""
    note = Label(
        x=12,
        y=12,
        x_units="screen",
        y_units="screen",
        text="",
        text_font_size="12px",
        text_color=LIGHT["line"],
    )
    fig.add_layout(note)
    return note


def _extent(values: Any, margin: float, least: float = 1e-9) -> tuple[float, float]:
    """Return the range of values with a margin (a share of it), and of a least width."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    width = max(high - low, least)
    middle = (low + high) / 2
    half = width * (0.5 + margin)
    return middle - half, middle + half


def _span(span: Any, start: float, stop: float) -> None:
    """Set a range, and where a reset returns to, if it is another one."""
    if (span.reset_start, span.reset_end, span.start, span.end) != (start, stop, start, stop):
        span.update(start=start, end=stop, reset_start=start, reset_end=stop)


def _say(note: Any, text: str) -> None:
    if note.text != text:
        note.text = text


def _why_not_aligned(view: UnitView | None, event: str) -> str:
    if view is None or view.aligned is not None:
        return ""
    return f"Not aligned to {event}" if event else "No event to align to"


def _number(fig: Any, shown: bool) -> None:
    """Show ticks, numbers and the line at the event only where there is something to read."""
    alpha = 1.0 if shown else 0.0
    for axis in fig.axis:
        if axis.major_label_text_alpha != alpha:
            axis.update(major_label_text_alpha=alpha, major_tick_line_alpha=alpha)
    for line in fig.select(Span):
        if line.visible != shown:
            line.visible = shown


def _name(axis: Any, label: str) -> None:
    if axis.axis_label != label:
        axis.axis_label = label
