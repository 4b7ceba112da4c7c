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
from typing import Any, NamedTuple, Optional

import numpy as np

from .drawing import (
    CUES,
    Scene,
    check_picture,
    draw_scene,
    draw_sign,
    paste,
    sign_size,
)
from .twins import families

SPLITS = ('train', 'val', 'test')

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
        check_picture(self.size, self.seed)
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
    def gop_size(self) -> int:
        """int: Frames between key frames of the file: every clip begins so."""
        return self.clip_frames

    @property
    def scene(self) -> Scene:
        """Scene: What is drawn behind the signs."""
        return Scene(self.num_frames, self.clip_frames, self.frame_rate,
                     self.size, self.num_cues)

    @property
    def classes(self) -> tuple[str, ...]:
        """Tuple[str]: Names of the cues, in the order of the labels."""
        return tuple(f'{color} {shape}'
                     for color, shape, _ in CUES[:self.num_cues])

    def to_dict(self) -> dict[str, Any]:
        """Return the options as a dict that JSON can hold."""
        return asdict(self)

    def plan_family(self, rng: np.random.Generator
                    ) -> list[tuple[int, int, int]]:
        """Draw question clip, person (0) and cue clip of all questions."""
        return [(ask, 0, cue) for cue, ask in plan_times(self, rng)]

    @staticmethod
    def video_name(split: str, number: int) -> str:
        """Path of a video under the data folder."""
        return f'{split}/longcue_{number:05d}.mp4'


class Question(NamedTuple):
    """One cue and its question.

    Args:
        cue_clip (int): Number of the clip that shows the cue.
        clip (int): Number of the clip that asks for it.
        label (int): The cue, 0 to num_cues - 1.
        person (int): Number of the person who shows it, with boxes. Defaults
            to 0.
    """
    cue_clip: int
    clip: int
    label: int
    person: int = 0

    @property
    def delay(self) -> int:
        """int: Clips from the cue to its question."""
        return self.clip - self.cue_clip


class VideoPlan(NamedTuple):
    """What happens in one video.

    Args:
        name (str): Path of the video under the data folder; with boxes its
            name, without suffix.
        scene (Tuple[int, ...]): Seeds of all that is drawn but the cues'
            identities; the same for all twins of a family.
        questions (Tuple[Question, ...]): In order of time. A person shows no
            new cue before the last one was asked for.
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
    num_cues, plans = spec.num_cues, []
    for _, scene, rng in families(split, SPLITS, num_videos, num_cues,
                                  spec.seed):
        times = spec.plan_family(rng)
        labels = [rng.permutation(num_cues) for _ in times]
        for twin in range(num_cues):
            plans.append(
                VideoPlan(
                    name=spec.video_name(split, len(plans)), scene=scene,
                    questions=tuple(
                        Question(cue, ask, int(label[twin]), person)
                        for (ask, person, cue), label in zip(times, labels))))
    return plans


def plan_times(spec: LongCueSpec,
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
        blanks[1:-1] = np.maximum(0, spec.max_delay - delays[:-1] - delays[1:])
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
    frames = draw_scene(spec.scene, plan.scene).copy()
    rng = np.random.default_rng((*plan.scene, 3))
    side = sign_size(spec.size)
    for question in plan.questions:
        for clip, label in ((question.cue_clip, question.label),
                            (question.clip, -1)):
            top, left = rng.integers(0, spec.size - side + 1, 2)
            first = clip * spec.clip_frames
            for frame in frames[first:first + spec.clip_frames]:
                paste(frame, draw_sign(label, side), top, left)
    return frames


def segment_lines(spec: LongCueSpec, plan: VideoPlan,
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
        for clip, label in labels.items()]


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
        } for plan in plans for question in plan.questions]


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
