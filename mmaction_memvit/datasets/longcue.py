# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue: synthetic long videos that only a model with memory can answer.

A video is a row of clips. In one clip a large coloured sign, the *cue*, is
shown; 1 to ``max_delay`` clips later a question mark appears, and the label of
that clip is the cue. All other clips show distractors only.

Videos come in families of ``num_cues`` *twins*: the same scene, the same times
and places of cues and questions, but other cues. At every question the twins'
labels are all the labels, once each, so whatever a model reads from the
question's clip alone, its accuracy over a family is exactly chance.
"""
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple, Optional

import cv2
import numpy as np

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
_SHAPES = tuple(shape for _, shape, _ in CUES)
_BRIGHT = (244, 244, 240)
_DARK = (70, 70, 78)
_SPLITS = ('train', 'val', 'test')
# Orders of delays tried before one that fits for sure is taken.
_ORDERS = 200


@dataclass(frozen=True)
class LongCueSpec:
    """Everything that fixes the pixels of a LongCue set but its size.

    Args:
        num_cues (int): Number of classes, 2 to 8. Defaults to 4.
        max_delay (int): Longest distance from cue to question, in clips. Each
            of 1..max_delay occurs equally often in every video. Defaults to 8.
        clips_per_video (int): Clips in a video. At least
            ``max_delay * (max_delay + 3) / 2``, the length of one round of
            all delays; what is left over becomes blank clips.
            Defaults to 48.
        clip_len (int): Frames a model samples from a clip. Defaults to 4.
        frame_interval (int): Video frames from one sampled frame to the next.
            Defaults to 1.
        size (int): Height and width in pixels, a multiple of 32.
            Defaults to 64.
        fps (float, optional): Frames per second. Defaults to None, which
            makes a clip last one second.
        seed (int): Seed of everything random. Defaults to 0.
        separate (bool): Whether earlier cues lie more than ``max_delay``
            clips before a question, so that a model which looks back that far
            finds one cue. False also asks which of several came last.
            Defaults to True.

    Raises:
        ValueError: If an option is out of range.
    """
    num_cues: int = 4
    max_delay: int = 8
    clips_per_video: int = 48
    clip_len: int = 4
    frame_interval: int = 1
    size: int = 64
    fps: Optional[float] = None
    seed: int = 0
    separate: bool = True

    def __post_init__(self) -> None:
        if not 2 <= self.num_cues <= len(CUES):
            raise ValueError(f'num_cues={self.num_cues} must be between 2 and '
                             f'{len(CUES)}, the number of different signs')
        for name in ('max_delay', 'clip_len', 'frame_interval'):
            if getattr(self, name) < 1:
                raise ValueError(
                    f'{name}={getattr(self, name)} must be at least 1')
        if self.seed < 0:
            raise ValueError(f'seed={self.seed} must not be negative')
        if self.size < 32 or self.size % 32:
            raise ValueError(
                f'size={self.size} must be a multiple of 32 pixels, the total '
                f'stride of the model; take {max(32, self.size // 32 * 32)}')
        if self.fps is not None and not self.fps > 0:
            raise ValueError(f'fps={self.fps} must be greater than 0')
        if self.clips_per_video < self.round_clips:
            raise ValueError(
                f'clips_per_video={self.clips_per_video} is too short for one '
                f'question of every delay 1..{self.max_delay}, which takes '
                f'{self.round_clips} clips; raise it or lower max_delay')

    @property
    def round_clips(self) -> int:
        """int: Clips of one cue and question of every delay."""
        return self.max_delay * (self.max_delay + 3) // 2

    @property
    def questions_per_video(self) -> int:
        """int: Questions in a video, a multiple of ``max_delay``."""
        return self.clips_per_video // self.round_clips * self.max_delay

    @property
    def clip_frames(self) -> int:
        """int: Video frames a clip spans."""
        return self.clip_len * self.frame_interval

    @property
    def num_frames(self) -> int:
        """int: Frames of a video."""
        return self.clips_per_video * self.clip_frames

    @property
    def frame_rate(self) -> float:
        """float: Frames per second."""
        return float(self.fps or self.clip_frames)

    @property
    def clip_seconds(self) -> float:
        """float: Seconds a clip lasts."""
        return self.clip_frames / self.frame_rate

    @property
    def classes(self) -> tuple[str, ...]:
        """Tuple[str]: Names of the cues, in the order of the labels."""
        return tuple(f'{color} {shape}'
                     for color, shape, _ in CUES[:self.num_cues])

    def to_dict(self) -> dict[str, Any]:
        """Return the options as a dict that JSON can hold."""
        return asdict(self)


class Question(NamedTuple):
    """One cue and its question.

    Args:
        cue_clip (int): Number of the clip that shows the cue.
        clip (int): Number of the clip that asks for it.
        label (int): The cue.
    """
    cue_clip: int
    clip: int
    label: int

    @property
    def delay(self) -> int:
        """int: Clips from the cue to its question."""
        return self.clip - self.cue_clip


class VideoPlan(NamedTuple):
    """What happens in one video.

    Args:
        name (str): Path of the video under the data folder.
        scene (Tuple[int, ...]): Seeds of all that is drawn but the cues'
            identities; the same for all twins of a family.
        questions (Tuple[Question, ...]): Cues and questions in order of time.
            A new cue never comes before the last question was asked.
    """
    name: str
    scene: tuple[int, ...]
    questions: tuple[Question, ...]


def plan_videos(spec: LongCueSpec, split: str,
                num_videos: int) -> list[VideoPlan]:
    """Plan the videos of a split.

    The first videos do not depend on how many follow.

    Args:
        spec (LongCueSpec): The options of the set.
        split (str): 'train', 'val' or 'test'.
        num_videos (int): Number of videos, a multiple of ``spec.num_cues``.

    Returns:
        List[VideoPlan]: The plans. Twins follow one another.

    Raises:
        ValueError: If the split is unknown or the number of videos is not a
            positive multiple of the number of cues.
    """
    if split not in _SPLITS:
        raise ValueError(f'split={split!r} must be one of {_SPLITS}')
    num_cues = spec.num_cues
    if num_videos < 1 or num_videos % num_cues:
        raise ValueError(
            f'{num_videos} {split} videos must be a positive multiple of '
            f'num_cues={num_cues}, because videos come in families with every '
            f'cue once; take {max(1, -(-num_videos // num_cues)) * num_cues}')
    plans = []
    for family in range(num_videos // num_cues):
        scene = (spec.seed, _SPLITS.index(split), family)
        rng = np.random.default_rng((*scene, 0))
        times = _plan_times(spec, rng)
        labels = [rng.permutation(num_cues) for _ in times]
        for twin in range(num_cues):
            plans.append(
                VideoPlan(
                    name=f'{split}/longcue_{len(plans):05d}.mp4',
                    scene=scene,
                    questions=tuple(
                        Question(cue, ask, int(label[twin]))
                        for (cue, ask), label in zip(times, labels))))
    return plans


def _plan_times(spec: LongCueSpec,
                rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw the clips of the cues and of the questions of one family."""
    rounds = spec.questions_per_video // spec.max_delay
    spare = spec.clips_per_video - rounds * spec.round_clips
    for _ in range(_ORDERS):
        delays = np.concatenate(
            [1 + rng.permutation(spec.max_delay) for _ in range(rounds)])
        blanks = _needed_blanks(spec, delays)
        if blanks.sum() <= spare:
            break
    else:
        # Long and short delays in turn need no blanks.
        short = 1 + np.arange(spec.max_delay)
        order = np.stack((short[::-1], short), 1).ravel()[:spec.max_delay]
        delays = np.tile(order, rounds)
        blanks = _needed_blanks(spec, delays)
    blanks = blanks + rng.multinomial(
        spare - blanks.sum(), [1 / len(blanks)] * len(blanks))
    times, clip = [], 0
    for delay, blank in zip(delays.tolist(), blanks.tolist()):
        cue = clip + blank
        times.append((cue, cue + delay))
        clip = cue + delay + 1
    return times


