"""A part of the listing of a remote source tree, as a process gets it from another machine, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dvm_hf.sources.remote.listed_tree import ListedEntry, RemoteFile


@dataclass(frozen=True)
class SentTree:
    """Some files of a remote tree, with the methods of `ListedTree`.

    tree_id: name of the tree's folder in caches, which depends on what is listed. known: the facts of the listing.
    files: by path in the tree.
    """

    tree_id: str
    known: Mapping[str, str]
    files: Mapping[str, RemoteFile]

    def facts(self) -> dict[str, str]:
        """Return what is stored about the tree, such as its address."""
        return dict(self.known)

    def entries(self, folder: str) -> list[ListedEntry]:
        """Return the sent entries of a folder, in any order."""
        return list(self.folders.get(folder, {}).values())

    def file(self, path: str) -> RemoteFile | None:
        """Return a sent file; None if none has this path."""
        return self.files.get(path)

    @cached_property
    def folders(self) -> dict[str, dict[str, ListedEntry]]:
        """The entries of each folder, also of the root "", by name."""
        found: dict[str, dict[str, ListedEntry]] = {"": {}}
        for path, file in self.files.items():
            entry: RemoteFile | None = file
            while path:
                folder, _, name = path.rpartition("/")
                is_known = folder in found
                found.setdefault(folder, {})[name] = ListedEntry(name, entry)
                if is_known:
                    break
                path, entry = folder, None
        return found


received_trees: dict[str, SentTree] = {}  # those that this process got, by `tree_id`; see `sent_sources.receive`
