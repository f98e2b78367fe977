"""The model card: what a person has to know of a model before he lets it decide, as Markdown.

After Mitchell and others, Model Cards for Model Reporting (2019). The same values always give the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS, MAX_LATENESS_DAYS
from pipeline_assets.contracts.vocabularies import Degradation, Rung
from pipeline_assets.core.assessment import CANDIDATE, Assessment
from pipeline_assets.core.costs import DecisionParams, tell_money
from pipeline_assets.core.evaluation import Evaluation, EvaluationParams
from pipeline_assets.core.ladder import STALE_DAYS, Step, name_stale

_NOTHING: Final = "-"  # where a number is not defined
_CAUSES: Final = {
    str(Rung.BACKUP): "the champion cannot decide and the backup does",
    str(Rung.RULES): "no model can decide and the rules do",
    str(Degradation.CUSTOMER_FEATURES_MISSING): "the customer features are missing",
    str(Degradation.TERMINAL_FEATURES_MISSING): "the terminal features are missing",
    **{name_stale(days): f"all features are {days} day{'s' if days > 1 else ''} old" for days in STALE_DAYS},
}


@dataclass(frozen=True)
class ModelFacts:
    """The model that a card is about.

    Attributes:
        version: Its name in the release log.
        made_of: What it was trained on and how, as it is stored beside the model.
    """

    version: str
    made_of: Mapping[str, Any]


def render_card(
    as_of: date,
    model: ModelFacts | None,
    test_week: tuple[date, date],
    assessment: Assessment,
    params: EvaluationParams,
    decision: DecisionParams,
) -> str:
    """The card of the model as of a day.

    Args:
        as_of: The first day that the model does not know.
        model: The model; None where none was trained as of that day.
        test_week: The first and last day of the payments that its recipe was tested on.
        assessment: What the evaluation says.
        params: How models are compared.
        decision: What outcomes cost.
    """
    report = assessment.reports.get(CANDIDATE)
    sections = [
        *_introduce(as_of, model, test_week),
        *_tell_data(model),
        *_tell_metrics(assessment, params),
        *_tell_segments(assessment),
        *_tell_calibration(report),
        *_tell_verdicts(assessment, params),
        *_tell_ladder(assessment, params),
        *_tell_limits(report, decision),
        *_tell_lineage(model),
    ]
    return "\n".join(sections) + "\n"


def title_card(version: str) -> str:
    """The first line of the card of a model."""
    return f"# Model card: {version}"


def list_verdicts(assessment: Assessment) -> str:
    """The verdict on the candidate beside each rival, as a Markdown table; empty where there is none."""
    rows = [
        (name, one.verdict.upper(), one.reason, tell_money(assessment.comparisons[name].cost_gain_cents.value))
        for name, one in assessment.conclusions.items()
    ]
    lines = _table(("against", "verdict", "why", "its decisions would have cost less by"), rows) if rows else []
    return "\n".join(lines)


def explain_step(step: Step, top: Step, top_cards: int) -> str:
    """One step of the ladder in a sentence that says what it means to be on it."""
    loss = step.as_metrics(top)
    cost, share = loss["cost_loss_cents"], loss["cost_loss_per_1000_cents"]
    return (
        f"If {_CAUSES[step.name]}: average precision is {step.average_precision:.3f} instead of "
        f"{top.average_precision:.3f}; of {top_cards} cards investigated a day {step.card_precision * top_cards:.1f} "
        f"instead of {top.card_precision * top_cards:.1f} had a fraud; a week like this one costs "
        f"{tell_money(abs(cost))} {'more' if cost >= 0 else 'less'}, {tell_money(abs(share))} on 1,000 payments."
    )


def _introduce(as_of: date, model: ModelFacts | None, test_week: tuple[date, date]) -> Iterable[str]:
    first, last = test_week
    yield title_card(model.version if model else f"no model as of {as_of}")
    yield ""
    yield (
        f"It says how likely a card payment is a fraud. It knows what was known before {as_of}, {first} to {last} "
        "included. Therefore all figures of quality below are not its own: they are of its **recipe** (features, "
        f"parameters, code) held out: trained on what was known before {first} and tested on {first} to {last}, "
        f"the latest week whose labels were mature by {as_of}. The model itself has learned from two more weeks."
    )
    yield ""


def _tell_data(model: ModelFacts | None) -> Iterable[str]:
    yield "## What it was trained on"
    yield ""
    if model is None:
        yield "No model was trained as of this day; the figures below are of the recipe alone."
        yield ""
        return
    made_of = model.made_of
    rate = made_of["n_frauds"] / made_of["n_rows"]
    yield from _table(
        ("", ""),
        [
            ("payments", f"{made_of['n_rows']:,}"),
            ("frauds", f"{made_of['n_frauds']:,} ({rate:.2%})"),
            ("first payment", made_of["first_event_time"]),
            ("last payment", made_of["last_event_time"]),
            ("features", len(made_of["features"])),
            *((f"`{name}`", value) for name, value in sorted(made_of["params"].items())),
        ],
    )
    yield ""


def _tell_metrics(assessment: Assessment, params: EvaluationParams) -> Iterable[str]:
    yield "## Quality on the test week"
    yield ""
    report = assessment.reports.get(CANDIDATE)
    if report is not None:
        yield (
            f"{report.n_rows:,} payments of {report.n_cards:,} cards, {report.n_frauds:,} frauds "
            f"({report.fraud_rate:.2%}), {report.first} to {report.last}. {report.n_removed:,} payments of "
            f"{report.n_known_cards:,} cards that were already known as compromised do not count."
        )
        yield ""
    yield from (f"No figures of the {subject}: {problem}." for subject, problem in assessment.problems.items())
    if not assessment.reports:
        yield ""
        return
    header = (
        "", "average precision", "ROC AUC", f"card precision@{params.top_cards}", "of the reachable", "Brier",
        "calibration error", "cost of the decisions",
    )  # fmt: skip
    rows = [
        (
            f"**{name}**" if name == CANDIDATE else name, f"{one.average_precision:.4f}", f"{one.roc_auc:.4f}",
            f"{one.card_precision:.4f}", f"{one.card_precision_share:.1%}", f"{one.brier:.5f}",
            f"{one.calibration_error:.5f}", tell_money(assessment.costs[name]),
        )
        for name, one in assessment.reports.items()
    ]  # fmt: skip
    yield from _table(header, rows)
    yield ""


def _tell_segments(assessment: Assessment) -> Iterable[str]:
    if not assessment.segments:
        return
    yield "## Quality by segment"
    yield ""
    header = (
        "segment", "payments", "frauds", "fraud rate", "average precision", "frauds stopped", "honest declined",
        "cost per 1,000 payments",
    )  # fmt: skip
    rows = [
        (
            one.name, f"{one.n_rows:,}", one.n_frauds, f"{one.n_frauds / one.n_rows:.2%}",
            _tell(one.average_precision, ".4f"), _tell(one.stopped_share, ".1%"),
            _tell(one.honest_declined_share, ".2%"), tell_money(one.cost_per_1000_cents),
        )
        for one in assessment.segments
    ]  # fmt: skip
    yield from _table(header, rows)
    yield ""
    yield "Stopped is what was declined or sent to review. With few frauds a figure of a segment says little."
    yield ""


def _tell_calibration(report: Evaluation | None) -> Iterable[str]:
    if report is None:
        return
    yield "## Calibration"
    yield ""
    yield "Payments in the order of their scores, in bins of about equal size: what was said, and what was so."
    yield ""
    rows = [(f"{mean:.5f}", f"{rate:.5f}", f"{n:,}") for mean, rate, n in report.calibration]
    yield from _table(("mean score", "fraud rate", "payments"), rows)
    yield ""


def _tell_verdicts(assessment: Assessment, params: EvaluationParams) -> Iterable[str]:
    if not assessment.conclusions:
        return
    yield "## Against earlier models and the rules"
    yield ""
    yield (
        f"On the same payments; intervals of {params.confidence:.0%}, from {params.resamples} resamples by customer. "
        "Earlier models may have learned from a week more than the held-out recipe, which counts against it."
        + (f" The held-out recipe is {assessment.held_out} itself." if assessment.held_out else "")
    )
    yield ""
    yield list_verdicts(assessment)
    yield ""


def _tell_ladder(assessment: Assessment, params: EvaluationParams) -> Iterable[str]:
    if not assessment.ladder:
        return
    top, *below = assessment.ladder
    yield "## What degraded means: the priced ladder"
    yield ""
    header = (
        "step", "average precision", "loss", f"card precision@{params.top_cards}", "loss", "cost of the week", "more",
        "more per 1,000 payments",
    )  # fmt: skip
    rows = []
    for step in assessment.ladder:
        loss = step.as_metrics(top)
        rows.append((
            f"`{step.name}`", f"{step.average_precision:.4f}", f"{loss['average_precision_loss']:.4f}",
            f"{step.card_precision:.4f}", f"{loss['card_precision_loss']:.4f}", tell_money(step.cost_cents),
            tell_money(loss["cost_loss_cents"]), tell_money(loss["cost_loss_per_1000_cents"]),
        ))  # fmt: skip
    yield from _table(header, rows)
    yield ""
    yield f"To approve every payment of that week would have cost {tell_money(assessment.unprotected_cents)}."
    if assessment.backup:
        yield f"The backup here is {assessment.backup}, the newest earlier model; the release may have another one."
    yield ""
    yield from (f"- {explain_step(step, top, params.top_cards)}" for step in below)
    yield ""


def _tell_limits(report: Evaluation | None, decision: DecisionParams) -> Iterable[str]:
    yield "## Limits"
    yield ""
    yield (
        f"- Labels are reports of fraud, and count as complete {LABEL_DELAY_DAYS} days after a payment: what is "
        "reported later was learned as honest, and a fraud that began in these days has not been seen at all."
    )
    yield (
        "- It has seen neither customers nor terminals that are new since, nor payments that arrive more than "
        f"{MAX_LATENESS_DAYS} days late, nor any pattern of fraud that the training period does not hold."
    )
    yield (
        "- Every payment of the test week counts with its label, as if it had been approved. Simulated data has labels "
        "of declined payments, too. In reality a declined payment is never reported: there, frauds that were stopped "
        "are missing from labels and figures, unless some payments are approved at random to learn of them."
    )
    if report is not None:
        yield (
            f"- One week with {report.n_frauds:,} frauds. The intervals tell of other samples of its customers: not of "
            "other weeks, nor that frauds at one terminal go together."
        )
    yield (
        "- Money is by these costs, in cents: "
        f"chargeback fee {decision.chargeback_fee_cents}, review {decision.review_cost_cents} (finds "
        f"{decision.review_detection_share:.0%} of the frauds), false decline {decision.false_decline_cost_cents} and "
        f"{decision.margin_share:.1%} of the amount. It is as good as they are."
    )
    yield ""


def _tell_lineage(model: ModelFacts | None) -> Iterable[str]:
    if model is None:
        return
    yield "## Lineage"
    yield ""
    made_of = model.made_of
    rows = [
        ("version", f"`{model.version}`"),
        ("md5 of the model", f"`{made_of['md5']}`"),
        ("digest of rows, parameters and code it was trained with", f"`{made_of['training_digest']}`"),
        ("version of the training code", made_of["code_version"]),
        ("LightGBM", made_of["lightgbm_version"]),
    ]
    yield from _table(("", ""), rows)
    yield ""
    yield f"All it was made from: `pipeline-assets lineage {model.version}`; made again, bit for bit: "
    yield f"`pipeline-assets reproduce {model.version}`."


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines]


def _tell(value: float | None, style: str) -> str:
    return _NOTHING if value is None else format(value, style)
