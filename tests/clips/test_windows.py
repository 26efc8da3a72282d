"""Windows of a clip: their frames and crops; a frame is the same in all windows."""

import gc
import logging
import shutil
import tracemalloc
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import av
import cv2
import numpy as np
import pytest
from conftest import TreeWriter, soft_disc

from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import Window, render, spans
from dvm_hf.errors import SourceError
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video import videos
from dvm_hf.media.video.decoded_frames import Picture
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.sources.tree import scan

LAYERS = ("composite", "alpha", "trimap", "foreground", "background")
COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")
UNKNOWN = 128


def plan_of(
    root: Path, kind: str, *, split: str = "train", background: int = 0, seed: int = 5, **rendering: Any
) -> ClipPlan:
    """The clip of the first foreground of a kind, over a background by number, in all columns."""
    tree = scan(root, split)
    foreground = next(found for found in tree.foregrounds if found.kind == kind)
    behind = tree.backgrounds[background % len(tree.backgrounds)]
    name = f"{kind}_{foreground.name}_{behind.name}"
    return ClipPlan(name, foreground, behind, seed, Rendering(**{"columns": COLUMNS} | rendering))


def every_plan(root: Path, split: str, *, backgrounds: int, **rendering: Any) -> list[ClipPlan]:
    """Each foreground of a split over some of the backgrounds, a different choice for each."""
    tree = scan(root, split)
    chosen = [
        (foreground, tree.backgrounds[(place * backgrounds + step) % len(tree.backgrounds)])
        for place, foreground in enumerate(tree.foregrounds)
        for step in range(backgrounds)
    ]
    return [
        ClipPlan(f"{f.kind}_{f.name}_{b.name}", f, b, seed, Rendering(columns=COLUMNS, **rendering))
        for seed, (f, b) in enumerate(chosen)
    ]


def windows(plan: ClipPlan, numbers: Iterable[int] | None = None) -> list[Window[tuple[Frame, ...]]]:
    return list(render(plan, each=lambda frame: frame, numbers=None if numbers is None else set(numbers)))


def pixels(frame: Frame, layer: str) -> np.ndarray:
    found = getattr(frame, layer)
    assert found is not None
    return found.astype(int)


def assert_same(one: Window[tuple[Frame, ...]], other: Window[tuple[Frame, ...]]) -> None:
    assert (one.number, one.start, one.view, one.placements) == (
        other.number,
        other.start,
        other.view,
        other.placements,
    )
    for frame, twin in zip(one.frames, other.frames, strict=True):
        assert all(np.array_equal(getattr(frame, layer), getattr(twin, layer)) for layer in LAYERS)


