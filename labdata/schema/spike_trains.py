"""The spike trains of a sorting as they are stored: how long each is, and its bytes.

A sorting is tens of millions of spikes. Rows come undecoded, 1.6 bytes a spike, and a few at a
time; :mod:`.placed_trains` puts them on their clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..database.codecs import HEAD_BYTES, count_values
from ..database.datajoint_compat import fetch_rows
from ..errors import QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Stored trains that are fetched at once, bytes.
_PIECE_BYTES = 4 << 20


@dataclass(frozen=True, eq=False)
class TrainHeads:
    """What is known of the trains of a sorting before they are read.

    Attributes
    ----------
    unit_ids : ndarray of int32, shape (n_units,)
        Ascending.
    n_spikes, n_bytes, crc : ndarray of int64, shape (n_units,)
        Spikes of each, the bytes that are stored of it, and their CRC-32.
    """

    unit_ids: NDArray[np.int32]
    n_spikes: NDArray[np.int64]
    n_bytes: NDArray[np.int64]
    crc: NDArray[np.int64]

    def take(self, chosen: NDArray[np.int64]) -> TrainHeads:
        """Return those of some units.

        Parameters
        ----------
        chosen : ndarray of int64
            Their positions, ascending.
        """
        return TrainHeads(
            self.unit_ids[chosen], self.n_spikes[chosen], self.n_bytes[chosen], self.crc[chosen]
        )


def read_heads(units: Any) -> TrainHeads:
    """Return how long the trains of units of one sorting are, without reading them.

    Parameters
    ----------
    units : SpikeSorting.Unit
        Units of one sorting.
    """
    return heads_of(fetch_heads(units))


def fetch_heads(units: Any) -> list[dict[str, Any]]:
    """Return the keys of units, with what :func:`heads_of` needs of their trains.

    Parameters
    ----------
    units : SpikeSorting.Unit
        Units, of any sortings.
    """
    columns = {"n_bytes": "LENGTH(spike_times)", "crc": "CRC32(spike_times)"}
    return fetch_rows(units.proj(start=f"LEFT(spike_times, {HEAD_BYTES})", **columns))


def heads_of(rows: list[dict[str, Any]]) -> TrainHeads:
    """Return what is known of the trains of some units of one sorting.

    Parameters
    ----------
    rows : list of dict
        Of :func:`fetch_heads`.
    """
    return TrainHeads(
        np.array([row["unit_id"] for row in rows], dtype="int32"),
        count_values([row["start"] for row in rows]),
        np.array([row["n_bytes"] for row in rows], dtype="int64"),
        np.array([row["crc"] for row in rows], dtype="int64"),
    )


def read_trains(lab: Any, sorting: Mapping[str, Any], heads: TrainHeads) -> Iterator[bytes]:
    """Yield the stored trains of units of one sorting, fetched a few megabytes at a time.

    Parameters
    ----------
    lab : Lab
        The tables.
    sorting : mapping
        Key of SpikeSorting.
    heads : TrainHeads
        Of the units that are wanted.

    Raises
    ------
    QueryError
        If the units are others by now.
    """
    one_sorting = " AND ".join(f"`{name}` = %s" for name in sorting)
    # by hand, as these are the rows where what DataJoint does for each of them would be felt
    query = (
        f"SELECT unit_id, spike_times FROM {lab.SpikeSorting.Unit.full_table_name} "
        f"WHERE {one_sorting} AND unit_id IN %s ORDER BY unit_id"
    )
    for span in cut_pieces(heads.n_bytes):
        wanted = heads.unit_ids[span].tolist()
        rows = list(lab.connection.query(query, [*sorting.values(), wanted]).fetchall())
        check_same([unit for unit, _ in rows], wanted)
        while rows:
            yield rows.pop(0)[1]


def cut_pieces(n_bytes: NDArray[np.int64]) -> list[slice]:
    """Return spans of items that are fetched one after the other, a few megabytes each.

    Parameters
    ----------
    n_bytes : ndarray of int64, shape (n,)
        Of each item.
    """
    piece = np.cumsum(n_bytes) // _PIECE_BYTES
    ends = [*(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(n_bytes)]
    return [slice(a, b) for a, b in zip([0, *ends], ends, strict=False) if a < b]


def check_same(found: list[Any], wanted: list[Any]) -> None:
    """Raise if rows that come in pieces are not those that were there at first.

    Parameters
    ----------
    found, wanted : list
        Their keys.

    Raises
    ------
    QueryError
        If they differ.
    """
    if found != wanted:
        raise QueryError(
            f"The units changed while they were read: of {len(wanted)} that were there, "
            f"{sum(one in wanted for one in found)} are left.",
            hint="Is it being sorted anew? Ask again when that has ended.",
        )
