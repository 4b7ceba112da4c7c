# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import pickle

import cv2
import numpy as np
import pytest
from helpers.videos import (
    need_shared_data,
    number_image,
    read_number,
    write_video,
)
from mmaction.registry import DATASETS

from mmaction_memvit.datasets import OnlineAVADataset
from mmaction_memvit.video import VideoReadError, probe_video

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
PROPOSALS = {
    'w,0901': np.array([[.1, .1, .5, .5, .95], [0, 0, 1, 1, .2]]),
    'w,0902': np.array([[0, 0, 1, 1, .99]]),
    'w,0903': np.array([[0, 0, .5, 1, .4]]),
    'v!(1),0901': np.array([[.2, .2, .5, .5, .9], [.1, .2, .3, .4, .97]]),
    'v!(1),0903': np.array([[0, 0, 1, 1, .3]]),
    'v!(1),0959': np.array([[0, 0, 1, 1, .99]]),
    'other,0901': np.array([[0, 0, 1, 1, .99]]),
}


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
            cv2.imwrite(
                str(frames / f'img_{i + 1:05}.jpg'), number_image(i))
    (folder / 'index.json').write_text(json.dumps(index))
    (folder / 'ann.csv').write_text(CSV)
    (folder / 'excluded.csv').write_text('v!(1),0902\nw,902\nx,901\n')
    (folder / 'boxes.pkl').write_bytes(pickle.dumps(PROPOSALS))
    (folder / 'map.pbtxt').write_text(''.join(
        f'item {{\n  name: "{n}"\n  id: {i}\n}}\n'
        for i, n in ((1, 'sit'), (2, 'run'), (3, 'talk'))))
    return folder


def build(root, pipeline=(), text=None, **kwargs):
    if text is not None:
        (root / 'other.csv').write_text(text)
        kwargs['ann_file'] = 'other.csv'
    config = dict(
        type='OnlineAVADataset',
        ann_file='ann.csv',
        data_root=str(root),
        data_prefix=dict(video='videos'),
        index_file='index.json',
        num_classes=4,
        timestamp_start=900,
        pipeline=list(pipeline))
    if 'img' in kwargs.get('data_prefix', {}):
        config['index_file'] = None
    return DATASETS.build({**config, **kwargs})


FOLDERS = dict(data_prefix=dict(img='frames'), fps=10)
META = ('img_shape', 'img_key', 'video_id', 'timestamp', 'orig_proposals')
SAMPLE = dict(
    type='SampleKeyframeClip', clip_len=4, frame_interval=2, sample_fps=10)
PACK = [
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=META)
]


# -- samples ----------------------------------------------------------------


def test_samples(root):
    dataset = build(root)
    # By video as in the file, then by time.
    assert dataset.stream_keys() == KEYS and len(dataset) == 6
    assert dataset.video_ids == ['w', 'v!(1)']
    info = dataset[4]
    assert info['video_id'] == 'v!(1)' and info['timestamp'] == 902
    assert info['img_key'] == 'v!(1),0902'
    assert info['filename'] == str(root / 'videos/v!(1).mp4')
    assert (info['center_frame'], info['total_frames'], info['fps']) == (
        20, 60, 10.)
    assert info['start_seconds'] == 2. and dataset[1]['start_seconds'] == 3.
    assert dataset[1]['center_frame'] == 60 and dataset[1]['fps'] == 20.
    assert info['start_index'] == 0 and info['modality'] == 'RGB'
    np.testing.assert_array_equal(
        info['gt_bboxes'], np.float32([[.1, .2, .3, .4], [.5, .2, .9, .8]]))
    assert info['gt_labels'].tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
    assert info['gt_labels'].dtype == info['gt_bboxes'].dtype == np.float32
    assert info['entity_ids'].tolist() == [0, 5]
    assert 'proposals' not in info
    empty = dataset[2]
    assert empty['gt_bboxes'].shape == (0, 4)
    assert empty['gt_labels'].shape == (0, 4)


def test_transforms_do_not_reach_the_tables(root):
    dataset = build(root, proposal_file='boxes.pkl')
    for key in ('gt_bboxes', 'gt_labels', 'proposals', 'scores'):
        info = dataset.get_data_info(0)
        info[key][:] = -7
        assert (info['orig_proposals'] >= 0).all()
        assert (dataset.get_data_info(0)[key] >= 0).all()


