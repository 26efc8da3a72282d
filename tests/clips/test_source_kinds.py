"""The same foreground gives the same clip, in whatever kind of files it is stored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_arrays import tiff_bytes
from own_alpha import LOSSLESS, PAIRS, WITH_ALPHA, Film, film, recorded_opens, write_pictures, write_video
from PIL import Image

from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import render
from dvm_hf.errors import SourceError
from dvm_hf.media.matte_faults import OPAQUE_TEXT
from dvm_hf.sources.records import Background, Foreground

LAYERS = ("frames", "alpha", "foreground", "background")
LOSS = {"ffv1 yuva444p": 3, "prores 4444": 4, "vp9": 12, "vp8": 14, "folder and h264": 6}  # levels, by form
FRAMES = 10


@pytest.fixture(scope="module")
def drawing() -> Film:
    return film(FRAMES)


@pytest.fixture(scope="module")
def backdrop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of numbered pictures that is larger than the foreground."""
    rows, columns = np.mgrid[:72, :96]
    pictures = [np.dstack([rows + 9 * i, columns, 200 - rows]).astype(np.uint8) for i in range(FRAMES)]
    return write_pictures(tmp_path_factory.mktemp("backdrop") / "0001", pictures)


def clip(
    colour: Path,
    alpha: Path,
    backdrop: Path,
    *,
    kind: str = "video",
    colours: str = "straight",
    numbers: list[int] | None = None,
    **fields: Any,
) -> list[Frame]:
    """Render a clip; the layers are returned without a loss."""
    rendering = Rendering(**{"columns": LAYERS, "clip_length": "all", **fields})
    foreground = Foreground(kind, "one", colour, alpha, colours=colours)
    plan = ClipPlan("clip", foreground, Background("0001", backdrop), 7, rendering)
    return [frame for window in render(plan, each=lambda frame: frame, numbers=numbers) for frame in window.frames]


def difference(frames: list[Frame], others: list[Frame]) -> int:
    """Return the largest difference of a level in any layer; colours count where the foreground is opaque."""
    assert len(frames) == len(others) > 0
    worst = 0
    for one, other in zip(frames, others, strict=True):
        for layer in ("composite", "alpha", "foreground", "background"):
            a, b = (getattr(frame, layer).astype(int) for frame in (one, other))
            if layer == "foreground":
                a, b = a[other.alpha == 255], b[other.alpha == 255]
            worst = max(worst, int(np.abs(a - b).max()))
    return worst


@pytest.fixture(scope="module")
def published(drawing: Film, backdrop: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Frame]:
    """The clip of two lossless videos."""
    return clip(*PAIRS["two videos"](tmp_path_factory.mktemp("videos"), drawing), backdrop)


def test_a_clip_of_two_videos_has_the_pixels_that_were_drawn(published: list[Frame], drawing: Film) -> None:
    """The frame is 57 x 76 px, and the foreground of 48 x 64 px is at its centre."""
    assert len(published) == FRAMES
    for frame, colour, alpha in zip(published, *drawing, strict=True):
        assert frame.alpha is not None
        assert frame.foreground is not None
        assert frame.alpha.shape == (57, 76)
        assert np.array_equal(frame.alpha[4:52, 6:70], alpha)
        assert np.array_equal(frame.foreground[4:52, 6:70], colour)


@pytest.mark.parametrize("form", PAIRS)
def test_colour_and_alpha_may_be_any_two_kinds_of_films(
    form: str, drawing: Film, backdrop: Path, published: list[Frame], tmp_path: Path
) -> None:
    assert difference(clip(*PAIRS[form](tmp_path, drawing), backdrop), published) <= LOSS.get(form, 0)


@pytest.mark.parametrize("form", WITH_ALPHA)
def test_a_file_with_its_own_alpha_gives_the_same_clip(
    form: str, drawing: Film, backdrop: Path, published: list[Frame], tmp_path: Path
) -> None:
    path = WITH_ALPHA[form](tmp_path, drawing)
    found = difference(clip(path, path, backdrop), published)
    assert found <= LOSS.get(form, 0)
    assert (found == 0) == (form in LOSSLESS)


@pytest.mark.parametrize("form", WITH_ALPHA)
def test_a_window_of_a_file_with_its_own_alpha_is_that_of_the_complete_clip(
    form: str, backdrop: Path, tmp_path: Path
) -> None:
    """Also windows that are reached by a seek."""
    path = WITH_ALPHA[form](tmp_path, film(40))
    background = write_pictures(tmp_path / "bg", [np.full((60, 80, 3), 3 * i, np.uint8) for i in range(40)])
    complete = clip(path, path, background)
    assert len(complete) == 40
    for number in (7, 3, 9):
        (*window,) = clip(path, path, background, clip_length=4, numbers=[number])
        assert difference(window, complete[4 * number : 4 * number + 4]) == 0


