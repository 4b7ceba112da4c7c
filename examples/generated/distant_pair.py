# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""DistantPair: videos of which two distant clips tell the label, together.

A video is a row of slots. In one slot a coloured sign is shown, one of K
*things*; two or more slots later a plate with 0 to K - 1 dots, which says how
many *steps* to go on from there in the ring of things. The label is where one
gets, (thing + steps) mod K. All other slots show distractors only.

Videos come in families of K * K *twins*: the same scene, the same times and
places of both signs, but another pair of thing and steps each. So whichever of
the two is seen, all labels are equally frequent given it: whatever a model
reads from one clip, its accuracy over a family is exactly chance. To average
the scores of clips is no help either: the least cross-entropy that sums of
what the two signs say, each by itself, can reach is that of guessing.

For a first training of the backbone there are videos of one slot that show a
single sign, or none, and are labelled with it.
"""
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .drawing import (
    BRIGHT,
    CUES,
    DARK,
    Picture,
    Scene,
    check_picture,
    draw_dots,
    draw_scene,
    draw_sign,
    paste,
    sign_size,
)
from .twins import families

SPLITS = ('train', 'val')
# Scenes of LongCue and of its kitchen are numbered 0 to 5.
_FIRST_SCENE = 6
# A plate has four corners and a centre for dots.
_MAX_THINGS = 6


@dataclass(frozen=True)
class DistantPairSpec:
    """Everything that fixes the pixels of a set but its size.

    Args:
        num_things (int): K, number of classes, 2 to 6. Defaults to 4.
        num_slots (int): Slots of a video; above ``min_distance``. As many
            clips, spread over the video, see every slot. Defaults to 8.
        slot_frames (int): Frames of a slot. Defaults to 12.
        min_distance (int): Slots from the first sign to the second, at least.
            Every distance from here to ``num_slots - 1`` occurs equally
            often. Defaults to 2.
        size (int): Height and width in pixels, a multiple of 32.
            Defaults to 32.
        seed (int): Seed of everything random. Defaults to 0.

    Raises:
        ValueError: If an option is out of range.
    """
    num_things: int = 4
    num_slots: int = 8
    slot_frames: int = 12
    min_distance: int = 2
    size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.num_things <= _MAX_THINGS:
            raise ValueError(f'num_things={self.num_things} must be between 2 '
                             f'and {_MAX_THINGS}, as dots must fit a plate')
        for name in ('slot_frames', 'min_distance'):
            if getattr(self, name) < 1:
                raise ValueError(
                    f'{name}={getattr(self, name)} must be at least 1')
        if self.num_slots <= self.min_distance:
            raise ValueError(
                f'num_slots={self.num_slots} must be above min_distance='
                f'{self.min_distance}, for a video to hold two signs')
        check_picture(self.size, self.seed)

    def scene(self, num_slots: int) -> Scene:
        """What is drawn behind the signs, of a number of slots or more."""
        # At least two, as the sets had from the first: other pixels else.
        return Scene(max(num_slots, 2) * self.slot_frames, self.slot_frames,
                     self.frame_rate, self.size, self.num_things)

    @property
    def num_frames(self) -> int:
        """int: Frames of a video with two signs."""
        return self.num_slots * self.slot_frames

    @property
    def frame_rate(self) -> float:
        """float: Frames per second: a slot lasts one second."""
        return float(self.slot_frames)

    @property
    def distances(self) -> range:
        """range: Slots from the first sign to the second."""
        return range(self.min_distance, self.num_slots)

    @property
    def classes(self) -> tuple[str, ...]:
        """tuple[str]: Names of the labels: the things."""
        return tuple(f'{color} {shape}'
                     for color, shape, _ in CUES[:self.num_things])

    @property
    def sign_classes(self) -> tuple[str, ...]:
        """tuple[str]: Names of the signs: things, numbers of steps, none."""
        return (*self.classes, *(f'{n} steps' for n in range(self.num_things)),
                'no sign')

    def to_dict(self) -> dict[str, Any]:
        """Return the options as a dict that JSON can hold."""
        return asdict(self)


class Sign(NamedTuple):
    """A sign, by its number in ``sign_classes``, that fills a slot."""
    slot: int
    sign: int


class VideoPlan(NamedTuple):
    """What happens in one video.

    Args:
        name (str): Path of the video under the data folder.
        scene (tuple[int, ...]): Seeds of all that is drawn but the signs'
            identities; the same for all twins of a family.
        num_slots (int): Length of the video.
        signs (tuple[Sign, ...]): In order of time.
        label (int): Class of the video.
    """
    name: str
    scene: tuple[int, ...]
    num_slots: int
    signs: tuple[Sign, ...]
    label: int


def plan_pairs(spec: DistantPairSpec, split: str,
               num_videos: int) -> list[VideoPlan]:
    """Plan the videos with two signs of a split; twins follow one another.

    The first videos do not depend on how many follow, a multiple of
    ``spec.num_things ** 2``. Families take turns through all distances.
    """
    things, plans = spec.num_things, []
    for family, scene, rng in families(split, SPLITS, num_videos, things**2,
                                       spec.seed, _FIRST_SCENE):
        distance = spec.distances[family % len(spec.distances)]
        first = int(rng.integers(spec.num_slots - distance))
        for pair in rng.permutation(things**2).tolist():
            thing, steps = divmod(pair, things)
            signs = Sign(first, thing), Sign(first + distance, things + steps)
            plans.append(
                VideoPlan(f'{split}/pair_{len(plans):05d}.mp4', scene,
                          spec.num_slots, signs, (thing + steps) % things))
    return plans


def plan_signs(spec: DistantPairSpec, split: str,
               num_videos: int) -> list[VideoPlan]:
    """Plan the videos with one sign or none of a split.

    Twins, one for every sign and one without, follow one another: ``2 *
    spec.num_things + 1``.
    """
    classes, plans = len(spec.sign_classes), []
    for _, scene, _ in families(split, SPLITS, num_videos, classes, spec.seed,
                                _FIRST_SCENE + len(SPLITS)):
        for sign in range(classes):
            signs = (Sign(0, sign), ) if sign < classes - 1 else ()
            plans.append(
                VideoPlan(f'{split}_signs/sign_{len(plans):05d}.mp4', scene, 1,
                          signs, sign))
    return plans


def render_video(spec: DistantPairSpec, plan: VideoPlan) -> np.ndarray:
    """Draw a video: RGB, uint8 (num_slots * slot_frames, size, size, 3).

    Twins are equal in all slots but those of the signs.
    """
    length = spec.slot_frames
    frames = draw_scene(spec.scene(plan.num_slots), plan.scene)
    frames = frames[:plan.num_slots * length].copy()
    rng = np.random.default_rng((*plan.scene, 3))
    side = sign_size(spec.size)
    for slot, sign in plan.signs:
        top, left = rng.integers(0, spec.size - side + 1, 2)
        steps = sign - spec.num_things
        picture = draw_sign(sign, side) if steps < 0 else _plate(
            steps, spec.num_things, side)
        for frame in frames[slot * length:(slot + 1) * length]:
            paste(frame, picture, top, left)
    return frames


@cache
def _plate(steps: int, num_things: int, side: int) -> Picture:
    """Draw a plate with a number of dots, the darker the more there are."""
    ground = np.linspace(BRIGHT, DARK, num_things)[steps]
    return draw_dots(steps, ground, steps < num_things / 2, side)


def pair_table(spec: DistantPairSpec,
               plans: Sequence[VideoPlan]) -> list[dict[str, Any]]:
    """List what is asked of videos with two signs.

    Returns:
        list[dict]: A dict a video with keys ``video``, ``clip`` (0: a video
        is one sample), ``label``, ``delay`` (slots from the first sign to the
        second), ``thing``, ``thing_slot``, ``steps`` and ``steps_slot``.
    """
    return [{
        'video': plan.name,
        'clip': 0,
        'label': plan.label,
        'delay': second.slot - first.slot,
        'thing': first.sign,
        'thing_slot': first.slot,
        'steps': second.sign - spec.num_things,
        'steps_slot': second.slot
    } for plan in plans for first, second in [plan.signs]]
