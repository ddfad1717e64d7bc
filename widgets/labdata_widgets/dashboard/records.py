"""What the sorting dashboard reads from the database, as plain records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

_DATASET = ("subject_name", "session_name", "dataset_name")
_PROBE = (*_DATASET, "probe_num")


@dataclass(frozen=True, order=True)
class ProbeSorting:
    """One probe of one recording, with one of its sortings or none.

    Attributes
    ----------
    subject, session, dataset : str
        The dataset's key.
    probe : int
        Number of the probe.
    parameters : int or None
        ``parameter_set_num`` of the sorting; None where the probe is not sorted.
    n_units : int or None
        Units of the sorting.
    """

    subject: str
    session: str
    dataset: str
    probe: int
    parameters: int | None = field(compare=False)
    n_units: int | None = field(compare=False, default=None)

    @property
    def name(self) -> str:
        """Value of the picker and of the URL: ``0`` or ``0:1``, the probe and its parameters."""
        return f"{self.probe}" if self.parameters is None else f"{self.probe}:{self.parameters}"

    @property
    def label(self) -> str:
        """Text of the picker."""
        if self.parameters is None:
            return f"probe {self.probe} · not sorted"
        units = "" if self.n_units is None else f" · {self.n_units} units"
        return f"probe {self.probe} · set {self.parameters}{units}"

    @property
    def key(self) -> dict[str, Any]:
        """Restriction of the tables."""
        key: dict[str, Any] = dict(zip(_PROBE, self.place, strict=True))
        return key if self.parameters is None else key | {"parameter_set_num": self.parameters}

    @property
    def place(self) -> tuple[str, str, str, int]:
        """Subject, session, dataset and probe."""
        return self.subject, self.session, self.dataset, self.probe


@dataclass(frozen=True)
class Details:
    """A block of facts beside the explorer.

    Attributes
    ----------
    title : str
    facts : tuple of (str, str)
        Name and value.
    note : str
        What a reader must know, shown in amber; empty if nothing.
    folded : bool
        Whether the facts are shown only when asked for.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    note: str = ""
    folded: bool = False


def list_sortings(lab: Any) -> list[ProbeSorting]:
    """Return every recorded probe with its sortings, latest session first.

    Parameters
    ----------
    lab : Lab
        The tables.

    Returns
    -------
    list of ProbeSorting
        A probe without a sorting is there once, so that the dashboard can say what is missing.
    """
    columns = f"{', '.join(_PROBE)}, parameter_set_num, n_sorted_units"
    rows = lab.connection.query(
        f"SELECT {columns} FROM {lab.EphysRecording.ProbeSetting.full_table_name} "
        f"LEFT JOIN {lab.SpikeSorting.full_table_name} USING ({', '.join(_PROBE)})"
    ).fetchall()
    found = [ProbeSorting(*row) for row in rows]
    found.sort(key=lambda s: (s.subject, s.dataset, s.probe, s.name))
    return sorted(found, key=lambda s: s.session, reverse=True)


def load_sorting(lab: Any, chosen: ProbeSorting) -> tuple[xr.Dataset, xr.Dataset | None, str]:
    """Return spikes and events of a sorting, and why there are no events.

    Parameters
    ----------
    lab : Lab
        The tables.
    chosen : ProbeSorting
        A sorted probe.

    Returns
    -------
    spikes : xarray.Dataset
    events : xarray.Dataset or None
    why : str
        Empty if there are events.

    Raises
    ------
    LabdataError
        As :func:`labdata.access.spikes`.
    """
    import warnings

    from labdata import access
    from labdata.errors import LabdataError
    from labdata.objects import UnsyncedWarning

    units = lab.SpikeSorting.Unit & chosen.key
    columns = {"amplitude": "spike_amplitudes", "depth": "spike_positions"}
    with_ = [n for n, c in columns.items() if not len(units & f"{c} IS NULL")]
    with warnings.catch_warnings():
        # the badge says it, in the place where it is read
        warnings.simplefilter("ignore", UnsyncedWarning)
        spikes = access.spikes(chosen.key, with_=with_, lab=lab)
        key = dict(zip(_DATASET, chosen.place[:3], strict=True))
        try:
            return spikes, access.events(key, lab=lab), ""
        except LabdataError as error:
            return spikes, None, str(error)


def sync_lines(lab: Any, chosen: ProbeSorting) -> set[str]:
    """Return the lines that carry synchronisation pulses, as ``stream/channel``.

    Parameters
    ----------
    lab : Lab
        The tables.
    chosen : ProbeSorting
        A probe.
    """
    key = dict(zip(_DATASET, chosen.place[:3], strict=True))
    found = set()
    for row in (lab.StreamSync & key).fetch(as_dict=True):
        found.add(f"{row['stream_name']}/{row['event_name']}")
        found.add(f"{row['clock_stream']}/{row['clock_stream_event']}")
    return found


