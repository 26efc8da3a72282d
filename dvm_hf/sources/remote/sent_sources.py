"""The remote sources of a task, sent to another machine, which fetches them into its own cache.

What is sent is what the sender listed: addresses with the commit, and the size and hash of each file that the task
needs. The receiver lists nothing, and verifies what it fetches as the sender would.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dvm_hf.errors import ConfigError
from dvm_hf.sources.remote.listed_tree import RemoteFile
from dvm_hf.sources.remote.sent_tree import SentTree, received_trees
from dvm_hf.sources.remote.source_cache import FOLDER_VARIABLE, SourceCache, cache_folder
from dvm_hf.sources.remote.source_files import listed_files, may_contain_remote, remote_tree


@dataclass(frozen=True)
class SentSources:
    """Remote sources. trees: the folder of all trees in the sender's cache. listed: a part of each tree."""

    trees: str
    listed: tuple[SentTree, ...]

    def contains(self, path: Path) -> bool:
        """Return whether a path of the sender is in its cache."""
        return f"{path}{os.sep}".startswith(f"{self.trees}{os.sep}")


def sent_sources(root: Path, paths: Iterable[str]) -> SentSources | None:
    """Return what another machine needs to fetch the remote files among paths; None if there are none.

    paths: of files, and of folders of numbered pictures, relative to a root.
    """
    if not may_contain_remote(root):
        return None
    wanted = [one for path in dict.fromkeys(paths) for one in listed_files(root / path) or ()]
    if not wanted:
        return None
    trees = cache_folder() / "trees"
    facts: dict[str, dict[str, str]] = {}
    files: dict[str, dict[str, RemoteFile]] = {}
    for one in wanted:
        tree_id = one.path.relative_to(trees).parts[0]
        if tree_id not in facts and (found := remote_tree(one.path)) is not None:
            facts[tree_id] = found[0].facts()
        files.setdefault(tree_id, {})[one.file.path] = one.file
    return SentSources(str(trees), tuple(SentTree(tree_id, facts[tree_id], files[tree_id]) for tree_id in files))


def receive(sources: SentSources, path: Path) -> Path:
    """Let this process fetch the sent sources, instead of former ones; return what a path of the sender is here.

    Raises ConfigError if the cache of this machine cannot be used, or if the path contains the sender's cache and the
    cache of this machine has another path.
    """
    cache = SourceCache(cache_folder())
    cache.require_usable()
    if not sources.contains(path) and sources.trees != str(cache.trees):
        raise ConfigError(
            f"{cache.folder}: is the cache of remote sources, but {os.path.dirname(sources.trees)} where dvm prepare "
            "runs; for a sources file with local folders and addresses, set "
            f"{FOLDER_VARIABLE} to the same path on all nodes"
        )
    for tree in sources.listed:
        for folder in tree.folders:
            (cache.trees / tree.tree_id / folder).mkdir(parents=True, exist_ok=True)
    received_trees.clear()
    received_trees.update({tree.tree_id: tree for tree in sources.listed})
    return cache.trees / path.relative_to(sources.trees) if sources.contains(path) else path
