"""A self-contained HTML page of results: means, worst frames, curves of each clip, definitions. It has no script.

The template and the style are in page/. Every value is escaped, and the page's policy allows nothing from elsewhere.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from string import Template

import numpy as np

import dvm_hf
from dvm_hf.evaluation.definitions import FLOWS, INSTANCES, MATCHING, METRICS, NOTATION, REGIONS, convention_text
from dvm_hf.evaluation.paper_tables import METRICS as METRIC_NAMES
from dvm_hf.evaluation.results import Results
from dvm_hf.evaluation.results_table import Table, columns_of, number, tables, units
from dvm_hf.evaluation.worst_frames import WorstFrame, measured_region
from dvm_hf.metrics.clip_sums import ClipSums
from dvm_hf.pages.html_text import asset, base_style, csp_hash, heading, page_text
from dvm_hf.pages.page_pictures import picture_uri, reduced
from dvm_hf.pages.svg_plots import curves_plot
from dvm_hf.wording import counted

PICTURE = 480  # px, longest side
COLOURS = 6  # of methods, in the style; more methods repeat them


def results_page(results: Sequence[Results], worst: Mapping[str, Sequence[WorstFrame]], *, reference: str) -> str:
    """Return the HTML page of one or more methods, which is the same for the same results.

    worst: frames to show, by method. reference: its name.
    """
    first = results[0]
    style = base_style() + _asset("results.css")
    names = " and ".join(result.name for result in results) if len(results) < 4 else f"{len(results)} methods"
    clips = list(dict.fromkeys(name for result in results for name in result.all_sums))
    return Template(_asset("results.html")).substitute(
        title=page_text(f"{names} on {reference}"),
        summary=page_text(_summary(results)),
        version=page_text(dvm_hf.__version__),
        style=style,
        style_hash=csp_hash(style),
        legend=_legend(results),
        skipped="\n".join(map(_skipped, results)),
        means="\n".join(_table(table, marks_best=len(results) > 1) for table in tables(results, per_clip=False)),
        worst="\n".join(_worst(results, worst)),
        clips="\n".join(_clip(name, number, results) for number, name in enumerate(clips, start=1)),
        definitions="\n".join(_definitions(first, results)),
    )


def _summary(results: Sequence[Results]) -> str:
    first = results[0]
    flows = ", ".join(dict.fromkeys(result.flow or "not used" for result in results))
    counts = f"{counted(len(first.clips), 'clip')}, {counted(first.frames, 'frame')}"
    if first.instance_sums:
        counts += f", {counted(len(first.instance_sums), 'instance')}"
    return f"{counts}; convention {first.convention}; flow {flows}. Lower is better."


def _legend(results: Sequence[Results]) -> str:
    if len(results) == 1:
        return ""
    entries = (
        f'<li class="method-{order % COLOURS}">{page_text(result.name)}</li>' for order, result in enumerate(results)
    )
    return f'<ul class="legend" aria-label="Methods and the colours of their curves">{"".join(entries)}</ul>'


def _skipped(result: Results) -> str:
    if not result.skipped:
        return ""
    items = "".join(f"<li>{page_text(text)}</li>" for text in result.skipped)
    return (
        f'<details class="note"><summary>{page_text(result.name)}: skipped clips and frames ({len(result.skipped):,})'
        f"</summary><ul>{items}</ul></details>"
    )


def _table(table: Table, *, marks_best: bool = False) -> str:
    head = "".join(f'<th scope="col">{page_text(name)}</th>' for name in ("", *table.headings))
    best = [_best(column) for column in zip(*(numbers for _, numbers in table.rows), strict=True)]
    rows = []
    for name, numbers in table.rows:
        cells = (
            f'<td class="best">{number(value)}</td>' if marks_best and value == lowest else f"<td>{number(value)}</td>"
            for value, lowest in zip(numbers, best, strict=True)
        )
        rows.append(f'<tr><th scope="row">{heading(name)}</th>{"".join(cells)}</tr>')
    title = page_text(table.title)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table><caption>{title}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _best(values: Sequence[float]) -> float:
    """Return the lowest value; NaN if all are equal."""
    known = [value for value in values if not math.isnan(value)]
    return min(known) if len(set(known)) > 1 else math.nan


def _worst(results: Sequence[Results], worst: Mapping[str, Sequence[WorstFrame]]) -> Iterator[str]:
    for result in results:
        for frame in worst.get(result.name, ()):
            method = f"{page_text(result.name)}: " if len(results) > 1 else ""
            pictures = "".join(
                f'<figure class="picture"><img src="{uri}" alt="{name}: {page_text(frame.clip)}, frame {frame.index}">'
                f"<span>{name}</span></figure>"
                for name, uri in _pictures(frame).items()
            )
            yield (
                f'<figure class="worst"><figcaption>{method}<b>{heading(frame.clip)}</b>, frame {frame.index}: mean '
                f'absolute error <span class="number">{number(frame.error)} x 10<sup>-3</sup></span> ({frame.region})'
                f'</figcaption><div class="pictures">{pictures}</div></figure>'
            )


def _pictures(frame: WorstFrame) -> dict[str, str]:
    return {
        name: picture_uri(reduced(picture, PICTURE), is_exact=picture.mode == "L")
        for name, picture in frame.pictures.items()
    }


def _clip(name: str, order: int, results: Sequence[Results]) -> str:
    measured = {result.name: sums for result in results if (sums := result.all_sums.get(name)) is not None}
    metrics = {method: sums.metrics() for method, sums in measured.items()}
    first, sums = next(iter(measured.items()))
    region = measured_region(sums)
    columns = columns_of(sums.convention, metrics[first])
    shown = [
        _table(
            Table(
                f"Region {title}" if title else "Numbers of the convention's tables",
                tuple(column.label for column in of_region),
                tuple(
                    (method, tuple(column.factor * found[column.region][column.metric] for column in of_region))
                    for method, found in metrics.items()
                ),
            ),
            marks_best=len(measured) > 1,
        )
        for title, of_region in columns.items()
    ]
    errors = ", ".join(
        f"{METRIC_NAMES[metric]} {number(value)}"
        for metric, value in list(metrics[first].get(region, {}).items())[:3]
        if metric in METRIC_NAMES
    )
    facts = f"{counted(sums.frames, 'frame')}; {first}, {region}: {errors}"
    return (
        f'<details id="clip-{order}"><summary><b>{heading(name)}</b> <span>{page_text(facts)}</span></summary>'
        f'<div class="figures">{"".join(_curves(region, measured, results))}</div>{"".join(shown)}</details>'
    )


def _curves(region: str, measured: Mapping[str, ClipSums], results: Sequence[Results]) -> Iterator[str]:
    """Yield a plot for each metric that has a value for each frame or pair of frames."""
    values = {method: sums.values().get(region, {}) for method, sums in measured.items()}
    for metric in METRIC_NAMES:
        curves = [
            (result.name, values[result.name][metric].tolist())
            if metric in values.get(result.name, {})
            else (result.name, [])
            for result in results
        ]
        if any(np.size(numbers) > 1 for _, numbers in curves):
            yield curves_plot(curves, name=f"{METRIC_NAMES[metric]}, {region}", number=number)


def _definitions(first: Results, results: Sequence[Results]) -> Iterator[str]:
    metrics = first.means.metrics()
    used = {name for of_region in metrics.values() for name in of_region}
    yield f'<p class="definition">{page_text(NOTATION)}</p>'
    yield "<h3>Metrics</h3>" + _terms({METRIC_NAMES[n]: text for n, text in METRICS.items() if n in used})
    yield "<h3>Regions</h3>" + _terms({name: text for name, text in REGIONS.items() if name in metrics})
    yield f"<h3>Convention: {page_text(first.convention)}</h3>"
    for paragraph in convention_text(first.convention):
        yield f'<p class="definition">{page_text(paragraph)}</p>'
    for match in dict.fromkeys(result.instances.match for result in results if result.instances is not None):
        yield f'<h3>Instances</h3><p class="definition">{page_text(f"{INSTANCES} {MATCHING[match]}")}</p>'
    shown = units(first.convention, dict.fromkeys(used))
    if shown:
        yield f'<p class="definition">{page_text(shown)}</p>'
    flows = sorted({name for result in results for name in (result.flow or "").split("+") if name})
    if flows:
        yield "<h3>Flow of MESSDdt</h3>" + _terms({name: FLOWS.get(name, name) for name in flows})


def _terms(terms: Mapping[str, str]) -> str:
    entries = "".join(f"<dt>{page_text(name)}</dt><dd>{page_text(text)}</dd>" for name, text in terms.items())
    return f'<dl class="terms">{entries}</dl>'


def _asset(name: str) -> str:
    return asset("dvm_hf.evaluation", f"page/{name}")
