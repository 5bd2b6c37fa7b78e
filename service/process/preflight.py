"""What `kan-serve --check-config` finds beyond the settings: whether a start on this machine has all that they name.

The parts of a start that only read are run as a start runs them, each by itself, so that all mistakes are told at once.
Nothing is started or written, no port is bound, no model is loaded, and object storage is not asked. Manifests are read
only where one may be too long for a message.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from kan_api.limits import MAX_MANIFEST_BYTES
from service.access.authorizer import Authorizer
from service.access.certificates import check_authorities, read_certificates
from service.access.expiry import warning
from service.access.reloaded import ReloadedFiles
from service.errors import ModelRefused, StartupError
from service.process.envoy.installed import check_installed
from service.protocols.methods import paths
from service.registry.model.session import check_providers
from service.registry.scanning.absent_versions import absences, explain
from service.repository.disk import Version, list_models, read_manifest
from service.repository.layout import WANTED as WANTED_REPOSITORY
from service.repository.layout import explain_no_versions
from service.repository.manifest import check_manifest
from service.repository.storage import Storage
from service.settings import Settings
from service.tracing.start import Tracing

# What is wrong: the names of the settings, and the reason.
Mistake = tuple[tuple[str, ...], str]

_WANTED = {
    "tls_cert": "wanted the certificate of the gRPC port with its chain, in PEM",
    "tls_key": "wanted the private key of tls_cert, in PEM",
    "tls_client_ca": "wanted the certificates of the authorities that sign callers' certificates, in PEM",
    "tokens": "wanted a token file in TOML, as kan-serve token NAME FILE makes it",
    "models": WANTED_REPOSITORY,
}
_FILES = {*_WANTED, "access_log", "cache_folder"}


def find_mistakes(settings: Settings, origins: Mapping[str, str]) -> list[str]:
    """A line for each reason for which a server with these settings would not start on this machine.

    Args:
        settings: In force.
        origins: Where the value of each setting comes from.
    """
    found = [*_files_of_callers(settings), *_files_of_models(settings), *_parts(settings)]
    lines = [f"{origins[names[0]]}: {' and '.join(names)}: {reason}" for names, reason in found]
    files = {name for names, _ in found for name in names} & _FILES
    if any(_is_relative(str(getattr(settings, name))) for name in files):
        lines.append(f"relative paths begin at the folder of this command, {os.getcwd()!r}")
    return lines


def find_warnings(settings: Settings) -> list[str]:
    """What is wrong with parts with which a server starts all the same.

    They are no model, versions that are selected and absent or that messages are too short for, or a certificate that
    has expired or ends soon.
    """
    found: list[str] = []
    with suppress(StartupError):  # a mistake
        if isinstance(settings.models, Path):
            listed = list_models(settings.models)
            there = _by_model(listed)
            found += _absent_versions(settings, there)
            found += _refused_versions(settings, settings.models, there)
            if not listed:
                found.append(f"no model would answer: {explain_no_versions(settings.models)}")
    with suppress(StartupError):
        certificates = read_certificates(settings)
        if certificates is not None and (soon := warning(certificates.value)):
            found.append(soon)
    return found


def _by_model(listed: Sequence[Version]) -> Mapping[str, Sequence[int]]:
    there: dict[str, list[int]] = {}
    for name, version in listed:
        there.setdefault(name, []).append(version)
    return there


def _absent_versions(settings: Settings, there: Mapping[str, Sequence[int]]) -> Iterator[str]:
    policy = settings.version_policy
    for absence in absences(policy, lambda name: there.get(name, ()), lambda _name: None):
        yield explain(absence, policy)


def _refused_versions(settings: Settings, root: Path, there: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """The versions that a start would refuse by their manifests, in its own words. It then tries the version before.

    No manifest, and no row, is longer than the bound of kan_api: with messages that long there is nothing to look for.
    """
    if settings.max_message_bytes >= MAX_MANIFEST_BYTES:
        return
    for name, versions in there.items():
        wanted, count = settings.version_policy.wanted(name, versions)
        for version in wanted:
            if not count:
                break
            try:
                check_manifest(read_manifest(root, name, version), settings.max_message_bytes)
            except ModelRefused as refused:
                yield f"model {name} version {version} would be refused: {refused}"
            else:
                count -= 1


def _files_of_callers(settings: Settings) -> Iterator[Mistake]:
    unread = set()
    for name in ("tls_cert", "tls_key", "tls_client_ca"):
        if file := getattr(settings, name):
            for mistake in _tried(partial(_read, Path(file)), name):
                unread.add(name)
                yield mistake
    if settings.tls_cert and not unread & {"tls_cert", "tls_key"}:
        of_server = settings.model_copy(update={"tls_client_ca": ""})
        yield from _tried(lambda: read_certificates(of_server), "tls_cert", "tls_key")
    if settings.tls_client_ca and "tls_client_ca" not in unread:
        authorities = Path(settings.tls_client_ca)
        yield from _tried(lambda: check_authorities(authorities.read_bytes(), authorities), "tls_client_ca")
    if settings.tokens:
        yield from _tried(lambda: Authorizer(Path(settings.tokens), paths()), "tokens")
    if settings.access_log:
        yield from _tried(partial(_check_log, settings.access_log), "access_log")


def _files_of_models(settings: Settings) -> Iterator[Mistake]:
    models = settings.models
    if isinstance(models, Path):
        yield from _tried(lambda: list_models(models), "models")
        return
    yield from _tried(lambda: Storage(models), "models")
    if settings.cache_folder:  # the default is looked for, and made, at the start
        yield from _tried(partial(_check_cache, settings.cache_folder), "cache_folder")


def _parts(settings: Settings) -> Iterator[Mistake]:
    """What has to be installed, and the devices of the models."""
    if settings.frontend == "envoy":
        yield from _tried(check_installed, "frontend")
    if settings.trace_endpoint:
        trace = partial(Tracing, settings.trace_endpoint, settings.trace_sample, lambda _result, _count: None)
        yield from _tried(trace, "trace_endpoint")
    yield from _tried(lambda: check_providers(settings), "provider")


def _tried(act: Callable[[], object], *names: str) -> Iterator[Mistake]:
    """What an action of the start raises."""
    try:
        act()
    except (StartupError, OSError, ValueError) as error:  # ValueError: a path with a NUL
        wanted = _WANTED.get(names[0]) if "cannot be read" in str(error) else None
        yield names, f"{error}; {wanted}" if wanted else str(error)


def _read(certificate: Path) -> None:
    ReloadedFiles("certificates", [certificate], lambda found: found)


def _check_log(file: str) -> None:
    """Whether the access log could be appended to, or made. It is not opened: a pipe's reader would see an end."""
    path = os.path.realpath(file)
    if file == "-":
        return
    if os.path.isdir(path):
        raise StartupError(f"the access log {file!r} is a folder; wanted a file, or - for standard error")
    if not os.path.exists(path):
        path = os.path.dirname(path)
        if not os.path.isdir(path):
            raise StartupError(f"the access log {file!r} cannot be made: there is no folder {path!r}; make it first")
    if not os.access(path, os.W_OK | os.X_OK if os.path.isdir(path) else os.W_OK):
        raise StartupError(f"the access log {file!r} cannot be written: {path!r} is closed to this user")


def _check_cache(folder: str) -> None:
    """Whether the cache could be written or made: its folder, or the nearest one above that is there."""
    path = Path(folder).absolute()
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise StartupError(f"cache folder {folder!r} cannot be written: {str(there)!r} is no folder for this user")


def _is_relative(value: str) -> bool:
    return bool(value) and "://" not in value and not os.path.isabs(value)
