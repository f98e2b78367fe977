"""The contract of every table in the lake: columns, types, units, keys and the order of rows.

A table is written only if it satisfies its contract, so whatever is in the lake is valid.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import pandera.polars as pa
import polars as pl

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES, Feature
from pipeline_assets.contracts.vocabularies import (
    Decision,
    Degradation,
    Feed,
    FileStatus,
    Mending,
    Part,
    ReleaseAction,
    Rung,
)

MAX_ID_LENGTH: Final = 64  # characters; longer than any identifier in use, short enough to print
MAX_AMOUNT_CENTS: Final = 10**11  # one billion in major units: above any card payment, far from Int64 overflow in sums
UTC_MICROSECONDS: Final = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Table:
    """One table: its name (asset = table = folder), its pandera schema, its unique key and the order of its rows."""

    name: str
    description: str
    schema: pa.DataFrameSchema
    schema_of_rows: pa.DataFrameSchema  # the schema without the key: for rows of several partitions at once
    key: tuple[str, ...]
    order: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        return tuple(self.schema.columns)

    def empty(self) -> pl.DataFrame:
        """A frame of this table's columns and types with no row."""
        return pl.DataFrame(schema={name: column.dtype.type for name, column in self.schema.columns.items()})


def _table(name: str, description: str, columns: dict[str, pa.Column], key: list[str], order: list[str]) -> Table:
    def schema(unique: list[str] | None) -> pa.DataFrameSchema:
        return pa.DataFrameSchema(columns, name=name, description=description, strict=True, ordered=True, unique=unique)

    return Table(name, description, schema(key or None), schema(None), tuple(key), tuple(order))


def _identifier(description: str) -> pa.Column:
    return pa.Column(pl.String, pa.Check.str_length(1, MAX_ID_LENGTH), description=description)


def _column(dtype: Any, description: str, *checks: pa.Check, nullable: bool = False) -> pa.Column:
    return pa.Column(dtype, list(checks), nullable=nullable, description=description)


def _one_of(vocabulary: type[StrEnum], description: str, *, nullable: bool = False) -> pa.Column:
    return _column(pl.String, description, pa.Check.isin([str(code) for code in vocabulary]), nullable=nullable)


def _count(description: str) -> pa.Column:
    return _column(pl.Int64, description, pa.Check.ge(0))


def _share(description: str, *, nullable: bool = False) -> pa.Column:
    return _column(pl.Float64, description, pa.Check.in_range(0, 1), nullable=nullable)


def _feature_columns(features: tuple[Feature, ...]) -> dict[str, pa.Column]:
    columns = {"transaction_id": _identifier("the transaction that the features describe")}
    for feature in features:
        dtype = pl.Int64 if feature.is_integer else pl.Float64
        checks = [check for check in (_lower_bound(feature), _upper_bound(feature)) if check is not None]
        columns[feature.name] = _column(dtype, feature.description, *checks, nullable=feature.nullable)
    return columns


def _lower_bound(feature: Feature) -> pa.Check | None:
    return None if feature.minimum is None else pa.Check.ge(feature.minimum)


def _upper_bound(feature: Feature) -> pa.Check | None:
    return None if feature.maximum is None else pa.Check.le(feature.maximum)


TRANSACTIONS: Final = _table(
    "transactions",
    "Card payments as they arrived on this day: validated, each id once.",
    {
        "transaction_id": _identifier("the payment's id, unique over all of history"),
        "event_time": _column(UTC_MICROSECONDS, "when the card was used"),
        "customer_id": _identifier("the card holder"),
        "terminal_id": _identifier("where the card was used"),
        "amount_cents": _column(pl.Int64, "amount in minor units", pa.Check.ge(0), pa.Check.le(MAX_AMOUNT_CENTS)),
    },
    key=["transaction_id"],
    order=["event_time", "transaction_id"],
)

