"""Which units meet the criteria of UnitCountCriteria, how many, and which clause removed them."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..counted import count_of
from ..database.teaching_errors import refused_class
from ..errors import ObjectError, QueryError
from ..objects.expression import check_expression, evaluate
from .curated_metrics import curated_metrics
from .curated_units import CuratedUnits

_OPEN, _CLOSE = ("(", "["), (")", "]")
#: As in :mod:`labdata.objects.expression`.
_AND, _OR = ("&", "and", "AND"), ("|", "or", "OR")


def judge_units(metrics: pd.DataFrame, criteria: str) -> np.ndarray:
    """Return which units meet a criterion; a unit whose metric is missing does not.

    Parameters
    ----------
    metrics : DataFrame
        One row a unit, columns of UnitMetrics.
    criteria : str
        For instance ``isi_contamination < 0.1 & spike_amplitude > 50``; see
        :func:`labdata.objects.expression.evaluate`.

    Returns
    -------
    ndarray of bool, shape (n_units,)

    Raises
    ------
    ObjectError
        If the text is no such expression, or names a column that does not exist.
    """
    columns = {
        str(name): metrics[name].to_numpy()
        if metrics[name].dtype.kind in "biu"
        else pd.to_numeric(metrics[name], errors="coerce").to_numpy(dtype="float64")
        for name in metrics.columns
    }
    passed = evaluate(criteria, columns)
    return np.broadcast_to(passed, (len(metrics),)).copy()


def judge_passes(
    lab: Any, metrics: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any]
) -> np.ndarray:
    """Return the verdict on units, as ``passes`` of UnitCount.

    Parameters
    ----------
    lab : Lab
        The tables.
    metrics : sequence of mapping
        One a unit, columns of UnitMetrics.
    criteria : mapping
        A row of UnitCountCriteria.

    Returns
    -------
    ndarray of int64, shape (n_units,)
        1 single unit, 0 multi unit, -1 neither.

    Raises
    ------
    QueryError
        If the units of the criterion were chosen by hand.
    ObjectError
        As of :func:`judge_units`.
    """
    if criteria["sua_criteria"].startswith("manual_"):
        raise QueryError(
            f"Criterion {criteria['unit_criteria_id']} is {criteria['sua_criteria']!r}: its units "
            "were chosen by hand, and others cannot be judged by it.",
            hint="UnitCountCriteria lists the criteria; one that is an expression can judge.",
        )
    frame = pd.DataFrame(metrics, columns=_metric_names(lab))
    single = judge_units(frame, criteria["sua_criteria"])
    multi = np.ones(len(frame), dtype=bool)
    if criteria["mua_criteria"]:
        multi = judge_units(frame, criteria["mua_criteria"])
    return np.where(single, 1, np.where(multi, 0, -1))


def refuse_other_text(table: Any, rows: Any) -> Any:
    """Refuse criteria that would be passed over though their number has another text.

    Units would be counted by a criterion that is not the one that was just written.

    Parameters
    ----------
    table : UnitCountCriteria
        Where they are to be inserted.
    rows : DataFrame, iterable of dict or anything else that DataJoint inserts
        Rows that are no dicts are left to the database.

    Returns
    -------
    DataFrame, list or what was given
        The rows, to be inserted.

    Raises
    ------
    QueryError
        If one is.
    """
    if isinstance(rows, Iterator):
        rows = list(rows)
    given = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows
    for row in given if isinstance(given, list | tuple) else []:
        number = row.get("unit_criteria_id") if isinstance(row, Mapping) else None
        if not isinstance(number, int | np.integer):
            continue
        for old in (table.lab.UnitCountCriteria & {"unit_criteria_id": number}).fetch(
            as_dict=True
        ):
            for name in ("sua_criteria", "mua_criteria"):
                text = row.get(name)
                if (None if pd.isna(text) else text) != old[name]:
                    raise QueryError(
                        f"Criterion {number} is there with another {name}: {old[name]!r}, not "
                        f"{text!r}.",
                        hint="Give the new one a unit_criteria_id of its own: counts by the old "
                        "one stay what they are.",
                    )
    return rows


def split_clauses(criteria: str) -> list[str]:
    """Return the clauses that a unit must meet all of, as they are written.

    Parameters
    ----------
    criteria : str
        For instance ``isi_contamination < 0.1 & (snr > 5 | depth > 100)``, which has two.

    Returns
    -------
    list of str
        The whole text alone, where it is an alternative.
    """
    text, depth, ends = " ".join(criteria.split()), 0, []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        depth += (token.string in _OPEN) - (token.string in _CLOSE)
        if depth == 0 and token.string in _OR:
            return [text]
        if depth == 0 and token.string in _AND:
            ends.append((token.start[1], token.end[1]))
    # "&&" comes as two tokens with nothing between, which is dropped below
    starts = [0, *(stop for _, stop in ends)]
    clauses = [text[a:b] for a, b in zip(starts, [*(a for a, _ in ends), None], strict=True)]
    return [clause.strip() for clause in clauses if clause.strip()]


def removed_by_clause(metrics: pd.DataFrame, criteria: str) -> pd.DataFrame:
    """Return how many units each clause of a criterion removes.

    Parameters
    ----------
    metrics : DataFrame
        One row a unit, columns of UnitMetrics.
    criteria : str
        As of :func:`judge_units`.

    Returns
    -------
    DataFrame
        A row a clause: ``clause``, ``units`` (how many there are), ``removed``, ``alone`` (those
        that meet all other clauses) and ``missing`` (removed as a number is missing).

    Raises
    ------
    ObjectError
        As of :func:`judge_units`.
    """
    judge_units(metrics, criteria)  # the text as a whole must be a criterion
    clauses = split_clauses(criteria)
    failed = np.array([~judge_units(metrics, clause) for clause in clauses])
    absent = np.array([_has_missing(metrics, clause) for clause in clauses])
    return pd.DataFrame(
        {
            "clause": clauses,
            "units": len(metrics),
            "removed": failed.sum(axis=1),
            "alone": (failed & (failed.sum(axis=0) == 1)).sum(axis=1),
            "missing": (failed & absent).sum(axis=1),
        }
    )


def named_metrics(lab: Any, criteria: Mapping[str, Any]) -> set[str]:
    """Return the metrics that a row of UnitCountCriteria names.

    Parameters
    ----------
    lab : Lab
        The tables.
    criteria : mapping
        The row.
    """
    texts = [str(criteria[name] or "") for name in ("sua_criteria", "mua_criteria")]
    return set().union(*map(_words, texts)) & set(_metric_names(lab))


def _words(text: str) -> set[str]:
    return {token.string for token in tokenize.generate_tokens(io.StringIO(text).readline)}


def _has_missing(metrics: pd.DataFrame, clause: str) -> np.ndarray:
    """Return which units lack a number that a clause names."""
    words = _words(clause)
    named = metrics[[name for name in metrics.columns if name in words]]
    missing: np.ndarray = named.isna().any(axis=1).to_numpy(dtype=bool)
    return missing


def report_counts(table: Any) -> pd.DataFrame:
    """Return which clause removed how many units, the sorter's or the curated ones.

    Parameters
    ----------
    table : UnitCount or CuratedUnitCount
        The counts.

    Returns
    -------
    DataFrame
        See :meth:`UnitCount.report`.
    """
    names = _metric_names(table.lab)
    found = []
    known: dict[Any, pd.DataFrame] = {}  # several criteria judge the same units
    for key in table.fetch("KEY"):
        criteria = (table.lab.UnitCountCriteria & key).fetch1()
        of = tuple(value for name, value in key.items() if name != "unit_criteria_id")
        if of not in known:
            known[of] = pd.DataFrame(_metrics_of(table.lab, key), columns=names)
        metrics = known[of]
        for kind in ("sua", "mua"):
            text = criteria[f"{kind}_criteria"]
            if text and not text.startswith("manual_"):
                clauses = removed_by_clause(metrics, text)
                found.append(clauses.assign(**key, units_of=_units_of(key), criterion=kind))
    counts = ["clause", "units", "removed", "alone", "missing"]
    columns = [*table.primary_key, "units_of", "criterion", *counts]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def _metrics_of(lab: Any, key: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics of the units that were counted."""
    if "entry_num" not in key:
        rows: list[dict[str, Any]] = (lab.UnitMetrics & key).fetch(as_dict=True)
        return rows
    return list(curated_metrics(_curated(lab, key), measure=True).values())


