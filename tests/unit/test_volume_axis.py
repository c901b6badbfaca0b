"""The volume axis by itself: minutes counted from 0, and what updates and bars tell of their edges."""

from __future__ import annotations

from orderflow.market.engine.volume_axis import UNKNOWN_HIGH, UNKNOWN_LOW, Bounds, VolumeAxis


def test_edge_when_updates_enclose_it_then_its_bounds_are_theirs() -> None:
    axis = VolumeAxis(0, 1_000)
    axis.observe(0, 1_050, 5)
    axis.observe(0, 1_080, 5)
    axis.observe(1, 1_100, 12)
    assert axis.bounds(0) == Bounds(UNKNOWN_LOW, 1_045)
    assert axis.bounds(1) == Bounds(1_080, 1_088)
    assert axis.bounds(2) == Bounds(1_100, UNKNOWN_HIGH)
    assert not axis.bounds(1).exact


def test_edge_when_the_next_minutes_first_update_is_of_one_trade_then_it_is_exact() -> None:
    axis = VolumeAxis(0, 1_000)
    axis.observe(0, 1_080, 5)
    axis.observe(1, 1_100, 20)
    assert axis.bounds(1) == Bounds(1_080, 1_080)
    assert axis.bounds(1).exact


def test_edge_when_the_last_quantity_is_unknown_then_the_updates_volume_bounds_it() -> None:
    axis = VolumeAxis(0, 1_000)
    axis.observe(0, 1_080, 0)
    axis.observe(1, 1_100, 0)
    assert axis.bounds(1) == Bounds(1_080, 1_100)


def test_edges_when_one_is_exact_then_each_bar_gives_the_next() -> None:
    axis = VolumeAxis(0, 1_000)
    axis.observe(0, 1_080, 5)
    axis.observe(1, 1_100, 20)
    axis.observe(2, 1_190, 5)
    axis.observe(3, 1_300, 5)
    axis.add_bar(1, 95, 1_190)
    axis.add_bar(2, 60, 1_300)
    assert [axis.bounds(edge) for edge in (1, 2, 3)] == [Bounds(1_080, 1_080), Bounds(1_175, 1_175), Bounds(1_235, 1_235)]


def test_edges_when_a_later_one_becomes_exact_then_bars_give_those_before() -> None:
    axis = VolumeAxis(0, 1_000)
    axis.observe(0, 1_080, 5)
    axis.observe(1, 1_190, 5)
    axis.observe(2, 1_290, 5)
    for minute, (volume, vtt) in enumerate([(90, 1_190), (100, 1_290), (95, 1_310)]):
        axis.add_bar(minute, volume, vtt)
    assert not any(axis.bounds(edge).exact for edge in range(4))
    axis.observe(3, 1_310, 20)
    assert [axis.bounds(edge).low for edge in range(4)] == [1_005, 1_095, 1_195, 1_290]
    assert all(axis.bounds(edge).exact for edge in range(4))


def test_bar_when_it_contradicts_the_updates_then_it_is_left_out() -> None:
    axis = VolumeAxis(0, 1_000)
    axis.observe(0, 1_080, 80)
    axis.observe(1, 1_100, 20)
    axis.observe(2, 1_190, 90)
    axis.add_bar(1, 500, 1_190)
    assert axis.volume_of(1) is None
    assert [axis.bounds(edge) for edge in (1, 2)] == [Bounds(1_080, 1_080), Bounds(1_100, 1_100)]
    axis.add_bar(0, 80, 1_190)
    assert axis.volume_of(0) == 80
    assert axis.bounds(0) == Bounds(1_000, 1_000)


def test_bar_when_the_updates_that_bring_it_have_less_volume_then_they_bound_nothing() -> None:
    """A bar that comes before the updates of its volume is still taken."""
    axis = VolumeAxis(0, 1_000)
    axis.observe(0, 1_080, 80)
    axis.add_bar(0, 130, 1_080)
    assert axis.volume_of(0) == 130


def test_bar_when_the_update_that_brings_it_says_how_much_had_traded_then_the_minute_ends_at_most_there() -> None:
    axis = VolumeAxis(0, 1_000)
    axis.observe(0, 1_080, 5)
    axis.observe(1, 1_300, 5)
    axis.add_bar(0, 60, 1_120)
    assert axis.bounds(1) == Bounds(1_080, 1_120)


def test_edges_when_minutes_are_idle_then_the_chain_goes_on_over_them() -> None:
    axis = VolumeAxis(0, 1_000)
    axis.observe(0, 1_080, 80)
    axis.observe(5, 1_110, 10)
    axis.observe(6, 1_150, 5)
    axis.add_bar(0, 80, 1_110)
    axis.add_bar(5, 35, 1_150)
    assert axis.bounds(1) == Bounds(1_080, 1_080)
    assert [axis.bounds(edge) for edge in (2, 5)] == [Bounds(1_080, 1_100)] * 2
    assert axis.bounds(6) == Bounds(1_115, 1_135)
    for idle in (1, 2, 3, 4):
        axis.add_bar(idle, 0, 1_110)
    assert [axis.bounds(edge) for edge in (2, 5, 6)] == [Bounds(1_080, 1_080), Bounds(1_080, 1_080), Bounds(1_115, 1_115)]


def test_bar_when_it_comes_twice_or_before_the_beginning_then_the_first_counts() -> None:
    axis = VolumeAxis(3, 1_000)
    axis.observe(3, 1_080, 80)
    axis.add_bar(3, 80, 1_080)
    axis.add_bar(3, 90, 1_090)
    axis.add_bar(2, 10, 1_090)
    assert (axis.volume_of(3), axis.volume_of(2)) == (80, None)
    assert (axis.later_bar_than(2), axis.later_bar_than(3)) == (True, False)


def test_axis_when_pruned_then_the_bounds_that_are_left_are_the_same() -> None:
    axis = VolumeAxis(0, 1_000)
    for minute, (vtt, ltq) in enumerate([(1_080, 80), (1_100, 20), (1_190, 5), (1_300, 5)]):
        axis.observe(minute, vtt, ltq)
    axis.add_bar(1, 60, 1_190)
    before = [axis.bounds(edge) for edge in (2, 3, 4)]
    axis.prune(2, 3)
    assert axis.base == 2
    assert [mark.minute for mark in axis.marks] == [2, 3]
    assert [axis.bounds(edge) for edge in (2, 3, 4)] == before
    assert axis.bounds(1) == Bounds(UNKNOWN_LOW, UNKNOWN_HIGH)


def test_axis_when_a_published_edge_may_still_be_corrected_then_it_is_kept_for_fifteen_minutes() -> None:
    axis = VolumeAxis(0, 1_000)
    axis.observe(0, 1_080, 5)
    axis.observe(1, 1_190, 5)
    axis.use(1, 1_080, binds=True)
    axis.prune(2, 2)
    assert axis.base == 0
    axis.observe(17, 1_200, 5)
    axis.prune(17, 17)
    assert axis.base == 17
    assert axis.used == {}
