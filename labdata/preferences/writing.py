"""A new preference file, and writing one so that a crash leaves the old one whole."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .folders import labdata_folder, preference_file


def default_preferences() -> dict[str, Any]:
    """Return what a new preference file holds: the guide's keys, ready for a laptop."""
    stores = labdata_folder() / "storage"
    return {
        "local_paths": ["~/data"],
        "scratch_path": "~/scratch",
        "path_rules": "{subject_name}/{session_name}/{dataset_name}",
        "path_rules_session_date": ["session_name", "%Y%m%d_%H%M%S"],
        "allow_s3_download": False,
        "database": {
            "database.host": None,
            "database.name": "labdata",
            "database.user": None,
            "database.project": None,
        },
        "storage": {
            name: {"protocol": "local", "path": str(stores / name)}
            for name in ("data", "analysis")
        },
        "plugins_folder": "~/labdata/plugins",
        "upload_path": None,
        "upload_host": None,
        "upload_storage": "data",
    }


def write_preferences(content: Mapping[str, Any], path: Path) -> None:
    """Write a preference file, readable by its owner only, in one step.

    Parameters
    ----------
    content : mapping
        The JSON content.
    path : Path
        The file; an existing one is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=4) + "\n"
    # mkstemp's files are readable by their owner only
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def ensure_preference_file() -> Path:
    """Return the preference file, made with its defaults where there is none."""
    path = preference_file()
    if not path.exists():
        write_preferences(default_preferences(), path)
    return path
