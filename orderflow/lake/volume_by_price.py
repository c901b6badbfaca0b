"""A stored footprint's volume by price, in one unit; pure."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from orderflow.market.price_unit import PAISE, common_unit


def profile(footprint: pa.Table) -> pa.Table:
    """Return volume by price, lowest first: buy, sell, unclassified and total.

    All rows have the same `price_unit`, the number of units of `price` in a rupee: the coarsest that can represent all
    prices of the footprint.
    """
    volumes = ["buy_volume", "sell_volume", "unclassified_volume"]
    units = pc.fill_null(footprint.column("price_unit"), PAISE)
    unit = common_unit(pc.unique(units).to_pylist())
    price = pc.multiply(footprint.column("price"), pc.divide(pa.scalar(unit), units))
    levels = pa.table({"price": price, **{name: footprint.column(name) for name in volumes}})
    grouped = levels.group_by("price").aggregate([(name, "sum") for name in volumes])
    summed = pa.table({"price": grouped.column("price"), **{name: grouped.column(f"{name}_sum") for name in volumes}})
    total = pc.add(pc.add(summed.column(volumes[0]), summed.column(volumes[1])), summed.column(volumes[2]))
    unit_of_all = pa.repeat(pa.scalar(unit, pa.int64()), summed.num_rows)
    return summed.append_column("total_volume", total).append_column("price_unit", unit_of_all).sort_by("price")


def with_price_unit(footprint: pa.Table) -> pa.Table:
    """Return a footprint in which levels stored before `price_unit` was a field have it: they are in paise."""
    at = footprint.schema.get_field_index("price_unit")
    return footprint.set_column(at, "price_unit", pc.fill_null(footprint.column(at), PAISE))