CHARGEBACKS: Final = _table(
    "chargebacks",
    "Payments reported as fraud, as the reports arrived on this day.",
    {
        "transaction_id": _identifier("the payment that was reported"),
        "reported_at": _column(UTC_MICROSECONDS, "when the fraud was reported"),
    },
    key=["transaction_id"],
    order=["reported_at", "transaction_id"],
)

QUARANTINE: Final = _table(
    "quarantine",
    "Landed rows that broke a contract, as received, with the reasons.",
    {
        "feed": _one_of(Feed, "the feed that delivered the row"),
        "source_file": _column(pl.String, "name of the landed file"),
        "row_number": _column(
            pl.Int64, "1 for the first data row; null when the whole file was refused", pa.Check.ge(1), nullable=True
        ),
        "reasons": _column(pl.List(pl.String), "reason codes, sorted"),
        "problems": _column(pl.String, "for a person: column, expected, found"),
        "received": _column(pl.String, "the row as received, as JSON; null for a file", nullable=True),
    },
    key=[],
    order=["feed", "source_file", "row_number"],
)

LEDGER: Final = _table(
    "ledger",
    "One row a landed file: how many rows came and where each went.",
    {
        "feed": _one_of(Feed, "the feed of the file"),
        "source_file": _column(pl.String, "name of the landed file"),
        "md5": _column(pl.String, "hash of the file's bytes", pa.Check.str_length(32, 32)),
        "status": _one_of(FileStatus, "what became of the file as a whole"),
        "rows_landed": _count("rows in the file"),
        "rows_kept": _count("rows now in the feed's table"),
        "rows_quarantined": _count("rows now in quarantine"),
        "rows_duplicate": _count("rows that were already there: same id, same content"),
    },
    key=["feed", "source_file"],
    order=["feed", "source_file"],
)

CUSTOMER_FEATURES_TABLE: Final = _table(
    "customer_features",
    "What the customer's own history said at the moment of each payment. One row a transaction.",
    _feature_columns(CUSTOMER_FEATURES),
    key=["transaction_id"],
    order=["transaction_id"],
)

TERMINAL_FEATURES_TABLE: Final = _table(
    "terminal_features",
    "What the terminal's history, as far as reported, said at the moment of each payment. One row a transaction.",
    _feature_columns(TERMINAL_FEATURES),
    key=["transaction_id"],
    order=["transaction_id"],
)

TRAINING_SET: Final = _table(
    "training_set",
    "Every payment with a mature label as of this day, with its features as they were known at its moment.",
    {
        **{name: TRANSACTIONS.schema.columns[name] for name in TRANSACTIONS.columns},
        **{name: c for name, c in _feature_columns(CUSTOMER_FEATURES).items() if name != "transaction_id"},
        **{name: c for name, c in _feature_columns(TERMINAL_FEATURES).items() if name != "transaction_id"},
        "is_fraud": _column(pl.Boolean, "reported as fraud by the as-of day"),
    },
    key=["transaction_id"],
    order=["event_time", "transaction_id"],
)

SCORES: Final = _table(
    "scores",
    "The decision on every payment that arrived on this day, and who took it.",
    {
        "transaction_id": _identifier("the payment"),
        "score": _share("probability of fraud"),
        "decision": _one_of(Decision, "what was done"),
        "reason_codes": _column(pl.List(pl.String), "what raised the score most, strongest first"),
        "model_version": _column(pl.String, "the model (or rule set) that gave the score"),
        "rung": _one_of(Rung, "the step of the degradation ladder"),
        "degraded_by": _column(
            pl.List(pl.String),
            f"what was missing or stale: {', '.join(Degradation)}",
        ),
    },
    key=["transaction_id"],
    order=["transaction_id"],
)

MODEL_EVALUATION: Final = _table(
    "model_evaluation",
    "The recipe, earlier models and the rules on the latest week with mature labels, by one protocol.",
    {
        "subject": _column(pl.String, "candidate (the recipe held out), rules, an earlier model, or ladder:<step>"),
        "metric": _column(pl.String, "name of the metric"),
        "value": _column(pl.Float64, "its value", nullable=True),
    },
    key=["subject", "metric"],
    order=["subject", "metric"],
)

