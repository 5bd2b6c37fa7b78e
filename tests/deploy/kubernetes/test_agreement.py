"""The manifests agree with each other, with the code, the image, compose and Envoy."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.process.stop import GONE
from service.protocols import health, open_inference, prediction
from service.settings import FLAGS, Settings, variable

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).parents[3]


def test_selectors_and_names_meet(deployment: Any) -> None:
    """What selects pods selects ours; what names an object names one that is there."""
    labels = deployment.one("Deployment")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        deployment.one("Deployment")["spec"]["selector"]["matchLabels"],
        deployment.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(each["spec"]["podSelector"]["matchLabels"] for each in deployment.all("NetworkPolicy")),
        *(each["labelSelector"]["matchLabels"] for each in deployment.pod["topologySpreadConstraints"]),
        *(each["spec"]["selector"] for each in deployment.all("Service")),
    ]
    assert len(selectors) >= 7
    assert all(selector and selector.items() <= labels for selector in selectors)
    target = deployment.one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "kan-serve"}
    volumes = deployment.pod["volumes"]
    claims = {each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each}
    assert claims == deployment.names("PersistentVolumeClaim")
    assert {deployment.pod["serviceAccountName"]} == deployment.names("ServiceAccount")
    mounts = {mount["name"] for mount in deployment.container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in volumes}


def test_ports_by_name_are_the_containers(deployment: Any) -> None:
    """Services and network policies name ports of the container; a Service's number is the container's."""
    ports = {port["name"]: port["containerPort"] for port in deployment.container["ports"]}
    for service in deployment.all("Service"):
        assert all(port["port"] == ports[port["targetPort"]] for port in service["spec"]["ports"])
    (policy,) = [each for each in deployment.all("NetworkPolicy") if each["metadata"]["name"] == "kan-serve"]
    assert [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]] == ["grpc", "metrics"]


def test_the_route_leads_to_the_service(deployment: Any) -> None:
    """The GRPCRoute names a Service and a port that there are, and gRPC services that the server has."""
    route = yaml.safe_load((ROOT / "deploy/kubernetes/components/gateway/grpcroute.yaml").read_text())
    (rule,) = route["spec"]["rules"]
    (backend,) = rule["backendRefs"]
    service = deployment.one("Service", backend["name"])
    assert backend["port"] in {port["port"] for port in service["spec"]["ports"]}
    methods = [match["method"]["service"] for match in rule["matches"]]
    assert methods == [prediction.SERVICE, open_inference.SERVICE, health.SERVICE]


def test_variables_are_settings(manifests: Any) -> None:
    """Every KAN_ variable is a setting, and the values fit; CUDA where there is a GPU, and only there."""
    names = {variable(name): name for name in FLAGS}
    settings: Any = Settings.model_validate({names[name]: value for name, value in manifests.variables.items()})
    gpus = manifests.container["resources"]["limits"].get("nvidia.com/gpu", 0)
    assert settings.provider == ("cuda" if gpus else "cpu")
    assert settings.allow_fallback is False


def test_ports_are_those_of_code_and_image(manifests: Any) -> None:
    """Ports are the settings' defaults and the Dockerfile's, and one for metrics; the probes ask the first two."""
    grpc_port, http_port = (Settings.model_fields[name].default for name in ("grpc_port", "http_port"))
    assert f"EXPOSE {grpc_port} {http_port}\n" in (ROOT / "Dockerfile").read_text()
    container = manifests.container
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    others = set() if manifests.folder == "kserve" else {http_port, int(manifests.variables["KAN_METRICS_PORT"])}
    assert set(ports.values()) == {grpc_port} | others
    probes = {name: container[f"{name}Probe"]["grpc"] for name in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {grpc_port}
    names = {name: probe.get("service", "") for name, probe in probes.items()}
    assert names == {"startup": health.LIVENESS, "liveness": health.LIVENESS, "readiness": ""}


def test_user_and_folders_are_those_of_the_image(manifests: Any) -> None:
    """The user is the image's; models lie where the server looks for them, and cannot be written; a cache can."""
    image = (ROOT / "Dockerfile").read_text()
    security = manifests.pod.get("securityContext", {}) | manifests.container["securityContext"]
    assert f"\nUSER {security['runAsUser']}:" in image
    read_only = {mount["mountPath"]: mount.get("readOnly", False) for mount in manifests.container["volumeMounts"]}
    assert read_only["/tmp"] is False
    found = re.search(r"KAN_MODELS=(\S+)", image)
    assert found is not None
    models = manifests.variables.get("KAN_MODELS", found[1])
    if "://" in models:
        assert read_only[manifests.variables["KAN_CACHE_FOLDER"]] is False
    elif manifests.folder == "kserve":
        assert models == "/mnt/models", "KServe itself mounts what storageUri names, there"
    else:
        assert read_only[models] is True