@pytest.fixture(scope="module")
def numbered_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `numbered` copies."""
    tree = TreeWriter(tmp_path_factory.mktemp("numbered") / "DVM")
    tree.still()
    tree.moving(frames=24)
    tree.background()
    write_numbered(tree.root / "bg/train/0000.mp4", frames=24)
    return tree.root


@pytest.fixture
def numbered(numbered_template: Path, tree: TreeWriter) -> TreeWriter:
    """An image and a video foreground; frame i of the 24 background frames is uniform grey of level 20 + 8 * i."""
    shutil.copytree(numbered_template, tree.root)
    return tree


def write_numbered(path: Path, *, frames: int) -> None:
    write_video(path, (np.full((72, 96), 20 + 8 * index, np.uint8) for index in range(frames)))


def frame_numbers(window: Window[tuple[Frame, ...]]) -> list[int]:
    """Return the source frames of a window over the numbered background, read from its pixels."""
    return [round((pixels(frame, "background").mean() - 20) / 8) for frame in window.frames]


def windows_by_definition(
    count: int, length: int | str, step: int, stride: int | None, remainder: str
) -> list[list[int]]:
    """Window k contains the frames k * stride + i * step, i < length. All full windows count; the first partial one
    counts if it is kept and contains a frame after those of all earlier windows.
    """
    size = len([index for index in range(count) if index % step == 0]) if length == "all" else int(length)
    stride = stride or max(size * step, 1)
    ideal = [[start + i * step for i in range(size)] for start in range(0, count, stride)]
    held = [[index for index in window if index < count] for window in ideal]
    full = [window for window in held if len(window) == size]
    partial = [window for window in held if window and len(window) < size]
    latest = max((index for window in full for index in window), default=-1)
    return full + [window for window in partial[:1] if remainder != "drop" and window[-1] > latest]


@pytest.mark.parametrize("length", [1, 2, 3, 5, "all"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_windows_match_their_definition(length: int | str, step: int) -> None:
    for count in range(25):
        for stride in (None, *range(1, 9)) if length != "all" else (None,):
            for remainder in ("drop", "keep", "repeat_last"):
                made = spans(count, clip_length=length, frame_step=step, clip_step=stride, remainder=remainder)  # type: ignore[arg-type]
                made_lists = [(span.number, list(span.indices)) for span in made]
                expected = windows_by_definition(count, length, step, stride, remainder)
                assert made_lists == list(enumerate(expected)), (count, stride, remainder)


def test_windows_of_ten_frames_worked_by_hand() -> None:
    def of_ten(**fields: Any) -> list[list[int]]:
        return [list(span.indices) for span in spans(10, **fields)]

    assert of_ten(clip_length=4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert of_ten(clip_length=4, remainder="drop") == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert of_ten(clip_length=4, clip_step=3) == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert of_ten(clip_length=3, frame_step=2) == [[0, 2, 4], [6, 8]]
    assert of_ten(clip_length=16, remainder="drop") == []
    assert of_ten(clip_length="all", frame_step=3, remainder="drop") == [[0, 3, 6, 9]]


@pytest.mark.slow
@pytest.mark.parametrize("crop_size", [None, 16])
@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize(
    ("length", "step", "stride"),
    [
        (4, 1, None),
        (7, 1, None),
        (4, 1, 2),
        (3, 2, None),
        (3, 2, 2),
        (3, 4, 1),
        (2, 5, 3),
        (4, 1, 9),
        ("all", 1, None),
        ("all", 5, None),
    ],
)
def test_each_window_shows_its_frames(
    numbered: TreeWriter, kind: str, crop_size: int | None, length: int | str, step: int, stride: int | None
) -> None:
    for remainder in ("drop", "keep"):
        fields = {"clip_length": length, "frame_step": step, "clip_step": stride, "remainder": remainder}
        made = windows(plan_of(numbered.root, kind, crop_size=crop_size, **fields))
        expected = windows_by_definition(24, length, step, stride, remainder)
        assert [frame_numbers(window) for window in made] == expected
        assert [(window.number, window.start) for window in made] == [(k, held[0]) for k, held in enumerate(expected)]
        assert [len(window.placements) for window in made] == [len(held) for held in expected]


@pytest.mark.parametrize("kind", ["image", "video"])
def test_repeat_last_fills_the_last_window_with_its_last_frame(numbered: TreeWriter, kind: str) -> None:
    made = windows(plan_of(numbered.root, kind, clip_length=10, remainder="repeat_last", crop_size=16))
    assert [frame_numbers(window) for window in made] == [[*range(10)], [*range(10, 20)], [20, 21, 22, 23, *[23] * 6]]
    assert len(made[-1].placements) == 10
    assert set(made[-1].placements[3:]) == {made[-1].placements[3]}
    (whole,) = windows(plan_of(numbered.root, kind, clip_length="all", remainder="repeat_last"))
    assert frame_numbers(whole) == [*range(24)]


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize(("length", "step", "stride"), [(4, 1, None), (5, 1, 2), (3, 4, 1), (9, 2, 3)])
def test_a_frame_is_the_same_in_every_window(
    numbered: TreeWriter, kind: str, length: int, step: int, stride: int | None
) -> None:
    (whole,) = windows(plan_of(numbered.root, kind, clip_length="all"))
    fields = {"clip_length": length, "frame_step": step, "clip_step": stride, "remainder": "repeat_last"}
    made = windows(plan_of(numbered.root, kind, **fields))
    assert len(made) > 2
    for window in made:
        for index, frame, placement in zip(frame_numbers(window), window.frames, window.placements, strict=True):
            assert placement == whole.placements[index]
            for layer in LAYERS:
                assert np.array_equal(getattr(frame, layer), getattr(whole.frames[index], layer)), layer


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize(
    "fields",
    [
        {"clip_length": 5},
        {"clip_length": 5, "crop_size": 16},
        {"clip_length": 6, "clip_step": 2, "remainder": "repeat_last"},
        {"clip_length": 6, "clip_step": 2, "crop_size": 16, "trimap": 3},
        {"clip_length": 3, "frame_step": 4, "clip_step": 3},
    ],
)
def test_selected_windows_equal_those_of_the_complete_clip(
    numbered: TreeWriter, kind: str, fields: dict[str, Any]
) -> None:
    plan = plan_of(numbered.root, kind, **fields)
    whole = windows(plan)
    picks: list[list[int]] = [[0], [1], [2], [0, 3], [1, 2, 4], [len(whole) - 1], [len(whole)], []]
    for numbers in picks:
        expected = [window for window in whole if window.number in numbers]
        picked = windows(plan, numbers)
        assert [window.number for window in picked] == [window.number for window in expected]
        for one, other in zip(picked, expected, strict=True):
            assert_same(one, other)


def test_a_function_selects_windows_by_their_number_and_repeats_them_with_other_crops(numbered: TreeWriter) -> None:
    plan = plan_of(numbered.root, "image", clip_length=4, crop_size=16)
    whole = windows(plan)
    count = len(whole)
    asked = []

    def numbers(windows_of_clip: int) -> list[int]:
        asked.append(windows_of_clip)
        return [1, count + 1, 5 * count + 1, 2]

    made = list(render(plan, each=lambda frame: frame, numbers=numbers))
    assert asked == [count]
    assert [window.number for window in made] == [1, count + 1, 5 * count + 1, 2]
    assert_same(made[0], whole[1])
    assert_same(made[3], whole[2])
    assert [frame_numbers(window) for window in made[:3]] == [frame_numbers(whole[1])] * 3
    assert len({(window.view.top, window.view.left) for window in made[:3]}) > 1


@pytest.mark.parametrize("crop_size", [None, 16])
@pytest.mark.parametrize(
    ("length", "step", "stride", "remainder"),
    [(5, 1, None, "drop"), (5, 1, 3, "keep"), (4, 2, 3, "repeat_last"), ("all", 1, None, "keep")],
)
def test_a_collector_gets_the_frames_of_its_window_in_order(
    numbered: TreeWriter, length: Any, step: int, stride: int | None, remainder: str, crop_size: int | None
) -> None:
    fields = {"clip_length": length, "frame_step": step, "clip_step": stride, "remainder": remainder}
    plan = plan_of(numbered.root, "image", crop_size=crop_size, max_image_frames=13, **fields)
    events: list[Any] = []

    class Collector(list):  # type: ignore[type-arg]
        def append(self, frame: Frame) -> None:
            events.append("collected")
            super().append(frame)

        def frames(self) -> list[Frame]:
            return [*self]

    def each(frame: Frame) -> Frame:
        events.append("rendered")
        return frame

    found = list(render(plan, each=each, collect=Collector))
    expected = windows(plan)
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one.frames, list)
        assert_same(one, other)
        assert len(one.placements) == len(one.frames)
    # a frame is collected before the next one is rendered, and shared ones are rendered once
    assert "rendered rendered" not in " ".join(events)
    if crop_size is None:
        assert events.count("rendered") <= 13


def test_the_same_plan_gives_the_same_clip_and_another_seed_another(numbered: TreeWriter) -> None:
    fields = {"clip_length": "all", "crop_size": 16}
    (first,), (again,) = (windows(plan_of(numbered.root, "image", **fields)) for _ in range(2))
    assert_same(first, again)
    (other,) = windows(plan_of(numbered.root, "image", seed=6, **fields))
    assert first.placements != other.placements


@pytest.mark.parametrize(
    "field", [{"crop_size": 16}, {"background_blur": True}, {"trimap": "dvm-train"}, {"max_image_frames": 9}]
)
def test_view_fields_do_not_move_the_foreground(numbered: TreeWriter, field: dict[str, Any]) -> None:
    (plain,) = windows(plan_of(numbered.root, "image", clip_length="all"))
    (changed,) = windows(plan_of(numbered.root, "image", clip_length="all", **field))
    assert changed.placements == plain.placements[: len(changed.placements)]


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "test"])
def test_composite_is_alpha_over_background_in_every_pixel(drawn_sources: Path, split: str) -> None:
    frame_count, soft = 0, 0
    for plan in every_plan(drawn_sources, split, backgrounds=1, clip_length=16):
        for window in windows(plan):
            for frame in window.frames:
                a = pixels(frame, "alpha")[..., None] / 255
                expected = a * pixels(frame, "foreground") + (1 - a) * pixels(frame, "background")
                assert np.abs(pixels(frame, "composite") - expected).max() < 0.502  # rounded to nearest
                frame_count, soft = frame_count + 1, soft + int(((a > 0) & (a < 1)).sum())
    assert frame_count >= 200
    assert soft > 1000 * frame_count


SOURCES_OF_CROPS = {  # foreground and background sizes: (height, width)
    "background enlarged": ((48, 64), (36, 40)),
    "background as it is": ((48, 64), (72, 96)),
    "a small part of the enlarged background": ((48, 24), (40, 160)),
    "foreground shrunk": ((120, 96), (72, 96)),
}


def assert_is_crop(cropped: Window[tuple[Frame, ...]], full: Window[tuple[Frame, ...]]) -> None:
    """Alpha, trimap and foreground exactly, the images within 1 level."""
    assert (cropped.number, cropped.start, cropped.placements) == (full.number, full.start, full.placements)
    view = np.s_[cropped.view.top : cropped.view.bottom, cropped.view.left : cropped.view.right]
    for frame, whole in zip(cropped.frames, full.frames, strict=True):
        for layer in LAYERS:
            level = 1 if layer in ("composite", "background") else 0
            assert np.abs(pixels(frame, layer) - pixels(whole, layer)[view]).max() <= level, layer


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize("case", SOURCES_OF_CROPS)
def test_a_crop_equals_the_crop_of_the_full_window(tree: TreeWriter, kind: str, case: str) -> None:
    foreground, background = SOURCES_OF_CROPS[case]
    tree.still(split="test", size=foreground)
    tree.moving(split="test", size=foreground)
    tree.background(split="test", size=background)
    for trimap, recipe, blur in (
        ("dvm-test", "dvm", False),
        ("dvm-test", "reference", True),
        ("dvm-train", "dvm", True),
        ("provided", "dvm", False),
        ("provided", "reference", True),
        (0, "dvm", True),
        (7, "dvm", False),
        (7, "reference", True),
    ):
        fields = {"recipe": recipe, "clip_length": 5, "max_size": 100, "trimap": trimap, "background_blur": blur}
        full = windows(plan_of(tree.root, kind, split="test", **fields))
        cropped = windows(plan_of(tree.root, kind, split="test", crop_size=20, **fields))
        assert len(full) == len(cropped) == 3
        for one, other in zip(cropped, full, strict=True):
            assert_is_crop(one, other)


@pytest.mark.parametrize("recipe", ["dvm", "reference"])
def test_a_crop_of_a_slightly_enlarged_background_equals_the_crop_of_the_full_window(
    tree: TreeWriter, recipe: str
) -> None:
    tree.still(size=(45, 151))  # the background grows from 150 to 151 px, and its left by less than half a pixel
    alpha = np.zeros((45, 151), np.uint8)
    alpha[:, 30:45] = 100
    write_image(tree.root / "fg/image/train/alpha/disc.png", alpha)
    noise = np.random.default_rng(0).integers(0, 256, (4, 50, 150, 3), np.uint8)
    write_video(tree.background(), noise, crf=0)
    fields = {"recipe": recipe, "clip_length": 1}
    for seed in range(6):
        full = windows(plan_of(tree.root, "image", seed=seed, **fields))
        cropped = windows(plan_of(tree.root, "image", seed=seed, crop_size=45, **fields))
        for one, other in zip(cropped, full, strict=True):
            assert_is_crop(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("trimap", ["dvm-train", "provided"])
def test_a_crop_of_synthetic_sources_equals_the_crop_of_the_full_window(drawn_sources: Path, trimap: str) -> None:
    fields = {"clip_length": 8, "max_image_frames": 16, "max_video_frames": 16, "trimap": trimap}
    full = every_plan(drawn_sources, "test", backgrounds=1, **fields)
    cropped = every_plan(drawn_sources, "test", backgrounds=1, crop_size=64, **fields)
    for whole, part in zip(full, cropped, strict=True):
        for one, other in zip(windows(part), windows(whole), strict=True):
            assert_is_crop(one, other)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_crop_does_not_keep_the_full_frame_in_memory(tree: TreeWriter, kind: str) -> None:
    tree.still(size=(200, 240))
    tree.moving(size=(200, 240))
    tree.background(size=(240, 320))
    for window in windows(plan_of(tree.root, kind, crop_size=24, clip_length=4)):
        for frame in window.frames:
            for layer in LAYERS:
                kept = getattr(frame, layer)
                while isinstance(kept.base, np.ndarray):
                    kept = kept.base
                assert kept.nbytes < 4 * 48 * 48 * 3, layer


@pytest.mark.parametrize("kind", ["image", "video"])
def test_windows_that_share_frames_do_not_share_arrays_of_their_crops(tree: TreeWriter, kind: str) -> None:
    tree.still()
    tree.moving()
    tree.background()
    plan = plan_of(tree.root, kind, crop_size=16, clip_length=4, clip_step=2)
    untouched = windows(plan)
    for window, expected in zip(render(plan, each=lambda frame: frame), untouched, strict=True):
        assert window.view == expected.view
        for frame, same in zip(window.frames, expected.frames, strict=True):
            for layer in LAYERS:
                assert np.array_equal(getattr(frame, layer), getattr(same, layer)), layer
                getattr(frame, layer)[:] = 77  # a caller may write to its frames


@pytest.mark.parametrize("columns", [("alpha",), ("trimap",), ("alpha", "trimap"), ("foreground",)])
def test_no_background_is_converted_for_columns_that_show_none(
    tree: TreeWriter, columns: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.still()
    tree.background(frames=6)
    whole = windows(plan_of(tree.root, "image", clip_length=3))
    converted: list[object] = []
    monkeypatch.setattr(Picture, "rgb", lambda picture, box: converted.append(box))
    part = windows(plan_of(tree.root, "image", clip_length=3, columns=columns))
    assert not converted
    for one, other in zip(part, whole, strict=True):
        for frame, expected in zip(one.frames, other.frames, strict=True):
            for layer in LAYERS:
                found = getattr(frame, layer)
                assert found is None if layer not in columns else np.array_equal(found, getattr(expected, layer))


@pytest.mark.slow
@pytest.mark.parametrize("trimap", ["dvm-test", "dvm-train", 0, 3])
def test_a_crop_continues_after_the_foreground_has_left_it(tree: TreeWriter, trimap: str | int) -> None:
    tree.still()
    write_image(tree.root / "fg/image/train/alpha/disc.png", np.full((48, 40), 255, np.uint8))
    tree.background(size=(120, 180), frames=48)
    empty = 0
    for seed in range(4):
        fields = {"clip_length": "all", "trimap": trimap, "seed": seed}
        (full,) = windows(plan_of(tree.root, "image", **fields))
        (cropped,) = windows(plan_of(tree.root, "image", crop_size=6, **fields))
        assert_is_crop(cropped, full)
        empty += sum(not frame.alpha.any() for frame in cropped.frames)  # type: ignore[union-attr]
    assert empty > 10


def could_be_centre(view: Any, frame_size: tuple[int, int]) -> tuple[slice, slice]:
    """Pixels of the frame that a crop could be centred on: its centre, and where it touches the frame's
    border every pixel between the centre and that border.
    """

    def along(low: int, high: int, size: int) -> slice:
        centre = low + (high - low) // 2
        return slice(0 if low == 0 else centre, size if high == size else centre + 1)

    return along(view.top, view.bottom, frame_size[0]), along(view.left, view.right, frame_size[1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize(
    ("trimap", "remainder"),
    [*((trimap, "keep") for trimap in ("dvm-test", "dvm-train", "provided", 0, 7)), ("dvm-test", "repeat_last")],
)
def test_a_crop_is_centred_on_an_unknown_pixel_of_the_middle_frame(
    tree: TreeWriter, kind: str, trimap: str | int, remainder: str
) -> None:
    tree.still(split="test")
    tree.moving(split="test", frames=21)
    tree.background(split="test", frames=21)
    inside, views = 0, set()
    for seed in range(4):
        fields = {"split": "test", "seed": seed, "clip_length": 8, "trimap": trimap, "remainder": remainder}
        full = windows(plan_of(tree.root, kind, **fields))
        cropped = windows(plan_of(tree.root, kind, crop_size=12, **fields))
        assert [len(window.frames) for window in cropped] == [8, 8, 5 if remainder == "keep" else 8]
        for whole, part in zip(full, cropped, strict=True):
            unknown = pixels(whole.frames[len(whole.frames) // 2], "trimap") == UNKNOWN
            area = could_be_centre(part.view, unknown.shape)
            assert unknown[area].any()
            assert (part.view.height, part.view.width) == (12, 12)
            inside += unknown[area].size == 1
            views.add(part.view)
    assert inside >= 4
    assert len(views) >= 10  # drawn again for each window


def test_the_crop_of_a_window_without_unknown_pixels_is_the_centre(tree: TreeWriter) -> None:
    folder = tree.moving(frames=12)
    tree.background()
    empty = np.zeros((48, 64), np.uint8)
    write_video(folder / "a.mp4", [soft_disc(48, 64), *[empty] * 11])
    for window in windows(plan_of(tree.root, "video", clip_length=4, crop_size=12))[1:]:
        assert window.view == (57 // 2 - 6, 76 // 2 - 6, 57 // 2 + 6, 76 // 2 + 6)  # the composite is 76 x 57 px


def write_cut(path: Path, pictures: list[np.ndarray], *, kept: int) -> None:
    """An MP4 whose header comes first and declares all frames, and whose data end after `kept` of them."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0", "crf": "12"})
        stream.height, stream.width = pictures[0].shape[:2]
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    end = packets[kept].pos
    assert end is not None
    path.write_bytes(path.read_bytes()[:end])


