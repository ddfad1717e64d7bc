"""A lab of its own in any folder: preferences, database, inbox and stores, apart from the user's.

The demo, the guide notebooks and the tests work in one, so that nothing they do can reach a real
lab: every ``LABDATA_`` variable that could point elsewhere is taken out of the environment.
"""

from __future__ import annotations

import os
from pathlib import Path

from labdata.preferences import default_preferences, preference_file, write_preferences

#: Variables that choose programs or places, not a lab.
_KEPT = ("LABDATA_MARIADBD", "LABDATA_DATABASE_FOLDER")


def use_lab_folder(folder: str | Path) -> Path:
    """Make this process, and those it starts, use a lab in a folder.

    Parameters
    ----------
    folder : str or Path
        Made if absent. Recordings belong in ``rig``; ``server`` is the inbox, and everything else
        is below ``labdata``. An existing preference file there is left as it is.

    Returns
    -------
    Path
        The folder, absolute.

    Raises
    ------
    StoreError
        If the folder cannot be made.
    """
    from labdata.stores.os_errors import explain_os_errors

    folder = Path(folder).expanduser().absolute()
    for name in [n for n in os.environ if n.startswith("LABDATA_") and n not in _KEPT]:
        del os.environ[name]
    os.environ["LABDATA_PATH"] = str(folder / "labdata")
    with explain_os_errors("make a lab in", folder):
        for part in ("rig", "local", "server"):
            (folder / part).mkdir(parents=True, exist_ok=True)
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
    return folder
