"""The process manager of a stack: supervisor, its configuration and its control connection."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from supervisor.xmlrpc import SupervisorTransport

from deploy.local.services import Service
from deploy.local.stack import ROOT, Stack, StackError

# A path of a Unix socket may have 107 bytes.
_SOCKET_PATH_BYTES: Final = 107


def socket_path(stack: Stack) -> Path:
    """Return the control socket: in the data directory, or where that is too deep in the temporary one."""
    path = stack.data_dir / "supervisor.sock"
    if len(bytes(path)) > _SOCKET_PATH_BYTES - 20:
        path = Path(tempfile.gettempdir()) / f"orderflow-{hashlib.sha256(bytes(stack.data_dir)).hexdigest()[:12]}.sock"
    return path


def configuration(stack: Stack, wanted: tuple[Service, ...]) -> str:
    """Write supervisor's configuration; a crashed service is restarted for ever, a finished set-up is left alone."""
    lines = [
        "[unix_http_server]",
        f"file={_literal(socket_path(stack))}",
        "chmod=0700",
        "[supervisord]",
        f"directory={_literal(ROOT)}",
        f"logfile={_literal(stack.logs / 'supervisord.log')}",
        f"pidfile={_literal(stack.data_dir / 'supervisord.pid')}",
        f"childlogdir={_literal(stack.logs)}",
        "logfile_maxbytes=1MB",
        "logfile_backups=1",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for service in wanted:
        lines += [
            f"[program:{service.name}]",
            f"command={_literal(ROOT)}/{service.command}",
            *(("autorestart=unexpected", "startsecs=0") if service.kind == "setup" else ("autorestart=true", "startsecs=3")),
            "startretries=1000000",
            # An application ends its JVM itself. If both got the signal, the JVM would end before the last batch is
            # complete.
            f"stopasgroup={'false' if service.kind == 'application' else 'true'}",
            "killasgroup=true",
            f"stopwaitsecs={30 if service.kind == 'application' else 20}",
            "redirect_stderr=true",
            f"stdout_logfile={_literal(stack.logs / service.name)}.log",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=2",
        ]
    return "\n".join(lines) + "\n"


def _literal(path: Path) -> str:
    return str(path).replace("%", "%%")


def start(stack: Stack, wanted: tuple[Service, ...], env: Mapping[str, str]) -> None:
    """Start supervisor in the background with every service under `env`."""
    stack.logs.mkdir(parents=True, exist_ok=True)
    file = stack.data_dir / "supervisord.conf"
    file.write_text(configuration(stack, wanted))
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(file)]
    answer = subprocess.run(command, env=dict(env), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if answer.returncode:
        raise StackError(f"supervisor did not start: {answer.stderr.strip() or answer.stdout.strip()}")


@contextmanager
def control(stack: Stack) -> Iterator[Any]:
    """Give supervisor's remote interface. Raises StackError when no stack runs in this data directory."""
    address = f"unix://{socket_path(stack)}"
    try:
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=SupervisorTransport(None, None, address)) as proxy:
            yield proxy.supervisor
    except (OSError, ConnectionError) as error:
        raise StackError(f"no stack is running in {stack.data_dir}: start one with make demo or make up") from error


def processes(stack: Stack) -> dict[str, dict[str, Any]]:
    """Return supervisor's view of each service by name; empty when no stack runs here."""
    try:
        with control(stack) as supervisor:
            return {process["name"]: process for process in supervisor.getAllProcessInfo()}
    except StackError:
        return {}


def stop(stack: Stack) -> bool:
    """Stop applications, then servers, then supervisor; return False when nothing ran."""
    running = processes(stack)
    if not running:
        return False
    listed = [service for service in stack.services() if service.name in running]
    with control(stack) as supervisor:
        for names in stopping_order(listed):
            for name in names:
                try:
                    supervisor.stopProcess(name, False)
                except xmlrpc.client.Fault:
                    continue
            _until_stopped(stack, names)
        supervisor.shutdown()
    deadline = time.monotonic() + 20
    while processes(stack) and time.monotonic() < deadline:
        time.sleep(0.1)
    return True


def restart(stack: Stack, name: str) -> None:
    """Stop a service in the way it asks for, and start it again."""
    with control(stack) as supervisor:
        supervisor.stopProcess(name)
        supervisor.startProcess(name, False)


def stopping_order(listed: Iterable[Service]) -> list[list[str]]:
    """Group names in the order of stopping: applications, set-up, servers, then the Spark worker, its master, ZooKeeper.

    A master that has seen its worker stop does not wait for it at the next start, and ZooKeeper stores the master's
    state.
    """
    last = ("spark-worker", "spark-master", "zookeeper")
    kinds = ("application", "setup", "server")
    waves: dict[int, list[str]] = defaultdict(list)
    for service in listed:
        waves[len(kinds) + last.index(service.name) if service.name in last else kinds.index(service.kind)].append(service.name)
    return [waves[wave] for wave in sorted(waves)]


def _until_stopped(stack: Stack, names: list[str]) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        now = processes(stack)
        if not any(now.get(name, {}).get("statename") in ("RUNNING", "STARTING", "STOPPING", "BACKOFF") for name in names):
            return
        time.sleep(0.2)
