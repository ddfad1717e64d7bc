"""Make a small lab with known answers, and run everything on it.

Writes two subjects with SpikeGLX recordings whose spikes, clocks and stimuli are known, brings
them in as a user would (put, upload, run, StreamSync), compares with the truth, and opens the
dashboard. Everything stays in one folder; running it again goes on from, or shows, what is there.

Examples:
  labdata demo                       report, then the dashboard in the browser
  labdata demo --once                only the report
  labdata demo --no-browser          report, then the dashboard's address
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .serve import port_number

DEFAULT_FOLDER = "~/labdata-demo"
#: Shorter ones have too few spikes to sort; a longer one is no demo, and fills the disk.
SHORTEST_S, LONGEST_S = 20.0, 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--folder", default=DEFAULT_FOLDER, help="where it all goes (default: %(default)s)"
    )
    parser.add_argument("--once", action="store_true", help="stop after the report")
    parser.add_argument("--no-browser", action="store_true", help="print the dashboard's address")
    parser.add_argument(
        "--port", type=port_number, help="port of the dashboard (default: a free one)"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=60.0, help="length of the sorted recording"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a length from {SHORTEST_S:g} to {LONGEST_S:g} s"
        )
    return seconds


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Refuse a second demo in a folder while one is made there."""
    from ..database.locks import hold_lock
    from ..errors import DatabaseError, LabdataError

    with ExitStack() as held:
        try:
            held.enter_context(hold_lock(folder / "demo.lock", timeout_s=5.0))
        except DatabaseError:
            raise LabdataError(
                f"Another demo is being made in {folder}.",
                hint="Wait for it, or choose another folder: labdata demo --folder FOLDER",
            ) from None
        yield


def run(options: argparse.Namespace) -> None:
    """Make the lab, report, and show it."""
    from ..testing import use_lab_folder

    folder = use_lab_folder(options.folder)
    if options.project:  # of the demo's own database, where it is made
        os.environ["LABDATA_DATABASE_PROJECT"] = options.project
    from .demo_lab import build_lab
    from .demo_report import print_report
    from .serve import show_dashboard

    with _alone_in(folder):
        lab = build_lab(folder, seconds=options.seconds)
    print_report(lab)
    if not options.once:
        key = lab.main_key
        query = {"subject": key["subject_name"], "session": key["session_name"]}
        show_dashboard(query, browser=not options.no_browser, port=options.port)
