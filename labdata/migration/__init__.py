"""From labdata 0.1 (DataJoint 0.14) to this labdata: rows and blobs are copied and compared.

The old database is only read, and the objects in the stores stay where they are. ::

    with open_old(read_address("~/old/labdata/user_preferences.json")) as old:
        plan = plan_migration(old)
        plan.apply()
    verify_objects()
"""

from .address import OldAddress, read_address
from .objects import ObjectReport, verify_objects
from .old_database import OldDatabase, open_old
from .pairing import Finding
from .plan import MigrationPlan, MigrationResult, TablePlan, plan_migration
from .unfinished import finish_migration

__all__ = [
    "Finding",
    "MigrationPlan",
    "MigrationResult",
    "ObjectReport",
    "OldAddress",
    "OldDatabase",
    "TablePlan",
    "finish_migration",
    "open_old",
    "plan_migration",
    "read_address",
    "verify_objects",
]
