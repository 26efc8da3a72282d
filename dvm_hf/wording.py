"""Numbers with their nouns and units, for people."""


def counted(count: int, noun: str) -> str:
    """`1 shard`, `1,200 shards`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def in_bytes(count: float) -> str:
    """`512 B`, `1.5 MB`, to three digits."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if count < 1000:
            break
        count, unit = count / 1000, larger
    return f"{count:.3g} {unit}"