@pytest.fixture
def cut_background(numbered: TreeWriter) -> Callable[[int], TreeWriter]:
    """`numbered` with a background that declares 24 frames and contains fewer."""

    def cut(kept: int) -> TreeWriter:
        flat = [np.full((72, 96, 3), 20 + 8 * index, np.uint8) for index in range(24)]
        write_cut(numbered.root / "bg/train/0000.mp4", flat, kept=kept)
        return numbered

    return cut


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "crop_size"), [("image", None), ("video", 16)])
@pytest.mark.parametrize("kept", [9, 8, 3])
def test_a_clip_ends_where_its_background_does(
    cut_background: Callable[[int], TreeWriter],
    caplog: pytest.LogCaptureFixture,
    kind: str,
    crop_size: int | None,
    kept: int,
) -> None:
    root = cut_background(kept).root
    for length in (4, 5, "all"):
        for stride in (None, 2) if length != "all" else (None,):
            for remainder in ("drop", "keep", "repeat_last"):
                fields = {"clip_length": length, "clip_step": stride, "remainder": remainder, "crop_size": crop_size}
                expected = windows_by_definition(kept, length, 1, stride, remainder)
                if remainder == "repeat_last" and length != "all":
                    expected = [held + held[-1:] * (int(length) - len(held)) for held in expected]
                with caplog.at_level(logging.WARNING):
                    made = windows(plan_of(root, kind, **fields))
                assert [frame_numbers(window) for window in made] == expected, fields
    assert f"0000.mp4: ends after {kept} frames, its header declares 24" in caplog.text


