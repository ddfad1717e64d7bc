"""Where a probe's contacts are and how many microvolts a bit is.

Positions come from probeinterface, which carries the manufacturer's tables: keeping our own would
be one more place to be wrong in. It reads only AP files that save all or some AP channels, so it
is given the same meta with every AP channel marked as saved, and the saved ones are chosen here;
LF files then work as well.

Gains follow the SpikeGLX metadata guide: volts = value x imAiRangeMax / imMaxInt / gain. The gain
is set a channel on 1.0-type probes (imro table, or its header on NP1110) and fixed on 2.0-type.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError
from labdata.formats.probe_geometry import ProbeGeometry
from labdata.formats.spikeglx.meta import SpikeGLXMeta, table_entries

#: Probe types that record 14 bits at a fixed gain of 80 (2.0 prototypes and first 2.0).
_GAIN_80_TYPES = frozenset({"21", "24"})
_MAX_INT_OF_OLD_FILES = {True: 8192, False: 512}


def read_probe(meta: SpikeGLXMeta) -> ProbeGeometry:
    """Read the probe of an ``imec`` file.

    Parameters
    ----------
    meta : SpikeGLXMeta
        Description of an AP or LF file.

    Returns
    -------
    ProbeGeometry
        One entry a saved AP (or LF) column, in file order.

    Raises
    ------
    FormatError
        When the stream is not a probe, none of its channels was saved, the probe is unknown, or
        a gain is not stated.
    """
    _check_is_probe(meta)
    columns = meta.columns_of("AP", "LF")
    channels = np.array([meta.index_in_kind(int(c)) for c in columns], np.int64)
    if not channels.size:
        raise FormatError(
            f"{meta.path} saves no channel of the probe, only its status word.",
            hint="There is nothing to place or sort; store the files with -r none.",
        )
    probe = _acquired_probe(meta)
    if channels.max() >= probe.get_contact_count():
        raise FormatError(
            f"{meta.path} saves channel {channels.max()}, its imro table has "
            f"{probe.get_contact_count()}.",
            hint="The meta file was edited or is damaged; take the rig's original.",
        )
    shank_ids = probe.shank_ids
    shanks = np.zeros(probe.get_contact_count(), np.int64)
    if shank_ids is not None:
        shanks = np.array([int(s) if str(s) else 0 for s in shank_ids], np.int64)
    bands = ("ap", "lf") if meta.acquired_counts["LF"] else ("ap",)
    return ProbeGeometry(
        probe_id=_serial(meta),
        part_number=_part_number(meta),
        probe_type=meta.fields.get("imDatPrb_type") or ("3A" if _is_3a(meta) else "0"),
        n_shanks=_shank_count(meta, shanks),
        positions_um=np.asarray(probe.contact_positions, np.float64)[channels],
        shank=shanks[channels],
        channel_idx=channels,
        uv_per_bit={band: _microvolts(meta, band)[channels] for band in bands},
    )


def channel_uv_per_bit(meta: SpikeGLXMeta) -> NDArray[np.float64]:
    """Return the microvolts a bit of every column of a file.

    Parameters
    ----------
    meta : SpikeGLXMeta
        Description of any SpikeGLX file.

    Returns
    -------
    ndarray of float64, shape (n_saved_channels,)
        NaN for columns that hold digital words.

    Raises
    ------
    FormatError
        When a gain is not stated or not positive.
    """
    scale = np.full(meta.n_saved_channels, np.nan)
    if meta.band in ("ap", "lf"):
        for kind in ("AP", "LF"):
            columns = meta.columns_of(kind)
            if columns.size:
                channels = [meta.index_in_kind(int(c)) for c in columns]
                scale[columns] = _microvolts(meta, kind.lower())[channels]
        return scale
    gains = {"XA": 1.0}
    if meta.band == "nidq":
        full_scale_bits = _number(meta, "niMaxInt", 32768.0)
        volts_per_bit = _number(meta, "niAiRangeMax") / full_scale_bits
        gains |= {"MN": _number(meta, "niMNGain"), "MA": _number(meta, "niMAGain")}
    else:
        volts_per_bit = _number(meta, "obAiRangeMax") / _number(meta, "obMaxInt")
    for kind, gain in gains.items():
        scale[meta.columns_of(kind)] = 1e6 * volts_per_bit / gain
    return scale


def _check_is_probe(meta: SpikeGLXMeta) -> None:
    if meta.probe_num is None:
        raise FormatError(
            f"{meta.path} is of {meta.stream_name}, which is not a probe.",
            hint="Give the meta of an .imecN.ap or .imecN.lf file.",
        )


def _is_3a(meta: SpikeGLXMeta) -> bool:
    return "imProbeOpt" in meta.fields


def _part_number(meta: SpikeGLXMeta) -> str:
    number = "NP1010" if _is_3a(meta) else meta.fields.get("imDatPrb_pn", "")
    if not number:
        raise FormatError(
            f"{meta.path} lacks imDatPrb_pn, the part number of the probe.",
            hint="The geometry follows from it; add the line from the probe's label.",
        )
    return number


def _serial(meta: SpikeGLXMeta) -> str:
    serial = meta.fields.get("imDatPrb_sn") or meta.fields.get("imProbeSN")
    if not serial:
        raise FormatError(
            f"{meta.path} lacks imDatPrb_sn, the serial number of the probe.",
            hint="Add the line from the probe's label: two probes must not share an identity.",
        )
    return serial


def _shank_count(meta: SpikeGLXMeta, shanks: NDArray[np.int64]) -> int:
    """Shanks that the probe has: ~snsGeomMap=(part,shanks,..) or ~snsShankMap=(shanks,..)."""
    used = int(shanks.max(initial=0)) + 1
    for key, position in (("snsGeomMap", 1), ("snsShankMap", 0)):
        entries = table_entries(meta.fields.get(key, ""))
        parts = entries[0].split(",") if entries else []
        if len(parts) > position and parts[position].isdigit():
            return max(used, int(parts[position]))
    return used


def _acquired_probe(meta: SpikeGLXMeta) -> Any:
    """Every acquired contact as a probeinterface Probe, ordered by channel."""
    import probeinterface

    lines = [
        f"snsSaveChanSubset=0:{meta.acquired_counts['AP'] - 1}"
        if line.startswith("snsSaveChanSubset=")
        else line
        for line in meta.text.splitlines()
    ]
    _part_number(meta)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "all_g0_t0.imec0.ap.meta"
        copy.write_text("\n".join(lines).encode("ascii", "replace").decode(), "ascii")
        try:
            return probeinterface.read_spikeglx(copy)
        except (KeyError, ValueError, IndexError, AssertionError, TypeError) as error:
            raise FormatError(
                f"{meta.path}: the probe {_part_number(meta)} or its imro table is not known "
                f"to probeinterface {probeinterface.__version__} ({error}).",
                hint="A newer probeinterface may know it: pip install -U probeinterface.",
            ) from error


def _microvolts(meta: SpikeGLXMeta, band: str) -> NDArray[np.float64]:
    """Microvolts a bit of every acquired channel of a band, shape (n_acquired,)."""
    gains = _gains(meta, band)
    if not np.all(gains > 0):
        raise FormatError(
            f"{meta.path}: a gain of {gains.min():g} in ~imroTbl.",
            hint="The meta file was edited or is damaged; take the rig's original.",
        )
    old_max = _MAX_INT_OF_OLD_FILES[meta.fields.get("imDatPrb_type") in _GAIN_80_TYPES]
    bits = _number(meta, "imMaxInt", float(old_max))
    microvolts: NDArray[np.float64] = _number(meta, "imAiRangeMax") / bits / gains * 1e6
    return microvolts


def _gains(meta: SpikeGLXMeta, band: str) -> NDArray[np.float64]:
    header, *rows = table_entries(meta.fields["imroTbl"])
    head = header.split(",")
    n_channels = meta.acquired_counts["AP"]
    gain_at = {"ap": 3, "lf": 4}[band]
    if head[0] == "1110":  # one gain for all, in the header: (1110,colmode,ref,ap,lf,filter)
        return np.full(n_channels, float(head[gain_at]))
    if meta.acquired_counts["LF"]:  # 1.0 type: (channel bank ref apgain lfgain [filter])
        gains = np.full(n_channels, np.nan)
        for row in rows:
            values = row.split()
            if len(values) <= gain_at or not int(values[0]) < n_channels:
                raise FormatError(
                    f"{meta.path}: the row ({row}) of ~imroTbl states no {band} gain.",
                    hint="The meta file was edited or is damaged; take the rig's original.",
                )
            gains[int(values[0])] = float(values[gain_at])
        return gains
    return np.full(n_channels, _fixed_gain(meta))


def _fixed_gain(meta: SpikeGLXMeta) -> float:
    """Return the gain of a 2.0-type probe: stated by newer files, else known of the type."""
    if "imChan0apGain" in meta.fields:
        return _number(meta, "imChan0apGain")
    if meta.fields.get("imDatPrb_type") in _GAIN_80_TYPES:
        return 80.0
    gain = _acquired_probe(meta).annotations.get("ap_gain")
    if gain is None:
        raise FormatError(
            f"{meta.path} does not state the gain of probe {_part_number(meta)}.",
            hint="A newer SpikeGLX writes imChan0apGain; add that line from the probe's manual.",
        )
    return float(gain)


def _number(meta: SpikeGLXMeta, key: str, default: float | None = None) -> float:
    text = meta.fields.get(key)
    if not text and default is not None:
        return default
    try:
        value = float(text or "nan")
    except ValueError:
        value = float("nan")
    if not value > 0:
        raise FormatError(
            f"{meta.path}: {key}={text} is not a positive number.",
            hint="The meta file was edited or is damaged; take the rig's original.",
        )
    return value
