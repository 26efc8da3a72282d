"""Some of the pairs that tests/pair_fuzz.py draws: no composite shows two frames, and no whole pair is refused."""

from collections import Counter

from pair_fuzz import run

SEEDS = range(1000, 1036)


def test_drawn_pairs_are_paired_or_refused_rightly() -> None:
    faults: list[str] = []
    counts = run(SEEDS, show=faults.append)
    assert faults == []
    totals = Counter[str]()
    for (_, result), count in counts.items():
        totals[result] += count
    assert totals.keys() == {"paired", "refused"}
    assert min(totals.values()) >= 6
