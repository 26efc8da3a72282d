"""A stream over sources on the Hub and in an object store: the samples of local sources, with files fetched ahead."""

from pathlib import Path
from typing import Any

import pytest
from conftest import require_s3, require_torch
from hub_client import HubClient, Result
from loopback_hub import LoopbackHub
from object_store import ObjectStore

require_torch()
pytestmark = pytest.mark.slow

HUB_OPTIONS: dict[str, Any] = {}
STREAM = """
import hashlib, os
from torch.utils.data import DataLoader
from dvm_hf.sources.remote import source_files
from dvm_hf.torch import ClipStream

def main():
    log, fetch_one = os.environ["FETCHES"], source_files._fetch_one
    def recorded(one, cache, *, is_needed=True):
        with open(log, "a") as file:
            file.write(f"{'needed' if is_needed else 'ahead'} {one.path.name}\\n")
        return fetch_one(one, cache, is_needed=is_needed)
    source_files._fetch_one = recorded
    fields = dict(clip_length=2, crop_size=16, epochs=1, shuffle=True, samples_per_clip=2, backgrounds_per_foreground=2)
    stream = ClipStream("train", data_dir=SOURCE, **fields)
    digest = hashlib.sha256()
    for sample in DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context="fork"):
        digest.update(repr((sample["clip_id"], sample["start"])).encode())
        for name in ("frames", "alpha", "trimap"):
            digest.update(sample[name].numpy().tobytes())
    print(digest.hexdigest())

main()
"""


@pytest.fixture(scope="module")
def local_samples(client: HubClient, training_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    ended = streamed(client, str(training_sources), {"FETCHES": str(tmp_path_factory.mktemp("local") / "fetches")})
    assert len(ended.stdout.strip()) == 64, ended.stderr
    return ended.stdout


def streamed(client: HubClient, source: str, environment: dict[str, str]) -> Result:
    return client.run("program", STREAM.replace("SOURCE", repr(source)), environment=environment)


def uploaded_to_hub(request: pytest.FixtureRequest, folder: Path) -> tuple[str, dict[str, str], list[str]]:
    """Return the address, what the clients' environment needs, and the log of requests."""
    hub: LoopbackHub = request.getfixturevalue("hub")
    assert request.getfixturevalue("client").run("plain_upload", "alice/training", str(folder)).code == 0
    return "hf://datasets/alice/training", {}, hub.log


def uploaded_to_store(request: pytest.FixtureRequest, folder: Path) -> tuple[str, dict[str, str], list[str]]:
    require_s3()
    store: ObjectStore = request.getfixturevalue("object_store")
    return store.put(folder, "training"), store.environment, store.log


@pytest.mark.parametrize("uploaded", [uploaded_to_hub, uploaded_to_store])
def test_samples_are_those_of_local_sources(
    client: HubClient,
    request: pytest.FixtureRequest,
    training_sources: Path,
    local_samples: str,
    tmp_path: Path,
    uploaded: Any,
) -> None:
    """The second run sends one request: for the commit on the Hub, for the list of objects in a store."""
    address, environment, requests = uploaded(request, training_sources)
    log = tmp_path / "fetches"
    environment = environment | {"DVM_SOURCE_CACHE": str(tmp_path / "cache"), "FETCHES": str(log)}
    for _ in range(2):
        requests.clear()
        ended = streamed(client, address, environment)
        assert (ended.stdout, ended.code) == (local_samples, 0), ended.stderr
    assert len(requests) == 1
    kinds = [line.split()[0] for line in log.read_text().splitlines()]
    assert "ahead" in kinds
