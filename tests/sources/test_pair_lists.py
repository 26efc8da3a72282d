"""Pair lists: valid lines, and the errors of invalid ones."""

import os
from collections import Counter
from pathlib import Path

import pytest

from dvm_hf.errors import SourceError
from dvm_hf.sources.pair_lists import listed_pairs, read_pairs

pytestmark = pytest.mark.one_lane


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_the_official_list_has_248_pairs(camera_media):
    path = camera_media / "test_fg_bg_names.txt"
    pairs = read_pairs(path)
    assert [str(pair) for pair in pairs] == path.read_text().split("\n")[:248]
    assert [pair.line for pair in pairs] == list(range(1, 249))
    assert Counter(pair.kind for pair in pairs) == {"image": 200, "video": 48}
    assert sorted(pair.background for pair in pairs) == [f"{i:04}.mp4" for i in range(248)]
    uses = Counter((pair.kind, pair.foreground) for pair in pairs)
    assert set(uses.values()) == {4}
    assert Counter(kind for kind, _ in uses) == {"image": 50, "video": 12}


GOOD = [("image", "cat.png", "0105.mp4", 1), ("video", "0000", "0041.mp4", 2)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"image+cat.png+0105.mp4\nvideo+0000+0041.mp4\n", GOOD),
        (b"image+cat.png+0105.mp4\nvideo+0000+0041.mp4", GOOD),
        (b"image+cat.png+0105.mp4\r\nvideo+0000+0041.mp4\r\n", GOOD),
        (b"\xef\xbb\xbfimage+cat.png+0105.mp4\r\nvideo+0000+0041.mp4", GOOD),
        (b"\n \nimage+cat.png+0105.mp4\n\t\n\nvideo+0000+0041.mp4\n\n", [(*GOOD[0][:3], 3), (*GOOD[1][:3], 6)]),
        (b"image+a+b c.png+0105.mp4", [("image", "a+b c.png", "0105.mp4", 1)]),
        ("image+grün.png+0105.mp4".encode(), [("image", "grün.png", "0105.mp4", 1)]),
        (b"image+..cat..png+a.b.mp4", [("image", "..cat..png", "a.b.mp4", 1)]),
        (
            b"video+0000+1.mp4\nvideo+0000+2.mp4\nimage+0000+1.mp4",
            [("video", "0000", "1.mp4", 1), ("video", "0000", "2.mp4", 2), ("image", "0000", "1.mp4", 3)],
        ),
    ],
    ids=[
        "newlines",
        "no last newline",
        "CRLF",
        "BOM",
        "blank lines",
        "plus and space",
        "UTF-8",
        "dots",
        "repeated names",
    ],
)
def test_pairs_are_read_in_order_with_their_lines(tmp_path, data, expected):
    pairs = read_pairs(written(tmp_path / "pairs.txt", data))
    assert [(pair.kind, pair.foreground, pair.background, pair.line) for pair in pairs] == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"still+cat.png+0.mp4", ["line 1", "'still'", "image, video"]),
        (b"Image+cat.png+0.mp4", ["line 1", "'Image'"]),
        (b"image+..+0.mp4", ["line 1", "'..'", "path"]),
        (b"image+cat.png+..", ["line 1", "'..'", "path"]),
        (b"image+../../cat.png+0.mp4", ["line 1", "'../../cat.png'", "path"]),
        (b"video+.+0.mp4", ["line 1", "'.'", "path"]),
        (b"image+/etc/passwd+0.mp4", ["line 1", "'/etc/passwd'", "path"]),
        (b"image+cat.png+/tmp/0.mp4", ["line 1", "'/tmp/0.mp4'", "path"]),
        (b"image+a\\cat.png+0.mp4", ["line 1", "cat.png", "path"]),
        (b"image+c\0at.png+0.mp4", ["line 1", "path"]),
        (b"image+cat.png", ["line 1", "image+cat.png", "KIND+FOREGROUND+BACKGROUND"]),
        (b"image+cat.png+", ["line 1", "KIND+FOREGROUND+BACKGROUND"]),
        (b"image++0.mp4", ["line 1", "KIND+FOREGROUND+BACKGROUND"]),
        (b"cat.png 0.mp4", ["line 1", "KIND+FOREGROUND+BACKGROUND"]),
        (b"image+a.png+0.mp4\n\nimage+b.png+0.mp4\nimage+a.png+0.mp4", ["line 4", "line 1", "image+a.png+0.mp4"]),
        (b"image+a.png+0.mp4\nimage+caf\xe9.png+0.mp4", ["line 2", "UTF-8", "caf"]),
        ("image+a.png+0.mp4\n".encode("utf-16"), ["line 1", "UTF-8"]),
        (b"", ["is empty"]),
        (b"\n \n", ["is empty"]),
        (b"image+a.png+0.mp4\nx\nimage+b.png+0.mp4\ny+b.png+0.mp4", ["line 2", "line 4", "'y'"]),
    ],
    ids=lambda value: None if isinstance(value, list) else repr(value)[:40],
)
def test_an_invalid_line_is_named_with_its_rule(tmp_path, data, words):
    path = written(tmp_path / "pairs.txt", data)
    with pytest.raises(SourceError) as raised:
        read_pairs(path)
    text = str(raised.value)
    assert all(word in text for word in [str(path), *words]), text


def test_the_first_ten_invalid_lines_are_named_and_the_others_counted(tmp_path):
    path = written(tmp_path / "pairs.txt", b"nonsense\n" * 25)
    with pytest.raises(SourceError, match=r"line 10: .*; and 15 more$") as raised:
        read_pairs(path)
    assert "line 11" not in str(raised.value)


def test_a_missing_pair_list_file_is_named(tmp_path):
    for path in (tmp_path / "pairs.txt", tmp_path):
        with pytest.raises(SourceError, match="cannot be read") as raised:
            read_pairs(path)
        assert str(path) in str(raised.value)


def test_a_pipe_as_a_pair_list_is_refused_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "pairs.txt")
    with pytest.raises(SourceError, match="a pipe or a device"):
        read_pairs(tmp_path / "pairs.txt")


def test_an_error_shows_a_short_printable_excerpt_of_a_line(tmp_path):
    path = written(tmp_path / "pairs.txt", b"image+\x1b[2J" + b"x" * 10**6)
    with pytest.raises(SourceError) as raised:
        read_pairs(path)
    text = str(raised.value).removeprefix(str(path))
    assert len(text) < 400
    assert text.isprintable()


def test_a_huge_list_is_refused_after_its_first_bytes(tmp_path):
    path = tmp_path / "pairs.txt"
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse file, which would read as a terabyte
    with pytest.raises(SourceError, match="split it"):
        read_pairs(path)


def test_all_faults_of_a_list_are_available_with_their_lines(tmp_path):
    pairs, faults = listed_pairs(written(tmp_path / "pairs.txt", b"x\nimage+a.png+0.mp4\n" + b"y\n" * 20))
    assert [pair.line for pair in pairs] == [2]
    assert [number for number, _ in faults] == [1, *range(3, 23)]