@pytest.mark.parametrize("kept", [8, 9, 10, 11])
def test_selected_windows_equal_those_of_a_clip_that_ends_early(
    cut_background: Callable[[int], TreeWriter], kept: int
) -> None:
    plan = plan_of(cut_background(kept).root, "image", clip_length=4, clip_step=2)
    whole = windows(plan)
    for number in range(8):
        picked = windows(plan, [number])
        assert [frame_numbers(window) for window in picked] == [
            frame_numbers(window) for window in whole if window.number == number
        ]


def test_windows_after_damage_do_not_depend_on_decoding_the_damage(numbered: TreeWriter) -> None:
    """A damaged frame also loses the frames that reference it, up to the next keyframe; windows with them end."""
    path = numbered.root / "bg/train/0000.mp4"
    flat = [np.full((72, 96, 3), 20 + 8 * index, np.uint8) for index in range(24)]
    with av.open(str(path), "w") as container:
        options = {"bf": "0", "crf": "12", "g": "9", "x264-params": "scenecut=0"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = 72, 96
        for picture in flat:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][5]
    data = bytearray(path.read_bytes())
    data[packet.pos + 4 : packet.pos + packet.size] = bytes(packet.size - 4)
    path.write_bytes(data)
    plan = plan_of(numbered.root, "image", clip_length=4, clip_step=2)
    whole = {window.number: frame_numbers(window) for window in windows(plan)}
    assert [indices[0] for indices in whole.values()] == [0, 2, 10, 12, 14, 16, 18, 20]
    assert whole[1] == [2, 3, 4]
    for number in range(12):
        picked = windows(plan, [number])
        assert [frame_numbers(window) for window in picked] == ([whole[number]] if number in whole else [])


