"""The ``.meta`` file that describes a SpikeGLX ``.bin`` file.

The file's own name says which probe it is of (never its place in a list), the saved-channel list
says what each column is, and the calibrated sampling rate is kept to the last digit. A field that
is missing is an error that names it: a default here would be a wrong number everywhere else.
What is odd but readable is kept in :attr:`SpikeGLXMeta.warnings`.

Source of the fields: the metadata guides of SpikeGLX, billkarsh.github.io/SpikeGLX.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError

#: band -> (sampling rate, counts saved, counts acquired, kinds of channel in acquisition order)
_FIELDS = {
    "ap": ("imSampRate", "snsApLfSy", "acqApLfSy", ("AP", "LF", "SY")),
    "lf": ("imSampRate", "snsApLfSy", "acqApLfSy", ("AP", "LF", "SY")),
    "nidq": ("niSampRate", "snsMnMaXaDw", "acqMnMaXaDw", ("MN", "MA", "XA", "XD")),
    "obx": ("obSampRate", "snsXaDwSy", "acqXaDwSy", ("XA", "XD", "SY")),
}
_NEEDED = {
    "ap": ("imAiRangeMax", "imroTbl"),
    "lf": ("imAiRangeMax", "imroTbl"),
    "nidq": ("niAiRangeMax", "niMNGain", "niMAGain"),
    "obx": ("obAiRangeMax", "obMaxInt"),
}
#: Kinds whose columns are 16-bit digital words.
DIGITAL_KINDS = frozenset({"SY", "XD"})
_STREAM = re.compile(
    r"\.(?:(?P<imec>imec)(?P<probe>\d*)\.(?P<band>ap|lf)"
    r"|(?P<nidq>nidq)|(?P<obx>obx\d*)(?:\.obx)?)(?:\.|$)"
)


@dataclass(frozen=True)
class SpikeGLXMeta:
    """The description of one SpikeGLX binary file.

    Parameters
    ----------
    path : Path
        The ``.meta`` file.
    text : str
        Its content, verbatim (bytes that are not UTF-8 are kept as surrogates).
    fields : Mapping of str to str
        Every ``key=value`` line. The ``~`` before the name of a table is dropped, because
        some tools write metas without it.
    stream_name : str
        ``imec0``, ``nidq``, ``obx0``.
    band : str
        ``ap``, ``lf``, ``nidq`` or ``obx``.
    probe_num : int or None
        Number of the probe, from the file's name (phase 3A, which has none: 0).
    sampling_rate_hz : float
        Calibrated rate, exactly as the file states it.
    n_saved_channels : int
        Columns of the binary file.
    saved_channels : tuple of int
        Acquisition number of each column, in file order.
    channel_kinds : tuple of str
        Kind of each column: AP, LF, SY, MN, MA, XA or XD.
    acquired_counts : Mapping of str to int
        Channels acquired of each kind.
    file_size_bytes, n_samples : int
        Size of the binary file when it was closed, and the samples a channel that makes.
    first_sample : int
        Number of the first sample since acquisition began.
    recorded : datetime or None
        When the file was created, in the rig's local time.
    software : str
        ``SpikeGLX`` and its version.
    warnings : tuple of str
        What is odd but readable, such as a duration that disagrees with the size.
    """

    path: Path
    text: str
    fields: Mapping[str, str]
    stream_name: str
    band: str
    probe_num: int | None
    sampling_rate_hz: float
    n_saved_channels: int
    saved_channels: tuple[int, ...]
    channel_kinds: tuple[str, ...]
    acquired_counts: Mapping[str, int]
    file_size_bytes: int
    n_samples: int
    first_sample: int
    recorded: datetime | None
    software: str
    warnings: tuple[str, ...]

    @property
    def kind(self) -> str:
        """``spikeglx``: the reader that understands :attr:`text`."""
        return "spikeglx"

    @property
    def n_channels(self) -> int:
        """Columns of the binary file."""
        return self.n_saved_channels

    @property
    def name(self) -> str:
        """Stream and band: ``imec0.ap``, ``imec0.lf``, ``nidq``, ``obx0``."""
        return f"{self.stream_name}.{self.band}" if self.band in ("ap", "lf") else self.stream_name

    @property
    def bin_path(self) -> Path:
        """The binary file that belongs beside this one."""
        return self.path.with_suffix(".bin")

    @property
    def channel_counts(self) -> dict[str, int]:
        """Columns of each kind, such as ``{'AP': 384, 'LF': 0, 'SY': 1}``."""
        return {kind: self.channel_kinds.count(kind) for kind in self.acquired_counts}

    @property
    def n_sync_words(self) -> int:
        """Columns of status words (SY); several on a quad base."""
        return self.channel_kinds.count("SY")

    @property
    def digital_columns(self) -> tuple[int, ...]:
        """Columns of the file that hold 16-bit digital words."""
        return tuple(i for i, kind in enumerate(self.channel_kinds) if kind in DIGITAL_KINDS)

    @property
    def duration_s(self) -> float:
        """Length of the recording on the stream's own clock, in seconds."""
        return self.n_samples / self.sampling_rate_hz

    def columns_of(self, *kinds: str) -> NDArray[np.int64]:
        """Columns of the file that are of these kinds, int64.

        Parameters
        ----------
        *kinds : str
            For instance ``AP`` or ``SY``.

        Returns
        -------
        ndarray of int64, shape (n,)
            In the order of the file.
        """
        return np.array([i for i, k in enumerate(self.channel_kinds) if k in kinds], np.int64)

    def index_in_kind(self, column: int) -> int:
        """Return the acquisition number of a column, counted within its kind (XA2 gives 2).

        Parameters
        ----------
        column : int
            Position among the saved channels.
        """
        kind, before = self.channel_kinds[column], 0
        for other, count in self.acquired_counts.items():
            if other == kind:
                break
            before += count
        return self.saved_channels[column] - before

    def channel_name(self, column: int) -> str:
        """Return the kind and number of a column, such as ``XA2``.

        Parameters
        ----------
        column : int
            Position among the saved channels.
        """
        return f"{self.channel_kinds[column]}{self.index_in_kind(column)}"

    def first_bit(self, column: int) -> int:
        """Return the number of bit 0 of a digital word, counted over the acquired words.

        Parameters
        ----------
        column : int
            Position among the saved channels.
        """
        words_before = 0
        for kind, count in self.acquired_counts.items():
            if kind == self.channel_kinds[column]:
                break
            words_before += count if kind in DIGITAL_KINDS else 0
        return 16 * (words_before + self.index_in_kind(column))


