"""At a terminal ``put`` asks for the names that nothing says; elsewhere it never waits for one."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest

from labdata.errors import UploadError
from labdata.rules.questions import check_answer, next_question

AT = datetime(2024, 3, 5, 10, 0, 0)
NAME = "20240305_100000"


@pytest.fixture
def loose(lab_rig):
    """A folder right below the local path, so that its path says nothing."""
    folder = lab_rig.folder("run_of_today", {"a.csv": b"1,2\n", "b.csv": b"3\n"})
    for number, path in enumerate(sorted(folder.iterdir())):
        when = AT.timestamp() + 60 * number
        os.utime(path, (when, when))
    return folder


class Terminal:
    """A command at a pseudo-terminal, answered as a person would."""

    def __init__(self, *words):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labdata", *map(str, words)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # as at a terminal, also where the tests run in the background of a script
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        os.close(slave)
        self.said = ""

    def wait_for(self, text):
        deadline = time.monotonic() + 60
        while text not in self.said:
            assert time.monotonic() < deadline, self.said
            self._read()

    def answer(self, question, text):
        self.wait_for(question)
        self.said = self.said[self.said.index(question) + len(question) :]
        os.write(self.master, f"{text}\n".encode())

    def end(self):
        while self._read():
            pass
        return self.process.wait(60)

    def _read(self):
        try:
            found = os.read(self.master, 4096)
        except OSError:  # the other end is closed
            return False
        self.said += found.decode()
        return bool(found)


@pytest.fixture
def terminal(monkeypatch):
    opened = []

    def start(*words):
        opened.append(Terminal(*words))
        return opened[-1]

    yield start
    for one in opened:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        os.close(one.master)


def test_all_that_is_missing_is_asked_and_checked_at_once(lab_rig, loose, terminal):
    put = terminal("put", loose)
    put.answer("Which subject?", "JC9")
    put.answer("There is no subject 'JC9'", "JC1")
    put.answer(f"Which session of JC1? [{NAME}]", "")
    put.answer("Which dataset of it? [run_of_today]", "ta/sk")
    put.answer("is not usable as a name", "task")
    assert put.end() == 0, put.said
    assert f"labdata put {loose} -a JC1 -s {NAME} -d task" in put.said.replace("\r\n", "")
    job = lab_rig.lab.UploadJob.fetch1()
    assert (job["subject_name"], job["session_name"], job["dataset_name"]) == ("JC1", NAME, "task")
    assert job["session_datetime"] == AT


def test_the_start_of_a_session_whose_name_is_no_date(lab_rig, loose, terminal):
    put = terminal("put", loose, "-a", "JC1", "-s", "first", "-d", "task")
    put.answer("When did session first begin? [2024-03-05 10:00:00]", "yesterday")
    put.answer("'yesterday' is no date and time", "2024-03-05 09:30")
    assert put.end() == 0, put.said
    job = lab_rig.lab.UploadJob.fetch1()
    assert job["session_datetime"] == datetime(2024, 3, 5, 9, 30)


def test_another_animal_only_if_its_name_is_typed(lab_rig, terminal):
    folder = lab_rig.folder(f"JC2/{NAME}/task", {"a.csv": b"1"})
    refused = terminal("put", folder, "-a", "JC1")
    refused.answer("If it was JC1, type its name", "")
    assert refused.end() == 1
    assert "path says 'JC2', you say 'JC1'" in refused.said
    assert len(lab_rig.lab.UploadJob()) == 0
    allowed = terminal("put", folder, "-a", "JC1")
    allowed.answer("If it was JC1, type its name", "JC1")
    assert allowed.end() == 0, allowed.said
    assert lab_rig.lab.UploadJob.fetch1("subject_name") == "JC1"


@pytest.mark.parametrize("how", ["ctrl-c", "ctrl-d"])
def test_an_interrupted_question_leaves_nothing(lab_rig, loose, terminal, how):
    before = lab_rig.state()
    put = terminal("put", loose)
    put.wait_for("Which subject?")
    if how == "ctrl-c":
        os.killpg(put.process.pid, signal.SIGINT)
    else:
        os.write(put.master, b"\x04")
    assert put.end() == 130
    assert "Traceback" not in put.said
    assert lab_rig.state() == before


def test_nobody_is_asked_where_nobody_sits(lab_rig, loose, typed):
    done = subprocess.run(
        [sys.executable, "-m", "labdata", "put", str(loose)],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Which" not in done.stderr and "-s" in done.stderr


def test_a_folder_that_says_all_is_asked_nothing(lab_rig):
    folder = lab_rig.folder(f"JC1/{NAME}/task", {"a.csv": b"1"})
    assert next_question(folder, {}) is None
    assert next_question(folder, {"subject": "JC2"}) is None


def test_an_animal_is_proposed_only_if_it_alone_is_named(lab_rig, small_run):
    def asked(name, content):
        return next_question(lab_rig.folder(name, content), {})

    both = asked("jc2_after_JC1", {"a.csv": b"1"})
    assert (both.argument, both.proposed, both.known[:2]) == ("subject", None, ("JC1", "JC2"))
    assert asked("today", {"a.csv": b"1"}).proposed is None
    assert asked("jc2_today", {"a.csv": b"1"}).proposed == "JC2"
    assert asked("JC22", {"a.csv": b"1"}).proposed is None


def test_a_session_is_proposed_by_the_recording_before_the_files(lab_rig, small_run):
    run = lab_rig.record(small_run.run_folder, "loose_run")
    os.utime(next(run.rglob("*.meta")), (1.0e9, 1.0e9))
    from labdata.rules.base import find_rule

    recorded = find_rule("ephys").recorded(run)
    question = next_question(run, {"subject": "JC1"})
    assert question.proposed == recorded.strftime("%Y%m%d_%H%M%S")


def test_a_known_session_needs_no_start_and_is_shown(lab_rig):
    lab_rig.lab.Session.insert1(
        {"subject_name": "JC1", "session_name": "first", "session_datetime": AT}
    )
    folder = lab_rig.folder("loose", {"a.csv": b"1"})
    question = next_question(folder, {"subject": "JC1"})
    assert (question.argument, question.known) == ("session", ("first",))
    given = {"subject": "JC1", "session": "first", "dataset": "task"}
    assert next_question(folder, given) is None
    with pytest.raises(UploadError, match="time zone"):
        question = next_question(folder, given | {"session": "second"})
        check_answer(question, "2024-03-05T10:00:00+01:00")
