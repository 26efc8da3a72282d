"""Check before a push that the scan of the repository will find the same sources as the local scan.

A listing of the files to push is written into the cache of remote sources, and scanned as that of a repository is.
Layouts look at names of folders, and the folder of a repository has its name. No source is opened or copied.
"""

import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dvm_hf.errors import SourceError
from dvm_hf.hub.source_tree import PushedTree, pushed_tree
from dvm_hf.sources.records import SPLITS, SourceTree
from dvm_hf.sources.remote.listed_tree import RemoteFile, write_listing
from dvm_hf.sources.remote.source_cache import SourceCache, cache_folder
from dvm_hf.sources.tree import survey

SHOWN = 3  # differences in an error


def checked_tree(data_dir: Path, repo_id: str, *, others: dict[str, int]) -> PushedTree:
    """Return what to push of a source folder or a sources file; see `pushed_tree`.

    others: sizes of further files that the repository will have.
    Raises SourceError if the scan of the repository would find other sources than the local one.
    """
    difference = ""
    for levels in (0, 1):
        tree = pushed_tree(data_dir, levels=levels)
        difference = difference if levels and not tree.inside else _difference(tree, repo_id, others)
        if not difference:
            return tree
    raise SourceError(
        f"{data_dir}: the sources would not be the same in a repository of the name {repo_id} ({difference}). List the "
        "folder in a sources file, which `dvm init` writes, and push that file"
    )


def _difference(tree: PushedTree, repo_id: str, others: dict[str, int]) -> str:
    """Return how the scan of the repository would differ from the local one; empty if it does not."""
    with _listed(tree, repo_id, others) as root:
        try:
            trees = [survey(root / tree.inside if tree.inside else root, split) for split in SPLITS]
        except SourceError as error:
            return str(error).replace(str(root), repo_id)
        expected = {line for one in tree.trees for line in _lines(one, tree.placed)}
        found = {line for one in trees for line in _lines(one, lambda path: _inner(path, root))}
        differences = [f"locally {line}" for line in sorted(expected - found)]
        differences += [f"there {line}" for line in sorted(found - expected)]
        return "; ".join(differences[:SHOWN] or [str(problem) for one in trees for problem in one.problems[:SHOWN]])


def _lines(tree: SourceTree, placed: Callable[[Path], str]) -> Iterator[str]:
    """Yield a text for each source and each entry, with paths in the repository."""
    for fg in tree.foregrounds:
        paths = [placed(path) for path in (fg.colour, fg.alpha, fg.trimap) if path is not None]
        yield f"{tree.split}: foreground {fg.kind} {fg.name} of {', '.join(paths)}, {fg.colours}"
    for bg in tree.backgrounds:
        yield f"{tree.split}: background {bg.name} of {placed(bg.path)}"
    for number, entry in enumerate(tree.entries):
        shown = f"{entry.terms!r}, {'' if entry.is_redistributable else 'not '}redistributable"
        yield f"{tree.split}: entry {number} {entry.name!r} of layout {entry.layout}, terms {shown}"


def _inner(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if root in path.parents else str(path)


@contextmanager
def _listed(tree: PushedTree, repo_id: str, others: dict[str, int]) -> Iterator[Path]:
    """Yield the folder that stands for the repository in the cache, until it is removed."""
    cache = SourceCache(cache_folder())
    cache.require_usable()
    tree_id = f"push-{secrets.token_hex(8)}"
    base, inside = cache.trees / tree_id, repo_id
    sizes = {path: local.stat().st_size for path, local in tree.files.items()} | others
    sizes |= {path: len(content) for path, content in tree.texts.items()}
    listed = (RemoteFile(f"{inside}/{path}", size, f"push:{_content(path)}") for path, size in sorted(sizes.items()))
    try:
        write_listing(cache.listing(tree_id), base, listed, {"address": f"hf://datasets/{repo_id}", "inside": inside})
        root = base / inside
        for path, content in tree.texts.items():
            (root / path).write_bytes(content)
        for place in {tree.placed(one.root / name) for one in tree.trees for name in one.lists}:
            if place in tree.files:
                (root / place).symlink_to(tree.files[place].absolute())
        yield root
    finally:
        cache.listing(tree_id).unlink(missing_ok=True)
        shutil.rmtree(base, ignore_errors=True)


def _content(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()
