# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue with boxes: two persons, each with a past of its own.

Two person-like shapes, one with a light and one with a dark body, stay on
screen and change places. In one clip a person shows a sign, the *cue*, on its
chest; 1 to ``max_delay`` clips later it shows a question mark, and its action
in that clip is the sign. Both persons do so independently of one another, so
a model must remember who showed what.

As in LongCue, videos come in families of ``num_cues`` twins that differ in
nothing but the signs, so that a model without memory is right exactly as
often as one that guesses.

Time: a clip has one keyframe, its middle frame. The keyframe of clip ``c``
(0, 1, ...) has the timestamp ``c + 1`` and is frame ``(c + 1) * clip_frames``
of the video, which therefore begins with half a clip in which nothing
happens. A clip of ``clip_len`` frames around the keyframe is then exactly
clip ``c``.
"""
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import gcd
from typing import Any

import cv2
import numpy as np

from .drawing import Picture, draw_background, draw_sign, paste
from .longcue import LongCueSpec, VideoPlan, plan_times

#: Names and RGB body colours of the persons.
PERSONS: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ('light', (226, 222, 212)), ('dark', (44, 42, 52)))
# No sign on the chest; -1 is the question mark, 0, 1, ... are the cues.
_NOTHING = -2
# Times of the second person tried before those of the first are taken.
_TRIES = 500


@dataclass(frozen=True)
class LongCueBoxesSpec(LongCueSpec):
    """Everything that fixes the pixels of a set with boxes but its size.

    As :class:`LongCueSpec`, with 40 clips, that is keyframes, a video and
    delays up to 6 by default. Every delay occurs equally often for every
    person, and ``separate`` is about the cues of the same person. ``fps`` has
    to be a whole multiple of ``clip_len * frame_interval``.
    """
    max_delay: int = 6
    clips_per_video: int = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fps is not None and self.fps % self.clip_frames:
            raise ValueError(
                f'fps={self.fps} must be a multiple of clip_len * '
                f'frame_interval = {self.clip_frames}, so that keyframes come '
                'a whole number of times a second; leave it out for one a '
                'second')

    @property
    def half_clip(self) -> int:
        """int: Frames of a clip before its keyframe."""
        return self.clip_len // 2 * self.frame_interval

    @property
    def lead_frames(self) -> int:
        """int: Frames of a video before its first clip."""
        return self.clip_frames - self.half_clip

    @property
    def num_frames(self) -> int:
        """int: Frames of a video."""
        return self.lead_frames + self.clips_per_video * self.clip_frames

    @property
    def keyframe_rate(self) -> int:
        """int: Keyframes per second of video."""
        return round(self.frame_rate / self.clip_frames)

    @property
    def gop_size(self) -> int:
        """int: Frames between key frames of the file: every clip begins so."""
        return gcd(self.clip_frames, self.lead_frames)

    @property
    def classes(self) -> tuple[str, ...]:
        """Tuple[str]: Names of the actions with ids 1, 2, ..."""
        return tuple(f'{name} sign' for name in super().classes)

    def plan_family(self, rng: np.random.Generator
                    ) -> list[tuple[int, int, int]]:
        """Draw question clip, person and cue clip of all questions.

        While one person is asked the other shows no cue: a detector rightly
        names the sign that it sees, and where only questions are annotated
        that would count against it.
        """
        first = plan_times(self, rng)
        cues, asks = ({pair[k] for pair in first} for k in (0, 1))
        for _ in range(_TRIES):
            second = plan_times(self, rng)
            if not any(cue in asks or ask in cues for cue, ask in second):
                break
        else:
            second = first
        return sorted((ask, person, cue) for person, pairs in enumerate(
            (first, second)) for cue, ask in pairs)

    @staticmethod
    def video_name(split: str, number: int) -> str:
        """Name of a video, without suffix."""
        return f'{split}_{number:05d}'

    @property
    def person_size(self) -> tuple[int, int]:
        """Tuple[int, int]: Width and height of a person in pixels."""
        return round(0.42 * self.size), round(0.8 * self.size)


def person_boxes(spec: LongCueBoxesSpec, plan: VideoPlan) -> np.ndarray:
    """Tell where the persons are.

    In every clip the sides are drawn anew and both persons walk a little way,
    so that a place tells nothing about who stands there.

    Args:
        spec (LongCueBoxesSpec): The options of the set.
        plan (VideoPlan): What happens in the video.

    Returns:
        np.ndarray: Boxes (x1, y1, x2, y2) in pixels of shape
        (num_frames, 2, 4), int64. x2 and y2 are the first column and row
        beyond the person.
    """
    rng = np.random.default_rng((*plan.scene, 2))
    clips = spec.clips_per_video
    sides = rng.integers(0, 2, clips)
    sides = np.stack([sides, 1 - sides], axis=1)
    width, height = spec.person_size
    room = np.array([spec.size // 2 - width, spec.size - height])
    # From one point of the free room to another, in the time of a clip.
    ends = rng.uniform(0, 1, (2, clips, 2, 2)) * room
    ends[..., 0] += sides * (spec.size // 2)
    share = np.linspace(0, 1, spec.clip_frames)[:, None, None]
    path = ends[0][:, None] * (1 - share) + ends[1][:, None] * share
    path = path.reshape(-1, 2, 2)
    # Before the first clip they wait where it begins.
    path = np.concatenate([path[:1].repeat(spec.lead_frames, 0), path])
    corner = np.rint(path).astype(np.int64)
    return np.concatenate([corner, corner + (width, height)], axis=-1)


def keyframe_boxes(spec: LongCueBoxesSpec, plan: VideoPlan) -> np.ndarray:
    """Tell where the persons are at the keyframes.

    Args:
        spec (LongCueBoxesSpec): The options of the set.
        plan (VideoPlan): What happens in the video.

    Returns:
        np.ndarray: Boxes (x1, y1, x2, y2) as shares of the frame, of shape
        (clips_per_video, 2, 4), float64.
    """
    frames = (1 + np.arange(spec.clips_per_video)) * spec.clip_frames
    return person_boxes(spec, plan)[frames] / spec.size


def render_box_video(spec: LongCueBoxesSpec, plan: VideoPlan) -> np.ndarray:
    """Draw a video.

    Args:
        spec (LongCueBoxesSpec): The options of the set.
        plan (VideoPlan): What happens in the video.

    Returns:
        np.ndarray: RGB frames of shape (num_frames, size, size, 3), uint8.
        Twins are equal in all clips but those of the cues.
    """
    frames = draw_background(spec.scene,
                             np.random.default_rng((*plan.scene, 1)))
    shown = np.full((spec.clips_per_video, len(PERSONS)), _NOTHING)
    for question in plan.questions:
        shown[question.cue_clip, question.person] = question.label
        shown[question.clip, question.person] = -1
    boxes = person_boxes(spec, plan)
    for number, (frame, places) in enumerate(zip(frames, boxes)):
        clip = (number - spec.lead_frames) // spec.clip_frames
        for person, (left, top, _, _) in enumerate(places):
            sign = _NOTHING if clip < 0 else int(shown[clip, person])
            paste(frame, _person(person, sign, *spec.person_size), top, left)
    return frames


@cache
def _person(person: int, sign: int, width: int, height: int) -> Picture:
    """Draw a person that fills its box, with a sign on its chest."""
    big, body = 8, PERSONS[person][1]
    mask = np.zeros((height * big, width * big), np.uint8)

    def x(share: float) -> int:
        return round(share * (width * big - 1))

    def y(share: float) -> int:
        return round(share * (height * big - 1))

    head = y(.12)
    cv2.circle(mask, (x(.5), head), head, 255, -1)
    # Shoulders as wide as the box; legs down to its lower edge.
    cv2.rectangle(mask, (x(0), y(.24)), (x(1), y(.72)), 255, -1)
    for left, right in ((.12, .42), (.58, .88)):
        cv2.rectangle(mask, (x(left), y(.7)), (x(right), y(1)), 255, -1)
    opacity = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    opacity = opacity.astype(np.float32)[..., None] / 255
    color = np.empty((height, width, 3), np.float32)
    color[...] = body
    if sign != _NOTHING:
        side = min(round(.76 * width), round(.44 * height))
        top = round(.48 * height - side / 2)
        paste(color, draw_sign(sign, side), top, (width - side) // 2)
    return color, opacity


def annotation_rows(spec: LongCueBoxesSpec, plan: VideoPlan,
                    label_cues: bool = False) -> list[str]:
    """Write the labelled boxes of a video as lines of an AVA table.

    Args:
        spec (LongCueBoxesSpec): The options of the set.
        plan (VideoPlan): What happens in the video.
        label_cues (bool): Whether the boxes that show a cue are labelled,
            too. Defaults to False: questions only, where without memory
            every action is equally likely.

    Returns:
        list[str]: ``video,timestamp,x1,y1,x2,y2,action,person`` in order of
        time; actions count from 1, boxes are shares of the frame.
    """
    boxes = keyframe_boxes(spec, plan)
    found = []
    for question in plan.questions:
        clips = [question.clip] + [question.cue_clip] * label_cues
        found += [(clip, question.person, question.label) for clip in clips]
    return [
        ','.join([plan.name, str(clip + 1),
                  *(f'{value:.6f}' for value in boxes[clip, person]),
                  str(label + 1),
                  str(person)]) for clip, person, label in sorted(found)]


def cue_keyframes(plan: VideoPlan) -> list[str]:
    """Write the keyframes that show a cue as lines of an exclusion table.

    Where cues have no label, an answer there is neither right nor wrong.

    Args:
        plan (VideoPlan): What happens in the video.

    Returns:
        list[str]: ``video,timestamp`` in order of time. No question is asked
        at any of them.
    """
    asked = {question.clip for question in plan.questions}
    cues = {question.cue_clip for question in plan.questions} - asked
    return [f'{plan.name},{clip + 1}' for clip in sorted(cues)]


def proposal_table(spec: LongCueBoxesSpec,
                   plans: Iterable[VideoPlan]) -> dict[str, np.ndarray]:
    """List the boxes of all persons at all keyframes.

    Args:
        spec (LongCueBoxesSpec): The options of the set.
        plans (Iterable[VideoPlan]): The videos.

    Returns:
        dict[str, np.ndarray]: By ``'video,0012'`` the boxes and their score 1,
        of shape (2, 5), float32, as in MMAction2's proposal files. Which
        person comes first is drawn anew every time.
    """
    table = {}
    for plan in plans:
        rng = np.random.default_rng((*plan.scene, 3))
        for clip, boxes in enumerate(keyframe_boxes(spec, plan)):
            boxes = boxes[rng.permutation(len(boxes))]
            table[f'{plan.name},{clip + 1:04d}'] = np.pad(
                boxes, ((0, 0), (0, 1)), constant_values=1).astype(np.float32)
    return table


def box_question_table(spec: LongCueBoxesSpec,
                       plans: Iterable[VideoPlan]) -> list[dict[str, Any]]:
    """List the questions of planned videos.

    Args:
        spec (LongCueBoxesSpec): The options of the set.
        plans (Iterable[VideoPlan]): The videos.

    Returns:
        List[dict]: A dict a question with keys ``video``, ``timestamp``,
        ``person``, ``box`` (x1, y1, x2, y2 as shares), ``delay``, ``label``
        (id of the action, from 1) and ``cue_timestamp``.
    """
    table = []
    for plan in plans:
        boxes = keyframe_boxes(spec, plan).round(6)
        table += [
            {
                'video': plan.name,
                'timestamp': question.clip + 1,
                'person': question.person,
                'box': boxes[question.clip, question.person].tolist(),
                'delay': question.delay,
                'label': question.label + 1,
                'cue_timestamp': question.cue_clip + 1
            } for question in plan.questions]
    return table
