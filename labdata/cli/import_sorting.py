"""Import a sorting that was made outside of labdata.

`phy`: a folder of Kilosort or phy. `analyzer`: what SpikeInterface saved, a SortingAnalyzer (a
folder or a .zarr), a sorter's output folder, or a saved sorting.

The folder is compared with the recording, then units, metrics and labels are inserted, all or
nothing. Importing the same folder again changes nothing.

Examples:
  labdata import phy ~/sorted/kilosort4 -a JC1 -s 20260131_140500 --dry-run
  labdata import phy ~/sorted/ks25 -a JC1 -s 20260131_140500 --probe 1 --uv-per-bit 2.34
  labdata import analyzer ~/sorted/analyzer.zarr -a JC1 -s 20260131_140500 --algorithm kilosort4
"""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from .selection import number_of

    parser.add_argument(
        "kind",
        choices=["phy", "analyzer"],
        help="what wrote the folder: phy (and Kilosort), or analyzer (SpikeInterface)",
    )
    parser.add_argument("folder", help="with the sorting")
    parser.add_argument("-a", "--subject", required=True, metavar="SUBJECT")
    parser.add_argument("-s", "--session", required=True, metavar="SESSION")
    parser.add_argument("-d", "--dataset", metavar="DATASET")
    parser.add_argument("--probe", type=int, metavar="N", help="number of the probe")
    parser.add_argument("--algorithm", metavar="NAME", help="what sorted (default: as files tell)")
    parser.add_argument(
        "--params", metavar="JSON", help="parameters of the sorter, as a JSON object"
    )
    parser.add_argument(
        "--parameter-set",
        type=number_of("parameter set", "SpikeSortingParams"),
        metavar="N",
        help="a parameter set that is there (default: found or made)",
    )
    parser.add_argument(
        "--uv-per-bit",
        type=_positive,
        metavar="UV",
        help="of phy: uV of one unit of the raw samples; without it no amplitude is stored",
    )
    parser.add_argument(
        "--drop-outside", action="store_true", help="leave out spikes outside the recording"
    )
    parser.add_argument("--dry-run", action="store_true", help="read and check; insert nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Import, and say what came."""
    from ..compute import ImportOptions, import_sorting
    from ..counted import count_of
    from . import UsageError, write
    from .output import print_rows
    from .selection import check_session, check_subjects, chosen_lab

    if options.params and options.parameter_set is not None:
        raise UsageError("--parameter-set has its parameters; leave --params out.")
    lab = chosen_lab(options)
    check_subjects(lab, [options.subject])
    check_session(lab, options.session, subject=options.subject)
    key = {
        "subject_name": options.subject,
        "session_name": options.session,
        "dataset_name": options.dataset,
        "probe_num": options.probe,
    }
    found = import_sorting(
        options.kind,
        options.folder,
        {name: value for name, value in key.items() if value is not None},
        ImportOptions(
            algorithm=options.algorithm,
            parameters=_parameters(options.params),
            uv_per_bit=options.uv_per_bit,
            drop_outside=options.drop_outside,
        ),
        parameter_set_num=options.parameter_set,
        dry_run=options.dry_run,
        lab=lab,
    )
    if options.json:
        facts = {"n_units": found.n_units, "n_spikes": found.n_spikes, "done": found.done}
        print_rows([{**found.key, **facts, "notes": list(found.notes)}], [], as_json=True)
        return 0
    said = {"planned": "Nothing is imported yet (--dry-run)", "there already": "There already"}
    of_set = found.key.get("parameter_set_num")
    write(
        f"{said.get(found.done, 'Imported')}: imec{found.key['probe_num']}, "
        f"{count_of(found.n_units, 'unit')}, {count_of(found.n_spikes, 'spike')}"
        f"{'' if of_set is None else f' (set {of_set})'}."
    )
    for note in found.notes:
        write(f"  note: {note}")
    return 0


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of uV above 0")
    return value


def _parameters(text: str | None) -> dict[str, Any]:
    from . import UsageError

    try:
        given = json.loads(text) if text else {}
    except json.JSONDecodeError as error:
        raise UsageError(f"--params is not valid JSON: {error}.") from None
    if not isinstance(given, dict):
        raise UsageError('--params is no JSON object; write {"NAME": VALUE}.')
    return given
