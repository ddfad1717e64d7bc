"""The preference file: one typed model, where each value came from, and secrets kept out of sight.

The file is ``$HOME/labdata/user_preferences.json``; ``LABDATA_PATH`` moves the folder and
``LABDATA_PREFERENCES`` names another file. A value is taken from the environment, else from the
file, else (secrets only) from the system's keyring, else from the default, and
:attr:`Preferences.origins` says which.
"""

from .folders import FILE_NAME, absolute_folder, labdata_folder, preference_file
from .model import DatabasePreferences, Preferences, StoragePreferences
from .reading import ENVIRONMENT, load_preferences
from .secrets import find_secret
from .writing import default_preferences, ensure_preference_file, write_preferences

__all__ = [
    "ENVIRONMENT",
    "FILE_NAME",
    "DatabasePreferences",
    "Preferences",
    "StoragePreferences",
    "absolute_folder",
    "default_preferences",
    "ensure_preference_file",
    "find_secret",
    "labdata_folder",
    "load_preferences",
    "preference_file",
    "write_preferences",
]
