"""How many shards a split gets, and the sizes that users write."""

from typing import Any, cast

import pytest

from dvm_hf.errors import ConfigError
from dvm_hf.prepared.plans import shard_size
from dvm_hf.prepared.plans.shard_size import Sharding, WantedShards, sharding


@pytest.mark.parametrize(
    ("clips", "shards"),
    # clips of 100 bytes, shards of at most 1,000 bytes after 10 % are added: 9.09 clips a shard
    [(1, 1), (9, 1), (10, 2), (27, 3), (72, 8), (73, 16), (145, 16), (146, 24), (1000, 112)],
)
def test_a_number_above_eight_is_rounded_up_to_a_multiple_of_eight(
    monkeypatch: pytest.MonkeyPatch, clips: int, shards: int
) -> None:
    monkeypatch.setattr(shard_size, "bytes_per_clip", lambda *_, **__: 100)
    made = sharding(WantedShards(max_shard_size=1000), cast(Any, [None] * clips), encoding="jpeg")
    assert made == Sharding(shards, 1000, 100)


def test_a_split_has_at_most_as_many_shards_as_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_size, "bytes_per_clip", lambda *_, **__: 950)
    made = [
        sharding(WantedShards(max_shard_size=1000), cast(Any, [None] * clips), encoding="jpeg").num_shards
        for clips in (1, 2, 9, 15, 16)
    ]
    assert made == [1, 2, 9, 15, 16]


@pytest.mark.parametrize("number", [0, 4])
def test_a_requested_number_must_leave_a_clip_for_each_shard(number: int) -> None:
    with pytest.raises(ConfigError, match=f"^num_shards={number}: .* num_shards must be from 1 to 3$"):
        sharding(WantedShards(num_shards=number), cast(Any, [None] * 3), encoding="jpeg")
    assert sharding(WantedShards(num_shards=3), cast(Any, [None] * 3), encoding="jpeg") == Sharding(3)
