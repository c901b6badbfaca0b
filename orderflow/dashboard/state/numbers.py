"""Formats numbers as in Indian markets: grouped in thousand, lakh and crore."""

from __future__ import annotations


def grouped(value: float, decimals: int = 0) -> str:
    """Return a number with its digits grouped as 12,34,56,789.00; negative ones with a minus sign."""
    whole, _, part = f"{abs(value):.{decimals}f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    pairs = [head[max(end - 2, 0) : end] for end in range(len(head), 0, -2)]
    text = ",".join([*reversed(pairs), tail]) + (f".{part}" if part else "")
    return f"−{text}" if value < 0 and float(f"{value:.{decimals}f}") else text
