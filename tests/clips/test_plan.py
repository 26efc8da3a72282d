"""Which clips are planned: seeds, pairings, names, and skipped sources."""

import hashlib
import itertools
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from look_alikes import draw

from dvm_hf.clips.plan import (
    ClipPlan,
    Plans,
    Rendering,
    assigned_clips,
    clip_seed,
    listed_clips,
    number_stream,
    require_distinct,
)
from dvm_hf.errors import SourceError
from dvm_hf.sources.pair_lists import read_pairs
from dvm_hf.sources.records import Background, Foreground, Problem, SourceTree
from dvm_hf.sources.tree import scan


def imagined(foregrounds: list[str], backgrounds: list[str], *, kind: str = "image") -> SourceTree:
    """A tree of sources that do not exist; planning does not open them."""
    root = Path("DVM")
    return SourceTree(
        root,
        "train",
        tuple(Foreground(kind, name, root / f"{name}.png", root / f"a/{name}.png") for name in foregrounds),
        tuple(Background(name, root / f"bg/{name}.mp4") for name in backgrounds),
        problems=(),
        ignored=(),
        signatures={},
    )


def numbered(count: int) -> list[str]:
    return [f"{i:04}" for i in range(count)]


def assigned(tree: SourceTree, count: int = 4, *, seed: int = 2019) -> Plans:
    return assigned_clips(tree, backgrounds_per_foreground=count, seed=seed, rendering=Rendering())


# Seeds


@pytest.mark.parametrize(
    ("root_seed", "clip_id", "digest"),
    [
        (2019, "image_a_0000", 0x02C9588388B1D941),  # printf '2019/image_a_0000' | b2sum -l 64
        (7, "video_0011_0244", 0xA20F935D9C106B51),
    ],
)
def test_seeds_are_half_of_a_published_hash(root_seed, clip_id, digest):
    assert clip_seed(root_seed, clip_id) == digest // 2


@pytest.mark.parametrize("root_seed", [0, 2019, 2**63 - 1])
def test_seeds_come_from_root_seed_and_clip_name(root_seed):
    for clip_id in ("image_a_0000", "video_0000_0000", "image_grün_ä", "image_a+b_0105"):
        digest = hashlib.blake2b(f"{root_seed}/{clip_id}".encode(), digest_size=8).hexdigest()
        assert clip_seed(root_seed, clip_id) == int(digest, 16) >> 1


def test_seeds_fit_the_columns_type_and_differ():
    seeds = {clip_seed(root, f"image_{name}_0000") for root in range(20) for name in range(200)}
    assert len(seeds) == 4000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_clip_seed_does_not_depend_on_other_clips_or_rendering():
    few, many = numbered(3), numbered(40)
    seeds = {plan.clip_id: plan.seed for plan in assigned(imagined(few, numbered(5))).clips}
    more = assigned_clips(
        imagined(many, numbered(9)), backgrounds_per_foreground=9, seed=2019, rendering=Rendering(crop_size=64)
    )
    later = {plan.clip_id: plan.seed for plan in more.clips}
    assert len(seeds) == 12
    assert {clip_id: later[clip_id] for clip_id in seeds} == seeds


@pytest.mark.parametrize(
    ("purpose", "number"),
    [("pairing", 0), ("background_crop", 1), ("motion", 2), ("trimap", 3), ("window_crop", 4)],
)
def test_number_streams_match_numpy_spawned_generators(purpose, number):
    for seed, index in itertools.product((0, 5, 2**63 - 1), (0, 1, 77)):
        expected = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, index))).random(5)
        assert np.array_equal(number_stream(seed, purpose, index=index).random(5), expected)


def test_number_streams_are_independent():
    firsts = [
        number_stream(seed, purpose, index=index).random()
        for seed in (1, 2)
        for purpose in ("background_crop", "motion", "window_crop")
        for index in range(10)
    ]
    assert len(set(firsts)) == 60


# Dealt pairs

GRID = [
    (foregrounds, backgrounds, count, seed)
    for foregrounds in (1, 2, 3, 7, 12)
    for backgrounds in (1, 2, 3, 5, 8, 30)
    for count in (1, 2, 3, 4, 9)
    for seed in (0, 1, 2019)
]


def test_every_foreground_gets_its_number_of_different_backgrounds():
    for foregrounds, backgrounds, count, seed in GRID:
        clips = assigned(imagined(numbered(foregrounds), numbered(backgrounds)), count, seed=seed).clips
        hands = Counter(plan.foreground.name for plan in clips)
        assert hands == dict.fromkeys(numbered(foregrounds), min(count, backgrounds))
        pairs = {(plan.foreground.name, plan.background.name) for plan in clips}
        assert len(pairs) == len(clips)


