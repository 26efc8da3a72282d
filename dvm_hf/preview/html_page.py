"""A self-contained HTML page that shows clips and needs no network.

The template, style and script are in page/. Every value is escaped. The page's Content-Security-Policy allows only its
own script, style and images, so a malicious name cannot run or fetch anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from string import Template
from typing import Any

from datasets.utils import tqdm
from PIL import Image

import dvm_hf
from dvm_hf.clips.motion import motion_columns
from dvm_hf.clips.trimap import UNKNOWN
from dvm_hf.pages.html_text import SPACE, asset, base_style, csp_hash, heading, page_text, script_json
from dvm_hf.pages.page_pictures import data_uri, decoded_size
from dvm_hf.pages.svg_plots import bar_plot, line_plot
from dvm_hf.preview.page_images import THUMBNAIL, encoded, encoded_layers, reduced
from dvm_hf.preview.samples import Sample

PAGE_BYTES = 14_000_000  # maximum size of all images as base64
BINS = 32
# name, description and required image columns of each layer
LAYERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "frames": ("composite", "the foreground over the background: the input of a network", ("frames",)),
    "alpha": ("alpha", "opacity of the foreground: black is transparent, white is opaque", ("alpha",)),
    "trimap": ("trimap", "black is background, white is foreground, grey is unknown", ("trimap",)),
    "foreground": ("foreground", "its unpremultiplied colours, even where it is transparent", ("foreground",)),
    "background": ("background", "the background alone", ("background",)),
    "instances": ("instances", "the visible part of each foreground, in a colour of its own", ("instances",)),
    "checkerboard": (
        "on checkerboard",
        "the foreground through its alpha (without a foreground column: the composite's colours)",
        ("frames", "alpha"),
    ),
    "unknown": ("unknown band", "the composite, tinted where the trimap is unknown", ("frames", "trimap")),
    "difference": (
        "difference",
        "absolute difference from the previous frame, times 4 (for the first frame: from the next one)",
        ("frames",),
    ),
}


def page(samples: Sequence[Sample], *, source: str, page_bytes: int = PAGE_BYTES) -> str:
    """Return the HTML page of some clips, which is the same for the same samples.

    source: name of the source, shown as the heading. page_bytes: size limit of the images. Each clip gets an equal part
    of it, and its frames are reduced to fit; they are never enlarged.
    """
    shown = [
        _Shown(sample, f"clip-{number}", page_bytes // len(samples))
        for number, sample in enumerate(tqdm(samples, desc="Encoding clips", unit=" clips"), start=1)
    ]
    names = {key: {"name": name} for key, (name, *_) in LAYERS.items()}
    style, script = base_style() + _asset("page.css"), _asset("page.js")
    return Template(_asset("page.html")).substitute(
        source=page_text(source),
        summary=page_text(_summary(shown)),
        version=page_text(dvm_hf.__version__),
        style=style,
        script=script,
        style_hash=csp_hash(style),
        script_hash=csp_hash(script),
        cards="\n".join(_card(clip) for clip in shown),
        figures=_figures(shown),
        last_layer=str(len(LAYERS)),
        layers="\n".join(f"<dt>{name}</dt><dd>{page_text(shows)}</dd>" for name, shows, _ in LAYERS.values()),
        players="\n".join(_player(clip, index) for index, clip in enumerate(shown)),
        data=script_json({"layers": names, "clips": _data(shown)}),
    )


class _Shown:
    """A sample with the contents of its part of the page: statistics of the full-size frames, and reduced frames."""

    def __init__(self, sample: Sample, name: str, max_bytes: int) -> None:
        self.sample, self.name = sample, name
        self.title = str(sample.facts["clip_id"])
        self.full_size = next(iter(sample.layers.values()))[0].size
        self.alpha_counts = alpha_counts(sample)
        self.unknown_shares = unknown_shares(sample)
        self.encoded = encoded_layers(sample, max_bytes=max_bytes)
        self.size = decoded_size(next(iter(self.encoded.values()))[0])
        first = sample.layers.get("frames", next(iter(sample.layers.values())))[0]
        self.thumbnail = encoded(reduced(first, THUMBNAIL, layer="frames"), layer="frames")

    @property
    def order(self) -> list[str]:
        """The layers whose columns the sample has."""
        return [layer for layer, (_, _, needed) in LAYERS.items() if set(needed) <= set(self.encoded)]


def alpha_counts(sample: Sample) -> list[int]:
    """Return the number of pixels at each alpha level 0 .. 255 in a sample; all 0 without an alpha column."""
    histograms = [frame.histogram() for frame in _frames(sample, "alpha")]
    return [sum(counts) for counts in zip(*histograms, strict=True)] or [0] * 256


def unknown_shares(sample: Sample) -> list[float]:
    """Return the unknown share of each frame's pixels; empty without a trimap column."""
    return [frame.histogram()[UNKNOWN] / (frame.width * frame.height) for frame in _frames(sample, "trimap")]


def _frames(sample: Sample, layer: str) -> Iterable[Image.Image]:
    frames = sample.layers.get(layer, ())
    return (frames[index] for index in range(len(frames)))


def _data(shown: Iterable[_Shown]) -> list[dict[str, Any]]:
    """Return the data of each clip for the page's script."""
    return [
        {
            "id": clip.title,
            "frames": clip.sample.frame_count,
            "width": clip.size[0],
            "height": clip.size[1],
            "order": clip.order,
            "layers": {layer: [data_uri(data) for data in frames] for layer, frames in clip.encoded.items()},
        }
        for clip in shown
    ]


