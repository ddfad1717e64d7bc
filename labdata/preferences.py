"""The preference file: one typed model, where each value came from, and secrets kept out of sight.

The file is ``$HOME/labdata/user_preferences.json``; ``LABDATA_PATH`` moves the folder and
``LABDATA_PREFERENCES`` names another file. A value is taken from the environment, else from the
file, else (secrets only) from the system's keyring, else from the default, and
:attr:`Preferences.origins` says which. The model is pydantic's because its errors carry the key,
the value and the expected type; this module turns them into one sentence each.
"""

from __future__ import annotations

import difflib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from .errors import PreferenceError

FILE_NAME = "user_preferences.json"

#: Environment variable -> dotted key of the preference it overrides.
ENVIRONMENT = {
    "LABDATA_DATABASE": "database.name",
    "LABDATA_DATABASE_NAME": "database.name",
    "LABDATA_DATABASE_HOST": "database.host",
    "LABDATA_DATABASE_PORT": "database.port",
    "LABDATA_DATABASE_USER": "database.user",
    "LABDATA_DATABASE_PASS": "database.password",
    "LABDATA_DATABASE_PASSWORD": "database.password",
    "LABDATA_DATABASE_PROJECT": "database.project",
    "LABDATA_DATABASE_USE_TLS": "database.use_tls",
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_old_tokens(cls, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("encrypted:"):
            raise ValueError(
                "a token encrypted by labdata 0.1 cannot be read here; write the secret itself, "
                "or leave it out and use the environment or the keyring"
            )
        return value


class DatabasePreferences(_Model):
    """Where the lab's database is; without a host, labdata runs a private one.

    Attributes
    ----------
    host : str or None
        Server address, ``None`` for the embedded database.
    name : str
        Prefix of the schemas.
    project : str or None
        Project in use.
    use_tls : bool
        Whether a server must be reached through TLS.
    """

    host: str | None = Field(None, alias="database.host")
    port: int = Field(3306, alias="database.port", ge=1, le=65535)
    name: str = Field("labdata", alias="database.name", pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$")
    user: str | None = Field(None, alias="database.user")
    password: SecretStr | None = Field(None, alias="database.password")
    project: str | None = Field(
        None, alias="database.project", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"
    )
    use_tls: bool = Field(True, alias="database.use_tls")

    @field_validator("host", "user", "project", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value


class StoragePreferences(_Model):
    """One store: a folder (``local``) or a bucket (``s3``).

    Attributes
    ----------
    path : str or None
        Root folder of a local store.
    folder : str
        Prefix of every object's key.
    """

    protocol: Literal["local", "s3"] = "local"
    path: str | None = None
    folder: str = ""
    endpoint: str = "s3.amazonaws.com"
    bucket: str | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None

    def unused_fields(self) -> set[str]:
        """Return the settings that this store's protocol has no use for."""
        if self.protocol == "s3":
            return {"path"}
        return {"endpoint", "bucket", "access_key", "secret_key"}


class Preferences(_Model):
    """All preferences of a user, validated; see the user guide for their meaning.

    Attributes
    ----------
    local_paths : list of str
        Folders searched in order for raw files; the first is where ``get`` writes.
    path_rules : str
        How a raw folder's path names its subject, session and dataset.
    allow_s3_download : bool
        Whether a file that is on no local path may be fetched from an S3 store unasked.
    upload_path, upload_host, upload_storage : str or None
        The server's inbox as seen from here, the host that uploads, and the store it uploads to.
    """

    local_paths: list[str] = Field(default_factory=lambda: ["~/data"], min_length=1)
    scratch_path: str = "~/scratch"
    path_rules: str = "{subject_name}/{session_name}/{dataset_name}"
    path_rules_session_date: tuple[str, str] = ("session_name", "%Y%m%d_%H%M%S")
    allow_s3_download: bool = False
    database: DatabasePreferences = Field(
        default_factory=lambda: DatabasePreferences.model_validate({})
    )
    storage: dict[str, StoragePreferences] = Field(default_factory=dict)
    compute: dict[str, Any] = Field(default_factory=dict)
    plugins_folder: str = "~/labdata/plugins"
    plugins: dict[str, str] = Field(default_factory=dict)
    upload_rules: dict[str, str] = Field(default_factory=dict)
    submit_defaults: dict[str, Any] | None = None
    run_defaults: dict[str, Any] = Field(default_factory=lambda: {"delete-cache": False})
    queues: dict[str, Any] | None = None
    upload_path: str | None = None
    upload_host: str | None = None
    upload_storage: str | None = None

    _file: Path | None = None
    _origins: dict[str, str] = {}

    @property
    def file(self) -> Path | None:
        """The file these were read from."""
        return self._file

    @property
    def origins(self) -> Mapping[str, str]:
        """Dotted key to where its value came from: ``default``, ``file``, a variable, keyring."""
        return self._origins

    def items(self) -> Iterator[tuple[str, object, str]]:
        """Yield ``(dotted key, value, origin)`` of every preference; secrets stay masked."""
        unused = {
            f"storage.{name}.{field}"
            for name, store in self.storage.items()
            for field in store.unused_fields()
        }
        for key, value in _flatten(_masked(self.model_dump())).items():
            origin = self._origins.get(key, "default")
            if key not in unused or origin != "default":
                yield key, value, origin

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        yield from _masked(dict(super().__repr_args__())).items()

    def local_folders(self) -> list[Path]:
        """Return ``local_paths`` as absolute folders.

        Raises
        ------
        PreferenceError
            If one of them is relative.
        """
        return [absolute_folder("local_paths", p) for p in self.local_paths]


def absolute_folder(key: str, text: str) -> Path:
    """Return a preference that names a folder as an absolute path.

    Parameters
    ----------
    key : str
        Name of the preference, for the error.
    text : str
        Its value; ``~`` is the home folder.

    Raises
    ------
    PreferenceError
        If the path is relative.
    """
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise PreferenceError(
            f"{key} is the relative path {text!r}.", hint="Write the whole path, from / or ~."
        )
    return path


def labdata_folder() -> Path:
    """Return the user's labdata folder: ``LABDATA_PATH``, else ``~/labdata``."""
    chosen = os.environ.get("LABDATA_PATH")
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / "labdata"


def preference_file() -> Path:
    """Return the path of the preference file, whether it exists or not.

    Raises
    ------
    PreferenceError
        If ``LABDATA_PREFERENCES`` names a file that does not exist.
    """
    chosen = os.environ.get("LABDATA_PREFERENCES")
    if not chosen:
        return labdata_folder() / FILE_NAME
    path = Path(chosen).expanduser()
    path = path if path.is_absolute() else labdata_folder() / path
    if not path.is_file():
        raise PreferenceError(
            f"LABDATA_PREFERENCES names {path}, which is not a file.",
            hint="Correct or unset LABDATA_PREFERENCES.",
        )
    return path


def default_preferences() -> dict[str, Any]:
    """Return what a new preference file holds: the guide's keys, ready for a laptop."""
    stores = labdata_folder() / "storage"
    return {
        "local_paths": ["~/data"],
        "scratch_path": "~/scratch",
        "path_rules": "{subject_name}/{session_name}/{dataset_name}",
        "path_rules_session_date": ["session_name", "%Y%m%d_%H%M%S"],
        "allow_s3_download": False,
        "database": {
            "database.host": None,
            "database.name": "labdata",
            "database.user": None,
            "database.project": None,
        },
        "storage": {
            name: {"protocol": "local", "path": str(stores / name)}
            for name in ("data", "analysis")
        },
        "plugins_folder": "~/labdata/plugins",
        "upload_path": None,
        "upload_host": None,
        "upload_storage": "data",
    }


def write_preferences(content: Mapping[str, Any], path: Path) -> None:
    """Write a preference file, readable by its owner only, in one step.

    Parameters
    ----------
    content : mapping
        The JSON content.
    path : Path
        The file; an existing one is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=4) + "\n"
    # mkstemp's files are readable by their owner only
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def ensure_preference_file() -> Path:
    """Return the preference file, made with its defaults where there is none."""
    path = preference_file()
    if not path.exists():
        write_preferences(default_preferences(), path)
    return path


def load_preferences(path: Path | None = None) -> Preferences:
    """Read, complete and validate the preferences.

    Parameters
    ----------
    path : Path, optional
        The file; by default the user's, made if missing.

    Raises
    ------
    PreferenceError
        If the file is no JSON object, a key is unknown or a value has the wrong type.
    """
    path = path or ensure_preference_file()
    content = _read_json(path)
    origins = dict.fromkeys(_flatten(_without_prefix(content)), "file")
    for variable, key in ENVIRONMENT.items():
        if os.environ.get(variable):
            section, name = key.split(".")
            if content.get(section) is None:
                content[section] = {}
            if not isinstance(content[section], dict):
                break  # which is an error below
            content[section][key] = os.environ[variable]
            content[section].pop(name, None)
            origins[key] = variable
    _add_store_secrets(content, origins)
    _add_keyring_secrets(content, origins)
    try:
        preferences = Preferences.model_validate(content)
    except ValidationError as error:
        raise _explain(error, path, content) from None
    preferences._file = path
    preferences._origins = origins
    return preferences


def find_secret(name: str) -> str | None:
    """Return a secret from the system's keyring, if there is a keyring that has it.

    Parameters
    ----------
    name : str
        For instance ``database.password`` or ``storage.data.secret_key``.
    """
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        return keyring.get_password("labdata", name)
    except KeyringError:
        return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise PreferenceError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            hint="Look for a missing comma or quote there.",
        ) from None
    except OSError as error:
        raise PreferenceError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise PreferenceError(
            f"{path} cannot be read: it is not UTF-8 text.", hint="Save it as UTF-8."
        ) from None
    if not isinstance(content, dict):
        raise PreferenceError(f"{path} holds {type(content).__name__}, not an object {{...}}.")
    return content


def _add_store_secrets(content: dict[str, Any], origins: dict[str, str]) -> None:
    stores = content.get("storage")
    if not isinstance(stores, dict):
        return
    for store, settings in stores.items():
        if not isinstance(settings, dict):
            continue
        for name in ("access_key", "secret_key"):
            variable = f"LABDATA_STORAGE_{store}_{name}".upper()
            if os.environ.get(variable):
                settings[name] = os.environ[variable]
                origins[f"storage.{store}.{name}"] = variable


def _add_keyring_secrets(content: dict[str, Any], origins: dict[str, str]) -> None:
    """Ask the keyring for the secrets that a server or a bucket needs and nobody has given."""
    database, stores = content.get("database"), content.get("storage")
    wanted: list[tuple[dict[str, Any], str, str]] = []
    if isinstance(database, dict):
        plain = {key.removeprefix("database."): value for key, value in database.items()}
        if plain.get("host") and plain.get("password") is None:
            wanted.append((database, "database.password", "database.password"))
    for store, settings in stores.items() if isinstance(stores, dict) else ():
        if isinstance(settings, dict) and settings.get("protocol") == "s3":
            names = [n for n in ("access_key", "secret_key") if settings.get(n) is None]
            wanted += [(settings, name, f"storage.{store}.{name}") for name in names]
    for section, name, key in wanted:
        secret = find_secret(key)
        if secret is not None:
            section.pop(key.rpartition(".")[2], None)
            section[name] = secret
            origins[key] = "keyring"


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in ("password", "access_key", "secret", "token"))


def _masked(value: Any) -> Any:
    """Replace the secrets in what is to be shown."""
    if isinstance(value, Mapping):
        return {
            key: "**********" if _is_secret(str(key)) and isinstance(item, str) else _masked(item)
            for key, item in value.items()
        }
    return [_masked(item) for item in value] if isinstance(value, list) else value


def _without_prefix(content: Mapping[str, Any]) -> dict[str, Any]:
    """Name ``database.host`` inside ``database`` plainly, as the model does."""
    section = content.get("database")
    if not isinstance(section, dict):
        return dict(content)
    return {**content, "database": {k.removeprefix("database."): v for k, v in section.items()}}


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _explain(error: ValidationError, path: Path, content: Mapping[str, Any]) -> PreferenceError:
    """Turn pydantic's errors into sentences: key, value, what is expected."""
    sentences, hints = [], []
    for fault in error.errors():
        location = [str(part) for part in fault["loc"]]
        key = ".".join([*location[:-1], location[-1].removeprefix("database.")])
        if fault["type"] == "extra_forbidden":
            sentences.append(f"{key!r} is not a preference.")
            near = difflib.get_close_matches(location[-1], _known_keys(location[:-1]), n=1)
            if near:
                hints.append(f"Did you mean {near[0]!r}?")
            continue
        shown = repr(_masked(fault["input"]))
        if _is_secret(key):
            shown = "a secret"
        elif fault["type"].startswith(("model_", "dict_")):
            # a text in place of a section can be an address with its password
            shown = f"of type {type(fault['input']).__name__}"
        expected = fault["msg"].removeprefix("Value error, ")
        sentences.append(f"{key} is {shown}: {expected[0].lower()}{expected[1:]}.")
    return PreferenceError(
        f"{path}: " + " ".join(sentences),
        hint=" ".join(hints) or "Correct the file; `labdata doctor` shows every setting.",
    )


def _known_keys(location: list[str]) -> list[str]:
    if location[:1] == ["database"]:
        return [str(field.alias) for field in DatabasePreferences.model_fields.values()]
    if location[:1] == ["storage"]:
        return list(StoragePreferences.model_fields)
    return list(Preferences.model_fields)
