# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import pickle

import cv2
import numpy as np
import pytest
from helpers.videos import (
    number_image,
    read_number,
    write_video,
)
from mmaction.registry import DATASETS

from mmaction_memvit.datasets import OnlineAVADataset
from mmaction_memvit.engine.preflight import Run
from mmaction_memvit.engine.preflight.labels import boxes_meet_proposals
from mmaction_memvit.video import probe_video

# 6 s at 10 frames a second and 5 s at 20.
FRAMES = {'v!(1).mp4': (60, 10), 'w.avi': (100, 20)}
CSV = """w,903,0.1,0.2,0.5,0.6,2,1
v!(1),902,0.1,0.2,0.3,0.4,1,0
v!(1),902,0.1,0.2,0.3,0.4,3,0
v!(1),902,0.5,0.2,0.9,0.8,2,5
v!(1),901,0.1,0.2,0.3,0.4,1,0
w,901,0.1,0.2,0.5,0.6,2,1
v!(1),904,0,0,1,1,3,0
w,904
"""
KEYS = [('w', 901), ('w', 903), ('w', 904), ('v!(1)', 901), ('v!(1)', 902),
        ('v!(1)', 904)]
PROPOSALS = {'w,0901': np.array([[.1, .1, .5, .5, .95], [0, 0, 1, 1, .2]]),
             'w,0902': np.array([[0, 0, 1, 1, .99]]),
             'w,0903': np.array([[0, 0, .5, 1, .4]]),
             'v!(1),0901': np.array([[.2, .2, .5, .5, .9],
                                     [.1, .2, .3, .4, .97]]),
             'v!(1),0903': np.array([[0, 0, 1, 1, .3]]),
             'v!(1),0959': np.array([[0, 0, 1, 1, .99]]),
             'other,0901': np.array([[0, 0, 1, 1, .99]])}