def _summary(shown: Sequence[_Shown]) -> str:
    frames = sum(clip.sample.frame_count for clip in shown)
    largest = max((clip.full_size for clip in shown), key=max)
    return f"{len(shown)} clips, {frames} frames, up to {largest[0]} x {largest[1]} px"


def _card(clip: _Shown) -> str:
    details = f"{clip.sample.frame_count} frames" + _unknown_words(clip.unknown_shares, before=", unknown ")
    return (
        f'<li><a class="card" href="#{clip.name}" aria-label="{page_text(clip.title)}: {details}">'
        f'<img src="{data_uri(clip.thumbnail)}" alt="First frame of {page_text(clip.title)}">'
        f"<span>{heading(clip.title)}</span><small>{details}</small></a></li>"
    )


def _player(clip: _Shown, index: int) -> str:
    return Template(_asset("player.html")).substitute(
        id=clip.name,
        index=index,
        title=page_text(clip.title),
        heading=heading(clip.title),
        width=clip.size[0],
        height=clip.size[1],
        alt=page_text(f"{clip.title}, frame by frame"),
        last=clip.sample.frame_count - 1,
        frames=clip.sample.frame_count,
        facts="\n".join(
            f"<dt>{page_text(name)}</dt><dd>{page_text(value)}</dd>" for name, value in _facts(clip).items()
        ),
        plots="\n".join(_plots(clip)),
        histogram=_alpha_figure(clip.alpha_counts),
    )


def _facts(clip: _Shown) -> dict[str, Any]:
    """Return the row's names and numbers, and the number and size of the frames shown."""
    sample = clip.sample
    shown = f"{sample.frame_count} of {sample.row_frames} frames, {clip.size[0]} x {clip.size[1]} px"
    facts: Mapping[str, Any] = sample.facts
    return {**facts, "shown": shown, "unknown": _unknown_words(clip.unknown_shares) or "no trimap in the data"}


def _plots(clip: _Shown) -> list[str]:
    units = (("row", " px", 1), ("column", " px", 1), ("angle", " degrees", 2), ("zoom", "", 3))
    motion = list(zip(*clip.sample.motion, strict=True))
    count = clip.sample.facts.get("instance_kinds", "").count(", ") + 1
    by_name = next(
        (
            dict(zip(names, motion, strict=True))
            for names in (motion_columns("rvm", count), motion_columns("dvm", count))
            if len(names) == len(motion)
        ),
        {},
    )
    foregrounds = [f"foreground {number}" for number in range(1, count + 1)] if count > 1 else ["foreground"]
    plots = [
        line_plot(by_name[f"{layer} {name}"], name=_plot_name(layer, name), unit=unit, decimals=decimals)
        for layer in (*foregrounds, "background", "camera")
        for name, unit, decimals in units
        if f"{layer} {name}" in by_name
    ]
    if not plots:
        plots = ['<p class="none">The data has no motion.</p>']
    if clip.unknown_shares:
        shares = [100 * share for share in clip.unknown_shares]
        plots.append(line_plot(shares, name="unknown area", unit=f"{SPACE}%", decimals=1))
    return plots


def _plot_name(layer: str, number: str) -> str:
    if layer != "foreground":
        return f"{layer}: {number}"
    return f"pose: {number}" if number in ("row", "column") else number


def _figures(shown: Sequence[_Shown]) -> str:
    """Return the histograms of unknown area and alpha over all clips."""
    shares = [share for clip in shown for share in clip.unknown_shares]
    counts = [sum(levels) for levels in zip(*(clip.alpha_counts for clip in shown), strict=True)]
    return _unknown_figure(shares) + "\n" + _alpha_figure(counts)


def _unknown_figure(shares: Sequence[float]) -> str:
    if not shares:
        return '<p class="none">The data has no trimap.</p>'
    counts = [0] * BINS
    for share in shares:
        counts[min(BINS - 1, int(share / max(shares) * BINS) if max(shares) else 0)] += 1
    caption = (
        f"{len(shares)} frames{_unknown_words(shares, before=', ')} unknown; the median is {_percent(median(shares))}."
    )
    ends = (_percent(0), _percent(max(shares)))
    return bar_plot(counts, name="Unknown area of the frames", ends=ends, unit="frames", caption=caption)


def _alpha_figure(counts: Sequence[int]) -> str:
    """Return the shares of pixels at 0 and 255 as text, and the levels between as bars.

    Bars for 0 and 255 would dwarf the others.
    """
    total = sum(counts)
    if not total:
        return '<p class="none">The data has no alpha.</p>'
    transparent, opaque = counts[0] / total, counts[255] / total
    between = _percent(1 - transparent - opaque)
    caption = f"{_percent(transparent)} of the pixels are 0, {_percent(opaque)} are 255, {between} are between."
    bars = [0] * BINS
    for level in range(1, 255):
        bars[(level - 1) * BINS // 254] += counts[level]
    return bar_plot(bars, name="Alpha between 0 and 255", ends=("1", "254"), unit="pixels", caption=caption)


def _unknown_words(shares: Sequence[float], *, before: str = "") -> str:
    if not shares:
        return ""
    low, high = _percent(min(shares)), _percent(max(shares))
    return before + (low if low == high else f"{low.removesuffix(f'{SPACE}%')} to {high}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}{SPACE}%"


def _asset(name: str) -> str:
    return asset("dvm_hf.preview", f"page/{name}")