def read_meta(path: str | Path) -> SpikeGLXMeta:
    """Read a SpikeGLX ``.meta`` file.

    Parameters
    ----------
    path : str or Path
        The ``.meta`` file, or the ``.bin`` file that it belongs to.

    Returns
    -------
    SpikeGLXMeta

    Raises
    ------
    FormatError
        When the file is absent, lacks a field (all that lack are named), or contradicts itself.
    """
    meta_path = Path(path)
    if meta_path.suffix == ".bin":
        meta_path = meta_path.with_suffix(".meta")
    if not meta_path.is_file():
        raise FormatError(
            f"{meta_path} does not exist.",
            hint="A SpikeGLX .bin file cannot be read without the .meta file of the same name; "
            "copy it from the rig.",
        )
    return parse_meta(meta_path.read_bytes().decode("utf-8", "surrogateescape"), meta_path)


def parse_meta(text: str, path: str | Path) -> SpikeGLXMeta:
    """Interpret the text of a ``.meta`` file.

    Parameters
    ----------
    text : str
        The content, decoded as UTF-8 with ``surrogateescape``.
    path : str or Path
        The file it came from; its name says the stream.

    Returns
    -------
    SpikeGLXMeta

    Raises
    ------
    FormatError
        As :func:`read_meta`.
    """
    path = Path(path)
    fields = _split(text)
    stream_name, band, probe_num, warnings = _identify(path, fields)
    rate_key, saved_key, acquired_key, kinds = _FIELDS[band]
    _require(path, fields, (rate_key, saved_key, acquired_key, *_NEEDED[band]))
    n_saved = _integer(path, fields, "nSavedChans")
    acquired = _counts(path, fields, acquired_key, kinds)
    saved = _saved_channels(path, fields, n_saved, sum(acquired.values()))
    names = np.repeat(list(acquired), list(acquired.values()))
    channel_kinds = tuple(str(names[channel]) for channel in saved)
    counts = _counts(path, fields, saved_key, kinds)
    found = {kind: channel_kinds.count(kind) for kind in kinds}
    if found != counts:
        raise FormatError(
            f"{path}: snsSaveChanSubset has {found}, {saved_key} says {counts}.",
            hint="The meta file was edited or is damaged; take the rig's original.",
        )
    rate_hz = _positive(path, fields, rate_key)
    size = _integer(path, fields, "fileSizeBytes")
    n_samples = size // (2 * n_saved)
    return SpikeGLXMeta(
        path=path,
        text=text,
        fields=fields,
        stream_name=stream_name,
        band=band,
        probe_num=probe_num,
        sampling_rate_hz=rate_hz,
        n_saved_channels=n_saved,
        saved_channels=saved,
        channel_kinds=channel_kinds,
        acquired_counts=acquired,
        file_size_bytes=size,
        n_samples=n_samples,
        first_sample=int(fields.get("firstSample", "0")),
        recorded=_when(fields.get("fileCreateTime")),
        software=f"SpikeGLX {fields.get('appVersion', '')}".strip(),
        warnings=warnings + _size_warnings(fields, size, n_saved, rate_hz),
    )


def table_entries(text: str) -> list[str]:
    """Return the contents of the parentheses of a ``~`` table, header first.

    Parameters
    ----------
    text : str
        The table as it stands in the meta.
    """
    return re.findall(r"\(([^)]*)\)", text)


def _split(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key.strip().removeprefix("~"): value.strip() for key, value in pairs}


