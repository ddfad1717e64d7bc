"""Options that choose one sorting, and what is said where they choose none or several."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import QueryError
from .selection import check_session, check_subjects


def add_sorting(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose one sorting.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The command's parser.
    """
    parser.add_argument("-a", "--subject", required=True, metavar="SUBJECT")
    parser.add_argument("-s", "--session", metavar="SESSION")
    parser.add_argument("-d", "--dataset", metavar="DATASET")
    parser.add_argument("--probe", type=int, metavar="N", help="number of the probe")
    parser.add_argument("--parameter-set", type=int, metavar="N", help="of the sorter")


def find_sorting(lab: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Return the key of the one sorting that the options choose.

    Parameters
    ----------
    lab : Lab
        The tables.
    options : argparse.Namespace
        Parsed options of :func:`add_sorting`.

    Raises
    ------
    QueryError
        If there is none, or several; the message lists them.
    """
    check_subjects(lab, [options.subject])
    if options.session:
        check_session(lab, options.session, subject=options.subject)
    flags = {
        "session_name": ("-s", options.session),
        "dataset_name": ("-d", options.dataset),
        "probe_num": ("--probe", options.probe),
        "parameter_set_num": ("--parameter-set", options.parameter_set),
    }
    given = {name: value for name, (_, value) in flags.items() if value is not None}
    of_subject = lab.SpikeSorting & {"subject_name": options.subject}
    keys: list[dict[str, Any]] = (of_subject & given).fetch("KEY")
    if len(keys) == 1:
        return keys[0]
    if not keys:
        others = _listed(of_subject.fetch("KEY"), flags)
        raise QueryError(
            f"{options.subject} has no sorting {_listed([given], flags) or 'yet'}.",
            hint=f"There are: {others}." if others else "`labdata run spikeinterface` sorts.",
        )
    differ = [name for name in flags if len({key[name] for key in keys}) > 1]
    raise QueryError(
        f"{options.subject} has {len(keys)} such sortings: {_listed(keys, flags)}.",
        hint=f"Say which, by {', '.join(flags[name][0] for name in differ)}.",
    )


def _listed(keys: list[dict[str, Any]], flags: dict[str, Any]) -> str:
    shown = [
        " ".join(f"{flags[name][0]} {key[name]}" for name in flags if name in key)
        for key in keys[:8]
    ]
    return "; ".join(filter(None, shown)) + ("; ..." if len(keys) > 8 else "")