def _curated(lab: Any, key: Mapping[str, Any]) -> CuratedUnits:
    sorting = {name: key[name] for name in lab.SpikeSorting.primary_key}
    return CuratedUnits(lab, sorting, key["entry_num"] + 1)


def _units_of(key: Mapping[str, Any]) -> str:
    return f"curation, entry {key['entry_num']}" if "entry_num" in key else "sorter"


def explain_counts(table: Any) -> str:
    """Return the report of counts in sentences, and whose units they are of.

    Parameters
    ----------
    table : UnitCount or CuratedUnitCount
        The counts.
    """
    said: list[str] = []
    keys = [*table.primary_key, "units_of", "criterion"]
    for values, clauses in report_counts(table).groupby(keys, sort=False):
        *key, units_of, kind = values
        of = f"units of the {units_of}"
        said.append(f"{'/'.join(map(str, key))}: {kind}, {of}{_not_counted(table, key)}")
        said += [_sentence(row) for row in clauses.to_dict("records")]
    return "\n".join(said) or "No units were counted."


def _not_counted(table: Any, key: Sequence[Any]) -> str:
    """Return the words that a log goes on beyond what was counted; none if it does not."""
    values = dict(zip(table.primary_key, key, strict=True))
    sorting = {name: values[name] for name in table.lab.SpikeSorting.primary_key}
    left = len(table.lab.UnitCuration & sorting) - (values.get("entry_num", -1) + 1)
    return f" ({count_of(left, 'entry')} of curation not counted)" if left else ""


