"""An object store on the loopback interface: moto's server of S3, which keeps objects in memory.

moto does not compare the checksums of requests with their bodies.
"""

import os
import socket
from collections.abc import Iterator

import pytest

BUCKET = "clips"
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",  # or a client without credentials asks a host for them
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


class ObjectStore:
    """A running store with the bucket BUCKET. environment: what the processes of its clients need."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", _free_port(), verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.environment = {**_ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}

    def client(self):  # type: ignore[no-untyped-def]  # boto3 has no types
        """A client that shares no code with fsspec."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """The objects whose key starts with `prefix`, by the rest of the key."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {
            key.removeprefix(prefix): self.client().get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys
        }

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="module")
def running_store() -> Iterator[ObjectStore]:
    """A store for the tests of a module. They use different prefixes."""
    from conftest import require_s3

    require_s3()
    from s3fs import S3FileSystem

    store = ObjectStore()
    S3FileSystem.clear_instance_cache()  # those of another module's store have its endpoint
    store.client().create_bucket(Bucket=BUCKET)
    yield store
    store.stop()


@pytest.fixture
def object_store(running_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The store of the module, at which the environment of this process and of those it starts points."""
    for name, value in running_store.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return running_store


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
