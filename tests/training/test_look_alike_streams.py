"""A stream over every look-alike of a published set, joined with what it lacks, has the pixels of load_dataset."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import require_torch
from joined_sets import FIELDS, joined, pixel_hashes, sample_as_row
from look_alikes import LOOK_ALIKES

require_torch()

from dvm_hf.torch import ClipStream  # noqa: E402  where torch is there

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_stream_over_a_look_alike_has_the_pixels_of_load_dataset(
    name: str, load: Callable[..., Any], tmp_path: Path
) -> None:
    sources = joined(name, tmp_path)
    for split, foregrounds in sources.foregrounds.items():
        rows = load(split, data_dir=str(sources.file), split=split, streaming=True, **FIELDS)
        expected = pixel_hashes(rows)
        stream = ClipStream(split, data_dir=str(sources.file), **FIELDS | {"clip_step": 2}, samples_per_clip=2)
        samples = [sample_as_row(sample) for sample in stream]
        assert {sample["foreground_name"] for sample in samples} == foregrounds
        assert pixel_hashes(samples) == expected
