"""What values change."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.kubernetes.helm import schema
from service.process.stop import GONE
from service.settings import FLAGS, ModelTable, Settings, Sources, variable

pytestmark = pytest.mark.deploy

BIN = Path(sys.executable).parent
VERSIONS = {"oldest": ["--kubernetes-version", "1.30.0"], "newest": []}
# kubernetes-validate has no schemas of these.
FOREIGN = ("monitoring.coreos.com", "gateway.networking.k8s.io")

FEATURES: dict[str, Any] = {
    "defaults": {},
    "gpu": {"gpu": {"count": 2, "resource": "nvidia.com/mig-1g.10gb"}},
    "object storage": {"models": {"address": "s3://somewhere/models", "cache": "10Gi"}},
    "claim of others": {"models": {"claim": {"create": False, "name": "shared"}}},
    "envoy": {"frontend": "envoy", "settings": {"KAN_ACCESS_LOG": "-"}},
    "tls": {"tls": {"secret": "kan-serve-tls"}, "tokens": {"secret": "kan-serve-tokens"}},
    "workers": {"workers": 3, "resources": {"requests": {"cpu": 0.5}}},
    "mtls": {"tls": {"secret": "kan-serve-tls", "clientCa": True}},
    "settings": {"settings": {"KAN_MAX_QUEUE_ROWS": 16777216, "KAN_ALLOW_LOAD": False, "KAN_POLL_SECONDS": 0}},
    "settings file": {"settingsFile": "[models.digits]\npriority = 1\n"},
    "fixed replicas": {"autoscaling": {"enabled": False}, "replicas": 3},
    "cpu alone": {"autoscaling": {"queueRows": 0}},
    "no limit of CPU": {"resources": {"limits": {"cpu": None}}},
    "surge": {"rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 0}},
    "no policy": {"networkPolicy": {"enabled": False}},
    "no monitoring": {"monitoring": {"enabled": False}},
    "no rules": {"monitoring": {"rules": False, "labels": {"release": "prometheus"}}},
    "gateway": {"gateway": {"enabled": True, "hostnames": ["a.example.com", "b.example.com"]}},
    "cloud": {
        "image": {"tag": "7", "pullPolicy": "Always", "pullSecrets": [{"name": "registry"}]},
        "serviceAccount": {"annotations": {"example.com/role": "reader"}},
        "envFrom": [{"secretRef": {"name": "storage"}}],
        "podAnnotations": {"example.com/inject": "true"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "serving", "operator": "Exists"}],
    },
}


@pytest.mark.parametrize("feature", FEATURES)
def test_lint_has_nothing_to_say(feature: str, chart: Any) -> None:
    """Neither errors nor warnings; that an icon is recommended is information."""
    report = chart.helm.lint(chart.path, FEATURES[feature], strict=True, kube_version="v1.30.0")
    assert report["total_charts_linted"] == 1
    assert report["errors"] == []
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_every_object_fits_its_schema(version: list[str], chart: Any, tmp_path: Path) -> None:
    """With every feature the built-in kinds pass kubernetes-validate --strict; the test's pod is among them."""
    built_in: list[Any] = []
    for release in (chart.release(values) for values in FEATURES.values()):
        known = (each for each in release.objects if each["apiVersion"].split("/")[0] not in FOREIGN)
        built_in += [each for each in known if each not in built_in]
    assert len([each for each in built_in if each["kind"] == "Deployment"]) > 5
    assert {"Deployment", "Pod", "HorizontalPodAutoscaler", "NetworkPolicy"} < {each["kind"] for each in built_in}
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(built_in))
    command = [str(BIN / "kubernetes-validate"), "--strict", *version, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count("passed for resource") == len(built_in), said


# Another value of each, where adding one or turning it over is none.
OTHERS: dict[str, Any] = {
    "image.repository": "registry.example.org/kan",
    "image.tag": "7",
    "image.pullPolicy": "Always",
    "image.pullSecrets": [{"name": "registry"}],
    "models.address": "s3://somewhere/else",
    "models.cache": "3Gi",
    "models.claim.name": "others",
    "models.claim.volume": "others",
    "models.claim.size": "2Gi",
    "gpu.resource": "nvidia.com/mig-1g.10gb",
    "frontend": "envoy",
    "tls.secret": "kan-serve-tls",
    "tokens.secret": "kan-serve-tokens",
    "settings.KAN_LOG_FORMAT": "text",
    "settingsFile": "[models.digits]\npriority = 1\n",
    "envFrom": [{"secretRef": {"name": "storage"}}],
    "resources.requests.cpu": "3",
    "resources.requests.memory": "3Gi",
    "resources.limits.cpu": "3",
    "resources.limits.memory": "3Gi",
    "serviceAccount.annotations": {"example.com/role": "reader"},
    "podAnnotations": {"example.com/inject": "true"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "serving", "operator": "Exists"}],
    "networkPolicy.monitoring": "watchers",
    "networkPolicy.egress": [],
    "monitoring.labels": {"release": "prometheus"},
    "monitoring.interval": "30s",
    "gateway.name": "other",
    "gateway.namespace": "others",
    "gateway.hostnames": ["other.example.com"],
}
# Some values count only beside others.
BESIDE: tuple[dict[str, Any], ...] = (
    {},
    {"tls.secret": "some-tls"},
    {"models.address": "s3://somewhere/models", "autoscaling.enabled": False, "gpu.count": 1, "gateway.enabled": True},
)


