"""Small pieces of self-contained HTML for notebook representations.

Everything is escaped, needs no script and follows the page's light or dark theme.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape

_STYLE = (
    ".labdata-card{font:13px/1.45 system-ui,sans-serif;max-width:72em;"
    "font-variant-numeric:tabular-nums}.labdata-card table{border-collapse:collapse;margin:.3em 0}"
    ".labdata-card caption{text-align:left;white-space:nowrap;font-weight:600;padding:.2em 0}"
    # the class twice, as notebooks align cells to the right by a rule of two classes
    ".labdata-card.labdata-card table th,.labdata-card.labdata-card table td{"
    "padding:.2em .8em .2em 0;"
    "text-align:left;font-weight:400;"
    "border-bottom:1px solid color-mix(in srgb,currentColor 15%,transparent)}"
    ".labdata-card table th{opacity:.75}.labdata-card table th.k{opacity:1;font-weight:600}"
    ".labdata-card p{margin:.3em 0}"
    ".labdata-card.labdata-card table .n{text-align:right;white-space:nowrap}"
    ".labdata-card .badge{border:1px solid #8f5600;color:#8f5600;border-radius:3px;padding:0 .4em}"
    "@media (prefers-color-scheme:dark){.labdata-card .badge{border-color:#ffb454;color:#ffb454}}"
    ".labdata-place{font:600 13px/1.45 system-ui,sans-serif;margin:.3em 0}"
)
#: Tables of any width: they scroll in a box of their own. The box has a frame, a scroll bar that
#: stays (browsers hide others), and a shade at the side where there is more; the shade is below a
#: cover that moves with the table. Cells never break. The class ``f`` stays in sight.
_WIDE_STYLE = (
    ".labdata-card:has(.wide){max-width:none}"
    ".labdata-card .wide{--labdata-gap:1.4em;--labdata-page:"
    "var(--jp-layout-color0,var(--vscode-editor-background,Canvas));"
    "--labdata-line:color-mix(in srgb,currentColor 18%,transparent);"
    "--labdata-shade:color-mix(in srgb,currentColor 28%,transparent);"
    "width:fit-content;max-width:100%;box-sizing:border-box;overflow:auto;max-height:1000px;"
    "border:1px solid var(--labdata-line);border-radius:3px;background:"
    "linear-gradient(to left,var(--labdata-page) 40%,transparent) right/3em 100% no-repeat local,"
    "linear-gradient(to left,var(--labdata-shade),transparent) right/1.2em 100% no-repeat scroll}"
    ".labdata-card .wide::-webkit-scrollbar{height:12px;width:12px}"
    ".labdata-card .wide::-webkit-scrollbar-thumb{border-radius:6px;border:3px solid transparent;"
    "background:color-mix(in srgb,currentColor 45%,transparent) padding-box}"
    ".labdata-card .wide table{table-layout:auto;border-collapse:separate;border-spacing:0;"
    "margin:0;border:0;font-size:13px}"
    ".labdata-card .wide tr:nth-child(n){background:none}"
    ".labdata-card .wide table th,.labdata-card .wide table td{height:27px;white-space:nowrap;"
    "padding:0 calc(var(--labdata-gap)/2);line-height:1.3;vertical-align:middle;max-width:40ch;"
    "overflow:hidden;text-overflow:ellipsis;border:0;border-bottom:1px solid var(--labdata-line)}"
    ".labdata-card .wide table tr:last-child td{border-bottom:0}"
    ".labdata-card .wide table .k{max-width:none;font:12px/1.3 ui-monospace,monospace}"
    ".labdata-card .wide table th.k{font-weight:600}"
    ".labdata-card .wide table .n{text-align:right;max-width:none}"
    ".labdata-card .wide table th{position:sticky;top:0;z-index:1;opacity:1;"
    "background:var(--labdata-page)}"
    ".labdata-card .wide table .f{position:sticky;z-index:1;background:var(--labdata-page)}"
    ".labdata-card .wide table th.f{z-index:2}"
)


def badge(text: str, explanation: str) -> str:
    """Return an amber badge that explains itself on hover.

    Parameters
    ----------
    text : str
        The word shown.
    explanation : str
        The sentence shown on hover and read by a screen reader.
    """
    return f'<span class="badge" role="note" title="{escape(explanation)}">{escape(text)}</span>'


def facts_table(caption: str, facts: Mapping[str, object]) -> str:
    """Return a two-column table of named facts.

    Parameters
    ----------
    caption : str
        What the facts describe.
    facts : mapping
        Name to value; values are escaped.
    """
    rows = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(str(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f"<table><caption>{escape(caption)}</caption>{rows}</table>"


def rows_table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    quantities: Collection[str] = (),
) -> str:
    """Return a table with a header row; numbers are right-aligned and do not break.

    Parameters
    ----------
    caption : str
        What the rows are.
    columns : sequence of str
        Column headings, with units.
    rows : iterable of sequences
        One value a column.
    quantities : collection of str, optional
        Columns whose texts are numbers with units.
    """
    head = "".join(f'<th scope="col"{_css(c in quantities)}>{escape(c)}</th>' for c in columns)
    body = "".join(
        f"<tr>{''.join(_cell(v, c in quantities) for c, v in zip(columns, row, strict=True))}</tr>"
        for row in rows
    )
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def card(*parts: str) -> str:
    """Return parts wrapped in one styled block.

    Parameters
    ----------
    *parts : str
        HTML.
    """
    return f'<style>{_STYLE}{_WIDE_STYLE}</style><div class="labdata-card">{"".join(parts)}</div>'


def _cell(value: object, is_quantity: bool) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (
        f"<td{_css(is_number or is_quantity)}>{escape('' if value is None else str(value))}</td>"
    )


def _css(is_number: bool) -> str:
    return ' class="n"' if is_number else ""
