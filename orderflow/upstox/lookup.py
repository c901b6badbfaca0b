"""Which instruments are wanted, by the settings or the watch-list file, and their lookup."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from orderflow.market.errors import SettingsError
from orderflow.settings import Settings, modes_of
from orderflow.upstox.instruments import master_cache
from orderflow.upstox.resolution import Resolution, Selection, resolve_apart
from orderflow.upstox.subscription import spread, volume_warning

log = logging.getLogger(__name__)


class InstrumentLookup:
    """Look up what is to be streamed; `latest` is the last result. Calls block for seconds and come one after another."""

    def __init__(self, settings: Settings, now_ms: Callable[[], int]) -> None:
        self._settings, self._now_ms = settings, now_ms
        self.latest: Resolution | None = None

    def names(self) -> Mapping[str, str]:
        """Return each name wanted now, with its mode. Raises SettingsError when the watch-list file is invalid."""
        return wanted_names(self._settings)

    def resolve(self, names: Mapping[str, str]) -> Resolution:
        """Look up names, with their modes, and log what to warn of.

        Raises SettingsError when none can be streamed or the connections may not carry so many, OrderflowError when the
        process that looks up was killed.
        """
        settings, source = self._settings, self._settings.instrument_master
        cache = master_cache(settings.spool_dir, source)
        resolution = resolve_apart(names, source, cache, settings.ca_file, self._now_ms(), settings.rest_url)
        spread(resolution.selection.modes, settings.connections)
        for warning in filter(None, (*resolution.warnings, volume_warning(resolution.selection.modes))):
            log.warning("%s", warning)
        self.latest = resolution
        return resolution

    def select(self, names: Mapping[str, str]) -> Selection:
        """Look up names like `resolve`; return the keys to stream."""
        return self.resolve(names).selection


def wanted_names(settings: Settings) -> Mapping[str, str]:
    """Return each name that the settings, or the watch-list file they name, ask for, with its mode.

    Raises SettingsError like `watch_list`.
    """
    path = settings.instrument_file
    return settings.instrument_modes if path is None else watch_list(path, settings.feed_mode)


def watch_list(path: Path, feed_mode: str) -> dict[str, str]:
    """Return the names in a watch-list file, each with its mode: one or several (comma-separated) a line, `#` begins a comment.

    A name is in `feed_mode` unless its own follows, as in `TCS:full_d30`.

    Raises SettingsError when the file cannot be read, names nothing or a mode that does not exist.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"INSTRUMENT_FILE={path} cannot be read ({type(error).__name__})") from error
    names = [part.strip() for line in lines for part in line.partition("#")[0].split(",")]
    modes = modes_of(filter(None, names), feed_mode, f"INSTRUMENT_FILE={path}")
    if not modes:
        raise SettingsError(f"INSTRUMENT_FILE={path} names no instrument")
    return modes
