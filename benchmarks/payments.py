"""The payments that the benchmarks of features and of accuracy run on, as they lie in the lake."""

from datetime import timedelta
from pathlib import Path
from typing import Final

import polars as pl

HANDBOOK: Final = Path(__file__).parents[1] / "../shared/handbook/transactions"
REPORT_DELAY: Final = timedelta(days=7)  # the Handbook's feedback delay: chapter 3


def read_handbook() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The Handbook's 91 days: transactions, and a chargeback 7 days after each fraud; both with ``arrival_date``.

    Raises:
        FileNotFoundError: The data is not beside the repository.
    """
    files = sorted(HANDBOOK.glob("*.parquet"))
    if not files:
        raise FileNotFoundError(
            f"the Handbook's data: expected one file a day in {HANDBOOK}, found none; get it from "
            "github.com/Fraud-Detection-Handbook/simulated-data-raw and write its days there as parquet"
        )
    rows = pl.read_parquet(files).select(
        pl.col("TRANSACTION_ID").cast(pl.String).alias("transaction_id"),
        pl.col("TX_DATETIME").dt.cast_time_unit("us").dt.replace_time_zone("UTC").alias("event_time"),
        pl.col("CUSTOMER_ID").cast(pl.String).alias("customer_id"),
        pl.col("TERMINAL_ID").cast(pl.String).alias("terminal_id"),
        (pl.col("TX_AMOUNT") * 100).round().cast(pl.Int64).alias("amount_cents"),
        pl.col("TX_DATETIME").dt.date().alias("arrival_date"),
        pl.col("TX_FRAUD"),
    )
    chargebacks = rows.filter(pl.col("TX_FRAUD") == 1).select(
        "transaction_id",
        (pl.col("event_time") + REPORT_DELAY).alias("reported_at"),
        (pl.col("arrival_date") + REPORT_DELAY).alias("arrival_date"),
    )
    return rows.drop("TX_FRAUD"), chargebacks


def write_lake(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """Write the rows as daily partitions, laid out as the lake's; return the files."""
    files = []
    for (day,), part in frame.partition_by("arrival_date", as_dict=True, include_key=False).items():
        file = folder / f"date={day}" / "part.parquet"
        file.parent.mkdir(parents=True)
        part.write_parquet(file)
        files.append(file)
    return sorted(files)


def read_lake(files: list[Path]) -> pl.DataFrame:
    """Read daily partitions with the day of each as ``arrival_date``."""
    return pl.read_parquet(files, hive_partitioning=True).rename({"date": "arrival_date"})
