"""Names, offset ranges and schemas of the lake."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow.lake.layout import (
    TICKS,
    LakeError,
    arrow_schema,
    batch_file,
    covered_from_json,
    covered_to_json,
    is_batch,
    offsets_file,
    offsets_of,
    spark_schema,
    union,
)


def test_batch_file_when_partitions_come_in_any_order_then_name_is_the_same() -> None:
    name = "upstox_ticks-0a1b2c3d-p0_100-250-p1_90-240.parquet"

    assert batch_file("upstox_ticks", "0a1b2c3d", {1: ((90, 240),), 0: ((100, 250),)}) == name
    assert offsets_of(name) == {"upstox_ticks-0a1b2c3d-p0": ((100, 250),), "upstox_ticks-0a1b2c3d-p1": ((90, 240),)}


def test_batch_file_when_five_partitions_have_long_offsets_then_name_fits_hdfs() -> None:
    runs = {120 + p: ((10**14, 10**14 + 10**7),) for p in range(5)}

    assert len(batch_file("upstox_orderflow", "0a1b2c3d", runs)) <= 255


@pytest.mark.parametrize(
    "runs",
    [pytest.param({0: ((1, 4), (6, 9))}, id="a hole"), pytest.param({p: ((1, 4),) for p in range(6)}, id="six partitions")],
)
def test_batch_file_when_its_name_cannot_tell_the_offsets_then_it_names_the_file_that_does(runs) -> None:
    name = batch_file("upstox_ticks", "0a1b2c3d", runs)

    assert is_batch(name)
    assert offsets_of(name) == {}
    assert offsets_file(name) == f"_offsets-{name[-24:-8]}.json"
    assert batch_file("upstox_ticks", "0a1b2c3d", dict(reversed(runs.items()))) == name
    assert batch_file("upstox_ticks", "ffffffff", runs)[-24:] != name[-24:]


@pytest.mark.parametrize("name", ["compact-1-00000.parquet", "_covered.json", "part-00000.zstd.parquet", "x-p0_1-2.parquet"])
def test_offsets_of_when_file_is_no_batch_then_none(name: str) -> None:
    assert offsets_of(name) == {}


def test_union_when_ranges_overlap_touch_or_leave_holes_then_only_holes_remain() -> None:
    covered = union({"a": ((1, 5), (20, 30))}, {"a": ((6, 9), (25, 40), (42, 50))}, {"b": ((3, 3),)})

    assert covered == {"a": ((1, 9), (20, 40), (42, 50)), "b": ((3, 3),)}


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=12))
def test_union_when_given_any_ranges_then_covers_the_same_offsets(pairs: list[tuple[int, int]]) -> None:
    ranges = [(first, first + length) for first, length in pairs]

    joined = union(*({"a": (pair,)} for pair in ranges)).get("a", ())

    inside = [offset for first, last in joined for offset in range(first, last + 1)]
    assert inside == sorted({offset for first, last in ranges for offset in range(first, last + 1)})
    assert covered_from_json(covered_to_json({"a": joined})) == {"a": joined}


@pytest.mark.parametrize("text", ["", "[]", '{"covered": 1}', '{"covered": {"a": [["x"]]}}'])
def test_covered_when_text_is_broken_then_says_so(text: str) -> None:
    with pytest.raises(LakeError, match=r"_covered\.json is not readable"):
        covered_from_json(text)


def test_schemas_when_derived_from_records_then_hold_nested_levels() -> None:
    schema = arrow_schema(TICKS.fields)

    assert schema.field("bid").type == pa.list_(
        pa.field("element", pa.struct([("price", pa.float64()), ("quantity", pa.int64())]))
    )
    assert schema.field("tick_direction").type == pa.int32()
    assert "`bid` ARRAY<STRUCT<`price`: DOUBLE, `quantity`: BIGINT>>" in spark_schema(TICKS.fields)
