"""The doctor's live checks, one a part of the lab."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..counted import count_of
from ..errors import LabdataError
from ..preferences import Preferences, StoragePreferences, absolute_folder

#: Optional package -> the extra that installs it, and what it is for.
OPTIONAL = {
    "spikeinterface": ("sorting", "spike sorting"),
    "bokeh": ("widgets", "explorers in the notebook"),
    "voila": ("dashboards", "dashboards in the browser"),
    "jupyterlab": ("notebook", "notebooks"),
    "matplotlib": ("notebook", "plots of the user guide"),
    "keyring": ("keyring", "passwords in the system's keyring"),
}


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes
    ----------
    name : str
        What was checked.
    state : str
        ``ok``, ``failed``, or ``absent`` for something optional.
    message : str
        What was found.
    hint : str
        What to do about it.
    """

    name: str
    state: str
    message: str
    hint: str = ""


def check_all(preferences: Preferences, open_lab: Callable[[], Any]) -> list[Check]:
    """Try everything that the preferences name.

    Parameters
    ----------
    preferences : Preferences
        The user's.
    open_lab : callable
        Returns the tables of the project to check.

    Returns
    -------
    list of Check
        What was tried, and how it went.
    """
    return [
        _check_file(preferences),
        _check_database(preferences, open_lab),
        *_check_stores(preferences),
        _check_verify(preferences),
        *_check_folders(preferences),
        *_check_on_failure(preferences),
        _check_loops(),
        *_check_packages(),
        *_check_plugins(),
    ]


def _check_file(preferences: Preferences) -> Check:
    path = preferences.file
    if path is None:
        return Check("preferences", "absent", "no file")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Check(
            "preferences",
            "failed",
            f"others can read {path} (mode {mode:04o}), and it may hold secrets",
            f"chmod 600 {path}",
        )
    return Check("preferences", "ok", "readable by you only")


def _check_database(preferences: Preferences, open_lab: Callable[[], Any]) -> Check:
    from ..database.connection import connect

    began = time.monotonic()
    try:
        connection = connect()
        server = str(connection.query("SELECT @@version").fetchone()[0])
        lab = open_lab()
        n_subjects = len(lab.Subject())
    except LabdataError as error:
        return Check("database", "failed", error.message, error.hint or "")
    except connection_errors() as error:
        return Check(
            "database",
            "failed",
            f"the database refused: {error.args[-1] if error.args else error}",
            "Ask the administrator whether your account may use this project.",
        )
    took_ms = (time.monotonic() - began) * 1e3
    where = f"embedded in {connection.embedded.folder}" if connection.embedded else ""
    where = where or f"{preferences.database.user}@{preferences.database.host}"
    project = f"project {lab.project}" if lab.project else "no project"
    return Check(
        "database",
        "ok",
        f"{where}; {server}; {project}; {count_of(n_subjects, 'subject')}; {took_ms:.0f} ms",
    )


def connection_errors() -> tuple[type[Exception], ...]:
    """Return what DataJoint and pymysql raise when a server refuses."""
    import datajoint as dj
    import pymysql

    return (dj.errors.DataJointError, pymysql.MySQLError)


def _check_stores(preferences: Preferences) -> Iterator[Check]:
    from ..schema.files import open_store

    for name in preferences.storage:
        try:
            store = open_store(name, preferences)
            report = store.check_access()
        except LabdataError as error:
            yield Check(f"store {name}", "failed", error.message, error.hint or "")
            continue
        note = _note_on_endpoint(preferences.storage[name])
        wrong = [step for step in report.steps if not step.ok]
        if wrong:
            said = "; ".join(f"{step.name}: {step.message}" for step in wrong)
            hints = dict.fromkeys(step.hint for step in wrong if step.hint)
            hint = f"{' '.join(hints)} The place is storage.{name} in the preference file."
            message = f"{store.describe()}: {said}{note}"
            yield Check(f"store {name}", "failed", message, hint.strip())
        else:
            done = ", ".join(step.name for step in report.steps)
            yield Check(f"store {name}", "ok", f"{store.describe()}: {done}{note}")
    upload = preferences.upload_storage
    if upload and upload not in preferences.storage:
        yield Check(
            "upload_storage",
            "failed",
            f"names {upload!r}, which is no store",
            f"Choose one of: {', '.join(preferences.storage) or 'none are described'}.",
        )


def _note_on_endpoint(settings: StoragePreferences) -> str:
    """Say that a port is passed over: the guide writes Amazon's address with one."""
    from ..stores import endpoint_note

    note = endpoint_note(settings.endpoint) if settings.protocol == "s3" else None
    return f"; {note}" if note else ""


