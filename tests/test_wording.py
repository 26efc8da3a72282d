"""Sizes that users write."""

import pytest

from dvm_hf.errors import ConfigError
from dvm_hf.wording import size_in_bytes

pytestmark = pytest.mark.one_lane


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000000", 1_000_000),
        ("500MB", 500_000_000),
        ("0.5 GiB", 536_870_912),
        ("2 kb", 2000),
        ("3KiB", 3072),
        ("1TB", 10**12),
        ("1.5MiB", 1_572_864),
    ],
)
def test_sizes_are_decimal_or_binary(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "MB", "5 XB", "1e6", "0.5", "five"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a size"):
        size_in_bytes(text)
