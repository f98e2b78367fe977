"""A tree of lineage in the open format that catalogues read: OpenLineage 2-0-2, one event a line.

A partition is a dataset, named as the command line names it, and its files are its other names. A job is an asset; a
run of it made one partition, and its parent is the run of Dagster. So what is asked twice is told under the same ids.
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import Final

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    RunFacet,
    dataset_version_dataset,
    job_type_job,
    nominal_time_run,
    parent_run,
    source_code_location_job,
    symlinks_dataset,
    tags_run,
)
from openlineage.client.serde import Serde

from pipeline_assets.core.lineage.pictures import describe_code
from pipeline_assets.core.lineage.recipes import WEEKLY_ASSETS
from pipeline_assets.core.lineage.tree import Node, NodeId, Origin, State, Tree

_PRODUCER: Final = f"urn:pipeline-assets:{version('pipeline-assets')}"


def describe_runs(
    tree: Tree, origins: Mapping[NodeId, Origin], root: str, now: datetime, repository: str | None = None
) -> Iterator[str]:
    """An event for each version whose record is at hand; what it was made from comes before it.

    Args:
        tree: The tree.
        origins: The runs that made its versions, as far as they are known.
        root: The data root, a folder or an ``s3://`` URL: it tells one pipeline's datasets from another's.
        now: The time of events of which no run is known; their nominal time is their partition's all the same.
        repository: URL of the repository that holds the code; without, the revision stands among the tags alone.
    """
    namespace = root if "://" in root else Path(root).as_uri()
    for one in TopologicalSorter({node.id: node.inputs for node in tree.nodes.values()}).static_order():
        node = tree.nodes.get(one)
        if node is not None and node.state is State.RECORDED:
            origin = origins.get(node.id)
            yield Serde.to_json(
                RunEvent(
                    eventTime=(origin.made_at if origin else now).isoformat(),
                    producer=_PRODUCER,
                    eventType=RunState.COMPLETE,
                    run=_describe_run(node, origin, namespace),
                    job=Job(namespace, node.id.key.asset, _describe_job(origin, repository)),
                    inputs=[_describe_input(tree, one, root, namespace) for one in node.inputs],
                    outputs=[OutputDataset(namespace, str(node.id.key), facets=_describe_files(node.id, node, root))],
                )
            )


def _describe_run(node: Node, origin: Origin | None, namespace: str) -> Run:
    day = node.id.key.day
    days = 7 if node.id.key.asset in WEEKLY_ASSETS else 1
    code, parameters = describe_code(node)
    tags = {"code": code, "code_parameters": parameters, "partition": f"{day}"}
    if origin:
        tags |= {"revision": origin.revision, "parameters": origin.parameters}
    facets: dict[str, RunFacet] = {
        "nominalTime": nominal_time_run.NominalTimeRunFacet(
            _start(day), _start(day + timedelta(days=days)), producer=_PRODUCER
        ),
        "tags": tags_run.TagsRunFacet(
            [tags_run.TagsRunFacetFields(name, value, "DAGSTER") for name, value in tags.items() if value],
            producer=_PRODUCER,
        ),
    }
    if origin:
        facets["parent"] = parent_run.ParentRunFacet(
            parent_run.Run(origin.run_id), parent_run.Job(namespace, origin.job), producer=_PRODUCER
        )
    name = f"{namespace} {origin.run_id if origin else ''} {node.id}"
    return Run(str(uuid.uuid5(uuid.NAMESPACE_URL, name)), facets)


def _describe_job(origin: Origin | None, repository: str | None) -> dict[str, JobFacet]:
    facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "DAGSTER", "ASSET", producer=_PRODUCER)
    }
    if repository:
        facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
            "git", repository, repository, version=origin.revision if origin else None, producer=_PRODUCER
        )
    return facets


def _describe_input(tree: Tree, one: NodeId, root: str, namespace: str) -> InputDataset:
    node = tree.nodes.get(one)
    is_landed = node is not None and node.state is State.LANDED  # the files of what has a record stand in its own event
    return InputDataset(namespace, str(one.key), facets=_describe_files(one, node if is_landed else None, root))


def _describe_files(one: NodeId, node: Node | None, root: str) -> dict[str, DatasetFacet]:
    facets: dict[str, DatasetFacet] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(one.version, producer=_PRODUCER)
    }
    if node is not None:
        identifiers = [symlinks_dataset.Identifier(*_locate(root, path), "FILE") for path in node.files]
        facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet(identifiers, producer=_PRODUCER)
    return facets


def _locate(root: str, path: str) -> tuple[str, str]:
    """Namespace and name of a file, as OpenLineage's naming conventions have it."""
    if "://" not in root:
        return "file", f"{root}/{path}"
    scheme, _, rest = root.partition("://")
    bucket, _, prefix = rest.partition("/")
    return f"{scheme}://{bucket}", f"{prefix.strip('/')}/{path}".lstrip("/")


def _start(day: date) -> str:
    return datetime.combine(day, datetime.min.time(), UTC).isoformat()