def _needed_blanks(spec: LongCueSpec, delays: np.ndarray) -> np.ndarray:
    """Blank clips before each cue, and at the end, that ``separate`` takes."""
    blanks = np.zeros(len(delays) + 1, np.int64)
    if spec.separate:
        blanks[1:-1] = np.maximum(
            0, spec.max_delay - delays[:-1] - delays[1:])
    return blanks


def render_video(spec: LongCueSpec, plan: VideoPlan) -> np.ndarray:
    """Draw a video.

    Args:
        spec (LongCueSpec): The options of the set.
        plan (VideoPlan): What happens in the video.

    Returns:
        np.ndarray: RGB frames of shape (num_frames, size, size, 3), uint8.
        Twins are equal in all clips but those of the cues.
    """
    frames = _draw_scene(spec, plan.scene).copy()
    rng = np.random.default_rng((*plan.scene, 3))
    sign_size = _sign_size(spec)
    for question in plan.questions:
        for clip, sign in ((question.cue_clip, question.label),
                           (question.clip, -1)):
            top, left = rng.integers(0, spec.size - sign_size + 1, 2)
            first = clip * spec.clip_frames
            for frame in frames[first:first + spec.clip_frames]:
                _paste(frame, _sign(sign, sign_size), top, left)
    return frames


