"""When states are published: after the records they include, and the position after the states, also when Kafka has no room."""

from __future__ import annotations

from orderflow.broker.state_flush import StateFlush


class Room:
    """Takes `left` more records, and keeps their keys."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.taken: list[str] = []

    def take(self, key: str, value: bytes) -> bool:
        if self.left == 0:
            return False
        self.left -= 1
        self.taken.append(key)
        return True


def test_states_when_kafka_has_no_room_then_the_rest_and_the_position_follow_in_order_once_it_has() -> None:
    flush, room = StateFlush("me"), Room(1)
    flush.changed("NSE_EQ|X", lambda: {"state": {"sequence": 1}})
    flush.changed("NSE_EQ|Y", lambda: {"state": {"sequence": 1}})
    flush.begin(10.0, 2, {"0": 2})
    flush.publish(1, room.take)
    assert room.taken == []
    flush.publish(2, room.take)
    assert room.taken == ["NSE_EQ|X"]
    flush.changed("NSE_EQ|X", lambda: {"state": {"sequence": 2}})
    flush.begin(20.0, 3, {"0": 3})
    room.left = 9
    flush.publish(3, room.take)
    assert room.taken == ["NSE_EQ|X", "NSE_EQ|Y", "positions|me"]
    flush.begin(20.0, 3, {"0": 3})
    flush.publish(3, room.take)
    assert room.taken[3:] == ["NSE_EQ|X", "positions|me"]
    assert flush.is_empty
