# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the plans of all sets share."""
from dataclasses import replace

import numpy as np
import pytest
from generated import distant_pair, longcue
from generated.distant_pair import DistantPairSpec, plan_pairs, plan_signs
from generated.kitchen import KitchenSpec, plan_kitchen, render_pictures
from generated.longcue import LongCueSpec, plan_videos
from generated.longcue_boxes import LongCueBoxesSpec, render_box_video

# Plan, options, videos of a family.
SETS = {'longcue': (plan_videos, LongCueSpec(), 4),
        'boxes': (plan_videos, LongCueBoxesSpec(), 4),
        'pairs': (plan_pairs, DistantPairSpec(), 16),
        'signs': (plan_signs, DistantPairSpec(), 9),
        'kitchen': (plan_kitchen, KitchenSpec(), 6)}


@pytest.mark.parametrize('name', SETS)
def test_plans_hang_on_seed_and_split_but_not_on_their_number(name):
    plan, spec, twins = SETS[name]
    plans = plan(spec, 'train', 3 * twins)
    assert plans[:twins] == plan(replace(spec), 'train', twins)
    scenes = [p.scene for p in plans]
    assert len(set(scenes)) == 3
    val = 'validation' if name == 'kitchen' else 'val'
    for other in (plan(replace(spec, seed=1), 'train', 3 * twins),
                  plan(spec, val, 3 * twins)):
        assert not set(scenes) & {p.scene for p in other}


@pytest.mark.parametrize('name', SETS)
def test_bad_splits(name):
    plan, spec, twins = SETS[name]
    with pytest.raises(ValueError, match="split='vall'"):
        plan(spec, 'vall', twins)
    with pytest.raises(ValueError, match=f'multiple of.* take {2 * twins}'):
        plan(spec, 'train', twins + 1)


def cues(*plans):
    """Clips that show a cue, which are those of all twins."""
    return {q.cue_clip for q in plans[0].questions}


# Options, plan, drawing, twins, frames of a clip and before the first, and
# which clips of two twins differ.
DRAWN = {
    'longcue': (LongCueSpec(
        max_delay=3, clips_per_video=11, clip_len=2, frame_interval=2,
        size=32), plan_videos, longcue.render_video, 4, 4, 0, cues),
    '8 cues': (LongCueSpec(num_cues=8, max_delay=1, clips_per_video=4),
               plan_videos, longcue.render_video, 8, 4, 0, cues),
    'boxes': (LongCueBoxesSpec(max_delay=3, clips_per_video=11),
              plan_videos, render_box_video, 4, 4, 2, cues),
    'pairs': (DistantPairSpec(num_things=3, num_slots=5, slot_frames=2),
              plan_pairs, distant_pair.render_video, 9, 2, 0,
              lambda *plans: {a.slot for a, b in zip(*(
                  p.signs for p in plans)) if a != b}),
    'kitchen': (KitchenSpec(
        num_things=3, clips_per_video=16, train_delays=(3, 4),
        test_delays=(4, 5)), plan_kitchen, render_pictures, 3, 4, 0,
        lambda *plans: {e.clip for e in plans[0].events if not e.verb}),
}


@pytest.mark.parametrize('name', DRAWN)
def test_frames_of_twins(name):
    spec, plan, render, num, length, lead, differing = DRAWN[name]
    twins = plan(spec, 'train', num)
    first = render(spec, twins[0])
    assert first.shape[1:] == (spec.size, spec.size, 3)
    for twin in twins[1:]:
        found = render(spec, twin) != first
        assert not found[:lead].any()
        found = found[lead:].reshape(-1, length, first[0].size).any(2)
        assert set(np.flatnonzero(found.any(1))) == differing(twins[0], twin)
        # In every frame of the clip.
        assert (found.all(1) == found.any(1)).all()
    # The seed tells the frames, which are the caller's own, although the
    # scene is kept for twins.
    first[...] = 0
    again = render(spec, twins[0])
    assert again.any() and (render(spec, twins[0]) == again).all()
    other = replace(spec, seed=1)
    assert (render(other, plan(other, 'train', num)[0]) != again).any()


def test_sets_of_a_seed_share_no_scene():
    scenes = [p.scene for name in ('longcue', 'pairs', 'signs', 'kitchen')
              for p in SETS[name][0](*SETS[name][1:2], 'train', SETS[name][2])]
    assert len(set(scenes)) == 4


@pytest.mark.parametrize('spec, options, words', [
    (LongCueSpec, dict(num_cues=1), 'num_cues=1.* 2 and 8'),
    (LongCueSpec, dict(num_cues=9), 'num_cues=9'),
    (LongCueSpec, dict(max_delay=0), 'max_delay=0.* 1'),
    (LongCueSpec, dict(frame_interval=0), 'frame_interval=0'),
    (LongCueSpec, dict(size=48), 'size=48.* take 32'),
    (LongCueSpec, dict(fps=0.), 'fps=0.0'),
    (LongCueSpec, dict(seed=-1), 'seed=-1'),
    (LongCueSpec, dict(clips_per_video=43), 'clips_per_video=43.* 44 clips'),
    (LongCueBoxesSpec, dict(fps=6), 'fps=6.* = 4'),
    (LongCueBoxesSpec, dict(clips_per_video=26), '=26.* 27 clips'),
    (DistantPairSpec, dict(num_things=7), 'num_things=7.* 2 and 6'),
    (DistantPairSpec, dict(slot_frames=0), 'slot_frames=0.* 1'),
    (DistantPairSpec, dict(num_slots=2), 'num_slots=2.*min_distance=2'),
    (DistantPairSpec, dict(size=48), 'size=48.* take 32'),
    (KitchenSpec, dict(num_things=7), 'num_things=7'),
    (KitchenSpec, dict(clips_per_video=40), 'clips_per_video=40'),
    (KitchenSpec, dict(train_delays=()), 'train_delays'),
    (KitchenSpec, dict(sample_fps=0), 'sample_fps=0'),
])
def test_bad_options(spec, options, words):
    with pytest.raises(ValueError, match=words):
        spec(**options)