MODEL_HEALTH: Final = _table(
    "model_health",
    "What every recent model says of this day's payments, whoever decides: leading signals on what arrived, and how "
    "good it was on the payments whose labels matured. Every model sees the same payments.",
    {
        "model_version": _column(pl.String, "the model"),
        "signal": _column(pl.String, "name of the signal; mature_… are of the payments seven days before"),
        "value": _column(pl.Float64, "its value; null where it is undefined", nullable=True),
    },
    key=["model_version", "signal"],
    order=["model_version", "signal"],
)

RELEASE: Final = _table(
    "release",
    "Who decides for which share of the customers from this day on; the log in release/entries says why.",
    {
        "part": _one_of(Part, "what it has to do"),
        "model_version": _column(pl.String, "the model; null for the rules", nullable=True),
        "share": _share("of the customers, for which it is asked first"),
        "action": _one_of(ReleaseAction, "what was decided for this day"),
    },
    key=["part"],
    order=["part"],
)

PERFORMANCE: Final = _table(
    "performance",
    "How good the decisions were that we really took, on the labels that are mature by the end of this day.",
    {
        "scope": _column(pl.String, "all, or rung:<rung>, or model:<version>"),
        "metric": _column(pl.String, "name of the metric"),
        "value": _column(pl.Float64, "its value; null where it is undefined", nullable=True),
    },
    key=["scope", "metric"],
    order=["scope", "metric"],
)

DRIFT_REFERENCE: Final = _table(
    "drift_reference",
    "What inputs and scores looked like to the model of this week: bins, rows of each, and how far weeks lie apart.",
    {
        "subject": _column(pl.String, "a feature of the model, or score"),
        "metric": _column(pl.String, "edge_<n> of the bins, rows_<n> in each, or a number about the weeks"),
        "value": _column(pl.Float64, "its value"),
    },
    key=["subject", "metric"],
    order=["subject", "metric"],
)

DRIFT: Final = _table(
    "drift",
    "How far inputs and scores of the latest days lie from those the model in its week was trained on.",
    {
        "subject": _column(pl.String, "a feature of the model, or score"),
        "metric": _column(pl.String, "name of the metric"),
        "value": _column(pl.Float64, "its value; null where there is too little evidence", nullable=True),
    },
    key=["subject", "metric"],
    order=["subject", "metric"],
)

SERVICE_LEVELS: Final = _table(
    "service_levels",
    "Durations and errors of the runs that worked on this day, from the runs' own records.",
    {
        "step": _column(pl.String, "the step of the run"),
        "n_attempts": _count("how often the step ran for this day"),
        "n_failures": _count("how often it failed"),
        "seconds": _column(pl.Float64, "duration of the latest success", pa.Check.ge(0), nullable=True),
        "n_partitions": _count("partitions that the latest success made together"),
        "hours_after_day": _column(pl.Float64, "from the end of the day to the first success", nullable=True),
    },
    key=["step"],
    order=["step"],
)

INTEGRITY: Final = _table(
    "integrity",
    "Files of the lake and the models that were read on this day and were not as recorded, and what was done.",
    {
        "asset": _column(pl.String, "whose file it is"),
        "partition": _column(pl.Date, "of which partition"),
        "path": _column(pl.String, "the file, relative to the data root"),
        "expected": _column(pl.String, "hash of the recorded bytes"),
        "found": _column(pl.String, "hash of the bytes that were there, or nothing"),
        "outcome": _one_of(Mending, "restored from a replica, to be made again, or for a person to restore"),
    },
    key=["path"],
    order=["path"],
)

TABLES: Final = {
    table.name: table
    for table in (
        TRANSACTIONS, QUARANTINE, CHARGEBACKS, LEDGER, CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE,
        TRAINING_SET, MODEL_EVALUATION, MODEL_HEALTH, RELEASE, SCORES, PERFORMANCE, DRIFT_REFERENCE, DRIFT,
        SERVICE_LEVELS, INTEGRITY,
    )
}  # fmt: skip
