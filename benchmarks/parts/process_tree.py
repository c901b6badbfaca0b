"""What a process and all that it starts use: CPU seconds and the peak of their memory, sampled while it runs."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psutil

SAMPLE_SECONDS: Final = 0.25
_SAMPLES_A_MEMORY_READING: Final = 4


class Usage(NamedTuple):
    """CPU seconds and peak memory (proportional set size, so that shared pages count once) of a process tree."""

    cpu_seconds: float
    peak_bytes: int


class TreeSampler:
    """Samples a process tree; a child that lives for less than a quarter of a second may be missed."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._known: dict[int, psutil.Process] = {}
        self._cpu: dict[int, float] = {}
        self._peak_bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="process-tree", daemon=True)
        self._thread.start()

    def stop(self) -> Usage:
        """End sampling; returns what was used."""
        self._ended.set()
        self._thread.join()
        return Usage(sum(self._cpu.values()), self._peak_bytes)

    def _run(self) -> None:
        number = 0
        while not self._ended.wait(SAMPLE_SECONDS):
            self._sample(with_memory=number % _SAMPLES_A_MEMORY_READING == 0)
            number += 1

    def _sample(self, *, with_memory: bool) -> None:
        for parent in [self._root, *self._known.values()]:  # a child whose parent has ended is found by its own children still
            try:
                self._known.update({each.pid: each for each in [parent, *parent.children(recursive=True)]})
            except psutil.NoSuchProcess:
                continue
        memory = 0
        for pid, process in list(self._known.items()):
            try:
                times = process.cpu_times()
                self._cpu[pid] = times.user + times.system
                if with_memory:
                    memory += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                del self._known[pid]
        self._peak_bytes = max(self._peak_bytes, memory)


def run_measured(command: Sequence[str], environment: dict[str, str], log: Path, timeout_seconds: float) -> tuple[str, Usage]:
    """Run a command; returns what it printed and what its process tree used.

    Raises RuntimeError when it fails, with the end of its `log` (standard error), and subprocess.TimeoutExpired.
    """
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    sampler = TreeSampler(process.pid)
    try:
        printed, _ = process.communicate(timeout=timeout_seconds)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        usage = sampler.stop()
    if process.returncode:
        raise RuntimeError(
            f"{' '.join(command[:2])} ended with {process.returncode}:\n{log.read_text(errors='replace')[-3_000:]}"
        )
    return printed, usage
