"""Which failures are tried again: only those that time alone can mend."""

import errno
import sqlite3

import pytest

from pipeline_assets.adapters.holds import PartitionHeldError
from pipeline_assets.adapters.lake import ContractError, PartitionMissingError
from pipeline_assets.adapters.models import ModelCorruptError, ModelMissingError
from pipeline_assets.adapters.release_log import ReleaseLogError
from pipeline_assets.core.failures import FailureKind, classify_failure
from pipeline_assets.core.training import TrainingDataError


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        ConnectionResetError("by peer"),
        TimeoutError("timed out"),
        sqlite3.OperationalError("database is locked"),
    ],
)
def test_what_time_can_mend_is_transient(error: Exception) -> None:
    assert classify_failure(error) is FailureKind.TRANSIENT


@pytest.mark.parametrize(
    "kind", [ContractError, PartitionHeldError, ModelCorruptError, ReleaseLogError, TrainingDataError]
)
def test_what_only_other_data_can_mend_is_bad_data(kind: type[Exception]) -> None:
    assert classify_failure(kind("x")) is FailureKind.BAD_DATA


@pytest.mark.parametrize("kind", [PartitionMissingError, ModelMissingError])
def test_what_only_an_input_can_mend_is_absent_input(kind: type[Exception]) -> None:
    assert classify_failure(kind("x")) is FailureKind.ABSENT_INPUT


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("x"),
        AssertionError(),
        FileNotFoundError("x"),
        IsADirectoryError(errno.EISDIR, "x"),
        sqlite3.OperationalError("no such table: x"),
    ],
)
def test_whatever_is_not_named_is_a_bug(error: Exception) -> None:
    assert classify_failure(error) is FailureKind.BUG


def test_an_error_is_what_it_was_raised_from() -> None:
    error = RuntimeError("writing failed")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert classify_failure(error) is FailureKind.TRANSIENT


def test_an_error_that_is_its_own_cause_is_read_once() -> None:
    error = RuntimeError("x")
    error.__cause__ = error
    assert classify_failure(error) is FailureKind.BUG


def test_a_lock_of_a_real_duckdb_file_is_transient(tmp_path_factory: pytest.TempPathFactory) -> None:
    import subprocess
    import sys

    import duckdb

    path = tmp_path_factory.mktemp("duckdb") / "a.duckdb"
    program = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        try:
            with pytest.raises(duckdb.IOException) as caught:
                duckdb.connect(str(path))
        finally:
            holder.communicate()
    assert classify_failure(caught.value) is FailureKind.TRANSIENT
