# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
from helpers.videos import read_number, write_video
from mmaction.registry import TRANSFORMS
from mmaction.structures import ActionDataSample

from mmaction_memvit.datasets import VideoClipsDataset
from mmaction_memvit.datasets.video_clips import frames_needed
from mmaction_memvit.models.recognizers.collaborative import _check_lengths

LENGTHS = (10, 20, 21, 22)
CLIP = dict(clip_len=4, frame_interval=5)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos')
    for i, length in enumerate(LENGTHS):
        write_video(folder / f'v {i}.mp4', length, first=1000 * i)
    (folder / 'list.txt').write_text(
        ''.join(f'v {i}.mp4 {i}\n' for i in range(len(LENGTHS))))
    return folder


def make(folder, num_clips=2, test_mode=False, ann_file='list.txt',
         more=(), target_fps=None, **kwargs):
    sample = dict(type='SampleFrames', num_clips=num_clips,
                  test_mode=test_mode, target_fps=target_fps, **CLIP)
    return VideoClipsDataset(
        str(folder / ann_file), [sample, dict(type='LoadVideoClip'), *more],
        data_prefix=dict(video=str(folder)), test_mode=test_mode, **kwargs)


def test_samples(folder):
    dataset = make(folder, test_mode=True)
    assert len(dataset) == len(LENGTHS)
    assert dataset.stream_keys() == [(f'v {i}.mp4', 0) for i in range(4)]
    for i, length in enumerate(LENGTHS):
        got = dataset[i]
        assert (got['total_frames'], got['label'], got['num_clips'],
                got['timestamp'], got['video_id']) == (length, i, 2, 0,
                                                       f'v {i}.mp4')
        assert got['fps'] == got['avg_fps'] == 30
        shown = [read_number(x) for x in got['imgs']]
        assert shown == [1000 * i + x for x in got['frame_inds']]
    # Two clips: at the start, and ending with the video.
    np.testing.assert_array_equal(got['frame_inds'].reshape(2, 4),
                                  [[0, 5, 10, 15], [6, 11, 16, 21]])


@pytest.mark.parametrize('num_clips', [1, 2, 3])
def test_short_videos(folder, num_clips):
    """Left out are those that the model takes for an error."""
    dataset = make(folder, num_clips, short_video='keep')
    kept = [f'v {i}.mp4' for i in range(len(LENGTHS))
            if accepted(dataset[i], num_clips)]
    # 20 frames hold one start of a clip, 21 two.
    assert len(kept) == {1: 4, 2: 2, 3: 1}[num_clips]
    assert make(folder, num_clips, short_video='skip').video_ids == kept
    assert len(make(folder, num_clips, short_video='keep')) == 4
    assert len(make(folder, num_clips, test_mode=True)) == 4
    if len(kept) < 4:
        with pytest.raises(ValueError, match=f'{4 - len(kept)} of 4 .*num_clip'
                           f"s={num_clips}.*10 of {19 + num_clips}.*'skip'"):
            make(folder, num_clips)
    if num_clips == 2:
        # The videos have 30 frames a second.
        assert make(folder, target_fps=60, short_video='skip').video_ids == [
            'v 1.mp4', 'v 2.mp4', 'v 3.mp4']


@pytest.mark.parametrize('fps, target_fps, needed', [
    # 64 frames as in the file, or of as many seconds.
    (60, None, 71), (60, 30, 135), (15, 30, 39), (25, 24, 74), (0, 30, 71),
    (.1, 30, 8)])
def test_different_clips_by_frame_rates(fps, target_fps, needed):
    """As many frames as SampleFrames needs, no more and no less."""
    sizes = dict(
        num_clips=8, clip_len=8, frame_interval=8, target_fps=target_fps)
    assert frames_needed(**sizes, fps=fps) == needed
    step = TRANSFORMS.build(dict(type='SampleFrames', **sizes))
    for total in range(max(needed - 8, 1), needed + 3):
        for _ in range(3):
            results = step(
                dict(total_frames=total, start_index=0, avg_fps=fps))
            assert accepted(results, 8) == (total >= needed)


def accepted(results, num_clips):
    """Whether the model takes what was sampled for different clips."""
    meta = dict(frame_inds=results['frame_inds'], video_id='name')
    try:
        _check_lengths([ActionDataSample(metainfo=meta)], num_clips)
    except ValueError as e:
        assert f'not {num_clips}' in str(e) and 'name' in str(e)
        return False
    return True


SEGMENTS = """v 3.mp4 0.1 0.2 1
v 3.mp4 0.2 0.3 -1
v 1.mp4 0.5 0.6 0
v 3.mp4 0.4 0.6 2
"""


@pytest.mark.parametrize('before, expected', [
    (0, [('v 3.mp4', 1, 3, 3), ('v 3.mp4', 2, 12, 6), ('v 1.mp4', 0, 15, 3)]),
    # As far back as there are frames.
    (.2, [('v 3.mp4', 1, 0, 6), ('v 3.mp4', 2, 6, 12), ('v 1.mp4', 0, 9, 9)]),
])
def test_segments_look_like_videos(folder, before, expected):
    (folder / 'segments.txt').write_text(SEGMENTS)
    dataset = make(folder, 1, True, 'segments.txt', ann_format='segments',
                   before_seconds=before)
    got = [dataset[i] for i in range(len(dataset))]
    assert [(x['video_id'], x['label'], x['start_index'], x['total_frames'])
            for x in got] == expected
    assert len({x['segment_id'] for x in got}) == 3
    assert len(set(dataset.stream_keys())) == 3
    for x in got:
        first, last = x['segment_frames']
        number = 1000 * int(x['video_id'][2])
        shown = [read_number(image) - number for image in x['imgs']]
        assert first <= min(shown) and max(shown) <= last
        assert first == x['start_index']


def test_short_segments(folder):
    (folder / 'segments.txt').write_text(SEGMENTS)
    options = dict(ann_file='segments.txt', ann_format='segments')
    # Of 6, 12 and 9 frames, where two clips of 4 take 5.
    assert len(make(folder, before_seconds=.2, **options,
                    short_video='keep')) == 3
    with pytest.raises(ValueError, match='3 of 3 segments'):
        make(folder, before_seconds=.2, **options)
    with pytest.raises(ValueError, match='before_seconds'):
        make(folder, before_seconds=1)
