"""The messages between the dashboard and its pages, each typed once.

`python -m docs.page_types` writes the same types for the page (`page/messages.d.ts`). The server sends dictionaries, and a
test compares them with their types. What a viewer sends is not trusted: `read` decodes it and raises an error for anything
that is not one of a viewer's messages.

Lists of one message that are columns of one table have the same length. Times are milliseconds since 1970, or labels in
IST such as `2025-12-15 09:15:00`; prices and `sigma` are in rupees, volumes in shares or contracts.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

import msgspec

Mode = Literal["chart", "footprint"]
Level = tuple[float, int, int, int, int]
"""A row of a footprint: the middle of its prices, sell, buy, unclassified, and the sum of its marks."""
AlertKind = Literal["above", "below", "delta", "volume", "imbalance"]
Trade = tuple[int, int, float, int, int, int, str, bool, bool]
"""A line of time and sales: number, time, price, volume, buy, sell, side, whether it is big, whether it spans a gap."""


class Facts(TypedDict):
    """Candles by column."""

    x: list[str]
    window_end: list[str]
    open: list[float | None]
    high: list[float | None]
    low: list[float | None]
    close: list[float | None]
    total_volume: list[int]
    buy_volume: list[int]
    sell_volume: list[int]
    unclassified_volume: list[int]
    delta: list[int]
    min_delta: list[int]
    max_delta: list[int]
    delta_band: list[float | None]
    confidence: list[str | None]
    imbalance: list[float | None]
    exchange_bar: list[bool]
    gap: list[bool]
    session_phase: list[str]
    auction_volume: list[int]
    tick_volume: list[int]
    tick_count: list[int]
    tbq: list[float | None]
    tsq: list[float | None]
    source: list[str]
    cvd: list[int]
    vwap: list[float | None]
    sigma: list[float | None]
    final: list[bool]


class Cell(TypedDict):
    """A candle's footprint."""

    x: str
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    gap: bool
    levels: list[Level]


class Levels(TypedDict):
    """Point of control and value area of the day."""

    poc: float | None
    low: float | None
    high: float | None


class Profile(Levels):
    """The day's volume by rows of prices; `unpriced` is in none of them."""

    price: list[float]
    height: float
    buy: list[int]
    sell: list[int]
    unclassified: list[int]
    inside: list[bool]
    unpriced: int


class Coverage(TypedDict):
    """The share of the day's volume that was seen, and since when."""

    share: float
    from_ms: int


class NewestCandle(TypedDict):
    """The newest candle among the statistics."""

    start_ms: int
    end_ms: int
    volume: int
    delta: int
    buy: int
    sell: int
    final: bool


class Stats(TypedDict):
    """The day's statistics."""

    last: float | None
    previous_close: float | None
    change: float | None
    change_percent: float | None
    open: float | None
    high: float | None
    low: float | None
    volume: int
    seen_volume: int
    coverage: Coverage | None
    buy: int
    sell: int
    unclassified: int
    ratio: float | None
    delta: int
    cvd: int
    vwap: float | None
    tbq: float | None
    tsq: float | None
    oi: float | None
    iv: float | None
    candle: NewestCandle | None
    confidence: str | None
    updated_ms: int | None
    received_ms: int | None
    late_volume: int
    outside_volume: int
    date: str


class Depth(TypedDict):
    """The best levels of the book, [price, quantity], best first."""

    bid: list[tuple[float, float]]
    ask: list[tuple[float, float]]
    time_ms: int | None


class Minute(TypedDict):
    """An instrument's newest minute, as alert rules judge it."""

    start_ms: int
    volume: int
    delta: int
    imbalance: float | None
    average_volume: int | None


class WatchRow(TypedDict):
    """A line of the watch list; `spark` are the closes of the last minutes, when another began."""

    key: str
    symbol: str
    name: str
    last: float | None
    change_percent: float | None
    volume: int
    delta: int
    minute: Minute | None
    reading: NotRequired[bool]
    spark: NotRequired[list[float]]
    previous_close: NotRequired[float | None]


class Banner(TypedDict):
    """A line above the chart."""

    level: Literal["info", "warning", "error"]
    code: str
    text: str


class SentView(TypedDict):
    """The view that a whole message is of."""

    instrument: str
    minutes: int
    buffer: int
    mode: Mode
    date: str | None
    replay: bool
    ticks: int


class ReplayState(TypedDict):
    """Where a replay stands."""

    position_ms: int
    start_ms: int
    end_ms: int
    speed: float
    playing: bool
    speeds: list[int]


Update = TypedDict(
    "Update",
    {
        "type": Literal["whole", "patch"],
        "seq": int,
        "sent_ms": int,
        "request": int | None,
        "mode": Mode,
        "view": SentView,
        "date": str,
        "live": bool,
        "from": str,
        "facts": Facts,
        "profile": Profile,
        "gaps": list[tuple[str, str]],
        "cells": list[Cell],
        "step": float,
        "ticks": int,
        "levels": Levels,
        "stats": Stats,
        "depth": Depth,
        "tape": list[Trade],
        "rx": list[int],
        "watch": list[WatchRow],
        "stale": list[str],
        "banners": list[Banner],
        "replay": ReplayState | None,
    },
    total=False,
)
"""Everything of another view (`whole`), or what changed (`patch`); `rx` are the receipt times of the trades it brings."""


