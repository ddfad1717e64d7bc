"""Two real probes, as much of them as a SpikeGLX meta file states.

The geometry is worked out here from the pitches of the data sheets, not read with the library's
own readers, so that a recording made here can show those readers wrong. The channel of each
electrode of the four-shank probe follows the switch matrix of the real one: electrodes come in
blocks of 48, and each shank sends its blocks to the channels in its own order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError

#: Block of 48 channels that each block of 48 electrodes of bank 0 uses, a row a shank.
CHANNEL_BLOCKS = (
    (0, 2, 4, 6, 5, 7, 1, 3),
    (1, 3, 5, 7, 4, 6, 0, 2),
    (4, 6, 0, 2, 1, 3, 5, 7),
    (5, 7, 1, 3, 0, 2, 4, 6),
)
N_CHANNELS = 384


@dataclass(frozen=True)
class ProbeModel:
    """What the data sheet of a probe says.

    Parameters
    ----------
    part_number : str
        Manufacturer's part number.
    probe_type : str
        SpikeGLX probe type.
    n_shanks : int
        Number of shanks.
    rows_per_shank : int
        Rows of two contacts on a shank.
    range_v : float
        Half the input range, in volts.
    max_int : int
        Value that the half range is digitised to.
    ap_gain : float
        Gain of the AP band.
    lf_gain : float or None
        Gain of the LF band; None for probes without one.
    """

    part_number: str
    probe_type: str
    n_shanks: int
    rows_per_shank: int
    range_v: float
    max_int: int
    ap_gain: float
    lf_gain: float | None

    @property
    def uv_per_bit_ap(self) -> float:
        """Microvolts a bit in the AP band."""
        return 1e6 * self.range_v / self.max_int / self.ap_gain

    @property
    def uv_per_bit_lf(self) -> float | None:
        """Microvolts a bit in the LF band, None without one."""
        return None if self.lf_gain is None else 1e6 * self.range_v / self.max_int / self.lf_gain


#: Probes that can be simulated: Neuropixels 1.0, and 2.0 with four shanks.
PROBE_MODELS = {
    "NP1000": ProbeModel("NP1000", "0", 1, 480, 0.6, 512, 500.0, 250.0),
    "NP2013": ProbeModel("NP2013", "2013", 4, 640, 0.62, 2048, 100.0, None),
}


@dataclass(frozen=True)
class ProbeSpec:
    """One simulated probe.

    Parameters
    ----------
    part_number : str
        A key of :data:`PROBE_MODELS`.
    n_channels : int
        Channels saved; the first of each shank, so a multiple of the number of shanks.
    n_units : int
        Neurons around it.
    ppm : float
        How much faster its clock runs than nominal, in parts per million.
    start_s : float
        True time of its first sample, in seconds.
    probe_num : int or None
        Number in the file's name; its place in the list when None.
    shanks : tuple of int
        Shanks recorded from; all when empty.
    lf : bool
        Write the LF band too, where the probe has one.
    """

    part_number: str = "NP2013"
    n_channels: int = 64
    n_units: int = 10
    ppm: float = 18.0
    start_s: float = 0.0
    probe_num: int | None = None
    shanks: tuple[int, ...] = ()
    lf: bool = True

    @property
    def model(self) -> ProbeModel:
        """The probe's data sheet.

        Raises
        ------
        FormatError
            If no such probe can be simulated.
        """
        if self.part_number not in PROBE_MODELS:
            raise FormatError(
                f"The probe {self.part_number!r} cannot be simulated.",
                hint=f"Choose one of {', '.join(PROBE_MODELS)}.",
            )
        return PROBE_MODELS[self.part_number]


@dataclass(frozen=True, eq=False)
class Wiring:
    """The contacts that a simulated probe records.

    Parameters
    ----------
    imro : ndarray of int64, shape (384, 3)
        (channel, shank, electrode) of every acquired channel, by channel.
    saved : ndarray of int64, shape (n,)
        Channels saved, ascending.
    positions_um : ndarray of float64, shape (n, 2)
        (x, depth) of each saved channel's contact.
    shank : ndarray of int64, shape (n,)
        Shank of each saved channel's contact.
    """

    imro: NDArray[np.int64]
    saved: NDArray[np.int64]
    positions_um: NDArray[np.float64]
    shank: NDArray[np.int64]


def wire(spec: ProbeSpec) -> Wiring:
    """Choose the electrodes and saved channels of a probe.

    Parameters
    ----------
    spec : ProbeSpec
        What is wanted.

    Returns
    -------
    Wiring

    Raises
    ------
    FormatError
        When the channels do not fit the probe.
    """
    model = spec.model
    shanks = spec.shanks or tuple(range(model.n_shanks))
    per_shank, rest = divmod(spec.n_channels, len(shanks))
    most = N_CHANNELS // model.n_shanks
    if rest or not 0 < per_shank <= most or not set(shanks) <= set(range(model.n_shanks)):
        raise FormatError(
            f"{spec.n_channels} channels cannot be spread over shanks {shanks} of "
            f"{model.part_number}.",
            hint=f"It has {model.n_shanks} shanks; record up to {most} channels on each, "
            "equally many.",
        )
    imro = _imro(model)
    electrode = imro[:, 2]
    keep = np.isin(imro[:, 1], shanks) & (electrode < per_shank)
    return Wiring(
        imro=imro,
        saved=imro[keep, 0],
        positions_um=contact_positions(model, imro[keep, 1], electrode[keep]),
        shank=imro[keep, 1],
    )


def contact_positions(
    model: ProbeModel, shank: NDArray[np.int64], electrode: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return where electrodes are, by the pitches of the data sheets.

    Parameters
    ----------
    model : ProbeModel
        The probe.
    shank, electrode : ndarray of int64, shape (n,)
        Shank, and electrode on it from the tip.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        (x, depth) in micrometres; x of the leftmost contact is 0.
    """
    row, column = electrode // 2, electrode % 2
    if model.part_number == "NP1000":  # staggered: 16 and 48 on even rows, 0 and 32 on odd
        x, depth = 32 * column + 16 * (1 - row % 2), 20 * row
    else:
        x, depth = 32 * column + 250 * shank, 15 * row
    return np.stack([x, depth], axis=1).astype(np.float64)


def _imro(model: ProbeModel) -> NDArray[np.int64]:
    """Return (channel, shank, electrode) with the lowest electrodes of every shank, by channel."""
    per_shank = N_CHANNELS // model.n_shanks
    shank, electrode = np.divmod(np.arange(N_CHANNELS), per_shank)
    channel = electrode
    if model.n_shanks == 4:
        channel = np.array(CHANNEL_BLOCKS)[shank, electrode // 48] * 48 + electrode % 48
    rows = np.stack([channel, shank, electrode], axis=1).astype(np.int64)
    return rows[np.argsort(rows[:, 0])]
