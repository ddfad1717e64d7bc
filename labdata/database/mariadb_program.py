"""Where the MariaDB server program comes from: installed, or fetched for this user alone.

In order: ``LABDATA_MARIADBD``, the usual places (every package manager carries it), a copy fetched
earlier, and on Debian and Ubuntu the distribution's own packages unpacked into the user's cache,
which needs no root and installs nothing.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..errors import DatabaseError
from .locks import hold_lock

logger = logging.getLogger(__name__)

_PACKAGE = "mariadb-server-core"
_FOLDERS = (
    "/usr/sbin",
    "/usr/libexec",
    "/usr/local/sbin",
    "/opt/homebrew/opt/mariadb/bin",
    "/usr/local/opt/mariadb/bin",
)
_HINT = (
    "Install MariaDB's server (Debian, Ubuntu: apt install mariadb-server-core; Fedora: dnf "
    "install mariadb-server; macOS: brew install mariadb; conda: conda install mariadb), or name "
    "a lab server as database.host in the preference file."
)


@dataclass(frozen=True)
class MariaDBProgram:
    """A server program that can run here.

    Attributes
    ----------
    executable : Path
        ``mariadbd``.
    share : Path
        Folder of its system-table scripts and messages.
    libraries : tuple of Path
        Folders of shared libraries it needs beside the system's; empty when installed.
    origin : str
        ``installed`` or ``fetched``.
    """

    executable: Path
    share: Path
    libraries: tuple[Path, ...] = ()
    origin: str = "installed"

    def environment(self) -> dict[str, str]:
        """Return the environment to run it in."""
        environment = dict(os.environ)
        if self.libraries:
            known = [str(p) for p in self.libraries]
            known += [p for p in [environment.get("LD_LIBRARY_PATH")] if p]
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(known)
        return environment


def cache_folder() -> Path:
    """Return the folder of fetched programs, ``~/.cache/labdata/mariadb`` by default."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "labdata" / "mariadb"


def find_program(*, fetch: bool = True) -> MariaDBProgram:
    """Find the MariaDB server program, fetching it where that can be done without root.

    Parameters
    ----------
    fetch : bool, optional
        Whether the distribution's packages may be downloaded.

    Returns
    -------
    MariaDBProgram
        Where it is.

    Raises
    ------
    DatabaseError
        If there is none, with the command that installs it.
    """
    if os.environ.get("LABDATA_MARIADBD") == "fetch":
        return fetch_program(cache_folder())
    program = _find_installed() or _find_fetched(cache_folder())
    if program:
        return program
    if fetch and shutil.which("apt-get") and shutil.which("dpkg"):
        return fetch_program(cache_folder())
    raise DatabaseError("No MariaDB server program (mariadbd) was found.", hint=_HINT)


def fetch_program(folder: Path) -> MariaDBProgram:
    """Unpack the distribution's MariaDB server below a folder, unless it is there already.

    Parameters
    ----------
    folder : Path
        Where ``root`` is made; nothing outside it changes.

    Returns
    -------
    MariaDBProgram
        Where it is.

    Raises
    ------
    DatabaseError
        If the packages cannot be downloaded or unpacked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder / "fetch.lock"):
        program = _find_fetched(folder)
        if program:
            return program
        logger.info("Fetching the MariaDB server program (about 10 MB) into %s", folder)
        partial = folder / "root.partial"
        shutil.rmtree(partial, ignore_errors=True)
        debs = folder / "debs"
        shutil.rmtree(debs, ignore_errors=True)
        debs.mkdir()
        options = _package_lists(folder)
        names = [_PACKAGE, *_missing_libraries(options)]
        _run(["apt-get", *options, "download", *names], debs)
        for deb in sorted(debs.glob("*.deb")):
            _run(["dpkg", "-x", str(deb), str(partial)], debs)
        partial.rename(folder / "root")
        shutil.rmtree(debs)
    program = _find_fetched(folder)
    if program is None:
        raise DatabaseError(f"The packages fetched into {folder} hold no mariadbd.", hint=_HINT)
    return program


def _find_installed() -> MariaDBProgram | None:
    named = os.environ.get("LABDATA_MARIADBD")
    folders = [*os.environ.get("PATH", "").split(os.pathsep), *_FOLDERS]
    if os.environ.get("CONDA_PREFIX"):
        folders.append(str(Path(os.environ["CONDA_PREFIX"]) / "bin"))
    candidates = [Path(named)] if named else [Path(f) / "mariadbd" for f in folders if f]
    for executable in candidates:
        if os.access(executable, os.X_OK) and executable.is_file():
            share = _find_share(executable.resolve().parent.parent)
            if share:
                return MariaDBProgram(executable, share)
    if named:
        raise DatabaseError(
            f"LABDATA_MARIADBD names {named}, which is no MariaDB server with its scripts.",
            hint="Unset it, or name the mariadbd of a whole installation.",
        )
    return None


def _find_fetched(folder: Path) -> MariaDBProgram | None:
    root = folder / "root"
    executable = root / "usr/sbin/mariadbd"
    share = _find_share(root / "usr")
    if not (executable.is_file() and share):
        return None
    parts = [p for top in ("usr/lib", "lib") for p in (root / top).glob("*-linux-gnu*")]
    return MariaDBProgram(executable, share, tuple(parts), "fetched")


def _find_share(prefix: Path) -> Path | None:
    for name in ("share/mysql", "share/mariadb"):
        if system_table_scripts(prefix / name):
            return prefix / name
    return None


def system_table_scripts(share: Path) -> list[Path]:
    """Return the scripts that make a new server's system tables, in their order.

    Parameters
    ----------
    share : Path
        The server's share folder; both names that MariaDB has used for the scripts are known.

    Returns
    -------
    list of Path
        Empty if the folder holds no whole set.
    """
    for prefix in ("mariadb", "mysql"):
        names = [f"{prefix}_system_tables.sql", f"{prefix}_performance_tables.sql"]
        names += [f"{prefix}_system_tables_data.sql", "maria_add_gis_sp_bootstrap.sql"]
        scripts = [share / name for name in names]
        if all(script.is_file() for script in scripts):
            return scripts
    return []


def _package_lists(folder: Path) -> list[str]:
    """Return apt options: the system's package lists, or lists of the user's where it has none."""
    known = _capture(["apt-cache", "policy", _PACKAGE])
    if "Candidate:" in known and "Candidate: (none)" not in known:
        return []
    lists, cache = folder / "lists", folder / "apt-cache"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    (cache / "archives/partial").mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
    _run(["apt-get", *options, "update"], folder)
    return options


def _missing_libraries(options: list[str]) -> list[str]:
    """Return the libraries that the server package depends on and this machine lacks."""
    shown = _capture(["apt-cache", *options, "depends", _PACKAGE])
    named = [
        line.split("Depends:")[1].strip() for line in shown.splitlines() if "Depends:" in line
    ]
    wanted = [n for n in named if n.startswith("lib") and "<" not in n]
    return [n for n in wanted if "install ok installed" not in _capture(["dpkg", "-s", n])]


def _capture(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise DatabaseError(
            f"Fetching MariaDB failed at `{command[0]} {command[-1]}`: {' '.join(last)}",
            hint=_HINT,
        )
