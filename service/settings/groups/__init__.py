"""The settings of a server in groups. One file holds one group: its fields, with their bounds and descriptions.

To add a setting, add a field to a group. It then has a flag, an environment variable, a key in the settings file, a
line in `kan-serve --help` and in the reference, and a place in the schema of the Helm chart.
"""

from pydantic import BaseModel

from service.settings.groups.access import AccessSettings
from service.settings.groups.listening import ListeningSettings
from service.settings.groups.observing import ObservingSettings
from service.settings.groups.repository import RepositorySettings
from service.settings.groups.requests import RequestSettings
from service.settings.groups.running import RunningSettings

# In the order of the help. The names are the titles there.
GROUPS: dict[str, type[BaseModel]] = {
    "model repository": RepositorySettings,
    "ports and connections": ListeningSettings,
    "access": AccessSettings,
    "limits of requests": RequestSettings,
    "runs of models": RunningSettings,
    "logs and metrics": ObservingSettings,
}

__all__ = [
    "GROUPS",
    "AccessSettings",
    "ListeningSettings",
    "ObservingSettings",
    "RepositorySettings",
    "RequestSettings",
    "RunningSettings",
]
