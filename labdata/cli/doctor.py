"""Check every setting, and say what to do about each that fails.

Prints where each value came from (default, file, environment variable) and tries everything live:
the database, each store (write, read, list, delete), the folders, the optional packages. The exit
code is 0 if all that is needed works.

Examples:
  labdata doctor
  labdata doctor -p vision           the database of another project
  labdata doctor --json
"""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Check and print; returns 1 if something that is needed fails."""
    from ..preferences import load_preferences
    from . import write
    from .checks import check_all
    from .selection import chosen_lab

    preferences = load_preferences()
    settings = [
        {"setting": key, "value": _shown(value), "origin": origin}
        for key, value, origin in preferences.items()
    ]
    checks = check_all(preferences, lambda: chosen_lab(options))
    failed = [check for check in checks if check.state == "failed"]
    if options.json:
        content = {
            "file": str(preferences.file),
            "ok": not failed,
            "settings": settings,
            "checks": [vars(check) for check in checks],
        }
        write(json.dumps(content, indent=2))
        return int(bool(failed))
    _print(preferences, settings, checks)
    write(f"\n{len(failed)} of {len(checks)} checks failed." if failed else "\nAll is well.")
    return int(bool(failed))


def _print(preferences: Any, settings: list[dict[str, str]], checks: list[Any]) -> None:
    from . import write
    from .output import print_rows

    write(f"Preferences: {preferences.file}\n")
    print_rows(settings, ("setting", "value", "origin"))
    write("")
    marks = {"ok": "✓", "failed": "✗", "absent": "–"}
    width = max(len(check.name) for check in checks)
    for check in checks:
        write(f"{marks[check.state]} {check.name:<{width}}  {check.message}")
        if check.hint and check.state != "ok":
            write(f"  {'':<{width}}  → {check.hint}")


def _shown(value: object) -> str:
    return "" if value is None else str(value)
