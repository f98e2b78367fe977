"""`pipeline-assets rehearse`: a simulated year of releases in minutes, beside the same year without protection."""

from pathlib import Path

import click

from pipeline_assets.commands.opening import reports_errors


@click.command()
@click.option("--weeks", default=52, show_default=True, help="Length; what there is no time for is left out.")
@click.option("--seed", default=0, show_default=True, help="Another seed is another world of the same kind.")
@click.option("--customers", default=1000, show_default=True, help="Fewer are faster, and show less.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Folder of the report.")
@reports_errors
def rehearse(weeks: int, seed: int, customers: int, report: Path | None) -> None:
    """A year of releases in minutes: good, worse and broken models, a champion that fails, a new fraud.

    All on a world of its own; the data of the pipeline is not touched. Beside it the same world, models and faults
    without protection. It fails if anything that was to come of it did not.
    """
    from pipeline_assets.adapters.leftovers import open_scratch
    from pipeline_assets.drills.rehearsal.outcome import rehearse as play
    from pipeline_assets.drills.rehearsal.report import make_table, write_report
    from pipeline_assets.drills.rehearsal.scenario import plan_year
    from pipeline_assets.drills.rehearsal.verdict import judge
    from pipeline_assets.drills.world import find_scratch_folder

    scenario = plan_year(weeks, seed, customers)
    if scenario.left_out:
        click.echo(f"no time for: {', '.join(act.name for act in scenario.left_out)}")
    with open_scratch("pipeline-rehearsal-", find_scratch_folder()) as folder:
        outcome = play(scenario, folder, click.echo)
        expectations = judge(outcome)
        page = write_report(outcome, expectations, report or Path("data", "reports", "rehearsal"))
    click.echo("\n" + make_table(outcome))
    click.echo(f"report: {page}")
    for one in expectations:
        click.echo(f"{'yes' if one.is_met else 'NO '}  {one.what}: {one.found}")
    unmet = [one.what for one in expectations if not one.is_met]
    if unmet:
        raise click.ClickException(f"did not come true: {'; '.join(unmet)}")


REHEARSAL_COMMANDS = (rehearse,)
