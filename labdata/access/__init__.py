"""What a scientist asks for, by key: ``labdata.spikes(key)``, ``labdata.events(key)``, voltages.

A key is a dict or any query of the lab's tables. The answer is one labelled dataset on one clock,
with where it came from in its attributes; where the key means several sortings or clocks, the
error names them, as a choice made silently would be a wrong number some day.
"""

from .motion import motion
from .recordings import recording, waveforms
from .sessions import count_sessions, find_sessions_page
from .sorting import spikes
from .streams import events
from .tree import session_tree
from .trials import trials

__all__ = [
    "count_sessions",
    "events",
    "find_sessions_page",
    "motion",
    "recording",
    "session_tree",
    "spikes",
    "trials",
    "waveforms",
]
