"""Extracellular recordings: probes, their configurations, recordings and their files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ..database.projects import Computed, Imported, Manual, Part, table
from .general import Dataset, File  # noqa: F401  (named by foreign keys)

if TYPE_CHECKING:
    from ..formats.analog_edges import AnalogEdges
    from ..formats.bands import RecordedBand


@table("data")
class Probe(Manual):
    """Probes, by serial number."""

    definition = """
    probe_id : varchar(32)               # serial number
    ---
    probe_type : varchar(32)             # the maker's type number or part number
    probe_n_shanks : int16
    probe_recording_channels : int32     # channels recorded at once
    """


@table("data")
class ProbeConfiguration(Manual):
    """Which sites of a probe were recorded, and with which gain."""

    definition = """
    -> Probe
    configuration_id : int16
    ---
    probe_n_channels : int32             # saved channels
    probe_gain : float64                 # uV per bit of the AP band
    channel_idx : <array>                # int64 (n,), acquisition channel of each saved channel
    channel_shank : <array>              # int64 (n,)
    channel_coords : <array>             # float64 (n, 2), um: along the shanks' row, from the tip
    configuration_hash : char(64)        # identity of the four columns above
    unique index (probe_id, configuration_hash)
    """


def hash_configuration(
    channel_idx: Any, channel_shank: Any, channel_coords: Any, gain: Any
) -> str:
    """Return the identity of a probe's configuration: equal content has an equal hash.

    Parameters
    ----------
    channel_idx, channel_shank : array_like
        Integers (n,): acquisition channel and shank of each saved channel.
    channel_coords : array_like
        (n, 2), um.
    gain : array_like
        uV per bit of the AP band, of each channel or of all.
    """
    channels = np.asarray(channel_idx, "int64")
    shanks = np.asarray(channel_shank, "int64")
    positions_um = np.asarray(channel_coords, "float64")
    gains = np.broadcast_to(np.asarray(gain, "float64"), channels.shape)
    identity = hashlib.sha256()
    for array in (channels, shanks, positions_um, gains):
        identity.update(np.ascontiguousarray(array).tobytes())
    return identity.hexdigest()


@table("data")
class EphysRecording(Imported):
    """Extracellular recordings."""

    definition = """
    -> Dataset
    ---
    n_probes : int16
    recording_duration : float64         # s, longest probe, on its nominal clock
    recording_software : varchar(56)
    """

    class ProbeSetting(Part):
        """Probes of a recording."""

        definition = """
        -> master
        probe_num : int16                # imec number, from the file name
        ---
        -> ProbeConfiguration
        sampling_rate : float64          # Hz, calibrated, as the recording states it
        n_samples=null : int64           # of the AP band
        """

        def open(self, *, band: str = "ap", download: bool = False) -> RecordedBand:
            """Open the samples of the probe, to read any second of them where they are.

            Parameters
            ----------
            band : str, optional
                ``"ap"`` or ``"lf"``.
            download : bool, optional
                Fetch the whole file to the first local path before, verified.

            Returns
            -------
            RecordedBand
                An array of int16 (n_samples, n_channels) that is read by ``[start:stop]`` or
                ``[start:stop, channels]``; ``read_uv(start, stop)`` gives microvolts. Of a file in
                a store only the chunks that are touched are read.

            Raises
            ------
            QueryError
                If not exactly one probe is chosen, or it has no such band.
            LabdataError
                If the file cannot be read, or is damaged.

            Examples
            --------
            >>> probe = EphysRecording.ProbeSetting & session & "probe_num = 0"  # doctest: +SKIP
            >>> probe.open().read_uv(30000, 60000)  # doctest: +SKIP
            """
            from .recorded_bands import open_probe_band

            return open_probe_band(self, band=band, download=download)

    class ProbeFile(Part):
        """Files of a probe."""

        definition = """
        -> EphysRecording.ProbeSetting
        -> File
        """

    class Segment(Part):
        """Pieces of a stream: gates and triggers, or runs, that were recorded one after another.

        Samples of spikes and events count on the concatenation of a stream's pieces; seconds are
        those of its own clock, pauses included. A stream without rows is in one piece. See
        :class:`labdata.clocks.SegmentAxis`.
        """

        definition = """
        -> master
        stream_name : varchar(54)        # imec0, nidq, obx0, ...
        segment_num : int16              # from 0, in the order in which they were recorded
        ---
        offset_samples : int64           # first sample in the concatenation of the segments
        n_samples : int64
        start_s : float64                # s, of the first sample on the stream's own axis
        epoch : int16                    # run of the acquisition, from 0
        first_sample=null : int64        # since the acquisition of the run began
        """

    def add_nidq_events(self) -> int:
        """Read the digital lines of these recordings' files into DatasetEvents.

        The ephys rule does this at upload; use it for recordings that came another way. Lines
        that are there already are left alone.

        Returns
        -------
        int
            Number of lines added.
        """
        from .ephys_events import add_events

        return add_events(self)

    def add_analog_events(
        self,
        channel: str,
        *,
        stream_name: str | None = None,
        high_v: float | None = None,
        low_v: float | None = None,
        min_width_s: float = 0.0,
    ) -> list[AnalogEdges]:
        """Find the edges of an analog input, such as a photodiode, and insert them as events.

        They become a row of DatasetEvents.Digital named like the input, on its stream's clock. The
        stored file is read where it is, in pieces.

        Parameters
        ----------
        channel : str
            The input: ``XA0`` of SpikeGLX, ``AI0`` or ``ADC1`` of Open Ephys.
        stream_name : str, optional
            Its device, such as ``nidq`` or ``obx0``, if several have an input of that name.
        high_v, low_v : float, optional
            Voltages at which it rises and falls; by default at two thirds and one third between
            its two levels, for which the file is read twice.
        min_width_s : float, optional
            Stretches of a level that are shorter are no pulses, in seconds.

        Returns
        -------
        list of AnalogEdges
            One a recording: edges, thresholds, and the glitches that were taken out.

        Raises
        ------
        QueryError
            If there is no such input, or several, or its events are there already.
        FormatError
            If the trace has no two levels, or the thresholds make no sense.

        Examples
        --------
        >>> (EphysRecording & session).add_analog_events("XA0")  # doctest: +SKIP
        [<52 edges at 1.133 and 2.066 V, 0 glitches taken out>]
        """
        from .analog_events import add_analog_events

        return add_analog_events(
            self,
            channel,
            stream_name=stream_name,
            high_v=high_v,
            low_v=low_v,
            min_width_s=min_width_s,
        )


@table("data")
class EphysRecordingNoiseStats(Computed):
    """Voltages of each channel of a probe's AP band, in samples' own units.

    ``EphysRecordingNoiseStats.populate(key)`` measures 20 snippets of 0.25 s, one at random in
    each twentieth of the recording and the same ones every time; only these are read, wherever the
    file is. Times ``probe_gain`` of ProbeConfiguration, the gain of the first channel, they are
    microvolts where all channels have one gain; of a Neuropixels 1.0 with several, multiply by
    ``band.uv_per_bit[band.signal_channels]`` of ``band = ProbeSetting.open()``. ``channel_mad`` is
    the median distance from the median, which is 0.6745 standard deviations of normal noise.
    """

    definition = """
    -> EphysRecording.ProbeSetting
    ---
    channel_median=null : <array>        # (channel,)
    channel_max=null : <array>           # (channel,)
    channel_min=null : <array>           # (channel,)
    channel_peak_to_peak=null : <array>  # (channel,), largest less smallest
    channel_mad=null : <array>           # median absolute deviation
    """

    def make(self, key: dict[str, Any]) -> None:
        """Measure the AP band of one probe; ``populate`` calls it."""
        from ..formats.channel_noise import measure_noise

        noise = measure_noise((self.lab.EphysRecording.ProbeSetting & key).open())
        self.insert1(
            {
                **key,
                "channel_median": noise.median,
                "channel_max": noise.largest,
                "channel_min": noise.smallest,
                "channel_peak_to_peak": noise.peak_to_peak,
                "channel_mad": noise.mad,
            }
        )
