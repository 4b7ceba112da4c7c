# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What generated videos look like: scenes, and signs that appear in them."""
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import cv2
import numpy as np

# Colours (H, W, 3) or one colour (3, ), and opacities (H, W, 1) from 0 to 1.
Picture = tuple[np.ndarray, np.ndarray]

#: Shape and RGB colour of every cue, in the order of the labels.
CUES: tuple[tuple[str, str, tuple[int, int, int]], ...] = (
    ('red', 'disk', (214, 34, 40)),
    ('green', 'triangle', (28, 150, 60)),
    ('blue', 'square', (36, 72, 214)),
    ('yellow', 'cross', (228, 190, 18)),
    ('magenta', 'ring', (206, 40, 190)),
    ('cyan', 'diamond', (24, 176, 200)),
    ('orange', 'hourglass', (236, 120, 16)),
    ('black', 'bars', (24, 24, 28)),
)
SHAPES = tuple(shape for _, shape, _ in CUES)
BRIGHT = (244, 244, 240)
DARK = (70, 70, 78)

class Scene(NamedTuple):
    """Sizes of what is drawn behind the signs, in frames and pixels.

    ``clip_frames`` are drawn at a time; distractors have the colours of the
    first ``num_colors`` cues.
    """
    num_frames: int
    clip_frames: int
    frame_rate: float
    size: int
    num_colors: int


def check_picture(size: int, seed: int) -> None:
    """Raise a ValueError if nothing can be drawn of this size and seed."""
    if seed < 0:
        raise ValueError(f'seed={seed} must not be negative')
    if size < 32 or size % 32:
        raise ValueError(
            f'size={size} must be a multiple of 32 pixels, the total stride '
            f'of the model; take {max(32, size // 32 * 32)}')


def sign_size(size: int) -> int:
    """Side of a sign in frames of ``size``: it covers a third of them."""
    return round(0.6 * size)


@lru_cache(maxsize=1)
def draw_scene(scene: Scene, seeds: tuple[int, ...]) -> np.ndarray:
    """Draw background and distractors, of which any sign may be a part.

    Kept, because the next video may be a twin: copy it to draw on it. RGB,
    uint8 (num_frames, size, size, 3); ``seeds`` tell this scene from others.
    """
    frames = draw_background(scene, np.random.default_rng((*seeds, 1)))
    _draw_distractors(scene, frames, np.random.default_rng((*seeds, 2)))
    return frames


