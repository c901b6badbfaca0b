"""A limit order book with price-time priority; prices in whole ticks, quantities in shares."""

from __future__ import annotations

import bisect

Fill = tuple[int, int]
"""Price in ticks, quantity."""


class Side:
    """The resting orders of one side: a queue per price, first come first served.

    `sign` is +1 for bids (higher is better) and −1 for asks; prices are kept multiplied by it, so that the best price is
    always the last of `ladder`.
    """

    __slots__ = ("ladder", "levels", "orders", "quantity", "sign", "sums")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.ladder: list[int] = []
        self.levels: dict[int, list[int]] = {}
        self.sums: dict[int, int] = {}
        self.orders = 0
        self.quantity = 0

    def best(self) -> int:
        """Return the best price; the side must not be empty."""
        return self.ladder[-1] * self.sign

    def add(self, price: int, quantity: int) -> None:
        """Queue an order behind those already at its price."""
        signed = price * self.sign
        queue = self.levels.get(signed)
        if queue is None:
            self.levels[signed] = [quantity]
            self.sums[signed] = quantity
            if not self.ladder or signed > self.ladder[-1]:
                self.ladder.append(signed)
            else:
                bisect.insort(self.ladder, signed)
        else:
            queue.append(quantity)
            self.sums[signed] += quantity
        self.orders += 1
        self.quantity += quantity

    def take(self, quantity: int, keep_levels: int = 1) -> list[Fill]:
        """Execute an incoming order against the queue heads, best price first; one fill per resting order met.

        The last `keep_levels` levels are never taken, so that the side cannot run empty: the rest of the order lapses.
        """
        fills: list[Fill] = []
        ladder = self.ladder
        while quantity > 0 and len(ladder) > keep_levels:
            signed = ladder[-1]
            queue = self.levels[signed]
            head = queue[0]
            done = head if head <= quantity else quantity
            fills.append((signed * self.sign, done))
            quantity -= done
            self.quantity -= done
            self.sums[signed] -= done
            if done < head:
                queue[0] = head - done
                break
            del queue[0]
            self.orders -= 1
            if not queue:
                self._drop(-1)
        return fills

    def cancel(self, level: int, position: int, keep_levels: int = 1) -> None:
        """Withdraw the order at `position` (modulo the queue) of the `level`-th best price."""
        if level >= len(self.ladder):
            return
        signed = self.ladder[-1 - level]
        queue = self.levels[signed]
        if len(queue) == 1 and len(self.ladder) <= keep_levels:
            return
        quantity = queue.pop(position % len(queue))
        self.orders -= 1
        self.quantity -= quantity
        self.sums[signed] -= quantity
        if not queue:
            self._drop(-1 - level)

    def trim(self, worst: int) -> None:
        """Drop every level worse than the price `worst`."""
        while len(self.ladder) > 1 and self.ladder[0] < worst * self.sign:
            signed = self.ladder[0]
            self.orders -= len(self.levels[signed])
            self.quantity -= self.sums[signed]
            self._drop(0)

    def top(self, count: int) -> list[Fill]:
        """Return up to `count` (price, quantity) levels, best first."""
        sign, sums = self.sign, self.sums
        return [(signed * sign, sums[signed]) for signed in self.ladder[: -count - 1 : -1]]

    def _drop(self, index: int) -> None:
        signed = self.ladder.pop(index)
        del self.levels[signed]
        del self.sums[signed]