def test_every_background_is_used_before_any_repeats():
    for foregrounds, backgrounds, count, seed in GRID:
        clips = assigned(imagined(numbered(foregrounds), numbered(backgrounds)), count, seed=seed).clips
        uses = Counter(dict.fromkeys(numbered(backgrounds), 0))
        for plan in clips:
            uses[plan.background.name] += 1
            assert max(uses.values()) - min(uses.values()) <= 1, (foregrounds, backgrounds, count, seed)


def test_clips_are_in_the_order_of_their_foregrounds():
    clips = assigned(imagined(numbered(9), numbered(30))).clips
    assert [plan.foreground.name for plan in clips] == [name for name in numbered(9) for _ in range(4)]


def test_assignment_depends_on_the_seed_only():
    tree = imagined(numbered(10), numbered(20))
    assert assigned(tree, seed=3) == assigned(tree, seed=3)
    deals = {tuple(plan.background.name for plan in assigned(tree, seed=seed).clips) for seed in range(20)}
    assert len(deals) == 20


def test_assignment_is_uniform_over_backgrounds():
    tree = imagined(numbered(1), numbered(5))
    firsts = Counter(assigned(tree, 1, seed=seed).clips[0].background.name for seed in range(1000))
    assert all(150 < firsts[name] < 250 for name in numbered(5))


def test_assigned_clips_are_named_like_the_published_composites(tree):
    tree.still("cat.v2", split="train")
    tree.moving("0007")
    tree.background("0105")
    found = assigned(scan(tree.root, "train"))
    assert [plan.clip_id for plan in found.clips] == ["image_cat.v2_0105", "video_0007_0105"]
    assert [plan.foreground.kind for plan in found.clips] == ["image", "video"]
    assert [plan.seed for plan in found.clips] == [clip_seed(2019, plan.clip_id) for plan in found.clips]
    assert found.skipped == ()


def test_assigned_clips_skip_problems_of_the_tree(tree):
    tree.still("cat")
    tree.still("dog").write_bytes(b"")
    tree.background()
    sources = scan(tree.root, "train")
    assert len(sources.problems) == 2
    found = assigned(sources)
    assert [plan.clip_id for plan in found.clips] == ["image_cat_0000"]
    assert found.skipped == sources.problems


# Listed pairs


def put(root: Path, *names: str, data: bytes = b"x") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def listed(root: Path, *lines: str, seed: int = 2019, split: str = "train") -> Plans:
    path = root.parent / "pairs.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return listed_clips(scan(root, split), read_pairs(path), seed=seed, rendering=Rendering())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Files of one byte: image foregrounds cat and a+b, video foreground 0000, backgrounds 0041 and 0105."""
    root = tmp_path / "DVM"
    for name in ("cat", "a+b"):
        put(root, f"fg/image/train/fg/{name}.png", f"fg/image/train/alpha/{name}.png")
    put(root, "fg/video/train/0000/f.mp4", "fg/video/train/0000/a.mp4", "bg/train/0041.mp4", "bg/train/0105.mp4")
    return root


def test_the_official_list_gives_248_clips(camera_media, tmp_path):
    path, root = camera_media / "test_fg_bg_names.txt", tmp_path / "DVM"
    lines = [line.split("+") for line in path.read_text().splitlines()]
    for kind, foreground, background in lines:
        put(root, f"bg/test/{background}")
        if kind == "image":
            put(root, f"fg/image/test/fg/{foreground}", f"fg/image/test/alpha/{foreground}")
        else:
            put(root, f"fg/video/test/{foreground}/f.mp4", f"fg/video/test/{foreground}/a.mp4")
    found = listed_clips(scan(root, "test"), read_pairs(path), seed=2019, rendering=Rendering())
    assert found.skipped == ()
    assert [plan.clip_id for plan in found.clips] == [
        f"{kind}_{foreground.removesuffix('.png')}_{background.removesuffix('.mp4')}"
        for kind, foreground, background in lines
    ]
    assert len({plan.seed for plan in found.clips}) == 248
    require_distinct(found)


def test_listed_clips_are_in_the_order_of_the_list(root):
    found = listed(root, "video+0000+0105.mp4", "image+cat.png+0041.mp4", "image+a+b.png+0105.mp4")
    assert [plan.clip_id for plan in found.clips] == ["video_0000_0105", "image_cat_0041", "image_a+b_0105"]
    cat = found.clips[1]
    assert cat.foreground.alpha == root / "fg/image/train/alpha/cat.png"
    assert cat.background.path == root / "bg/train/0041.mp4"
    assert found.skipped == ()