def test_pods_have_time_to_drain(manifests: Any) -> None:
    """Before SIGKILL there is time for preStop and the longest stop of either front end, and some to spare.

    That no stop is longer, whatever hangs, is held by tests/service/conformance/test_end.py.
    """
    pause = manifests.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = float(manifests.variables["KAN_GRACE_SECONDS"])
    assert manifests.pod["terminationGracePeriodSeconds"] >= pause + grace + GONE.after_grace_seconds + 5


def test_an_update_takes_no_capacity_away(deployment: Any) -> None:
    """A pod goes when another is ready, and at most one is taken away on purpose; two at the least."""
    spec = deployment.one("Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "replicas" not in spec, "the autoscaler's number would be put back at every apply"
    assert deployment.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert deployment.one("HorizontalPodAutoscaler")["spec"]["minReplicas"] >= 2


def test_the_documented_volume_binds_to_the_claim(deployment: Any) -> None:
    """The PersistentVolume of docs/kubernetes.md is the one that the claim names, and gives what it asks for."""
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    (block,) = re.findall(r"(?ms)^ *```yaml\n(.*?)^ *```", text)
    volume = yaml.safe_load(textwrap.dedent(block))
    for claim in deployment.all("PersistentVolumeClaim"):
        spec = claim["spec"]
        assert spec["volumeName"] == volume["metadata"]["name"]
        assert spec["storageClassName"] == volume["spec"]["storageClassName"] == ""
        assert set(spec["accessModes"]) <= set(volume["spec"]["accessModes"])
        assert spec["resources"]["requests"]["storage"] == volume["spec"]["capacity"]["storage"]


def test_the_autoscaler_acts_before_runs_are_full(deployment: Any) -> None:
    """It adds pods when half of what one run takes waits, long before requests are refused."""
    (queue,) = [each["pods"] for each in deployment.one("HorizontalPodAutoscaler")["spec"]["metrics"] if "pods" in each]
    rows = int(queue["target"]["averageValue"])
    assert 2 * rows == Settings.model_fields["max_batch_rows"].default
    assert 10 * rows < Settings.model_fields["max_queue_rows"].default


def test_an_open_port_is_meant_where_something_else_keeps_callers_out(overlay: Any) -> None:
    """Compose and manifests say so, since a network of their own or a policy does; the image does not know."""
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["kan-serve"]
    assert compose["environment"]["KAN_INSECURE_PUBLIC"] == overlay.variables["KAN_INSECURE_PUBLIC"] == "true"
    assert "ports" not in compose
    assert overlay.one("NetworkPolicy")["spec"]["policyTypes"][0] == "Ingress"
    assert "KAN_INSECURE_PUBLIC=" not in (ROOT / "Dockerfile").read_text()


def test_compose_and_envoy_agree(overlay: Any) -> None:
    """Compose gives the same grace period, and time for it; Envoy asks the same port for the same health."""
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["kan-serve"]
    grace = overlay.variables["KAN_GRACE_SECONDS"]
    assert compose["environment"]["KAN_GRACE_SECONDS"] == grace
    seconds = float(compose["stop_grace_period"].removesuffix("s"))
    assert seconds >= float(grace) + GONE.after_grace_seconds + 5
    probe = overlay.container["readinessProbe"]["grpc"]
    envoy = yaml.safe_load((ROOT / "deploy" / "envoy" / "envoy.yaml").read_text())["static_resources"]["clusters"]
    (cluster,) = [each for each in envoy if each["name"] == "kan-serve"]
    (group,) = cluster["load_assignment"]["endpoints"]
    ports = {each["endpoint"]["address"]["socket_address"]["port_value"] for each in group["lb_endpoints"]}
    assert ports == {probe["port"]}
    (check,) = cluster["health_checks"]
    assert check["grpc_health_check"].get("service_name", "") == probe.get("service", "")
