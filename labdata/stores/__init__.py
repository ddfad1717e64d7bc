"""Where bytes are kept: one small set of verbs, whatever is behind them.

Nothing here knows the database. A store is told an object's path and, when it is known, its
SHA-256; it never overwrites, and it never shows an object that is not whole.
"""

from labdata.stores.access import AccessReport, AccessStep
from labdata.stores.base import Store
from labdata.stores.checksums import Checksums, copy_hashed, hash_file
from labdata.stores.local import LocalStore
from labdata.stores.objects import ObjectInfo, RestoreState
from labdata.stores.paths import resolve_inside, validate_object_path
from labdata.stores.s3.settings import S3Settings, endpoint_note
from labdata.stores.s3.store import S3Store

__all__ = [
    "AccessReport",
    "AccessStep",
    "Checksums",
    "LocalStore",
    "ObjectInfo",
    "RestoreState",
    "S3Settings",
    "S3Store",
    "Store",
    "copy_hashed",
    "endpoint_note",
    "hash_file",
    "resolve_inside",
    "validate_object_path",
]