def describe(lab: Any, chosen: ProbeSorting, spikes: xr.Dataset | None) -> tuple[Details, ...]:
    """Return the facts shown beside the explorer.

    Parameters
    ----------
    lab : Lab
        The tables.
    chosen : ProbeSorting
        A probe.
    spikes : xarray.Dataset or None
        What was loaded of it.
    """
    blocks = [_recording(lab, chosen)]
    if spikes is not None:
        blocks.append(sync_details(spikes.attrs))
    if chosen.parameters is not None:
        blocks += _sorting(lab, chosen)
    return tuple(b for b in blocks if b.facts)


def sync_details(attrs: Mapping[str, Any]) -> Details:
    """Return the facts of a synchronisation.

    Parameters
    ----------
    attrs : mapping
        Attributes of a labdata dataset.
    """
    from labdata_widgets.explorer.clock_badge import clock_badge

    shown = clock_badge(attrs)
    if not attrs.get("synced", 0):
        return Details("Clock", (("clock", f"{attrs.get('clock', '')} (its own)"),), shown.text)
    facts = [("clock", str(attrs.get("clock", "")))]
    for name, label, scale, unit in (
        ("sync_residual_max_s", "largest error", 1e6, "µs"),
        ("sync_residual_rms_s", "rms error", 1e6, "µs"),
        ("sync_drift_ppm", "drift", 1.0, "ppm"),
        ("stream_sync_n_pulses", "pulses matched", 1.0, ""),
        ("stream_sync_n_dropped", "pulses lost", 1.0, ""),
        ("stream_sync_n_spurious", "spurious pulses", 1.0, ""),
        ("stream_n_extrapolated", "spikes extrapolated", 1.0, ""),
    ):
        if name in attrs:
            facts.append((label, f"{float(attrs[name]) * scale:.4g} {unit}".strip()))
    return Details("Clock", tuple(facts), str(attrs.get("sync_note", "")))


def _layout(setting: Mapping[str, Any]) -> str:
    n_shanks = int(setting["probe_n_shanks"])
    return f"{setting['probe_n_channels']} on {n_shanks} shank{'' if n_shanks == 1 else 's'}"


def _recording(lab: Any, chosen: ProbeSorting) -> Details:
    key = chosen.key
    recording = (lab.EphysRecording & key).fetch1()
    setting = (lab.EphysRecording.ProbeSetting * lab.ProbeConfiguration * lab.Probe & key).fetch1()
    facts = (
        ("duration", f"{recording['recording_duration']:,.1f} s"),
        ("probe", f"{setting['probe_type']} {setting['probe_id']}"),
        ("channels", _layout(setting)),
        ("sampling", f"{setting['sampling_rate']:,.3f} Hz"),
        ("software", str(recording["recording_software"])),
    )
    return Details("Recording", facts)


def _sorting(lab: Any, chosen: ProbeSorting) -> list[Details]:
    from labdata.counted import count_of

    sorting = (lab.SpikeSorting & chosen.key).fetch1()
    params = (lab.SpikeSortingParams & {"parameter_set_num": chosen.parameters}).fetch1()
    when = sorting["sorting_datetime"]
    facts = (
        ("sorter", str(params["algorithm_name"])),
        ("version", str(sorting["algorithm_version"] or "not recorded")),
        ("sorted", f"{when:%Y-%m-%d %H:%M} UTC" if when else "not recorded"),
        ("spikes", f"{sorting['n_detected_spikes'] or 0:,}"),
        ("container", str(sorting["container_version"] or "none")),
    )
    packages = tuple((str(k), str(v)) for k, v in (sorting["package_versions"] or {}).items())
    n_entries = len(lab.UnitCuration & chosen.key)
    curated = (
        f"Curated by hand since ({count_of(n_entries, 'entry')} in the log): these are "
        "the sorter's units. labdata.spikes(key, curated=True) has the others."
    )
    return [
        Details("Sorting", facts, curated if n_entries else ""),
        Details("Parameters", tuple(flatten(params["parameters_dict"] or {})), folded=True),
        Details("Packages", packages, folded=True),
    ]


def flatten(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the entries of a nested mapping as ``outer.inner`` and text.

    Parameters
    ----------
    content : mapping
        Parameters of a sorter.
    prefix : str, optional
        What names begin with.

    Yields
    ------
    name, value : str
    """
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)
