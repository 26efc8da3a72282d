"""An object store on the loopback interface: moto's server of S3, which keeps objects in memory.

moto does not compare the checksums of requests with their bodies.
"""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
    """A running store with the bucket BUCKET. environment: what the processes of its clients need.

    log: its requests, as "GET KEY". on_request: called with the WSGI environment of each request before moto gets it.
    """

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Handler(WSGIRequestHandler):
            def log_request(self, *arguments: object) -> None:
                """Requests are in `log`."""

        self.log: list[str] = []
        self.on_request: Callable[[dict[str, Any]], object] = lambda environ: None
        self._cut: tuple[int, Callable[[], object]] | None = None
        self._lock = threading.Lock()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.environment = {**_ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}"}

    def put(self, folder: Path, name: str) -> str:
        """Upload a folder; return its address."""
        client = self.client()
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{name}/{path.relative_to(folder).as_posix()}"
                client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
        return f"s3://{BUCKET}/{name}"

    def fetched(self) -> list[str]:
        """Return the key of each object that was sent since the last call."""
        with self._lock:
            found = [key for method, key in map(str.split, self.log) if method == "GET" and key.strip("/") != BUCKET]
            self.log.clear()
        return [key.removeprefix(f"/{BUCKET}/") for key in found]

    def cut(self, skip: int, act: Callable[[], object]) -> None:
        """After `skip` objects were sent, call `act` in the middle of the next one, and close the connection."""
        self._cut = skip, act

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.on_request(environ)
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._lock:
            self.log.append(f"{method} {path}")
            act = None
            if self._cut is not None and method == "GET" and path.strip("/") != BUCKET:
                skip, act = self._cut
                self._cut = (skip - 1, act) if skip else None
                act = None if skip else act
        answer = self._moto(environ, start_response)
        return answer if act is None else _half(answer, act)

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
        self._server.shutdown()
        self._server.server_close()


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


def _half(answer: Any, act: Callable[[], object]) -> Iterator[bytes]:
    data = b"".join(answer)
    yield data[: len(data) // 2]
    act()
    raise ConnectionResetError("cut")
