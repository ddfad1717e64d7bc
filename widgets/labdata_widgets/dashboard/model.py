"""What is chosen on the sorting dashboard, and its URL. No display, no database.

A choice further up (subject) keeps the choices below it where they still exist, and takes the
first ones where they do not: a session name that two subjects share is not lost by accident.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from traitlets import Bool, HasTraits, Instance, List, Unicode

from labdata_widgets.dashboard.records import ProbeSorting

#: Pickers from top to bottom, also the names in the URL.
LEVELS = ("subject", "session", "dataset", "sorting")


class SortingChoice(HasTraits):
    """The sortings there are, and which one is looked at.

    Attributes
    ----------
    sortings : list of ProbeSorting
    chosen : ProbeSorting or None
    curated : bool
        Show units as they were curated, where they were; else as they were sorted.
    problem : str
        Part of the URL that means nothing here, in words; empty if none.
    """

    sortings = List(Instance(ProbeSorting))
    chosen = Instance(ProbeSorting, allow_none=True, default_value=None)
    curated = Bool(True)
    problem = Unicode("")

    def load(self, sortings: Sequence[ProbeSorting], query: str = "") -> None:
        """Take the list of sortings, and choose what a URL says.

        Parameters
        ----------
        sortings : sequence of ProbeSorting
        query : str, optional
            ``subject=..&session=..``; without it the first sorted probe is chosen.
        """
        self.sortings = list(sortings)
        wanted = parse_query(query)
        self.curated = wanted.get("units") != "sorted"
        wanted = {n: v for n, v in wanted.items() if n in LEVELS}
        best = [s for s in self.sortings if s.parameters is not None] or self.sortings
        if not wanted:
            self.problem, self.chosen = "", (best[0] if best else None)
            return
        left = list(self.sortings)
        for level in LEVELS:
            if level not in wanted:
                continue
            kept = [s for s in left if level_value(s, level) == wanted[level]]
            if not kept:
                self.problem = (
                    f"There is no {level} {wanted[level]!r}"
                    + (f" of {left[0].subject}." if level != "subject" and left else ".")
                    + " Choose from the lists."
                )
                self.chosen = None
                return
            left = kept
        self.problem = ""
        self.chosen = next((s for s in left if s.parameters is not None), left[0])

    def choose(self, level: str, value: str) -> None:
        """Choose at one level; see the module on what happens below it.

        Parameters
        ----------
        level : str
            One of ``LEVELS``.
        value : str
            One of :meth:`options` of that level.
        """
        at = LEVELS.index(level)
        fixed = {n: level_value(self.chosen, n) for n in LEVELS[:at]} if self.chosen else {}
        fixed[level] = value
        left = [s for s in self.sortings if all(level_value(s, n) == v for n, v in fixed.items())]
        for name in LEVELS[at + 1 :]:
            left = self._same(left, name) or left
        self.problem = ""
        if left:
            self.chosen = next((s for s in left if s.parameters is not None), left[0])

    def _same(self, left: list[ProbeSorting], level: str) -> list[ProbeSorting]:
        """Return those that are called as the chosen one at a level; unsorted is no name."""
        if self.chosen is None or (level == "sorting" and self.chosen.parameters is None):
            return []
        return [s for s in left if level_value(s, level) == level_value(self.chosen, level)]

    def options(self, level: str) -> list[tuple[str, str]]:
        """Return value and text of what can be chosen at a level, given those above it.

        Parameters
        ----------
        level : str
            One of ``LEVELS``.
        """
        above = LEVELS[: LEVELS.index(level)]
        left = [
            s
            for s in self.sortings
            if self.chosen is None
            or all(level_value(s, n) == level_value(self.chosen, n) for n in above)
        ]
        if self.chosen is None and above:
            return []
        texts = {level_value(s, level): s.label for s in left}
        if level == "subject":
            return [(v, v) for v in sorted(texts)]
        return [(v, t if level == "sorting" else v) for v, t in texts.items()]

    def query(self, **more: str) -> str:
        """Return the URL's query for what is chosen.

        Parameters
        ----------
        **more : str
            Further names, such as the unit; empty ones are left out.
        """
        here = {n: level_value(self.chosen, n) for n in LEVELS} if self.chosen else {}
        more = {"units": "" if self.curated else "sorted", **more}
        return urlencode(here | {n: v for n, v in more.items() if v})


def level_value(sorting: ProbeSorting, level: str) -> str:
    """Return what a sorting is called at a level.

    Parameters
    ----------
    sorting : ProbeSorting
        The sorting.
    level : str
        ``sorting``, or a name of its key.
    """
    return sorting.name if level == "sorting" else str(getattr(sorting, level))


def parse_query(query: str) -> dict[str, str]:
    """Return the names and values of a URL's query.

    Parameters
    ----------
    query : str
        With or without the leading question mark.
    """
    return dict(parse_qsl(query.removeprefix("?")))