def test_test_mode_takes_ground_truth_boxes(root):
    info = build(root, test_mode=True)[4]
    np.testing.assert_array_equal(info['proposals'], info['gt_bboxes'])
    np.testing.assert_array_equal(info['orig_proposals'], info['gt_bboxes'])
    assert info['proposals'] is not info['gt_bboxes']
    assert info['scores'].tolist() == [1, 1]


def test_proposals(root, log):
    dataset = build(root, proposal_file='boxes.pkl')
    assert dataset.stream_keys() == KEYS
    first = dataset[0]
    np.testing.assert_allclose(first['proposals'], [[.1, .1, .5, .5]])
    np.testing.assert_array_equal(first['orig_proposals'], first['proposals'])
    np.testing.assert_allclose(first['scores'], [.95])
    # None reaches the threshold: the best one; none at all: none.
    np.testing.assert_allclose(dataset[1]['scores'], [.4])
    assert dataset[2]['proposals'].shape == (0, 4)
    assert len(dataset[3]['proposals']) == 2
    assert 'none for 3 keyframes' in log()
    strict = build(
        root, proposal_file='boxes.pkl', keep_best=False,
        person_det_score_thr=0.96)
    assert [len(strict[i]['proposals']) for i in range(6)] == [0] * 3 + [
        1, 0, 0]
    one = build(root, proposal_file='boxes.pkl', num_max_proposals=1)
    np.testing.assert_allclose(one[3]['scores'], [.9])


def test_keyframes_with_proposals(root):
    dataset = build(root, proposal_file='boxes.pkl', keyframes='proposals')
    # Not those of other videos, after the end, or below the threshold.
    assert dataset.stream_keys() == [KEYS[0], ('w', 902), *KEYS[1:]]
    info = dataset[1]
    assert info['gt_bboxes'].shape == (0, 4) and len(info['proposals']) == 1
    assert info['gt_labels'].shape == (0, 4) and info['center_frame'] == 40


def test_all_keyframes(root, log):
    dataset = build(root, keyframes='all', test_mode=True)
    assert dataset.stream_keys() == [
        ('w', 900 + i) for i in range(5)
    ] + [('v!(1)', 900 + i) for i in range(6)]
    assert [len(dataset[i]['gt_bboxes']) for i in range(11)] == [
        0, 1, 0, 1, 0, 0, 1, 2, 0, 1, 0]
    dataset = build(
        root, keyframes='all', keyframe_range=(901, 903),
        exclude_file='excluded.csv')
    assert dataset.stream_keys() == [
        ('w', 901), ('w', 903), ('w', 904), ('v!(1)', 901), ('v!(1)', 903),
        ('v!(1)', 904)]
    assert '2 keyframes excluded' in log()
    dataset = build(root, keyframes='all', timestamp_end=904)
    assert dataset.stream_keys()[-1] == ('v!(1)', 904)


def test_excluded_timestamps(root, log):
    dataset = build(root, exclude_file='excluded.csv')
    assert dataset.stream_keys() == KEYS[:4] + KEYS[5:]
    assert '1 keyframes excluded' in log()
    everything = ''.join(f'{v},{t}\n' for v, t in KEYS)
    (root / 'everything.csv').write_text(everything)
    with pytest.raises(ValueError, match='no keyframe.*6 are excluded'):
        build(root, exclude_file='everything.csv')


def test_classes(root, log):
    dataset = build(root, label_file='map.pbtxt')
    assert dataset.metainfo['classes'] == ('sit', 'run', 'talk')
    dataset = build(
        root, label_file='map.pbtxt', custom_classes=[3, 1], num_classes=3)
    assert dataset.metainfo['classes'] == ('talk', 'sit')
    assert dataset[1]['gt_labels'].tolist() == [[0, 1, 1]]
    assert '3 rows of classes that are not in custom_classes' in log()
    # A label map may list some classes only, as that of the challenge.
    (root / 'few.pbtxt').write_text('item {\n  name: "run"\n  id: 2\n}\n')
    dataset = build(root, label_file='few.pbtxt')
    assert dataset.metainfo['classes'] == ('class 1', 'run', 'class 3')
    assert '4 of 7 labels' in log()


