"""Inline SVG plots: the curve of a value over the frames of a clip, and the bars of a histogram.

The page's style sets the colours. The text is outside the drawing, because the page stretches the drawing.
"""

import math
from collections.abc import Callable, Sequence
from html import escape

WIDTH, HEIGHT, EDGE = 320, 40, 4  # of the viewBox; EDGE: margin around the curve
TALL = 72  # height of the viewBox of several curves


def line_plot(values: Sequence[float], *, name: str, unit: str, decimals: int) -> str:
    """Plot values over frames, scaled to their range, which is written above. A line marks the current frame.

    The mark is a `line` of the class "now"; data-from is its position at frame 0, and data-step its step per frame.
    Values that are equal after rounding to `decimals` are drawn as a horizontal line.
    """
    if not all(map(math.isfinite, values)):
        return f'<p class="none">{escape(name)}: some values are not finite numbers</p>'
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
    label = f"{name} over {len(values)} frames: {span}" + ("" if is_level else f"; from {first} to {last}")
    mark = f'data-from="{EDGE}" data-step="{step:.4f}" x1="{EDGE}" x2="{EDGE}" y1="0" y2="{HEIGHT}"'
    drawing = f'<line class="now" {mark}/><polyline class="curve" points="{" ".join(points)}"/>'
    return _figure(name, span, drawing, height=HEIGHT, label=label, kind="line")


def curves_plot(curves: Sequence[tuple[str, Sequence[float]]], *, name: str, number: Callable[[float], str]) -> str:
    """Plot named curves over frames, from 0 to their highest value, which is written above. A NaN interrupts a curve.

    Curve 0 has the class "curve-0", and so on, for its colour. number: formats a value. All curves have as many values.
    """
    finite = [value for _, values in curves for value in values if math.isfinite(value)]
    highest = max([*finite, 0])
    drawing, spans = "", []
    for order, (method, values) in enumerate(curves):
        step = (WIDTH - 2 * EDGE) / max(1, len(values) - 1)
        parts: list[list[str]] = [[]]
        for index, value in enumerate(values):
            if math.isfinite(value):
                height = value / highest if highest else 0
                parts[-1].append(f"{EDGE + step * index:.1f},{TALL - EDGE - (TALL - 2 * EDGE) * height:.1f}")
            elif parts[-1]:
                parts.append([])
        for points in parts:
            points += points[:1] if len(points) == 1 else []  # a single value is a dot, by its round end
            if points:
                drawing += f'<polyline class="curve curve-{order}" points="{" ".join(points)}"/>'
        known = [value for value in values if math.isfinite(value)]
        spans.append(f"{method} {number(min(known))} to {number(max(known))}" if known else f"{method} not measured")
    span = f"0 to {number(highest)}" if finite else "not measured"
    label = f"{name} over {max(len(values) for _, values in curves)} frames: {'; '.join(spans)}"
    return _figure(name, span, drawing, height=TALL, label=label, kind="line tall")


def bar_plot(counts: Sequence[int], *, name: str, ends: tuple[str, str], unit: str, caption: str) -> str:
    """Plot a histogram of counts of a unit, such as frames, with `ends` as the axis labels and a caption below.

    Heights are proportional to the square root of the counts, so a high bar does not hide the others. The scale is
    written above.
    """
    highest, width, height = max([*counts, 1]), WIDTH / len(counts), 2 * HEIGHT
    sizes = [(height - EDGE) * math.sqrt(count / highest) for count in counts]
    bars = "".join(
        f'<rect class="bar" x="{index * width + 0.5:.2f}" y="{height - size:.2f}" width="{width - 1:.2f}" '
        f'height="{size:.2f}"/>'
        for index, size in enumerate(sizes)
        if size
    )
    below = f'<p class="ends"><span>{escape(ends[0])}</span><span>{escape(ends[1])}</span></p><p>{escape(caption)}</p>'
    scale = f"highest {max(counts):,} {unit}, root scale"
    return _figure(name, scale, bars, height=height, label=f"{name}: {caption}", kind="bars", below=below)


def _figure(name: str, span: str, drawing: str, *, height: int, label: str, kind: str, below: str = "") -> str:
    return (
        f'<figure class="plot {kind}"><figcaption><b>{escape(name)}</b> <span>{escape(span)}</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f"{drawing}</svg>{below}</figure>"
    )


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
