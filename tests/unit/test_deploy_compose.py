"""docker-compose.yml against the local stack: same services, launchers, health checks, ports; nothing unknown."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.services import SERVICES, services
from deploy.local.stack import open_stack
from orderflow.simulator.catalogue import DEMO

ROOT = Path(__file__).resolve().parents[2]
IN_IMAGE = "/opt/orderflow/"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_compose_has_the_services_of_the_local_stack_when_the_demo_profile_is_on():
    assert set(COMPOSE) == {service.name for service in services("simulator")}


def test_compose_builds_its_one_image_in_one_service_that_every_application_needs():
    assert {service["image"] for service in COMPOSE.values()} == {"orderflow:latest"}
    assert [name for name, service in COMPOSE.items() if "build" in service] == ["kafka"]
    assert all(service["pull_policy"] == "never" for service in COMPOSE.values())
    for service in services("live"):
        if service.kind == "application":
            assert "kafka" in COMPOSE[service.name]["depends_on"], service.name


def test_compose_gives_every_service_the_env_file():
    host = {"type": "bind", "source": ".", "target": "/host", "read_only": True}
    for name, service in COMPOSE.items():
        assert host in service["volumes"], f"{name} cannot read .env"


def test_compose_waits_for_health_only_where_no_other_service_waits():
    gated = {name for name, s in COMPOSE.items() if "service_healthy" in str(s.get("depends_on"))}
    awaited = {needed for service in COMPOSE.values() for needed in service.get("depends_on") or ()}
    assert gated == {"data-streamer", "processor", "tick-storage", "candle-storage", "plotter"}
    assert not gated & awaited


def test_compose_checks_every_five_seconds_what_others_wait_for():
    for name, service in COMPOSE.items():
        gates = {needed for needed, how in (service.get("depends_on") or {}).items() if how["condition"] == "service_healthy"}
        assert {COMPOSE[needed]["healthcheck"]["interval"] for needed in gates} <= {"5s"}, name
    assert COMPOSE["kafka"]["healthcheck"]["interval"] == "5s"


def test_compose_gives_no_container_dockers_socket():
    assert "docker.sock" not in (ROOT / "docker-compose.yml").read_text()


def test_compose_restarts_every_service_that_crashes():
    for service in SERVICES:
        assert COMPOSE[service.name]["restart"] == ("on-failure" if service.kind == "setup" else "unless-stopped"), service.name


def test_compose_leaves_the_simulator_out_when_no_profile_is_given():
    assert {name for name, service in COMPOSE.items() if "profiles" not in service} == {s.name for s in services("live")}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_compose_runs_the_local_launcher_when_a_service_starts(service):
    command = " ".join(COMPOSE[service.name]["command"])
    assert command == IN_IMAGE + service.command
    assert os.access(ROOT / service.command.split()[0], os.X_OK)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_compose_uses_the_local_health_check_when_a_service_keeps_running(service):
    assert os.access(ROOT / "deploy" / "health" / service.name, os.X_OK)
    if service.kind == "setup":
        assert "healthcheck" not in COMPOSE[service.name]
    else:
        assert COMPOSE[service.name]["healthcheck"]["test"] == ["CMD", f"{IN_IMAGE}deploy/health/{service.name}"]


def test_compose_publishes_ports_of_the_same_service_when_it_publishes_any():
    env = open_stack({"PATH": os.environ["PATH"], "HOME": "/nowhere", "ENV_FILE": "/dev/null", "DATA_DIR": "/nowhere"}).env
    for service in SERVICES:
        for port in COMPOSE[service.name].get("ports", ()):
            address, _, inside = re.sub(r"\$\{\w+:-(\d+)\}", r"\1", port).rpartition(":")
            assert address.startswith("127.0.0.1:"), f"{service.name} is open to other machines: {port}"
            assert inside in {env[name] for name in service.ports}


def test_compose_has_the_ports_that_users_were_promised():
    published = {re.sub(r"\$\{\w+:-(\d+)\}", r"\1", port).split(":")[1] for s in COMPOSE.values() for port in s.get("ports", ())}
    assert published >= {"2181", "9092", "9000", "50070", "7077", "8080", "8050"}


def test_compose_depends_only_on_services_of_the_default_profile():
    for name, service in COMPOSE.items():
        for needed, how in service["depends_on"].items() if service.get("depends_on") else ():
            assert needed in COMPOSE
            assert "profiles" not in COMPOSE[needed], f"{name} would need the demo profile"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in COMPOSE[needed]


def test_compose_limits_rotates_and_confines_every_service():
    for name, service in COMPOSE.items():
        assert service["mem_limit"], name
        assert service["logging"]["options"]["max-size"], name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_compose_sets_only_variables_that_something_reads():
    known = (ROOT / "deploy" / "env.sh").read_text() + (ROOT / ".env.example").read_text()
    for name, service in COMPOSE.items():
        for variable in service.get("environment", {}):
            assert re.search(rf"\b{variable}\b", known), f"{name} sets {variable}, which nothing reads"


def test_compose_names_datanodes_as_the_namenode_links_to_them():
    container = (ROOT / "deploy" / "container.sh").read_text()
    for name in ("datanode1", "datanode2"):
        alias = COMPOSE[name]["networks"]["trading-net"]["aliases"]
        assert alias == [f"{name}.localhost"]
        assert f"{name.upper()}_HOST:-{name}.localhost" in container


def test_image_has_every_directory_that_a_volume_is_mounted_on():
    made = re.search(r"for name in ([a-z0-9 -]+);", (ROOT / "Dockerfile").read_text())
    assert made
    mounts = {v.split(":")[1] for s in COMPOSE.values() for v in s.get("volumes", ()) if isinstance(v, str)}
    assert mounts == {f"/var/lib/orderflow/{name}" for name in made[1].split()}


def test_image_has_the_python_minor_version_that_the_virtual_environment_prefers():
    image = re.search(r"^FROM python:(\d+\.\d+)-", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert image
    assert f"for candidate in python{image[1]} " in (ROOT / "deploy" / "install-python").read_text()


OVERRIDES = re.findall(
    r"```yaml\n(# docker-compose.override.yml\n.*?)```", (ROOT / "docs" / "DEPLOYMENT.md").read_text(), re.DOTALL
)


def reference_parser() -> Callable[[list[str]], list[str]] | None:
    """Return what makes the command that parses compose files: Docker Compose where it is, as deploy/check-compose does."""
    tool = ROOT / ".cache" / "tools" / "cmd"
    if (
        shutil.which("docker")
        and not subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        return lambda files: ["docker", "compose", *[f"--file={name}" for name in files], "config", "--quiet"]
    return (lambda files: [str(tool), *files]) if tool.is_file() else None


class SecureLoader(yaml.SafeLoader):
    """Reads compose files with Docker Compose's own tags."""


