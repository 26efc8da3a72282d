"""Measure the differences of the two recipes on synthetic sources: python benchmarks/recipes.py [--picture FILE].

Prints the numbers of docs/recipes.md; with --picture, also draws its picture.
"""

import argparse
import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dvm_hf import ClipPlan, Frame, Rendering, render, scan
from dvm_hf.clips.compositing import composite_over as composite_rounded
from dvm_hf.clips.motion import Placement, placed, random_walk
from dvm_hf.clips.plan import number_stream
from dvm_hf.clips.reference import composite_over as composite_truncated
from dvm_hf.clips.reference import rotated, zoomed
from dvm_hf.clips.trimap import TEST_BAND, UNKNOWN
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.still.stills import read_colour, read_grey
from dvm_hf.sources.records import Foreground
from dvm_hf.synthetic.source_tree import draw_sources

COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")
FRAMES = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, help="where to write the picture of docs/recipes.md")
    picture = parser.parse_args().picture
    with tempfile.TemporaryDirectory() as folder:
        tree = scan(draw_sources(Path(folder) / "DVM"), "test")
        hair = next(foreground for foreground in tree.foregrounds if foreground.name == "windblown_blonde")
        plan = ClipPlan("hair", hair, tree.backgrounds[3], seed=11)
        reference, dvm = (frames_of(plan, recipe) for recipe in ("reference", "dvm"))
        print_measures(reference, dvm, hair)
        black = replace(plan, foreground=replace(hair, colour=black_where_transparent(hair, Path(folder))))
        print_hidden({name: (frames_of(black, name), f) for name, f in (("reference", reference), ("dvm", dvm))})
        if picture:
            draw_picture(reference).save(picture, quality=90)


def frames_of(plan: ClipPlan, recipe: str) -> list[Frame]:
    rendering = Rendering(recipe=recipe, columns=COLUMNS, clip_length="all", max_image_frames=FRAMES)
    return [frame for window in render(replace(plan, rendering=rendering), each=lambda f: f) for frame in window.frames]


def print_measures(reference: list[Frame], dvm: list[Frame], hair: Foreground) -> None:
    pairs = [("bias of the composite, levels", bias(dvm, composite_truncated), bias(dvm, composite_rounded))]
    pairs += [
        ("error of A * foreground + (1 - A) * background, levels", identity_error(reference), identity_error(dvm))
    ]
    pairs += [("detail after rotation and zoom (1: the still's)", *detail(hair))]
    pairs += [("jerk of the path, px per frame^2", jerk(whole_pixels=True), jerk(whole_pixels=False))]
    print(f"{'':58}{'reference':>10}{'dvm':>10}")
    for name, published, corrected in pairs:
        print(f"{name:58}{published:10.2f}{corrected:10.2f}")
    jpegs = [cv2.imdecode(cv2.imencode(".jpg", f.alpha, [cv2.IMWRITE_JPEG_QUALITY, 95])[1], 0) for f in reference]
    woken = np.mean([(jpeg[f.alpha == 0] > 0).mean() for jpeg, f in zip(jpegs, reference, strict=True)])
    unknown, grown = (sum((t == UNKNOWN).sum() for t in trimaps) for trimaps in trimaps_of(reference, jpegs))
    print(f"alpha stored as JPEG (95): {woken:.1%} of its zeros are no longer 0, the unknown region grows by ", end="")
    print(f"{grown / unknown - 1:.0%}")


def black_where_transparent(still: Foreground, folder: Path) -> Path:
    """Write the still's colours with black where its alpha is 0, and return the path."""
    alpha = read_grey(still.alpha)
    write_image(folder / "black.png", np.where(alpha[..., None] > 0, read_colour(still.colour), 0).astype(np.uint8))
    return folder / "black.png"


def print_hidden(frames: dict[str, tuple[list[Frame], list[Frame]]]) -> None:
    """Print how much black under alpha 0 changes the composite where alpha is fractional."""
    for recipe, pairs in frames.items():
        differences = [
            np.abs(black.composite.astype(int) - drawn.composite)[is_fractional(drawn)]
            for black, drawn in zip(*pairs, strict=True)
        ]
        values = np.concatenate(differences)
        print(
            f"{recipe}: black under alpha 0 changes soft pixels by {values.mean():.2f} levels, at most {values.max()}"
        )


def trimaps_of(frames: list[Frame], jpegs: list[Pixels]) -> tuple[list[Pixels], list[Pixels]]:
    return [frame.trimap for frame in frames], [TEST_BAND.trimap(jpeg) for jpeg in jpegs]


def bias(frames: list[Frame], composite: object) -> float:
    """Return the mean error of the composite where alpha is fractional, on the same layers for both recipes."""
    errors = []
    for frame in frames:
        made = frame.background.copy()
        composite(made, frame.foreground, frame.alpha)
        errors.append((made - exact_composite(frame))[is_fractional(frame)])
    return float(np.concatenate(errors).mean())


