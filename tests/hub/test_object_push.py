"""dvm push of a prepared folder in an object store, with the Hub and the store on the loopback interface."""

import hashlib
import json
from pathlib import Path

import pytest
from conftest import require_s3
from hub_client import HubClient
from loopback_hub import LoopbackHub
from object_store import BUCKET, ObjectStore
from prepared_folder import write_prepared

require_s3()
pytestmark = pytest.mark.slow

HUB_OPTIONS = {"part_bytes": 14_400, "page": 5}


def test_objects_are_pushed_as_files_are(
    hub: LoopbackHub, client: HubClient, object_store: ObjectStore, tmp_path: Path
) -> None:
    """Shards go through scratch one at a time, and none is left there."""
    local, scratch = write_prepared(tmp_path / "out", shards={"train": 3}), tmp_path / "scratch"
    scratch.mkdir()
    files = [path for path in local.rglob("*") if path.is_file() and ".cache" not in path.parts]
    for path in files:
        key = f"push/{path.relative_to(local).as_posix()}"
        object_store.client().put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    environment = object_store.environment | {"TMPDIR": str(scratch)}
    result = client.run(
        "command_line", "push", f"s3://{BUCKET}/push", "alice/mattes", "--json", environment=environment
    )
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout)["rows_compared"] == 2
    repo = hub.repos["alice/mattes"]
    commit = repo.commits[repo.refs["refs/heads/main"]]
    pushed = {path: entry.sha256 for path, entry in commit.files.items() if path.endswith(".parquet")}
    expected = {path.relative_to(local).as_posix(): path.read_bytes() for path in files if path.suffix == ".parquet"}
    assert pushed == {name: hashlib.sha256(data).hexdigest() for name, data in expected.items()}
    assert [path for path in scratch.rglob("*") if path.is_file()] == []