@pytest.mark.parametrize("part", ["f.mp4", "a.mp4"])
def test_a_video_foreground_with_videos_of_different_lengths_is_refused(numbered: TreeWriter, part: str) -> None:
    path = numbered.root / "fg/video/train/0000" / part
    write_cut(path, decoded(path), kept=10)
    with pytest.raises(SourceError, match=f"{part} has 10 frames|but {part} has 10"):
        windows(plan_of(numbered.root, "video", clip_length=4))


def cut_both(numbered: TreeWriter) -> None:
    for part in ("f.mp4", "a.mp4"):
        path = numbered.root / "fg/video/train/0000" / part
        write_cut(path, decoded(path), kept=10)


def test_a_clip_ends_where_its_video_foreground_does(numbered: TreeWriter) -> None:
    cut_both(numbered)
    made = windows(plan_of(numbered.root, "video", clip_length=4))
    assert [frame_numbers(window) for window in made] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def decoded(path: Path) -> list[np.ndarray]:
    """The frames of a video, RGB, read by OpenCV."""
    video, frames = cv2.VideoCapture(str(path)), []
    while (answer := video.read())[0]:
        frames.append(cv2.cvtColor(answer[1], cv2.COLOR_BGR2RGB))
    return frames


def test_the_crop_of_a_partial_window_contains_unknown_pixels(numbered: TreeWriter) -> None:
    cut_both(numbered)
    for seed in range(4):
        made = windows(plan_of(numbered.root, "video", clip_length=8, crop_size=8, seed=seed))
        assert [len(window.frames) for window in made] == [8, 2]
        for window in made:
            assert any((frame.trimap == UNKNOWN).any() for frame in window.frames)  # type: ignore[union-attr]


