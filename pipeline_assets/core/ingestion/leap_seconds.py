"""Seconds that a clock calls 60: which of them exist, and where they lie in a time scale that has no place for them."""

from datetime import UTC, datetime
from typing import Final

import polars as pl

SECOND: Final = 1_000_000  # microseconds
# The days of UTC whose last minute has 61 seconds: all 27 since 1972 (IERS, Bulletin C). None is announced; one that
# will be goes to quarantine until it stands here, and is not lost.
_DAYS: Final = (
    (1972, 6, 30), (1972, 12, 31), (1973, 12, 31), (1974, 12, 31), (1975, 12, 31), (1976, 12, 31), (1977, 12, 31),
    (1978, 12, 31), (1979, 12, 31), (1981, 6, 30), (1982, 6, 30), (1983, 6, 30), (1985, 6, 30), (1987, 12, 31),
    (1989, 12, 31), (1990, 12, 31), (1992, 6, 30), (1993, 6, 30), (1994, 6, 30), (1995, 12, 31), (1997, 6, 30),
    (1998, 12, 31), (2005, 12, 31), (2008, 12, 31), (2012, 6, 30), (2015, 6, 30), (2016, 12, 31),
)  # fmt: skip
# The second before each, 23:59:59 UTC, as microseconds since 1970.
_SECONDS_BEFORE: Final = tuple(
    int(datetime(year, month, day, 23, 59, 59, tzinfo=UTC).timestamp()) * SECOND for year, month, day in _DAYS
)


def place_second_60(micros: pl.Expr, is_second_60: pl.Expr) -> pl.Expr:
    """Put a leap second at the last microsecond before it, and refuse a second 60 that never was.

    UTC without leap seconds, as everybody computes with, has no place between 23:59:59.999999 and 00:00:00. The last
    microsecond keeps the day, and the order to all other times; the fraction within the leap second is given up.

    Args:
        micros: Times as UTC microseconds, with 59 where the second is 60.
        is_second_60: Where that was.

    Returns:
        The times; null where the second is 60 and no leap second was inserted then, in whatever zone it is written.
    """
    second = micros - micros.mod(SECOND)
    is_real = second.is_in(pl.lit(pl.Series(_SECONDS_BEFORE, dtype=pl.Int64)).implode())
    return pl.when(is_second_60.not_()).then(micros).when(is_real).then(second + (SECOND - 1))
