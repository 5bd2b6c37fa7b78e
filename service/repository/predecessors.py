"""Refuse a version that is incompatible with the version before it, because callers send the same requests to both."""

import logging
from collections.abc import Collection, Sequence

from kan_api.compatibility import difference
from kan_api.v1.manifest_pb2 import Feature, ModelManifest
from service.errors import ModelRefused, StorageError
from service.repository.source import Source

_log = logging.getLogger(__name__)


class Predecessors:
    """Compares the manifests of new and older versions, with the same result at a start and at a swap.

    Args:
        source: Reads the older manifests.
        allowed: Models whose inputs and outputs may change.
    """

    def __init__(self, source: Source, allowed: Collection[str]) -> None:
        self._source = source
        self._allowed = frozenset(allowed)
        self._known: dict[str, dict[int, ModelManifest]] = {}

    async def check(self, manifest: ModelManifest, versions: Sequence[int]) -> None:
        """Refuse a version that differs from the newest older version that is valid.

        An older version is valid if it agrees with the valid versions before it. Example: versions 1 and 2 agree, and 3
        has other inputs. Then 3 is refused, and 4 must agree with 2.

        Args:
            manifest: Manifest of the new version.
            versions: All versions of the model.

        Raises:
            ModelRefused: It has other inputs, another task or other classes.
        """
        name = manifest.name
        if name in self._allowed:
            return
        valid: ModelManifest | None = None
        for older in await self._manifests(name, [each for each in sorted(versions) if each < manifest.version]):
            if valid is None or not difference(valid, older):
                valid = older
        if valid is not None and (found := difference(valid, manifest)):
            raise ModelRefused(
                "incompatible",
                f"{found}; publish it under a name of its own, or start kan-serve with --allow-incompatible {name}",
            )

    async def _manifests(self, name: str, versions: Sequence[int]) -> list[ModelManifest]:
        """The manifests of the last few versions that can be read, oldest first."""
        known = self._known.get(name, {})
        found: dict[int, ModelManifest] = {}
        for version in versions[-self._source.looked_back :]:
            if version in known:
                found[version] = known[version]
                continue
            try:
                found[version] = _essence(await self._source.read_manifest(name, version))
            except ModelRefused:  # a broken version is not compared
                continue
            except StorageError as error:  # archived or removed; the new version itself was read
                _log.warning("model %s: new versions are not compared with version %d: %s", name, version, error)
        self._known[name] = found
        return [found[version] for version in sorted(found)]


def _essence(manifest: ModelManifest) -> ModelManifest:
    """The part of a manifest that is compared, which is much smaller."""
    return ModelManifest(
        name=manifest.name,
        version=manifest.version,
        task=manifest.task,
        classes=manifest.classes,
        outputs=manifest.outputs,
        columns=manifest.columns,
        features=[
            Feature(
                name=each.name,
                column=each.column,
                category=each.category,
                imputed=each.imputed if each.HasField("imputed") else None,
            )
            for each in manifest.features
        ],
    )
