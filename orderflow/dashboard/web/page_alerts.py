"""The alerts of one page: whose they are, what the page changes, and what it is told of them."""

from __future__ import annotations

from typing import Any

import msgspec

from orderflow.dashboard.state import messages
from orderflow.dashboard.state.alerts import Rule
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.web.sessions import Visitor, browser_token, may_operate, owner
from orderflow.market.errors import OrderflowError


class PageAlerts:
    """A page's part of the alert book; `posts` says that alerts may go to a webhook.

    The rules belong to the logged-in user (`visitor`), or without logins to the browser's token.
    """

    def __init__(self, store: Store, visitor: Visitor | None, *, posts: bool) -> None:
        self._store = store
        self._visitor = visitor
        self._posts = posts
        self.viewer: str | None = None

    def claim(self, token: str | None) -> bool:
        """Learn from a page whose rules it wants; return False if it does not say so."""
        viewer = owner(self._visitor.name) if self._visitor is not None else browser_token(token)
        if viewer is not None:
            self.viewer = viewer
        return viewer is not None

    def change(self, message: messages.AlertChange) -> bool:
        """Add and remove the viewer's rules; return whether there was anything to do.

        Raises OrderflowError if a rule is invalid or not allowed, or if there would be too many.
        """
        if self.viewer is None or not (message.add or message.remove):
            return False
        try:
            rules = [Rule.parse(msgspec.json.decode(rule)) for rule in message.add]
        except msgspec.DecodeError as error:
            raise OrderflowError(str(error)) from error
        if any(rule.webhook for rule in rules) and not may_operate(self._visitor):
            raise OrderflowError("only an operator's alerts are posted to the webhook, which others read")
        store = self._store
        with store.lock:
            instruments = {rule.key: store.instrument(rule.key) for rule in rules}
            known = store.caught_up  # while the day is read again, a price is not the last one
            prices = {key: held.last_price for key, held in instruments.items() if held is not None and known}
        store.alerts.change(self.viewer, rules, message.remove, prices)
        return True

    def state(self, problem: str | None = None) -> dict[str, Any] | None:
        """Return the message with the viewer's rules and what fired; None while it is not known whose they are."""
        if self.viewer is None:
            return None
        webhook = self._posts and may_operate(self._visitor)
        return {"type": "alerts", **self._store.alerts.of(self.viewer), "webhook": webhook, "problem": problem}
