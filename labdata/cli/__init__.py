"""The command line: ``labdata <command>``. Each command is a module that is imported when called.

The same parsers serve ``%labdata`` in a notebook. Exit codes: 0 done, 1 refused or failed (one
line says what, the next what to do), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

#: Command -> one line of help. The module of the same name has add_arguments() and run().
COMMANDS = {
    "subjects": "list the subjects",
    "sessions": "list the sessions and datasets of subjects",
    "put": "bring a raw folder to the server and register its upload",
    "upload": "upload what was put: compress, store, describe (on the server)",
    "get": "fetch the files of a session to this computer",
    "clean": "free this computer of files that the store holds",
    "import": "import a sorting that was made elsewhere: Kilosort, phy, SpikeInterface",
    "run": "run an analysis",
    "sync": "show how well the clocks of streams match",
    "curate": "label, merge and split sorted units by hand, in a log with undo",
    "task": "run a task by its number",
    "project": "list, make, describe and archive projects",
    "account": "give lab members accounts on the lab's server, with a role in each project",
    "share": "copy sessions with their results to another project",
    "migrate": "bring a database of labdata 0.1 here, compared row by row",
    "rename": "correct the name of a subject, session or dataset",
    "delete": "delete subjects, sessions or datasets with all that depends on them",
    "garbage": "find and remove objects in the stores that no file refers to",
    "verify": "compare the stores with the database; put back what is damaged",
    "storage": "say what takes the room: files and bytes by project, subject, kind, age",
    "db": "look after the database: version, dumps, backups",
    "dashboard": "open a dashboard in the browser",
    "demo": "make a small lab with known answers and run everything on it",
    "doctor": "check every setting, and say what to do about what fails",
}
#: Command -> its module, where Python keeps the command's name for itself.
_MODULES = {"import": "import_sorting"}

_EXAMPLES = """examples:
  labdata demo                                  see the whole way on synthetic data
  labdata put ~/data/JC1/20260131_140500/ephys_g0 -r ephys
  labdata run spikeinterface -a JC1 -s 20260131_140500
  labdata doctor                                is everything set up?

`labdata <command> -h` explains a command. Preferences: ~/labdata/user_preferences.json
"""


class UsageError(Exception):
    """A command line that cannot be read; carries the text to show."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises rather than ends the process, as notebooks need."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line.

        Parameters
        ----------
        message : str
            What argparse found.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError(f"{message}\n`{self.prog} -h` shows how it is used.")


def build_parser(command: str) -> Parser:
    """Return the parser of one command.

    Parameters
    ----------
    command : str
        A key of ``COMMANDS``.
    """
    module = _module(command)
    parser = Parser(
        prog=f"labdata {command}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-p", "--project", help="tables of this project")
    module.add_arguments(parser)
    return parser


def build_top_parser(prog: str = "labdata") -> Parser:
    """Return the parser that shows the list of commands, without importing them.

    Parameters
    ----------
    prog : str, optional
        Name of the program.
    """
    width = max(map(len, COMMANDS)) + 2
    listed = "\n".join(f"  {name:<{width}}{text}" for name, text in COMMANDS.items())
    parser = Parser(
        prog=prog,
        usage=f"{prog} <command> [options]",
        description="From raw recordings to labelled arrays on one clock.\n\n"
        f"commands:\n{listed}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show the version")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    return parser


def execute(arguments: Sequence[str]) -> int:
    """Run a command line in this process.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    UsageError
        If the line cannot be read.
    LabdataError
        If the command refuses or fails.
    """
    if not arguments or arguments[0].startswith("-"):
        options = build_top_parser().parse_args(arguments)
        if options.version:
            from .. import __version__

            write(f"labdata {__version__}")
        else:
            build_top_parser().print_help()
        return 0
    command = find_command(arguments[0])
    parser = build_parser(command)
    module = _module(command)
    rest = list(arguments[1:])
    read = getattr(module, "parse", None)
    options = read(parser, rest) if read else parser.parse_args(rest)
    return int(module.run(options) or 0)


def find_command(name: str) -> str:
    """Return the command of a name; ``-`` and ``_`` are equal.

    Parameters
    ----------
    name : str
        As typed.

    Raises
    ------
    UsageError
        If there is none, with the nearest.
    """
    import difflib

    wanted = name.replace("_", "-")
    if wanted in COMMANDS:
        return wanted
    near = difflib.get_close_matches(wanted, COMMANDS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "`labdata -h` lists the commands."
    raise UsageError(f"There is no command {name!r}.\n{hint}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; the entry point of ``labdata`` and ``labdata2``.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit code: 0 done, 1 an error that was said, 130 interrupted.
    """
    line = list(sys.argv[1:] if arguments is None else arguments)
    from ..errors import LabdataError

    try:
        if line[:1] != ["demo"]:  # which has preferences of its own
            _make_preferences()
        return execute(line)
    except SystemExit as end:
        return int(end.code or 0)
    except UsageError as error:
        write(f"labdata: {error}", error=True)
        return 2
    except LabdataError as error:
        write(f"labdata: {error.message}", error=True)
        if error.hint:
            write(f"  {error.hint}", error=True)
        return 1
    except KeyboardInterrupt:
        write("labdata: interrupted; the same command goes on where it can.", error=True)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # the process's edge
        if type(error).__module__.partition(".")[0] not in ("datajoint", "pymysql"):
            raise
        write(
            f"labdata: the database refused: {error.args[-1] if error.args else error}", error=True
        )
        return 1


def write(text: str, *, error: bool = False) -> None:
    """Write a line to the terminal.

    Parameters
    ----------
    text : str
        The line.
    error : bool, optional
        To standard error.
    """
    stream = sys.stderr if error else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    # names that the terminal, or any, cannot show must not end what is being done
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def _module(command: str) -> Any:
    return importlib.import_module(f"{__name__}.{_MODULES.get(command, command)}")


def _make_preferences() -> None:
    """Make the preference file at the first command; pydantic is only imported for that."""
    import os
    from pathlib import Path

    if os.environ.get("LABDATA_PREFERENCES"):
        return
    chosen = os.environ.get("LABDATA_PATH")
    folder = Path(chosen).expanduser() if chosen else Path.home() / "labdata"
    if not (folder / "user_preferences.json").exists():
        from ..preferences import ensure_preference_file

        write(f"Made the preference file {ensure_preference_file()}", error=True)
