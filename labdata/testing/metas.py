"""The text of ``.meta`` files, with the fields that SpikeGLX 2023 writes and readers look for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labdata.testing.probes import N_CHANNELS, ProbeModel, Wiring
from labdata.testing.truth import ClockTruth

#: Range and full scale of the simulated NI-DAQ.
NI_RANGE_V, NI_MAX_INT = 5.0, 32768
_CREATED = "2024-03-05T10:00:00"


def imec_meta(
    name: str,
    clock: ClockTruth,
    model: ProbeModel,
    wiring: Wiring,
    serial: str,
    *,
    band: str,
    created: str = _CREATED,
    notes: str = "",
) -> dict[str, str]:
    """Return the fields of an AP or LF file.

    Parameters
    ----------
    name : str
        Name of the ``.bin`` file.
    clock : ClockTruth
        Clock of the band.
    model, wiring : ProbeModel, Wiring
        The probe and the channels saved.
    serial : str
        Serial number.
    band : str
        ``ap`` or ``lf``.
    created, notes : str, optional
        ISO date of creation, and the user's notes.
    """
    n_lf = N_CHANNELS if model.lf_gain is not None else 0
    sync = N_CHANNELS + n_lf
    first = N_CHANNELS if band == "lf" else 0
    kind, n = band.upper(), wiring.saved.size
    fields = _common(name, clock, n + 1, "imec", created, notes)
    fields |= {
        "acqApLfSy": f"{N_CHANNELS},{n_lf},1",
        "snsApLfSy": f"{n},0,1" if band == "ap" else f"0,{n},1",
        "snsSaveChanSubset": ranges([*(wiring.saved + first), sync]),
        "imSampRate": f"{clock.nominal_rate_hz:g}",
        "imAiRangeMax": f"{model.range_v:g}",
        "imAiRangeMin": f"{-model.range_v:g}",
        "imMaxInt": str(model.max_int),
        "imDatPrb_pn": model.part_number,
        "imDatPrb_sn": serial,
        "imDatPrb_type": model.probe_type,
        "imDatPrb_slot": "2",
        "imDatPrb_port": "1",
        "imDatPrb_dock": "1",
        "imCalibrated": "false",
        "imChan0apGain": f"{model.ap_gain:g}",
        "syncImInputSlot": "2",
        "~imroTbl": _imro_table(model, wiring.imro),
        "~snsChanMap": f"({N_CHANNELS},{n_lf},1)"
        + "".join(
            f"({kind}{c};{c + first}:{order})" for order, c in enumerate(wiring.saved.tolist())
        )
        + f"(SY0;{sync}:{sync})",
        "~snsGeomMap": _geom_map(model, wiring),
    }
    return fields


def nidq_meta(
    name: str, clock: ClockTruth, *, created: str = _CREATED, notes: str = ""
) -> dict[str, str]:
    """Return the fields of an NI-DAQ file with one analog channel and one digital word.

    Parameters
    ----------
    name : str
        Name of the ``.bin`` file.
    clock : ClockTruth
        Clock of the NI-DAQ.
    created, notes : str, optional
        ISO date of creation, and the user's notes.
    """
    return _common(name, clock, 2, "nidq", created, notes) | {
        "acqMnMaXaDw": "0,0,1,1",
        "snsMnMaXaDw": "0,0,1,1",
        "snsSaveChanSubset": "all",
        "niSampRate": repr(clock.nominal_rate_hz),
        "niAiRangeMax": f"{NI_RANGE_V:g}",
        "niAiRangeMin": f"{-NI_RANGE_V:g}",
        "niMaxInt": str(NI_MAX_INT),
        "niMNGain": "200",
        "niMAGain": "1",
        "niMuxFactor": "1",
        "niXAChans1": "0",
        "niXDBytes1": "1",
        "niXDChans1": "0:7",
        "syncNiChanType": "0",
        "syncNiChan": "7",
        "~snsChanMap": "(0,0,1,1,1)(XA0;0:0)(XD0;1:1)",
    }


def ranges(channels: Iterable[int]) -> str:
    """Return ascending channels as SpikeGLX writes them: ``0:23,48:71,384``.

    Parameters
    ----------
    channels : iterable of int
        Ascending.
    """
    parts: list[list[int]] = []
    for channel in map(int, channels):
        if parts and channel == parts[-1][1] + 1:
            parts[-1][1] = channel
        else:
            parts.append([channel, channel])
    return ",".join(f"{a}" if a == b else f"{a}:{b}" for a, b in parts)


def meta_text(fields: Mapping[str, str], sha1: str) -> str:
    """Return the text of a meta file, keys in SpikeGLX's order.

    Parameters
    ----------
    fields : mapping of str to str
        Keys and values.
    sha1 : str
        Of the binary file, hexadecimal.
    """
    all_fields = {**fields, "fileSHA1": sha1.upper()}
    plain = sorted(key for key in all_fields if not key.startswith("~"))
    tables = [key for key in all_fields if key.startswith("~")]
    return "".join(f"{key}={all_fields[key]}\n" for key in [*plain, *tables])


def _common(
    name: str, clock: ClockTruth, n_saved: int, kind: str, created: str, notes: str
) -> dict[str, str]:
    return {
        "appVersion": "20230905",
        "fileCreateTime": created,
        "fileName": f"D:/data/{Path(name).name}",
        "fileSizeBytes": str(2 * n_saved * clock.n_samples),
        "fileTimeSecs": repr(clock.n_samples / clock.nominal_rate_hz),
        "firstSample": str(clock.first_sample),
        "gateMode": "Immediate",
        "nSavedChans": str(n_saved),
        "syncSourceIdx": "3",
        "syncSourcePeriod": "1",
        "trigMode": "Immediate",
        "typeImEnabled": "1",
        "typeNiEnabled": "1",
        "typeObEnabled": "0",
        "typeThis": kind,
        "userNotes": notes,
    }


def _imro_table(model: ProbeModel, imro: NDArray[np.int64]) -> str:
    head = f"({model.probe_type},{N_CHANNELS})"
    if model.lf_gain is not None:  # channel bank reference apgain lfgain highpass
        gains = f"{model.ap_gain:g} {model.lf_gain:g} 1"
        return head + "".join(f"({channel} 0 0 {gains})" for channel in imro[:, 0])
    return head + "".join(f"({c} {shank} 0 0 {e})" for c, shank, e in imro)


def _geom_map(model: ProbeModel, wiring: Wiring) -> str:
    """Return shank, x from the shank's left edge, depth and use of each saved contact."""
    pitch, left_um = (250, 27.0) if model.n_shanks > 1 else (0, 11.0)
    rows = zip(wiring.shank.tolist(), wiring.positions_um.tolist(), strict=True)
    return f"({model.part_number},{model.n_shanks},{pitch},70)" + "".join(
        f"({shank}:{x - pitch * shank + left_um:g}:{depth:g}:1)" for shank, (x, depth) in rows
    )