def test_frame_numbers_as_timestamps(root):
    text = 'v!(1),1,0,0,1,1,1\nv!(1),60,0,0,1,1,1\nw,7,0,0,1,1,1\n'
    dataset = build(
        root, text=text, timestamp_start=1, keyframe_rate='frames')
    assert [dataset[i]['center_frame'] for i in range(3)] == [0, 59, 6]
    with pytest.raises(ValueError, match='after the end'):
        build(root, text='v!(1),61,0,0,1,1,1\n', timestamp_start=1,
              keyframe_rate='frames')
    every = build(
        root, text=text, timestamp_start=1, keyframe_rate='frames',
        keyframes='all')
    assert len(every) == 160
    # Two keyframes a second.
    dataset = build(
        root, text='v!(1),3,0,0,1,1,1\nw,3,0,0,1,1,1\n', timestamp_start=0,
        keyframe_rate=2)
    assert [dataset[i]['center_frame'] for i in range(2)] == [15, 30]


# -- pipelines --------------------------------------------------------------


@pytest.mark.parametrize('kind', ['video', 'frames'])
def test_pipelines_show_the_right_frames(root, kind):
    if kind == 'video':
        kwargs, load = {}, dict(type='LoadVideoClip')
    else:
        # Folders know no rate; this set has one of 10 and one of 20.
        kwargs, load = FOLDERS, dict(type='RawFrameDecode')
    dataset = build(
        root, [SAMPLE, load, *PACK], test_mode=True,
        text='v!(1),902,.25,0,.5,1,1,1\nv!(1),900,0,0,1,1,1\nv!(1),905\n',
        **kwargs)
    shown, boxes = {}, {}
    for i in range(3):
        sample = dataset[i]
        meta = sample['data_samples'].metainfo
        assert sample['inputs'].shape == (3, 4, 64, 64)
        shown[meta['img_key']] = [
            read_number(x)
            for x in sample['inputs'].permute(1, 2, 3, 0).numpy()
        ]
        boxes[meta['img_key']] = sample['data_samples']
    assert shown == {
        'v!(1),0900': [0, 0, 0, 2],
        'v!(1),0902': [16, 18, 20, 22],
        'v!(1),0905': [46, 48, 50, 52]}
    data_sample = boxes['v!(1),0902']
    assert data_sample.gt_instances.bboxes.tolist() == [[16, 0, 32, 64]]
    assert data_sample.proposals.bboxes.tolist() == [[16, 0, 32, 64]]
    assert data_sample.metainfo['orig_proposals'].tolist() == [
        [.25, 0, .5, 1]]
    empty = boxes['v!(1),0905']
    assert empty.gt_instances.bboxes.shape == (0, 4)
    assert empty.gt_instances.labels.shape == (0, 4)
    assert empty.proposals.bboxes.shape == (0, 4)


def test_training_pipeline(root):
    pipeline = [
        dict(SAMPLE, perturb=True),
        dict(type='LoadVideoClip'),
        dict(
            type='PerVideoAugment',
            transforms=[
                dict(type='RandomRescale', scale_range=(40, 60)),
                dict(type='RandomCrop', size=32),
                dict(type='Flip', flip_ratio=0.5),
            ]),
        dict(type='DropLostBoxes'),
        dict(type='ColorJitter', brightness=.4, contrast=.4, saturation=.4,
             hue=0.),
        *PACK,
    ]
    kwargs = dict(proposal_file='boxes.pkl', keyframes='all')
    dataset = build(root, pipeline, **kwargs)
    again = build(root, pipeline, **kwargs)
    for data in (dataset, again):
        data.set_epoch(2)
    np.random.seed(3)
    for i in range(len(dataset)):
        one, two = dataset[i], again[i]
        # What is drawn depends on seed, epoch and index alone.
        assert (one['inputs'] == two['inputs']).all()
        assert one['inputs'].shape == (3, 4, 32, 32)
        gt = one['data_samples'].gt_instances
        assert len(gt.bboxes) == len(gt.labels)
        assert gt.labels.shape[1] == 4
        proposals = one['data_samples'].proposals.bboxes
        assert len(proposals) == len(
            one['data_samples'].metainfo['orig_proposals'])
        for boxes in (gt.bboxes, proposals):
            assert ((boxes >= 0) & (boxes <= 32)).all()
    again.set_epoch(3)
    assert any((dataset[i]['inputs'] != again[i]['inputs']).any()
               for i in range(len(dataset)))