def _check_verify(preferences: Preferences) -> Check:
    """Look at what the last `labdata verify` noted of each store."""
    from datetime import date

    from ..schema.verify_note import read_note

    noted = read_note(preferences.database.name)
    n_found = sum(note.n_findings for note in noted.values())
    if n_found:
        where = ", ".join(name for name, note in noted.items() if note.n_findings)
        message = f"{count_of(n_found, 'finding')} in the last run, in {where}"
        return Check("verify", "failed", message, "`labdata verify --repair` says what to do.")
    never = [name for name in preferences.storage if name not in noted]
    late = [
        name
        for name in preferences.storage
        if name in noted and (date.today() - noted[name].day).days > 2 * noted[name].days
    ]
    hint = "Run `labdata verify` daily, for instance by cron; the README has the line."
    if late:
        last = min(noted[name].day for name in late)
        message = f"{', '.join(late)}: last compared with the database on {last.isoformat()}"
        return Check("verify", "failed", message, hint)
    if never:
        stores = ", ".join(never)
        return Check("verify", "absent", f"{stores}: never compared with the database", hint)
    if not noted:
        return Check("verify", "absent", "there are no stores to compare")
    oldest = min(note.day for note in noted.values())
    return Check("verify", "ok", f"nothing wrong in the last run, {oldest.isoformat()}")


def _check_folders(preferences: Preferences) -> Iterator[Check]:
    folders = [(f"local_paths[{i}]", p) for i, p in enumerate(preferences.local_paths)]
    folders.append(("scratch_path", preferences.scratch_path))
    if preferences.upload_path:
        folders.append(("upload_path", preferences.upload_path))
    for name, text in folders:
        try:
            folder = absolute_folder(name, text)
        except LabdataError as error:
            yield Check(name, "failed", error.message, error.hint or "")
            continue
        yield _check_folder(name, folder)


def _check_folder(name: str, folder: Path) -> Check:
    import os
    import shutil

    if not folder.exists():
        if name == "scratch_path":
            return Check(name, "ok", f"{folder} will be made when it is needed")
        # a folder at home is made at need; elsewhere a missing one may be an unmounted disk
        state = "absent" if folder.is_relative_to(Path.home()) else "failed"
        return Check(
            name,
            state,
            f"{folder} does not exist",
            f"mkdir -p '{folder}', mount it, or correct {name.partition('[')[0]}.",
        )
    if not folder.is_dir():
        return Check(name, "failed", f"{folder} is not a folder", f"Correct {name}.")
    if not os.access(folder, os.R_OK | os.X_OK):
        return Check(name, "failed", f"{folder} cannot be read", "Ask for the right to read it.")
    free = shutil.disk_usage(folder).free / 2**30
    writable = "" if os.access(folder, os.W_OK) else ", read only"
    return Check(name, "ok", f"{folder}, {free:.0f} GiB free{writable}")


def _check_on_failure(preferences: Preferences) -> Iterator[Check]:
    """Look whether the program that tells of failures is there; nothing is told to try it."""
    import shutil

    told = preferences.on_failure
    if told.command:
        found = shutil.which(told.command[0])
        if found:
            yield Check("on_failure", "ok", f"{found} is told when an upload fails")
        else:
            yield Check(
                "on_failure",
                "failed",
                f"there is no program {told.command[0]!r} that could be told of a failure",
                "Correct on_failure.command: a program and its arguments, as a list.",
            )
    if told.webhook:
        yield Check("on_failure", "ok", "a web address is told when an upload fails; not tried")
    if not (told.command or told.webhook) and preferences.upload_storage:
        yield Check(
            "on_failure",
            "absent",
            "nobody is told when an upload fails",
            'Name a program or address in the preference file: "on_failure": {"webhook": "..."}.',
        )


def _check_loops() -> Check:
    from .. import loops

    if loops.compiled is not None:
        return Check("inner loops", "ok", "compiled")
    return Check(
        "inner loops",
        "absent",
        "not compiled: the same numbers, more slowly",
        "Install a C compiler, then labdata again.",
    )


def _check_packages() -> Iterator[Check]:
    for package, (extra, purpose) in OPTIONAL.items():
        try:
            yield Check(package, "ok", f"{version(package)}, for {purpose}")
        except PackageNotFoundError:
            yield Check(
                package,
                "absent",
                f"not installed, for {purpose}",
                f"pip install 'labdata-jupyter[{extra}]'",
            )


def _check_plugins() -> Iterator[Check]:
    from ..compute.analysis import own_analyses
    from ..plugins import doubled_names, load_plugins
    from ..rules.base import own_rules

    taken = {
        "UPLOAD_RULES": own_rules(),
        "ANALYSES": own_analyses(),
        "DASHBOARDS": _own_dashboards(),
    }
    doubled = doubled_names(taken)
    for plugin in load_plugins():
        name = f"plugin {plugin.name}"
        if plugin.error:
            hint = "Mend it, uninstall it, or take it out of plugins in the preference file."
            yield Check(name, "failed", f"{plugin.source}: {plugin.error}", hint)
        elif plugin.name in doubled:
            hint = "Rename it in one of the two plugins."
            yield Check(name, "failed", " ".join(doubled[plugin.name]), hint)
        else:
            yield Check(name, "ok", f"{plugin.source}, {count_of(len(plugin.tables), 'table')}")


def _own_dashboards() -> list[str]:
    """Return the names of labdata's own pages, none of which is a plugin's to take."""
    try:
        from labdata_widgets.server import own_dashboards
    except ImportError:  # then there are none that could be served
        return []
    return list(own_dashboards())
