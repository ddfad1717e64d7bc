"""labdata in a notebook: the ``%labdata`` magic, its completion, and readable tables.

``%load_ext labdata`` brings the magic. It runs the commands of the command line, by the same
parsers, in the notebook's own process.
"""

from __future__ import annotations

from typing import Any

from .magics import LabdataMagics, complete_labdata

__all__ = ["LabdataMagics", "load_ipython_extension"]


def load_ipython_extension(ipython: Any) -> None:
    """Register ``%labdata`` and its completion.

    Parameters
    ----------
    ipython : IPython.core.interactiveshell.InteractiveShell
        The notebook's shell.
    """
    ipython.register_magics(LabdataMagics)
    ipython.set_hook("complete_command", complete_labdata, re_key=r"%?labdata\b")
