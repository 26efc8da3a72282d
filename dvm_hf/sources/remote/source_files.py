"""From the address of remote sources to local paths: list a tree once, fetch its files when they are needed.

`local_root` is the only place that turns an address into a path, `remote_tree` the only one that finds the listing of a
path, and `present` the only one that fetches files.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.request import url2pathname

from dvm_hf.addresses import ADDRESS
from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.machine_faults import raise_machine_fault
from dvm_hf.media.video.frame_names import frame_names
from dvm_hf.sources.names import SOURCES_FILE_SUFFIXES, is_ignored
from dvm_hf.sources.remote.listed_tree import ListedTree, RemoteFile, write_listing
from dvm_hf.sources.remote.sent_tree import SentTree, received_trees
from dvm_hf.sources.remote.source_cache import FOLDER_VARIABLES, SourceCache, cache_folder

WEB = ("http", "https")
LISTING_SECONDS = 600  # for which a process uses a listing again, so that a run lists a tree once
FETCHES_AT_ONCE = 8  # per process: small files are limited by the time for a request


class LocalFile(NamedTuple):
    """A file of a remote tree and the path of its link in this machine's cache."""

    path: Path
    file: RemoteFile


_roots: dict[tuple[str, Path], tuple[float, Path]] = {}  # time and result of `local_root`
_lock = threading.Lock()


def local_path(data_dir: str) -> str:
    """Return the path of a folder or sources file that is given as a path or as an address; see `local_root`.

    Raises ConfigError for an address of an unknown kind.
    """
    scheme = ADDRESS.match(data_dir)
    if scheme is None:
        return data_dir
    if scheme["protocol"].lower() != "file":
        return str(_local_sources_file(data_dir) or local_root(data_dir))
    path = data_dir[scheme.end() :].removeprefix("localhost")
    if os.path.isabs(path):
        decoded = url2pathname(path)  # fsspec's addresses have no escapes such as %20, those of `Path.as_uri` have
        return decoded if os.path.exists(decoded) and not os.path.exists(path) else path
    raise ConfigError(
        f"data_dir={data_dir!r}: is the address of a file on another machine; copy the folder to this one, and pass "
        "its path"
    )


def _local_sources_file(address: str) -> Path | None:
    """Return the path of a remote sources file, fetched; None for the address of a folder."""
    folder, _, name = address.rpartition("/")
    is_repository = address.startswith("hf://") and address.count("/") < 5  # hf://datasets/USER/NAME.yaml
    if is_repository or not name.lower().endswith(SOURCES_FILE_SUFFIXES):
        return None
    path = local_root(folder) / name
    with present([path]):
        return path


def local_root(address: str) -> Path:
    """Return the local folder for an address; list its files, unless this process did so recently.

    The folder contains the address's folders at once, but each file only after `present` has fetched it. Its path ends
    as the address does, and depends on what is listed, so that it never changes what it stands for.
    Raises SourceError if the address is wrong or nothing is there, FetchError if there is no connection.
    """
    cache = SourceCache(cache_folder())
    cache.require_usable()
    with _lock:
        when, root = _roots.get((address, cache.folder), (0.0, Path()))
        if root == Path() or time.monotonic() - when > LISTING_SECONDS:
            root = _listed_root(address, cache)
            _roots[address, cache.folder] = time.monotonic(), root
        return root


def remote_tree(path: Path | str) -> tuple[ListedTree | SentTree, str] | None:
    """Return the listing that contains a local path, and the path in it; None for a path that is not remote."""
    trees, text = _trees(*map(os.environ.get, FOLDER_VARIABLES)), os.fspath(path)
    if not trees or not text.startswith(trees):
        return None
    tree_id, _, inner = text[len(trees) :].partition(os.sep)
    cache, inner = _cache(cache_folder()), inner.replace(os.sep, "/")
    return received_trees.get(tree_id) or ListedTree(cache.listing(tree_id), cache.trees / tree_id), inner


def may_contain_remote(folder: Path) -> bool:
    """Return whether paths below a folder can be remote: it is in the folder of all trees, or contains that."""
    trees, text = _trees(*map(os.environ.get, FOLDER_VARIABLES)), os.path.join(folder, "")
    return bool(trees) and (text.startswith(trees) or trees.startswith(text))


