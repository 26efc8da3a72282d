"""Find out what a name refers to: sources to render, or Parquet files in a folder, on the Hub or in an object store."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from datasets import get_dataset_config_names

from dvm_hf.addresses import is_store_address
from dvm_hf.dataset.store_cards import Patterns, card_files
from dvm_hf.errors import ConfigError, DVMError, FetchError, SourceError
from dvm_hf.hub_requests import root
from dvm_hf.sources.names import SOURCES_FILE_SUFFIXES
from dvm_hf.sources.remote.source_files import local_path
from dvm_hf.sources.sources_file import is_sources_file
from dvm_hf.sources.tree import AUTO, is_source_tree

HUB_ID = re.compile(r"(?:hf://(?:datasets/)?)?(?P<id>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
FAULTS_OF_CODE = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError)
ALLOWED = (
    "a source folder, a sources file (.yaml), a folder of Parquet files, such as one built by `dvm "
    "prepare`, its address in an object store, or a dataset on the Hub as user/name or hf://user/name"
)


@dataclass(frozen=True)
class RowSource:
    """Where rows come from.

    kind: "sources", which are rendered; "folder", of Parquet files; "store", such a folder in an object store; or
    "hub". name: as it was given, for messages. path: of the folder or sources file, or the name of the dataset on the
    Hub. revision: of that dataset. files: those of each config of a store.
    """

    kind: Literal["sources", "folder", "store", "hub"]
    name: str
    path: str
    revision: str | None = None
    files: Mapping[str, Patterns] = field(default_factory=dict)

    def configs(self) -> list[str]:
        """Return the configs of a stored dataset."""
        if self.kind == "store":
            return list(self.files)
        return list(get_dataset_config_names(self.path, **self._revision_argument))

    def load_arguments(self, config: str) -> dict[str, Any]:
        """Return the arguments of `load_dataset` for a config of a stored dataset."""
        if self.kind == "store":
            return {"path": "parquet", "name": config, "data_files": dict(self.files[config])}
        return {"path": self.path, "name": config, **self._revision_argument}

    @property
    def _revision_argument(self) -> dict[str, Any]:
        return {"revision": self.revision} if self.revision else {}


def row_source(name: str, *, fields: Mapping[str, Any]) -> RowSource:
    """Return what a name refers to.

    name: a source folder in any known layout, or a sources file, also of an address hf://datasets/user/name; a folder
    of Parquet files; the address of either in an object store, where a dataset card lists the Parquet files; or a
    dataset on the Hub, "user/name" or "hf://user/name", optionally with "@revision". "user/name" is not looked up on
    the Hub if a folder "user" exists. Any other folder counts as a source folder.
    fields: config fields, which only sources have.

    Raises SourceError if it is none of these, and ConfigError for fields of a stored dataset.
    """
    if is_store_address(name):
        return _in_store(name, fields)
    folder = Path(local_path(name) if name.lower().startswith("file://") else name).expanduser()
    is_stored = fields.get("layout", AUTO) == AUTO and not is_source_tree(folder) and has_parquet(folder)
    if is_sources_file(folder) or (folder.is_dir() and not is_stored):
        return RowSource("sources", name, str(folder))
    if is_stored:
        _require_no_fields(fields, f"{name} contains Parquet files")
        return RowSource("folder", name, str(folder))
    if (remote := _remote_sources(name)) is not None:
        return remote
    hub = HUB_ID.fullmatch(name)
    is_misspelt = "://" not in name and Path(name.partition("/")[0]).exists()  # user/name: no such folder here
    if folder.exists() or not hub or is_misspelt:
        raise SourceError(f"{name}: is neither an existing folder nor the name of a dataset on the Hub; pass {ALLOWED}")
    _require_no_fields(fields, f"{name} is a dataset on the Hub")
    return RowSource("hub", name, hub["id"], hub["revision"])


def _in_store(name: str, fields: Mapping[str, Any]) -> RowSource:
    """Return what an address of an object store refers to: sources, unless there is a card that lists files."""
    is_stored = fields.get("layout", AUTO) == AUTO and not name.lower().endswith(SOURCES_FILE_SUFFIXES)
    files = card_files(name) if is_stored else {}
    if not files:
        return RowSource("sources", name, local_path(name))
    _require_no_fields(fields, f"{name} contains Parquet files")
    return RowSource("store", name, name.rstrip("/"), files=files)


def _remote_sources(name: str) -> RowSource | None:
    """Return the sources of an address hf://datasets/...; None if it is another name, or a repository with rows."""
    if not name.startswith("hf://datasets/"):
        return None
    if HUB_ID.fullmatch(name) is None:  # with a folder or a sources file
        return RowSource("sources", name, local_path(name))
    try:
        root = local_path(name)
    except SourceError:  # such as no connection: rows can be in the cache of `datasets`
        return None
    return RowSource("sources", name, root) if is_source_tree(Path(root)) else None


def has_parquet(folder: Path) -> bool:
    """Return whether a folder contains a Parquet file, also in its folders and in theirs."""
    return any(next(folder.glob(f"{depth}*.parquet"), None) for depth in ("", "*/", "*/*/"))


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Convert errors of `datasets`, and of the libraries that read from a store or the Hub, to `unreadable`."""
    try:
        yield
    except DVMError:
        raise
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error
    except FAULTS_OF_CODE:
        raise
    except Exception as error:  # such as those of botocore and httpx
        if Path(name).expanduser().exists():
            raise
        raise unreadable(name, error) from error


def unreadable(name: str, error: Exception) -> SourceError:
    """Return the SourceError for a stored dataset that `datasets` cannot read."""
    if is_store_address(name) and is_lost_request(error):
        return lost_request(name, error)
    no_folder = "" if "://" in name or Path(name).expanduser().exists() else ", and no such folder exists"
    return SourceError(f"{name}: cannot be read ({error}){no_folder}; pass {ALLOWED}")


def is_lost_request(error: Exception) -> bool:
    """Return whether a store or the Hub refuses a request or does not answer. Arrow's own errors have no number."""
    if isinstance(error, pa.ArrowException | FileNotFoundError | ValueError):
        return False
    if isinstance(error, PermissionError) or not isinstance(error, OSError):
        return True
    return error.errno is not None or root(error) is not None


def lost_request(name: str, reason: object) -> FetchError:
    """Return the error for a request that a store or the Hub refuses or does not answer."""
    return FetchError(
        f"{name}: cannot be read ({reason}); check the network and the credentials, and run the same command again"
    )


def require_one_of(option: str, value: str, allowed: Iterable[str], name: str) -> None:
    """Raise ConfigError if a config or split is not one of those that a source has."""
    names = list(allowed)
    if value not in names:
        raise ConfigError(f"{option}={value!r}: {name} has no such {option}; allowed: {', '.join(map(repr, names))}")


def _require_no_fields(fields: Mapping[str, Any], reason: str) -> None:
    for name, value in fields.items():
        raise ConfigError(f"{name}={value!r}: applies only to a source folder, but {reason}; omit this option")
