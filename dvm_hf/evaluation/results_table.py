"""Results as tables of text, in the units of the convention's published tables."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from dvm_hf.evaluation.paper_tables import METRICS, PAPERS, UNITS, Column, regions, value
from dvm_hf.evaluation.results import Results
from dvm_hf.metrics.convention import Metrics


class Table(NamedTuple):
    """A table: its title, the headings of its columns, and its rows, each with a name and numbers (NaN: none)."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]


def tables(results: Sequence[Results], *, per_clip: bool) -> Iterator[Table]:
    """Yield the tables of one or more methods, with the same convention: the means, then those of each clip if asked.

    A convention with a published table gives one table of its columns, any other a table for each of its regions.
    """
    is_single = results[0].convention not in PAPERS and len(results) == 1
    means = {"Mean over the clips": [(result.name, result.means.metrics()) for result in results]}
    with_instances = [result for result in results if result.instance_sums]
    if with_instances:
        means["Mean over the instances"] = [(one.name, one.instance_means.metrics()) for one in with_instances]
    for title, rows in means.items():
        if is_single:
            yield _by_region(title, rows[0][1])
        else:
            yield from _tables(title, rows, results[0].convention)
    if per_clip:
        for result in results:
            for kind, found in {"Clips": result.clips, "Instances": result.instance_sums}.items():
                title = f"{kind} of {result.name}" if len(results) > 1 else kind
                clips = [(name, sums.metrics()) for name, sums in found.items()]
                yield from _tables(title, clips, result.convention) if clips else ()


def columns_of(convention: str, metrics: Metrics) -> dict[str, tuple[Column, ...]]:
    """Return the columns of a convention's tables, by the region in a table's title; "" for a published table."""
    if convention in PAPERS:
        return {"": PAPERS[convention]}
    found = {}
    for region in regions(metrics):
        found[region] = tuple(Column(METRICS[name], region, name) for name in METRICS if name in metrics[region])
    return found


def _tables(title: str, rows: Sequence[tuple[str, Metrics]], convention: str) -> Iterator[Table]:
    for region, columns in columns_of(convention, rows[0][1]).items():
        shown = f"{title}, region {region}" if region else title
        numbers = tuple((name, tuple(value(column, metrics) for column in columns)) for name, metrics in rows)
        yield Table(shown, tuple(column.label for column in columns), numbers)


def _by_region(title: str, metrics: Metrics) -> Table:
    """Return the means of one method, with a row for each region."""
    names = [name for name in METRICS if any(name in of_region for of_region in metrics.values())]
    rows = tuple((region, tuple(metrics[region].get(name, math.nan) for name in names)) for region in regions(metrics))
    return Table(title, tuple(METRICS[name] for name in names), rows)


def number(found: float) -> str:
    """Return a number with four significant digits, "-" for NaN."""
    if math.isnan(found):
        return "-"
    if found and not 1e-3 <= abs(found) < 1e6:
        return f"{found:.3e}"
    digits = 3 if not found else max(0, 3 - math.floor(math.log10(abs(found))))
    return f"{found:.{min(digits, 6)}f}"


def in_words(table: Table) -> str:
    """Return a table as lines of text."""
    cells = [["", *table.headings], *([name, *map(number, numbers)] for name, numbers in table.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in cells
    ]
    return "\n".join([table.title, *(line.rstrip() for line in lines)])


def units(convention: str, names: Mapping[str, object]) -> str:
    """Return the units of the default convention's metrics, for a line below its tables."""
    if convention != "default":
        return ""
    return ", ".join(f"{METRICS[name]} {unit}" for name, unit in UNITS.items() if name in names)