def listed_files(path: Path) -> list[LocalFile] | None:
    """Return the file at a path, or the numbered pictures of a folder, by number; None if the path is not remote."""
    found = remote_tree(path)
    if found is None:
        return None
    tree, inner = found
    file = tree.file(inner)
    if file is not None:
        return [LocalFile(path, file)]
    files = {entry.name: entry.file for entry in tree.entries(inner) if entry.file and not is_ignored(entry.name)}
    return [LocalFile(path / name, files[name]) for name in frame_names(files).frames]


def address_of(root: Path) -> str | None:
    """Return the address that a result of `local_root` stands for, with the commit; None for any other path."""
    found = remote_tree(root)
    facts = _facts(found[0]) if found is not None else {}
    return facts["address"] if found is not None and found[1] == facts["inside"] else None


def address_below(path: Path) -> str | None:
    """Return the address that a folder of a remote tree stands for; None for a path that is not remote."""
    found = remote_tree(path)
    if found is None:
        return None
    facts = _facts(found[0])
    inner = found[1].removeprefix(facts["inside"])
    return f"{facts['address'].rstrip('/')}{inner}"


def address_or_path(path: Path) -> str:
    """Return a path for a message: the address that it stands for, or itself if it is not remote."""
    return address_below(path) or str(path)


@contextmanager
def present(paths: Iterable[Path]) -> Iterator[None]:
    """Fetch the remote files among paths and keep them in the cache while the context is open.

    paths: of files, and of folders of numbered pictures; those of local files are ignored.
    Raises SourceError if a file is not as listed, FetchError if there is no connection.
    """
    wanted = _wanted(paths)
    if not wanted:
        yield
        return
    cache = _cache(cache_folder())
    with cache.lease({_content_file(file) for _, file in wanted}):
        _fetch(wanted, cache)
        yield


