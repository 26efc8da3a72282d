"""A stream over sources on a loopback Hub: the samples of local sources, with files fetched ahead by its workers."""

from pathlib import Path
from typing import Any

import pytest
from conftest import require_torch
from hub_client import HubClient
from loopback_hub import LoopbackHub

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


def test_samples_are_those_of_local_sources(
    client: HubClient, hub: LoopbackHub, training_sources: Path, tmp_path: Path
) -> None:
    assert client.run("plain_upload", "alice/training", str(training_sources)).code == 0
    log, found = tmp_path / "fetches", []
    environment = {"DVM_SOURCE_CACHE": str(tmp_path / "cache"), "FETCHES": str(log)}
    for source in (str(training_sources), "hf://datasets/alice/training", "hf://datasets/alice/training"):
        hub.log.clear()
        ended = client.run("program", STREAM.replace("SOURCE", repr(source)), environment=environment)
        assert ended.code == 0, ended.stderr
        found.append(ended.stdout)
    assert found[1] == found[2] == found[0]
    assert hub.log == ["GET /api/datasets/alice/training/revision/main?expand=sha"]  # the second run fetches nothing
    kinds = [line.split()[0] for line in log.read_text().splitlines()]
    assert "ahead" in kinds
