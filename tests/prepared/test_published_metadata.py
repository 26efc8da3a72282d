"""The card is written last, and the picture of samples shows rows from all over the dataset."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prepared_folder import write_prepared, written_splits

from dvm_hf.errors import DamagedError, PreparedError, SourceError
from dvm_hf.prepared import published_metadata
from dvm_hf.prepared.atomic_io import atomic_write
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.manifest import read_manifest
from dvm_hf.prepared.placeholder_card import PLACEHOLDER_CARD, write_placeholder
from dvm_hf.prepared.published_metadata import samples_bytes, write_metadata
from dvm_hf.prepared.storage.storage import LocalStorage


@pytest.mark.parametrize(
    ("shards", "shown"),
    [
        ({"train": 8}, ["train0", "train2", "train4", "train6"]),
        ({"train": 6}, ["train0", "train1", "train3", "train4"]),  # every 1.5th
        ({"train": 2}, ["train0", "train1"]),
        ({"train": 4, "test": 3}, ["train0", "train2", "test0", "test1"]),
    ],
)
def test_samples_are_spread_evenly_over_the_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: dict[str, int], shown: list[str]
) -> None:
    seen: list[dict[str, Any]] = []
    made = published_metadata.contact_sheet
    monkeypatch.setattr(published_metadata, "contact_sheet", lambda rows: made(seen.extend(rows) or seen))
    folder = PreparedFolder(write_prepared(tmp_path / "out", shards=shards))
    samples_bytes(folder, written_splits(folder.root))
    assert [row["foreground_name"] for row in seen] == shown
    assert {row["window"] for row in seen} == {0}
    assert all(np.asarray(image).shape == (8, 8) for row in seen for image in row["frames"])


def test_samples_skip_shards_without_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    made = published_metadata.contact_sheet
    monkeypatch.setattr(published_metadata, "contact_sheet", lambda rows: made(seen.extend(rows) or seen))
    folder = PreparedFolder(write_prepared(tmp_path / "out", shards={"train": 3}))
    (split,) = written_splits(folder.root)
    empty = replace(split.sidecars[0], rows=0)
    samples_bytes(folder, [replace(split, sidecars=(empty, *split.sidecars[1:]))])
    assert [row["foreground_name"] for row in seen] == ["train1", "train2"]


@pytest.mark.parametrize("damage", ["no Parquet file", "no image"])
def test_rows_that_cannot_be_read_back_are_damage(tmp_path: Path, damage: str) -> None:
    folder = PreparedFolder(write_prepared(tmp_path / "out", shards={"train": 1}))
    path = folder.root / "data/train-00000-of-00001.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:-4] if damage == "no Parquet file" else data.replace(b"\xff\xd8\xff", b"\xff\xd8\x00"))
    with pytest.raises(DamagedError) as error:
        samples_bytes(folder, written_splits(folder.root))
    text = str(error.value)
    assert text.startswith(f"{folder.root}/data: rows of a shard cannot be read back (")
    assert text.endswith("); dvm verify --repair rebuilds it")


def test_the_card_is_written_after_everything_that_it_describes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that stops in between leaves a card that lists no data."""
    folder = PreparedFolder(write_prepared(tmp_path / "out", shards={"train": 1}))
    splits = written_splits(folder.root)
    write_placeholder(folder, {"train"})
    for name in ("samples.jpg", "croissant.json", "manifest.json"):

        def failing(storage: LocalStorage, path: Path, data: bytes, name: str = name) -> None:
            if path.name == name:
                raise PreparedError("disk full")
            atomic_write(path, data)

        with monkeypatch.context() as patch:
            patch.setattr(LocalStorage, "write", failing)
            with pytest.raises(PreparedError, match="disk full"):
                write_metadata(folder, splits)
        assert folder.card.read_bytes() == PLACEHOLDER_CARD
    write_metadata(folder, splits)
    assert read_manifest(folder.manifest).files == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder.card, folder.croissant, folder.samples)
    }


def test_only_a_card_of_the_same_split_is_replaced(tmp_path: Path) -> None:
    folder = PreparedFolder(write_prepared(tmp_path / "out", shards={"train": 1}))
    card = folder.card.read_bytes()
    write_placeholder(folder, {"test"})
    assert folder.card.read_bytes() == card
    write_placeholder(folder, {"test", "train"})
    assert folder.card.read_bytes() == PLACEHOLDER_CARD
    folder.card.write_bytes(card)
    folder.manifest.unlink()  # which splits the card lists is unknown
    write_placeholder(folder, {"test"})
    assert folder.card.read_bytes() == PLACEHOLDER_CARD


def test_a_split_without_rows_gets_no_card(tmp_path: Path) -> None:
    folder = PreparedFolder(write_prepared(tmp_path / "out", shards={"train": 1, "test": 1}))
    train, test = written_splits(folder.root)
    empty = replace(test.sidecars[0], rows=0, skipped=(("image_test0_0", "is broken"),))
    with pytest.raises(SourceError, match=r"^test: no window remains after skipping 3 clips; image_test0_0: is broken"):
        write_metadata(folder, [train, replace(test, sidecars=(empty,))])
