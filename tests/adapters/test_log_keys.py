"""The keys of logs: from the environment or a file, and never shown."""

from pathlib import Path

import pytest

from pipeline_assets.adapters.log_keys import read_keyring

SECRET = "0123456789abcdef" * 4


def test_without_a_variable_there_is_no_key() -> None:
    assert not read_keyring({})
    assert not read_keyring({"PIPELINE_LOG_KEY": "", "PIPELINE_LOG_KEY_FILE": ""})


def test_a_key_comes_from_the_environment_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"new:{SECRET}\nold:{SECRET}\n")
    assert list(read_keyring({"PIPELINE_LOG_KEY": f"one:{SECRET}"}).keys) == ["one"]
    assert list(read_keyring({"PIPELINE_LOG_KEY_FILE": str(file)}).keys) == ["new", "old"]


def test_both_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="found both"):
        read_keyring({"PIPELINE_LOG_KEY": f"one:{SECRET}", "PIPELINE_LOG_KEY_FILE": "keys"})


@pytest.mark.parametrize("content", [SECRET.encode(), b"", b"\xff\xfe", f"one:{SECRET}\n{SECRET}".encode()])
def test_what_is_no_key_is_named_and_not_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"PIPELINE_LOG_KEY_FILE \(.*keys\)") as caught:
        read_keyring({"PIPELINE_LOG_KEY_FILE": str(file)})
    assert SECRET not in str(caught.value)
    if SECRET.encode() in content:
        with pytest.raises(ValueError, match="PIPELINE_LOG_KEY") as caught:
            read_keyring({"PIPELINE_LOG_KEY": content.decode()})
        assert SECRET not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_keyring({"PIPELINE_LOG_KEY_FILE": str(tmp_path / "nowhere")})
