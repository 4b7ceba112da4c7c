# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the plans of all sets share."""
from dataclasses import replace

import pytest
from generated.distant_pair import DistantPairSpec, plan_pairs, plan_signs
from generated.kitchen import KitchenSpec, plan_kitchen
from generated.longcue import LongCueSpec, plan_videos
from generated.longcue_boxes import LongCueBoxesSpec, plan_box_videos

# Plan, options, videos of a family.
SETS = {
    'longcue': (plan_videos, LongCueSpec(), 4),
    'boxes': (plan_box_videos, LongCueBoxesSpec(), 4),
    'pairs': (plan_pairs, DistantPairSpec(), 16),
    'signs': (plan_signs, DistantPairSpec(), 9),
    'kitchen': (plan_kitchen, KitchenSpec(), 6),
}


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
