"""Serving a dashboard from the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from ..errors import MissingPackageError
from . import write


def port_number(text: str) -> int:
    """Return a port as typed.

    Parameters
    ----------
    text : str
        A whole number from 1 to 65535.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is something else.
    """
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port; ports are 1 to 65535")


def show_dashboard(
    query: Mapping[str, str], *, browser: bool, port: int | None, project: str | None = None
) -> None:
    """Serve the spike-sorting dashboard until it is interrupted.

    Parameters
    ----------
    query : mapping
        Where it begins, as in its address.
    browser : bool
        Open the browser.
    port : int or None
        Port on loopback; a free one by default.
    project : str, optional
        Whose tables it shows; by default those of the project in use.

    Raises
    ------
    MissingPackageError
        If the dashboards' packages are not installed.
    """
    try:
        from labdata_widgets.server import serve_dashboard
    except ImportError:
        raise MissingPackageError("labdata_widgets with Voilà", "dashboards") from None
    if project:  # the kernels that show it are processes of their own
        os.environ["LABDATA_DATABASE_PROJECT"] = project
    server = serve_dashboard(query=dict(query), port=port, open_browser=browser)
    try:
        write(f"\nDashboard: {server.url}\nCtrl-C ends it.")
        server.wait()
    except KeyboardInterrupt:
        write("")
    finally:
        server.stop()