@pytest.mark.parametrize("form", ["frames", "prores 4444", "vp9", "two folders"])
def test_a_crop_is_that_part_of_the_complete_window(form: str, drawing: Film, backdrop: Path, tmp_path: Path) -> None:
    made = PAIRS[form](tmp_path, drawing) if form in PAIRS else (WITH_ALPHA[form](tmp_path, drawing),) * 2
    complete = clip(*made, backdrop, clip_length=4)
    rendering = Rendering(columns=LAYERS, clip_length=4, crop_size=24)
    plan = ClipPlan("clip", Foreground("video", "one", *made), Background("0001", backdrop), 7, rendering)
    for window in render(plan, each=lambda frame: frame):
        rows, columns = window.view.within(window.view._replace(top=0, left=0))
        for index, frame in enumerate(window.frames):
            full = complete[4 * window.number + index]
            for layer in ("composite", "alpha", "foreground", "background"):
                assert np.array_equal(getattr(frame, layer), getattr(full, layer)[rows, columns]), layer


def image(root: Path, picture: np.ndarray, name: str) -> Path:
    path = root / name
    Image.fromarray(picture).save(path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_an_image_with_its_own_alpha_gives_the_clip_of_two_images(
    suffix: str, drawing: Film, backdrop: Path, tmp_path: Path
) -> None:
    colour, alpha = image(tmp_path, drawing.colours[0], "f.png"), image(tmp_path, drawing.alphas[0], "a.png")
    folder = write_pictures(tmp_path / "both", drawing.rgba[:1], suffix=suffix)
    both = folder / f"00000{suffix}"
    assert difference(clip(both, both, backdrop, kind="image"), clip(colour, alpha, backdrop, kind="image")) == 0


def test_an_image_of_grey_and_alpha_keeps_its_grey(backdrop: Path, tmp_path: Path, drawing: Film) -> None:
    grey, alpha = drawing.colours[0][..., 0], drawing.alphas[0]
    both = tmp_path / "la.png"
    Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]).save(both)
    two = image(tmp_path, np.dstack([grey] * 3), "f.png"), image(tmp_path, alpha, "a.png")
    assert difference(clip(both, both, backdrop, kind="image"), clip(*two, backdrop, kind="image")) == 0


OPAQUE = "opaque everywhere"


@pytest.mark.parametrize("form", WITH_ALPHA)
def test_an_alpha_channel_that_is_opaque_everywhere_is_refused(
    form: str, drawing: Film, backdrop: Path, tmp_path: Path
) -> None:
    assert OPAQUE in OPAQUE_TEXT
    opaque = drawing._replace(alphas=tuple(np.full_like(alpha, 255) for alpha in drawing.alphas))
    path = WITH_ALPHA[form](tmp_path, opaque)
    with pytest.raises(SourceError, match=OPAQUE) as caught:
        clip(path, path, backdrop)
    assert str(path) in str(caught.value)


def test_an_opaque_image_with_its_own_alpha_is_refused(drawing: Film, backdrop: Path, tmp_path: Path) -> None:
    both = image(tmp_path, np.dstack([drawing.colours[0], np.full(drawing.alphas[0].shape, 255, np.uint8)]), "f.png")
    with pytest.raises(SourceError, match=rf"f\.png: its alpha channel is {OPAQUE}"):
        clip(both, both, backdrop, kind="image")


def test_a_file_is_refused_if_it_has_no_alpha_channel(drawing: Film, backdrop: Path, tmp_path: Path) -> None:
    still = image(tmp_path, drawing.colours[0], "f.png")
    folder = write_pictures(tmp_path / "rgb", drawing.colours)
    video = write_video(tmp_path / "f.mkv", drawing.colours, "ffv1", "bgr0")
    for path, kind in ((still, "image"), (folder, "video"), (video, "video")):
        with pytest.raises(SourceError, match="has no alpha channel, and the foreground has no other file"):
            clip(path, path, backdrop, kind=kind)


