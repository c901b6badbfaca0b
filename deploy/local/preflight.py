"""Checks before a stack starts; each failure is one message that says what to do."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psutil

from deploy.local.services import Service
from deploy.local.stack import Stack, StackError

LEAST_FREE_BYTES: Final = 1 << 30
JAVA_COMMAND: Final = "apt-get install -y openjdk-17-jre-headless"


def check(stack: Stack, wanted: tuple[Service, ...], feed: str) -> None:
    """Raise StackError for the first thing that is missing."""
    check_java(stack.env)
    if stack.env["SECURE"] == "yes":
        check_kerberos()
    check_artifacts(stack.env)
    check_data_dir(stack.data_dir)
    check_ports(stack, wanted)
    if feed == "live":
        check_token(stack.env)


def check_java(env: Mapping[str, str]) -> None:
    """Require Java 17 or newer with the module that Spark needs."""
    java = f"{env['JAVA_HOME']}/bin/java" if env.get("JAVA_HOME") else "java"
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
        version = re.search(r'version "(\d+)', answer.stderr)
    except OSError:
        version = None
    if version is None:
        raise StackError(f"no Java found ({java}). Install Java 17: {JAVA_COMMAND} (as root), or set JAVA_HOME")
    if int(version[1]) < 17:
        raise StackError(
            f"{java} is Java {version[1]}, and 17 is needed: {JAVA_COMMAND} (as root), or set JAVA_HOME to a Java 17"
        )


def check_kerberos() -> None:
    """Require a KDC's programs, and the library with which Python logs in."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    programs = all(shutil.which(name, path=path) for name in ("krb5kdc", "kadmin.local"))
    if not programs or find_spec("requests_gssapi") is None:
        raise StackError(
            "the secure profile needs a KDC and its libraries: run make kerberos as root (otherwise it prints the command)"
        )


def check_artifacts(env: Mapping[str, str]) -> None:
    """Want the JVM artifacts of deploy/ivy.xml."""
    if not (Path(env["ARTIFACTS_DIR"]) / "complete").is_file():
        raise StackError(f"the JVM artifacts are not in {env['ARTIFACTS_DIR']}: run make setup")


def check_data_dir(directory: Path) -> None:
    """Require a writable directory with 1 GiB free and a path without spaces (Hadoop and Kafka use it as a URI)."""
    if re.search(r"\s", str(directory)):
        raise StackError(f"DATA_DIR={directory} contains a space, which Hadoop does not support; choose another DATA_DIR")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as error:
        raise StackError(
            f"DATA_DIR={directory} cannot be written: {error.strerror}. Free some space or choose another DATA_DIR"
        ) from error
    free = shutil.disk_usage(directory).free
    if free < LEAST_FREE_BYTES:
        raise StackError(
            f"DATA_DIR={directory} has {free >> 20} MiB free, and 1024 MiB are needed. Free some space or choose another DATA_DIR"
        )


def check_ports(stack: Stack, wanted: tuple[Service, ...]) -> None:
    """Require that no port of the stack has a listener; a port in use by an outgoing connection is waited for later."""
    host = stack.env["BIND_HOST"]
    for service in wanted:
        for name in service.ports:
            port = stack.port(name)
            with socket.socket() as attempt:
                attempt.settimeout(1)
                if attempt.connect_ex((host, port)) == 0:
                    raise StackError(
                        f"port {port} ({service.name}) is in use, {holder(port)}. "
                        "End that process, or run this stack beside it with PORT_OFFSET=10000"
                    )


def holder(port: int) -> str:
    """Return which process listens on `port`, as far as this user may know."""
    try:
        listening = [
            c for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port and c.status == psutil.CONN_LISTEN
        ]
        pid = next((c.pid for c in listening if c.pid), None)
        return (
            f"held by process {pid} ({' '.join(psutil.Process(pid).cmdline())[:80]})" if pid else "held by another user's process"
        )
    except psutil.Error:
        return "held by a process that this user may not see"


def check_token(env: Mapping[str, str]) -> None:
    """Require an access token, from the environment, .env or a file."""
    file = env.get("UPSTOX_ACCESS_TOKEN_FILE", "")
    if env.get("UPSTOX_ACCESS_TOKEN", "") in ("", "your_access_token_here") and not (file and Path(file).is_file()):
        raise StackError(
            "no Upstox access token: put UPSTOX_ACCESS_TOKEN=… into .env (copy .env.example), or name a file with "
            "UPSTOX_ACCESS_TOKEN_FILE, which python -m orderflow login writes. Without one, make demo shows the product with a "
            "simulated market"
        )
