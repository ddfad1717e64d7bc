"""Serve a dashboard on this computer: Voilà in a process of its own.

Voilà runs the dashboard's code with the rights of whoever started it, so it listens on the
loopback only and wants a token: on a shared computer, loopback is not private. Token and settings
go through a file that only the user can read, as command lines are seen by everybody.

It ends with whoever started it, however that ends: Voilà watches a pipe that the starter holds.

The kernel is this very interpreter. Jupyter would otherwise take the first ``python3`` kernel that
it finds, which may belong to another environment without labdata.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from labdata.errors import LabdataError, MissingPackageError
from labdata.plugins import contributions

_DASHBOARDS = Path(__file__).parent / "dashboard"
_TEMPLATE = "labdata"
_POLL_S = 0.2
#: Voilà's configuration in Python: end when the pipe from the starter closes.
_FOLLOW = """\
import os, signal, sys, threading

def _follow():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=_follow, daemon=True).start()
"""
#: A page that was closed leaves its kernel; idle ones end after this time.
_IDLE_S = 900


class DashboardServer:
    """A running Voilà; also a context manager that stops it.

    Parameters
    ----------
    notebook : Path
        What it serves.
    port : int, optional
        A free one by default.
    query : mapping, optional
        Names and values of the URL that is opened, such as ``{"subject": "JC1"}``.

    Attributes
    ----------
    port : int
    log_path : Path
        What Voilà and the kernels wrote.
    """

    def __init__(
        self, notebook: Path, *, port: int | None = None, query: Mapping[str, str] | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="labdata-dashboard-")
        folder = Path(self._folder.name)
        self.port = _free_port() if port is None else port
        self._token = secrets.token_urlsafe(24)
        self._query = dict(query or {})
        self.log_path = folder / "voila.log"
        _write_private(folder / "voila.json", voila_settings(self._token))
        (folder / "voila.py").write_text(_FOLLOW, encoding="utf-8")
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                voila_command(notebook, self.port, folder),
                env=kernel_environment(folder),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> DashboardServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"DashboardServer(http://127.0.0.1:{self.port}, {state})"

    @property
    def running(self) -> bool:
        """Whether Voilà runs."""
        return self._process.poll() is None

    @property
    def url(self) -> str:
        """Address to open, with the token that Voilà asks for."""
        return f"http://127.0.0.1:{self.port}/?{urlencode(self._query | {'token': self._token})}"

    def wait_ready(self, timeout_s: float = 30.0) -> DashboardServer:
        """Wait until Voilà answers.

        Parameters
        ----------
        timeout_s : float, optional
            Seconds to wait.

        Returns
        -------
        DashboardServer
            Itself.

        Raises
        ------
        LabdataError
            If it ended, or does not answer in time; with the last lines of its log.
        """
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if not self.running:
                raise self._failed(f"Voilà ended with exit code {self._process.returncode}.")
            if _answers(self.port):
                return self
            time.sleep(_POLL_S)
        raise self._failed(f"Voilà did not answer on port {self.port} within {timeout_s:g} s.")

    def wait(self) -> int:
        """Wait until Voilà ends, and return its exit code.

        Returns
        -------
        int
            Exit code of the process.
        """
        return self._process.wait()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End Voilà and its kernels; a stopped one stays stopped.

        Parameters
        ----------
        timeout_s : float, optional
            Seconds that it has to end by itself.
        """
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._folder.cleanup()

    def _failed(self, message: str) -> LabdataError:
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
        self.stop()
        return LabdataError(message, hint="Its last lines: " + " | ".join(lines))


def serve_dashboard(
    name: str = "spike_sorting",
    *,
    port: int | None = None,
    open_browser: bool = True,
    query: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
) -> DashboardServer:
    """Start a dashboard on this computer, and open it in a browser.

    Parameters
    ----------
    name : str, optional
        Name of the dashboard.
    port : int, optional
        A free one by default.
    open_browser : bool, optional
        Whether to open a browser.
    query : mapping, optional
        What to show first: ``{"subject": "JC1", "session": "20240305_100000"}``.
    timeout_s : float, optional
        Seconds that Voilà has to start.

    Returns
    -------
    DashboardServer
        It answers; end it with :meth:`DashboardServer.stop`.

    Raises
    ------
    MissingPackageError
        If Voilà is not installed.
    LabdataError
        If there is no such dashboard, the port is taken, or Voilà does not start.
    """
    notebook = find_dashboard(name)
    if port is not None and _taken(port):
        raise LabdataError(
            f"Port {port} is taken by another program.",
            hint="Leave the port out to get a free one.",
        )
    server = DashboardServer(notebook, port=port, query=query).wait_ready(timeout_s)
    if open_browser:
        webbrowser.open(server.url)
    return server


def find_dashboard(name: str) -> Path:
    """Return the notebook of a dashboard, which is part of this package or of a plugin.

    Parameters
    ----------
    name : str
        For instance ``spike_sorting``.

    Raises
    ------
    MissingPackageError
        If Voilà is not installed.
    LabdataError
        If there is no such dashboard.
    """
    import importlib.util

    if importlib.util.find_spec("voila") is None:
        raise MissingPackageError("voila", "dashboards")
    of_plugins = {key: Path(path) for key, path in contributions("DASHBOARDS").items()}
    known = of_plugins | own_dashboards()
    if name not in known:
        raise LabdataError(
            f"There is no dashboard {name!r}.", hint=f"There are: {', '.join(known)}."
        )
    return known[name]


def own_dashboards() -> dict[str, Path]:
    """Return the notebooks of this package by name; a plugin's of such a name is not served."""
    return {path.stem: path for path in sorted(_DASHBOARDS.glob("*.ipynb"))}


def voila_command(notebook: Path, port: int, folder: Path) -> list[str]:
    """Return the arguments that start Voilà with this interpreter.

    Parameters
    ----------
    notebook : Path
        What to serve.
    port : int
        Where.
    folder : Path
        With ``voila.json``.
    """
    return [
        sys.executable,
        "-m",
        "voila",
        str(notebook),
        "--no-browser",
        f"--port={port}",
        "--Voila.port_retries=0",
        "--Voila.ip=127.0.0.1",
        f"--Voila.config_file_paths={folder}",
    ]


def voila_settings(token: str) -> dict[str, Any]:
    """Return Voilà's settings.

    Parameters
    ----------
    token : str
        What the URL must carry.
    """
    return {
        "Voila": {"token": token},
        "VoilaConfiguration": {
            "strip_sources": True,
            "show_tracebacks": False,
            "template": _TEMPLATE,
        },
        "MappingKernelManager": {
            "cull_interval": 60,
            "cull_idle_timeout": _IDLE_S,
            "cull_connected": False,
        },
    }


def kernel_environment(folder: Path) -> dict[str, str]:
    """Return the environment with our page template, in which ``python3`` is this interpreter.

    Parameters
    ----------
    folder : Path
        Where the kernel's description and the template are written.
    """
    shutil.copytree(_DASHBOARDS / "template", folder / "voila" / "templates" / _TEMPLATE)
    spec = folder / "kernels" / "python3"
    spec.mkdir(parents=True)
    launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    content = {"argv": launch, "display_name": "Python 3 (labdata)", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(content), encoding="utf-8")
    before = os.environ.get("JUPYTER_PATH")
    path = os.pathsep.join([str(folder), before] if before else [str(folder)])
    return os.environ | {"JUPYTER_PATH": path}


def _write_private(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that only the user can read, from its first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(port: int) -> bool:
    """Return whether an HTTP server answers; any status will do, and no kernel is started."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/voila/static/", timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
