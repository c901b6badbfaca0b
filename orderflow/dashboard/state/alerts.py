"""Alert rules of every viewer, evaluated on every trade, and the alerts that fired.

A viewer is named by a token of its browser. Price rules fire when a trade crosses their price, the others once in a minute.
Nothing here knows a socket, a file or a webhook: subscribers receive what fires, on the writer's thread.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from orderflow.dashboard.state.numbers import grouped
from orderflow.market.errors import OrderflowError
from orderflow.market.price_unit import decimals

PRICED: Final = frozenset({"above", "below"})
MINUTED: Final = {
    "delta": "absolute delta of the minute, at least",
    "volume": "volume of the minute, times the average of 20,",
    "imbalance": "absolute imbalance of the minute, at least",
}
RULES_MOST: Final = 100
VIEWERS_MOST: Final = 1_000
LOG_MOST: Final = 50
_LONGEST_TEXT: Final = 120

Minute = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A viewer's alert rule; `least` is the minimum volume of an imbalance, None means half the average minute's."""

    id: str
    key: str
    kind: str
    value: float
    least: float | None = None
    sound: bool = True
    notify: bool = False
    webhook: bool = False

    @classmethod
    def parse(cls, wish: Any) -> Rule:
        """Build a rule from an untrusted value; raise OrderflowError if it is not a valid rule."""
        if not isinstance(wish, Mapping):
            raise OrderflowError("an alert rule is an object")
        texts = {name: wish.get(name) for name in ("id", "key", "kind")}
        if not all(isinstance(text, str) and 0 < len(text) <= _LONGEST_TEXT for text in texts.values()):
            raise OrderflowError("an alert rule has id, key and kind")
        if texts["kind"] not in PRICED and texts["kind"] not in MINUTED:
            raise OrderflowError(f"{texts['kind']!r} is not a kind of alert")
        value, least = _number(wish.get("value")), _number(wish.get("least"))
        if value is None:
            raise OrderflowError("an alert rule has a number as value")
        flags = {name: bool(wish.get(name, name == "sound")) for name in ("sound", "notify", "webhook")}
        return cls(**texts, value=value, least=least, **flags)  # type: ignore[arg-type]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that fired: its viewer, the exchange time, the price, and the reason in words."""

    viewer: str
    number: int
    rule: Rule
    at_ms: int
    price: float
    words: str

    def to_page(self) -> dict[str, Any]:
        """Return it for the viewer's page."""
        return {"number": self.number, "at_ms": self.at_ms, "price": self.price, "words": self.words, "rule": asdict(self.rule)}


@dataclass(slots=True)
class _Viewer:
    rules: dict[str, Rule] = field(default_factory=dict)
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=LOG_MOST))
    count: int = 0
    stamps: dict[str, object] = field(default_factory=dict)


