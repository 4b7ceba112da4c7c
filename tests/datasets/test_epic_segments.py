# Copyright (c) mmaction_memvit contributors. All rights reserved.
from fractions import Fraction

import cv2
import numpy as np
import pytest
from helpers.epic import write_index, write_info, write_official
from helpers.videos import (
    number_image,
    read_number,
    write_video,
)
from mmaction.registry import DATASETS

from mmaction_memvit.annotations.epic_lists import (
    EpicVideo,
)

NTSC = Fraction(60000, 1001)
VIDEOS = {'P01_01': (240, NTSC), 'P02_102': (200, Fraction(50))}
ROWS = [
    ('P02_102_0', 1.0, 2.0, 3, 4),
    # Not in order of time.
    ('P01_01_0', 1.5, 2.25, 1, 2),
    ('P01_01_1', 0.5, 1.0, 1, 3),
    ('P02_102_1', 1.5, 3.0, 3, 5),
    # Without length, and to the end.
    ('P02_102_2', 3.0, 3.0, 0, 0),
    ('P01_01_2', 3.9, 9.0, 0, 1),
]
PACK = dict(type='PackActionInputs',
            meta_keys=('narration_id', 'video_id', 'timestamp'))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Videos in two layouts, frame folders of one, and lists."""
    folder = tmp_path_factory.mktemp('epic')
    for name, path in (('P01_01', 'P01/videos/P01_01.MP4'),
                       ('P02_102', 'P02/P02_102.MP4')):
        num, rate = VIDEOS[name]
        write_video(folder / path, num, rate=rate, height=32, width=32)
    frames = folder / 'P02' / 'rgb_frames' / 'P02_102'
    frames.mkdir(parents=True)
    for i in range(VIDEOS['P02_102'][0]):
        cv2.imwrite(str(frames / f'frame_{i + 1:010d}.jpg'),
                    number_image(i, 32, 32))
    write_official(folder / 'train.csv', ROWS)
    write_official(folder / 'p02.csv', [r for r in ROWS if 'P02' in r[0]])
    write_official(folder / 'test.csv', [row[:3] for row in ROWS])
    write_info(folder / 'info.csv', **VIDEOS)
    write_index(folder / 'index.json', **VIDEOS)
    return folder


def build(root, ann_file='train.csv', pipeline=(), **kwargs):
    return DATASETS.build(
        dict(type='EpicDataset', ann_file=ann_file, data_root=str(root),
             pipeline=list(pipeline), **kwargs))


def numbers_of(sample):
    """Frames that a packed sample shows."""
    clips = sample['inputs'].permute(0, 2, 3, 4, 1).numpy()
    return [[read_number(image) for image in clip] for clip in clips]


def test_samples(root):
    dataset = build(root, actions='train.csv')
    assert len(dataset) == len(ROWS)
    assert dataset.stream_keys() == [
        ('P02_102', 0), ('P01_01', 1), ('P01_01', 0), ('P02_102', 1),
        ('P02_102', 2), ('P01_01', 2)]
    info = dataset[0]
    assert info['filename'] == str(root / 'P02/P02_102.MP4')
    assert info['narration_id'] == 'P02_102_0'
    assert info['segment_frames'] == (50, 99)
    assert (info['start_index'], info['total_frames']) == (50, 50)
    assert info['fps'] == info['avg_fps'] == 50
    assert info['label'].dtype == np.int64
    # Actions: '0_0', '0_1', '1_2', '1_3', '3_4', '3_5'.
    assert [d['label'].tolist() for d in dataset] == [
        [3, 4, 4], [1, 2, 2], [1, 3, 3], [3, 5, 5], [0, 0, 0], [0, 1, 1]]
    # 59.94 frames a second: 1.5 s is within frame 89, 2.25 s within 134.
    assert dataset[1]['segment_frames'] == (89, 134)
    assert dataset[4]['segment_frames'] == (150, 150)
    # Cut off at the end of the file.
    assert dataset[5]['segment_frames'] == (233, 239)


@pytest.mark.parametrize('pipeline', [
    [dict(type='SampleFrames', clip_len=8, frame_interval=2),
     dict(type='LoadVideoClip')],
    [dict(type='DecordInit'), dict(type='TrimToSegment'),
     dict(type='SampleFrames', clip_len=8, frame_interval=2),
     dict(type='DecordDecode')],
    [dict(type='DecordInit'), dict(type='TrimToSegment'),
     dict(type='UniformSample', clip_len=8), dict(type='DecordDecode')],
    [dict(type='PyAVInit'), dict(type='TrimToSegment'),
     dict(type='SampleFrames', clip_len=4, num_clips=3, test_mode=True),
     dict(type='PyAVDecode')],
    [dict(type='SampleFrames', clip_len=8, frame_interval=2, target_fps=30),
     dict(type='LoadVideoClip')],
], ids=['LoadVideoClip', 'Decord', 'Uniform', 'PyAV', 'target_fps'])
def test_stock_pipelines_stay_in_the_segment(root, pipeline):
    if any(t['type'].startswith('Decord') for t in pipeline):
        pytest.importorskip('decord')
    dataset = build(
        root, pipeline=[
            *pipeline, dict(type='FormatShape', input_format='NCTHW'), PACK])
    plain = build(root)
    for i, sample in enumerate(dataset):
        first, last = plain[i]['segment_frames']
        shown = np.asarray(numbers_of(sample))
        assert shown.min() >= first and shown.max() <= last
        if last - first > 40:
            # Not one frame again and again. UniformSample may draw one twice
            # where two of its parts meet.
            assert len(np.unique(shown)) >= 6
        meta = sample['data_samples'].metainfo
        assert meta['narration_id'] == ROWS[i][0]
        label = sample['data_samples'].gt_label
        assert label.tolist() == [*ROWS[i][3:], -1]


def test_frame_folders(root):
    dataset = build(
        root, 'p02.csv', data_prefix=dict(img=''), video_info_file='info.csv',
        pipeline=[
            dict(type='SampleFrames', clip_len=50, num_clips=1),
            dict(type='RawFrameDecode'),
            dict(type='FormatShape', input_format='NCTHW'), PACK])
    info = dataset.get_data_info(0)
    assert info['frame_dir'] == str(root / 'P02/rgb_frames/P02_102')
    # Frame 50 is called 51.
    assert info['start_index'] == 51 and info['total_frames'] == 50
    assert info['fps'] == 50
    assert numbers_of(dataset[0]) == [list(range(50, 100))]


@pytest.mark.parametrize('num, expected', [(49520, 59940 / 1000),
                                           (49570, 60.), (41308, 50.)])
def test_rate_of_frames(num, expected):
    info = EpicVideo(826.16, 59.94, 1, 1)
    assert info.frame_rate(num) == expected


def test_anticipation_sees_no_later_frame(root, log):
    dataset = build(root, task='anticipation', observed=1.)
    # P01_01_1 starts at 0.5 s, P02_102_0 at 1 s exactly.
    assert [d['narration_id'] for d in dataset] == [
        'P01_01_0', 'P02_102_1', 'P02_102_2', 'P01_01_2']
    assert '2 segments start less than 1 s after' in log()
    starts = {row[0]: row[1] for row in ROWS}
    for info in dataset:
        first, last = info['segment_frames']
        rate = VIDEOS[info['video_id']][1]
        end = Fraction(str(starts[info['narration_id']])) - 1
        assert Fraction(last) / rate <= end < Fraction(last + 1) / rate
        assert last - first + 1 == min(round(rate), last + 1)
    with pytest.raises(ValueError, match='observed=None'):
        build(root, task='anticipation')
    with pytest.raises(ValueError, match='tau_a=-1'):
        build(root, task='anticipation', observed=1., tau_a=-1)


def test_missing_and_odd_segments(tmp_path, log):
    names = write_official(tmp_path / 'a.csv', [
        ('P01_01_0', 1, 2, 0, 0), ('P01_01_1', None, 2, 0, 0),
        ('P01_01_2', 99, 100, 0, 0), ('P09_01_0', 1, 2, 0, 0)])
    index = write_index(tmp_path / 'i.json', P01_01=(240, 60))
    options = dict(index_file=index, missing_video='unchecked')
    with pytest.raises(FileNotFoundError, match='P09_01'):
        build('', names, index_file=index)
    with pytest.raises(ValueError, match=r'lacks 1 of 2 videos.*P09_01'):
        build('', names, **options)
    assert "1 segments without start or stop, left out: 'P01_01_1'" in log()
    # Nothing is there, so that all is left out.
    with pytest.raises(ValueError, match='no video .* is left'):
        build('', names, index_file=index, missing_video='skip')
    info = write_info(tmp_path / 'info.csv', P01_01=(240, 60))
    with pytest.raises(ValueError, match='not in the video list'):
        build('', names, video_info_file=info, **options)
    skip = dict(video_info_file=info,
                ann_options=dict(unknown_video='skip'), **options)
    dataset = build('', names, **skip)
    assert [d['narration_id'] for d in dataset] == ['P01_01_0', 'P01_01_2']
    # The last frame stands for what is after the end.
    assert dataset[1]['segment_frames'] == (239, 239)
    assert '1 of 2 segments' in log() and 'show its last frame' in log()
    dataset = build('', names, outside_video='skip', **skip)
    assert [d['narration_id'] for d in dataset] == ['P01_01_0']
    with pytest.raises(ValueError, match='start after the end'):
        build('', names, outside_video='error', **skip)


def test_longer_than_listed(root, log):
    write_info(root / 'long.csv', P01_01=(480, NTSC), P02_102=(200, 50))
    build(root, video_info_file='long.csv')
    assert '1 of 2 videos do not last as long' in log()
    assert 'P01_01 (4.00 s, listed 8.01 s)' in log()


@pytest.mark.parametrize('options, message', [
    (dict(data_prefix=dict(img='')), 'need a video_info_file'),
    (dict(task='detection'), "task='detection'"),
    (dict(observed=2), "for task='anticipation' only"),
    (dict(outside_video='no'), 'outside_video'),
    (dict(num_nouns=5), "noun class '5'.* 0 to 4"),
])
def test_bad_arguments(root, options, message):
    with pytest.raises(ValueError, match=message):
        build(root, **options)


def test_observed_frames_and_what_they_show(root):
    dataset = build(
        root, actions='train.csv', task='anticipation', tau_a=0.5,
        observed=2., pipeline=[
            dict(type='SampleObservedFrames', clip_len=4,
                 interval_seconds=0.5)])
    found = {x['narration_id']: x for x in dataset}
    # From the first frame on: it is repeated.
    expected = {
        'P02_102_1': ([0, 0, 25, 50], [None, None, None, (3, 4, 4)]),
        # What has started last, of two.
        'P02_102_2': ([50, 75, 100, 125], [(3, 4, 4), *[(3, 5, 5)] * 3]),
        # 59.94 frames a second; a segment ends at its stop.
        'P01_01_0': ([0, 0, 29, 59], [None, None, None, (1, 3, 3)])}
    for name, (frames, labels) in expected.items():
        info = found[name]
        own, = (row[3:] for row in ROWS if row[0] == name)
        assert info['frame_inds'].tolist() == frames
        rows = [list(x or (-1, -1, -1)) for x in labels]
        assert info['label'][:-1].tolist() == rows
        assert info['label'][-1, :2].tolist() == [*own]
        assert (info['clip_len'], info['num_clips']) == (4, 1)
    # Not a frame of what comes.
    for name, info in found.items():
        start, = (row[1] for row in ROWS if row[0] == name)
        assert info['frame_inds'].max() / info['fps'] <= start - 0.5
    plain = build(
        root, task='anticipation', observed=2., pipeline=[
            dict(type='SampleObservedFrames', clip_len=1, label_frames=False)])
    assert plain[0]['label'].shape == (3, )
    with pytest.raises(KeyError, match='segment_times'):
        build(root, pipeline=[
            dict(type='SampleObservedFrames', clip_len=1)])[0]