@pytest.mark.parametrize("form", ["two folders", "frames", "ffv1 bgra", "two videos"])
def test_premultiplied_colours_are_divided_by_alpha(form: str, drawing: Film, backdrop: Path, tmp_path: Path) -> None:
    """C = round(a F / 255) is off by up to half a level, so F' = 255 C / a is off by up to 127.5 / a, and rounding
    adds half a level."""
    multiplied = tuple(
        np.rint(colour * (alpha[..., None] / 255)).astype(np.uint8) for colour, alpha in zip(*drawing, strict=True)
    )
    stored = drawing._replace(colours=multiplied)
    made = PAIRS[form](tmp_path, stored) if form in PAIRS else (WITH_ALPHA[form](tmp_path, stored),) * 2
    for frame, colour, alpha in zip(clip(*made, backdrop, colours="premultiplied"), *drawing, strict=True):
        assert frame.foreground is not None
        found = frame.foreground[4:52, 6:70].astype(int)
        visible = alpha > 0
        bound = 127.5 / alpha[visible].astype(float) + 0.5
        assert (np.abs(found - colour)[visible] <= np.minimum(bound, 255)[:, None]).all()
        assert not found[~visible].any()  # C is 0 there, and stays


def test_a_premultiplied_image_is_divided_before_it_is_resized(drawing: Film, backdrop: Path, tmp_path: Path) -> None:
    """A foreground of one colour stays that colour at any size; resized first, its edges would be dark."""
    alpha = drawing.alphas[0]
    colour = np.broadcast_to(np.array([200, 100, 40]), (*alpha.shape, 3))
    both = image(tmp_path, np.dstack([np.rint(colour * (alpha[..., None] / 255)), alpha]).astype(np.uint8), "f.png")
    (frame, *_) = clip(both, both, backdrop, kind="image", colours="premultiplied", max_size=30)
    assert frame.alpha is not None
    assert frame.foreground is not None
    soft = (frame.alpha > 60) & (frame.alpha < 250)
    assert soft.sum() > 20
    assert np.abs(frame.foreground[soft].astype(int) - [200, 100, 40]).max() <= 8


@pytest.mark.parametrize("form", ["two videos", "two folders", "frames", "ffv1 bgra"])
def test_colours_where_alpha_is_0_do_not_reach_the_edge_of_a_resized_video(
    form: str, drawing: Film, tmp_path: Path
) -> None:
    """Composited over its own colour, a foreground of one colour that is black where alpha is 0 cannot be seen."""
    colours = tuple(np.where(alpha[..., None] > 0, (200, 100, 40), 0).astype(np.uint8) for alpha in drawing.alphas)
    stored = drawing._replace(colours=colours)
    made = PAIRS[form](tmp_path, stored) if form in PAIRS else (WITH_ALPHA[form](tmp_path, stored),) * 2
    plain = np.broadcast_to(np.array([200, 100, 40], np.uint8), (72, 96, 3))
    backdrop = write_pictures(tmp_path / "plain", [plain] * FRAMES)
    for frame in clip(*made, backdrop, max_size=30):
        assert np.abs(frame.composite.astype(int) - [200, 100, 40]).max() <= 1


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_tiff_that_declares_its_colours_as_premultiplied_is_divided_once(
    kind: str, drawing: Film, backdrop: Path, tmp_path: Path
) -> None:
    """Its colours are the same, whether the source declares them as premultiplied or not."""
    folder = tmp_path / "rgba"
    folder.mkdir()
    for number, (colour, alpha) in enumerate(zip(*drawing, strict=True)):
        multiplied = np.rint(colour * (alpha[..., None] / 255)).astype(np.uint8)
        data = tiff_bytes(np.dstack([multiplied, alpha]), photometric=2, extra=1)
        (folder / f"{number:05}.tif").write_bytes(data)
    path = folder / "00000.tif" if kind == "image" else folder
    declared, plain = (clip(path, path, backdrop, kind=kind, colours=name) for name in ("premultiplied", "straight"))
    for one, other in zip(declared, plain, strict=True):
        assert np.array_equal(one.foreground, other.foreground)
        assert np.array_equal(one.composite, other.composite)


REFUSED = "which the published pipeline cannot read"


@pytest.mark.parametrize("form", ["frames", "vp9", "two folders", "folder and video"])
def test_the_published_recipe_refuses_other_foregrounds(form: str, drawing: Film, tree: Any, tmp_path: Path) -> None:
    made = PAIRS[form](tmp_path, drawing) if form in PAIRS else (WITH_ALPHA[form](tmp_path, drawing),) * 2
    with pytest.raises(SourceError, match=REFUSED):
        clip(*made, tree.background(), recipe="reference")


def test_the_published_recipe_refuses_backgrounds_that_are_not_videos(
    drawing: Film, backdrop: Path, tmp_path: Path
) -> None:
    made = PAIRS["two videos"](tmp_path, drawing)
    for path in (backdrop, image(tmp_path, drawing.colours[0], "bg.png")):
        with pytest.raises(SourceError, match=REFUSED):
            clip(*made, path, recipe="reference")
    with pytest.raises(SourceError, match=REFUSED):
        clip(*made, backdrop, recipe="reference", colours="premultiplied")


