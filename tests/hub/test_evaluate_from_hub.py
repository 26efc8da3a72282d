"""`dvm evaluate` with datasets of a loopback Hub: the same numbers as with local files."""

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hub_client import HubClient
from loopback_hub import LoopbackHub
from predicted_mattes import changed, rows_of, stored_layers

pytestmark = pytest.mark.slow

HUB_OPTIONS: dict[str, Any] = {}
FEATURES = {
    "clip_id": datasets.Value("string"),
    "start": datasets.Value("int32"),
    "alpha": datasets.Sequence(datasets.Image()),
}


def test_predictions_and_reference_are_read_from_the_hub(
    client: HubClient, hub: LoopbackHub, prepared_once: Path, tmp_path: Path
) -> None:
    predicted = changed(stored_layers(prepared_once, "alpha"), lambda alpha: np.roll(alpha, 1, axis=1))
    folder = tmp_path / "predicted"
    folder.mkdir()
    rows = datasets.Dataset.from_dict(rows_of(predicted), features=datasets.Features(FEATURES))
    rows.to_parquet(str(folder / "test.parquet"))
    assert client.run("command_line", "push", str(prepared_once), "alice/truth").code == 0
    client.run("plain_upload", "alice/mattes", str(folder))
    environment = {"DVM_EVALUATION_CACHE": ""}
    found = []
    for names in (
        (str(folder), str(prepared_once)),
        ("hf://datasets/alice/mattes", "hf://datasets/alice/truth@main"),
    ):
        ended = client.run("command_line", "evaluate", *names, "--json", environment=environment)
        assert ended.code == 0, ended.stderr
        found.append(json.loads(ended.stdout))
    assert found[0]["mean"]["whole"]["mad"] > 1
    assert found[1] == found[0]
    missing = client.run("command_line", "evaluate", "hf://datasets/alice/nothing", "alice/truth")
    assert missing.code == 2
    assert "hf://datasets/alice/nothing: cannot be read" in missing.stderr
