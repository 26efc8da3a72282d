"""The file in which processes record the clips that they skip."""

import os
import warnings
from pathlib import Path

import fsspec
import pytest

from dvm_hf.dataset.skipped import SkippedClips, report_saved

LOCAL = fsspec.filesystem("file")


def report(skipped: SkippedClips) -> None:
    """Save the file in a folder, and report from there."""
    folder = skipped.path.parent / "built"
    folder.mkdir()
    skipped.save_in(LOCAL, str(folder))
    report_saved(LOCAL, str(folder))


def numbers(text: str) -> list[int]:
    """Return the integers that are words of a text."""
    return [int(word) for word in text.split() if word.isdigit()]


@pytest.fixture
def skipped(tmp_path: Path) -> SkippedClips:
    return SkippedClips(tmp_path / "left_out.jsonl")


def test_new_files_are_empty_and_distinct():
    one, other = SkippedClips.in_new_file(), SkippedClips.in_new_file()
    try:
        assert one.path != other.path
        assert one.path.read_bytes() == other.path.read_bytes() == b""
        assert one.fatal_reason() is None
    finally:
        one.path.unlink()
        other.path.unlink()


def test_nothing_is_reported_if_nothing_was_skipped(skipped, tmp_path, caplog):
    report_saved(LOCAL, str(tmp_path))
    assert skipped.fatal_reason() is None
    assert not caplog.records
    assert not skipped.path.exists()


def test_skipped_clips_are_counted_and_named_with_their_reasons(skipped, caplog):
    skipped.note("image_cat_0000", "is shorter than a window")
    skipped.note("video_0007_0001", "f.mp4 has 150 frames but a.mp4 has 149")
    report(skipped)
    (record,) = caplog.records
    text = record.getMessage()
    assert record.levelname == "WARNING"
    assert numbers(text)[0] == 2
    assert "image_cat_0000 (is shorter than a window)" in text
    assert "video_0007_0001 (f.mp4 has 150 frames but a.mp4 has 149)" in text


def test_the_first_five_clips_are_named_and_the_others_counted(skipped, caplog):
    for i in range(12):
        skipped.note(f"clip_{i:02}", "broken")
    report(skipped)
    text = caplog.records[0].getMessage()
    assert numbers(text)[0] == 12
    assert [f"clip_{i:02}" in text for i in range(12)] == [True] * 5 + [False] * 7
    assert "7 more" in text


@pytest.mark.parametrize(
    ("clips", "sources", "counts"),
    [
        (1, 0, "1 clip: "),
        (0, 1, "all clips of 1 source: "),
        (0, 2, "all clips of 2 sources: "),
        (3, 2, "3 clips and all clips of 2 sources: "),
    ],
)
def test_sources_are_counted_apart_from_clips(skipped, clips, sources, counts):
    for i in range(sources):
        skipped.note(f"source_{i}", "broken", is_source=True)
    for i in range(clips):
        skipped.note(f"clip_{i}", "broken")
    assert skipped.summary().startswith(counts)
    assert "more" not in skipped.summary()  # all of up to five are named


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_the_first_fatal_entry_decides_whether_the_machine_is_at_fault(skipped, first, second):
    skipped.note("a", "no memory", is_machine=not first)
    assert not skipped.is_machine_fault()
    skipped.note("b", "one", is_fatal=True, is_machine=first)
    skipped.note("c", "two", is_fatal=True, is_machine=second)
    assert skipped.is_machine_fault() is first


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        ("image_grün_ä", "two\nlines\r\nand a \u2028 third"),
        ('image_"quoted"_0', "a % sign, {braces}, a \\ and a \t tab"),
        ("image_\udcff_0", "has a name that is not UTF-8"),
    ],
)
def test_any_text_round_trips(skipped, clip, reason):
    skipped.note("first", "x")
    skipped.note(clip, reason, is_fatal=True)
    skipped.note("last", "x")
    assert skipped.fatal_reason() == reason
    assert len(skipped.path.read_text().splitlines()) == 3


def test_the_first_fatal_reason_is_returned(skipped):
    skipped.note("a", "harmless")
    assert skipped.fatal_reason() is None
    skipped.note("b", "first", is_fatal=True)
    skipped.note("c", "second", is_fatal=True)
    assert SkippedClips(skipped.path).fatal_reason() == "first"


def test_lines_of_several_processes_are_not_interleaved(skipped, caplog):
    writers, lines, reason = 4, 150, "y" * 700
    children = []
    for writer in range(writers):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: this process has threads
            child = os.fork()
        if child == 0:
            for line in range(lines):
                skipped.note(f"clip_{writer}_{line}", reason)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * writers
    written = skipped.path.read_text().splitlines()
    assert sorted(line.split('"')[3] for line in written) == sorted(
        f"clip_{writer}_{line}" for writer in range(writers) for line in range(lines)
    )
    assert all(line.count("y") == 700 for line in written)
    report(skipped)
    assert numbers(caplog.records[0].getMessage())[0] == writers * lines


def test_skipped_clips_are_kept_with_the_data(skipped, tmp_path, caplog):
    folder = tmp_path / "cache"
    folder.mkdir()
    skipped.note("image_cat_0000", "broken")
    skipped.save_in(LOCAL, str(folder))
    skipped.remove()
    assert not skipped.path.exists()
    report_saved(LOCAL, str(folder))
    assert "image_cat_0000 (broken)" in caplog.records[0].getMessage()


def test_skipped_clips_are_kept_on_any_file_system_until_a_complete_build(skipped, caplog):
    memory = fsspec.filesystem("memory")
    skipped.note("image_grün_0000", "broken")
    skipped.save_in(memory, "memory://kept/here")
    report_saved(memory, "memory://kept/here")
    assert "image_grün_0000 (broken)" in caplog.records[0].getMessage()
    SkippedClips(skipped.path.with_name("none")).save_in(memory, "memory://kept/here")
    report_saved(memory, "memory://kept/here")
    assert len(caplog.records) == 1
    assert not memory.exists("memory://kept/here/left_out.jsonl")


def test_an_empty_file_is_not_kept(tmp_path):
    skipped = SkippedClips.in_new_file()
    skipped.save_in(LOCAL, str(tmp_path))
    skipped.remove()
    skipped.remove()
    assert not skipped.path.exists()
    assert not list(tmp_path.iterdir())