def test_a_clip_is_at_most_as_long_as_its_shortest_source_and_its_limit(tree: TreeWriter) -> None:
    tree.still()
    tree.moving(frames=10)
    tree.background(frames=12)

    def length(kind: str, **fields: Any) -> int:
        return sum(len(window.frames) for window in windows(plan_of(tree.root, kind, clip_length=4, **fields)))

    assert length("image") == 12
    assert length("video") == 10
    assert length("image", max_image_frames=7, max_video_frames=3) == 7
    assert length("video", max_image_frames=7, max_video_frames=3) == 3


def test_a_video_without_a_frame_count_in_its_header_is_read_to_its_end(tree: TreeWriter, camera_media: Path) -> None:
    tree.still()
    (tree.root / "bg/train").mkdir(parents=True)
    shutil.copy(camera_media / "av1_video.mkv", tree.root / "bg/train/0000.mkv")
    with av.open(str(camera_media / "av1_video.mkv")) as container:
        assert container.streams.video[0].frames == 0
        count = sum(1 for _ in container.decode(video=0))
    (window,) = windows(plan_of(tree.root, "image", clip_length="all", max_image_frames=1000))
    assert len(window.frames) == count > 60


def test_frame_counts_that_differ_are_named(tree: TreeWriter) -> None:
    tree.moving("0007", frames=12, alpha_frames=11)
    tree.background()
    with pytest.raises(SourceError, match=r"fg/video/train/0007: f\.mp4 has 12 frames, but a\.mp4 has 11"):
        windows(plan_of(tree.root, "video"))