SecureLoader.add_constructor("!override", SecureLoader.construct_sequence)
SECURE: dict[str, Any] = yaml.load((ROOT / "deploy" / "compose.secure.yml").read_text(), SecureLoader)["services"]


def test_secure_compose_when_it_starts_a_service_then_its_credentials_are_there_and_it_knows_who_it_is():
    assert set(SECURE) == {*COMPOSE, "setup-security", "kdc"}
    for name in set(COMPOSE) - {"simulator"}:
        service = SECURE[name]
        assert service["depends_on"] == {"setup-security": {"condition": "service_completed_successfully"}}
        assert (service["environment"]["SECURE"], service["environment"]["SERVICE"]) == ("yes", name)
        assert f"credentials-{name}:/var/lib/orderflow/security/{name}:ro" in service["volumes"]


def test_secure_compose_when_a_service_runs_then_it_mounts_no_directory_of_the_host_and_nobody_elses_credentials():
    for name, service in SECURE.items():
        mounted = [volume.split(":")[0] for volume in service["volumes"]]
        assert all(isinstance(volume, str) and not volume.startswith((".", "/", "~")) for volume in service["volumes"]), name
        if name != "setup-security":
            assert {volume for volume in mounted if volume.startswith("credentials-")} <= {f"credentials-{name}"}
    holders = {name for name, service in SECURE.items() if any(volume.startswith("hdfs-key:") for volume in service["volumes"])}
    spark = {"spark-worker", "processor", "tick-storage", "candle-storage"}
    assert holders == {"namenode", "datanode1", "datanode2", "setup-hdfs", *spark}


def test_secure_compose_when_it_keeps_a_services_data_then_in_the_volume_of_the_plain_profile():
    for name, plain in COMPOSE.items():
        data = {volume for volume in plain["volumes"] if isinstance(volume, str)}
        assert data <= set(SECURE[name]["volumes"]), name


