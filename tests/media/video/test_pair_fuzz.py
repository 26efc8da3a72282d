"""Some random pairs of tests/pair_fuzz.py: no composite shows two different frames, and no valid pair is refused."""

from collections import Counter

import pytest
from pair_fuzz import run

SEEDS = range(1000, 1036)


@pytest.mark.slow
def test_random_pairs_are_paired_or_refused_correctly() -> None:
    faults: list[str] = []
    counts = run(SEEDS, show=faults.append)
    assert faults == []
    totals = Counter[str]()
    for (_, result), count in counts.items():
        totals[result] += count
    assert totals.keys() == {"paired", "refused"}
    assert min(totals.values()) >= 6
