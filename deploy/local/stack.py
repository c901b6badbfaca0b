"""A stack's settings and recorded state: its environment, its feed, and the feeds that its data directory has seen."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.services import Service, services

ROOT: Final = Path(__file__).resolve().parents[2]


class StackError(Exception):
    """The stack cannot be started, reached or changed; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack of local processes, identified by its data directory; `env` is the result of deploy/env.sh."""

    env: Mapping[str, str]

    @property
    def data_dir(self) -> Path:
        """Return the directory that holds everything the stack keeps."""
        return Path(self.env["DATA_DIR"])

    @property
    def logs(self) -> Path:
        """Return the directory of one log file per service."""
        return self.data_dir / "logs"

    @property
    def record_file(self) -> Path:
        """Return the file that marks the directory as a stack's, with its present and earlier feeds."""
        return self.data_dir / "stack.json"

    def record(self) -> dict[str, object]:
        """Return what was recorded at the last start; empty before the first."""
        return dict(json.loads(self.record_file.read_text())) if self.record_file.is_file() else {}

    def services(self) -> tuple[Service, ...]:
        """Return the services of the last start."""
        record = self.record()
        return services(str(record.get("feed", "simulator")), str(record.get("secure", "no")))

    def port(self, name: str) -> int:
        """Return the port that deploy/env.sh gives to the variable `name`."""
        return int(self.env[name])


def open_stack(environ: Mapping[str, str] | None = None) -> Stack:
    """Read deploy/env.sh under `environ` (default: the process's own)."""
    script = ". deploy/env.sh && exec env -0"
    explicit = {key: value for key, value in (os.environ if environ is None else environ).items() if value}
    answer = subprocess.run(["bash", "-c", script, "deploy/env.sh"], cwd=ROOT, env=explicit, capture_output=True, text=True)
    if answer.returncode:
        raise StackError(answer.stderr.strip())
    return Stack(dict(pair.partition("=")[::2] for pair in answer.stdout.split("\0") if pair))


def demo_feed(environ: Mapping[str, str]) -> dict[str, str]:
    """Translate the FEED_… variables and INSTRUMENT into settings of the simulator and the streamer.

    Raises StackError for a recording that is not there and for times or a speed that mean nothing.
    """
    options = {"FEED": "simulator", "SIM_SPEED": environ.get("FEED_SPEED") or "1"}
    try:
        if float(options["SIM_SPEED"]) <= 0:
            raise ValueError
    except ValueError:
        raise StackError(f"FEED_SPEED={options['SIM_SPEED']} is not a speed; for example FEED_SPEED=20") from None
    if not environ.get("FEED_RECORDING"):
        if session := environ.get("FEED_SESSION"):
            return options | {"SIM_SESSION": session, "SIM_TIMES": environ.get("FEED_TIMES") or "original"}
        if float(options["SIM_SPEED"]) != 1:
            raise StackError(
                "the simulated market is live, at speed 1; FEED_SPEED goes with FEED_RECORDING=FILE or FEED_SESSION=2025-12-15"
            )
        return options
    recording = Path(environ["FEED_RECORDING"]).expanduser().resolve()
    times = environ.get("FEED_TIMES") or "original"
    if times not in ("original", "now"):
        raise StackError(f"FEED_TIMES={times} is neither original nor now; for example FEED_TIMES=now")
    instruments = environ.get("INSTRUMENT") or ",".join(recorded_instruments(recording))
    return options | {"SIM_RECORDING": str(recording), "SIM_TIMES": times, "INSTRUMENT": instruments}


def recorded_instruments(recording: Path) -> tuple[str, ...]:
    """Return the instrument keys of a recording, in order of their first message."""
    opener = gzip.open if recording.suffix == ".gz" else open
    try:
        with opener(recording, "rt", encoding="utf-8") as lines:
            keys = {key: None for line in lines for key in json.loads(line).get("feeds", {})}
    except (OSError, ValueError) as error:
        raise StackError(
            f"FEED_RECORDING={recording} cannot be read ({error}); give a .jsonl or .jsonl.gz of FeedResponses"
        ) from error
    if not keys:
        raise StackError(f"FEED_RECORDING={recording} names no instrument; set INSTRUMENT")
    return tuple(keys)


def feed_name(options: Mapping[str, str]) -> str:
    """Return the recorded name of the source of a stack's ticks: `live`, `model`, `session DATE original|now` or
    `recording FILE original|now`."""
    if options["FEED"] == "live":
        return "live"
    if "SIM_SESSION" in options:
        return f"session {options['SIM_SESSION']} {options['SIM_TIMES']}"
    if "SIM_RECORDING" not in options:
        return "model"
    return f"recording {Path(options['SIM_RECORDING']).name} {options['SIM_TIMES']}"


def refuse_other_profile(record: Mapping[str, object], secure: str) -> None:
    """Refuse the other profile in a directory that was made by one: servers keep users, and who owns what, with their data."""
    before = str(record.get("secure", "no")) if record else secure
    if before != secure:
        raise StackError(
            f"this data directory was made with SECURE={before}: start it with the same value, choose another DATA_DIR=…, "
            "or run make clean first"
        )


def refuse_older_feed(seen: list[str], feed: str) -> None:
    """Refuse original times in a directory that has seen another feed: every tick would be late and dropped."""
    others = [name for name in seen if name != feed]
    if feed.endswith(" original") and others:
        raise StackError(
            f"this data directory has seen another feed ({others[-1]}), whose candles are final: ticks with older times would be "
            "dropped as late. Replay with FEED_TIMES=now, into another DATA_DIR=…, or run make clean first"
        )
