"""Where the settings come from: a flag over an environment variable over the file over the default."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from service.errors import SettingsError
from service.settings import mistakes
from service.settings.file import SettingsFile, read_settings_file
from service.settings.settings import FLAGS, Settings, flag, trace_variable, variable

# They go to the server inside Envoy by an environment variable, which Linux lets have 128 KiB with its name.
_MOST_JSON_BYTES = 2**17 - 2**10

# An empty flag or variable, as a shell makes it of a name that is not set, must not open a server that its file closes.
_NEVER_EMPTY = ("tls_cert", "tls_key", "tls_client_ca", "tokens")


@dataclass(frozen=True)
class Sources:
    """The flags, the file, and the environment of this process.

    Attributes:
        flags: The values of the flags that were given, by the setting's name.
        file: The settings file; None without one.
    """

    flags: Mapping[str, str | bool]
    file: Path | None = None

    def load(self) -> Settings:
        """Read the file and make the settings of all sources.

        Raises:
            SettingsError: Something is wrong in one of them.
        """
        return self.combine(self.read())

    def read(self) -> SettingsFile:
        """The content of the file; an empty one without a file.

        Raises:
            SettingsError: As :func:`service.settings.file.read_settings_file`.
        """
        return SettingsFile() if self.file is None else read_settings_file(self.file)

    def combine(self, file: SettingsFile) -> Settings:
        """The settings of all sources.

        Raises:
            SettingsError: A flag or a variable is wrong, settings do not fit each other, or they are too long.
        """
        place = f"{file.name}: " if file.name else ""
        empty = [name for name in _NEVER_EMPTY if self._outside_file(name) == ""]
        if empty:
            raise SettingsError(
                [
                    f"{flag(each)} (or {variable(each)}) is empty: wanted a file, or neither flag nor variable"
                    for each in empty
                ]
            )
        given = {name: value for name, value in file.server.items() if variable(name) not in os.environ}
        try:
            settings = Settings.model_validate({**given, **self.flags, "tables": dict(file.tables)})
        except ValidationError as error:
            raise SettingsError(mistakes.of_flags(error.errors(include_url=False), place)) from None
        values = settings.model_dump(exclude_none=True)
        # Not by pydantic, which makes no JSON of a path that is no Unicode.
        text = json.dumps(values, default=str, ensure_ascii=False, separators=(",", ":"))
        json_bytes = len(text.encode(errors="surrogateescape"))
        if json_bytes > _MOST_JSON_BYTES:
            raise SettingsError(
                [f"{place}the settings take {json_bytes} bytes as JSON; at most {_MOST_JSON_BYTES} are taken"]
            )
        return settings

    def _outside_file(self, name: str) -> str | bool | None:
        """The value of the flag, or else of the variable; None if neither is given."""
        return self.flags.get(name, os.environ.get(variable(name)))

    def origins(self, file: SettingsFile) -> Mapping[str, str]:
        """Where the value of each setting comes from, in words."""
        return {name: self._origin(name, file) for name in FLAGS}

    def _origin(self, name: str, file: SettingsFile) -> str:
        if name in self.flags:
            return f"flag {flag(name)}"
        if variable(name) in os.environ:
            return f"variable {variable(name)}"
        if name in file.server:
            return file.place("server", name)
        of_traces = trace_variable() if name == "trace_endpoint" else None
        return "default" if of_traces is None else f"variable {of_traces}"
