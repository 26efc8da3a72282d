"""Addresses are told from paths, and a missing file system is named with its extra."""

import importlib
import sys
from pathlib import Path

import pytest

from dvm_hf import ConfigError
from dvm_hf.addresses import file_system, is_address


@pytest.mark.parametrize("name", ["s3://bucket/prefix", "hf://datasets/user/name", "memory://out", "S3://bucket"])
def test_an_address_has_a_protocol(name: str) -> None:
    assert is_address(name)


@pytest.mark.parametrize(
    "name", ["out", "/data/out", "C:/out", "C://out", "./s3://bucket", "s3:/bucket", "", Path("s3://b"), None]
)
def test_other_names_are_paths(name: object) -> None:
    assert not is_address(name)


def test_a_file_system_shows_what_another_writes() -> None:
    fs, path = file_system("memory://addresses/out")
    other, _ = file_system("memory://addresses/out", skip_instance_cache=True)
    assert fs.find(path) == []
    other.pipe_file(f"{path}/file", b"text")
    assert fs.find(path) == ["/addresses/out/file"]


def test_protocols_have_no_case() -> None:
    assert file_system("MEMORY://addresses/Out")[1] == "/addresses/Out"


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setattr("fsspec.core.get_filesystem_class", lambda protocol: importlib.import_module(f"{protocol}fs"))
    with pytest.raises(ConfigError, match=r"s3://bucket/prefix: needs packages .* install -e '\.\[s3\]'"):
        file_system("s3://bucket/prefix")


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(ConfigError, match="knows no file system for unknown://"):
        file_system("unknown://bucket/prefix")
