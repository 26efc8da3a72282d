"""The card (README.md) of a repository of sources: their terms, and how they are loaded."""

from collections.abc import Iterable

import yaml

from dvm_hf.hub.source_tree import PushedTree
from dvm_hf.prepared.card import FRONT_MATTER
from dvm_hf.sources.records import Entry

OWNED_TAG = "dvm-sources"  # of repositories that `dvm push --sources` made
# Identifiers that the Hub has for licences of data, those of SPDX in lower case
LICENCES = frozenset(
    """
    apache-2.0 mit bsd-2-clause bsd-3-clause unlicense cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0
    cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
    cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 pddl odc-by odbl cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0
    gpl-3.0 lgpl-3.0 agpl-3.0
    """.split()
)


def card(tree: PushedTree, repo_id: str, revision: str) -> bytes:
    """Return the card; the same for the same sources. Its YAML has a licence if all entries have the same known one."""
    entries = [entry for one in tree.trees for entry in one.entries]
    matter = {
        "pretty_name": "Sources for video matting",
        **_licence(entries),
        "tags": ["video-matting", OWNED_TAG],
        "viewer": False,
    }
    head = yaml.safe_dump(matter, sort_keys=False, allow_unicode=True, width=10**6)
    return f"---\n{head}---\n\n{_text(tree, repo_id, revision, entries)}".encode()


def is_own_card(text: str) -> bool:
    """Return whether `dvm push --sources` wrote a card."""
    found = FRONT_MATTER.match(text.replace("\r\n", "\n"))
    try:
        matter = yaml.safe_load(found["yaml"]) if found else None
    except yaml.YAMLError:
        return False
    return isinstance(matter, dict) and OWNED_TAG in (matter.get("tags") or ())


def licence_identifier(terms: str) -> str:
    """Return the Hub's identifier for the text of a licence; empty if the text is not the name of one it has."""
    name = "-".join(terms.lower().split())
    return name if name in LICENCES else ""


def _licence(entries: Iterable[Entry]) -> dict[str, str]:
    names = {licence_identifier(entry.terms) for entry in entries}
    if len(names) == 1 and (name := names.pop()):
        return {"license": name}
    return {"license": "other", "license_name": "terms-of-each-source-set"}


def _text(tree: PushedTree, repo_id: str, revision: str, entries: list[Entry]) -> str:
    counts = "\n".join(
        f"| {one.split} | {len(one.foregrounds):,} | {len(one.backgrounds):,} |"
        for one in tree.trees
        if one.foregrounds or one.backgrounds
    )
    terms = "\n".join(dict.fromkeys(map(_terms, entries)))
    return f"""\
# Sources for video matting

Foregrounds with their alphas, and backgrounds, from which dvm_hf composites clips. `dvm push --sources` wrote this
repository. Keep it private unless the terms below allow you to redistribute every set.

| split | foregrounds | backgrounds |
| --- | --- | --- |
{counts}

## Load it

```python
import dvm_hf
from datasets import load_dataset

stream = load_dataset("dvm.py", "train", data_dir="{tree.address(repo_id, revision)}", split="train", streaming=True)
```

## Licences and citations

{terms}
"""


def _terms(entry: Entry) -> str:
    """Return a list item for an entry. Lines of its texts are joined."""
    terms, citation = (" ".join(text.split()) for text in (entry.terms, entry.citation))
    name = f"`{entry.name}`, " if entry.name else ""
    limit = "" if entry.is_redistributable else " These sources and composites of them may not be redistributed."
    shown = (terms or "licence unknown; see the source").rstrip(".")
    return f"- {name}layout `{entry.layout}`: {shown}.{limit}{f' Cite: {citation}' if citation else ''}"
