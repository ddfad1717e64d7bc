"""A failed upload tells somebody: a command or a web address of the preference ``on_failure``.

Uploads run unattended, and the recording that did not arrive is found missing weeks later. Telling
never fails the work: what goes wrong with it is logged.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import subprocess
import urllib.error
import urllib.request
from typing import Any

from ..preferences import Preferences

logger = logging.getLogger(__name__)

#: A command or an address that takes longer is given up.
_TIMEOUT_S = 20.0


def tell_failure(preferences: Preferences, message: str, facts: dict[str, Any]) -> list[str]:
    """Tell whom the preferences name that something failed.

    The command gets the facts as JSON on its standard input and the message in the environment
    variable ``LABDATA_MESSAGE``; no shell reads either. The address gets ``{"text": message,
    ...facts}`` by POST, which chat programs understand.

    Parameters
    ----------
    preferences : Preferences
        With ``on_failure``.
    message : str
        What failed and why, one or two lines.
    facts : dict
        JSON of the same: job, host, names.

    Returns
    -------
    list of str
        What went wrong with the telling itself; empty if nothing did.
    """
    problems = []
    if preferences.on_failure.command:
        problems += _run(preferences.on_failure.command, message, facts)
    if preferences.on_failure.webhook:
        address = preferences.on_failure.webhook.get_secret_value()
        problems += _post(address, {"text": message, **facts})
    for problem in problems:
        logger.warning("%s", problem)
    return problems


def _run(command: list[str], message: str, facts: dict[str, Any]) -> list[str]:
    try:
        done = subprocess.run(
            command,
            input=json.dumps(facts, default=str),
            env={**os.environ, "LABDATA_MESSAGE": message},
            text=True,
            errors="replace",  # what a program says need not be UTF-8
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return [f"on_failure.command {command[0]!r} could not be run: {error}."]
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-200:]
        return [f"on_failure.command {command[0]!r} ended with {done.returncode}: {said}"]
    return []


def _post(address: str, content: dict[str, Any]) -> list[str]:
    # the address may hold a secret, so it is not said
    try:
        request = urllib.request.Request(
            address,
            data=json.dumps(content, default=str).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
            return []
    except http.client.InvalidURL:
        return ["on_failure.webhook is no address that can be asked; look for spaces in it."]
    except http.client.HTTPException as error:
        return [f"on_failure.webhook did not answer as a web server: {type(error).__name__}."]
    except (urllib.error.URLError, OSError, ValueError) as error:
        return [f"on_failure.webhook did not take the message: {error}."]