class AlertBook:
    """All viewers' rules and the alerts that fired; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._viewers: dict[str, _Viewer] = {}
        self._keys: dict[str, dict[tuple[str, str], Rule]] = {}
        self._listeners: list[Callable[[Fired], None]] = []
        self.revision = 0

    def subscribe(self, listener: Callable[[Fired], None]) -> None:
        """Call `listener` with everything that fires."""
        self._listeners.append(listener)

    def change(self, viewer: str, add: Iterable[Rule], remove: Iterable[str], prices: Mapping[str, float | None]) -> None:
        """Add and remove rules of a viewer; raise OrderflowError when there would be too many.

        A price rule that holds at the current price (by instrument in `prices`) fires when the price comes back to it.
        """
        with self._lock:
            held = self._viewers.get(viewer)
            if held is None:
                if len(self._viewers) >= VIEWERS_MOST:
                    raise OrderflowError(f"alerts of {VIEWERS_MOST} viewers are stored already, which is the limit")
                held = self._viewers[viewer] = _Viewer()
            for identifier in remove:
                held.rules.pop(identifier, None)
                held.stamps.pop(identifier, None)
            for rule in add:
                if len(held.rules) >= RULES_MOST and rule.id not in held.rules:
                    raise OrderflowError(f"at most {RULES_MOST} alerts are kept for a viewer")
                held.rules[rule.id] = rule
                price = prices.get(rule.key)
                held.stamps.pop(rule.id, None)
                if rule.kind in PRICED and price is not None:
                    held.stamps[rule.id] = _beyond(rule, price)
            self._index()

    def of(self, viewer: str) -> dict[str, Any]:
        """Return a viewer's rules and the last that fired, newest first."""
        with self._lock:
            held = self._viewers.get(viewer) or _Viewer()
            return {"rules": [asdict(rule) for rule in held.rules.values()], "log": list(held.log)}

    def concerns(self, key: str) -> bool:
        """Return whether anybody has a rule for this instrument."""
        return key in self._keys

    def judge(self, key: str, price: float, at_ms: int, minute: Minute | None) -> None:
        """Judge all rules of an instrument by a trade at `price`; `minute` is the trade's own, as in the watch list's line."""
        fired: list[Fired] = []
        with self._lock:
            for (viewer, identifier), rule in self._keys.get(key, {}).items():
                held = self._viewers[viewer]
                words, stamp, before = None, held.stamps.get(identifier), held.stamps.get(identifier)
                if rule.kind in PRICED:
                    stamp = _beyond(rule, price)
                    words = f"last {grouped(price, decimals(key))}" if stamp and before is False else None
                elif minute is not None and (words := _of_minute(rule, minute)) is not None:
                    stamp = minute["start_ms"]
                    words = words if before != stamp else None
                held.stamps[identifier] = stamp
                if words is not None:
                    held.count += 1
                    alert = Fired(viewer, held.count, rule, at_ms, price, f"{words} ({_condition(rule)})")
                    held.log.appendleft(alert.to_page())
                    fired.append(alert)
            self.revision += bool(fired)
        for alert in fired:
            for listener in self._listeners:
                listener(alert)

    def to_record(self) -> dict[str, Any]:
        """Return all of it as plain values, to be kept over a restart."""
        with self._lock:
            return {
                viewer: {"rules": [asdict(rule) for rule in held.rules.values()], "log": list(held.log), "count": held.count}
                for viewer, held in self._viewers.items()
            }

    def restore(self, record: Mapping[str, Any]) -> None:
        """Restore the output of `to_record`; whether a price rule holds is determined by the first trade."""
        with self._lock:
            for viewer, kept in record.items():
                rules = {rule.id: rule for rule in map(Rule.parse, kept["rules"])}
                self._viewers[str(viewer)] = _Viewer(rules, deque(kept["log"], maxlen=LOG_MOST), int(kept["count"]))
            self._index()

    def _index(self) -> None:
        keys: dict[str, dict[tuple[str, str], Rule]] = {}
        for viewer, held in self._viewers.items():
            for rule in held.rules.values():
                keys.setdefault(rule.key, {})[viewer, rule.id] = rule
        self._keys = keys
        self.revision += 1


def _beyond(rule: Rule, price: float) -> bool:
    return price >= rule.value if rule.kind == "above" else price <= rule.value


def _of_minute(rule: Rule, minute: Minute) -> str | None:
    """Return why a rule holds for a minute, in words, or None: a single trade is always one-sided, so imbalance needs volume."""
    volume, average = minute["volume"], minute["average_volume"]
    if rule.kind == "delta":
        return (
            f"delta {'+' if minute['delta'] > 0 else ''}{grouped(minute['delta'])}"
            if abs(minute["delta"]) >= rule.value
            else None
        )
    if rule.kind == "volume":
        return f"volume {grouped(volume)}" if average and volume >= rule.value * average else None
    least = rule.least if rule.least is not None else math.inf if average is None else average / 2
    imbalance = minute["imbalance"]
    if imbalance is None or volume < least or abs(imbalance) < rule.value:
        return None
    return f"imbalance {imbalance:.2f} of {grouped(volume)}"


def _condition(rule: Rule) -> str:
    if rule.kind in PRICED:
        return f"price at or {rule.kind} {grouped(rule.value, decimals(rule.key))}"
    return f"{MINUTED[rule.kind]} {rule.value:g}"
