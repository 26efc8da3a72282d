"""Cards of folders in an object store, with fsspec's file system in memory."""

import logging
from collections.abc import Callable

import fsspec
import pytest

from dvm_hf.dataset.store_cards import card_files

CARD = b"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
---
"""


@pytest.fixture
def put() -> Callable[[str, bytes], None]:
    return fsspec.filesystem("memory").pipe_file


def test_characters_of_an_address_are_no_wildcards(put: Callable[[str, bytes], None]) -> None:
    """Each folder has a neighbour that its name, as a pattern, would match."""
    for name, neighbour in (("run [1]", "run 1"), ("star*", "stars"), ("a?b", "aab"), ("plain", "plain2")):
        for folder in (name, neighbour):
            put(f"memory://store_cards/{folder}/data/train-0.parquet", b"")
        put(f"memory://store_cards/{name}/README.md", CARD)
        for address in (f"memory://store_cards/{name}", f"MEMORY://store_cards/{name}/"):
            ((pattern,),) = card_files(address)["default"].values()
            assert pattern.startswith("memory://store_cards/")
            found = fsspec.filesystem("memory").glob(pattern)
            assert list(map(str, found)) == [f"/store_cards/{name}/data/train-0.parquet"]


def test_an_address_without_a_card_that_lists_files_has_none(
    put: Callable[[str, bytes], None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is logged: it is probably the address of sources."""
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "propagate", True)
    put("memory://store_cards/text/README.md", b"Pictures of cats.")
    put("memory://store_cards/licence/README.md", b"---\nlicense: mit\n---\n")
    for name in ("text", "licence", "nothing"):
        assert card_files(f"memory://store_cards/{name}") == {}
    assert caplog.messages == []
