"""What a run built and how good it is, in a few lines for a person."""

from datetime import date

from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import LEDGER, MODEL_EVALUATION, PERFORMANCE, SCORES, TRAINING_SET
from pipeline_assets.core.assessment import CANDIDATE


def summarise(stores: Stores) -> str:
    """What is in the lake, the latest evaluation and performance, who is champion, and what to open next."""
    days = stores.lake.days(SCORES)
    lines = [*_tell_data(stores, days), *_tell_models(stores), *_tell_performance(stores, days)]
    lines += [
        "Next:  make ui                  the whole graph in Dagster, on http://127.0.0.1:3000",
        '       .venv/bin/pipeline-assets sql "select decision, rung, count(*) from scores group by all"',
    ]
    return "\n".join(lines)


def _tell_data(stores: Stores, days: list[date]) -> list[str]:
    ledger = stores.lake.read(LEDGER, days)
    counts = [
        f"{part['rows_kept'].sum():,} {feed} from {part.height} files"
        for (feed,), part in sorted(ledger.partition_by("feed", as_dict=True).items(), reverse=True)
    ]
    scored = stores.lake.read(SCORES, days, ["transaction_id"]).height
    return [
        f"Built: {len(days)} days: {', '.join(counts)}; {ledger['rows_quarantined'].sum():,} rows quarantined, "
        f"{ledger['rows_duplicate'].sum():,} duplicate; {scored:,} payments decided",
    ]


def _tell_models(stores: Stores) -> list[str]:
    weeks = [week for week in stores.lake.days(MODEL_EVALUATION) if week in stores.lake.days(TRAINING_SET)]
    if not weeks:
        return ["       no model yet: the first one needs more history; until then the rules decide"]
    table = stores.lake.read(MODEL_EVALUATION, weeks[-1:])
    metrics = {(subject, metric): value for subject, metric, value in table.iter_rows()}
    lines = []
    if (CANDIDATE, "average_precision") in metrics:
        lines.append(
            f"Good:  average precision {metrics[CANDIDATE, 'average_precision']:.3f} (rules "
            f"{metrics['rules', 'average_precision']:.3f}), card precision@k "
            f"{metrics[CANDIDATE, 'card_precision_share']:.0%} of the reachable maximum, on the last week with mature "
            "labels, held out"
        )
    entries = stores.release_log.entries()
    if entries:
        latest = entries[-1]
        on_trial = latest.canary or latest.shadow
        trial = f", on trial {on_trial}" if on_trial else ""
        lines.append(f"       {len(weeks)} models; champion {latest.champion or 'the rules'}, "
                     f"backup {latest.backup or 'the rules'}{trial}")  # fmt: skip
    return lines


def _tell_performance(stores: Stores, days: list[date]) -> list[str]:
    if not days or not stores.lake.has(PERFORMANCE, days[-1]):
        return []
    table = stores.lake.read(PERFORMANCE, days[-1:])
    metrics = {metric: value for scope, metric, value in table.iter_rows() if scope == "all" and value is not None}
    if "fraud_amount_stopped_share" not in metrics:
        return []
    return [
        f"       decisions taken: {metrics['fraud_amount_stopped_share']:.0%} of the amount of fraud stopped, "
        f"{metrics['honest_declined_share']:.2%} of honest payments declined"
    ]