def write_map(path, **names):
    path.write_text(''.join(f'item {{\n  name: "{n}"\n  id: {i}\n}}\n'
                            for n, i in names.items()))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Videos, frame folders of the same frames, and annotations."""
    folder = tmp_path_factory.mktemp('ava')
    index = {}
    for name, (num, rate) in FRAMES.items():
        path = write_video(
            folder / 'videos' / name, num, rate=rate, b_frames=0,
            codec='mpeg4' if name.endswith('avi') else 'libx264')
        index[name] = probe_video(path)
        frames = folder / 'frames' / name.rpartition('.')[0]
        frames.mkdir(parents=True)
        for i in range(num):
            cv2.imwrite(str(frames / f'img_{i + 1:05}.jpg'), number_image(i))
    (folder / 'index.json').write_text(json.dumps(index))
    (folder / 'ann.csv').write_text(CSV)
    (folder / 'excluded.csv').write_text('v!(1),0902\nw,902\nx,901\n')
    (folder / 'boxes.pkl').write_bytes(pickle.dumps(PROPOSALS))
    write_map(folder / 'map.pbtxt', sit=1, run=2, talk=3)
    return folder


def build(root, pipeline=(), text=None, **kwargs):
    if text is not None:
        (root / 'other.csv').write_text(text)
        kwargs['ann_file'] = 'other.csv'
    frames = 'img' in kwargs.get('data_prefix', {})
    return DATASETS.build({**dict(
        type='OnlineAVADataset', ann_file='ann.csv', data_root=str(root),
        data_prefix=dict(video='videos'), num_classes=4, timestamp_start=900,
        index_file=None if frames else 'index.json',
        pipeline=list(pipeline)), **kwargs})


FOLDERS = dict(data_prefix=dict(img='frames'), fps=10)
SAMPLE = dict(
    type='SampleKeyframeClip', clip_len=4, frame_interval=2, sample_fps=10)
PACK = [dict(type='FormatShape', input_format='NCTHW', collapse=True),
        dict(type='PackActionInputs',
             meta_keys=('img_shape', 'img_key', 'video_id', 'timestamp',
                        'orig_proposals'))]


# -- samples ----------------------------------------------------------------


def test_samples(root):
    dataset = build(root)
    # By video as in the file, then by time.
    assert dataset.stream_keys() == KEYS and dataset.video_ids == ['w',
                                                                   'v!(1)']
    info = dataset[4]
    assert info['filename'] == str(root / 'videos/v!(1).mp4')
    wanted = dict(video_id='v!(1)', timestamp=902, img_key='v!(1),0902',
                  center_frame=20, total_frames=60, fps=10., start_seconds=2.,
                  start_index=0)
    assert {k: info[k] for k in wanted} == wanted
    assert dataset[1]['center_frame'] == 60 and dataset[1]['fps'] == 20.
    np.testing.assert_array_equal(
        info['gt_bboxes'], np.float32([[.1, .2, .3, .4], [.5, .2, .9, .8]]))
    assert info['gt_labels'].tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
    assert info['gt_labels'].dtype == info['gt_bboxes'].dtype == np.float32
    assert info['entity_ids'].tolist() == [0, 5]
    assert 'proposals' not in info
    empty = dataset[2]
    assert empty['gt_bboxes'].shape == empty['gt_labels'].shape == (0, 4)
    # Tests without proposals take the ground truth.
    info = build(root, test_mode=True)[4]
    for key in ('proposals', 'orig_proposals'):
        np.testing.assert_array_equal(info[key], info['gt_bboxes'])
    assert info['scores'].tolist() == [1, 1]


def test_transforms_do_not_reach_the_tables(root):
    dataset = build(root, proposal_file='boxes.pkl')
    for key in ('gt_bboxes', 'gt_labels', 'proposals', 'scores'):
        info = dataset.get_data_info(0)
        info[key][:] = -7
        assert (info['orig_proposals'] >= 0).all()
        assert (dataset.get_data_info(0)[key] >= 0).all()


def test_proposals(root, log):
    dataset = build(root, proposal_file='boxes.pkl')
    assert dataset.stream_keys() == KEYS
    first = dataset[0]
    np.testing.assert_allclose(first['proposals'], [[.1, .1, .5, .5]])
    np.testing.assert_allclose(first['scores'], [.95])
    # None reaches the threshold: the best one; none at all: none.
    np.testing.assert_allclose(dataset[1]['scores'], [.4])
    assert dataset[2]['proposals'].shape == (0, 4)
    assert 'none for 3 keyframes' in log()
    strict = build(root, proposal_file='boxes.pkl', keep_best=False,
                   person_det_score_thr=0.96)
    assert [len(x['proposals']) for x in strict] == [0, 0, 0, 1, 0, 0]
    assert '4 of 5 proposals below person_det_score_thr=0.96' in log()
    one = build(root, proposal_file='boxes.pkl', num_max_proposals=1)
    np.testing.assert_allclose(one[3]['scores'], [.9])
    # Not those of other videos, after the end, or below the threshold.
    more = build(root, proposal_file='boxes.pkl', keyframes='proposals')
    assert more.stream_keys() == [KEYS[0], ('w', 902), *KEYS[1:]]
    assert len(more[1]['gt_bboxes']) == 0 and len(more[1]['proposals']) == 1


def test_proposals_with_swapped_columns(tmp_path, root):
    rows = [(900 + i // 2, (.1 * (i % 2), .2, .1 + .1 * (i % 2), .9))
            for i in range(12)]
    text = ''.join(f'w,{t},{",".join(map(str, box))},2\n' for t, box in rows)
    for order, told in (((0, 1, 2, 3), False), ((1, 0, 3, 2), True)):
        found = {}
        for time, box in rows:
            found.setdefault(f'w,{time:04d}', []).append(box)
        path = tmp_path / 'found.pkl'
        path.write_bytes(pickle.dumps({
            k: np.array(x)[:, order] for k, x in found.items()}))
        # A stretch of time without labels must not be counted.
        dataset = build(root, text=text, proposal_file=str(path),
                        keyframes='all', outside_video='skip')
        run = Run(dict(type='OnlineFastRCNN'),
                  dict(val=dict(dataset=dataset)), {}, ())
        texts = [x.problem for x in boxes_meet_proposals(run)]
        assert len(texts) == told and all(str(path) in x for x in texts)


def test_all_keyframes_and_excluded_ones(root, log):
    dataset = build(root, keyframes='all', test_mode=True)
    assert dataset.stream_keys() == [('w', 900 + i) for i in range(5)] + [
        ('v!(1)', 900 + i) for i in range(6)]
    assert [len(x['gt_bboxes']) for x in dataset] == [
        0, 1, 0, 1, 0, 0, 1, 2, 0, 1, 0]
    dataset = build(root, keyframes='all', keyframe_range=(901, 903),
                    exclude_file='excluded.csv')
    assert dataset.stream_keys() == [
        ('w', 901), ('w', 903), ('w', 904), ('v!(1)', 901), ('v!(1)', 903),
        ('v!(1)', 904)]
    assert '2 keyframes excluded' in log()
    dataset = build(root, keyframes='all', timestamp_end=904)
    assert dataset.stream_keys()[-1] == ('v!(1)', 904)
    (root / 'everything.csv').write_text(
        ''.join(f'{v},{t}\n' for v, t in KEYS))
    with pytest.raises(ValueError, match='no keyframe.*6 are excluded'):
        build(root, exclude_file='everything.csv')


def test_classes(root, log):
    dataset = build(root, label_file='map.pbtxt')
    assert dataset.metainfo['classes'] == ('sit', 'run', 'talk')
    dataset = build(
        root, label_file='map.pbtxt', custom_classes=[3, 1], num_classes=3)
    assert dataset.metainfo['classes'] == ('talk', 'sit')
    assert dataset[1]['gt_labels'].tolist() == [[0, 1, 1]]
    # A label map may list some classes only, as that of the challenge.
    write_map(root / 'few.pbtxt', run=2)
    dataset = build(root, label_file='few.pbtxt')
    assert dataset.metainfo['classes'] == ('class 1', 'run', 'class 3')
    assert '4 of 7 labels' in log()


def test_frame_numbers_as_timestamps(root):
    def centers(text, **kwargs):
        return [x['center_frame'] for x in build(root, text=text, **kwargs)]

    text = 'v!(1),1,0,0,1,1,1\nv!(1),60,0,0,1,1,1\nw,7,0,0,1,1,1\n'
    frames = dict(timestamp_start=1, keyframe_rate='frames')
    assert centers(text, **frames) == [0, 59, 6]
    assert centers(text, keyframes='all', **frames) == [*range(60),
                                                        *range(100)]
    with pytest.raises(ValueError, match='after the end'):
        centers('v!(1),61,0,0,1,1,1\n', **frames)
    # Two keyframes a second.
    assert centers('v!(1),3,0,0,1,1,1\nw,3,0,0,1,1,1\n', timestamp_start=0,
                   keyframe_rate=2) == [15, 30]


# -- pipelines --------------------------------------------------------------


@pytest.mark.parametrize('kwargs, load', [
    # Folders know no rate; this set has one of 10 and one of 20.
    ({}, 'LoadVideoClip'), (FOLDERS, 'RawFrameDecode')])
def test_pipelines_show_the_right_frames(root, kwargs, load):
    dataset = build(
        root, [SAMPLE, dict(type=load), *PACK], test_mode=True,
        text='v!(1),902,.25,0,.5,1,1,1\nv!(1),900,0,0,1,1,1\nv!(1),905\n',
        **kwargs)
    shown, boxes = {}, {}
    for sample in dataset:
        key = sample['data_samples'].img_key
        assert sample['inputs'].shape == (3, 4, 64, 64)
        shown[key] = [read_number(x) for x in sample['inputs'].permute(
            1, 2, 3, 0).numpy()]
        boxes[key] = sample['data_samples']
    assert shown == {'v!(1),0900': [0, 0, 0, 2],
                     'v!(1),0902': [16, 18, 20, 22],
                     'v!(1),0905': [46, 48, 50, 52]}
    found, empty = boxes['v!(1),0902'], boxes['v!(1),0905']
    assert found.gt_instances.bboxes.tolist() == [[16, 0, 32, 64]]
    assert found.proposals.bboxes.tolist() == [[16, 0, 32, 64]]
    assert found.orig_proposals.tolist() == [[.25, 0, .5, 1]]
    assert empty.gt_instances.bboxes.shape == (0, 4)
    assert empty.gt_instances.labels.shape == (0, 4)
    assert empty.proposals.bboxes.shape == (0, 4)


# -- frame folders ----------------------------------------------------------


# -- what is wrong with the input -------------------------------------------


def test_keyframes_outside_of_the_video(root, log):
    text = CSV + 'w,905,0,0,1,1,1\nw,906,0,0,1,1,1\n'
    with pytest.raises(ValueError, match=r"2 of 8 .*'w,0905 \(frame 100 of "
                       r"100\)', .*timestamp_start=900.*outside_video='skip'"):
        build(root, text=text)
    dataset = build(root, text=text, outside_video='skip')
    assert dataset.stream_keys() == KEYS and 'left out' in log()
    # What is excluded need not be there.
    (root / 'late.csv').write_text('w,905\nw,906\n')
    assert build(
        root, text=text, exclude_file='late.csv').stream_keys() == KEYS
    # 15-minute cuts taken for whole films.
    with pytest.raises(ValueError, match='for which timestamp_start=900'):
        build(root, timestamp_start=0)
    with pytest.raises(ValueError, match='no keyframe .* is left'):
        build(root, timestamp_start=0, outside_video='skip')
    # Whole films taken for cuts.
    build(root, timestamp_start=901, timestamp_end=904)
    assert '2 of 2 videos last much longer' in log()
    build(root, text='w,901\nv!(1),901,0,0,1,1,1\n')
    assert "1 of 2 videos have no annotated box: 'w'" in log()


@pytest.mark.parametrize('kwargs, match', [
    (dict(keyframes='proposals'), 'needs a proposal_file'),
    (dict(num_classes=3), "action '3' is no class from 1 to 2"),
    (dict(timestamp_end=800), 'timestamp_end=800.*timestamp_start=900'),
    (dict(timestamp_end=903), 'line .*904.*timestamp_end=903'),
    (dict(custom_classes=[1]), 'num_classes=4 must be 2'),
    (dict(custom_classes=[1, 2, 7], label_file='map.pbtxt'),
     r'custom_classes has \[7\].*map.pbtxt'),
    (dict(label_file='map.pbtxt', num_classes=3), 'up to 3.*num_classes=4'),
    (dict(proposal_file='else.pkl'), 'boxes for 0 of 6 keyframes'),
    (dict(label_file='else.pbtxt', num_classes=10), 'no action of .* class'),
])
def test_bad_values(root, kwargs, match):
    (root / 'else.pkl').write_bytes(
        pickle.dumps({'z,0901': np.ones((1, 5)) * [0, 0, 1, 1, 1]}))
    write_map(root / 'else.pbtxt', x=9)
    with pytest.raises(ValueError, match=match):
        build(root, **kwargs)


# -- sizes ------------------------------------------------------------------


def test_many_keyframes_are_small(tmp_path):
    rng = np.random.default_rng(0)
    lines, found, index = [], {}, {}
    for v in range(1000):
        index[f'{v}.mp4'] = dict(num_frames=3000, fps=25.)
        for t in range(40):
            x = rng.random(2).round(3) / 2
            lines += [f'{v},{t},{x[0]:.3f},{x[1]:.3f},0.8,0.9,{c},0'
                      for c in (3, 12)]
            found[f'{v},{t:04d}'] = np.array([[*x, .8, .9, .95]] * 2)
    (tmp_path / 'ann.csv').write_text('\n'.join(lines))
    (tmp_path / 'index.json').write_text(json.dumps(index))
    (tmp_path / 'boxes.pkl').write_bytes(pickle.dumps(found))
    dataset = OnlineAVADataset(
        'ann.csv', [], data_root=str(tmp_path), index_file='index.json',
        proposal_file='boxes.pkl', missing_video='unchecked')
    assert len(dataset) == 40000
    # As dicts these would be some 40 MB.
    assert len(pickle.dumps(dataset)) < 7e6
