# Copyright (c) mmaction_memvit contributors. All rights reserved.
from collections import Counter

import numpy as np
import pytest
from generated.kitchen import (
    POUR,
    SPLITS,
    TAKE,
    USES,
    KitchenSpec,
    annotation_files,
    num_frames,
    picture_numbers,
    plan_kitchen,
)

from mmaction_memvit.annotations.epic import read_epic_segments
from mmaction_memvit.annotations.epic_lists import (
    read_epic_actions,
    read_epic_classes,
    read_epic_participants,
    read_epic_tail,
    read_epic_video_info,
)
from mmaction_memvit.video.frames import Clock


def families(plans, things):
    return [plans[i:i + things] for i in range(0, len(plans), things)]


@pytest.mark.parametrize('split', SPLITS)
def test_twins_make_chance_exact(split):
    spec = KitchenSpec()
    plans = plan_kitchen(spec, split, 30)
    assert len({p.video_id for p in plans}) == 30
    for twins in families(plans, spec.num_things):
        assert len({t.scene for t in twins}) == len({t.fps for t in twins}) \
            == len({t.participant_id for t in twins}) == 1
        for together in zip(*(t.events for t in twins)):
            assert len({(e.clip, e.verb, e.delay) for e in together}) == 1
            nouns = sorted(e.noun for e in together)
            if together[0].verb == POUR:
                assert set(nouns) == {spec.num_things}
            else:
                assert nouns == list(range(spec.num_things))
    for plan in plans:
        clips = [e.clip for e in plan.events]
        assert clips == sorted(set(clips)) and clips[-1] < 56
        delays = sorted(e.delay for e in plan.events if e.delay)
        assert delays == sorted(
            spec.train_delays if split == 'train' else spec.test_delays)
        before = cue = None
        for event in plan.events:
            if event.verb == TAKE:
                before, cue = cue, event
            elif event.verb in USES:
                assert (event.noun, event.delay) == (cue.noun,
                                                     event.clip - cue.clip)
                # Memory of 8 clips holds no other cue, nor 3 clips earlier.
                if before and event.delay > 3:
                    assert event.clip - 3 - before.clip > 8


@pytest.mark.parametrize('fps', [60000 / 1001, 50.])
def test_sampled_frames_show_their_own_clip(fps):
    spec = KitchenSpec()
    pictures = picture_numbers(spec, fps)
    assert len(pictures) == num_frames(spec, fps)
    assert (np.diff(pictures) >= 0).all()
    instants = np.arange(spec.clips_per_video * spec.clip_len) / 10
    clock = Clock(dict(fps=fps, num_frames=len(pictures)))
    shown = pictures[clock.frame_at(instants)]
    assert shown.tolist() == list(range(56 * 4))


def test_annotations(tmp_path):
    spec = KitchenSpec()
    plans = {s: plan_kitchen(spec, s, n) for s, n in zip(SPLITS, (60, 24, 12))}
    for name, text in annotation_files(spec, plans).items():
        (tmp_path / name).write_text(text)

    def path(name):
        return str(tmp_path / f'EPIC_100_{name}.csv')

    videos = read_epic_video_info(path('video_info'))
    assert len(videos) == 96
    assert {round(v.fps, 2) for v in videos.values()} == {59.94, 50.}
    sizes = dict(num_verbs=5, num_nouns=7, videos=videos)
    tables = {s: read_epic_segments(path(n), **sizes) for s, n in (
        ('train', 'train'), ('validation', 'validation'),
        ('test', 'test_timestamps'))}
    assert tables['train'].labelled and tables['validation'].labelled
    assert not (tables['test'].verbs >= 0).any()
    assert all(t.report['overlapping'] for t in tables.values())
    report = dict(tables['train'].report)
    assert report.pop('rows') == len(tables['train'])
    assert report.pop('overlapping') and not any(report.values())
    # Cues are annotated in training only, and all classes occur there.
    assert TAKE not in tables['validation'].verbs
    assert Counter(tables['train'].verbs)[TAKE] == 60 * 9
    uses = read_epic_segments(path('train_uses'), **sizes)
    assert len(uses) == len(tables['train']) - 60 * 9
    rows = [tables['train'].rows_by_id[name] for name in uses.narration_ids]
    assert (tables['train'].verbs[rows] == uses.verbs).all()
    assert TAKE not in uses.verbs
    assert (tables['train'].counts('verb', 5) > 0).all()
    assert (tables['train'].counts('noun', 7) > 0).all()
    assert len(read_epic_classes(path('verb_classes'))) == 5
    assert read_epic_classes(path('noun_classes'))[-1] == 'oil'
    actions = read_epic_actions(str(tmp_path / 'actions.csv'))
    assert len(actions) == 25
    for table in (tables['train'], tables['validation']):
        assert (actions.index(table.verbs, table.nouns) >= 0).all()
    tail = tables['validation'].is_tail(read_epic_tail(path('tail_verbs'), 5),
                                        read_epic_tail(path('tail_nouns'), 7))
    assert all(0 < mask.mean() < 0.6 for mask in tail.values())
    for split in ('validation', 'test'):
        people = read_epic_participants(
            path(f'unseen_participant_ids_{split}'))
        unseen = tables[split].is_unseen(people)
        assert 0 < unseen.mean() < 1
        assert not tables['train'].is_unseen(people).any()
    # Segments are within their clips and videos.
    for table in tables.values():
        assert (table.starts < table.stops).all()
        assert table.stops.max() <= 56 * spec.clip_seconds + 1e-9
