"""A plan survives its file, and what differs between two plans is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stored_plans import written

from dvm_hf.clips.plan import ClipPlan, clip_seed
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import DVMConfig, rendering_of
from dvm_hf.errors import DamagedError, SourceError
from dvm_hf.prepared.plans.shard_plan import ShardPlan, differences, whole_plan
from dvm_hf.prepared.plans.shard_size import Sharding
from dvm_hf.prepared.source_digests import SourceDigests, require_sources
from dvm_hf.sources.records import Background, Entry, Foreground

STILL = Foreground("image", "cat", Path("fg/cat.png"), Path("alpha/cat.png"), Path("trimap/cat.png"))
MOVING = Foreground("video", "0007", Path("7/f.mp4"), Path("7/a.mp4"))


def plan(**fields: Any) -> ShardPlan:
    config = DVMConfig(name="test", version=DVM.VERSION, **{"clip_length": 2, "seed": 5} | fields)
    clips = tuple(
        ClipPlan(
            f"{foreground.kind}_{foreground.name}_{number}",
            foreground,
            Background(str(number), Path(f"bg/{number}.mp4")),
            clip_seed(config.seed, f"{foreground.kind}_{foreground.name}_{number}"),
            rendering_of(config),
        )
        for foreground in (STILL, MOVING)
        for number in range(2)
    )
    return ShardPlan(
        config,
        Sharding(3),
        clips,
        sources={f"bg/{number}.mp4": str(number) * 64 for number in range(2)},
        versions={"dvm_hf": "1", "opencv": "5"},
        skipped=(("fg/dog.png", "is broken"),),
        pairs=("pairs.csv", "a" * 64),
        drawn=True,
    )


def unusual() -> ShardPlan:
    """A plan of a sources file, whose clips have all fields."""
    clips = tuple(
        replace(
            clip,
            foreground=replace(clip.foreground, colours="estimate", entry=1, name='grün "x"'),
            background=replace(clip.background, name="other", entry=2),
        )
        for clip in plan().clips
    )
    return replace(plan(), clips=clips, entries=(Entry("a", "foregrounds"),))


@pytest.mark.parametrize("num_shards", [1, 3, 4])
def test_a_plan_round_trips_through_its_files(tmp_path: Path, num_shards: int) -> None:
    for number, made in enumerate((plan(), replace(plan(), pairs=None, drawn=False, skipped=()), unusual())):
        made = replace(made, sharding=Sharding(num_shards))
        stored = written(made, tmp_path / str(number))
        stored.require_table()
        assert whole_plan(stored) == made
        assert stored.digest == made.digest
        for index in range(num_shards):
            shard = stored.shard(index)
            assert shard.clips == made.clips_of(index)
            assert shard.sources == {
                path: digest
                for path, digest in made.sources.items()
                if path in {clip.background.path.as_posix() for clip in made.clips_of(index)}
            }
            assert stored.clip_count(index) == len(shard.clips)


def test_the_digest_is_that_of_earlier_releases() -> None:
    """They stored and hashed the plan as one JSON object. The footer of every shard contains the digest."""
    digests = {
        "0eb0e4de1944a04d2568030cf80e5c8357e875c7686c564626c32f45c954abb2": plan(),
        "91156e3ef1bfdd36bd7b17bbdb7eff2c5a3da324fe45986687306576478437ec": replace(
            plan(), clips=(), sources={}, pairs=None
        ),
        "d02ecf4f158cbdf065a4a4f70575791c9c219ea3bce197009d4d55c279221abc": unusual(),
    }
    assert list(digests) == [made.digest for made in digests.values()]


def test_damage_of_one_line_concerns_its_shard_only(tmp_path: Path) -> None:
    stored = written(plan(), tmp_path)
    shards = [stored.shard(index) for index in range(3)]
    data = stored.table.read_bytes()
    lines = data.splitlines(keepends=True)
    start = sum(map(len, lines[:5]))  # of the second shard's line, after four entries of the index
    for place in range(start, start + len(lines[5]), 7):
        stored.table.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(DamagedError, match=r"plan/test-\w{12}\.jsonl: is damaged \(shard 1: "):
            stored.shard(1)
        assert [stored.shard(index) for index in (0, 2)] == shards[::2]
        with pytest.raises(DamagedError, match="its SHA-256 differs"):
            stored.require_table()


@pytest.mark.parametrize("entries", [b"%16d\n%16d\n" % pair for pair in ((0, 0), (99, 68), (68, 10**9), (68, 10**15))])
def test_a_damaged_index_is_an_error(tmp_path: Path, entries: bytes) -> None:
    stored = written(plan(), tmp_path)
    data = stored.table.read_bytes()
    for index in (entries, b"x" * 34, entries[:30]):
        stored.table.write_bytes(index if len(index) < 34 else index + data[34:])
        with pytest.raises(DamagedError, match="is damaged"):
            stored.shard(0)
    stored.table.unlink()
    with pytest.raises(DamagedError, match="is missing"):
        stored.shard(0)


def test_a_line_of_another_plan_is_an_error(tmp_path: Path) -> None:
    stored, other = (written(replace(plan(), drawn=drawn), tmp_path / str(drawn)) for drawn in (True, False))
    stored.table.write_bytes(other.table.read_bytes())
    with pytest.raises(DamagedError, match="a line of another shard or plan"):
        stored.shard(0)


def test_only_fields_that_change_rows_change_the_plan() -> None:
    made = plan()
    for same in ({"on_error": "skip"}, {"columns": ("trimap", "alpha", "frames")}, {"kinds": ("video", "image")}):
        assert plan(**same).digest == made.digest, same
    for other in ({"seed": 6}, {"columns": ("frames", "alpha")}, {"encoding": "lossless"}, {"background_blur": True}):
        assert plan(**other).digest != made.digest, other
    for changed in (
        {"sources": {}},
        {"versions": {}},
        {"skipped": ()},
        {"pairs": None},
        {"drawn": False},
        {"clips": made.clips[::-1]},
        {"sharding": Sharding(2)},
    ):
        assert replace(made, **changed).digest != made.digest, changed


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"versions": {"dvm_hf": "1", "pyav": "18"}}, "opencv was '5', is None"),
        ({"versions": {"dvm_hf": "1", "pyav": "18"}}, "pyav was None, is '18'"),
        ({"sharding": Sharding(2)}, "num_shards was 3, is 2"),
        ({"config": replace(plan().config, shutter=0.5)}, "shutter was 0.0, is 0.5"),
        ({"pairs": ("pairs.csv", "b" * 64)}, f"pairs was {{'name': 'pairs.csv', 'sha256': '{'a' * 64}'}}, is "),
        ({"pairs": None}, "is None"),
        ({"drawn": False}, "drawn was True, is False"),
        ({"skipped": ()}, "left_out was [{'name': 'fg/dog.png', 'reason': 'is broken'}], is []"),
        ({"clips": plan().clips[::-1]}, "clips were 4, are 4 (in a different order)"),
        ({"clips": plan().clips[:3]}, "clips were 4, are 3 (video_0007_1)"),
        ({"sources": {"bg/0.mp4": "0" * 64, "bg/1.mp4": "2" * 64}}, f"changed sources: bg/1.mp4 (was {'1' * 12}, is "),
        ({"sources": {"bg/1.mp4": "1" * 64}}, "removed sources: bg/0.mp4"),
    ],
)
def test_each_difference_is_named(change: dict[str, Any], text: str) -> None:
    assert any(text in found for found in differences(plan(), replace(plan(), **change)))
    assert differences(plan(), plan()) == []


def test_five_names_are_listed_and_the_others_counted() -> None:
    for count, rest in ((5, "5"), (6, "5 and 1 more"), (8, "5 and 3 more")):
        more = {f"bg/new{number}": "" for number in range(1, count + 1)}
        changed = replace(plan(), sources={**plan().sources, **more})
        assert differences(plan(), changed) == [f"new sources: bg/new1, bg/new2, bg/new3, bg/new4, bg/new{rest}"]


def test_only_the_sources_of_the_given_clips_are_required(tmp_path: Path) -> None:
    made = plan()
    files = ("fg/cat.png", "alpha/cat.png", "trimap/cat.png", "bg/0.mp4", "bg/1.mp4")  # not those of the video
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    digests = SourceDigests(tmp_path, tmp_path / "sources.json")
    made = replace(made, sources=digests.of(files))
    require_sources(made.sources, digests, made.clips[:2])
    with pytest.raises(SourceError):
        require_sources(made.sources, digests, made.clips)
    for name in ("trimap/cat.png", "bg/1.mp4"):
        (tmp_path / name).write_text("changed")
        with pytest.raises(SourceError, match=f": {name} changed since the plan was made"):
            require_sources(made.sources, digests, made.clips[:2])
        (tmp_path / name).write_text(name)
