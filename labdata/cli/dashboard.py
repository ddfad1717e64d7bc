"""Open a dashboard in the browser.

Examples:
  labdata dashboard --spike-sorting -f JC1
  labdata dashboard --spike-sorting -a JC1 -s 20260131_140500 --no-browser
"""

from __future__ import annotations

import argparse

from .serve import port_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--spike-sorting", action="store_true", help="sorted units: table, raster, response"
    )
    parser.add_argument("-a", "--subject", help="begin with this subject")
    parser.add_argument("-s", "--session", help="begin with this session")
    parser.add_argument("-f", "--filter-name", metavar="TEXT", help="part of the subject's name")
    parser.add_argument("--port", type=port_number, help="port (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def run(options: argparse.Namespace) -> None:
    """Serve the dashboard until Ctrl-C."""
    from ..errors import QueryError
    from .selection import check_session, check_subjects, chosen_lab
    from .serve import show_dashboard
    from .subjects import find_subjects

    lab, subject = chosen_lab(options), options.subject
    if subject:
        check_subjects(lab, [subject])
    if options.filter_name and not subject:
        rows = find_subjects(lab, user=None, part=options.filter_name)
        if not rows:
            raise QueryError(
                f"No subject has {options.filter_name!r} in its name.",
                hint="`labdata subjects` lists them.",
            )
        subject = rows[0]["subject_name"]
    if options.session:
        check_session(lab, options.session, subject=subject)
    query = {"subject": subject, "session": options.session}
    show_dashboard(
        {k: v for k, v in query.items() if v},
        browser=not options.no_browser,
        port=options.port,
        project=options.project,
    )
