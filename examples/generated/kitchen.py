# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue as a kitchen: EPIC-KITCHENS-100 in small, with a long memory.

A video is a row of clips. In one clip a large coloured sign, the *cue*, is
shown: somebody takes a thing (verb ``take``, the noun is the cue). Some clips
later a plate with a number of dots says what is done (verb ``wash``, ``cut``
or, rarely, ``peel``), but not with which thing: it is the one taken last. So
the verb of such a *use* can be seen, and its noun must be remembered. In
anticipation neither can be seen, but the noun is still the last cue's.

Now and then a bottle is poured from, ``pour oil``, which can be seen; verb
and noun are rare, and the segment overlaps the one before it.

Videos come in families of *twins*: one for every thing, with the same scene,
the same times, verbs and places, but other cues. At every use the twins'
nouns are all nouns, once each, so without memory no model is right more often
than one that guesses: 1 / number of things, exactly.
"""
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

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

#: Verbs by class. The first one is that of cues, the last one of the rare
#: event, those between are uses, the last of which is rare.
VERBS = ('take', 'wash', 'cut', 'peel', 'pour')
TAKE, USES, POUR = 0, (1, 2, 3), 4
_USE_SHARES = (0.5, 0.4, 0.1)
TAIL_VERBS = (3, POUR)
#: Things, in the order of the cues of LongCue; the rare noun follows them.
THINGS = ('tomato', 'cucumber', 'plate', 'lemon', 'onion', 'glass')
RARE_NOUN = 'oil'
#: Columns of the published lists.
COLUMNS = ('narration_id', 'participant_id', 'video_id',
           'narration_timestamp', 'start_timestamp', 'stop_timestamp',
           'start_frame', 'stop_frame', 'narration', 'verb', 'verb_class',
           'noun', 'noun_class', 'all_nouns', 'all_noun_classes')
_LABEL_COLUMNS = COLUMNS[8:]
SPLITS = ('train', 'validation', 'test')
#: Participants by split, each with the frame rate of their videos. P03 and
#: P04 are in no training video.
PARTICIPANTS: dict[str, tuple[tuple[str, float], ...]] = {
    'train': (('P01', 60000 / 1001), ('P02', 50.)),
    'validation': (('P01', 60000 / 1001), ('P02', 50.), ('P03', 50.)),
    'test': (('P02', 50.), ('P04', 60000 / 1001))}
UNSEEN = {'validation': ('P03', ), 'test': ('P04', )}
# Numbers of the videos of a participant begin here, as in the extension of
# the published set.
_FIRST_NUMBER = {'train': 1, 'validation': 101, 'test': 201}
# Segments stop this many seconds before the clip does, on average.
_EARLY = 0.04
# How often a family has a rare event where there is room for it.
_POUR_SHARE = 0.5
# What is anticipated at the shortest delay is anticipated from the cue's own
# clip, so that no earlier cue can be mistaken for it.
_DIRECT = 3
# Clips from the cue before to a use: memory of 8 clips then holds one cue when
# the use begins, and 3 clips earlier, when it is to be anticipated.
_APART = 12
# Orders of delays of which the one that needs fewest blank clips is taken.
_ORDERS = 50


@dataclass(frozen=True)
class KitchenSpec:
    """Everything that fixes the pixels of a set but its size.

    Args:
        num_things (int): Number of nouns with a cue, 2 to 6. Defaults to 6.
        clips_per_video (int): Clips in a video, at least those of all
            delays. Defaults to 56.
        clip_len (int): Frames a model samples from a clip. Defaults to 4.
        frame_interval (int): From one sampled frame to the next, at
            ``sample_fps``. Defaults to 3, at 30 frames a second.
        size (int): Height and width in pixels, a multiple of 32. Defaults to
            32.
        train_delays (tuple[int]): Clips from cue to use in a training video,
            each once, in random order. In anticipation by 1 s, a token of
            the cue's own clip anticipates a use 3 clips later: from these a
            model learns what cues mean. Defaults to one of 4 to 8, four of 3.
        test_delays (tuple[int]): As ``train_delays``, for validation and
            test. Defaults to one of 4 to 8.
        seed (int): Seed of everything random. Defaults to 0.

    Raises:
        ValueError: If an option is out of range.
    """
    num_things: int = 6
    clips_per_video: int = 56
    clip_len: int = 4
    frame_interval: int = 3
    sample_fps: float = 30.
    size: int = 32
    train_delays: tuple[int, ...] = (3, 3, 3, 3, 4, 5, 6, 7, 8)
    test_delays: tuple[int, ...] = (4, 5, 6, 7, 8)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.num_things <= len(THINGS):
            raise ValueError(f'num_things={self.num_things} must be between 2 '
                             f'and {len(THINGS)}')
        for name in ('clip_len', 'frame_interval', 'sample_fps'):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f'{name}={getattr(self, name)} must be above 0')
        for name in ('train_delays', 'test_delays'):
            delays = getattr(self, name)
            if min(delays, default=0) < 1:
                raise ValueError(f'{name}={delays} must be numbers from 1 on')
            needed = sum(delays) + len(delays)
            if self.clips_per_video < needed:
                raise ValueError(
                    f'clips_per_video={self.clips_per_video} must be at least '
                    f'{needed}, for {name}={delays}')
        check_picture(self.size, self.seed)

    @property
    def clip_seconds(self) -> float:
        """float: Of a clip."""
        return self.clip_len * self.frame_interval / self.sample_fps

    @property
    def nouns(self) -> tuple[str, ...]:
        """tuple[str]: Nouns by class."""
        return (*THINGS[:self.num_things], RARE_NOUN)

    @property
    def scene(self) -> Scene:
        """Scene: What is drawn behind the signs, a frame for each picture."""
        return Scene(self.clips_per_video * self.clip_len, self.clip_len,
                     float(self.clip_len), self.size, self.num_things)


class Event(NamedTuple):
    """A clip in which something is done.

    ``delay`` is the clips since the cue that tells the noun, 0 if it can be
    seen.
    """
    clip: int
    verb: int
    noun: int
    delay: int = 0


class KitchenVideo(NamedTuple):
    """What happens in one video.

    ``scene`` holds the seeds of all that is drawn but the cues; events are in
    order of time.
    """
    video_id: str
    fps: float
    scene: tuple[int, ...]
    events: tuple[Event, ...]

    @property
    def participant_id(self) -> str:
        """str: Who is filming."""
        return self.video_id.split('_')[0]

    @property
    def path(self) -> str:
        """str: Path of the file under the folder of the videos."""
        return f'{self.participant_id}/{self.video_id}.MP4'


def plan_kitchen(spec: KitchenSpec, split: str,
                 num_videos: int) -> list[KitchenVideo]:
    """Plans the videos of a split; twins follow one another.

    ``num_videos`` must be a multiple of ``spec.num_things``.
    """
    if not num_videos:
        return []
    things, plans, numbers = spec.num_things, [], Counter()
    for family, scene, rng in families(split, SPLITS, num_videos, things,
                                       spec.seed, 3):
        delays, blanks = _plan_times(spec, split, rng)
        verbs = rng.choice(USES, len(delays), p=_USE_SHARES)
        pours = rng.random(len(delays)) < _POUR_SHARE
        orders = [rng.permutation(things) for _ in delays]
        # Families take turns, so that every participant has some.
        people = PARTICIPANTS[split]
        participant, fps = people[family % len(people)]
        for twin in range(things):
            events, clip = [], 0
            for i, delay in enumerate(delays.tolist()):
                cue = clip + int(blanks[i])
                noun = int(orders[i][twin])
                events.append(Event(cue, TAKE, noun))
                clip = cue + delay
                events.append(Event(clip, int(verbs[i]), noun, delay))
                clip += 1
                if pours[i] and blanks[i + 1]:
                    events.append(Event(clip, POUR, things))
            number = _FIRST_NUMBER[split] + numbers[participant]
            plans.append(
                KitchenVideo(f'{participant}_{number:02d}', fps, scene,
                             tuple(events)))
            numbers[participant] += 1
    return plans


def _plan_times(spec: KitchenSpec, split: str,
                rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws the delays and the blank clips before each cue and at the end."""
    delays = spec.train_delays if split == 'train' else spec.test_delays
    orders = [rng.permutation(delays) for _ in range(_ORDERS)]
    delays = min(orders, key=lambda order: _needed_blanks(order).sum())
    needed = _needed_blanks(delays)
    spare = spec.clips_per_video - int(delays.sum() + needed.sum()) - len(
        delays)
    if spare < 0:
        raise ValueError(
            f'clips_per_video={spec.clips_per_video} must be at least '
            f'{spec.clips_per_video - spare}, so that cues lie apart')
    return delays, needed + rng.multinomial(spare, [1 / len(needed)] *
                                            len(needed))


