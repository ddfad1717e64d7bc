"""What the preference file may say, as one typed model.

The model is pydantic's because its errors carry the key, the value and the expected type;
:mod:`labdata.preferences.faults` turns them into one sentence each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from .folders import absolute_folder
from .showing import flatten, masked


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
    endpoint : str
        Server of the bucket: a host, ``host:port`` or a URL; AWS if left out.
    bucket : str or None
        Name of the bucket.
    region : str or None
        Region of the bucket, ``None`` for that of the AWS settings of this computer.
    addressing : {'auto', 'path', 'virtual'}
        Whether the bucket stands in the path or in the host name; ``auto`` is right but for a few
        servers.
    access_key, secret_key : SecretStr or None
        Without them the AWS settings of this computer are used: variables, profile, login.
    profile : str or None
        Profile of those settings.
    use_tls : bool
        Whether an endpoint without ``http://`` or ``https://`` is reached through TLS.
    verify_tls : bool
        Whether the server's certificate is checked.
    ca_file : str or None
        Certificates to check the server's with, for a lab's own authority.
    conditional_writes : {'auto', 'yes', 'no'}
        Whether the server itself refuses to overwrite; ``auto`` finds out at the first write.
    """

    protocol: Literal["local", "s3"] = "local"
    path: str | None = None
    folder: str = ""
    endpoint: str = Field("s3.amazonaws.com", min_length=1)
    bucket: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$")
    region: str | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    profile: str | None = None
    use_tls: bool = True
    verify_tls: bool = True
    ca_file: str | None = None
    conditional_writes: Literal["auto", "yes", "no"] = "auto"

    @field_validator(
        "bucket", "region", "access_key", "secret_key", "profile", "ca_file", mode="before"
    )
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    def unused_fields(self) -> set[str]:
        """Return the settings that this store's protocol has no use for."""
        if self.protocol == "s3":
            return {"path"}
        return set(type(self).model_fields) - {"protocol", "path", "folder"}


class FailurePreferences(_Model):
    """Who is told when an upload fails; nobody by default.

    Attributes
    ----------
    command : list of str or None
        A program and its arguments; it gets the facts as JSON on its standard input.
    webhook : str or None
        A web address that takes a message by POST; it is kept as a secret.
    """

    command: list[str] | None = Field(default=None, min_length=1)
    webhook: SecretStr | None = None

    @field_validator("command", mode="before")
    @classmethod
    def _is_list(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError('a list of words is expected, ["mail", "-s", "labdata", "..."]')
        return value

    @field_validator("webhook")
    @classmethod
    def _is_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("a web address is expected, https://...")
        return value


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
    on_failure : FailurePreferences
        A command or web address that is told when an upload fails.
    spike_cache_gb : float
        Spikes of large sortings that are kept below ``scratch_path``, on their clock; 0 for none,
        nor of the few measured waveforms beside them.
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
    on_failure: FailurePreferences = Field(default_factory=FailurePreferences)
    spike_cache_gb: float = Field(20.0, ge=0)

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
        for key, value in flatten(masked(self.model_dump())).items():
            origin = self._origins.get(key, "default")
            if key not in unused or origin != "default":
                yield key, value, origin

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        yield from masked(dict(super().__repr_args__())).items()

    def local_folders(self) -> list[Path]:
        """Return ``local_paths`` as absolute folders.

        Raises
        ------
        PreferenceError
            If one of them is relative.
        """
        return [absolute_folder("local_paths", p) for p in self.local_paths]
