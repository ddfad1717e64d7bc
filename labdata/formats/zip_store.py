"""A Zarr store over the entries of a zip; imported where Zarr is wanted, as that is heavy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zarr.storage import Store

from labdata.formats.zip_ranges import ZipRanges


class ZipRangeStore(Store):  # type: ignore[misc]
    """What Zarr reads a zip through: several chunks at once where they stand together.

    Parameters
    ----------
    entries : ZipRanges
        The zip.
    """

    def __init__(self, entries: ZipRanges) -> None:
        self.entries = entries

    def __getitem__(self, key: str) -> bytes:
        return self.entries[key]

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def getitems(self, keys: Sequence[str], *, contexts: Mapping[str, Any]) -> dict[str, bytes]:
        """Return the entries there are of those asked for, neighbours by one range.

        Parameters
        ----------
        keys : sequence of str
            Names.
        contexts : mapping
            Zarr's hints on where to decode to; not used.
        """
        del contexts
        return self.entries.read_all([key for key in keys if key in self.entries])

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __setitem__(self, key: str, value: bytes) -> None:
        raise PermissionError("a compressed band is only read")

    def __delitem__(self, key: str) -> None:
        raise PermissionError("a compressed band is only read")
