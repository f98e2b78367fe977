"""The stores of one data root, opened together."""

from dataclasses import dataclass

from pipeline_assets.adapters.damage import DamageList
from pipeline_assets.adapters.holds import Holds
from pipeline_assets.adapters.lake import Lake
from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.adapters.log_heads import RELEASE_LOG, ReleaseWitnesses
from pipeline_assets.adapters.log_keys import read_keyring
from pipeline_assets.adapters.models import ModelStore
from pipeline_assets.adapters.records import Records
from pipeline_assets.adapters.release_log import ReleaseLog
from pipeline_assets.adapters.storage import Storage, open_storage, within


@dataclass(frozen=True)
class Stores:
    """Everything the pipeline reads and writes.

    Attributes:
        root: The folder or URL that holds them all.
        landing: Files as received.
        lake: The tables; the same input always gives the same bytes.
        models: The trained models and their checkpoints.
        release_log: Which model is in force from when.
        reports: Tables that hold clocks and are never alike: service levels.
        records: Of each partition, what it is and what it was made from.
        holds: Partitions that failed a blocking check.
        damage: Partitions whose bytes were found not to be the recorded ones.
        tables: The storages whose folders are tables, for SQL.
    """

    root: Storage
    landing: LandingZone
    lake: Lake
    models: ModelStore
    release_log: ReleaseLog
    reports: Lake
    records: Records
    holds: Holds
    damage: DamageList
    tables: list[Storage]


def open_stores(data_root: str) -> Stores:
    """Open the stores below ``data_root``, a local folder or an ``s3://`` URL; nothing is made before it is written."""
    root = open_storage(data_root)
    lake, reports = within(root, "lake"), within(root, "reports")
    records = Records(within(root, "records"))
    return Stores(
        root=root,
        landing=LandingZone(within(root, "landing")),
        lake=Lake(lake),
        models=ModelStore(within(root, "models")),
        release_log=ReleaseLog(within(root, RELEASE_LOG), ReleaseWitnesses(root, records), read_keyring),
        reports=Lake(reports),
        records=records,
        holds=Holds(within(root, "holds")),
        damage=DamageList(within(root, "damage")),
        tables=[lake, reports],
    )
