"""What is undone: what failed needs no deadline, and nothing is made from what is itself to be made again."""

from dataclasses import replace

from pipeline_assets.core.healing.plan import Lake, RepairReason, plan_healing
from pipeline_assets.core.healing.requests import list_requests
from pipeline_assets.core.lineage.records import Key
from tests.core.healing.test_plan import BUILT, DAYS, LANDED

DAY = DAYS[-2]
INGESTED = ("transactions", "chargebacks", "quarantine", "ledger")
MADE_FROM = ("customer_features", "terminal_features", "scores")


def lose(lake: Lake, *keys: Key) -> Lake:
    return replace(lake, records={key: record for key, record in lake.records.items() if key not in keys})


def test_what_a_run_failed_to_make_is_made_before_it_is_due() -> None:
    key = Key("performance", DAYS[-1])
    not_due = replace(lose(BUILT, key), due={**BUILT.due, key.asset: DAYS[:-1]})
    assert plan_healing(not_due).repairs == ()
    (repair,) = plan_healing(replace(not_due, failed={key})).repairs
    assert (repair.key, repair.reason) == (key, RepairReason.MISSING)


def test_a_day_whose_corrected_file_landed_is_ingested_in_the_run_that_makes_the_rest_of_it() -> None:
    undone = [Key(asset, DAY) for asset in MADE_FROM]
    held = replace(lose(BUILT, *undone), held={Key("transactions", DAY)})
    assert list_requests(plan_healing(held), held, {}, ()) == []
    corrected = replace(held, landed={**LANDED, DAY: "corrected"})
    (request,) = [one for one in list_requests(plan_healing(corrected), corrected, {}, ()) if not one.is_waiting]
    assert (request.first, request.last, request.assets) == (DAY, DAY, (*INGESTED, *MADE_FROM))
