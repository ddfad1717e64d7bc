"""What the sorting dashboard reads from the database, as plain records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
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
        Units of the sorting, as sorted.
    n_entries : int
        Entries in its log of curation.
    """

    subject: str
    session: str
    dataset: str
    probe: int
    parameters: int | None = field(compare=False)
    n_units: int | None = field(compare=False, default=None)
    n_entries: int = field(compare=False, default=0)

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
        units = " · curated" if self.n_entries else units
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


@dataclass(frozen=True, eq=False)
class Loaded:
    """What the explorer shows of a sorting.

    Attributes
    ----------
    spikes : xarray.Dataset
    events : xarray.Dataset or None
    why : str
        Why there are no events; empty if there are.
    note : str
        What is to be known of the units, empty if nothing.
    """

    spikes: xr.Dataset
    events: xr.Dataset | None
    why: str = ""
    note: str = ""


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
    probe, sorting = ", ".join(_PROBE), f"{', '.join(_PROBE)}, parameter_set_num"
    rows = lab.connection.query(
        f"SELECT {sorting}, n_sorted_units, COALESCE(n_entries, 0) "
        f"FROM {lab.EphysRecording.ProbeSetting.full_table_name} "
        f"LEFT JOIN {lab.SpikeSorting.full_table_name} USING ({probe}) "
        f"LEFT JOIN (SELECT {sorting}, COUNT(*) AS n_entries "
        f"FROM {lab.UnitCuration.full_table_name} GROUP BY {sorting}) AS log USING ({sorting})"
    ).fetchall()
    found = [ProbeSorting(*row) for row in rows]
    found.sort(key=lambda s: (s.subject, s.dataset, s.probe, s.name))
    return sorted(found, key=lambda s: s.session, reverse=True)


def count_entries(lab: Any, chosen: ProbeSorting) -> int:
    """Return how many entries the log of a sorting has by now.

    Parameters
    ----------
    lab : Lab
        The tables.
    chosen : ProbeSorting
        A sorted probe.
    """
    return len(lab.UnitCuration & chosen.key)


def load_sorting(lab: Any, chosen: ProbeSorting, *, curated: bool = False) -> Loaded:
    """Return spikes and events of a sorting.

    Parameters
    ----------
    lab : Lab
        The tables.
    chosen : ProbeSorting
        A sorted probe.
    curated : bool, optional
        The units as they are after curation, else those of the sorter.

    Returns
    -------
    Loaded

    Raises
    ------
    LabdataError
        As :func:`labdata.access.spikes`.
    """
    import warnings

    from labdata import access
    from labdata.errors import LabdataError
    from labdata.objects import UnsyncedWarning

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        # the badge says it, in the place where it is read
        warnings.simplefilter("ignore", UnsyncedWarning)
        spikes = access.spikes(chosen.key, curated=curated, lab=lab)
        for name in ("spike_amplitude", "spike_depth"):
            if name in spikes:
                spikes[name].load()
        note = " ".join(str(w.message) for w in said if w.category is UserWarning)
        key = dict(zip(_DATASET, chosen.place[:3], strict=True))
        try:
            return Loaded(spikes, access.events(key, lab=lab), note=note)
        except LabdataError as error:
            return Loaded(spikes, None, str(error), note)


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


def describe(
    lab: Any, chosen: ProbeSorting, spikes: xr.Dataset | None, note: str = ""
) -> tuple[Details, ...]:
    """Return the facts shown beside the explorer.

    Parameters
    ----------
    lab : Lab
        The tables.
    chosen : ProbeSorting
        A probe.
    spikes : xarray.Dataset or None
        What was loaded of it.
    note : str, optional
        What is to be known of its units.
    """
    blocks = [_recording(lab, chosen)]
    if spikes is not None:
        blocks.append(sync_details(spikes.attrs))
        blocks.append(curation_details(spikes, note))
    if chosen.parameters is not None:
        blocks += _sorting(lab, chosen, spikes)
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


def curation_details(spikes: xr.Dataset, note: str = "") -> Details:
    """Return the facts of a curation; none where the units are the sorter's.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``spikes``.
    note : str, optional
        What is to be known of the units.
    """
    n_entries = int(spikes.attrs.get("curation_entries", 0))
    if not n_entries:
        return Details("Curation", ())
    made, labels = spikes["made_by"].values, spikes["curation_label"].values
    counts = {"units": f"{len(made)}"}
    counts |= {
        word: f"{n}"
        for kind, word in (("merge", "merged"), ("split", "parts of splits"))
        if (n := int((made == kind).sum()))
    }
    names, numbers = np.unique(labels[labels != ""], return_counts=True)
    facts = {
        **counts,
        "labels": ", ".join(f"{n} {name}" for name, n in zip(names, numbers, strict=True)),
        "entries": f"{n_entries} in the log",
        "last": f"{spikes.attrs['curation_datetime'][:16]} UTC",
        "by": str(spikes.attrs["curation_by"]),
    }
    return Details("Curation", tuple((n, v) for n, v in facts.items() if v), note)


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


def _sorting(lab: Any, chosen: ProbeSorting, spikes: xr.Dataset | None) -> list[Details]:
    from labdata.counted import count_of

    sorting = (lab.SpikeSorting & chosen.key).fetch1()
    params = (lab.SpikeSortingParams & {"parameter_set_num": chosen.parameters}).fetch1()
    when = sorting["sorting_datetime"]
    facts = (
        ("sorter", str(params["algorithm_name"])),
        ("version", str(sorting["algorithm_version"] or "not recorded")),
        ("sorted", f"{when:%Y-%m-%d %H:%M} UTC" if when else "not recorded"),
        ("units", str(sorting["n_sorted_units"] or 0)),
        ("spikes", f"{sorting['n_detected_spikes'] or 0:,}"),
        ("container", str(sorting["container_version"] or "none")),
    )
    packages = tuple((str(k), str(v)) for k, v in (sorting["package_versions"] or {}).items())
    shows_sorted = spikes is not None and not spikes.attrs.get("curated", 0)
    n_entries = count_entries(lab, chosen) if shows_sorted else 0
    note = f"Curated by hand since ({count_of(n_entries, 'entry')}): these are the sorter's units."
    return [
        Details("Sorting", facts, note if n_entries else ""),
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