def draw_background(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Draw slowly moving waves of colour under a little noise."""
    waves, size = 6, scene.size
    # Angular speeds of at most a few waves per frame and of one wave in two
    # seconds: sin(space + time) is split into products, so that only the sum
    # over waves is as large as the video.
    wave_y, wave_x = rng.uniform(-2.5, 2.5, (2, waves)) * 2 * np.pi / size
    speed = rng.uniform(-0.5, 0.5, waves) * 2 * np.pi / scene.frame_rate
    phase = rng.uniform(0, 2 * np.pi, waves)
    color = rng.uniform(-12, 12, (waves, 3))
    y, x = np.mgrid[:size, :size]
    space = np.multiply.outer(wave_y, y) + np.multiply.outer(wave_x, x)
    time = np.multiply.outer(np.arange(scene.num_frames), speed) + phase
    basis = np.concatenate([np.sin(space), np.cos(space)])
    basis = basis[..., None] * np.tile(color, (2, 1))[:, None, None]
    weight = np.concatenate([np.cos(time), np.sin(time)], axis=1)
    weight = weight.astype(np.float32)
    basis = basis.reshape(2 * waves, -1).astype(np.float32)
    base = rng.uniform(110, 145, 3).astype(np.float32)
    video = np.empty((scene.num_frames, size, size, 3), np.uint8)
    # Clip by clip: floats of a whole video would be large.
    for first in range(0, scene.num_frames, scene.clip_frames):
        part = video[first:first + scene.clip_frames]
        # einsum without BLAS: one order of summation wherever it runs.
        frames = np.einsum('tw,wc->tc', weight[first:first + len(part)], basis)
        frames = frames.reshape(part.shape) + base
        # Grey noise: coloured noise would not survive a video file anyway.
        frames += rng.integers(-5, 6, (*part.shape[:3], 1), dtype=np.int8)
        part[...] = np.clip(np.rint(frames), 0, 255)
    return video


def _draw_distractors(scene: Scene, frames: np.ndarray,
                      rng: np.random.Generator) -> None:
    """Let small shapes in the colours of all cues fly through the video."""
    color_of = [color for _, _, color in CUES[:scene.num_colors]]
    second = scene.frame_rate
    for _ in range(rng.integers(4, 7)):
        side = int(rng.integers(scene.size // 8, scene.size // 5 + 1))
        room = scene.size - side
        place = rng.uniform(0, room, 2)
        speed = rng.uniform(-0.6, 0.6, 2) * scene.size / second
        # A new look about every four seconds, so that no shape is a landmark
        # by which a model could recognise a video.
        period = max(1, round(4 * second))
        looks = rng.integers(0, (len(SHAPES), scene.num_colors),
                             (len(frames) // period + 2, 2))
        shift = int(rng.integers(0, period))
        for number, frame in enumerate(frames):
            # Reflected at the borders: a triangle wave of the straight path.
            path = np.mod(place + number * speed, 2 * room)
            top, left = np.rint(np.minimum(path, 2 * room - path)).astype(int)
            shape, color = looks[(number + shift) // period]
            picture = draw_shape(SHAPES[shape], color_of[color], side)
            paste(frame, picture, top, left)


def paste(frame: np.ndarray, picture: Picture, top: int, left: int) -> None:
    """Blend a picture and its opacity into a frame, in place."""
    color, opacity = picture
    height, width = opacity.shape[:2]
    part = frame[top:top + height, left:left + width]
    part[...] = np.rint(part + (color - part) * opacity)


@cache
def draw_sign(label: int, side: int) -> Picture:
    """Draw a plate with a cue, or with a question mark for label -1."""
    if label < 0:
        shape, color, ground = 'question', DARK, BRIGHT
    else:
        _, shape, ground = CUES[label]
        color = BRIGHT
    plate = np.empty((side, side, 3), np.float32)
    plate[...] = ground
    border = max(1, side // 18)
    cv2.rectangle(plate, (0, 0), (side - 1, side - 1), BRIGHT, 3 * border)
    cv2.rectangle(plate, (0, 0), (side - 1, side - 1), DARK, border)
    margin = side // 4 if label >= 0 else side // 7
    paste(plate, draw_shape(shape, color, side - 2 * margin), margin, margin)
    return plate, np.ones((side, side, 1), np.float32)


@cache
def draw_shape(name: str, color: tuple[int, int, int], side: int) -> Picture:
    """Draw a shape of one colour, smooth at its edges."""
    big = 16 * 12
    mask = np.zeros((big, big), np.uint8)

    def polygon(*points: tuple[float, float]) -> None:
        cv2.fillPoly(mask, [np.rint(np.array(points) * (big - 1)).astype(int)],
                     255)

    def circle(x: float, y: float, radius: float, width: float = 0) -> None:
        cv2.circle(mask, (round(x * big), round(y * big)),
                   round((radius - width / 2) * big), 255,
                   round(width * big) or -1)

    if name == 'disk':
        circle(.5, .5, .48)
    elif name == 'triangle':
        polygon((.5, .02), (1, .95), (0, .95))
    elif name == 'square':
        polygon((.05, .05), (.95, .05), (.95, .95), (.05, .95))
    elif name == 'cross':
        polygon((.34, 0), (.66, 0), (.66, 1), (.34, 1))
        polygon((0, .34), (1, .34), (1, .66), (0, .66))
    elif name == 'ring':
        circle(.5, .5, .48, .2)
    elif name == 'diamond':
        polygon((.5, 0), (1, .5), (.5, 1), (0, .5))
    elif name == 'hourglass':
        polygon((0, 0), (1, 0), (0, 1), (1, 1))
    elif name == 'bars':
        for left in (0, .38, .76):
            polygon((left, 0), (left + .24, 0), (left + .24, 1), (left, 1))
    elif name == 'question':
        cv2.ellipse(mask, (round(.5 * big), round(.3 * big)),
                    (round(.24 * big), round(.22 * big)), 0, -190, 60, 255,
                    round(.15 * big))
        polygon((.425, .48), (.6, .46), (.575, .7), (.425, .7))
        circle(.5, .88, .1)
    else:
        raise ValueError(f'unknown shape {name!r}')
    opacity = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)
    return (np.asarray(color, np.float32),
            opacity.astype(np.float32)[..., None] / 255)


def draw_dots(number: int, ground: Sequence[float], dark_dots: bool,
              side: int) -> Picture:
    """Draw a dark-framed plate with up to five dots."""
    plate = np.empty((side, side, 3), np.float32)
    plate[...] = ground
    border = max(1, side // 12)
    plate[:border] = plate[-border:] = DARK
    plate[:, :border] = plate[:, -border:] = DARK
    dot = side // 4
    near, far = side // 6, side - side // 6 - dot
    middle = (side - dot) // 2
    places = ((near, near), (far, far), (near, far), (far, near),
              (middle, middle))
    color = DARK if dark_dots else BRIGHT
    for top, left in places[:number]:
        paste(plate, draw_shape('disk', color, dot), top, left)
    return plate, np.ones((side, side, 1), np.float32)
