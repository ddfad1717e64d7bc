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
from pathlib import Path

DEFAULT_FOLDER = "~/labdata-demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--folder", default=DEFAULT_FOLDER, help="where it all goes (default: %(default)s)"
    )
    parser.add_argument("--once", action="store_true", help="stop after the report")
    parser.add_argument("--no-browser", action="store_true", help="print the dashboard's address")
    parser.add_argument("--port", type=int, help="port of the dashboard (default: a free one)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="length of the sorted recording"
    )


def run(options: argparse.Namespace) -> None:
    """Make the lab, report, and show it."""
    folder = Path(options.folder).expanduser().absolute()
    use_folder(folder)
    from .demo_lab import build_lab
    from .demo_report import print_report

    lab = build_lab(folder, seconds=options.seconds)
    print_report(lab)
    if not options.once:
        _show_dashboard(lab.main_key, browser=not options.no_browser, port=options.port)


def use_folder(folder: Path) -> None:
    """Make this process use the demo's own preferences, database and stores.

    Parameters
    ----------
    folder : Path
        The demo's folder.
    """
    for name in [name for name in os.environ if name.startswith("LABDATA_")]:
        if name not in ("LABDATA_MARIADBD", "LABDATA_DATABASE_FOLDER"):
            del os.environ[name]
    os.environ["LABDATA_PATH"] = str(folder / "labdata")
    from ..preferences import default_preferences, preference_file, write_preferences

    if not preference_file().exists():
        write_preferences(
            default_preferences()
            | {
                "local_paths": [str(folder / "rig"), str(folder / "local")],
                "upload_path": str(folder / "server"),
                "scratch_path": str(folder / "scratch"),
            },
            preference_file(),
        )
    (folder / "server").mkdir(parents=True, exist_ok=True)


def _show_dashboard(key: dict[str, str], *, browser: bool, port: int | None) -> None:
    from ..errors import MissingPackageError
    from . import write

    try:
        from labdata_widgets.server import serve_dashboard
    except ImportError:
        raise MissingPackageError("labdata_widgets", "dashboards") from None
    query = {"subject": key["subject_name"], "session": key["session_name"]}
    with serve_dashboard(query=query, port=port, open_browser=browser) as server:
        write(f"\nDashboard: {server.url}\nCtrl-C ends it.")
        server.wait()
