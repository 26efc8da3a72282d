"""The datasheet on the card: only what the build knows."""

from dataclasses import replace
from pathlib import Path

import pytest
from prepared_folder import with_content, write_prepared, written_splits

from dvm_hf.dataset.content_digest import split_digest
from dvm_hf.prepared.manifest import PreparedSplit
from dvm_hf.prepared.metadata.datasheet import datasheet


@pytest.fixture
def splits(tmp_path: Path) -> list[PreparedSplit]:
    """Three clips with a window of two frames in each shard."""
    return written_splits(write_prepared(tmp_path / "out", shards={"train": 2, "test": 1}))


def answers(splits: list[PreparedSplit]) -> dict[str, str]:
    rows = [line.strip("|").split(" | ") for line in datasheet(splits).splitlines() if line.startswith("| ")]
    assert {len(row) for row in rows} == {2}
    return {question.strip(): answer.strip() for question, answer in rows}


def test_numbers_and_digests_are_those_of_the_splits(splits: list[PreparedSplit]) -> None:
    found = answers(splits)
    instances = "`train`: 6 rows of 6 clips, 12 frames; `test`: 3 rows of 3 clips, 6 frames."
    assert found["How many instances are there?"] == instances
    assert found["What does an instance represent?"].startswith("A window (at most 2 frames) of a clip")
    assert found["Is information missing?"] == "No source and no clip was skipped."
    assert "no content digest was recorded" in found["Which version is this?"]
    digests = {name: "ab" * 16 for name in splits[1].sidecars[0].clips}
    known = replace(splits[1], sidecars=(replace(splits[1].sidecars[0], digests=digests),))
    assert answers([known])["Which version is this?"] == f"`test`: content digest `{split_digest(digests)}`."


def test_skipped_clips_and_the_pair_list_are_named(splits: list[PreparedSplit]) -> None:
    (train, _) = splits
    pairs, skipped = {"name": "list.txt", "sha256": "c" * 64}, [{"name": "line 3", "reason": "missing"}]
    found = answers([with_content(train, pairs=pairs, left_out=skipped)])
    assert found["Is information missing?"].startswith("1 source or clips were skipped; `left_out` in `manifest.json`")
    assert found["Is the dataset a sample?"] == f"`train`: the pairs of `list.txt` (SHA-256 `{'c' * 64}`)."


@pytest.mark.parametrize("drawn", [False, True])
def test_sources_of_a_user_are_not_called_those_of_a_published_set(splits: list[PreparedSplit], drawn: bool) -> None:
    text = datasheet([with_content(split, drawn=drawn) for split in splits])
    assert "DVM" not in text
    assert ("that a program generated" in text) == drawn
