"""What a failing step does: only what is transient is tried again, and the run says which kind of failure it was."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import wraps
from typing import Any, Final

import dagster as dg

from pipeline_assets.adapters.healing import fingerprint_step
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.core.failures import FailureKind, classify_failure
from pipeline_assets.core.lineage.recipes import Recipe

KIND_TAG: Final = "pipeline/failure_kind"
# Of a step that failed for good: the digest of what decided on it. Asking again with the same digest is pointless.
PERMANENT_TAG: Final = "pipeline/failed_for_good"
RETRY: Final = dg.RetryPolicy(
    max_retries=3,
    delay=2,  # seconds; then 4 and 8: a lock or a throttled store is free again, or it is no matter of seconds
    backoff=dg.Backoff.EXPONENTIAL,
    jitter=dg.Jitter.PLUS_MINUS,
)


def names_failures(recipes: Mapping[str, Recipe]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate the body of an asset or check: a failure that is not transient is never retried, and is tagged.

    A body may give its result or yield its results.
    """

    def decorate(body: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(body):

            @wraps(body)
            def yielding(context: Any, **resources: Any) -> Iterator[Any]:
                try:
                    yield from body(context, **resources)
                except Exception as error:
                    _fail(context, resources.get("stores"), recipes, error)

            return yielding

        @wraps(body)
        def returning(context: Any, **resources: Any) -> Any:
            try:
                return body(context, **resources)
            except Exception as error:
                return _fail(context, resources.get("stores"), recipes, error)

        return returning

    return decorate


def _fail(context: Any, stores: Stores | None, recipes: Mapping[str, Recipe], error: Exception) -> None:
    """Raise ``error`` again: as it is where it is transient, else as a failure without retries.

    Raises:
        Failure: It is not transient.
    """
    kind = classify_failure(error)
    op_context = getattr(context, "op_execution_context", context)
    op_context.instance.add_run_tags(op_context.run_id, {KIND_TAG: str(kind)})
    if kind is FailureKind.TRANSIENT:
        raise error
    if stores is not None:
        try:
            _tag_permanent_failure(op_context, stores, recipes)
        except Exception as problem:  # what decides on the outcome cannot be seen: it stays open whether it is for good
            op_context.log.warning(f"the run is not tagged: {type(problem).__name__}: {problem}")
    # Our own errors say all that is needed; of a bug the text alone says little.
    what = f"{type(error).__name__}: {error}" if kind is FailureKind.BUG else str(error)
    raise dg.Failure(
        description=f"{kind}: {what}", metadata={"failure_kind": str(kind)}, allow_retries=False
    ) from error


def _tag_permanent_failure(context: Any, stores: Stores, recipes: Mapping[str, Recipe]) -> None:
    """Tag the run: its step fails for good on this partition while inputs, code and parameters stay as they are.

    A check counts as a part of the step that makes its asset. Of a range of partitions nobody knows which one it was,
    so a range is not tagged: each is then tried alone once.
    """
    keys = {*context.selected_asset_keys, *(check.asset_key for check in context.selected_asset_check_keys)}
    steps = {recipes[asset].step for key in keys if (asset := key.to_user_string()) in recipes}
    if len(context.partition_keys) == 1 and len(steps) == 1:
        step, day = steps.pop(), date.fromisoformat(context.partition_keys[0])
        tags = {f"{PERMANENT_TAG}/{step}": fingerprint_step(stores, recipes, step, day)}
        context.instance.add_run_tags(context.run_id, tags)
