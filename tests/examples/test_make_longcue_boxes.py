# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from generated.longcue_boxes import LongCueBoxesSpec
from generated.make_longcue_boxes import make_longcue_boxes
from generated.video_set import read_video
from mmaction.registry import DATASETS

SMALL = LongCueBoxesSpec(max_delay=2, clips_per_video=7, size=32)


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    out_dir = tmp_path_factory.mktemp('longcue_boxes')
    meta = make_longcue_boxes(str(out_dir), SMALL, {'train': 4, 'val': 8})
    return out_dir, meta


def read(path):
    return [line.split(',') for line in path.read_text().splitlines()]


def test_files(dataset):
    out_dir, meta = dataset
    assert json.loads(
        (out_dir / 'longcue_boxes_meta.json').read_text()) == meta
    assert meta['keyframe_rate'] == 1 and meta['timestamps'] == [1, 7]
    index = json.loads((out_dir / 'index.json').read_text())
    assert len(index) == 12
    for split, number in ('train', 4), ('val', 8):
        content = meta['splits'][split]
        assert content['videos'][1] == f'videos/{split}_00001.mp4'
        for name in content['videos']:
            entry = index[Path(name).name]
            assert entry['num_frames'] == 30 and entry['fps'] == 4
            assert 'problem' not in entry
        questions = {(q['video'], q['timestamp'], q['label'], q['person'])
                     for q in content['questions']}
        assert len(questions) == 4 * number
        cues = {(q['video'], q['cue_timestamp'], q['label'], q['person'])
                for q in content['questions']}
        rows = read(out_dir / content['ann_file'])
        found = {(r[0], int(r[1]), int(r[6]), int(r[7])) for r in rows}
        assert len(rows) == len(found)
        assert found == (questions | cues if split == 'train' else questions)
        with open(out_dir / content['proposal_file'], 'rb') as f:
            proposals = pickle.load(f)
        assert set(proposals) == {f'{split}_{v:05d},{t:04d}'
                                  for v in range(number) for t in range(1, 8)}
        for row in rows:
            boxes = proposals[f'{row[0]},{int(row[1]):04d}'][:, :4]
            away = np.abs(boxes - np.float32(row[2:6])).max(1)
            assert away.min() < 1e-5


@pytest.mark.parametrize('split', ['train', 'val'])
def test_keyframe_clips_are_the_clips(dataset, split):
    out_dir, meta = dataset
    content = meta['splits'][split]
    keyframes = DATASETS.build(
        dict(type='OnlineAVADataset',
             ann_file=str(out_dir / content['ann_file']),
             pipeline=[dict(type='SampleKeyframeClip', clip_len=SMALL.clip_len,
                            frame_interval=SMALL.frame_interval,
                            sample_fps=None)],
             proposal_file=str(out_dir / content['proposal_file']),
             label_file=str(out_dir / meta['label_file']),
             index_file=str(out_dir / meta['index_file']),
             data_prefix=dict(video=str(out_dir / 'videos')),
             keyframes='proposals', keyframe_rate=meta['keyframe_rate'],
             num_classes=5, _scope_='mmaction'))
    assert len(keyframes) == 7 * len(content['videos'])
    asked = {(q['video'], q['timestamp']): q['label']
             for q in content['questions']}
    for i in range(len(keyframes)):
        info = keyframes[i]
        clip = info['timestamp'] - 1
        first = SMALL.lead_frames + clip * SMALL.clip_frames
        assert list(info['frame_inds']) == list(range(first, first + 4))
        assert info['proposals'].shape == (2, 4)
        label = asked.get((info['video_id'], info['timestamp']))
        if label is not None:
            assert info['gt_labels'][:, label].any()
        elif split == 'val':
            assert not len(info['gt_bboxes'])


def test_files_leak_nothing(dataset):
    """What follows a cue decodes to the same whatever the cue was."""
    out_dir, meta = dataset
    content = meta['splits']['val']
    videos = np.stack(
        [read_video(str(out_dir / name)) for name in content['videos'][:4]])
    videos = videos[:, SMALL.lead_frames:].reshape(4, 7, -1)
    differ = (videos != videos[:1]).any((0, 2))
    cues = {q['cue_timestamp'] - 1 for q in content['questions']
            if q['video'] == 'val_00000'}
    assert set(np.flatnonzero(differ)) == cues
