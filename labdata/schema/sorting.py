"""Spike sorting: parameters, units, waveforms, metrics and counts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ..database.projects import Computed, Manual, Part, table
from .ephys import EphysRecording  # noqa: F401  (named by foreign keys)
from .general import AnalysisFile, Dataset  # noqa: F401


@table("computed")
class SpikeSortingParams(Manual):
    """Parameter sets of spike sorters."""

    definition = """
    parameter_set_num : int32
    ---
    algorithm_name : varchar(64)
    parameter_description=null : varchar(256)
    parameters_dict : json
    code_link=null : varchar(300)
    parameters_hash : char(64)           # identity of algorithm and parameters
    unique index (parameters_hash)
    """


def hash_parameters(algorithm: str, parameters: Mapping[str, Any]) -> str:
    """Return the identity of a parameter set: equal content has an equal hash.

    Parameters
    ----------
    algorithm : str
        Its name.
    parameters : mapping
        All of its parameters, as JSON has them.
    """
    text = json.dumps({"algorithm": algorithm, "parameters": parameters}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@table("computed")
class SpikeSorting(Manual):
    """One sorting of one probe."""

    definition = """
    -> EphysRecording.ProbeSetting
    -> SpikeSortingParams
    ---
    algorithm_version=null : varchar(56)
    sorting_datetime=null : datetime(6)  # UTC
    n_pre_samples=null : int16           # samples of a waveform before the spike
    n_sorted_units=null : int32
    n_detected_spikes=null : int64
    sorting_channel_indices=null : <array>  # rows of channel_idx that were sorted
    sorting_channel_coords=null : <array>   # float64 (n, 2), um
    additional_params=null : json
    package_versions=null : json
    -> [nullable] AnalysisFile.proj(features_file='file_path', features_storage='storage')
    -> [nullable] AnalysisFile.proj(waveforms_file='file_path', waveforms_storage='storage')
    container_version=null : varchar(512)
    """

    def curation(self) -> Any:
        """Return the curated units of this one sorting, and what can be done to them.

        Returns
        -------
        labdata.schema.curation.Curation
            ``label``, ``merge``, ``split`` and ``undo`` append to the log UnitCuration;
            ``units()``, ``get_spike_times()`` and ``metrics()`` are of the units as they are now.

        Examples
        --------
        >>> curation = (SpikeSorting & key).curation()  # doctest: +SKIP
        >>> merged = curation.merge([3, 7], note="one drifting unit")  # doctest: +SKIP
        >>> curation.label([merged], "SUA")  # doctest: +SKIP
        """
        from .curation import Curation

        return Curation(self.lab, self.fetch1("KEY"))

    class Segment(Part):
        """Snippets of the filtered voltage, for a look."""

        definition = """
        -> master
        segment_num : int32
        ---
        offset_samples : int64           # first sample of the snippet
        segment : <array>                # float32 (n_samples, n_channels), uV
        channel_median=null : <array>    # uV
        channel_mad=null : <array>       # uV
        channel_max=null : <array>       # uV
        channel_min=null : <array>       # uV
        channel_peak_to_peak=null : <array>  # uV
        """

    class Unit(Part):
        """Sorted units and their spikes."""

        definition = """
        -> master
        unit_id : int32
        ---
        spike_times : <spiketrain>       # int64 samples of the probe's clock
        spike_positions=null : <array>   # float32 (n, 2), um: x and depth
        spike_amplitudes=null : <array>  # float32 (n,), uV
        """

        def get_spike_times(
            self,
            *,
            as_dict: bool = True,
            return_seconds: bool = True,
            extra_keys: list[str] | tuple[str, ...] = (),
            warn: bool = True,
            include_metrics: bool = False,
            interp_method: str = "piecewise-linear",
        ) -> list[Any]:
            """Return the spike times of these units, each on the clock of its own recording.

            Parameters
            ----------
            as_dict : bool, optional
                One dict a unit (its key, ``spike_times`` and what else is asked for), else one
                array a unit.
            return_seconds : bool, optional
                Float64 seconds on the clock that StreamSync names, else int64 samples.
            extra_keys : list of str, optional
                More attributes of the units, for instance ``"spike_amplitudes"``.
            warn : bool, optional
                Warn where a probe is not synchronised.
            include_metrics : bool, optional
                Add the attributes of UnitMetrics.
            interp_method : {"piecewise-linear"}
                The only method; a cubic spline through jittered pulses is not offered, as it
                errs by seconds beyond the last pulse.

            Returns
            -------
            list of dict or list of numpy.ndarray
                In the order of the keys. The dicts also say ``clock`` (the clock the times are
                on), ``clock_dataset`` (whose clock of that name), ``synced`` (False: the
                probe's own clock, which is no other stream's) and ``n_extrapolated`` (spikes
                outside the pulses, at the fitted rate).
            """
            from .spike_times import get_spike_times

            return get_spike_times(
                self,
                as_dict=as_dict,
                return_seconds=return_seconds,
                extra_keys=tuple(extra_keys),
                warn=warn,
                include_metrics=include_metrics,
                interp_method=interp_method,
            )

    class Waveforms(Part):
        """Median waveforms of units."""

        definition = """
        -> SpikeSorting.Unit
        ---
        waveform_median : <array>        # float32 (n_samples, n_channels), uV
        waveform_channels=null : <array> # channels of the waveform; null: all
        waveform_ptp=null : <array>      # peak to peak of each channel, uV
        waveform_noise=null : float64    # uV
        """

    class MergedUnit(Part):
        """Units that were joined into one, as each was before: a merge can be undone."""

        definition = """
        -> master
        merged_unit_id : int32           # unit_id of the joined unit
        source_unit_id : int32           # unit_id that this one had
        ---
        spike_times : <spiketrain>       # int64 samples of the probe's clock
        spike_positions=null : <array>   # float32 (n, 2), um: x and depth
        spike_amplitudes=null : <array>  # float32 (n,), uV
        waveform_median=null : <array>   # float32 (n_samples, n_channels), uV
        waveform_channels=null : <array>  # their columns of channel_idx; null: all
        waveform_ptp=null : <array>      # uV
        waveform_noise=null : float64    # uV
        merge_datetime : datetime(6)     # UTC
        """

    class IntermediateFiles(Part):
        """Files of a sorter that are kept."""

        definition = """
        -> master
        -> AnalysisFile
        """

    class LinkedDatasets(Part):
        """Other recordings that were sorted together with this one."""

        definition = """
        -> master
        -> Dataset.proj(linked_session_name='session_name', linked_dataset_session='dataset_name')
        """

    class Motion(Part):
        """How the tissue moved along the probe."""

        definition = """
        -> master
        motion_num : int16
        ---
        motion_method : varchar(32)
        shank=null : int16               # null: the whole probe
        displacement : <array>           # float64 um, (time,) or (time, depth)
        displacement_times : <array>     # float64 s, of the probe's clock
        displacement_depths=null : <array>  # float64 um from the tip
        """


#: Criteria that are expressions; others name who chose the units by hand.
AUTOMATIC = 'sua_criteria NOT LIKE "manual\\_%"'


@table("computed")
class UnitMetrics(Computed):
    """Quality and shape of units; null where a number could not be computed."""

    definition = """
    -> SpikeSorting.Unit
    ---
    num_spikes : int64
    depth=null : float64                 # um from the tip
    position=null : <array>              # float64 (2,), um: x and depth
    shank=null : int32
    channel_index=null : int32           # channel of the largest waveform
    n_electrodes_spanned=null : int32
    span_um=null : float64               # um, from the peak to the farthest such channel
    firing_rate=null : float64           # Hz
    isi_contamination=null : float64     # fraction, Llobet et al. 2022
    isi_contamination_hill=null : float64  # fraction, Hill et al. 2011
    n_isi_violations=null : int64
    amplitude_cutoff=null : float64      # fraction of spikes below threshold
    presence_ratio=null : float64        # fraction of the recording with spikes
    depth_drift_range=null : float64     # um
    depth_drift_fluctuation=null : float64   # um
    depth_drift_start_to_end=null : float64  # um
    firing_range=null : float64          # Hz
    amplitude_drift=null : float64       # median amplitude, last over first fifth
    spike_amplitude=null : float64       # uV, median
    snr=null : float64                   # largest height of the waveform over its noise
    spike_duration=null : float64        # ms, trough to peak
    trough_time=null : float64           # ms
    trough_amplitude=null : float64      # uV
    fw3m=null : float64                  # ms, full width at a third of the trough
    trough_gradient=null : float64       # uV/ms, from the trough to the baseline
    peak_gradient=null : float64         # uV/ms, in the 0.7 ms after the peak
    peak_time=null : float64             # ms
    peak_amplitude=null : float64        # uV
    polarity=null : int8                 # -1 trough first, 1 peak first
    active_electrodes=null : <array>     # int64, saved channels that it spans
    """

    def make(self, key: dict[str, Any]) -> None:
        """Compute the metrics of one unit from what the sorting stored."""
        from .unit_metrics import make_unit_metrics

        make_unit_metrics(self, key)


@table("computed")
class UnitCountCriteria(Manual):
    """Expressions on UnitMetrics that call a unit single or multi."""

    definition = """
    unit_criteria_id : int32
    ---
    sua_criteria : varchar(2000)
    mua_criteria=null : varchar(2000)
    """

    def insert(self, rows: Any, *args: Any, **kwargs: Any) -> None:
        """Insert criteria; ``skip_duplicates`` passes over those that are there as they are given.

        Parameters
        ----------
        rows : iterable of dict
            As in DataJoint.
        *args, **kwargs
            As in DataJoint.

        Raises
        ------
        QueryError
            If one is to be passed over whose number has another text.
        """
        from .unit_count import refuse_other_text

        if kwargs.get("skip_duplicates"):
            rows = refuse_other_text(self, rows)
        super().insert(rows, *args, **kwargs)

    def check_cell(self, column: str, value: Any) -> None:
        """Raise also if a criterion cannot be read; UnitCount would refuse it much later.

        Parameters
        ----------
        column : str
            Of this table.
        value : object
            As the user gave it.

        Raises
        ------
        DatabaseError
            Also a ``ValueError``: what cannot be read in the text, or is no metric of units.
        """
        from .unit_count import check_criteria

        super().check_cell(column, value)
        check_criteria(self, column, value)


@table("computed")
class UnitCount(Computed):
    """How many units of a sorting pass a criterion: as the sorter found them, before curation."""

    definition = """
    -> SpikeSorting
    -> UnitCountCriteria
    ---
    all : int32
    sua : int32                          # single units
    mua : int32                          # multi units
    """

    class Unit(Part):
        """Whether each unit passes."""

        definition = """
        -> master
        -> UnitMetrics
        ---
        passes : int8                    # 1 single unit, 0 multi unit, -1 neither
        """

    @property
    def key_source(self) -> Any:
        """Sortings with the metrics of all their units, and every criterion not judged by hand."""
        lab = self.lab
        waiting = lab.SpikeSorting.Unit - lab.UnitMetrics.proj()
        sorted_whole = (lab.SpikeSorting & lab.UnitMetrics.proj()) - waiting.proj()
        return sorted_whole * (lab.UnitCountCriteria & AUTOMATIC)

    def make(self, key: dict[str, Any]) -> None:
        """Judge the units of one sorting by one criterion."""
        from .unit_count import make_unit_count

        make_unit_count(self, key)

    def report(self) -> Any:
        """Return which clause of each criterion removed how many units.

        Returns
        -------
        pandas.DataFrame
            A row a clause of each counted sorting: its key, ``units_of`` (whose units were
            counted: ``sorter``), ``criterion`` (sua or mua), ``clause``, ``units``, ``removed``,
            ``alone`` (removed by no other clause) and ``missing`` (removed as a number is
            missing). A criterion with ``|`` between its parts is one clause.
        """
        from .unit_count import report_counts

        return report_counts(self)

    def explain(self) -> str:
        """Return the report in sentences, a line a clause.

        It names whose units were counted, and that a sorting was curated, if it was.

        Examples
        --------
        >>> print((UnitCount & key).explain())  # doctest: +SKIP
        JC1/20240305_100000/ephys_g0/0/5/1: sua, units of the sorter
          isi_contamination < 0.1 removed 41 of 120 (12 of them by it alone)
        """
        from .unit_count import explain_counts

        return explain_counts(self)
