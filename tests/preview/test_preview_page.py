"""The page: well-formed, self-contained, safe from malicious names, small, reproducible, faithful to the rows."""

import base64
import hashlib
import html
import re
from typing import Any

import numpy as np
import pytest
from page_reader import PageReader, decoded
from PIL import Image

from dvm_hf.preview.html_page import alpha_counts, page, unknown_shares
from dvm_hf.preview.row_frames import ImageFrames
from dvm_hf.preview.samples import Sample

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\" onload='x' a=\"",
    "'><svg onload=alert(1)>",
    "&lt;b&gt; &amp; $source ${script} %s {0}",
    "<!-- <script> ]]> \u2028 \u202e \N{GRINNING FACE}",
    "javascript:alert(1)",
    "\x00\x07 \ud800 \udc80",
)


def a_sample(
    name: str = "image_disc_0000",
    *,
    size: tuple[int, int] = (36, 52),
    frames: int = 3,
    columns: tuple[str, ...] = ("frames", "alpha", "trimap", "foreground", "background"),
    seed: int = 0,
    **facts: Any,
) -> Sample:
    """Soft noise as colours, noise as alpha, and a trimap of three blocks; heights before widths."""
    rng = np.random.default_rng(seed)
    height, width = size
    ramp = np.add.outer(np.arange(height), np.arange(width))
    pixels: dict[str, list[Any]] = {column: [] for column in columns}
    for index in range(frames):
        colour = np.dstack([(ramp * (c + 1) + 9 * index) % 256 for c in range(3)]).astype(np.uint8)
        made = {
            "frames": colour,
            "foreground": 255 - colour,
            "background": colour[::-1],
            "alpha": rng.integers(0, 256, size).astype(np.uint8),
            "trimap": np.repeat([0, 128, 255, 128], -(-width // 4))[:width][None].repeat(height, 0).astype(np.uint8),
        }
        for column in columns:
            pixels[column].append(made[column])
    layers = {
        column: ImageFrames(values, mode="L" if column in ("alpha", "trimap") else "RGB", name=column)
        for column, values in pixels.items()
    }
    motion = tuple((10.0 + index, 20.0 - 2 * index, -1.5, 1.0) for index in range(frames))
    known = {"clip_id": name, "window": 2, "start": 32, "height": height, "width": width, "seed": 7}
    return Sample({**known, **facts}, layers, motion, row_frames=frames)


def read(*samples: Sample, source: str = "DVM", **options: Any) -> PageReader:
    return PageReader(page(samples, source=source, **options))


def test_each_clip_has_a_card_a_player_and_its_facts() -> None:
    shown = read(a_sample("image_a_0000"), a_sample("video_b_0001", foreground_name="b"))
    cards = shown.all("a", class_="card")
    articles = shown.all("article")
    assert [card.attributes["href"] for card in cards] == [f"#{article.attributes['id']}" for article in articles]
    assert ["image_a_0000" in cards[0].text, "video_b_0001" in cards[1].text] == [True, True]
    for article, name in zip(articles, ("image_a_0000", "video_b_0001"), strict=True):
        facts = {
            term.text: value.text
            for term, value in zip(
                (e for e in article.inside if e.tag == "dt"), (e for e in article.inside if e.tag == "dd"), strict=True
            )
        }
        assert facts["clip_id"] == name
        assert (facts["window"], facts["start"], facts["seed"]) == ("2", "32", "7")
        assert facts["shown"] == "3 of 3 frames, 52 x 36 px"
        assert sum(e.tag == "canvas" for e in article.inside) == 1
    assert "DVM" in shown.one("h1").text


def test_images_and_controls_have_accessible_names() -> None:
    shown = read(a_sample())
    assert all(image.attributes["alt"] for image in shown.all("img"))
    for tag in ("svg", "canvas"):
        drawings = shown.all(tag)
        assert drawings
        assert all(d.attributes["role"] == "img" and d.attributes["aria-label"] for d in drawings)
    labelled = {id(e) for label in shown.all("label") for e in label.inside}
    for tag in ("button", "input", "select"):
        controls = shown.all(tag)
        assert controls
        assert all(c.attributes.get("aria-label") or id(c) in labelled for c in controls)
    ids = [e.attributes["id"] for e in shown.elements if "id" in e.attributes]
    assert len(set(ids)) == len(ids)
    targets = [e.attributes["href"] for e in shown.all("a")] + [
        f"#{e.attributes['aria-labelledby']}" for e in shown.elements if "aria-labelledby" in e.attributes
    ]
    assert {target.removeprefix("#") for target in targets if target} <= set(ids)


def test_the_page_fetches_nothing_and_allows_one_script_and_one_style() -> None:
    text = page([a_sample()], source="DVM")
    without_images = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.findall(r"(?:https?|ftp|wss?|file):|//\w|@import|url\(|fetch\(|XMLHttp|import\(", without_images)
    shown = PageReader(text)
    for element in shown.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on"), f"an inline handler: {name}={value}"
            assert name not in ("style", "srcset", "action", "formaction", "ping")
            if name == "src":
                assert (value or "").startswith("data:image/")
            if name == "href":
                assert (value or "").startswith("#")
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in (shown.one("meta", http_equiv="Content-Security-Policy").attributes["content"] or "").split(
            ";"
        )
    )
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    (script,) = (e for e in shown.all("script") if e.attributes.get("type") != "application/json")
    for directive, element in (("script-src", script), ("style-src", shown.one("style"))):
        digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
        assert policy[directive] == f"'sha256-{digest}'"


def skeleton(shown: PageReader) -> list[tuple[str, frozenset[str]]]:
    """Return tags and attribute names, without the breaks that long names can have."""
    return [(e.tag, frozenset(e.attributes)) for e in shown.elements if e.tag != "wbr"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_malicious_name_is_escaped(name: str) -> None:
    plain = read(a_sample("name", foreground_name="name"), source="name")
    shown = read(a_sample(name, foreground_name=name), source=name)
    assert skeleton(shown) == skeleton(plain)
    readable = name.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    for text in (shown.one("h1").text, shown.one("h3").text, shown.one("a", class_="card").text):
        assert readable in text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    assert shown.data["clips"][0]["id"] == name
    data = page([a_sample(name)], source="DVM").split('id="data">')[1].split("</script>")[0]
    assert not set(data) & set("<>&")
    assert data.isascii()
    assert html.unescape(data) == data


def test_the_same_samples_give_the_same_bytes() -> None:
    first, second = (page([a_sample(seed=4), a_sample("b")], source="DVM").encode() for _ in range(2))
    assert first == second
    assert page([a_sample(seed=5), a_sample("b")], source="DVM").encode() != first


def test_small_frames_are_embedded_unchanged() -> None:
    sample = a_sample()
    shown = read(sample)
    for index in range(3):
        for layer in ("alpha", "trimap"):
            assert np.array_equal(shown.layer(0, layer, index)[..., 0], np.asarray(sample.layers[layer][index]))
        for layer in ("frames", "foreground", "background"):
            off = shown.layer(0, layer, index).astype(int) - np.asarray(sample.layers[layer][index])
            assert np.abs(off).mean() < 6, layer  # lossy, but of the same frame and layer


def test_large_frames_are_reduced_to_means_and_trimaps_to_their_three_values() -> None:
    sample = a_sample(size=(960, 1280), frames=1)
    shown = read(sample)
    alpha = np.asarray(sample.layers["alpha"][0]).astype(float)
    means = alpha.reshape(480, 2, 640, 2).mean(axis=(1, 3))
    assert np.abs(shown.layer(0, "alpha", 0)[..., 0] - means).max() <= 1
    assert set(np.unique(shown.layer(0, "trimap", 0))) == {0, 128, 255}
    clip = shown.data["clips"][0]
    assert (clip["width"], clip["height"]) == (640, 480)
    assert shown.layer(0, "frames", 0).shape == (480, 640, 3)


@pytest.mark.slow
def test_the_page_respects_its_size_limit() -> None:
    samples = [a_sample(f"clip_{i}", size=(360, 640), frames=4, seed=i) for i in range(3)]
    whole = page(samples, source="DVM")
    small = page(samples, source="DVM", page_bytes=1_000_000)
    assert len(whole) > 2_000_000  # noise as alpha: hard to compress
    assert len(small) < 1_000_000 + 100_000  # thumbnails, script and style in addition to the frames
    assert [clip["width"] for clip in PageReader(small).data["clips"]] == [240] * 3


def test_statistics_are_those_of_the_full_size_frames() -> None:
    sample = a_sample(size=(600, 900), frames=2)
    alpha = np.stack([np.asarray(sample.layers["alpha"][index]) for index in range(2)])
    trimap = np.stack([np.asarray(sample.layers["trimap"][index]) for index in range(2)])
    assert alpha_counts(sample) == np.bincount(alpha.ravel(), minlength=256).tolist()
    assert unknown_shares(sample) == pytest.approx((trimap == 128).mean(axis=(1, 2)))
    text = read(sample).one("article").text
    assert f"{100 * (alpha == 0).mean():.1f}\N{NO-BREAK SPACE}% of the pixels are 0" in text
    assert f"{100 * (alpha == 255).mean():.1f}\N{NO-BREAK SPACE}% are 255" in text


def test_the_alpha_histogram_shows_intermediate_levels() -> None:
    sample = a_sample(frames=1)
    alpha = np.zeros((10, 100), np.uint8)
    alpha[:3], alpha[3, :40], alpha[4, :10] = 255, 1, 254
    sample.layers["alpha"] = ImageFrames([alpha], mode="L", name="alpha")
    plot = next(e for e in read(sample).one("article").inside if "bars" in (e.attributes.get("class") or ""))
    bars = [(float(e.attributes["x"] or 0), float(e.attributes["height"] or 0)) for e in plot.inside if e.tag == "rect"]
    (left, high), (right, low) = bars
    assert left < 10 < 300 < right
    assert high == pytest.approx(2 * low, rel=0.01)  # square roots of counts
    assert "65.0\N{NO-BREAK SPACE}% of the pixels are 0, 30.0\N{NO-BREAK SPACE}% are 255" in plot.text


def test_layers_are_offered_if_their_columns_exist() -> None:
    every = ["frames", "alpha", "trimap", "foreground", "background", "checkerboard", "unknown", "difference"]
    orders = {
        ("frames", "alpha", "trimap", "foreground", "background"): every,
        ("frames", "alpha", "trimap"): ["frames", "alpha", "trimap", "checkerboard", "unknown", "difference"],
        ("frames",): ["frames", "difference"],
        ("alpha",): ["alpha"],
    }
    for columns, order in orders.items():
        assert read(a_sample(columns=columns)).data["clips"][0]["order"] == order
    bare = read(a_sample(columns=("frames",))).one("article").text
    assert "no alpha" in bare
    assert "no trimap" in bare


def test_thumbnails_show_the_first_frame() -> None:
    sample = a_sample(size=(240, 320))
    thumbnail = decoded(read(sample).one("img").attributes["src"] or "")
    with sample.layers["frames"][0] as first:
        expected = np.asarray(first.resize((320, 240), Image.Resampling.BOX)).astype(int)
    assert np.abs(thumbnail - expected).mean() < 6


def test_a_row_without_motion_is_labelled() -> None:
    sample = a_sample()
    still = Sample(sample.facts, sample.layers, (), sample.row_frames)
    assert "no motion" in read(still).one("article").text
    assert "no motion" not in read(sample).one("article").text


def test_the_paths_of_background_and_camera_are_plotted() -> None:
    """The motion of a row with motion="rvm": 22 numbers, of which the camera's first one is number 16."""
    sample = a_sample()
    motion = tuple((*pose, *range(4, 16), 3.0 * index, *range(17, 22)) for index, pose in enumerate(sample.motion))
    moving = Sample(sample.facts, sample.layers, motion, sample.row_frames)
    plain, more = (read(one).one("article").text for one in (sample, moving))
    for name in ("background: row", "background: zoom", "camera: row", "camera: angle"):
        assert name in more
        assert name not in plain
    assert f"0.0 to {3.0 * (len(sample.motion) - 1):.1f} px" in more