class Listed(TypedDict):
    """An instrument that can be chosen."""

    key: str
    symbol: str
    name: str


class ImbalanceRule(TypedDict):
    """Which imbalances are marked, and the measured share of them that is real, from and to."""

    ratio: float
    floor: float
    ignore_zero: bool
    precision: tuple[float, float] | None


class LoggedIn(TypedDict):
    """Who has logged in; without a `session` a proxy said so."""

    name: str
    role: Literal["viewer", "operator"] | None
    session: bool


class Hello(TypedDict):
    """The first message of a conversation; `decimals` of prices by segment, where they are not two; `user` where one logs in."""

    type: Literal["hello"]
    instruments: list[Listed]
    minutes: list[int]
    imbalances: ImbalanceRule
    decimals: dict[str, int]
    user: LoggedIn | None
    server_ms: int


class AlertRule(TypedDict):
    """An alert rule as it is kept."""

    id: str
    key: str
    kind: AlertKind
    value: float
    least: float | None
    sound: bool
    notify: bool
    webhook: bool


class FiredAlert(TypedDict):
    """An alert that fired."""

    number: int
    at_ms: int
    price: float
    words: str
    rule: AlertRule


class Alerts(TypedDict):
    """A viewer's rules, and what fired, newest first; `problem` says why a rule was not kept."""

    type: Literal["alerts"]
    rules: list[AlertRule]
    log: list[FiredAlert]
    webhook: bool
    problem: str | None


class Fired(TypedDict):
    """An alert that fires now."""

    type: Literal["fired"]
    alert: FiredAlert


class Pong(TypedDict):
    """The answer to a ping; `t` is the viewer's own time."""

    type: Literal["pong"]
    t: float
    server_ms: int


class Beat(TypedDict):
    """Sent after a second without anything else."""

    type: Literal["beat"]
    server_ms: int


Older = TypedDict(
    "Older",
    {
        "instrument": str,
        "minutes": int,
        "mode": Mode,
        "before": int,
        "date": str | None,
        "live": bool,
        "more": bool,
        "from": str | None,
        "facts": Facts,
        "gaps": NotRequired[list[tuple[str, str]]],
        "cells": NotRequired[list[Cell]],
    },
)
"""The answer of `/api/older`: candles of one session before a time; `more` is false when nothing older is stored."""


ServerMessage = Update | Hello | Alerts | Fired | Pong | Beat


class ViewRequest(msgspec.Struct, tag_field="type", tag="view", frozen=True):
    """Show another view. Its answers carry `request`; what is absent or cannot be shown becomes the default."""

    request: int | None = None
    instrument: str | None = None
    minutes: int | None = None
    buffer: int | None = None
    mode: Mode | None = None
    ticks: int | None = None
    date: str | None = None
    replay: bool = False


class Ack(msgspec.Struct, tag_field="type", tag="ack", frozen=True):
    """A message has been drawn; `latency_ms` are the times that its trades took from their receipt to the screen."""

    seq: int
    latency_ms: list[float] = []


class Ping(msgspec.Struct, tag_field="type", tag="ping", frozen=True):
    """Ask for a pong; `t` is the viewer's own time."""

    t: float


class ReplayControl(msgspec.Struct, tag_field="type", tag="replay", frozen=True):
    """Control the replay in view; what is absent stays as it is."""

    speed: float | None = None
    position_ms: float | None = None
    playing: bool | None = None


class AlertWish(TypedDict):
    """An alert rule that a viewer adds; it replaces the one with the same `id`."""

    id: str
    key: str
    kind: AlertKind
    value: float
    least: NotRequired[float | None]
    sound: NotRequired[bool]
    notify: NotRequired[bool]
    webhook: NotRequired[bool]


class AlertChange(msgspec.Struct, tag_field="type", tag="alerts", frozen=True):
    """Add and remove alert rules; the answer lists all of them. `viewer` is the browser's token, ignored with logins.

    `Rule.parse` decodes each rule, so that the answer can say what is wrong with one.
    """

    viewer: str | None = None
    add: Annotated[list[msgspec.Raw], msgspec.Meta(extra={"page": list[AlertWish]})] = []
    remove: list[str] = []


class PageError(msgspec.Struct, tag_field="type", tag="error", frozen=True):
    """A part of the page has failed."""

    text: str


ViewerMessage = ViewRequest | Ack | Ping | ReplayControl | AlertChange | PageError

_FROM_VIEWER: msgspec.json.Decoder[ViewerMessage] = msgspec.json.Decoder(ViewerMessage)


def read(text: str) -> ViewerMessage:
    """Return the message that a viewer sent; raise msgspec.DecodeError when it is none."""
    return _FROM_VIEWER.decode(text)
