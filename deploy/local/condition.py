"""The condition of each service: its process, its own health check, its memory."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local import supervision
from deploy.local.services import Service
from deploy.local.stack import ROOT, Stack


@dataclass(frozen=True, slots=True)
class Condition:
    """The present condition of one service; `reason` is empty if it is healthy."""

    service: Service
    process: str
    pid: int
    up_seconds: int
    memory_bytes: int
    reason: str

    @property
    def healthy(self) -> bool:
        """Return whether the service does its work."""
        return not self.reason


def survey(stack: Stack, settled: Collection[str] = ()) -> list[Condition]:
    """Return each service's condition, in the order of the data flow; those `settled` are left out."""
    running = supervision.processes(stack)
    listed = [service for service in stack.services() if service.name not in settled]
    with ThreadPoolExecutor(4) as pool:
        reasons = list(pool.map(lambda service: _reason(service, running.get(service.name), stack.env), listed))
    return [_condition(service, running.get(service.name), reason) for service, reason in zip(listed, reasons, strict=True)]


def _reason(service: Service, process: Mapping[str, object] | None, env: Mapping[str, str]) -> str:
    if process is None:
        return "the stack is not running"
    finished = service.kind == "setup" and process["statename"] == "EXITED"
    if process["statename"] not in ("RUNNING", "STARTING") and not finished:
        return f"process is {str(process['statename']).lower()}: {process['spawnerr'] or process['description']}"
    for name in service.ports:
        if not _listens(env["BIND_HOST"], int(env[name])):
            return f"nothing listens on port {env[name]} yet"
    try:
        check = subprocess.run(
            [ROOT / "deploy" / "health" / service.name], env=dict(env), capture_output=True, text=True, timeout=20, check=False
        )
    except subprocess.TimeoutExpired:
        return "health check timed out"
    return "" if check.returncode == 0 else check.stderr.strip() or f"health check exited {check.returncode}"


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


def _condition(service: Service, process: Mapping[str, object] | None, reason: str) -> Condition:
    if process is None:
        return Condition(service, "absent", 0, 0, 0, reason)
    pid = int(str(process["pid"]))
    up_seconds = int(str(process["now"])) - int(str(process["start"])) if pid else 0
    state = "DONE" if process["statename"] == "EXITED" and service.kind == "setup" else str(process["statename"])
    return Condition(service, state.lower(), pid, up_seconds, memory_bytes(pid), reason)


def memory_bytes(pid: int) -> int:
    """Return the memory of a process and all its descendants; pages that several share are divided among them (Linux: PSS)."""
    try:
        process = psutil.Process(pid) if pid else None
        family = [process, *process.children(recursive=True)] if process else []
    except psutil.Error:
        return 0
    total = 0
    for member in family:
        try:
            total += member.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def table(conditions: Iterable[Condition]) -> str:
    """Lay conditions out as text, with the sum of memory below."""
    rows = [("SERVICE", "PROCESS", "HEALTH", "PID", "UP", "MEMORY")]
    total = 0
    for seen in conditions:
        total += seen.memory_bytes
        rows.append(
            (
                seen.service.name,
                seen.process,
                "healthy" if seen.healthy else seen.reason.splitlines()[-1][:110],
                str(seen.pid or "-"),
                f"{seen.up_seconds}s" if seen.pid else "-",
                f"{seen.memory_bytes >> 20}M" if seen.pid else "-",
            )
        )
    order = (0, 1, 3, 4, 5, 2)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(row[column].ljust(widths[column]) for column in order).rstrip() for row in rows]
    return "\n".join([*lines, f"memory of all services together, shared pages once: {total >> 20} MiB"])


def last_complaint(log: Path) -> str:
    """Return the last line of a log that tells of an error, else its last line, else nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    complaints = [line for line in lines if "ERROR" in line or "Error" in line]
    return (complaints or lines or [""])[-1][:300]
