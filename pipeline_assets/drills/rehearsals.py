"""The rehearsal as a drill: models that break in every way, in a short run of releases on a world of its own."""

from typing import Final

from pipeline_assets.drills.drill import Drill, Journal
from pipeline_assets.drills.rehearsal.outcome import rehearse
from pipeline_assets.drills.rehearsal.scenario import plan_drill
from pipeline_assets.drills.rehearsal.verdict import judge
from pipeline_assets.drills.world import World


def run_rehearsal(world: World, journal: Journal) -> None:
    """Let models go wrong, and see who decided meanwhile; beside it, the same without protection."""
    outcome = rehearse(plan_drill(), world.make_folder("rehearsal"), journal.note)
    for event in outcome.events:
        if event.act.wrong is None:
            continue
        if event.scene is not None and event.scene.wrong_since is not None:
            journal.broke(f"model that is {event.act.wrong}")
        for arm, toll in (("with protection", event.protected), ("without protection", event.unprotected)):
            journal.count(f"{event.act.name}: customers affected {arm}", toll.n_customers)
            journal.count(f"{event.act.name}: cents lost {arm}", toll.lost_cents)
        if event.n_days_to_detect is not None:
            journal.count(f"{event.act.name}: days to detect", event.n_days_to_detect)
    for expectation in judge(outcome):
        if not expectation.is_met:
            journal.fail(f"{expectation.what}: not so: {expectation.found}")


REHEARSAL: Final = Drill(
    "rehearsal", "new models and a champion, in five ways, in a short run of releases", run_rehearsal
)
