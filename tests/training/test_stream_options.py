"""The options of a stream: their defaults, limits and spelling."""

from typing import Any

import pytest

from dvm_hf.errors import ConfigError
from dvm_hf.training.stream_options import StreamOptions, stream_options


@pytest.mark.parametrize(
    ("given", "shuffles", "expected"),
    [
        ("auto", True, "drop"),
        ("auto", False, None),
        ("drop", False, "drop"),
        ("pad", True, "pad"),
        (None, True, None),
    ],
)
def test_ranks_stay_even_by_default_if_the_stream_shuffles(given: Any, shuffles: bool, expected: str | None) -> None:
    assert StreamOptions(even_ranks=given).rank_policy(shuffles=shuffles) == expected


def test_the_smallest_values_are_allowed() -> None:
    StreamOptions(context=0, samples_per_clip=1, epochs=1, batch_size=1)
    StreamOptions(epochs=None, batch_size=None, shuffle=None, transform=None)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "batch_size=0: "),
        ({"epochs": 0}, "epochs=0: "),
        ({"context": True}, "context=True: "),
        ({"drop_last": None}, "drop_last=None: not allowed; drop_last must be True or False"),
        ({"even_ranks": "even"}, "even_ranks='even': not allowed; even_ranks must be 'drop', 'pad' or None"),
        ({"even_ranks": False}, "even_ranks=False: not allowed"),
        ({"batchsize": 4}, "batchsize=4: there is no option 'batchsize'; did you mean 'batch_size'"),
        ({"x": 1}, "x=1: there is no option 'x'; the options are context, samples_per_clip, background_reuse, shuffle"),
    ],
)
def test_an_option_that_is_not_allowed_is_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        stream_options(options)
    assert str(error.value).startswith(text)