def _sign_size(spec: LongCueSpec) -> int:
    """Side of a sign in pixels: it covers about a third of the frame."""
    return round(0.6 * spec.size)


@lru_cache(maxsize=1)
def _draw_scene(spec: LongCueSpec, scene: tuple[int, ...]) -> np.ndarray:
    """Draw all but the signs. Kept, because the next video may be a twin."""
    frames = _draw_background(spec, np.random.default_rng((*scene, 1)))
    _draw_distractors(spec, frames, np.random.default_rng((*scene, 2)))
    return frames


def _draw_background(spec: LongCueSpec,
                     rng: np.random.Generator) -> np.ndarray:
    """Draw slowly moving waves of colour under a little noise."""
    waves, size = 6, spec.size
    # Angular speeds of at most a few waves per frame and of one wave in two
    # seconds: sin(space + time) is split into products, so that only the sum
    # over waves is as large as the video.
    wave_y, wave_x = rng.uniform(-2.5, 2.5, (2, waves)) * 2 * np.pi / size
    speed = rng.uniform(-0.5, 0.5, waves) * 2 * np.pi / spec.frame_rate
    phase = rng.uniform(0, 2 * np.pi, waves)
    color = rng.uniform(-12, 12, (waves, 3))
    y, x = np.mgrid[:size, :size]
    space = np.multiply.outer(wave_y, y) + np.multiply.outer(wave_x, x)
    time = np.multiply.outer(np.arange(spec.num_frames), speed) + phase
    basis = np.concatenate([np.sin(space), np.cos(space)])
    basis = basis[..., None] * np.tile(color, (2, 1))[:, None, None]
    weight = np.concatenate([np.cos(time), np.sin(time)], axis=1)
    weight = weight.astype(np.float32)
    basis = basis.reshape(2 * waves, -1).astype(np.float32)
    base = rng.uniform(110, 145, 3).astype(np.float32)
    video = np.empty((spec.num_frames, size, size, 3), np.uint8)
    # Clip by clip: floats of a whole video would be large.
    for first in range(0, spec.num_frames, spec.clip_frames):
        part = video[first:first + spec.clip_frames]
        # einsum without BLAS: one order of summation wherever it runs.
        frames = np.einsum('tw,wc->tc', weight[first:first + len(part)], basis)
        frames = frames.reshape(part.shape) + base
        # Grey noise: coloured noise would not survive a video file anyway.
        frames += rng.integers(-5, 6, (*part.shape[:3], 1), dtype=np.int8)
        part[...] = np.clip(np.rint(frames), 0, 255)
    return video