class Prefetch:
    """Fetches files in a thread, before they are needed. Only the newest request is worked on."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._process = self._newest = 0

    def __reduce__(self) -> tuple[type["Prefetch"], tuple[()]]:
        return Prefetch, ()  # without the thread: a loader's worker gets a copy

    def start(self, paths: Iterable[Path]) -> None:
        """Begin to fetch the remote files among paths, as far as the cache has room. Errors are left to `present`."""
        wanted = _wanted(paths)
        if not wanted:
            return
        if self._pool is None or self._process != os.getpid():  # a forked process has no thread
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="dvm-prefetch")
            self._process = os.getpid()
        self._newest += 1
        self._pool.submit(self._fetch, wanted, self._newest)

    def _fetch(self, wanted: list[LocalFile], number: int) -> None:
        cache = _cache(cache_folder())
        with suppress(SourceError, OSError), cache.lease({_content_file(file) for _, file in wanted}):
            for one in wanted:
                if number != self._newest or not _fetch_one(one, cache, is_needed=False):
                    return

    def stop(self) -> None:
        """End the thread after the file that it is fetching."""
        self._newest += 1
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _wanted(paths: Iterable[Path]) -> list[LocalFile]:
    found = {one.path: one for path in paths for one in listed_files(path) or ()}
    return list(found.values())


def _fetch(wanted: list[LocalFile], cache: SourceCache) -> None:
    missing = [one for one in wanted if not _is_here(one, is_used=True)]
    if len(missing) < 2:
        for one in missing:
            _fetch_one(one, cache)
        return
    with ThreadPoolExecutor(min(FETCHES_AT_ONCE, len(missing))) as pool:
        made = [pool.submit(_fetch_one, one, cache) for one in missing]
        try:
            for each in made:
                each.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch_one(one: LocalFile, cache: SourceCache, *, is_needed: bool = True) -> bool:
    """Fetch a file and make its link. Return False if it is not needed now and there is no room for it."""
    content = _content_file(one.file)
    with cache.fetching(content):
        if _is_here(one, is_used=True):  # another process has fetched it
            return True
        if not cache.reserve(content, one.file.size, is_needed=is_needed) and not is_needed:
            return False
        tree, inner = remote_tree(one.path) or (None, "")
        assert tree is not None
        try:
            _link(one.path, _stored(tree, inner, one.file, cache.folder))
        except OSError as error:
            raise_machine_fault(one.path, error)
            raise
    return True


def _link(path: Path, stored: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    new.unlink(missing_ok=True)
    new.symlink_to(os.path.relpath(stored, path.parent))
    new.replace(path)


def _is_here(one: LocalFile, *, is_used: bool = False) -> bool:
    """Return whether a file was fetched and verified, and is still in the cache; if so, mark it as used."""
    try:
        is_here = one.path.stat().st_size == one.file.size
    except OSError:
        return False
    if is_here and is_used:
        with suppress(OSError):
            os.utime(one.path, follow_symlinks=False)  # of the link: the times of the file are in keys of caches
    return is_here


def _content_file(file: RemoteFile) -> str:
    """Return the name under which a content is stored."""
    return file.content.partition(":")[2]


def _listed_root(address: str, cache: SourceCache) -> Path:
    """List an address, unless its listing is kept, and return the folder that stands for it.

    Listings of commits are kept. Object stores have no commits: they are listed, and the same listing is the same tree.
    """
    from dvm_hf.sources.remote import hub_files, object_files  # import huggingface_hub, which takes a second

    match = ADDRESS.match(address)
    if match is None or match["protocol"].lower() in WEB:
        raise ConfigError(
            f"data_dir={address!r}: web servers have no list of their files; pass a local folder, or an address "
            "such as hf://datasets/USER/NAME or s3://bucket/prefix"
        )
    if address.startswith(hub_files.SCHEME):
        folder = hub_files.pinned(hub_files.hub_folder(address))
        facts = {"address": folder.address, "inside": "/".join(filter(None, (folder.repo_id, folder.path)))}
        return _tree_root(folder.address, facts, lambda: hub_files.listed(folder), cache)
    address = f"{match['protocol'].lower()}://{address[match.end() :].rstrip('/')}"  # one tree for all spellings
    files = object_files.listed(address)
    facts = {"address": address, "inside": address[match.end() :].strip("/")}
    return _tree_root(repr((address, sorted(files))), facts, lambda: files, cache)


def _tree_root(key: str, facts: dict[str, str], listed: Callable[[], list[RemoteFile]], cache: SourceCache) -> Path:
    tree_id = hashlib.sha256(key.encode()).hexdigest()[:16]
    tree, inside = cache.trees / tree_id, facts["inside"]
    if not cache.listing(tree_id).exists():
        files = (one._replace(path=f"{inside}/{one.path}") for one in listed())
        if not write_listing(cache.listing(tree_id), tree, files, facts):
            raise SourceError(f"{facts['address']}: contains no files; check the address")
    return tree / inside


def _stored(tree: ListedTree | SentTree, inner: str, file: RemoteFile, cache: Path) -> Path:
    """Return the path of a file's content in the cache, fetched and verified."""
    from dvm_hf.sources.remote import hub_files, object_files

    facts = _facts(tree)
    file = file._replace(path=inner.removeprefix(f"{facts['inside']}/"))
    if facts["address"].startswith(hub_files.SCHEME):
        return hub_files.fetched(hub_files.hub_folder(facts["address"]), file, cache)
    return object_files.fetched(facts["address"], file, cache)


def _facts(tree: ListedTree | SentTree) -> dict[str, str]:
    return tree.facts() if isinstance(tree, SentTree) else _listing_facts(tree.listing)


@lru_cache(maxsize=16)
def _listing_facts(listing: Path) -> dict[str, str]:
    return ListedTree(listing, listing).facts()


@lru_cache(maxsize=4)
def _cache(folder: Path) -> SourceCache:
    return SourceCache(folder)


@lru_cache(maxsize=16)
def _trees(*variables: str | None) -> str:
    """Return how the paths of remote trees begin; "" if there is no cache folder. Looked up for each local file."""
    return "" if variables[0] == "" else f"{cache_folder()}{os.sep}trees{os.sep}"
