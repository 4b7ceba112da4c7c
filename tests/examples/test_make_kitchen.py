# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json

import numpy as np
import pytest
from generated.kitchen import SPLITS, TAKE, KitchenSpec, plan_kitchen
from generated.make_kitchen import make_kitchen
from helpers.tools import tool_fixture

from mmaction_memvit.datasets import OnlineEpicDataset
from mmaction_memvit.datasets.transforms import LoadVideoClip

check_epic = tool_fixture('tools/data/epic100/check_epic.py')
SMALL = KitchenSpec(num_things=2, clips_per_video=16, train_delays=(3, 4),
                    test_delays=(4, 5))
NUMBERS = dict(zip(SPLITS, (4, 4, 2)))


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    out_dir = tmp_path_factory.mktemp('epic')
    return out_dir, make_kitchen(str(out_dir), SMALL, NUMBERS)


def online(out_dir, split='train', **kwargs):
    return OnlineEpicDataset(
        str(out_dir / f'annotations/EPIC_100_{split}.csv'), [], clip_len=4,
        frame_interval=3, data_prefix=dict(video=str(out_dir / 'videos')),
        index_file=str(out_dir / 'epic_index.json'), num_verbs=5, num_nouns=3,
        video_info_file=str(out_dir / 'annotations/EPIC_100_video_info.csv'),
        **kwargs)


def test_files(made):
    out_dir, meta = made
    assert json.loads((out_dir / 'epic_meta.json').read_text()) == meta
    assert meta['chance'] == 0.5
    index = json.loads((out_dir / 'epic_index.json').read_text())
    assert sorted(index) == sorted(
        str(p.relative_to(out_dir / 'videos'))
        for p in (out_dir / 'videos').rglob('*.MP4'))
    assert {e['num_frames'] for e in index.values()} == {320, 384}
    assert not any('problem' in e or 'time_drift' in e for e in index.values())
    uses = [u for u in meta['uses'] if u['split'] == 'validation']
    assert len(uses) == 8 and {u['delay'] for u in uses} == {4, 5}


def test_no_trace_of_cues_in_other_clips(made):
    """Decoded clips of twins are equal to the bit, but for cues."""
    out_dir, _ = made
    dataset = online(out_dir, 'validation')
    load = LoadVideoClip()
    clips = {key: load(dataset.get_data_info(i))['imgs']
             for i, key in enumerate(dataset.stream_keys())}
    plans = plan_kitchen(SMALL, 'validation', 4)
    for first, second in (plans[:2], plans[2:]):
        differ = [c for c in range(16) if not np.array_equal(
            clips[first.video_id, c], clips[second.video_id, c])]
        assert differ == [e.clip for e in first.events if e.verb == TAKE]


def test_labels_are_where_things_are_shown(made):
    out_dir, _ = made
    dataset = online(out_dir)
    labels = {key: dataset.get_data_info(i)['label'][:, :2].tolist()
              for i, key in enumerate(dataset.stream_keys())}
    ahead = online(out_dir, task='anticipation')
    tokens = {}
    for info in ahead:
        for end, label in zip(info['token_times'][:, 1], info['label']):
            tokens[info['video_id'], round(end * 5)] = label[:2].tolist()
    for plan in plan_kitchen(SMALL, 'train', 4):
        shown = {e.clip: [e.verb, e.noun] for e in plan.events}
        for clip in range(16):
            expected = shown.get(clip, [-1, -1])
            assert labels[plan.video_id, clip] == [expected, expected]
            # 1.0 s before, which the token ends at that has this number.
            before = 2 * clip - 5
            if before > 0 and clip in shown:
                assert tokens[plan.video_id, before] == expected


def test_download_is_in_order(check_epic, made, capsys):
    out_dir, _ = made
    names = [str(out_dir / f'annotations/EPIC_100_{n}.csv')
             for n in ('train', 'validation', 'test_timestamps')]
    assert check_epic.main([
        *names, '--video-info',
        str(out_dir / 'annotations/EPIC_100_video_info.csv'), '--videos',
        str(out_dir / 'videos'), '--num-workers', '1']) == 0
    assert 'All in order' in capsys.readouterr().out
