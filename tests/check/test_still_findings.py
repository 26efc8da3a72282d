"""Findings about stills, by their headers and by their pixels."""

import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from check_runs import ALPHA, COLOUR, SIZE, STILL, TRIMAP, build_error, cut, found, looked_at, write
from conftest import TreeWriter, soft_disc
from PIL import Image
from PIL.PngImagePlugin import PngInfo


def save(path: str, pixels: np.ndarray, **options: object) -> Callable[[Path], object]:
    return lambda root: Image.fromarray(pixels).save(root / path, **options)


DISC = soft_disc(48, 40)


TESTED = DISC  # the split test has the same matte


HEADERS: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "text for a still": (write(COLOUR, b"just words"), [("still-unreadable", COLOUR)]),
    "size of the alpha": (save(ALPHA, soft_disc(48, 42)), [("size-differs", COLOUR)]),
    "size of the trimap": (save(TRIMAP, np.zeros((9, 9), np.uint8)), [("trimap-size", TRIMAP)]),
    "alpha of 16 bit": (save(ALPHA, DISC.astype(np.uint16) * 257), [("alpha-16-bit", ALPHA)]),
    "alpha in RGB": (save(ALPHA, np.dstack([DISC] * 3)), [("alpha-not-grey", ALPHA)]),
    "alpha as its own channel": (save(ALPHA, np.dstack([DISC] * 4)), [("alpha-not-grey", ALPHA)]),
    "colour with alpha": (save(COLOUR, np.zeros((48, 40, 4), np.uint8)), [("colour-has-alpha", COLOUR)]),
    "CMYK": (
        lambda root: (
            Image.new("CMYK", (40, 48)).save(root / STILL / "fg/disc.jpg"),
            (root / COLOUR).unlink(),
        ),
        [("still-unreadable", f"{STILL}/fg/disc.jpg")],
    ),
    "palette": (lambda root: Image.new("P", (40, 48)).save(root / COLOUR), [("still-palette", COLOUR)]),
    "JPEG alpha": (
        lambda root: (
            Image.fromarray(DISC).save(root / STILL / "alpha/disc.jpg"),
            (root / ALPHA).unlink(),
        ),
        [("alpha-jpeg", f"{STILL}/alpha/disc.jpg")],
    ),
    "no end": (cut(COLOUR, keep=0.9), [("still-truncated", COLOUR)]),
}


@pytest.mark.parametrize("damage", HEADERS)
def test_headers_of_stills(root: Path, damage: str) -> None:
    change, expected = HEADERS[damage]
    change(root)
    assert found(root) == expected


def test_a_rotated_and_an_animated_still_are_noted(root: Path) -> None:
    turned = Image.new("RGB", (48, 40))
    exif = turned.getexif()
    exif[0x112] = 6
    turned.save(root / COLOUR, exif=exif, save_all=True, append_images=[Image.new("RGB", (48, 40), "red")])
    assert found(root) == [("still-animated", COLOUR), ("still-rotated", COLOUR)]


def oriented(path: str, tag: int, *, how: str = "exif") -> Callable[[Path], object]:
    """The same pixels, with an EXIF orientation that a viewer undoes."""

    def change(root: Path) -> None:
        image, exif, told = Image.open(root / path), Image.Exif(), PngInfo()
        image.load()
        exif[0x112] = tag
        if how == "xmp":
            told.add_itxt("XML:com.adobe.xmp", f'<rdf:Description tiff:Orientation="{tag}"/>')
        image.save(root / path, pnginfo=told, **({"exif": exif} if how == "exif" else {}))
        if how == "behind":
            data = (root / path).read_bytes()
            part = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
            part = struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
            (root / path).write_bytes(data[:-12] + part + data[-12:])

    return change


