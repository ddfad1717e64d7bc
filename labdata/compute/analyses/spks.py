"""Spike sorting with Kilosort through the ``spks`` package, where it is installed.

spks is on no registry: it is installed from its repository into an environment with PyTorch and
Kilosort. It reads raw files of SpikeGLX, so that compressed ones are restored into the scratch
folder first; it filters them, runs Kilosort 2.5, 3.0 (in Matlab or compiled) or 4.0, and writes a
folder as phy reads it. Spikes that were found twice are removed by spks, then the units are
measured on the raw recording as those of every other sorter.

The names of the parameters, and the algorithm's, are those of older labs, so that their sets are
found again; ``low_pass`` and ``high_pass`` are the lower and the upper corner of the band.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from ...errors import TaskError
from ...formats.phy import PhyFolder, read_phy
from ..analysis import TaskContext
from ..preflight import Finding, MachineFacts
from .probe_sorting import ProbeSorting, SorterResult
from .sorter_needs import SorterNeeds
from .sorting_tables import band_paths

logger = logging.getLogger(__name__)

#: Method -> thresholds of detection, and the program that spks runs in place of Matlab.
_METHODS: dict[str, tuple[list[float], str | None]] = {
    "ks2.5": ([9.0, 3.0], "kilosort2_5"),
    "ks3.0": ([9.0, 9.0], "kilosort3_0"),
    "ks4.0": ([9.0, 8.0], None),
}
_HOW_TO_GET_IT = (
    "In an environment with torch, torchaudio and kilosort: pip install "
    "git+https://github.com/spkware/spks.git scipy h5py natsort tqdm joblib matplotlib. Without "
    "it: labdata run spikeinterface --sorter kilosort4"
)


class SpksAnalysis(ProbeSorting):
    """Sort the spikes of each probe with Kilosort through spks."""

    name: ClassVar[str] = "spks"
    summary: ClassVar[str] = "sort spikes with Kilosort through the spks package"
    packages: ClassVar[tuple[str, ...]] = (
        *("labdata-jupyter", "spks", "kilosort", "torch", "spikeinterface", "numpy"),
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the method and its parameters."""
        parser.add_argument(
            "--method", choices=sorted(_METHODS), default="ks4.0", help="which Kilosort"
        )
        parser.add_argument(
            "--low-pass", type=float, default=300.0, metavar="HZ", help="lower corner of the band"
        )
        parser.add_argument(
            "--high-pass", type=float, default=13000.0, metavar="HZ", help="upper corner"
        )
        parser.add_argument(
            "--thresholds",
            type=float,
            nargs=2,
            metavar=("FIRST", "SECOND"),
            help="of detection (default: as the method has them)",
        )
        parser.add_argument(
            "--motion-correction",
            type=int,
            default=1,
            metavar="N",
            help="0 none, 1 rigid, more: that many blocks (default: 1)",
        )
        parser.add_argument(
            "--remove-cross-unit-duplicates",
            action="store_true",
            help="remove spikes that two units share, too",
        )
        parser.add_argument(
            "--dredge", action="store_true", help="correct the motion by DREDge first"
        )
        parser.add_argument(
            "--device",
            choices=["auto", "cuda", "cpu"],
            default="auto",
            help="where Kilosort 4 runs",
        )
        super().add_arguments(parser)

    def check(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as older labs recorded them; refuse them without spks.

        Raises
        ------
        TaskError
            If spks is not installed, or the band is none.
        """
        if find_spec("spks") is None:
            raise TaskError(
                "The package spks is not installed in this environment.", hint=_HOW_TO_GET_IT
            )
        method = parameters.get("method") or "ks4.0"
        low, high = parameters.get("low_pass", 300.0), parameters.get("high_pass", 13000.0)
        if not 0 < low < high:
            raise TaskError(
                f"--low-pass {low:g} and --high-pass {high:g} are no band.",
                hint="Give the lower corner as --low-pass, the upper as --high-pass, in Hz.",
            )
        blocks = int(parameters.get("motion_correction", 1))
        sorter_parameters = {
            "motion_correction": bool(blocks) if blocks < 2 else blocks,
            "low_pass": float(low),
            "high_pass": float(high),
            "thresholds": list(parameters.get("thresholds") or _METHODS[method][0]),
            "remove_cross_duplicates": bool(parameters.get("remove_cross_unit_duplicates")),
        }
        if parameters.get("dredge"):
            sorter_parameters["dredge"] = True
        return {
            "sorter": f"spks_kilosort{method.removeprefix('ks')}",
            "sorter_parameters": sorter_parameters,
            "method": method,
            "device": parameters.get("device") or "auto",
            **super().check(parameters),
        }

    def needs(self, parameters: Mapping[str, Any]) -> SorterNeeds:
        """Return what Kilosort asks for: copies of the raw file, the filtered and whitened one."""
        in_matlab = _METHODS[parameters["method"]][1] is not None
        device = parameters["device"]
        return SorterNeeds(
            name=f"{parameters['sorter']}, spks {_version_of_spks()}",
            gpu="nvidia-required" if in_matlab else "nvidia-optional",
            device=None if in_matlab or device == "auto" else device,
            n_copies=3 if in_matlab else 2,
        )

    def preflight(
        self,
        lab: Any,
        key: Mapping[str, Any],
        parameters: Mapping[str, Any],
        machine: MachineFacts,
    ) -> Iterator[Finding]:
        """Check also that the program is there that runs Kilosort 2.5 or 3.0."""
        findings = list(super().preflight(lab, key, parameters, machine))
        yield from findings
        sorts = any(found.check == "GPU" for found in findings)  # else all is sorted already
        program = _METHODS[parameters["method"]][1] if sorts else None
        if program and not (shutil.which(program) or shutil.which("matlab")):
            message = f"Neither {program} nor matlab is on the path."
            hint = "Install the compiled Kilosort or Matlab, or take --method ks4.0."
            yield Finding("program", "refused", message, hint)

    def sort(
        self,
        context: TaskContext,
        keys: Sequence[Mapping[str, Any]],
        recording: Any,
        folder: Path,
    ) -> SorterResult:
        """Restore the raw files, run spks on them, and read the folder that it wrote."""
        files = []
        for number, key in enumerate(keys):  # files of two sessions may have one name
            files += restore_raw_files(context.lab, key, folder / "raw" / str(number))
        results = folder / "spks"
        _run_spks(files, results, context.parameters)
        shutil.rmtree(folder / "raw")
        found = read_phy(results)
        return SorterResult(
            as_sorting(found, recording.sampling_frequency),
            {int(unit): int(unit) for unit in found.unit_ids},
            f"{context.parameters['sorter']} (spks {_version_of_spks()})",
            {"labels": {n: {str(c): v for c, v in of.items()} for n, of in found.labels.items()}},
        )


def restore_raw_files(lab: Any, key: Mapping[str, Any], folder: Path) -> list[str]:
    """Return the raw AP files of a probe, in order, as SpikeGLX wrote them: ``.bin``, ``.meta``.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of EphysRecording.ProbeSetting.
    folder : Path
        Receives those that are restored, and links to those that are kept raw; made if absent.

    Raises
    ------
    TaskError
        If the recording is not of SpikeGLX.
    """
    from ...formats.zarr_band import restore_bin
    from ...schema.ephys_events import open_stored_band

    folder.mkdir(parents=True, exist_ok=True)
    restored = []
    for path in band_paths(lab, key):
        kind = open_stored_band(path).meta.kind
        if kind != "spikeglx":
            raise TaskError(
                f"spks reads recordings of SpikeGLX, and this one is of {kind}.",
                hint="Sort it with `labdata run spikeinterface --sorter kilosort4`.",
            )
        if path.name.endswith(".zarr.zip"):
            restored.append(str(restore_bin(path, folder)))
            continue
        for source in (path, path.with_suffix(".meta")):
            (folder / source.name).symlink_to(source.absolute())
        restored.append(str(folder / path.name))
    return restored


def _run_spks(files: list[str], results: Path, parameters: Mapping[str, Any]) -> None:
    """Run Kilosort, and remove the spikes that it found twice."""
    from spks.clusters import Clusters
    from spks.sorting import run_kilosort

    chosen = parameters["sorter_parameters"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            run_kilosort(
                sessionfiles=files,
                foldername=str(results),
                version=parameters["method"].removeprefix("ks"),
                do_post_processing=False,
                device=_device(parameters["device"]),
                motion_correction=chosen["motion_correction"],
                dredge_motion_correction=chosen.get("dredge", False),
                thresholds=chosen["thresholds"],
                lowpass=chosen["low_pass"],
                highpass=chosen["high_pass"],
            )
            if not (results / "spike_times.npy").is_file():
                raise TaskError(
                    f"Kilosort ended without a result: {said.getvalue().strip()[-200:]}",
                    hint="Does it run by itself on this computer?",
                )
            clusters = Clusters(
                results, get_waveforms=False, get_metrics=False, load_template_features=True
            )
            clusters.remove_duplicate_spikes(
                overwrite_phy=True, remove_cross_duplicates=chosen["remove_cross_duplicates"]
            )
    finally:
        logger.debug("spks said: %s", said.getvalue())


def as_sorting(found: PhyFolder, sampling_rate_hz: float) -> Any:
    """Return the spikes of a folder as SpikeInterface has them.

    Parameters
    ----------
    found : PhyFolder
        The folder.
    sampling_rate_hz : float
        Of the recording.

    Returns
    -------
    spikeinterface.NumpySorting
        Its labels are the numbers of the clusters.
    """
    from spikeinterface.core import NumpySorting

    return NumpySorting.from_samples_and_labels(
        [found.samples], [found.clusters], sampling_rate_hz, unit_ids=list(found.unit_ids)
    )


def _device(asked: str) -> Any:
    """Return the device as Kilosort 4 wants it: it does not know a CPU by the name alone."""
    if find_spec("torch") is None:
        return "cpu" if asked == "auto" else asked
    torch = importlib.import_module("torch")
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(asked)


def _version_of_spks() -> str:
    try:
        return version("spks")
    except PackageNotFoundError:  # used from a folder
        return "of unknown version"
