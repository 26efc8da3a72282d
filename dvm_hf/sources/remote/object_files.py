"""Source trees in object stores, such as s3://bucket/prefix, and other file systems of fsspec.

The contents are "md5:HEX" if the store's ETag is the MD5 of the object, otherwise "version:HEX", a hash of the ETag, or
of all that the store lists about the file.
"""

import hashlib
import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from dvm_hf.addresses import answered, file_system
from dvm_hf.errors import FetchError, SourceError
from dvm_hf.machine_faults import full_disk
from dvm_hf.sources.remote.listed_tree import RemoteFile

MD5 = re.compile(r"[0-9a-f]{32}")
CHUNK = 1 << 20

Made = TypeVar("Made")


def listed(address: str) -> list[RemoteFile]:
    """Return the files below an address, with paths relative to it. S3 lists 1,000 of them with a request."""
    fs, root = file_system(address)
    found = store_answer(lambda: fs.find(root, detail=True), address)
    prefix = f"{root.rstrip('/')}/"
    files = {path: info for path, info in found.items() if info["type"] == "file" and not path.endswith("/")}
    return [
        RemoteFile(path.removeprefix(prefix), info["size"], _content(info))
        for path, info in files.items()
        if path.startswith(prefix)
    ]


def fetched(address: str, file: RemoteFile, cache: Path) -> Path:
    """Return the path of a file's content in a cache folder; fetch it if it is missing.

    Raises SourceError if its size or content differs from the listing, FetchError if there is no connection.
    """
    stored = cache / "objects" / file.content.partition(":")[2]
    if stored.is_file():
        return stored
    stored.parent.mkdir(parents=True, exist_ok=True)
    fs, root = file_system(address)
    path, where = f"{root.rstrip('/')}/{file.path}", f"{address.rstrip('/')}/{file.path}"
    part = stored.with_name(f"{stored.name}.part")  # only one process fetches a content
    for _ in range(2):
        store_answer(lambda: fs.get_file(path, os.fspath(part)), where)
        if part.stat().st_size == file.size and _is_content(part, file, fs, path, where):
            part.replace(stored)
            return stored
        part.unlink()
    raise SourceError(
        f"{where}: the bytes that the store sends differ from the size or ETag that it listed; if the object was "
        "replaced meanwhile, run the command again, otherwise upload it again"
    )


def _content(info: dict[str, Any]) -> str:
    tag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    if MD5.fullmatch(tag):
        return f"md5:{tag}"
    version = (tag, info["size"]) if tag else sorted((name, _fact(value)) for name, value in info.items())
    return f"version:{hashlib.sha256(repr(version).encode()).hexdigest()[:32]}"


def _fact(value: Any) -> str:
    return str(value.timestamp() if isinstance(value, datetime) else value)  # listings may have another type than info


def _is_content(part: Path, file: RemoteFile, fs: Any, path: str, where: str) -> bool:
    kind, _, expected = file.content.partition(":")
    if kind == "md5":
        with part.open("rb") as opened:
            digest = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False))
        return digest.hexdigest() == expected or _is_encrypted(fs, path, where)
    return _content(store_answer(lambda: fs.info(path), where)) == file.content


def _is_encrypted(fs: Any, path: str, where: str) -> bool:
    """Return whether S3 encrypts an object with a key of the user: then its ETag only looks like an MD5."""
    if not hasattr(fs, "call_s3"):
        return False
    bucket, _, key = path.partition("/")
    head = store_answer(lambda: fs.call_s3("head_object", Bucket=bucket, Key=key), where)
    return "SSECustomerAlgorithm" in head or str(head.get("ServerSideEncryption", "")).startswith("aws:kms")


def store_answer(action: Callable[[], Made], where: str) -> Made:
    """Return the result of a request, sent again for a while. Clients raise errors of their own, besides OSError.

    where: what it is about, for errors. Raises SourceError if that is missing, FetchError if there is no connection or
    access is denied: that is no fault of a source, which `on_error="skip"` would skip.
    """
    try:
        return answered(action)
    except FileNotFoundError as error:
        raise SourceError(f"{where}: not found; check the address") from error
    except PermissionError as error:
        raise FetchError(f"{where}: access is denied ({error}); check the credentials of the store") from error
    except Exception as error:
        if full_disk(error) is not None:
            raise
        raise FetchError(
            f"{where}: could not be fetched ({type(error).__name__}: {error}); check the network and the credentials, "
            "and run the same command again. Files that were fetched are kept"
        ) from error
