"""How results are told to Dagster: metadata a person reads, the bytes' hash as data version, checks per partition."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final

import dagster as dg
import polars as pl
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from pipeline_assets.adapters.revision import find_revision
from pipeline_assets.adapters.stages.made import Made
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import Table
from pipeline_assets.core.checks import Finding, Level
from pipeline_assets.core.failures import FailureKind
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.defs.failures import KIND_TAG
from pipeline_assets.defs.instance import RANGE_START_TAG

# Metadata carries counts and codes, never values of cards or persons: a table with one of these has no preview.
_PRIVATE: Final = frozenset({"transaction_id", "customer_id", "terminal_id", "received", "problems"})


def describe_columns(table: Table) -> dict[str, dg.MetadataValue]:
    """The table's contract as Dagster's column schema, for the asset's page."""
    columns = [
        dg.TableColumn(
            name,
            type=str(column.dtype.type),
            description=column.description,
            constraints=dg.TableColumnConstraints(
                nullable=column.nullable,
                unique=table.key == (name,),
                other=[str(check.error or check.name) for check in column.checks],
            ),
        )
        for name, column in table.schema.columns.items()
    ]
    return {"dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns=columns))}


def report(context: dg.AssetExecutionContext, asset: str, made: Iterable[Made]) -> Iterator[dg.MaterializeResult[None]]:
    """The materialization result of all partitions of a run; each partition has its own metadata and data version.

    The data version is the md5 of the bytes. Of a range, Dagster gives one version to all of its partitions: so each
    is told once more by itself, with its own.
    """
    metadata: dict[date, dict[str, dg.MetadataValue]] = {}
    md5s: dict[date, str] = {}
    for one in made:
        md5s[one.day] = one.md5
        metadata[one.day] = _metadata(one)
    if len(md5s) == 1:
        (day,) = md5s
        context.add_asset_metadata(metadata[day], asset_key=asset, partition_key=day.isoformat())
    yield dg.MaterializeResult(asset_key=asset, data_version=dg.DataVersion(_join(md5s)))
    if len(md5s) > 1:
        tags = _find_tags(context, asset)
        for day, md5 in md5s.items():
            exact = {**tags, DATA_VERSION_TAG: md5}
            context.log_event(
                dg.AssetMaterialization(asset, partition=day.isoformat(), metadata=metadata[day], tags=exact)
            )


def _find_tags(context: dg.AssetExecutionContext, asset: str) -> dict[str, str]:
    """The tags that Dagster gave to the partitions of ``asset`` in this run: versions of its code and of its inputs."""
    logs = context.instance.get_records_for_run(
        context.run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=1, ascending=False
    )
    for record in logs.records:
        materialization = record.event_log_entry.asset_materialization
        if materialization is not None and materialization.asset_key == dg.AssetKey(asset):
            return dict(materialization.tags or {})
    return {}


def select_tables(context: dg.AssetExecutionContext, tables: Sequence[Table]) -> list[Table]:
    """Which tables of a multi-asset this run is to make, in their order."""
    return [table for table in tables if dg.AssetKey(table.name) in context.selected_asset_keys]


def report_tables(
    context: dg.AssetExecutionContext, tables: Sequence[Table], made: Iterable[Made]
) -> Iterator[dg.MaterializeResult[None]]:
    """The results of a multi-asset, in the order of ``tables``."""
    by_table: dict[str, list[Made]] = {table.name: [] for table in tables}
    for one in made:
        by_table[one.name].append(one)
    for name, partitions in by_table.items():
        yield from report(context, name, partitions)


def report_check(
    context: dg.AssetCheckExecutionContext,
    stores: Stores,
    findings: Mapping[date, Finding],
    *,
    is_blocking: bool = False,
) -> dg.AssetCheckResult:
    """One check result of all partitions of a run; of a range, each partition's own is recorded as well.

    Args:
        context: Of the check.
        stores: Where holds are kept.
        findings: What it found, by partition.
        is_blocking: Whether a partition that fails it is held, for later runs too, until it passes.
    """
    (key,) = context.selected_asset_check_keys
    if is_blocking:
        findings = _latch(context, stores, key, findings)
    # In a run of a range, be it of one partition, Dagster itself records the check for none of them.
    is_range = RANGE_START_TAG in context.op_execution_context.run_tags
    if is_range:
        for day, finding in findings.items():
            context.op_execution_context.log_event(
                dg.AssetCheckEvaluation(  # type: ignore[arg-type]  # it takes check evaluations too
                    asset_key=key.asset_key,
                    check_name=key.name,
                    passed=finding.passed,
                    partition=day.isoformat(),
                    severity=_severity(finding),
                    metadata=_check_metadata(finding),
                )
            )
    failed = {day: finding for day, finding in findings.items() if not finding.passed}
    worst = max(failed.values(), key=lambda f: f.level is Level.ERROR, default=next(iter(findings.values())))
    metadata = _check_metadata(worst)
    if failed and is_range:
        metadata["failed_partitions"] = dg.MetadataValue.text(", ".join(sorted(map(str, failed))))
    return dg.AssetCheckResult(
        passed=not failed, severity=_severity(worst), description=worst.explanation, metadata=metadata
    )


def make_check_result(finding: Finding, **of: Any) -> dg.AssetCheckResult:
    """One finding as a check result; ``of`` names asset and check where the context does not."""
    return dg.AssetCheckResult(
        passed=finding.passed,
        severity=_severity(finding),
        description=finding.explanation,
        metadata=_check_metadata(finding),
        **of,
    )


def _latch(
    context: dg.AssetCheckExecutionContext, stores: Stores, key: dg.AssetCheckKey, findings: Mapping[date, Finding]
) -> dict[date, Finding]:
    """Hold what fails, let go what passes; a failure that a person has released is a warning from then on."""
    now, judged = datetime.now(UTC), dict(findings)
    for day, finding in findings.items():
        partition = Key(key.asset_key.to_user_string(), day)
        record = stores.records.find(partition)
        version = record.md5 if record else ""
        if finding.passed or finding.level is not Level.ERROR:
            stores.holds.repair(partition, key.name, version, now)
        elif not stores.holds.hold(partition, key.name, finding.explanation, version, now):
            judged[day] = replace(finding, level=Level.WARN, explanation=f"released by a person: {finding.explanation}")
    if any(not finding.passed and finding.level is Level.ERROR for finding in judged.values()):
        run = context.op_execution_context
        run.instance.add_run_tags(run.run_id, {KIND_TAG: str(FailureKind.BAD_DATA)})
    return judged


def _severity(finding: Finding) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if finding.level is Level.ERROR else dg.AssetCheckSeverity.WARN


def _check_metadata(finding: Finding) -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {"explanation": dg.MetadataValue.text(finding.explanation)}
    return metadata | {name: _value(value) for name, value in finding.facts.items()}


def _metadata(made: Made) -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(made.rows),
        "md5": dg.MetadataValue.text(made.md5),
        "path": dg.MetadataValue.text(made.path),
        "revision": dg.MetadataValue.text(find_revision()),
    }
    metadata |= {name: _value(value) for name, value in made.facts.items()}
    if made.sample is not None and _PRIVATE.isdisjoint(made.sample.columns):
        metadata["preview"] = dg.MetadataValue.md(_preview(made.sample))
    metadata |= {name: dg.MetadataValue.md(text) for name, text in made.notes.items()}
    for name, draw in made.plots.items():
        encoded = base64.b64encode(draw()).decode()
        metadata[name] = dg.MetadataValue.md(f"![{name}](data:image/png;base64,{encoded})")
    return metadata


def _value(value: object) -> dg.MetadataValue:
    match value:
        case bool():
            return dg.MetadataValue.bool(value)
        case int():
            return dg.MetadataValue.int(value)
        case float():
            return dg.MetadataValue.float(value)
        case dict() | list():
            return dg.MetadataValue.json(value)
        case _:
            return dg.MetadataValue.text(str(value))


def _preview(sample: pl.DataFrame) -> str:
    with pl.Config(
        tbl_formatting="MARKDOWN", tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, tbl_cols=-1
    ):
        return str(sample)


def _join(md5s: Mapping[date, str]) -> str:
    if len(md5s) == 1:
        return next(iter(md5s.values()))
    joined = "\n".join(f"{day} {md5s[day]}" for day in sorted(md5s))
    return hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()
