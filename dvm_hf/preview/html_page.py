"""One HTML page to look at clips: self-contained, works from a file and without a network.

The template, style and script lie in page/. Every value is escaped, and the page's Content-Security-Policy allows one
script, one style and images of its own: whatever a name holds, nothing else runs and nothing is fetched.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from statistics import median
from string import Template
from typing import Any

from datasets.utils import tqdm
from PIL import Image

import dvm_hf
from dvm_hf.clips.trimap import UNKNOWN
from dvm_hf.preview.page_images import THUMBNAIL, data_uri, decoded_size, encoded, encoded_layers, reduced
from dvm_hf.preview.samples import Sample
from dvm_hf.preview.svg_plots import bar_plot, line_plot

PAGE_BYTES = 14_000_000  # what the pictures may take, as base64
BINS = 32
SPACE = "\N{NO-BREAK SPACE}"  # between a number and its unit
# Of each layer its name, what it shows, and the image columns that it needs.
LAYERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "frames": ("composite", "the foreground over the background: what a network is given", ("frames",)),
    "alpha": ("alpha", "how opaque the foreground is: black not at all, white wholly", ("alpha",)),
    "trimap": ("trimap", "black background, white foreground, grey unknown", ("trimap",)),
    "foreground": ("foreground", "its straight colours, also where it is transparent", ("foreground",)),
    "background": ("background", "what lies behind", ("background",)),
    "checkerboard": (
        "on checkerboard",
        "the foreground through its alpha (where the data has no foreground column: the composite's colours)",
        ("frames", "alpha"),
    ),
    "unknown": ("unknown band", "the composite, tinted where the trimap is unknown", ("frames", "trimap")),
    "difference": (
        "difference",
        "between a frame and the one before (the first: the one after), absolute, times 4",
        ("frames",),
    ),
}


def page(samples: Sequence[Sample], *, source: str, page_bytes: int = PAGE_BYTES) -> str:
    """The page of some clips; the same samples give the same text.

    source: what the page says it shows. page_bytes: frames are shown as large as their clip's equal share of it allows,
    never larger than they are.
    """
    shown = [
        _Shown(sample, f"clip-{number}", page_bytes // len(samples))
        for number, sample in enumerate(tqdm(samples, desc="Encoding clips", unit=" clips"), start=1)
    ]
    style, script = _asset("page.css"), _asset("page.js")
    return Template(_asset("page.html")).substitute(
        source=_text(source),
        summary=_text(_summary(shown)),
        version=_text(dvm_hf.__version__),
        style=style,
        script=script,
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        cards="\n".join(_card(clip) for clip in shown),
        figures=_figures(shown),
        layers="\n".join(f"<dt>{name}</dt><dd>{_text(told)}</dd>" for name, told, _ in LAYERS.values()),
        players="\n".join(_player(clip, index) for index, clip in enumerate(shown)),
        data=_json({"layers": {key: {"name": name} for key, (name, *_) in LAYERS.items()}, "clips": _data(shown)}),
    )


class _Shown:
    """A sample with all that the page needs of it: numbers of its full-size frames, its frames reduced and encoded."""

    def __init__(self, sample: Sample, name: str, most_bytes: int) -> None:
        self.sample, self.name = sample, name
        self.title = str(sample.facts["clip_id"])
        self.full_size = next(iter(sample.layers.values()))[0].size
        self.alpha_counts = alpha_counts(sample)
        self.unknown_shares = unknown_shares(sample)
        self.encoded = encoded_layers(sample, most_bytes=most_bytes)
        self.size = decoded_size(next(iter(self.encoded.values()))[0])
        first = sample.layers.get("frames", next(iter(sample.layers.values())))[0]
        self.thumbnail = encoded(reduced(first, THUMBNAIL, layer="frames"), layer="frames")

    @property
    def order(self) -> list[str]:
        """The layers that can be shown of it."""
        return [layer for layer, (_, _, needed) in LAYERS.items() if set(needed) <= set(self.encoded)]


def alpha_counts(sample: Sample) -> list[int]:
    """Pixels of each alpha level 0 .. 255 in the frames of a sample; all 0 where it has no alpha."""
    histograms = [frame.histogram() for frame in _frames(sample, "alpha")]
    return [sum(counts) for counts in zip(*histograms, strict=True)] or [0] * 256


def unknown_shares(sample: Sample) -> list[float]:
    """Of each frame the share of pixels that its trimap calls unknown; empty where it has no trimap."""
    return [frame.histogram()[UNKNOWN] / (frame.width * frame.height) for frame in _frames(sample, "trimap")]


def _frames(sample: Sample, layer: str) -> Iterable[Image.Image]:
    frames = sample.layers.get(layer, ())
    return (frames[index] for index in range(len(frames)))


def _data(shown: Iterable[_Shown]) -> list[dict[str, Any]]:
    """What the script needs of each clip."""
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
    told = f"{clip.sample.frame_count} frames" + _unknown_words(clip.unknown_shares, before=", unknown ")
    return (
        f'<li><a class="card" href="#{clip.name}" aria-label="{_text(clip.title)}: {told}">'
        f'<img src="{data_uri(clip.thumbnail)}" alt="First frame of {_text(clip.title)}">'
        f"<span>{_heading(clip.title)}</span><small>{told}</small></a></li>"
    )


def _player(clip: _Shown, index: int) -> str:
    return Template(_asset("player.html")).substitute(
        id=clip.name,
        index=index,
        title=_text(clip.title),
        heading=_heading(clip.title),
        width=clip.size[0],
        height=clip.size[1],
        alt=_text(f"{clip.title}, frame by frame"),
        last=clip.sample.frame_count - 1,
        frames=clip.sample.frame_count,
        facts="\n".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in _facts(clip).items()),
        plots="\n".join(_plots(clip)),
        histogram=_alpha_figure(clip.alpha_counts),
    )


def _facts(clip: _Shown) -> dict[str, Any]:
    """The row's names and numbers, then what is shown of it."""
    sample = clip.sample
    shown = f"{sample.frame_count} of {sample.row_frames} frames, {clip.size[0]} x {clip.size[1]} px"
    facts: Mapping[str, Any] = sample.facts
    return {**facts, "shown": shown, "unknown": _unknown_words(clip.unknown_shares) or "no trimap in the data"}