def _identify(
    path: Path, fields: Mapping[str, str]
) -> tuple[str, str, int | None, tuple[str, ...]]:
    """Stream, band and probe from the file's name, or else from the name it was recorded with."""
    recorded_name = PureWindowsPath(fields.get("fileName", "")).name
    own, recorded = _STREAM.search(path.name), _STREAM.search(recorded_name)
    match = own or recorded
    if match is None:
        raise FormatError(
            f"The name {path.name!r} does not say which stream it is.",
            hint="SpikeGLX names end in .imec0.ap.meta, .imec0.lf.meta, .nidq.meta or "
            ".obx0.obx.meta; give the file its original name back.",
        )
    stream = _stream_of(match)
    warnings: tuple[str, ...] = ()
    if own is None:
        warnings = (f"The file's name does not say its stream; {recorded_name!r} was recorded.",)
    elif recorded is not None and _stream_of(recorded) != stream:
        warnings = (f"The file was recorded as {recorded_name!r} and renamed since.",)
    return (*stream, warnings)


def _stream_of(match: re.Match[str]) -> tuple[str, str, int | None]:
    if match["imec"]:
        number = int(match["probe"] or 0)
        return f"imec{number}", match["band"], number
    if match["nidq"]:
        return "nidq", "nidq", None
    return match["obx"] if match["obx"] != "obx" else "obx0", "obx", None


def _require(path: Path, fields: Mapping[str, str], keys: tuple[str, ...]) -> None:
    needed = ("fileSizeBytes", "nSavedChans", "snsSaveChanSubset", *keys)
    missing = [key for key in needed if not fields.get(key)]
    if missing:
        raise FormatError(
            f"{path} lacks {', '.join(missing)}.",
            hint="SpikeGLX completes the meta file when a recording ends: it may still be running "
            "or have crashed. SpikeGLX can repair such a file (Tools > Verify/Repair).",
        )


def _integer(path: Path, fields: Mapping[str, str], key: str) -> int:
    value = fields[key]
    if not value.isdigit() or int(value) == 0:
        raise FormatError(
            f"{path}: {key}={value} is not a positive whole number.",
            hint="The recording is empty, has not ended, or its meta file is damaged.",
        )
    return int(value)


def _positive(path: Path, fields: Mapping[str, str], key: str) -> float:
    try:
        value = float(fields[key])
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise FormatError(
            f"{path}: {key}={fields[key]} is not a positive number.",
            hint="The meta file was edited or is damaged; take the rig's original.",
        )
    return value


def _counts(
    path: Path, fields: Mapping[str, str], key: str, kinds: tuple[str, ...]
) -> dict[str, int]:
    parts = fields[key].split(",")
    if len(parts) != len(kinds) or not all(part.strip().isdigit() for part in parts):
        raise FormatError(
            f"{path}: {key}={fields[key]} should be {len(kinds)} whole numbers.",
            hint="The meta file was edited or is damaged; take the rig's original.",
        )
    return dict(zip(kinds, map(int, parts), strict=True))


def _saved_channels(
    path: Path, fields: Mapping[str, str], n_saved: int, n_acquired: int
) -> tuple[int, ...]:
    subset = fields["snsSaveChanSubset"]
    if subset == "all":
        saved = list(range(n_acquired))
    else:
        saved = []
        for part in subset.split(","):
            ends = re.fullmatch(r"\s*(\d+)(?::(\d+))?\s*", part)
            if ends is None:
                raise FormatError(
                    f"{path}: {part!r} in snsSaveChanSubset is not a channel or a range.",
                    hint="Expected something like 0:383,768.",
                )
            saved.extend(range(int(ends[1]), int(ends[2] or ends[1]) + 1))
    if len(saved) != n_saved or any(channel >= n_acquired for channel in saved):
        raise FormatError(
            f"{path}: snsSaveChanSubset={subset} names {len(saved)} of {n_acquired} acquired "
            f"channels, nSavedChans={n_saved}.",
            hint="The meta file was edited or is damaged; take the rig's original.",
        )
    return tuple(saved)


def _when(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _size_warnings(
    fields: Mapping[str, str], size: int, n_saved: int, rate_hz: float
) -> tuple[str, ...]:
    """Contradictions between size, channels and duration; a sample is allowed for rounding."""
    warnings = []
    if size % (2 * n_saved):
        warnings.append(
            f"fileSizeBytes={size} is not a whole number of frames of {2 * n_saved} bytes."
        )
    try:
        duration_s = float(fields["fileTimeSecs"])
    except (KeyError, ValueError):
        warnings.append("fileTimeSecs is absent, so the size could not be checked against it.")
        return tuple(warnings)
    if abs(duration_s * rate_hz - size / (2 * n_saved)) > 1:
        warnings.append(
            f"fileTimeSecs={duration_s:g} makes {duration_s * rate_hz:.1f} samples at "
            f"{rate_hz:g} Hz, fileSizeBytes={size} makes {size / (2 * n_saved):.1f}."
        )
    return tuple(warnings)