def _needed_blanks(delays: np.ndarray) -> np.ndarray:
    """Blank clips before each cue, and at the end, that ``_APART`` takes."""
    blanks = np.zeros(len(delays) + 1, np.int64)
    needed = np.maximum(0, _APART - 1 - delays[1:] - delays[:-1])
    blanks[1:-1] = np.where(delays[1:] > _DIRECT, needed, 0)
    return blanks


def num_frames(spec: KitchenSpec, fps: float) -> int:
    """Frames of a video at its own rate."""
    return int(np.ceil(spec.clips_per_video * spec.clip_seconds * fps - 1e-6))


def picture_numbers(spec: KitchenSpec, fps: float) -> np.ndarray:
    """Which picture every frame of a video shows, int64.

    A clip has ``clip_len`` pictures. The frame that is on screen when a
    picture's time begins already shows it, so that clips sampled from the
    start of a picture never show the one before.
    """
    ends = np.arange(1, num_frames(spec, fps) + 1) / fps
    pictures = np.floor((ends - 1e-6) * spec.sample_fps / spec.frame_interval)
    return np.minimum(pictures.astype(np.int64),
                      spec.clips_per_video * spec.clip_len - 1)


def render_pictures(spec: KitchenSpec, plan: KitchenVideo) -> np.ndarray:
    """Draws the pictures of a video, ``clip_len`` for every clip, RGB."""
    pictures = draw_scene(spec.scene, plan.scene).copy()
    side = sign_size(spec.size)
    rng = np.random.default_rng((*plan.scene, 3))
    for event in plan.events:
        # No thing has the last two signs, so what is poured does.
        sign = _plate(event.verb, side) if event.verb in USES else draw_sign(
            event.noun if event.verb == TAKE else len(CUES) - 1, side)
        top, left = rng.integers(0, spec.size - side + 1, 2)
        first = event.clip * spec.clip_len
        for picture in pictures[first:first + spec.clip_len]:
            paste(picture, sign, top, left)
    return pictures