def _draw_distractors(spec: LongCueSpec, frames: np.ndarray,
                      rng: np.random.Generator) -> None:
    """Let small shapes in the colours of all cues fly through the video."""
    color_of = [color for _, _, color in CUES[:spec.num_cues]]
    second = spec.frame_rate
    for _ in range(rng.integers(4, 7)):
        side = int(rng.integers(spec.size // 8, spec.size // 5 + 1))
        room = spec.size - side
        place = rng.uniform(0, room, 2)
        speed = rng.uniform(-0.6, 0.6, 2) * spec.size / second
        # A new look about every four seconds, so that no shape is a landmark
        # by which a model could recognise a video.
        period = max(1, round(4 * second))
        looks = rng.integers(0, (len(_SHAPES), spec.num_cues),
                             (len(frames) // period + 2, 2))
        shift = int(rng.integers(0, period))
        for number, frame in enumerate(frames):
            # Reflected at the borders: a triangle wave of the straight path.
            path = np.mod(place + number * speed, 2 * room)
            top, left = np.rint(np.minimum(path, 2 * room - path)).astype(int)
            shape, color = looks[(number + shift) // period]
            _paste(frame, _shape(_SHAPES[shape], color_of[color], side), top,
                   left)


def _paste(frame: np.ndarray, picture: tuple[np.ndarray, np.ndarray],
           top: int, left: int) -> None:
    """Blend a picture and its opacity into a frame, in place."""
    color, opacity = picture
    height, width = opacity.shape[:2]
    part = frame[top:top + height, left:left + width]
    part[...] = np.rint(part + (color - part) * opacity)


@cache
def _sign(label: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a plate with a cue, or with a question mark for label -1."""
    if label < 0:
        shape, color, ground = 'question', _DARK, _BRIGHT
    else:
        _, shape, ground = CUES[label]
        color = _BRIGHT
    plate = np.empty((side, side, 3), np.float32)
    plate[...] = ground
    border = max(1, side // 18)
    cv2.rectangle(plate, (0, 0), (side - 1, side - 1), _BRIGHT, 3 * border)
    cv2.rectangle(plate, (0, 0), (side - 1, side - 1), _DARK, border)
    margin = side // 4 if label >= 0 else side // 7
    _paste(plate, _shape(shape, color, side - 2 * margin), margin, margin)
    return plate, np.ones((side, side, 1), np.float32)


@cache
def _shape(name: str, color: tuple[int, int, int],
           side: int) -> tuple[np.ndarray, np.ndarray]:
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


def segment_lines(spec: LongCueSpec,
                  plan: VideoPlan,
                  label_cues: bool = False) -> list[str]:
    """Write the labelled clips of a video as lines of a segment list.

    Args:
        spec (LongCueSpec): The options of the set.
        plan (VideoPlan): What happens in the video.
        label_cues (bool): Whether the clips that show a cue are labelled,
            too. Then a model learns what the signs are directly, and only
            their recall from the questions. Defaults to False.

    Returns:
        list[str]: ``path start end label``, a line a labelled clip in order
        of time, seconds from the start of the clip to its end.
    """
    labels = {}
    for question in plan.questions:
        if label_cues:
            labels[question.cue_clip] = question.label
        labels[question.clip] = question.label
    seconds = spec.clip_seconds
    return [
        f'{plan.name} {clip * seconds:.6f} {(clip + 1) * seconds:.6f} {label}'
        for clip, label in labels.items()
    ]


def question_table(plans: list[VideoPlan]) -> list[dict[str, Any]]:
    """List the questions of planned videos.

    Args:
        plans (List[VideoPlan]): The videos.

    Returns:
        List[dict]: A dict a question with keys ``video``, ``clip``,
        ``delay``, ``label`` and ``cue_clip``, as in ``longcue_meta.json``.
    """
    return [
        {
            'video': plan.name,
            'clip': question.clip,
            'delay': question.delay,
            'label': question.label,
            'cue_clip': question.cue_clip
        } for plan in plans for question in plan.questions
    ]


def clip_captions(questions: list[dict[str, Any]], video: str,
                  classes: tuple[str, ...]) -> dict[int, str]:
    """Say what is shown in the clips of a video.

    Args:
        questions (List[dict]): Questions as made by :func:`question_table`.
        video (str): Name of the video.
        classes (Tuple[str]): Names of the labels.

    Returns:
        Dict[int, str]: Caption by clip number; clips with distractors only
        are left out.
    """
    captions = {}
    for question in questions:
        if question['video'] == video:
            captions[question['cue_clip']] = (
                f'cue: {classes[question["label"]]}')
            captions[question['clip']] = f'? (delay {question["delay"]})'
    return captions
