"""The coarse stages in which DVC sees the pipeline: what ``dvc.yaml`` declares. Loads nothing, so that commands can."""

from collections.abc import Mapping
from typing import Final

LAND: Final = "land"  # the stage before all others: the files that lineage begins with
STAGES: Final[Mapping[str, tuple[str, ...]]] = {  # the assets that each makes, in an order in which they can be made
    "ingest": ("transactions", "chargebacks", "quarantine", "ledger"),
    "features": ("customer_features", "terminal_features"),
    "train": ("training_set", "fraud_model"),
    "evaluate": ("model_evaluation", "drift_reference"),
    "score": ("model_health", "release", "scores", "performance", "drift"),
}
LANDED: Final = ("landing/transactions", "landing/chargebacks")
_BYTES: Final = {"fraud_model": ("models/fraud_model",), "release": ("lake/release", "release/entries")}
_CHECKED: Final = (  # by a blocking check, so that their partitions can be held
    "transactions", "customer_features", "terminal_features", "training_set", "fraud_model", "scores",
)  # fmt: skip
METRICS: Final[Mapping[str, str]] = {
    "evaluate": "reports/metrics/evaluation.json",
    "score": "reports/metrics/decisions.json",
}
PLOTS: Final[Mapping[str, tuple[str, ...]]] = {
    "evaluate": ("reports/metrics/precision_recall.csv", "reports/metrics/average_precision.csv"),
    "score": ("reports/metrics/decisions.csv",),
}


def list_folders(stage: str) -> tuple[str, ...]:
    """The folders below the data root that hold what a stage makes."""
    if stage == LAND:
        return LANDED
    return tuple(folder for asset in STAGES[stage] for folder in list_asset_folders(asset))


def list_asset_folders(asset: str) -> tuple[str, ...]:
    """The folders that hold the bytes and the records of an asset, and which of its partitions are held."""
    holds = (f"holds/{asset}",) if asset in _CHECKED else ()
    return *_BYTES.get(asset, (f"lake/{asset}",)), f"records/{asset}", *holds


def list_earlier(stage: str) -> tuple[str, ...]:
    """The assets of the stages before a stage."""
    names = list(STAGES)
    return tuple(asset for name in names[: names.index(stage)] for asset in STAGES[name])
