"""Entries of an uncompressed zip, read by ranges: as few requests as there can be.

``zipfile`` reads the list of entries, which stands at the end. An entry's content it would read in
two steps, as the length of the header before it is only known from the header itself; here one
range takes the header along, and neighbouring entries are read as one. Names and CRC-32 of the
list are compared with what came, so a damaged byte is found wherever it is.

Format: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local file header) and 4.3.12.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence

from labdata.formats.byte_ranges import ByteRanges, RangeFile, TailKept

#: Read at the end of the file at first, and kept: the list of some 15,000 entries.
_TAIL_BYTES = 1024 * 1024
#: Neighbouring entries are read together up to so many bytes.
_TOGETHER_BYTES = 64 * 1024 * 1024
_LOCAL = struct.Struct("<4s5H3L2H")


class ZipRanges(Mapping[str, bytes]):
    """The entries of a zip by name.

    Parameters
    ----------
    ranges : ByteRanges
        The zip.

    Raises
    ------
    zipfile.BadZipFile
        If it is none, or an entry is compressed.
    LabdataError
        If it cannot be read.
    """

    def __init__(self, ranges: ByteRanges) -> None:
        self._ranges = TailKept(ranges, _TAIL_BYTES)
        with zipfile.ZipFile(RangeFile(self._ranges)) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
            ends = [entry.header_offset for entry in entries[1:]] + [archive.start_dir]
        self._entries = {e.filename: (e, end) for e, end in zip(entries, ends, strict=True)}
        if len(self._entries) != len(entries):
            raise zipfile.BadZipFile("an entry stands in it twice")
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED:
                raise zipfile.BadZipFile(f"{entry.filename} is compressed")

    def __getitem__(self, name: str) -> bytes:
        """Return the content of an entry, compared with its checksum.

        Raises
        ------
        KeyError
            If there is no such entry.
        zipfile.BadZipFile
            If it is damaged.
        """
        return self.read_all([name])[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries  # Mapping's own way would read the entry

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def read_all(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return the content of several entries, neighbours by one range.

        Parameters
        ----------
        names : sequence of str
            Of entries.

        Raises
        ------
        KeyError
            If there is no such entry.
        zipfile.BadZipFile
            If one is damaged.
        """
        found = {}
        for group in self._neighbours(names):
            start, stop = self._entries[group[0]][0].header_offset, self._entries[group[-1]][1]
            data = memoryview(self._ranges.read(start, stop - start))
            for name in group:
                entry, end = self._entries[name]
                found[name] = _content(entry, data[entry.header_offset - start : end - start])
        return found

    def _neighbours(self, names: Sequence[str]) -> Iterator[list[str]]:
        group: list[str] = []
        for name in sorted(set(names), key=lambda name: self._entries[name][0].header_offset):
            entry, end = self._entries[name]
            if group:
                begin = self._entries[group[0]][0].header_offset
                after = self._entries[group[-1]][1] == entry.header_offset
                if not after or end - begin > _TOGETHER_BYTES:
                    yield group
                    group = []
            group.append(name)
        if group:
            yield group


def _content(entry: zipfile.ZipInfo, data: memoryview) -> bytes:
    """Return what follows the header of an entry, which must be the one of the list."""
    if len(data) < _LOCAL.size:
        raise zipfile.BadZipFile(f"the place of {entry.filename} is too short")
    signature, _, flags, *_, n_name, n_extra = _LOCAL.unpack_from(data)
    name = bytes(data[_LOCAL.size : _LOCAL.size + n_name])
    if signature != b"PK\x03\x04" or name.decode("utf-8", "replace") != entry.filename:
        raise zipfile.BadZipFile(f"{entry.filename} is not where the list of the zip has it")
    if flags & 1:
        raise zipfile.BadZipFile(f"{entry.filename} is encrypted")
    begin = _LOCAL.size + n_name + n_extra
    content = data[begin : begin + entry.file_size]
    if len(content) != entry.file_size or zlib.crc32(content) != entry.CRC:
        raise zipfile.BadZipFile(f"{entry.filename} has another checksum than recorded")
    return bytes(content)