def test_sizes_that_differ_are_named(tree: TreeWriter) -> None:
    tree.still()
    tree.moving("0007")
    tree.background()
    write_image(tree.root / "fg/image/train/alpha/disc.png", np.zeros((48, 44), np.uint8))
    with pytest.raises(SourceError, match=r"fg/disc\.png.*40 x 48.*alpha/disc\.png.*44 x 48"):
        windows(plan_of(tree.root, "image"))
    write_video(tree.root / "fg/video/train/0007/a.mp4", [np.zeros((48, 48), np.uint8)] * 12)
    with pytest.raises(SourceError, match=r"0007/f\.mp4.*64 x 48.*0007/a\.mp4.*48 x 48"):
        windows(plan_of(tree.root, "video"))


def test_a_crop_that_does_not_fit_names_the_clip_and_the_largest_that_does(tree: TreeWriter) -> None:
    tree.still()
    tree.background()
    with pytest.raises(SourceError, match=r"image_disc_0000: crop_size is 49.*48 x 57.*up to 48"):
        windows(plan_of(tree.root, "image", crop_size=49))
    assert {window.view.height for window in windows(plan_of(tree.root, "image", crop_size=48))} == {48}


@pytest.mark.slow
@pytest.mark.parametrize(
    "columns", [("alpha",), ("trimap",), ("background",), ("foreground",), ("frames",), ("frames", "trimap")]
)
def test_only_requested_columns_are_rendered_with_the_same_pixels(
    numbered: TreeWriter, columns: tuple[str, ...]
) -> None:
    layers = dict(zip(COLUMNS, LAYERS, strict=True))
    for kind in ("image", "video"):
        fields = {"clip_length": 6, "clip_step": 2, "crop_size": 16}
        full = windows(plan_of(numbered.root, kind, **fields))
        few = windows(plan_of(numbered.root, kind, columns=columns, **fields))
        assert [window.view for window in few] == [window.view for window in full]
        for window, whole in zip(few, full, strict=True):
            for frame, other in zip(window.frames, whole.frames, strict=True):
                for column, layer in layers.items():
                    wanted = getattr(other, layer) if column in columns else None
                    assert np.array_equal(getattr(frame, layer), wanted), column