def test_a_still_is_held_as_a_background(drawing: Film, tmp_path: Path) -> None:
    made = PAIRS["two videos"](tmp_path, drawing)
    picture = film(1, size=(75, 101)).colours[0]
    frames = clip(*made, image(tmp_path, picture, "bg.png"), columns=("background",))
    assert len(frames) == FRAMES
    first = frames[0].background
    assert first is not None
    assert all(np.array_equal(frame.background, first) for frame in frames)  # type: ignore[arg-type]
    height, width = first.shape[:2]
    views = np.lib.stride_tricks.sliding_window_view(picture, (height, width, 3))[..., 0, :, :, :]
    assert any(np.array_equal(view, first) for row in views for view in row)


def test_an_image_over_a_still_has_as_many_frames_as_the_limit(drawing: Film, tmp_path: Path) -> None:
    both = image(tmp_path, drawing.rgba[0], "f.png")
    background = image(tmp_path, film(1, size=(75, 101)).colours[0], "bg.jpg")
    assert len(clip(both, both, background, kind="image")) == 60
    assert len(clip(both, both, background, kind="image", max_image_frames=9)) == 9


def test_a_small_still_is_enlarged_like_a_film_of_that_picture(drawing: Film, tmp_path: Path) -> None:
    """Also in a small crop, which is computed in another way for films, within a level."""
    made = PAIRS["two videos"](tmp_path, drawing)
    picture = film(1, size=(31, 45)).colours[0]
    still, folder = image(tmp_path, picture, "bg.png"), write_pictures(tmp_path / "bg", [picture] * FRAMES)
    assert difference(clip(*made, still), clip(*made, folder)) <= 1
    crops = [clip(*made, path, crop_size=16, clip_length=4) for path in (still, folder)]
    assert difference(*crops) <= 1


def test_a_window_with_a_damaged_frame_is_an_error(drawing: Film, backdrop: Path, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "rgba", drawing.rgba)
    damaged = folder / "00005.png"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 255
    damaged.write_bytes(bytes(data))
    frames = [len(clip(folder, folder, backdrop, clip_length=4, numbers=[number])) for number in (0, 2)]
    assert frames == [4, 2]  # the film ends after 10 frames
    with pytest.raises(SourceError, match=r"00005\.png: cannot be read as an image"):
        clip(folder, folder, backdrop, clip_length=4, numbers=[1])


def test_an_opaque_webp_frame_counts_as_opaque(drawing: Film, backdrop: Path, tmp_path: Path) -> None:
    """WebP drops an alpha channel that is 255 everywhere."""
    full = np.full(drawing.alphas[0].shape, 255, np.uint8)
    mixed = drawing._replace(alphas=(full, *drawing.alphas[1:]))
    folder = write_pictures(tmp_path / "webp", mixed.rgba, suffix=".webp")
    with Image.open(folder / "00000.webp") as first:
        assert first.mode == "RGB"
    frames = clip(folder, folder, backdrop, columns=("alpha",))
    assert all(
        np.array_equal(frame.alpha[4:52, 6:70], alpha)  # type: ignore[index]
        for frame, alpha in zip(frames, mixed.alphas, strict=True)
    )


def test_a_window_opens_only_the_pictures_that_it_needs(
    drawing: Film, backdrop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the first picture of each folder: for its size, and to see that the alpha is a matte."""
    colour, alpha = PAIRS["two folders"](tmp_path, drawing)
    opened = recorded_opens(monkeypatch)
    assert len(clip(colour, alpha, backdrop, clip_length=2, numbers=[3])) == 2
    names = {"fgr": (0, 6, 7), "pha": (1, 7, 8), "0001": (0, 6, 7)}  # the alphas are numbered from 1
    assert opened == {f"{folder}/{number:05}.png" for folder, numbers in names.items() for number in numbers}


def test_a_background_still_is_decoded_once_for_all_clips(
    drawing: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = PAIRS["two videos"](tmp_path, drawing)
    stills = [image(tmp_path, film(1, size=(75, 101 + i)).colours[0], f"bg{i}.png") for i in range(2)]
    first = [clip(*made, path) for path in stills]
    opened = recorded_opens(monkeypatch)
    again = [clip(*made, path) for path in stills]
    assert not {name for name in opened if "bg" in name}
    assert [difference(*pair) for pair in zip(first, again, strict=True)] == [0, 0]