def _leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by their path with dots, as --set takes it; an empty mapping is a value too."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {}
        found |= inner or {prefix + key: value}
    return found


def _nested(leaves: dict[str, Any]) -> dict[str, Any]:
    """The way back."""
    values: dict[str, Any] = {}
    for path, value in leaves.items():
        *outer, last = path.split(".")
        place = values
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = value
    return values


def test_every_value_changes_something(chart: Any) -> None:
    """For each line of values.yaml there is another value with which other objects come out."""
    leaves = _leaves(chart.values("values.yaml"))
    assert len(leaves) > 40
    assert OTHERS.keys() <= leaves.keys()
    before = [chart.release(_nested(beside)).manifest for beside in BESIDE]
    for path, value in leaves.items():
        other = OTHERS[path] if path in OTHERS else (not value if isinstance(value, bool) else value + 1)
        after = [chart.release(_nested({**beside, path: other})).manifest for beside in BESIDE]
        assert after != before, path


def test_switches_leave_out_their_objects_and_no_others(chart: Any) -> None:
    """What is off is not there; all else is as before."""

    def kinds(feature: str) -> list[str]:
        return sorted(each["kind"] for each in chart.release(FEATURES[feature]).objects)

    def without(*gone: str) -> list[str]:
        return [kind for kind in kinds("defaults") if kind not in gone]

    assert kinds("fixed replicas") == without("HorizontalPodAutoscaler")
    assert kinds("no policy") == without("NetworkPolicy")
    assert kinds("no monitoring") == without("ServiceMonitor", "PrometheusRule")
    assert kinds("no rules") == without("PrometheusRule")
    assert kinds("claim of others") == without("PersistentVolumeClaim")
    assert kinds("gateway") == sorted([*kinds("defaults"), "GRPCRoute"])


