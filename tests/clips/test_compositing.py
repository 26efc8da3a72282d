"""The composite against the same equation in integers."""

import multiprocessing
import threading

import cv2
import numpy as np
import pytest

from dvm_hf.clips.compositing import composite_over
from dvm_hf.clips.opencv_threads import one_opencv_thread


def composite(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    result = background.copy()
    composite_over(result, foreground, alpha)
    return result


def rounded_composite(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(a * F + (255 - a) * B) / 255, rounded to nearest; 255 is odd, so there are no ties."""
    a = alpha.astype(np.int32)[..., None]
    total = a * foreground.astype(np.int32) + (255 - a) * background.astype(np.int32)
    return (2 * total + 255) // 510


def test_every_value_is_rounded_to_the_nearest_level():
    levels = np.arange(256, dtype=np.uint8)
    ones = np.ones((256, 256), np.uint8)
    f, b = ones * levels[:, None], ones * levels  # every F over every B
    foreground, background = np.dstack([f, 255 - f, f]), np.dstack([b, b, 255 - b])
    for level in levels:
        alpha = np.full((256, 256), level, np.uint8)
        expected = rounded_composite(foreground, alpha, background)
        assert np.array_equal(composite(foreground, alpha, background), expected), level


@pytest.mark.parametrize(
    ("f", "a", "b", "expected"),
    [
        (255, 128, 0, 128),  # 128.0
        (200, 51, 100, 120),  # 0.2 * 200 + 0.8 * 100
        (10, 100, 11, 11),  # 10.608: truncated, it would be 10
        (0, 254, 255, 1),  # 255 / 255
        (7, 77, 7, 7),  # a single colour does not change
    ],
)
def test_values_worked_by_hand(f, a, b, expected):
    pixel = composite(np.full((1, 1, 3), f, np.uint8), np.full((1, 1), a, np.uint8), np.full((1, 1, 3), b, np.uint8))
    assert pixel.tolist() == [[[expected] * 3]]


def random_layers(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(height * 1000 + width)
    foreground, background = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    return foreground, rng.integers(0, 256, (height, width), dtype=np.uint8), background


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (53, 1), (31, 47), (128, 129)])
def test_each_pixel_is_weighted_by_its_alpha(size):
    foreground, alpha, background = random_layers(*size)
    result = composite(foreground, alpha, background)
    assert result.dtype == np.uint8
    assert np.array_equal(result, rounded_composite(foreground, alpha, background))


@pytest.mark.parametrize("size", [(127, 300), (127, 400), (256, 128), (260, 391)])
def test_large_opaque_and_transparent_regions_are_composited_exactly(size):
    foreground, alpha, background = random_layers(*size)
    rows, columns = np.ogrid[: size[0], : size[1]]
    alpha[(rows + columns < 250) | (columns > 255)] = 255
    alpha[(rows > 130) & (columns < 128)] = 0
    alpha[100:110, 290:299] = 254  # a few pixels that are not certain in the middle of those that are
    alpha[200:201, 100:101] = 1
    assert np.array_equal(composite(foreground, alpha, background), rounded_composite(foreground, alpha, background))


def test_a_view_is_composited_like_the_full_array():
    foreground, alpha, background = random_layers(200, 310)
    region = np.s_[37:180, 93:301]
    expected = background.copy()
    expected[region] = composite(foreground, alpha, background)[region]
    composite_over(background[region], foreground[region], alpha[region])  # a view: the rest of it must stay
    assert np.array_equal(background, expected)


def test_an_empty_region_is_unchanged():
    foreground, alpha, background = random_layers(20, 30)
    before = background.copy()
    composite_over(background[5:5], foreground[5:5], alpha[5:5])
    assert np.array_equal(background, before)


def test_alpha_zero_leaves_the_background():
    foreground, alpha, background = random_layers(20, 30)
    assert np.array_equal(composite(foreground, np.zeros_like(alpha), background), background)


def test_alpha_255_leaves_the_foreground():
    foreground, alpha, background = random_layers(20, 30)
    assert np.array_equal(composite(foreground, np.full_like(alpha, 255), background), foreground)


def test_equal_colours_give_that_colour_under_any_alpha():
    foreground, alpha, _ = random_layers(64, 64)
    assert np.array_equal(composite(foreground, alpha, foreground), foreground)


def test_foreground_and_alpha_are_unchanged():
    foreground, alpha, background = random_layers(20, 30)
    before = foreground.copy(), alpha.copy()
    composite_over(background, foreground, alpha)
    assert np.array_equal(foreground, before[0])
    assert np.array_equal(alpha, before[1])


def test_opencv_uses_one_thread_inside_and_the_previous_number_afterwards() -> None:
    before = cv2.getNumThreads()
    try:
        for threads in (3, 2):
            cv2.setNumThreads(threads)
            with one_opencv_thread():
                inside = cv2.getNumThreads()
            assert (inside, cv2.getNumThreads()) == (1, threads)
    finally:
        cv2.setNumThreads(before)


def test_opencv_threads_are_restored_after_the_last_user():
    before, both_inside, first_is_out = cv2.getNumThreads(), threading.Barrier(2), threading.Event()
    cv2.setNumThreads(3)
    found = []

    def enter_and_leave_last() -> None:
        with one_opencv_thread():
            both_inside.wait(10)
            first_is_out.wait(10)
            found.append(cv2.getNumThreads())

    other = threading.Thread(target=enter_and_leave_last)
    try:
        other.start()
        with one_opencv_thread():
            both_inside.wait(10)
        first_is_out.set()
        other.join(10)
        assert [*found, cv2.getNumThreads()] == [1, 3]
    finally:
        cv2.setNumThreads(before)


def enlarge(size: int) -> None:
    """Work on one thread, and work that OpenCV distributes over its threads."""
    for _ in range(2):
        with one_opencv_thread():
            cv2.resize(np.zeros((size, size, 3), np.uint8), (2 * size, 2 * size), interpolation=cv2.INTER_CUBIC)
        cv2.resize(np.zeros((size, size, 3), np.uint8), (2 * size, 2 * size), interpolation=cv2.INTER_CUBIC)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_opencv_threads_of_its_parent() -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        enlarge(1000)
        child = multiprocessing.get_context("fork").Process(target=enlarge, args=(1000,))
        child.start()
        child.join(30)
        has_ended = child.exitcode == 0
        child.kill()
    finally:
        cv2.setNumThreads(threads)
    assert has_ended