# -- frame folders ----------------------------------------------------------


def test_frame_folders(root, log):
    dataset = build(root, **FOLDERS)
    info = dataset[4]
    assert info['frame_dir'] == str(root / 'frames/v!(1)')
    assert 'filename' not in info
    assert (info['total_frames'], info['fps'], info['start_index']) == (
        60, 10., 1)
    assert info['filename_tmpl'] == 'img_{:05}.jpg'
    assert dataset[0]['total_frames'] == 100
    with pytest.raises(FileNotFoundError, match='2 of 2 frame folders.*img_'):
        build(root, **{**FOLDERS, 'data_prefix': dict(img='nowhere')})
    text = CSV + 'x,901,0,0,1,1,1\n'
    with pytest.raises(FileNotFoundError, match="1 of 3.*x'.*'skip'"):
        build(root, text=text, **FOLDERS)
    dataset = build(root, text=text, missing_video='skip', **FOLDERS)
    assert dataset.stream_keys() == KEYS and 'left out' in log()


def test_frame_folders_that_nobody_looks_for(root):
    (root / 'frames.json').write_text(
        json.dumps({v: dict(num_frames=99, fps=15.) for v in ('w', 'v!(1)')}))
    kwargs = dict(data_prefix=dict(img='nowhere'), missing_video='unchecked',
                  index_file='frames.json')
    dataset = build(root, **kwargs)
    assert (dataset[0]['total_frames'], dataset[0]['fps'],
            dataset[0]['center_frame']) == (99, 15., 15)
    # Where it is to look, the last frame must be there.
    kwargs.update(data_prefix=dict(img='frames'), missing_video='error')
    with pytest.raises(FileNotFoundError, match="1 of 2 .*fewer.*1.'"):
        build(root, **kwargs)


# -- what is wrong with the input -------------------------------------------


def test_keyframes_outside_of_the_video(root, log):
    text = CSV + 'w,905,0,0,1,1,1\nw,906,0,0,1,1,1\n'
    with pytest.raises(
            ValueError,
            match=r"2 of 8 keyframes .*'w,0905 \(frame 100 of 100\)', .*"
            r"'w,0906.*timestamp_start=900.*outside_video='skip'"):
        build(root, text=text)
    dataset = build(root, text=text, outside_video='skip')
    assert dataset.stream_keys() == KEYS
    assert '2 of 8 keyframes' in log() and 'left out' in log()
    # What is excluded need not be there.
    (root / 'late.csv').write_text('w,905\nw,906\n')
    assert build(
        root, text=text, exclude_file='late.csv').stream_keys() == KEYS
    # 15-minute cuts taken for whole films.
    with pytest.raises(ValueError, match='for which timestamp_start=900'):
        build(root, timestamp_start=0)
    with pytest.raises(ValueError, match='no keyframe .* is left'):
        build(root, timestamp_start=0, outside_video='skip')


def test_videos_without_boxes_are_told(root, log):
    (root / 'one.csv').write_text('w,901\n')
    build(root, text='w,901\nv!(1),901,0,0,1,1,1\n',
          data_prefix=dict(video='nowhere'), missing_video='unchecked')
    assert "1 of 2 videos have no annotated box: 'w'" in log()
    with pytest.raises(ValueError, match='no keyframe'):
        build(root, text='w,901\n', exclude_file='one.csv')


@pytest.mark.parametrize('kwargs, match', [
    (dict(keyframes='some'), "keyframes='some'.*'annotated'"),
    (dict(keyframes='proposals'), 'needs a proposal_file'),
    (dict(num_classes=1), 'num_classes=1'),
    (dict(num_classes=3), "action '3' is no class from 1 to 2"),
    (dict(timestamp_end=800), 'timestamp_end=800.*timestamp_start=900'),
    (dict(timestamp_end=903), 'line .*904.*timestamp_end=903'),
    (dict(keyframe_rate=0), 'keyframe_rate=0'),
    (dict(fps=0), 'fps=0'),
    (dict(custom_classes=[1]), 'num_classes=4 must be 2'),
    (dict(custom_classes=[1, 1, 2]), 'different ids'),
    (dict(custom_classes=[1, 2, 7], label_file='map.pbtxt'),
     r'custom_classes has \[7\].*map.pbtxt'),
    (dict(label_file='map.pbtxt', num_classes=3), 'up to 3.*num_classes=4'),
])
def test_bad_values(root, kwargs, match):
    with pytest.raises(ValueError, match=match):
        build(root, **kwargs)


