"""The card of an incomplete folder, which lists no data, so that load_dataset refuses to load it."""

from collections.abc import Collection

from dvm_hf.errors import PreparedError
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.manifest import read_manifest
from dvm_hf.prepared.storage.storage import storage_of

PLACEHOLDER_CARD = b"""\
---
configs:
- config_name: default
  data_files:
  - split: train
    path: not-complete-yet/*.parquet
---

This dataset is not complete: it is being prepared or pushed, or that was cut short. Running the same command again
completes it.
"""


def write_placeholder(folder: PreparedFolder, splits: Collection[str]) -> None:
    """Replace the card with a placeholder that lists no data, because shards of these splits are missing.

    A card that lists only other splits is kept, because those are complete.
    """
    try:
        lists_only_others = not read_manifest(folder.manifest).splits.keys() & set(splits)
    except PreparedError:
        lists_only_others = False
    if not lists_only_others:
        storage_of(folder.root).write(folder.card, PLACEHOLDER_CARD)


def require_placeholder(folder: PreparedFolder, split: str) -> None:
    """Write the placeholder if the card is another one; reads the manifest only then."""
    try:
        is_placeholder = folder.card.read_bytes() == PLACEHOLDER_CARD
    except OSError:
        is_placeholder = False
    if not is_placeholder:
        write_placeholder(folder, {split})