@pytest.fixture(scope="module")
def long_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A foreground of each kind and a background of 28 frames. Tests must not change it."""
    tree = TreeWriter(tmp_path_factory.mktemp("long") / "DVM")
    tree.still(size=(96, 96))
    tree.moving(size=(96, 96), frames=28)
    tree.background(size=(120, 160), frames=28)
    return tree.root


class CountedPicture(Picture):
    """A decoded frame that counts how many of them are held: tracemalloc does not see FFmpeg's memory."""

    held: ClassVar["weakref.WeakSet[Picture]"] = weakref.WeakSet()
    most_held: ClassVar[int] = 0

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.held.add(self)
        CountedPicture.most_held = max(CountedPicture.most_held, len(self.held))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "crop_size", "strides"),
    [("video", 64, (4, 1, None)), ("image", 64, (4, 1, 2)), ("video", None, (4, 1, 2)), ("image", None, (3, 2, 1))],
)
def test_memory_does_not_grow_with_the_length_of_a_clip(
    long_sources: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    crop_size: int | None,
    strides: tuple[int, int, int | None],
) -> None:
    length, step, stride = strides
    monkeypatch.setattr(videos, "Picture", CountedPicture)

    def peak(frames: int) -> int:
        limits = {"max_image_frames": frames, "max_video_frames": frames}
        fields = {"clip_length": length, "frame_step": step, "clip_step": stride, "crop_size": crop_size}
        gc.collect()  # otherwise garbage of earlier runs counts in one run only
        CountedPicture.most_held = 0
        tracemalloc.start()
        try:
            for _ in render(plan_of(long_sources, kind, **fields, **limits), each=lambda frame: frame):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(12)  # allocations at first use
    shortest, held = peak(12), CountedPicture.most_held
    # What other threads of the process allocate meanwhile counts as well, but not in each of three runs. A frame has
    # 57,600 bytes; the metadata of a packet about 1,400.
    assert any(peak(28) < shortest + (28 - 12) * 2048 for _ in range(3))
    assert 0 < CountedPicture.most_held <= held