@cache
def _plate(verb: int, side: int) -> Picture:
    """Draws the plate of a use: grey of a level and dots of a number."""
    number = USES.index(verb)
    ground = (BRIGHT, (150, 150, 154), DARK)[number]
    return draw_dots(number + 1, ground, number == 0, side)


def event_segments(spec: KitchenSpec, plan: KitchenVideo,
                   label_cues: bool) -> list[tuple[float, float, Event]]:
    """Start and stop in seconds (of 0.01) of the events, in order of time.

    As annotators would say: uses start with their clip exactly. What is poured
    starts 0.1 s early, which makes it overlap the segment before. Cues are
    left out unless ``label_cues``.
    """
    rng = np.random.default_rng((*plan.scene, 4))
    found = []
    for event in plan.events:
        start = event.clip * spec.clip_seconds
        start -= 0.1 * (event.verb == POUR)
        early = rng.uniform(0, 2 * _EARLY)
        stop = (event.clip + 1) * spec.clip_seconds - early
        if event.verb != TAKE or label_cues:
            found.append((round(start, 2), round(stop, 2), event))
    return found


def segment_rows(spec: KitchenSpec, plans: Iterable[KitchenVideo],
                 label_cues: bool) -> pd.DataFrame:
    """A published list: a row for every segment, with :data:`COLUMNS`."""
    rows = []
    for plan in plans:
        segments = event_segments(spec, plan, label_cues)
        for number, (start, stop, event) in enumerate(segments):
            verb, noun = VERBS[event.verb], spec.nouns[event.noun]
            # As published, these columns count 60 or 50 frames a second.
            rate = round(plan.fps / 10) * 10
            begin, end = _timestamp(start), _timestamp(stop)
            rows.append(
                (f'{plan.video_id}_{number}', plan.participant_id,
                 plan.video_id, f'{begin}0', begin, end, int(start * rate),
                 int(stop * rate), f'{verb} {noun}', verb, event.verb, noun,
                 event.noun, str([noun]), str([event.noun])))
    return pd.DataFrame(rows, columns=COLUMNS)