def test_secure_compose_when_env_file_holds_secrets_then_only_who_needs_one_is_given_it():
    given = {
        (name, key)
        for name, service in SECURE.items()
        for key in service["environment"]
        if re.search("TOKEN|SECRET|WEBHOOK", key)
    }
    assert given == {("data-streamer", "UPSTOX_ACCESS_TOKEN"), ("plotter", "HAS_TOKEN"), ("plotter", "ALERT_WEBHOOK")}


# Where servers are and how to log in to them is the profile's own; what names a file of the host would need a mount.
NOT_GIVEN = re.compile(
    r"COMPOSE_|HEALTH_|HDFS_(USER|CA|KERBEROS)|ZOOKEEPER_(?!HEAP)|KAFKA_(BROKERS|SECURITY|SASL|SSL)|SPARK_(MASTER|AUTH)|NAMENODE_"
    r"|DASHBOARD_(HOST|PORT)|UPSTOX_(CLIENT|REDIRECT)|\w+_(FILE|DIR|ARCHIVE)$"
)


def test_secure_compose_when_env_file_has_a_setting_then_some_service_is_given_it():
    settings = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    given = {name for service in SECURE.values() for name in service["environment"]}
    assert [name for name in settings if name not in given and not NOT_GIVEN.match(name)] == []


def test_image_when_secure_has_every_directory_that_credentials_are_mounted_on():
    made = re.search(r"for service in ((?:[a-z0-9 -]|\\\n)+);", (ROOT / "Dockerfile").read_text())
    assert made
    mounts = {v.split(":")[1] for s in SECURE.values() for v in s["volumes"] if "/security/" in v}
    assert mounts == {f"/var/lib/orderflow/security/{name}" for name in made[1].replace("\\\n", "").split()}


@pytest.mark.parametrize("override", ["", *OVERRIDES], ids=lambda text: "none" if not text else text.split()[-1])
def test_compose_reference_parser_when_given_the_files_and_documented_overrides_accepts_them(tmp_path, override):
    parser = reference_parser()
    if parser is None:
        pytest.skip("no Docker Compose and no compose-go: make check installs the latter where Go is")
    for name in ("docker-compose.yml", "deploy/compose.secrets.yml", "deploy/compose.secure.yml"):
        shutil.copy(ROOT / name, tmp_path)
    files = ["docker-compose.yml", "compose.secrets.yml"]
    if override:
        (tmp_path / "docker-compose.override.yml").write_text(override)
        files.append("docker-compose.override.yml")
    answer = subprocess.run(parser(files), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "level=warn" not in answer.stderr


def test_documentation_shows_overrides_for_a_second_streamer_external_services_and_an_existing_spark():
    assert [re.findall(r"^  ([a-z0-9-]+):", text.split("volumes:")[0], re.MULTILINE) for text in OVERRIDES] == [
        ["data-streamer-bank"],
        ["kafka"],
        ["namenode", "datanode1", "datanode2"],
        ["processor", "tick-storage", "candle-storage"],
    ]


def test_documented_second_streamer_when_run_with_the_simulator_finds_an_instrument_that_the_first_has_not():
    key = re.search(r'INSTRUMENT: "([^"]+)"', OVERRIDES[0])
    first = re.search(r"INSTRUMENT=\$\{INSTRUMENT:-([^}]+)\}", (ROOT / "deploy" / "env.sh").read_text())
    assert key
    assert first
    assert key[1] in {instrument.key for instrument in DEMO}
    assert key[1] not in first[1].split(",")


def test_image_when_the_clone_is_private_can_be_read_by_the_account_of_the_containers():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "\nCOPY --chown=1000:1000 --from=artifacts / /opt/artifacts/\n" in dockerfile
    assert dockerfile.index("\nCOPY . .\n") < dockerfile.index("\nRUN chmod -R a+rX . ")


def test_image_gets_every_file_that_its_requirements_name():
    dockerfile, ignored = (ROOT / "Dockerfile").read_text(), (ROOT / ".dockerignore").read_text().splitlines()
    for name in ["requirements.txt", *re.findall(r"^-[rc] (\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)]:
        assert re.search(rf"^COPY [^\n]*\b{re.escape(name)} ", dockerfile, re.MULTILINE), f"the image does not get {name}"
        assert f"!{name}" in ignored