def _plots(clip: _Shown) -> list[str]:
    units = (("placement: row", " px", 1), ("placement: column", " px", 1), ("angle", " degrees", 2), ("zoom", "", 3))
    motion = zip(*clip.sample.motion, strict=True)
    plots = [
        line_plot(values, name=name, unit=unit, decimals=decimals)
        for values, (name, unit, decimals) in zip(motion, units, strict=False)
    ]
    if not plots:
        plots = ['<p class="none">The data has no placements.</p>']
    if clip.unknown_shares:
        shares = [100 * share for share in clip.unknown_shares]
        plots.append(line_plot(shares, name="unknown area", unit=f"{SPACE}%", decimals=1))
    return plots


def _figures(shown: Sequence[_Shown]) -> str:
    """Histograms over all clips: of the unknown area of their frames, of their alpha."""
    shares = [share for clip in shown for share in clip.unknown_shares]
    counts = [sum(levels) for levels in zip(*(clip.alpha_counts for clip in shown), strict=True)]
    return _unknown_figure(shares) + "\n" + _alpha_figure(counts)


def _unknown_figure(shares: Sequence[float]) -> str:
    if not shares:
        return '<p class="none">The data has no trimap.</p>'
    counts = [0] * BINS
    for share in shares:
        counts[min(BINS - 1, int(share / max(shares) * BINS) if max(shares) else 0)] += 1
    told = (
        f"{len(shares)} frames{_unknown_words(shares, before=', ')} unknown; the median is {_percent(median(shares))}."
    )
    return bar_plot(
        counts, name="Unknown area of the frames", ends=(_percent(0), _percent(max(shares))), unit="frames", told=told
    )


def _alpha_figure(counts: Sequence[int]) -> str:
    """Shares of clear and opaque pixels in words, the levels between as bars, which the others would dwarf."""
    total = sum(counts)
    if not total:
        return '<p class="none">The data has no alpha.</p>'
    clear, opaque = counts[0] / total, counts[255] / total
    between = _percent(1 - clear - opaque)
    told = f"{_percent(clear)} of the pixels are 0, {_percent(opaque)} are 255, {between} lie between."
    bars = [0] * BINS
    for level in range(1, 255):
        bars[(level - 1) * BINS // 254] += counts[level]
    return bar_plot(bars, name="Alpha between 0 and 255", ends=("1", "254"), unit="pixels", told=told)


def _unknown_words(shares: Sequence[float], *, before: str = "") -> str:
    if not shares:
        return ""
    low, high = _percent(min(shares)), _percent(max(shares))
    return before + (low if low == high else f"{low.removesuffix(f'{SPACE}%')} to {high}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}{SPACE}%"


def _asset(name: str) -> str:
    return (files("dvm_hf.preview") / "page" / name).read_text(encoding="utf-8")


def _text(value: Any) -> str:
    """Escaped for HTML text and attributes; bytes of a name that are not UTF-8 become question marks."""
    return escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def _heading(name: str) -> str:
    """A name that may be broken after its underscores."""
    return _text(name).replace("_", "_<wbr>")


def _json(value: Any) -> str:
    """As it may stand in a script element: pure ASCII, without the characters that begin or end markup."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _csp_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
