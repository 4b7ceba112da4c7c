# Copyright (c) mmaction_memvit contributors. All rights reserved.
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from generated.longcue import (
    CUES,
    LongCueSpec,
    plan_videos,
    question_table,
    render_video,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SMALL = LongCueSpec(
    max_delay=3, clips_per_video=11, clip_len=2, frame_interval=2, size=32)


def clip_frames(spec, frames, clip):
    return frames[clip * spec.clip_frames:(clip + 1) * spec.clip_frames]


@settings(max_examples=40, deadline=None)
@given(num_cues=st.integers(2, 8), max_delay=st.integers(1, 9),
       extra=st.integers(0, 120), families=st.integers(1, 5),
       seed=st.integers(0, 10**6))
def test_plan(num_cues, max_delay, extra, families, seed):
    spec = LongCueSpec(
        num_cues=num_cues, max_delay=max_delay,
        clips_per_video=max_delay * (max_delay + 3) // 2 + extra, seed=seed)
    plans = plan_videos(spec, 'val', families * num_cues)
    assert len({plan.name for plan in plans}) == len(plans)
    for plan in plans:
        times = [(q.cue_clip, q.clip) for q in plan.questions]
        flat = [clip for pair in times for clip in pair]
        # In the video, and no cue before the last question.
        assert flat == sorted(set(flat))
        assert 0 <= flat[0] and flat[-1] < spec.clips_per_video
        # No other cue within sight of a question.
        for a, b in zip(plan.questions, plan.questions[1:]):
            assert b.clip - a.cue_clip > max_delay
        # Every delay equally often, in every video.
        delays = Counter(q.delay for q in plan.questions)
        assert set(delays) == set(range(1, max_delay + 1))
        assert len(set(delays.values())) == 1
        assert len(plan.questions) == spec.questions_per_video
    for family in range(families):
        twins = plans[family * num_cues:(family + 1) * num_cues]
        assert len({twin.scene for twin in twins}) == 1
        for together in zip(*(twin.questions for twin in twins)):
            assert len({(q.cue_clip, q.clip) for q in together}) == 1
            assert ({q.label for q in together} == set(range(num_cues)))
    # So every label is equally frequent at every delay.
    table = question_table(plans)
    pairs = Counter((q['delay'], q['label']) for q in table)
    assert len(pairs) == num_cues * max_delay
    assert len(set(pairs.values())) == 1


@pytest.mark.parametrize('size', [32, 64])
def test_trivial_readout_of_a_cue_clip_is_right(size):
    """The sign has the colour that covers most, the question none."""
    spec = replace(SMALL, size=size)
    right = total = 0
    asked = Counter()
    for plan in plan_videos(spec, 'val', 24):
        frames = render_video(spec, plan)

        def read(clip, frames=frames):
            part = clip_frames(spec, frames, clip).astype(int)
            covered = [(np.abs(part - color).max(-1) < 12).sum()
                       for _, _, color in CUES[:spec.num_cues]]
            return int(np.argmax(covered))

        for question in plan.questions:
            right += read(question.cue_clip) == question.label
            asked[read(question.clip) == question.label] += 1
            total += 1
    assert right == total
    # Not about chance but chance itself: that is what the twins are for.
    assert asked[True] * spec.num_cues == total


def test_cues_may_be_within_sight_of_other_questions():
    plans = plan_videos(LongCueSpec(size=32, separate=False), 'train', 80)
    assert any(b.clip - a.cue_clip <= 8 for plan in plans
               for a, b in zip(plan.questions, plan.questions[1:]))