def test_replicas_are_the_autoscalers_or_fixed(chart: Any) -> None:
    """A number of replicas stands in the Deployment only where no autoscaler would put another in its place."""
    assert "replicas" not in chart.release().one("Deployment")["spec"]
    assert chart.release(FEATURES["fixed replicas"]).one("Deployment")["spec"]["replicas"] == 3
    metrics = chart.release(FEATURES["cpu alone"]).one("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [each["type"] for each in metrics] == ["Resource"]


def test_a_pod_has_resources_of_all_its_workers(chart: Any) -> None:
    """What stands in the values is of one process, in any unit, as a number or a word; no limit stays no limit."""
    resources = {"requests": {"cpu": 0.5, "memory": "1.5Gi"}, "limits": {"cpu": "750m", "memory": None}}
    release = chart.release({"workers": 3, "resources": resources})
    assert release.variables["KAN_WORKERS"] == "3"
    assert release.container["resources"] == {
        "requests": {"cpu": "1.5", "memory": "4.5Gi"},
        "limits": {"cpu": "2250m"},
    }
    (queue, _) = release.one("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert queue["pods"]["target"]["averageValue"] == "768"
    assert "KAN_WORKERS" not in chart.release().variables


def test_an_open_port_is_meant_where_the_policy_keeps_callers_out(chart: Any) -> None:
    """Without the policy the servers warn, unless somebody says that it is meant."""
    name = "KAN_INSECURE_PUBLIC"
    open_to_all = {"networkPolicy": {"enabled": False}}
    assert chart.release().variables[name] == "true"
    assert chart.release({"settings": {name: False}}).variables[name] == "false"
    assert name not in chart.release(open_to_all).variables
    assert chart.release({**open_to_all, "settings": {name: True}}).variables[name] == "true"


def test_settings_come_as_they_were_given(chart: Any) -> None:
    """Each setting's default, written into the values as a number or a word, is the server's default again."""
    names = {variable(name): name for name in FLAGS if name not in schema.MADE}
    defaults = {each: Settings.model_fields[name].default for each, name in names.items()}
    variables = chart.release({"settings": defaults}).variables
    assert variables.pop("KAN_METRICS_PORT") == "8003"
    assert variables.keys() == names.keys()
    assert all(isinstance(each, str) for each in variables.values())
    settings: Any = Settings.model_validate({names[each]: value for each, value in variables.items()})
    assert settings == Settings()
    assert chart.release(FEATURES["settings"]).variables.items() >= {
        ("KAN_MAX_QUEUE_ROWS", "16777216"),
        ("KAN_ALLOW_LOAD", "false"),
        ("KAN_POLL_SECONDS", "0"),
    }


def test_a_settings_file_is_mounted_as_it_was_given(chart: Any, tmp_path: Path) -> None:
    """The server reads the mounted text; it changes without new pods, and without a text there is nothing."""
    text = '[models.digits]\nquota_rows_per_second = 1000\n\n[models."*"]\npriority = 1\n'
    release, other = (chart.release({"settingsFile": each}) for each in (text, text + "# more\n"))
    name = "kan-serve-settings-file"
    file = tmp_path / "kan-serve.toml"
    file.write_text(release.one("ConfigMap", name)["data"]["kan-serve.toml"])
    assert file.read_text().strip() == text.strip()
    (volume,) = [each for each in release.template["spec"]["volumes"] if each["name"] == "settings-file"]
    (mount,) = [each for each in release.container["volumeMounts"] if each["name"] == "settings-file"]
    assert volume["configMap"]["name"] == name
    assert {"name": "KAN_CONFIG", "value": f"{mount['mountPath']}/{file.name}"} in release.container["env"]
    assert Sources({}, file).load().table_of("digits") == ModelTable(quota_rows_per_second=1000, priority=1)
    assert release.template == other.template
    assert "settings-file" not in chart.release().manifest


def test_tls_and_tokens_are_secrets_and_the_probes_plain(chart: Any) -> None:
    """Both are mounted where the settings say; the probes ask the plain port, which needs neither."""
    secure = chart.release(FEATURES["tls"])
    assert secure.variables.items() >= {
        ("KAN_TLS_CERT", "/tls/tls.crt"),
        ("KAN_TLS_KEY", "/tls/tls.key"),
        ("KAN_TOKENS", "/tokens/tokens.toml"),
    }
    volumes = {
        each["name"]: each["secret"]["secretName"] for each in secure.template["spec"]["volumes"] if "secret" in each
    }
    assert volumes == {"tls": "kan-serve-tls", "tokens": "kan-serve-tokens"}
    mounts = {each["name"]: each["mountPath"] for each in secure.container["volumeMounts"] if each["name"] in volumes}
    assert mounts == {"tls": "/tls", "tokens": "/tokens"}
    # A settings file may ask for TLS and tokens too.
    for release in (secure, chart.release(FEATURES["settings file"])):
        for name, path in (("startup", "/livez"), ("liveness", "/livez"), ("readiness", "/readyz")):
            probe = release.container[f"{name}Probe"]
            assert probe["httpGet"] == {"path": path, "port": "http"}
            assert "grpc" not in probe
    assert "KAN_TLS_CLIENT_CA" not in secure.variables
    assert chart.release(FEATURES["mtls"]).variables["KAN_TLS_CLIENT_CA"] == "/tls/ca.crt"


@pytest.mark.parametrize(("frontend", "grace"), [("grpcio", 0), ("grpcio", 30), ("envoy", 30), ("grpcio", 90.5)])
def test_pods_have_time_to_drain(frontend: str, grace: float, chart: Any) -> None:
    """However long the grace period is: before SIGKILL there is time for preStop and the longest stop."""
    release = chart.release({"frontend": frontend, "settings": {"KAN_GRACE_SECONDS": grace}})
    assert release.variables.get("KAN_FRONTEND", "grpcio") == frontend
    pause = release.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    stop = pause + grace + GONE.after_grace_seconds
    assert release.template["spec"]["terminationGracePeriodSeconds"] >= stop + 5


def test_a_changed_setting_rolls_the_pods(chart: Any) -> None:
    """Pods are made anew when a variable changes, and stay when nothing does."""
    before, again = chart.release().template, chart.release().template
    after = chart.release({"settings": {"KAN_POLL_SECONDS": 60}}).template
    assert before == again
    assert before.pop("metadata") != after.pop("metadata")
    assert before == after
