"""A version that cannot stand in for the one before it is refused: callers send what that one took."""

import logging
from collections.abc import Collection, Sequence

from kan_api.compatibility import difference
from kan_api.v1.manifest_pb2 import Feature, ModelManifest
from service.errors import StorageError
from service.repository.disk import ModelRefused
from service.repository.source import Source

_log = logging.getLogger(__name__)


class Predecessors:
    """Holds new versions against those before them, by their manifests alone: alike at the start and at a swap.

    Args:
        source: Where older manifests are read.
        allowed: Models that may change their inputs or their answers.
    """

    def __init__(self, source: Source, allowed: Collection[str]) -> None:
        self._source = source
        self._allowed = frozenset(allowed)
        self._known: dict[str, dict[int, ModelManifest]] = {}

    async def check(self, manifest: ModelManifest, versions: Sequence[int]) -> None:
        """Refuse a version that differs from the newest older one that is valid.

        Args:
            manifest: Of the new version.
            versions: All of the model's that there are.

        Raises:
            ModelRefused: It has other inputs, another task or other classes.
        """
        name = manifest.name
        if name in self._allowed:
            return
        standing: ModelManifest | None = None
        for older in await self._manifests(name, [each for each in sorted(versions) if each < manifest.version]):
            if standing is None or not difference(standing, older):
                standing = older
        if standing is not None and (told := difference(standing, manifest)):
            raise ModelRefused(
                "incompatible",
                f"{told}; publish it under a name of its own, or start kan-serve with --allow-incompatible {name}",
            )

    async def _manifests(self, name: str, versions: Sequence[int]) -> list[ModelManifest]:
        """Those of the last few versions that can be read, oldest first."""
        known = self._known.get(name, {})
        found: dict[int, ModelManifest] = {}
        for version in versions[-self._source.looked_back :]:
            if version in known:
                found[version] = known[version]
                continue
            try:
                found[version] = _essence(await self._source.read_manifest(name, version))
            except ModelRefused:  # broken: it binds nobody
                continue
            except StorageError as error:  # archived, or gone; the new version itself could be read
                _log.warning("model %s: new versions are not compared with version %d: %s", name, version, error)
        self._known[name] = found
        return [found[version] for version in sorted(found)]


def _essence(manifest: ModelManifest) -> ModelManifest:
    """What is compared, without histograms, recipes and reports."""
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