def identity_error(frames: list[Frame]) -> float:
    """Return the mean absolute error of a composite from the stored columns, where alpha is fractional."""
    errors = [np.abs(frame.composite - exact_composite(frame))[is_fractional(frame)] for frame in frames]
    return float(np.concatenate(errors).mean())


def exact_composite(frame: Frame) -> np.ndarray:
    alpha = frame.alpha[..., None] / 255
    return alpha * frame.foreground + (1 - alpha) * frame.background


def is_fractional(frame: Frame) -> np.ndarray:
    return (frame.alpha > 0) & (frame.alpha < 255)


def detail(hair: Foreground) -> tuple[float, float]:
    """Return the Laplacian energy of the warped opaque colours relative to the still; mean of some placements."""
    rgba = np.dstack([read_colour(hair.colour), read_grey(hair.alpha)])
    size, ratios = Size(*rgba.shape[:2]), []
    box = Box(0, 0, size.height + 200, size.width + 200)
    for angle in range(-50, 51, 10):
        middle = Placement(box.bottom / 2 + 0.5, box.right / 2 + 0.5, angle, 0.97)
        moved = placed(rgba, middle, region=box, part=Box(0, 0, *size))
        ratios.append([energy(zoomed(rotated(rgba, angle), 0.97)) / energy(rgba), energy(moved) / energy(rgba)])
    published, corrected = np.mean(ratios, axis=0)
    return float(published), float(corrected)


def energy(rgba: Pixels) -> float:
    laplacian = cv2.Laplacian(rgba[..., :3].astype(np.float32), cv2.CV_32F)
    return float(np.square(laplacian[cv2.erode(rgba[..., 3], np.ones((9, 9))) == 255]).mean())


def jerk(*, whole_pixels: bool) -> float:
    """Return the RMS change of speed per frame; the median over segments of 18 frames."""
    walk = random_walk(number_stream(11, "motion"), frame=Size(1080, 1920))
    path = np.array([(place.row, place.column) for place in islice(walk, 2000)])
    path = np.floor(path) if whole_pixels else path
    jerks = np.square(np.diff(path, n=2, axis=0)).sum(axis=1)
    straight = jerks[: len(jerks) // 18 * 18].reshape(-1, 18).mean(axis=1)
    return float(np.sqrt(np.median(straight)))


def draw_picture(frames: list[Frame]) -> Image.Image:
    """Left: the reference's columns composited as unpremultiplied; middle: the correct composite; right: two paths."""
    frame, cut = frames[-1], best_cut(frames[-1])
    dark = np.rint(exact_composite(frame)).astype(np.uint8)[cut]
    panels = [dark, frame.composite[cut], paths()]
    titles = [
        "premultiplied, used as unpremultiplied",
        "unpremultiplied",
        "path: integer (orange), sub-pixel (blue)",
    ]
    sheet = Image.new("RGB", (3 * 328 + 8, 360), (24, 26, 30))
    for place, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        enlarged = cv2.resize(panel, (320, 320), interpolation=cv2.INTER_NEAREST)
        sheet.paste(Image.fromarray(enlarged), (8 + 328 * place, 32))
        ImageDraw.Draw(sheet).text((8 + 328 * place, 8), title, fill=(222, 224, 228), font=ImageFont.load_default(14))
    return sheet


def best_cut(frame: Frame) -> tuple[slice, slice]:
    """Return the square of 120 px in which alpha varies most: an edge with hair."""
    alpha = frame.alpha.astype(np.float32)
    variance = cv2.boxFilter(alpha * alpha, -1, (120, 120)) - cv2.boxFilter(alpha, -1, (120, 120)) ** 2
    few = cv2.boxFilter(is_fractional(frame).astype(np.float32), -1, (120, 120))
    row, column = np.unravel_index(
        (variance * few)[60:-60, 60:-60].argmax(), (alpha.shape[0] - 120, alpha.shape[1] - 120)
    )
    return slice(row, row + 120), slice(column, column + 120)


def paths() -> Pixels:
    """Draw 18 frames of one walk, enlarged, in integer pixels and unchanged."""
    picture = np.full((320, 320, 3), 40, np.uint8)
    walk = random_walk(number_stream(6, "motion"), frame=Size(1080, 1920))
    path = np.array([(place.column, place.row) for place in islice(walk, 18)])
    scale = 280 / np.ptp(path, axis=0).max()
    for points, colour in ((np.floor(path), (240, 150, 60)), (path, (90, 170, 250))):
        at = ((points - path.min(axis=0)) * scale + 20).round().astype(np.int32)
        cv2.polylines(picture, [at], False, colour, 2, cv2.LINE_AA)
        for x, y in at.tolist():
            cv2.circle(picture, (x, y), 4, colour, -1, cv2.LINE_AA)
    return picture


if __name__ == "__main__":
    main()
