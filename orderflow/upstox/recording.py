"""Keep every FeedResponse as the simulator replays them: one decoded message a line, a file a day, older days gzipped."""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import threading
from pathlib import Path
from typing import IO

from google.protobuf import json_format
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market.errors import OrderflowError
from orderflow.market.times import ist_date

log = logging.getLogger(__name__)


class RawRecorder:
    """Append to `DIRECTORY/feed-YYYY-MM-DD.jsonl`, the date being the feed's in IST.

    Raises OrderflowError when the directory cannot be written; a disk that fills up later stops the recording, not the feed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._date = ""
        self._file: IO[str] | None = None
        self._failed = False
        self._packing: threading.Thread | None = None
        self.messages = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            probe = directory / ".writable"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise OrderflowError(
                f"RECORD_DIR={directory} cannot be written ({error.strerror}); make it writable or unset it"
            ) from error

    def write(self, payload: bytes, at_ms: int) -> None:
        """Append one message whose feed time is `at_ms`."""
        if self._failed:
            return
        try:
            date = ist_date(at_ms)
            if date != self._date:
                self._turn_over(date)
            message = json_format.MessageToDict(pb.FeedResponse.FromString(payload))
            if self._file is not None:
                self._file.write(json.dumps(message, separators=(",", ":")) + "\n")
                self.messages += 1
        except OSError as error:
            self._failed = True
            log.error("recording to %s stopped: %s", self._directory, error.strerror)

    def close(self) -> None:
        """Close the day's file; it stays as plain JSON lines."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def join(self) -> None:
        """Wait until the day before is packed."""
        if self._packing is not None:
            self._packing.join()

    def _turn_over(self, date: str) -> None:
        self.close()
        if self._date:
            path = self._path(self._date)
            self._packing = threading.Thread(target=_compress, args=(path,), name="compress-recording", daemon=True)
            self._packing.start()
        self._date = date
        self._file = self._path(date).open("a", encoding="utf-8", buffering=1 << 16)

    def _path(self, date: str) -> Path:
        return self._directory / f"feed-{date}.jsonl"


def _compress(path: Path) -> None:
    """Gzip a finished day; the plain file goes only when the other is whole."""
    target = path.with_suffix(".jsonl.gz")
    part = target.with_suffix(".gz.part")
    try:
        with path.open("rb") as plain, gzip.open(part, "ab" if target.exists() else "wb") as packed:
            shutil.copyfileobj(plain, packed)
        part.replace(target)
        path.unlink()
    except OSError as error:
        log.error("%s could not be compressed: %s", path, error.strerror)
