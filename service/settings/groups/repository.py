"""Where versions come from, which of them are served, and who may change that."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator

from kan_api.limits import DEFAULT_MAX_MODEL_BYTES
from service.settings.groups.field import seconds
from service.settings.version_policy import parse_version_policy


class RepositorySettings(BaseModel):
    """Where versions come from, which of them are served, and who may change that."""

    models: Path | str = Field(
        default=Path("models"),
        description="Folder of the model repository, or its address in object storage: s3://bucket/prefix.",
    )
    cache_folder: str = Field(
        default="",
        description="Folder that caches files from object storage; by default the user's cache folder.",
    )
    versions: str = Field(
        default="latest",
        description='Versions that are served: "latest", "latest:2" or "all"; for one model add ",digits=3".',
    )
    poll_seconds: float = seconds(
        5.0, "Interval between searches for new versions in the repository; 0: only at the start."
    )
    max_load_seconds: float = seconds(
        60.0,
        "Longest time to read and check a version in a folder, and again to open it and warm it up. A "
        "version that takes longer is refused.",
        positive=True,
    )
    max_model_bytes: int = Field(
        default=DEFAULT_MAX_MODEL_BYTES,
        ge=1024,
        le=2**40,
        description="Largest size of model.onnx with its external data; loading takes five times as much memory.",
    )
    linger_seconds: float = seconds(
        60.0, "How long a superseded version still answers requests that name it; 0: not at all."
    )
    linger_bytes: int = Field(
        default=64 * 2**20,
        ge=0,
        le=2**50,
        description="Most memory that superseded versions may hold together; beyond it the oldest are closed.",
    )
    max_loaded_models: int = Field(
        default=0,
        ge=0,
        le=10**6,
        description="Most models in memory: each is loaded by its first call, and that used least recently is let go; "
        "0: all are loaded at the start.",
    )
    max_loaded_bytes: int = Field(
        default=0,
        ge=0,
        le=2**50,
        description="Most memory that loaded models may take by estimate, in the same way; 0: no bound.",
    )
    allow_incompatible: str = Field(
        default="",
        description="Models, separated by commas, whose new versions may have other inputs or outputs.",
    )
    allow_load: bool = Field(
        default=False,
        description="Let callers load and unload models with RepositoryModelLoad and RepositoryModelUnload.",
    )

    @field_validator("models", mode="before")
    @classmethod
    def _is_an_address_or_a_folder(cls, given: Any) -> Any:
        return Path(given) if isinstance(given, str) and "://" not in given else given

    @field_validator("versions")
    @classmethod
    def _is_a_policy(cls, text: str) -> str:
        parse_version_policy(text)
        return text
