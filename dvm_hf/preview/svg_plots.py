"""Plots as inline SVG: a value over the frames of a clip, and bars of a histogram. Coloured by the page's style.

The words stand beside the drawing, which the page stretches to its place; its units are a share of that place.
"""

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, EDGE = 320, 40, 4  # EDGE: between the curve and the edge of its field


def line_plot(values: Sequence[float], *, name: str, unit: str, decimals: int) -> str:
    """Values over frames, scaled to their own range, which is written above; a line marks the frame that is shown.

    The mark is a `line` of the class "now"; data-from and data-step say where it stands at frame 0 and how far it goes.
    Values that are equal as written are drawn as a level line.
    """
    if not all(map(math.isfinite, values)):
        return f'<p class="none">{escape(name)}: holds values that are no numbers</p>'
    low, high = min(values), max(values)
    low_text, high_text, first, last = (_number(value, decimals) for value in (low, high, values[0], values[-1]))
    is_level = low_text == high_text
    step = (WIDTH - 2 * EDGE) / max(1, len(values) - 1)
    heights = [0.5 if is_level else (value - low) / (high - low) for value in values]
    points = [
        f"{EDGE + step * index:.1f},{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * height:.1f}"
        for index, height in enumerate(heights)
    ]
    points += [f"{WIDTH - EDGE},{HEIGHT / 2}"] * (len(values) == 1)
    span = f"{low_text}{unit}, constant" if is_level else f"{low_text} to {high_text}{unit}"
    told = f"{name} over {len(values)} frames: {span}" + ("" if is_level else f"; from {first} to {last}")
    mark = f'data-from="{EDGE}" data-step="{step:.4f}" x1="{EDGE}" x2="{EDGE}" y1="0" y2="{HEIGHT}"'
    drawing = f'<line class="now" {mark}/><polyline class="curve" points="{" ".join(points)}"/>'
    return _figure(name, span, drawing, height=HEIGHT, told=told, kind="line")


def bar_plot(counts: Sequence[int], *, name: str, ends: tuple[str, str], unit: str, told: str) -> str:
    """A histogram of so many units, such as frames; `ends` are written below its sides, `told` is said under it.

    Heights go by the square root of the counts, so that one high bar leaves others to be seen; the scale is written.
    """
    highest, width, height = max([*counts, 1]), WIDTH / len(counts), 2 * HEIGHT
    sizes = [(height - EDGE) * math.sqrt(count / highest) for count in counts]
    bars = "".join(
        f'<rect class="bar" x="{index * width + 0.5:.2f}" y="{height - size:.2f}" width="{width - 1:.2f}" '
        f'height="{size:.2f}"/>'
        for index, size in enumerate(sizes)
        if size
    )
    below = f'<p class="ends"><span>{escape(ends[0])}</span><span>{escape(ends[1])}</span></p><p>{escape(told)}</p>'
    scale = f"highest {max(counts):,} {unit}, root scale"
    return _figure(name, scale, bars, height=height, told=f"{name}: {told}", kind="bars", below=below)


def _figure(name: str, span: str, drawing: str, *, height: int, told: str, kind: str, below: str = "") -> str:
    return (
        f'<figure class="plot {kind}"><figcaption><b>{escape(name)}</b> <span>{escape(span)}</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none" role="img" aria-label="{escape(told)}">'
        f"{drawing}</svg>{below}</figure>"
    )


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