def test_a_list_for_another_layout_contains_the_names_of_sources(tmp_path: Path) -> None:
    """VideoMatting108 has clips of one name in different categories."""
    root = tmp_path / "set"
    draw("videomatting108", root)
    (root / "BG_done/forest/bg_2").rename(root / "BG_done/forest/bg_7")
    frames = (root / "frame_corr.json").read_text()
    (root / "frame_corr.json").write_text(frames.replace("forest/bg_2", "forest/bg_7"))
    lines = ["video+girl_clip_01+city_bg_7", "video+girl_clip_01+forest_bg_7", "video+plush toy_bear+city_bg_7"]
    found = listed(root, *lines)
    assert found.skipped == ()
    assert [plan.background.path.relative_to(root).as_posix() for plan in found.clips] == [
        "BG_done/city/bg_7",
        "BG_done/forest/bg_7",
        "BG_done/city/bg_7",
    ]
    skipped = listed(root, "video+girl_clip_01+bg_7", "video+clip_01+city_bg_7").skipped
    form = "write its name as in the columns of a row, without extension"
    assert [problem.text for problem in skipped] == [
        f"there is no usable background 'bg_7'; {form}",
        f"there is no usable foreground 'clip_01'; {form}",
    ]


def test_adding_a_foreground_changes_no_listed_clip(root):
    lines = ["image+cat.png+0041.mp4", "video+0000+0105.mp4"]
    before = listed(root, *lines)
    put(root, "fg/image/train/fg/aaa.png", "fg/image/train/alpha/aaa.png", "bg/train/0000.mp4")
    assert listed(root, "image+aaa.png+0000.mp4", *lines).clips[1:] == before.clips


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("image+dog.png+0041.mp4", ["fg/image/train/fg/dog.png", "is missing"]),
        ("image+cat.jpg+0041.mp4", ["fg/image/train/fg/cat.jpg", "is missing"]),
        ("image+cat+0041.mp4", ["fg/image/train/fg/cat", "is missing"]),
        ("video+0009+0041.mp4", ["fg/video/train/0009", "is missing"]),
        ("video+cat.png+0041.mp4", ["fg/video/train/cat.png", "is missing"]),
        ("image+cat.png+0999.mp4", ["bg/train/0999.mp4", "is missing"]),
        ("image+cat.png+0041", ["bg/train/0041", "is missing"]),
        ("image+eel.png+0041.mp4", ["fg/image/train/fg/eel.png cannot be used", "no usable alpha"]),
        ("image+fox.png+0041.mp4", ["fg/image/train/fg/fox.png cannot be used", "empty"]),
        ("video+0001+0041.mp4", ["fg/video/train/0001 cannot be used", "a.mp4"]),
        ("image+cat.png+0002.mp4", ["bg/train/0002.mp4 cannot be used", "empty"]),
        # The folder has two problems: an empty f.mp4, and therefore no usable f.mp4. The cause is reported.
        ("video+0002+0041.mp4", ["fg/video/train/0002 cannot be used", "0002/f.mp4: is empty"]),
    ],
)
def test_a_line_with_a_missing_source_is_skipped_with_the_reason(root, line, words):
    put(root, "fg/image/train/fg/eel.png", "fg/image/train/alpha/fox.png", "fg/video/train/0001/f.mp4")
    put(root, "fg/image/train/fg/fox.png", "bg/train/0002.mp4", "fg/video/train/0002/f.mp4", data=b"")
    found = listed(root, "image+cat.png+0105.mp4", line, "video+0000+0105.mp4")
    assert [plan.clip_id for plan in found.clips] == ["image_cat_0105", "video_0000_0105"]
    (left,) = found.skipped
    assert left.path == f"line 2: {line}"
    assert all(word in left.text for word in words), left


def test_the_reason_is_not_that_of_a_source_with_the_same_prefix(root):
    put(root, "fg/video/train/take.2/f.mp4")  # a.mp4 is missing
    (left,) = listed(root, "image+cat.png+0105.mp4", "video+take.1+0041.mp4").skipped
    assert "fg/video/train/take.1 is missing" in left.text


# Plans


@pytest.mark.parametrize(("kind", "expected"), [("image", 7), ("video", 90)])
def test_image_and_video_foregrounds_have_separate_frame_limits(kind, expected):
    tree = imagined(["a"], ["b"], kind=kind)
    rendering = Rendering(max_image_frames=7, max_video_frames=90)
    (plan,) = assigned_clips(tree, backgrounds_per_foreground=1, seed=0, rendering=rendering).clips
    assert plan.max_frames == expected
    assert ClipPlan("x", plan.foreground, plan.background, 0).max_frames == {"image": 60, "video": 150}[kind]


def test_plans_can_be_pickled(root):
    found = listed(root, "image+cat.png+0041.mp4", "image+nothing.png+0041.mp4")
    assert pickle.loads(pickle.dumps(found)) == found
    assert found.clips
    assert found.skipped


def test_two_clips_of_one_name_are_refused_with_their_files():
    found = assigned(imagined(["a", "a_b"], ["b_c", "c"]), 2)  # a + b_c and a_b + c
    with pytest.raises(SourceError, match="image_a_b_c") as raised:
        require_distinct(found)
    assert all(word in str(raised.value) for word in ("a.png", "a_b.png", "b_c.mp4", "c.mp4"))


def test_clips_of_different_names_are_accepted():
    require_distinct(assigned(imagined(numbered(20), numbered(30))))
    require_distinct(Plans((), (Problem("x", "y"), Problem("x", "y"))))
