"""Every look-alike of a published set, joined with what it lacks: the same pixels from each command and each load."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_runs import run
from datasets import load_dataset
from joined_sets import FIELDS, as_options, deviation, drawn_numbers, joined, pixel_hashes
from look_alikes import LOOK_ALIKES, SIZE
from stored_plans import plan_in

from dvm_hf.preview.samples import samples

VIDEO = 1  # of the column foreground_kind
CACHED = {"videomatting108", "am-2k", "cutouts", "alpha-videos"}  # how rows are cached does not depend on the layout
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]  # fork, Python 3.12


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_look_alike_has_the_same_pixels_however_it_is_read(
    name: str, load: Callable[..., Any], tmp_path: Path
) -> None:
    sources, out = joined(name, tmp_path), tmp_path / "out"
    file = str(sources.file)
    for split, foregrounds in sources.foregrounds.items():
        rows = list(load(split, data_dir=file, split=split, streaming=True, **FIELDS))
        assert {row["foreground_name"] for row in rows} == foregrounds
        assert {row["background_name"] for row in rows} <= sources.backgrounds[split]
        assert {(row["height"], row["width"]) for row in rows} == {SIZE}
        assert max(map(deviation, rows)) <= 1
        for row in rows:
            if row["foreground_kind"] == VIDEO:  # its frames are not moved
                (first, second), mattes = drawn_numbers(row)
                assert second == first + 1
                assert mattes == [first % 5, second % 5]
        expected = pixel_hashes(rows)
        assert len(expected) == len(rows) == len(set(expected.values()))
        ways = {"cached": {}, "in two processes": {"num_proc": 2}} if split == "train" and name in CACHED else {}
        for way, more in ways.items():
            built = load(split, data_dir=file, split=split, cache_dir=str(tmp_path / way), **FIELDS, **more)
            assert pixel_hashes(built) == expected
        shown = samples(file, clips=len(rows), config=split, fields=FIELDS)
        assert pixel_hashes(one.as_row() for one in shown) == expected
        options = ("--config", split, "--num-shards", "1", *as_options(FIELDS))
        assert run("prepare", file, str(out), *options).exit_code == 0
        colours = "estimate" if sources.layout == "image-mask" else "straight"  # docs/layouts.md
        assert {clip.foreground.colours for clip in plan_in(out, split).clips} == {colours}
        built = load_dataset(str(out), split=split, cache_dir=str(tmp_path / f"prepared {split}"))
        assert pixel_hashes(built) == expected
    shard = next((out / "data").glob("train-*"))
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    assert run("verify", str(out), "--repair").exit_code == 0  # from the plan's file
    assert shard.read_bytes() == content
    verified = run("verify", str(out), "--read-data")
    assert verified.exit_code == 0, verified.stdout
    assert "all valid" in verified.stdout
    assert "train" in sources.foregrounds
