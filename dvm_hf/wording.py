"""Human-readable counts, sizes and lists."""

from collections.abc import Sequence


def counted(count: int, noun: str) -> str:
    """Format a count with its noun: `1 shard`, `1,200 shards`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def in_bytes(count: float) -> str:
    """Format a size with three significant digits: `512 B`, `1.5 MB`."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if count < 1000:
            break
        count, unit = count / 1000, larger
    return f"{count:.3g} {unit}"


def first_few(names: Sequence[str]) -> str:
    """List the first five names and the number of the others: `a, b, c, d, e and 2 more`."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