def _timestamp(seconds: float) -> str:
    centi = round(seconds * 100)
    return (f'{centi // 360000:02}:{centi // 6000 % 60:02}:'
            f'{centi // 100 % 60:02}.{centi % 100:02}')


def annotation_files(
        spec: KitchenSpec, plans: Mapping[str, Sequence[KitchenVideo]],
        label_cues: Sequence[str] = ('train', )) -> dict[str, str]:
    """The files of the annotation repository, and two more: text by name.

    ``actions.csv`` numbers the pairs of verb and noun that there may be.
    ``EPIC_100_train_uses.csv`` is the training list without cues, for
    anticipation: nobody can foresee which thing will be taken. ``label_cues``
    are the splits in which cues are annotated, too: without them in training a
    model learns slowly.
    """
    tables = {}
    for split, videos in plans.items():
        rows = segment_rows(spec, videos, split in label_cues)
        if split == 'test':
            tables['test_timestamps'] = rows.drop(columns=[*_LABEL_COLUMNS])
            continue
        tables[split] = rows
        if split == 'train':
            tables['train_uses'] = rows[rows.verb_class != TAKE]
    for kind, classes, tail in (('verb', VERBS, TAIL_VERBS),
                                ('noun', spec.nouns, (spec.num_things, ))):
        tables[f'{kind}_classes'] = pd.DataFrame({
            'id': range(len(classes)),
            'key': classes,
            'instances': [str([name]) for name in classes],
            'category': 'made up'})
        tables[f'tail_{kind}s'] = pd.DataFrame({kind: tail})
    for split, participants in UNSEEN.items():
        tables[f'unseen_participant_ids_{split}'] = pd.DataFrame(
            {'participant_id': participants})
    tables['video_info'] = pd.DataFrame(
        [(x.video_id, num_frames(spec, x.fps) / x.fps, x.fps,
          f'{spec.size}x{spec.size}') for x in sum(plans.values(), [])],
        columns=('video_id', 'duration', 'fps', 'resolution'))
    tables = {f'EPIC_100_{name}': x for name, x in tables.items()}
    tables['actions'] = _action_table(spec)
    return {f'{name}.csv': x.to_csv(index=False, lineterminator='\n')
            for name, x in tables.items()}


def _action_table(spec: KitchenSpec) -> pd.DataFrame:
    pairs = [(verb, noun) for verb in (TAKE, *USES)
             for noun in range(spec.num_things)]
    pairs.append((POUR, spec.num_things))
    return pd.DataFrame(
        [(i, verb, noun, f'{VERBS[verb]} {spec.nouns[noun]}')
         for i, (verb, noun) in enumerate(pairs)],
        columns=('id', 'verb', 'noun', 'action'))
