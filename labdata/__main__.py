"""``python -m labdata``: the command line."""

from .cli import main

raise SystemExit(main())
