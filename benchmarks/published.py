"""A plain implementation of the published pipeline: cv2.VideoCapture and cv2.imread, BGR, three channels
throughout, float64, Python's random. Shares no code with the package.

The baseline of the benchmarks, and the reference of the tests of recipe="reference" and the random walk. The published
limit of 1920 px is the plan's `max_size`, so that small pictures can exceed it.
"""

import math
import random
from collections.abc import Iterator

import cv2
import numpy as np

from dvm_hf.clips.plan import ClipPlan


def published_frames(plan: ClipPlan) -> Iterator[tuple[np.ndarray, ...]]:
    """v, a, f, b of each frame, BGR."""
    rng, limit, moving = random.Random(plan.seed), plan.rendering.max_size, plan.foreground.kind == "video"
    background = cv2.VideoCapture(str(plan.background.path))
    bw0, bh0 = int(background.get(cv2.CAP_PROP_FRAME_WIDTH)), int(background.get(cv2.CAP_PROP_FRAME_HEIGHT))
    n = min(int(background.get(cv2.CAP_PROP_FRAME_COUNT)), plan.max_frames)
    if moving:
        videos = [cv2.VideoCapture(str(path)) for path in (plan.foreground.colour, plan.foreground.alpha)]
        fw0, fh0 = (int(videos[0].get(which)) for which in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        n = min(n, int(videos[0].get(cv2.CAP_PROP_FRAME_COUNT)))
    else:
        still = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in (plan.foreground.colour, plan.foreground.alpha)]
        fh0, fw0 = still[0].shape[:2]
    fr = min(limit / fw0, limit / fh0)
    fw, fh = (int(fw0 * fr), int(fh0 * fr)) if fr < 1 else (fw0, fh0)
    br = max(fw / bw0, fh / bh0)
    bw, bh = (int(bw0 * br), int(bh0 * br)) if br > 1 else (bw0, bh0)
    kw = int(min(int(fw * 1.2), bw, limit, fw * 2))
    x0 = rng.randint(0, bw - kw)
    kh = int(min(int(fh * 1.2), bh, limit, fh * 2))
    y0 = rng.randint(0, bh - kh)
    walk = published_walk(rng, kh, kw)
    if not moving and fr < 1:
        still = [cv2.resize(part, (fw, fh), interpolation=cv2.INTER_CUBIC) for part in still]
    for _ in range(n):
        b = background.read()[1]
        if br > 1:
            b = cv2.resize(b, (bw, bh), interpolation=cv2.INTER_LINEAR)
        b = b[y0 : y0 + kh, x0 : x0 + kw]
        if plan.rendering.background_blur:
            b = cv2.GaussianBlur(b, (9, 9), 0)
        if moving:
            f, a = (video.read()[1] for video in videos)
            if fr < 1:
                f, a = (cv2.resize(part, (fw, fh), interpolation=cv2.INTER_CUBIC) for part in (f, a))
            r, c = kh // 2, kw // 2
        else:
            row, column, angle, zoom = next(walk)
            r, c = int(row), int(column)
            f, a = (published_zoom(published_rotation(part, angle), zoom) for part in still)
        yield published_paste(f, a, b, r, c)


def published_walk(rng: random.Random, kh: int, kw: int) -> Iterator[tuple[float, float, float, float]]:
    """Yield row, column, angle, zoom of each frame, without end; the position is not yet truncated to integers."""

    def draws() -> tuple[list[float], float, float]:
        direction = rng.random() * 2 * math.pi
        speed = rng.uniform(0.5, 2)
        v = [math.cos(direction) * speed, math.sin(direction) * speed]
        return v, rng.uniform(-1, 1), rng.uniform(-0.015, 0.015)

    row, column = (int(kh * 0.05) + int(kh * 0.95)) // 2, (int(kw * 0.05) + int(kw * 0.95)) // 2
    angle, zoom, count = 0, 0.9, 1
    v, angular, growth = draws()
    while True:
        row += v[0]
        column += v[1]
        if row < int(kh * 0.05) or row > int(kh * 0.95):
            v[0] = -v[0]
            row += v[0]
        if column < int(kw * 0.05) or column > int(kw * 0.95):
            v[1] = -v[1]
            column += v[1]
        if angle < -60 or angle > 60:
            angular = -angular
            angle += angular
        zoom = min(max(zoom, 0.9), 1.1)
        angle += angular
        zoom += growth
        count += 1
        if count % 20 == 0:
            v, angular, growth = draws()
        yield row, column, angle, zoom


def published_rotation(image: np.ndarray, angle: float) -> np.ndarray:
    h, w = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), -angle, 1.0)
    cos, sin = np.abs(matrix[0, 0]), np.abs(matrix[0, 1])
    new_w, new_h = int(h * sin + w * cos), int(h * cos + w * sin)
    matrix[0, 2] += new_w / 2 - w / 2
    matrix[1, 2] += new_h / 2 - h / 2
    return cv2.warpAffine(image, matrix, (new_w, new_h))


def published_zoom(image: np.ndarray, zoom: float) -> np.ndarray:
    h, w = image.shape[:2]
    new_h, new_w = int(h * zoom), int(w * zoom)
    y1, x1 = max(0, new_h - h) // 2, max(0, new_w - w) // 2
    y2, x2 = y1 + h, x1 + w
    y1, x1, y2, x2 = (int(edge / zoom) for edge in (y1, x1, y2, x2))
    part = cv2.resize(image[y1:y2, x1:x2], (min(new_w, w), min(new_h, h)))
    above, before = (h - part.shape[0]) // 2, (w - part.shape[1]) // 2
    below, after = h - part.shape[0] - above, w - part.shape[1] - before
    return cv2.copyMakeBorder(part, above, below, before, after, cv2.BORDER_CONSTANT, value=(0, 0, 0))


def published_paste(f: np.ndarray, a: np.ndarray, b: np.ndarray, r: int, c: int) -> tuple[np.ndarray, ...]:
    kh, kw = b.shape[:2]
    h, w = f.shape[:2]
    rows = slice(max(r - h // 2, 0), min(r + h // 2, kh))
    columns = slice(max(c - w // 2, 0), min(c + w // 2, kw))
    top, left = max(h // 2 - r, 0), max(w // 2 - c, 0)
    part = np.s_[top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]
    colour, alpha = np.zeros_like(b), np.zeros_like(b)
    colour[rows, columns], alpha[rows, columns] = f[part], a[part]
    weight = alpha / 255.0
    composite = (b * (1 - weight) + colour * weight).astype(np.uint8)
    return composite, alpha, (colour * weight).astype(np.uint8), b
