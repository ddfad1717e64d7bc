"""What people decided about the units of a sorting, and how many units there are after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..database.projects import Computed, Manual, Part, table
from .sorting import (
    AUTOMATIC,
    SpikeSorting,  # noqa: F401  (named by foreign keys)
    UnitCountCriteria,  # noqa: F401
)


@table("computed")
class UnitCuration(Manual):
    """What people decided about the units of a sorting, in order; see SpikeSorting.curation.

    The server writes `account` and `entry_datetime`; an analyst may give no others, by SQL either.
    """

    definition = """
    -> SpikeSorting
    entry_num : int32                    # from 0; nothing is changed or left out
    ---
    curated_by : varchar(64)             # database user, or the user of the computer
    account=null : varchar(384)          # that wrote it, as user@host; none before version 6
    entry_datetime : datetime(6)         # UTC
    action : enum('label', 'merge', 'split', 'undo')
    unit_ids : json                      # units it was done to
    new_unit_ids : json                  # units of a merge or split; never used before
    label=null : varchar(64)             # SUA, MUA, noise, good, ...; empty: none
    spike_groups=null : <array>          # int64 (n,), of a split: which new unit, by time
    undoes=null : int32                  # entry that is taken back
    note : varchar(1000)                 # why
    """

    filled_by_server: ClassVar[Mapping[str, str]] = {
        "account": "CURRENT_USER()",
        "entry_datetime": "UTC_TIMESTAMP(6)",
    }

    def update1(self, row: Any) -> None:
        """Refuse: an entry that was written stays as it is.

        Parameters
        ----------
        row : mapping
            As in DataJoint.

        Raises
        ------
        QueryError
            Always.
        """
        from ..errors import QueryError

        raise QueryError(
            "An entry of UnitCuration is never changed.",
            hint="`(SpikeSorting & key).curation().undo()` takes the last one back.",
        )


@table("computed")
class CuratedUnitCount(Computed):
    """How many units pass a criterion after curation, up to one entry of its log.

    ``populate`` counts as of the last entry; counts of earlier entries stay, and say so by their
    ``entry_num``. Waveforms of parts of splits are measured in the recording; without it, what a
    criterion asks of a waveform is not met, a warning names the units and the report counts them
    as missing. What the sorter found is counted in UnitCount.
    """

    definition = """
    -> UnitCuration
    -> UnitCountCriteria
    ---
    all : int32
    sua : int32                          # single units
    mua : int32                          # multi units
    """

    class Unit(Part):
        """Whether each curated unit passes."""

        definition = """
        -> master
        unit_id : int32                  # of the curated units; see SpikeSorting.curation
        ---
        passes : int8                    # 1 single unit, 0 multi unit, -1 neither
        curation_label=null : varchar(64)
        made_by : enum('sorter', 'merge', 'split')
        """

    @property
    def key_source(self) -> Any:
        """Last entries of all logs, and every criterion not judged by hand."""
        lab = self.lab
        last = lab.SpikeSorting.aggr(lab.UnitCuration, last_entry="MAX(entry_num)")
        newest = (lab.UnitCuration.proj() * last & "entry_num = last_entry").proj()
        return newest * (lab.UnitCountCriteria & AUTOMATIC)

    def make(self, key: dict[str, Any]) -> None:
        """Judge the curated units of one sorting by one criterion."""
        from .unit_count import make_curated_count

        make_curated_count(self, key)

    def report(self) -> Any:
        """Return which clause of each criterion removed how many curated units.

        Returns
        -------
        pandas.DataFrame
            As :meth:`UnitCount.report`; ``units_of`` is ``curation, entry N``.
        """
        from .unit_count import report_counts

        return report_counts(self)

    def explain(self) -> str:
        """Return the report in sentences, a line a clause."""
        from .unit_count import explain_counts

        return explain_counts(self)