def test_files_of_another_set(root):
    (root / 'else.pkl').write_bytes(
        pickle.dumps({'z,0901': np.ones((1, 5)) * [0, 0, 1, 1, 1]}))
    with pytest.raises(ValueError, match='boxes for 0 of 6 keyframes'):
        build(root, proposal_file='else.pkl')
    (root / 'else.pbtxt').write_text('item {\n  name: "x"\n  id: 9\n}\n')
    with pytest.raises(ValueError, match='no action of .* is a class of'):
        build(root, label_file='else.pbtxt', num_classes=10)


def test_failures(root, log):
    (root / 'long.json').write_text(
        json.dumps({v: dict(num_frames=500, fps=10.) for v in ('w', 'v!(1)')}))
    kwargs = dict(
        data_prefix=dict(img='frames'), index_file='long.json',
        missing_video='unchecked',
        pipeline=[SAMPLE, dict(type='RawFrameDecode'), *PACK],
        text='w,902\nw,903\nw,904\nv!(1),910,0,0,1,1,1\n')
    dataset = build(root, **kwargs)
    assert dataset[3]['data_samples'].video_id == 'w'
    assert set(dataset.failure_counts()) == {'v!(1)'}
    assert log().count("1)': keyframe 910") == 1
    with pytest.raises(VideoReadError, match='keyframe 910'):
        build(root, test_mode=True, **kwargs)[3]


# -- sizes ------------------------------------------------------------------


def test_real_annotations(tmp_path, log):
    folder = need_shared_data('ava')
    ann_file = folder / 'ava_train_21videos_pose14.csv'
    videos = {x.split(',')[0] for x in ann_file.read_text().splitlines()}
    (tmp_path / 'index.json').write_text(
        json.dumps({
            f'{v}.mkv': dict(num_frames=27000, fps=30., width=8, height=8)
            for v in videos
        }))
    kwargs = dict(
        exclude_file=str(folder / 'ava_train_excluded_timestamps_v2.2.csv'),
        label_file=str(folder / 'ava_action_list_v2.2.pbtxt'),
        index_file=str(tmp_path / 'index.json'),
        missing_video='unchecked',
        timestamp_start=900,
        timestamp_end=1800)
    dataset = OnlineAVADataset(str(ann_file), [], **kwargs)
    keys = dataset.stream_keys()
    assert len(dataset) == len(set(keys)) == 15183
    assert len(dataset.video_ids) == 21
    assert 'with 26118 boxes' in log()
    assert len(dataset.metainfo['classes']) == 80
    assert {t for _, t in keys} <= set(range(902, 1799))
    info = dataset[0]
    assert info['center_frame'] == (info['timestamp'] - 900) * 30
    assert info['gt_labels'].shape[1] == 81
    every = OnlineAVADataset(
        str(ann_file), [], keyframes='all', keyframe_range=(902, 1798),
        **kwargs)
    excluded = {
        tuple(x.split(','))
        for x in (folder / 'ava_train_excluded_timestamps_v2.2.csv'
                  ).read_text().split()
    }
    excluded = {(v, int(t)) for v, t in excluded if v in videos}
    assert excluded
    assert set(every.stream_keys()) == {
        (v, t) for v in videos for t in range(902, 1799)} - excluded


def test_many_keyframes_are_small(tmp_path):
    rng = np.random.default_rng(0)
    num, videos = 40, 1000
    lines, found, index = [], {}, {}
    for v in range(videos):
        index[f'{v}.mp4'] = dict(
            num_frames=3000, fps=25., width=8, height=8)
        for t in range(num):
            x = rng.random(2).round(3) / 2
            lines += [
                f'{v},{t},{x[0]:.3f},{x[1]:.3f},0.8,0.9,{c},0'
                for c in (3, 12)
            ]
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