def turned_film(path: str, degrees: int, *, size: tuple[int, int] = SIZE) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        with av.open(str(root / path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
            stream.codec_context.color_range = stream.codec_context.colorspace = 1
            stream.set_display_rotation(degrees)
            for index in range(12):
                picture = (
                    np.dstack([soft_disc(*size)] * 3) if path.endswith("a.mp4") else np.full((*size, 3), 9 * index)
                )
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")))
            container.mux(stream.encode(None))

    return change


def square(root: Path) -> None:
    TreeWriter(root).still("disc", size=(40, 40))


def in_turn(*changes: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda root: [change(root) for change in changes]


APART = [("turned-apart", COLOUR)]


F_APART = [("turned-apart", "fg/video/train/0000/f.mp4")]


WIDE = soft_disc(40, 48)  # of the sides that the alpha has not


TURNED: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "upside down": (oriented(COLOUR, 3), APART),
    "mirrored": (oriented(COLOUR, 2), APART),
    "alpha upside down": (oriented(ALPHA, 4), APART),
    "square on its side": (in_turn(square, oriented(COLOUR, 6)), APART),
    "in XMP": (oriented(COLOUR, 3, how="xmp"), APART),
    "after the pixels": (oriented(COLOUR, 3, how="behind"), APART),
    "both": (in_turn(oriented(COLOUR, 3), oriented(ALPHA, 3)), []),
    "in XMP, both": (in_turn(oriented(COLOUR, 3, how="xmp"), oriented(ALPHA, 3)), []),
    "colour on its side, alpha upright": (in_turn(save(COLOUR, WIDE), oriented(COLOUR, 6)), []),
    "colour on its side, alpha stored so": (oriented(COLOUR, 6), [("size-differs", COLOUR)]),
    "on its side in XMP": (oriented(COLOUR, 6, how="xmp"), [("size-differs", COLOUR)]),
    "rotated, after the pixels": (oriented(COLOUR, 6, how="behind"), [("size-differs", COLOUR)]),
    "tag of no meaning": (oriented(COLOUR, 9), []),
    "f by half a turn": (turned_film("fg/video/train/0000/f.mp4", 180), F_APART),
    "a by half a turn": (turned_film("fg/video/train/0000/a.mp4", 180), F_APART),
    "f and a by half a turn": (
        in_turn(*(turned_film(f"fg/video/train/0000/{name}.mp4", 180) for name in "fa")),
        [],
    ),
    "f on its side, a upright": (turned_film("fg/video/train/0000/f.mp4", 90, size=(64, 48)), []),
    "f on its side, a stored so": (
        turned_film("fg/video/train/0000/f.mp4", 90),
        [("size-differs", "fg/video/train/0000/f.mp4")],
    ),
    "a transposed": (
        turned_film("fg/video/train/0000/a.mp4", 0, size=(64, 48)),
        [("size-differs", "fg/video/train/0000/f.mp4")],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("turn", TURNED)
def test_conflicting_orientations_are_refused_by_check_and_build(checked_root: Path, turn: str) -> None:
    change, expected = TURNED[turn]
    change(checked_root)
    for deep in (False, True):
        assert [pair for pair in found(checked_root, deep=deep) if pair[0] != "still-rotated"] == expected
    for recipe in ("dvm", "reference") if "XMP" not in turn and "behind" not in turn else ("dvm",):
        error = build_error(checked_root, recipe=recipe)
        assert ("orientation tag" in error) == (("turned-apart") in [code for code, _ in expected]), error
        assert bool(error) == bool(expected)


def test_a_trimap_with_a_conflicting_orientation_is_refused_if_used(root: Path) -> None:
    oriented(TRIMAP, 3)(root)
    assert found(root) == [("trimap-turned", TRIMAP), ("still-rotated", TRIMAP)]
    assert build_error(root, "test") == ""
    assert "disc.png: has the orientation tag 3, but" in build_error(root, "test", trimap="provided")


def colourful(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, pixels // 2, pixels])


def contradicting() -> np.ndarray:
    drawn = np.where(TESTED == 255, 255, np.where(TESTED == 0, 0, 128)).astype(np.uint8)
    drawn[:6, :6] = 255  # foreground, where alpha is 0
    return drawn


JPEG_TRIMAP = TRIMAP.replace(".png", ".jpg")


def specked(root: Path) -> None:
    Image.open(root / TRIMAP).save(root / JPEG_TRIMAP, quality=85)
    (root / TRIMAP).unlink()


def soft_trimap(root: Path) -> None:
    with Image.open(root / TRIMAP) as image:
        image.resize((80, 96), Image.Resampling.BILINEAR).resize((40, 48), Image.Resampling.BILINEAR).save(
            root / TRIMAP
        )


PIXELS: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "coloured alpha": (
        save(ALPHA, colourful(DISC)),
        [("alpha-coloured", ALPHA), ("alpha-no-full", ALPHA), ("alpha-not-grey", ALPHA)],
    ),
    "no zero": (save(ALPHA, np.maximum(DISC, 7)), [("alpha-no-zero", ALPHA)]),
    "no full": (save(ALPHA, np.minimum(DISC, 240)), [("alpha-no-full", ALPHA)]),
    "nearly full": (
        save(ALPHA, np.where(DISC == 255, 254, DISC).astype(np.uint8)),
        [("alpha-nearly-full", ALPHA)],
    ),
    "nearly full but for a few": (
        save(ALPHA, np.where((DISC == 255) & (np.arange(40) > 8), 252, DISC).astype(np.uint8)),
        [("alpha-nearly-full", ALPHA)],
    ),
    "full but for a few": (save(ALPHA, np.where((DISC == 255) & (np.arange(40) > 20), 252, DISC).astype(np.uint8)), []),
    "specks of a JPEG": (specked, [("trimap-specks", JPEG_TRIMAP), ("trimap-values", JPEG_TRIMAP)]),
    "soft edges of a trimap": (soft_trimap, [("trimap-values", TRIMAP)]),
    "one value": (save(ALPHA, np.full_like(DISC, 255)), [("alpha-flat", ALPHA)]),
    "other trimap values": (
        save(TRIMAP, np.where(TESTED == 255, 255, np.where(TESTED == 0, 0, 102)).astype(np.uint8)),
        [("trimap-values", TRIMAP)],
    ),
    "contradiction": (save(TRIMAP, contradicting()), [("trimap-contradicts", TRIMAP)]),
    "cut short": (cut(ALPHA, keep=0.5), [("still-truncated", ALPHA), ("still-unreadable", ALPHA)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", PIXELS)
def test_pixels_of_stills(checked_root: Path, damage: str) -> None:
    change, expected = PIXELS[damage]
    change(checked_root)
    assert found(checked_root, deep=True) == expected
    of_headers = [pair for pair in expected if pair[0] in ("alpha-not-grey", "still-truncated")]
    assert found(checked_root) == of_headers


def test_camera_stills_have_only_a_finding_about_trimap_values(camera_media: Path, root: Path) -> None:
    for part in ("foreground", "alpha", "trimap"):
        folder = {"foreground": "fg"}.get(part, part)
        shutil.copy(camera_media / f"lemur_{part}.png", root / "fg/image/test" / folder / "lemur.png")
    report = looked_at(root, deep=True)
    assert report.problems == 0
    (told,) = [one for one in report.findings if one.code == "trimap-values"]
    assert "102" in told.text
