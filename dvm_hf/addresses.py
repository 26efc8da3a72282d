"""Addresses of file systems other than this machine's, such as s3://bucket/prefix, which fsspec opens."""

import errno
import glob
import importlib
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

from dvm_hf.errors import ConfigError

ADDRESS = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]+)://")
NOT_STORES = ("hf", "http", "https")
EXTRAS = {"s3": "s3"}  # protocols whose file system an extra of this package installs

RETRY_SECONDS = 30.0  # in which a request that fails is sent again; each try of s3fs takes up to 12 s if none answers
FIRST_WAIT = 0.5  # seconds, doubled for each further try
ABOUT_OBJECTS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
FINAL = (*ABOUT_OBJECTS, PermissionError, ValueError, NotImplementedError, RecursionError)  # a repetition fails, too
FINAL_NUMBERS = (errno.ENOSYS, errno.ENOSPC, errno.EDQUOT)
Result = TypeVar("Result")


def is_address(name: object) -> bool:
    """Whether a name is an address, such as s3://bucket/prefix, and not a path."""
    return isinstance(name, str) and ADDRESS.match(name) is not None


def is_store_address(name: object) -> bool:
    """Whether a name is an address of an object store, or of another file system that fsspec opens."""
    match = ADDRESS.match(name) if isinstance(name, str) else None
    return match is not None and match["protocol"].lower() not in (*NOT_STORES, "file")


def escaped(address: str) -> str:
    """Return an address as the beginning of a pattern with wildcards, for `data_files` of `datasets`.

    # S3://bucket/run[1] -> s3://bucket/run[[]1]
    """
    protocol, separator, path = address.rstrip("/").partition("://")
    return f"{protocol.lower()}{separator}{glob.escape(path)}"


def file_system(address: str, **options: Any) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and the address without its protocol. Connects to nothing.

    options: those of the file system. Its listings are not cached, so that it shows what other processes write.

    Raises ConfigError if fsspec does not know the protocol, or the file system's package is not installed.
    """
    fsspec = importlib.import_module("fsspec")  # not needed for paths, and slow to import
    match = ADDRESS.match(address)
    protocol = match["protocol"].lower() if match else ""
    address = address if match is None else f"{protocol}://{address[match.end() :]}"
    try:
        return fsspec.core.url_to_fs(address, use_listings_cache=False, **options)  # type: ignore[no-any-return]
    except ImportError as error:
        if protocol not in EXTRAS:
            raise ConfigError(f"{address}: its file system is not installed ({error}); install its package") from error
        raise ConfigError(
            f"{address}: needs packages of an extra; run in the clone: python -m pip install -e '.[{EXTRAS[protocol]}]'"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{address}: fsspec knows no file system for {protocol}://; pass a path, or an address such as "
            "s3://bucket/prefix"
        ) from error


def answered(request: Callable[[], Result]) -> Result:
    """Return the result of a request to a file system, sent again for a while if it may succeed later.

    Raises the last error, which can be any exception of the file system's own libraries.
    """
    end, wait = time.monotonic() + RETRY_SECONDS, FIRST_WAIT
    while True:
        try:
            return request()
        except FINAL:
            raise
        except Exception as error:  # each file system raises those of its own libraries
            if getattr(error, "errno", None) in FINAL_NUMBERS or time.monotonic() + wait > end:
                raise
        time.sleep(wait)
        wait *= 2
