"""Human-readable counts, sizes and lists."""

import re
from collections.abc import Iterable, Sequence

from dvm_hf.errors import ConfigError

SIZE = re.compile(r"\s*(?P<number>\d+(\.\d+)?)\s*((?P<prefix>[KMGT])(?P<binary>i)?)?B?\s*", re.IGNORECASE | re.ASCII)


def ranges(numbers: Iterable[int]) -> str:
    """Return increasing numbers as ranges, such as "0-2,7", in the form of a job array's."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


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


def size_in_bytes(text: str, *, option: str = "max_shard_size") -> int:
    """Parse a size in bytes, such as "500MB", "0.5 GiB" or "1000000"; raises ConfigError."""
    found = SIZE.fullmatch(text)
    size = 0
    if found is not None:
        base = 1024 if found["binary"] else 1000
        size = int(float(found["number"]) * base ** " KMGT".index((found["prefix"] or " ").upper()))
    if size < 1:
        raise ConfigError(f"{option}={text!r}: not a size; pass bytes, or a number with KB, MB, GB, MiB or GiB")
    return size
