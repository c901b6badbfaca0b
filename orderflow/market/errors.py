"""The package's root exception and the specific ones that users see."""

from __future__ import annotations


class OrderflowError(Exception):
    """Root of every error this product raises on purpose; its text says what the user can do."""


class SettingsError(OrderflowError):
    """A setting is missing or invalid; the text names the variable and a valid value."""


class DecodeError(OrderflowError):
    """A message does not conform to its schema; has a short machine-readable `reason`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
