"""Ingestion: the bytes that were landed become validated rows, every one of them accounted for."""

from pipeline_assets.core.ingestion.accounting import (
    Recount,
    check_quarantine_share,
    check_rows_are_conserved,
    recount_file,
)
from pipeline_assets.core.ingestion.intake import DayIntake, LandedFile, digest_files, digest_hashes, ingest_day
from pipeline_assets.core.ingestion.mapping import (
    AmountColumn,
    ChargebacksMapping,
    IngestionParams,
    LabelColumn,
    TimeColumn,
    TransactionsMapping,
    Unit,
)

__all__ = [
    "AmountColumn",
    "ChargebacksMapping",
    "DayIntake",
    "IngestionParams",
    "LabelColumn",
    "LandedFile",
    "Recount",
    "TimeColumn",
    "TransactionsMapping",
    "Unit",
    "check_quarantine_share",
    "check_rows_are_conserved",
    "digest_files",
    "digest_hashes",
    "ingest_day",
    "recount_file",
]
