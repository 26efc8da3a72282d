"""The file in which processes write down the clips that they leave out."""

import os
import warnings
from pathlib import Path

import fsspec
import pytest

from dvm_hf.dataset.skipped import SkippedClips, report_saved

LOCAL = fsspec.filesystem("file")


def report(left_out: SkippedClips) -> None:
    """Keep a file beside itself, and report that."""
    folder = left_out.path.parent / "built"
    folder.mkdir()
    left_out.save_in(LOCAL, str(folder))
    report_saved(LOCAL, str(folder))


def numbers(text: str) -> list[int]:
    """Whole numbers that stand as words of a text."""
    return [int(word) for word in text.split() if word.isdigit()]


@pytest.fixture
def left_out(tmp_path: Path) -> SkippedClips:
    return SkippedClips(tmp_path / "left_out.jsonl")


def test_a_new_file_is_empty_and_each_its_own():
    one, other = SkippedClips.in_new_file(), SkippedClips.in_new_file()
    try:
        assert one.path != other.path
        assert one.path.read_bytes() == other.path.read_bytes() == b""
        assert one.fatal_reason() is None
    finally:
        one.path.unlink()
        other.path.unlink()


def test_nothing_is_reported_where_nothing_was_left_out(left_out, tmp_path, caplog):
    report_saved(LOCAL, str(tmp_path))
    assert left_out.fatal_reason() is None
    assert not caplog.records
    assert not left_out.path.exists()


def test_clips_left_out_are_counted_and_named_with_their_reasons(left_out, caplog):
    left_out.note("image_cat_0000", "is shorter than a window")
    left_out.note("video_0007_0001", "f.mp4 has 150 frames but a.mp4 has 149")
    report(left_out)
    (record,) = caplog.records
    text = record.getMessage()
    assert record.levelname == "WARNING"
    assert numbers(text)[0] == 2
    assert "image_cat_0000 (is shorter than a window)" in text
    assert "video_0007_0001 (f.mp4 has 150 frames but a.mp4 has 149)" in text


def test_of_many_clips_five_are_named_and_the_rest_counted(left_out, caplog):
    for i in range(12):
        left_out.note(f"clip_{i:02}", "broken")
    report(left_out)
    text = caplog.records[0].getMessage()
    assert numbers(text)[0] == 12
    assert [f"clip_{i:02}" in text for i in range(12)] == [True] * 5 + [False] * 7
    assert "7 more" in text


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        ("image_grün_ä", "two\nlines\r\nand a \u2028 third"),
        ('image_"quoted"_0', "a % sign, {braces}, a \\ and a \t tab"),
        ("image_\udcff_0", "has a name that is not UTF-8"),
    ],
)
def test_any_text_comes_back_as_it_was(left_out, clip, reason):
    left_out.note("first", "x")
    left_out.note(clip, reason, is_fatal=True)
    left_out.note("last", "x")
    assert left_out.fatal_reason() == reason
    assert len(left_out.path.read_text().splitlines()) == 3


def test_the_first_fatal_reason_is_the_one(left_out):
    left_out.note("a", "harmless")
    assert left_out.fatal_reason() is None
    left_out.note("b", "first", is_fatal=True)
    left_out.note("c", "second", is_fatal=True)
    assert SkippedClips(left_out.path).fatal_reason() == "first"


def test_lines_of_several_processes_stay_whole(left_out, caplog):
    writers, lines, reason = 4, 150, "y" * 700
    children = []
    for writer in range(writers):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: this process has threads
            child = os.fork()
        if child == 0:
            for line in range(lines):
                left_out.note(f"clip_{writer}_{line}", reason)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * writers
    written = left_out.path.read_text().splitlines()
    assert sorted(line.split('"')[3] for line in written) == sorted(
        f"clip_{writer}_{line}" for writer in range(writers) for line in range(lines)
    )
    assert all(line.count("y") == 700 for line in written)
    report(left_out)
    assert numbers(caplog.records[0].getMessage())[0] == writers * lines


def test_what_was_left_out_is_kept_with_the_data(left_out, tmp_path, caplog):
    folder = tmp_path / "cache"
    folder.mkdir()
    left_out.note("image_cat_0000", "broken")
    left_out.save_in(LOCAL, str(folder))
    left_out.remove()
    assert not left_out.path.exists()
    report_saved(LOCAL, str(folder))
    assert "image_cat_0000 (broken)" in caplog.records[0].getMessage()


def test_it_is_kept_on_any_file_system_until_a_build_leaves_nothing_out(left_out, caplog):
    memory = fsspec.filesystem("memory")
    left_out.note("image_grün_0000", "broken")
    left_out.save_in(memory, "memory://kept/here")
    report_saved(memory, "memory://kept/here")
    assert "image_grün_0000 (broken)" in caplog.records[0].getMessage()
    SkippedClips(left_out.path.with_name("none")).save_in(memory, "memory://kept/here")
    report_saved(memory, "memory://kept/here")
    assert len(caplog.records) == 1
    assert not memory.exists("memory://kept/here/left_out.jsonl")


def test_an_empty_file_is_not_kept(tmp_path):
    left_out = SkippedClips.in_new_file()
    left_out.save_in(LOCAL, str(tmp_path))
    left_out.remove()
    left_out.remove()
    assert not left_out.path.exists()
    assert not list(tmp_path.iterdir())
