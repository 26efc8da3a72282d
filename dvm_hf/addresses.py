"""Addresses of file systems other than this machine's, such as s3://bucket/prefix, which fsspec opens."""

import importlib
import re
from typing import Any

from dvm_hf.errors import ConfigError

ADDRESS = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]+)://")
EXTRAS = {"s3": "s3"}  # protocols whose file system an extra of this package installs


def is_address(name: object) -> bool:
    """Whether a name is an address, such as s3://bucket/prefix, and not a path."""
    return isinstance(name, str) and ADDRESS.match(name) is not None


def file_system(address: str, **options: Any) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and the address without its protocol. Connects to nothing.

    options: those of the file system. Its listings are not cached, so that it shows what other processes write.

    Raises ConfigError if fsspec does not know the protocol, or the file system's package is not installed.
    """
    fsspec = importlib.import_module("fsspec")  # not needed for paths, and slow to import
    match = ADDRESS.match(address)
    protocol = match["protocol"].lower() if match else ""
    try:
        return fsspec.core.url_to_fs(address, use_listings_cache=False, **options)  # type: ignore[no-any-return]
    except ImportError as error:
        if protocol not in EXTRAS:
            raise ConfigError(f"{address}: its file system is not installed ({error}); install its package") from error
        raise ConfigError(
            f"{address}: needs packages of an extra; run: python -m pip install 'dvm_hf[{EXTRAS[protocol]}]'"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{address}: fsspec knows no file system for {protocol}://; pass a path, or an address such as "
            "s3://bucket/prefix"
        ) from error
