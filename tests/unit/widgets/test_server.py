import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from labdata_widgets import server

from labdata.errors import LabdataError

pytest.importorskip("voila", reason="needs labdata-jupyter[dashboards]")


def test_the_dashboard_is_in_the_package():
    path = server.find_dashboard("spike_sorting")
    cells = json.loads(path.read_text())["cells"]
    assert len(cells) <= 2
    assert all(not cell.get("outputs") for cell in cells)


def test_an_unknown_dashboard_is_refused_with_the_known_ones():
    with pytest.raises(LabdataError, match="no dashboard 'nothing'") as caught:
        server.find_dashboard("nothing")
    assert "spike_sorting" in caught.value.hint


def test_neither_command_nor_environment_tell_the_token(tmp_path):
    command = server.voila_command(Path("a.ipynb"), 1234, tmp_path)
    assert command[:3] == [sys.executable, "-m", "voila"]
    assert "--Voila.ip=127.0.0.1" in command
    assert not any("token" in part for part in command)
    assert "Voila" not in str(server.kernel_environment(tmp_path))


def test_settings_are_private_and_cull_idle_kernels(tmp_path):
    path = tmp_path / "voila.json"
    server._write_private(path, server.voila_settings("secret"))
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0
    content = json.loads(path.read_text())
    assert content["Voila"]["token"] == "secret"
    assert content["VoilaConfiguration"] == {
        "strip_sources": True,
        "show_tracebacks": False,
        "template": "labdata",
    }
    assert content["MappingKernelManager"]["cull_idle_timeout"] > 0


def test_the_kernel_is_this_interpreter(tmp_path):
    """Asked of Jupyter itself, in a process with the environment that Voilà gets."""
    code = (
        "from jupyter_client.kernelspec import KernelSpecManager as K; "
        "print(K().get_kernel_spec('python3').argv[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=server.kernel_environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == sys.executable


def test_other_jupyter_paths_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "elsewhere")
    path = server.kernel_environment(tmp_path)["JUPYTER_PATH"]
    assert path == os.pathsep.join([str(tmp_path), "elsewhere"])


def test_a_taken_port_is_refused():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(LabdataError, match="is taken"):
            server.serve_dashboard(port=other.getsockname()[1], open_browser=False)


def test_voila_that_ends_tells_its_last_lines(tmp_path, monkeypatch):
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    monkeypatch.setattr(server, "voila_command", lambda *a: command)
    with pytest.raises(LabdataError, match="exit code 1") as caught:
        server.DashboardServer(tmp_path / "a.ipynb").wait_ready(20)
    assert "no such thing" in caught.value.hint


def test_voila_that_is_silent_is_stopped(tmp_path, monkeypatch):
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(server, "voila_command", lambda *a: command)
    here = server.DashboardServer(tmp_path / "a.ipynb")
    with pytest.raises(LabdataError, match="did not answer"):
        here.wait_ready(0.5)
    assert not here.running
    here.stop()


@pytest.mark.slow
def test_voila_ends_with_whoever_started_it(tmp_path):
    """The starter is killed without a chance to say goodbye."""
    notebook = tmp_path / "a.ipynb"
    notebook.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    code = (
        "import sys, time; from pathlib import Path; from labdata_widgets import server; "
        f"here = server.DashboardServer(Path({str(notebook)!r})).wait_ready(60); "
        "print(here.port, flush=True); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    port = int(starter.stdout.readline())
    assert server._taken(port)
    starter.kill()
    starter.wait()
    starter.stdout.close()
    until = time.monotonic() + 30
    while server._taken(port) and time.monotonic() < until:
        time.sleep(0.2)
    assert not server._taken(port)


@pytest.mark.slow
def test_a_server_answers_and_stops(tmp_path):
    notebook = tmp_path / "a.ipynb"
    notebook.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    with server.DashboardServer(notebook, query={"subject": "JC 1"}) as here:
        here.wait_ready(60)
        assert here.running
        assert "subject=JC+1" in here.url
        folder = here.log_path.parent
        begin = time.monotonic()
    assert time.monotonic() - begin < 8, "it ended by itself and was not killed"
    assert not here.running
    assert not folder.exists(), "the token is not left behind"
