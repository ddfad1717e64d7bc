"""Curate the units of a sorting by hand: label, merge, split, undo; each is an entry of a log.

Nothing that a sorter found is changed. `labdata.spikes(key, curated=True)` gives the units as they
are now. -a, -s, -d, --probe and --parameter-set say which sorting, as far as it takes.

Examples:
  labdata curate units -a JC1 -s 20260131_140500 --probe 0
  labdata curate label 3 7 --label SUA -a JC1 -s 20260131_140500 --probe 0
  labdata curate merge 3 7 --note "one drifting unit" -a JC1 -s 20260131_140500 --probe 0
  labdata curate split 13 --where "amplitude < 60" -a JC1 -s 20260131_140500 --probe 0
  labdata curate undo -a JC1 -s 20260131_140500 --probe 0
  labdata curate log -a JC1 -s 20260131_140500 --probe 0
  labdata curate export --to units.csv -a JC1 -s 20260131_140500 --probe 0
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..schema.curation import Curation

ACTIONS = ("units", "label", "merge", "split", "undo", "log", "export")
_UNIT_COLUMNS = ("unit_id", "label", "made_by", "source_units", "n_spikes")
_LOG_COLUMNS = {
    "entry_num": "entry",
    "entry_datetime": "when (UTC)",
    "who": "who",
    "action": "action",
    "units": "units",
    "made": "made",
    "label": "label",
    "holds": "holds",
    "note": "note",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from .one_sorting import add_sorting
    from .selection import number_of

    parser.add_argument("action", choices=ACTIONS, metavar="ACTION", help=", ".join(ACTIONS))
    parser.add_argument(
        "unit", nargs="*", type=number_of("sorted unit", "labdata curate units"), help="units"
    )
    add_sorting(parser)
    parser.add_argument("--label", metavar="LABEL", help="SUA, MUA, noise, ...; '' takes it away")
    parser.add_argument(
        "--where",
        metavar="TEXT",
        help="of a split: spikes for which this holds get a unit of their own; "
        "of time (s on the clock), sample, amplitude (uV), depth and x (um)",
    )
    parser.add_argument(
        "--groups", metavar="FILE", help="of a split: .npy with the group of each spike, by time"
    )
    parser.add_argument("--to", metavar="FILE", help="of an export: .csv, .tsv, .json or .npz")
    parser.add_argument("--note", default="", help="why")
    parser.add_argument("--json", action="store_true", help="print JSON")


def parse(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Return the options; units may stand before and after other options.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of this command.
    arguments : list of str
        As typed.
    """
    return parser.parse_intermixed_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Do one thing to the units of one sorting."""
    from .one_sorting import find_sorting
    from .output import print_rows
    from .selection import chosen_lab

    _check_options(options)
    lab = chosen_lab(options)
    curation = (lab.SpikeSorting & find_sorting(lab, options)).curation()
    if options.action == "units":
        rows = _unit_rows(curation)
        print_rows(rows, _UNIT_COLUMNS, as_json=options.json, empty="No units are left.")
    elif options.action == "log":
        nothing = "Nothing was curated yet."
        print_rows(_log_rows(curation), _LOG_COLUMNS, as_json=options.json, empty=nothing)
    elif options.action == "export":
        _export(curation, Path(options.to).expanduser())
    else:
        _say(curation, _change(curation, options), as_json=options.json)
    return 0


def _check_options(options: argparse.Namespace) -> None:
    """Refuse what does not fit the action, before the database is asked."""
    from . import UsageError

    action, units = options.action, options.unit
    takes = {"label": ("label",), "split": ("where", "groups"), "export": ("to",)}
    for of, names in takes.items():
        for name in names:
            if of != action and getattr(options, name) is not None:
                raise UsageError(f"--{name} is of `labdata curate {of}`.")
    given = [name for name in takes.get(action, ()) if getattr(options, name) is not None]
    if action in takes and len(given) != 1:
        one = " or ".join(f"--{name}" for name in takes[action])
        raise UsageError(f"`labdata curate {action}` takes {one}{', not both' if given else ''}.")
    if action == "split" and len(units) != 1:
        raise UsageError(f"A split takes one unit, not {len(units)}.")
    if action == "merge" and len(set(units)) < max(2, len(units)):
        raise UsageError("A merge takes two or more different units.")
    if action == "label" and not units:
        raise UsageError("Say which units are labelled: `labdata curate label 3 7 --label SUA`.")
    if action in ("units", "undo", "log", "export") and units:
        raise UsageError(f"`labdata curate {action}` takes no units, but {units[0]} is given.")


def _change(curation: Curation, options: argparse.Namespace) -> str:
    """Append to the log; what was done, in words."""
    units = ", ".join(map(str, options.unit))
    if options.action == "label":
        curation.label(options.unit, options.label, note=options.note)
        return f"Labelled {units} {options.label}." if options.label else f"No label on {units}."
    if options.action == "merge":
        return f"Merged {units} into {curation.merge(options.unit, note=options.note)}."
    if options.action == "split":
        groups = _groups(curation, options)
        made = curation.split(options.unit[0], groups, note=options.note)
        lengths = {unit: len(curation.state.spikes[unit]) for unit in made}
        said = " and ".join(f"{unit} ({n_spikes} spikes)" for unit, n_spikes in lengths.items())
        return f"Split {units} into {said}."
    number = curation.undo(note=options.note)
    row = _log_rows(curation)[number]
    return f"Undid entry {number}, the {row['action']} of {row['units']} by {row['who']}."


def _groups(curation: Curation, options: argparse.Namespace) -> NDArray[Any]:
    """Return the group of each spike of the unit that is split."""
    import numpy as np

    from ..objects.expression import evaluate

    unit = options.unit[0]
    if options.groups is not None:
        try:
            return np.asarray(np.load(Path(options.groups).expanduser(), allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise QueryError(
                f"The groups cannot be read from {options.groups}: {error}.",
                hint="It is a file that numpy.save wrote, with a number or a truth a spike.",
            ) from None
    if unit not in curation.state.spikes:  # said by the log, with what became of it
        return np.zeros(0, "int64")
    columns = _columns(curation, unit)
    n_spikes = len(columns["time"])
    mask = np.broadcast_to(evaluate(options.where, columns), (n_spikes,))
    if mask.all() or not mask.any():
        spans = [f"{name} from {x.min():.6g} to {x.max():.6g}" for name, x in columns.items()]
        raise QueryError(
            f"{options.where!r} holds for {'all' if mask.all() else 'none'} of the {n_spikes} "
            f"spikes of unit {unit}: nothing would be split.",
            hint=f"They have {', '.join(spans)}." if n_spikes else "It has no spikes.",
        )
    return mask


def _columns(curation: Curation, unit: int) -> dict[str, NDArray[Any]]:
    """Return what an expression may name of each spike of a unit."""
    import warnings

    from ..access import spikes
    from ..objects import UnsyncedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnsyncedWarning)  # a split is of one probe's own spikes
        one = spikes(curation.key, units=[unit], curated=True, lab=curation.lab)
    names = {"time": "spike_time", "sample": "sample_index", "amplitude": "spike_amplitude"}
    names |= {"depth": "spike_depth", "x": "spike_x"}
    return {short: one[name].values for short, name in names.items() if name in one}


def _say(curation: Curation, words: str, *, as_json: bool) -> None:
    from . import write
    from .output import print_rows

    if as_json:
        print_rows(_log_rows(curation)[-1:], [], as_json=True)
    else:
        write(f"{words} {len(curation.state.spikes)} units; entry {len(curation.rows) - 1}.")


def _unit_rows(curation: Curation) -> list[dict[str, Any]]:
    heads, made = curation.heads(), curation.made_by
    return [
        {
            "unit_id": unit,
            "label": curation.state.labels.get(unit, ""),
            "made_by": made.get(unit, "sorter"),
            "source_units": " ".join(map(str, curation.sources(unit))),
            "n_spikes": n_spikes,
        }
        for unit, n_spikes in zip(heads.unit_ids.tolist(), heads.n_spikes.tolist(), strict=True)
    ]


def _log_rows(curation: Curation) -> list[dict[str, Any]]:
    """Return the log as people and programs read it; spikes of splits are not in it."""
    from ..schema.curation_log import active_entries

    active = set(active_entries(curation.entries))
    return [
        {
            **{name: row[name] for name in ("entry_num", "entry_datetime", "curated_by")},
            "account": row["account"],
            "who": curation.who(row),
            "action": row["action"],
            "units": " ".join(map(str, entry.units)) or f"entry {entry.undoes}",
            "made": " ".join(map(str, entry.new_units)),
            "label": entry.label or "",
            "undoes": entry.undoes,
            "holds": "" if entry.action == "undo" else "yes" if number in active else "undone",
            "note": row["note"],
        }
        for number, (row, entry) in enumerate(zip(curation.rows, curation.entries, strict=True))
    ]


def _export(curation: Curation, path: Path) -> None:
    """Write the curated units: a table, or with .npz the spikes too."""
    import json

    import numpy as np
    import pandas as pd

    from ..counted import count_of
    from . import write

    rows = _unit_rows(curation)
    kind = path.suffix.lower()
    if kind not in (".csv", ".tsv", ".json", ".npz"):
        raise QueryError(
            f"Units are not exported as {kind or 'a file without a suffix'}: {path}.",
            hint="Name a file .csv, .tsv or .json (a row a unit) or .npz (with all spikes).",
        )
    try:
        with path.open("xb") as file:
            if kind == ".npz":
                units = curation.unit_ids
                trains = curation.column("spike_times", units.tolist())
                lengths = [len(train) for train in trains.values()]
                columns = pd.DataFrame(rows, columns=_UNIT_COLUMNS)
                arrays: dict[str, Any] = {
                    "spike_samples": np.concatenate([np.empty(0, "int64"), *trains.values()]),
                    "spike_units": np.repeat(units, lengths),
                }
                for name in _UNIT_COLUMNS:
                    arrays[name] = columns[name].to_numpy().astype(_DTYPES[name])
                np.savez_compressed(file, **arrays)
            elif kind == ".json":
                key = {**curation.key, "n_entries": len(curation.rows), "units": rows}
                file.write(json.dumps(key, indent=2).encode())
            else:
                table = pd.DataFrame(rows, columns=_UNIT_COLUMNS)
                table.to_csv(file, sep="," if kind == ".csv" else "\t", index=False)
    except FileExistsError:
        raise QueryError(
            f"{path} exists already.", hint="Give another name; nothing is written over."
        ) from None
    except OSError as error:
        raise QueryError(f"{path} cannot be written: {error.strerror}.") from None
    write(f"Wrote {count_of(len(rows), 'unit')} to {path}.")


_DTYPES = {"unit_id": "int32", "n_spikes": "int64"} | dict.fromkeys(
    ("label", "made_by", "source_units"), str
)
