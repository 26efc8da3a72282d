"""Sources in a dataset repository of a loopback Hub: the same pixels as local, and which bytes are fetched."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hub_client import HubClient
from loopback_hub import LoopbackHub

pytestmark = pytest.mark.slow

HUB_OPTIONS: dict[str, Any] = {"page": 5}
ADDRESS = "hf://datasets/alice/matting"
FIELDS = ("--clip-length", "4", "--backgrounds-per-foreground", "2", "--config", "train")


@pytest.fixture(scope="module")
def uploaded(client: HubClient, few_sources: Path) -> str:
    """Return the commit of `few_sources` on the Hub."""
    ended = client.run("plain_upload", "alice/matting", str(few_sources))
    assert ended.code == 0, ended.stderr
    return str(ended.value)


def digest(client: HubClient, source: str, cache: Path | str = "") -> Any:
    ended = client.run("command_line", "digest", source, *FIELDS, "--json", environment={"DVM_SOURCE_CACHE": str(cache)})
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout)


def fetches(hub: LoopbackHub) -> list[str]:
    """Return the requests so far that send files."""
    return [entry for entry in hub.log if entry.startswith("GET") and ("/get/" in entry or "/resolve/" in entry)]


def test_pixels_are_those_of_local_sources_and_a_second_run_fetches_nothing(
    client: HubClient, hub: LoopbackHub, uploaded: str, few_sources: Path, tmp_path: Path
) -> None:
    local = digest(client, str(few_sources))
    hub.log.clear()
    assert digest(client, ADDRESS, tmp_path / "cache") == local
    first = fetches(hub)
    print("\n".join(hub.log))
    assert len(first) == len(set(first)) > 0
    hub.log.clear()
    assert digest(client, ADDRESS, tmp_path / "cache") == local
    assert fetches(hub) == []
    print("\n".join(hub.log))