def _sentence(row: dict[Any, Any]) -> str:
    inside = [f"{row['alone']} of them by it alone"] if row["alone"] else []
    inside += [f"{row['missing']} for a missing number"] if row["missing"] else []
    more = f" ({', '.join(inside)})" if inside else ""
    return f"  {row['clause']} removed {row['removed']} of {row['units']}{more}"


def check_criteria(table: Any, column: str, value: Any) -> None:
    """Raise if a value is a criterion that could not be judged by.

    One that begins with ``manual_`` is no expression: it names who chose units by hand.

    Parameters
    ----------
    table : UnitCountCriteria
        That is written to.
    column : str
        Of it.
    value : object
        As the user gave it.

    Raises
    ------
    DatabaseError
        Also a ``ValueError``, with what :func:`labdata.objects.expression.evaluate` says.
    """
    is_left_out = value is None or (column == "mua_criteria" and value == "")
    if column not in ("sua_criteria", "mua_criteria") or is_left_out:
        return
    if str(value).startswith("manual_"):
        return
    try:
        check_expression(str(value), _metric_names(table.lab))
    except ObjectError as error:
        raise refused_class(ValueError)(f"{column}: {error.message}", hint=error.hint) from None


def _metric_names(lab: Any) -> list[str]:
    return [n for n, a in lab.UnitMetrics.heading.attributes.items() if a.numeric]


def make_unit_count(table: Any, key: dict[str, Any]) -> None:
    """Judge the units of one sorting; see :class:`UnitCount`."""
    lab = table.lab
    units = (lab.UnitMetrics & key).fetch(as_dict=True)
    passes = judge_passes(lab, units, (lab.UnitCountCriteria & key).fetch1())
    table.insert1({**key, **_totals(passes)})
    unit_key = lab.UnitMetrics.primary_key
    lab.UnitCount.Unit.insert(
        {**key, **{n: unit[n] for n in unit_key}, "passes": int(p)}
        for unit, p in zip(units, passes, strict=True)
    )


def make_curated_count(table: Any, key: dict[str, Any]) -> None:
    """Judge the curated units of one sorting; see :class:`CuratedUnitCount`."""
    lab = table.lab
    curated = _curated(lab, key)
    metrics = curated_metrics(curated, measure=True)
    passes = judge_passes(lab, list(metrics.values()), (lab.UnitCountCriteria & key).fetch1())
    table.insert1({**key, **_totals(passes)})
    made, labels = curated.made_by, curated.state.labels
    lab.CuratedUnitCount.Unit.insert(
        {
            **key,
            "unit_id": unit,
            "passes": int(verdict),
            "curation_label": labels.get(unit),
            "made_by": made.get(unit, "sorter"),
        }
        for unit, verdict in zip(metrics, passes, strict=True)
    )


def _totals(passes: np.ndarray) -> dict[str, int]:
    return {
        "all": len(passes),
        "sua": int(np.sum(passes == 1)),
        "mua": int(np.sum(passes == 0)),
    }
