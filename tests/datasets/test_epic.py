# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from helpers.calls import count_calls
from helpers.epic import write_index, write_info, write_official
from helpers.videos import need_shared_data, read_number, write_video
from mmaction.registry import DATASETS

from mmaction_memvit.annotations.epic_lists import read_epic_video_info
from mmaction_memvit.evaluation.metrics import EpicRecognitionMetric

NTSC = Fraction(60000, 1001)
# 10.01 s and 7.5 s.
VIDEOS = {'P01_01': (600, NTSC), 'P02_102': (375, Fraction(50))}
ROWS = [
    ('P01_01_0', 0.50, 1.10, 1, 2),
    # Overlaps the one before, is longer, and holds the next one.
    ('P01_01_1', 1.00, 4.00, 2, 3),
    ('P01_01_2', 2.00, 2.40, 3, 0),
    # Within the first second.
    ('P01_01_3', 0.90, 1.00, 3, 1),
    ('P01_01_4', 9.00, 10.01, 1, 1),
    ('P02_102_0', 6.00, 7.00, 0, 0),
    ('P02_102_1', 6.00, 7.00, 0, 4),
    ('P02_102_2', 5.21, 5.21, 1, 4),
]
CLIP = dict(clip_len=4, frame_interval=3)
SPAN = Fraction(4, 10)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('epic')
    write_official(folder / 'train.csv', ROWS)
    write_official(folder / 'test.csv', [row[:3] for row in ROWS])
    write_index(folder / 'index.json', **VIDEOS)
    write_info(folder / 'info.csv', **VIDEOS)
    return folder


def build(root, ann_file='train.csv', **kwargs):
    kwargs = {'pipeline': [], 'index_file': 'index.json',
              'missing_video': 'unchecked', **CLIP, **kwargs}
    return DATASETS.build(dict(type='OnlineEpicDataset', ann_file=ann_file,
                               data_root=str(root), **kwargs))


def test_clips_follow_one_another(root):
    dataset = build(root)
    # 10.01 s make 25 clips of 0.4 s and 0.01 s, which is less than a frame
    # interval; 7.5 s make 18 and 0.3 s.
    assert dataset.stream_keys() == [('P01_01', i) for i in range(25)] + [
        ('P02_102', i) for i in range(19)]
    assert len(dataset) == 44
    for info in dataset:
        num, rate = VIDEOS[info['video_id']]
        start = SPAN * info['timestamp']
        # The frame that is on screen at the instant, and no later one.
        instants = [start + Fraction(k, 10) for k in range(4)]
        frames = [min(int(t * rate), num - 1) for t in instants]
        assert info['frame_inds'].tolist() == frames
        assert info['clip_range'] == (frames[0], frames[-1])
        assert info['start_seconds'] == pytest.approx(float(start))
        assert info['fps'] == float(rate) and info['total_frames'] == num
    times = np.concatenate([d['token_times'] for d in dataset][:25])
    np.testing.assert_allclose(times[:, 0], np.arange(50) / 5)
    np.testing.assert_allclose(times[:, 1], np.arange(1, 51) / 5)
    # The last token of the other video shows the repeated last frame only
    # in its second half; it ends with the video.
    np.testing.assert_allclose(
        dataset[43]['token_times'], [[7.2, 7.4], [7.4, 7.5]])
    assert dataset[43]['frame_inds'].tolist() == [360, 365, 370, 374]
    # By frames of the file, up to tokens of padding.
    info = build(root, 'test.csv', sample_fps=None, clip_len=8,
                 frame_interval=30)[4]
    assert info['frame_inds'].tolist() == [
        240, 270, 300, 330, 360, 374, 374, 374]
    np.testing.assert_allclose(info['token_times'], [
        [4.8, 6], [6, 7.2], [7.2, 7.5], [np.nan] * 2])
    assert info['label'].tolist() == [[-1] * 3] * 4


def test_recognition_labels(root):
    dataset = build(root, actions='train.csv')
    found = {(d['video_id'], round(float(t[0]), 1)): label for d in dataset
             for t, label in zip(d['token_times'], d['label'].tolist())
             if max(label) >= 0}
    # Actions: 0_0, 0_4, 1_1, 1_2, 1_4, 2_3, 3_0, 3_1.
    a, b, c, e = [1, 2, 3], [2, 3, 5], [3, 0, 6], [1, 1, 2]
    expected = {('P01_01', 0.4): a,
                ('P01_01', 0.6): a,
                # All of it is a; half of it is segment 3, which is not more.
                ('P01_01', 0.8): a,
                # Half a, all b.
                **{('P01_01', round(1 + .2 * i, 1)): b for i in range(15)},
                # Of equal shares the one that started later.
                ('P01_01', 2.0): c,
                ('P01_01', 2.2): c,
                **{('P01_01', round(9 + .2 * i, 1)): e for i in range(5)},
                # Of equal segments the first in the list.
                **{('P02_102', round(6 + .2 * i, 1)): [0, 0, 0]
                   for i in range(5)}}
    assert found == expected


def test_anticipation_labels(root):
    dataset = build(root, task='anticipation', tau_a=1.)
    found = {(d['video_id'], round(float(t[1]), 1)): label[:2] for d in dataset
             for t, label in zip(d['token_times'], d['label'].tolist())
             if max(label) >= 0}
    expected = {('P01_01', round(.2 * i, 1)): [2, 3] for i in range(1, 15)}
    # At 1.0 s begins what is annotated from 2.0 to 2.4 s.
    expected.update({('P01_01', 1.0): [3, 0], ('P01_01', 1.2): [3, 0]})
    expected.update({('P01_01', round(8 + .2 * i, 1)): [1, 1]
                     for i in range(6)})
    expected.update({('P02_102', round(5 + .2 * i, 1)): [0, 0]
                     for i in range(5)})
    assert found == expected


def test_max_idle(root, log):
    dataset = build(root, max_idle=0.)
    near = [p for p in range(25)
            if p * .4 <= 4.0 and p * .4 + .4 >= .5 or p * .4 + .4 >= 9]
    keys = dataset.stream_keys()
    assert [p for v, p in keys if v == 'P01_01'] == near
    assert 'are left out' in log()
    # Positions stay, so that the bank sees the gap.
    assert np.diff(near).max() == 12
    whole = build(root)
    by_key = {k: i for i, k in enumerate(whole.stream_keys())}
    for i, key in enumerate(keys):
        mine, its = dataset[i], whole[by_key[key]]
        assert mine['frame_inds'].tolist() == its['frame_inds'].tolist()
        assert torch.equal(mine['label'], its['label'])
    # A distance that is just enough.
    positions = [p for v, p in build(root, max_idle=1.).stream_keys()
                 if v == 'P01_01']
    assert positions == [*range(13), *range(19, 25)]
    # In anticipation counts where a segment is to be anticipated.
    positions = [p for v, p in build(
        root, max_idle=0., task='anticipation', tau_a=3.).stream_keys()
        if v == 'P01_01']
    assert positions == [*range(3), *range(14, 18)]
    # No labelled token is lost, and all segments can still be scored.
    kept = sum((d['label'] >= 0).sum() for d in dataset)
    assert kept == sum((d['label'] >= 0).sum() for d in whole)


@pytest.mark.parametrize('options', [
    dict(), dict(clip_stride=5), dict(num_tokens=1), dict(sample_fps=None),
    # Frames between the clips are not shown.
    dict(clip_stride=20),
])
def test_max_idle_keeps_the_tokens_that_answer(root, tmp_path, options):
    """A segment is answered by a token that ends up to one token early."""
    # 0.4 s is a clip and 0.2 s a token: 1.95 - 1 is in the first token of
    # clip 2, so that the last token of clip 1 answers.
    rows = [('P01_01_0', 1.95, 2.00, 1, 2), ('P01_01_1', 5.79, 6.00, 1, 2),
            ('P02_102_0', 4.01, 4.03, 0, 0)]
    ann_file = write_official(tmp_path / 'few.csv', rows)
    options = dict(task='anticipation', ann_file=ann_file, **options)
    whole = build(root, **options)
    dataset = build(root, max_idle=0., **options)
    kept = set(dataset.stream_keys())
    assert len(kept) < len(whole) / 2
    for name, start, *_ in rows:
        video = name.rpartition('_')[0]
        # Of equally late tokens the first answers.
        ends = [(end, -i) for i, info in enumerate(whole)
                if info['video_id'] == video
                for end in info['token_times'][:, 1].round(6)
                if end <= start - 1 + 1e-6]
        answer = whole[-max(ends)[1]]
        assert (video, answer['timestamp']) in kept


@pytest.mark.parametrize('stride', [5, 6, 7, 12, 20])
def test_every_instant_is_answered_once(root, stride):
    """Tokens that score end after all frames that the memory can hold."""
    dataset = build(root, task='anticipation', clip_stride=stride)
    covered = 0.
    for info in dataset:
        if info['timestamp'] == 0:
            covered = 0.
        times = info['token_times']
        ends = times[np.isfinite(times).all(1), 1]
        assert (ends > covered - 1e-9).all()
        assert (info['label'].numpy()[np.isnan(times[:, 0])] == -1).all()
        covered = info['timestamp'] * stride / 30 + .4
    recognition = build(root, clip_stride=stride)
    assert np.isfinite(recognition[5]['token_times']).all()


# -- with loaders, files and the real lists ---------------------------------


def test_recognition_metric_takes_the_tokens(root):
    """A model that tells the labels of tokens is right about segments."""
    dataset = build(root, test_mode=True, actions='train.csv')
    metric = EpicRecognitionMetric(
        str(root / 'train.csv'), online=True, num_verbs=4, num_nouns=5)
    for info in dataset:
        scores = {
            task: torch.nn.functional.one_hot(
                info['label'][:, i].clamp(min=0), size).double() * 9
            for i, (task, size) in enumerate((('verb', 4), ('noun', 5)))}
        metric.process({}, [dict(info, pred_score=scores)])
    found = metric.evaluate(len(dataset))
    # Wrong are: segment 3, which is hidden by segment 0; one of two equal
    # segments in its noun; and the one without length, which labels nothing.
    assert found['epic/verb_top1'] == pytest.approx(6 / 8)
    assert found['epic/noun_top1'] == pytest.approx(5 / 8)


def test_pixels_and_packing(tmp_path):
    write_video(tmp_path / 'P01' / 'P01_01.MP4', 150, rate=NTSC, height=32,
                width=32)
    names = write_official(tmp_path / 'a.csv', [('P01_01_0', .5, 1, 2, 4)])
    dataset = build(
        '', names, index_file=None, missing_video='error',
        data_prefix=dict(video=str(tmp_path)), pipeline=[
            dict(type='LoadVideoClip'),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs', meta_keys=(
                'video_id', 'timestamp', 'token_times'))])
    plain = build('', names, index_file=None, missing_video='error',
                  data_prefix=dict(video=str(tmp_path)))
    assert len(dataset) == 7
    for packed, info in zip(dataset, plain):
        images = packed['inputs'][0].permute(1, 2, 3, 0).numpy()
        assert [read_number(x) for x in images] == info['frame_inds'].tolist()
        label = packed['data_samples'].gt_label
        assert label.dtype == torch.int64 and label.shape == (2, 3)
    assert dataset[1]['data_samples'].gt_label.tolist() == [
        [2, 4, -1], [2, 4, -1]]
    assert dataset[1]['data_samples'].token_times.shape == (2, 2)


def test_frame_folders(root):
    # Whatever the video's rate: frames were extracted at 60 a second.
    write_index(root / 'frames.json', '{1}', P01_01=(600, 60),
                P02_102=(450, 60))
    dataset = build(root, data_prefix=dict(img='frames'), frame_fps=60,
                    index_file='frames.json')
    assert dataset[1]['frame_dir'].endswith('frames/P01/P01_01')
    assert dataset[1]['frame_inds'].tolist() == [25, 31, 37, 43]
    assert dataset[1]['clip_range'] == (24, 42)


@pytest.mark.parametrize('options, message', [
    (dict(task='detection'), "task='detection'"),
    (dict(tau_a=-1.), 'tau_a=-1'),
    (dict(num_tokens=0), 'num_tokens=0'),
    (dict(max_idle=-1), 'max_idle=-1'),
    (dict(anticipation_grid='segments'), 'Remedy: .*EpicDataset'),
])
def test_bad_arguments(root, options, message):
    with pytest.raises(ValueError, match=message):
        build(root, **options)


def test_real_training_set_is_quick(tmp_path):
    data = need_shared_data('epic100')
    infos = read_epic_video_info(str(data / 'EPIC_100_video_info.csv'))
    index = write_index(tmp_path / 'index.json', **{
        name: (round(info.fps * info.duration), info.fps)
        for name, info in infos.items()})
    dataset, calls = count_calls(lambda: build(
        data, 'rulstm_training.csv', clip_len=16, frame_interval=4,
        index_file=index, actions='actions.csv', task='anticipation'))
    # Not for every clip; numbers of every row are.
    assert calls < 10**6 and len(dataset) > 120000
    assert len(dataset.stream_keys()) == len(dataset)
    picks = range(0, len(dataset), 500)
    infos, calls = count_calls(lambda: list(map(dataset.get_data_info, picks)))
    assert calls < 300 * len(picks)
    shares = [(x['label'] >= 0).float().mean(0) for x in infos]
    verb, noun, action = torch.stack(shares).mean(0).tolist()
    # About two thirds of the time are annotated; all have three labels.
    assert 0.6 < verb < 0.85 and verb == noun == action


def test_features_of_clips_have_the_labels_of_videos(root, tmp_path):
    """Some clips are left out, and files know them by their time."""
    options = dict(max_idle=0.5, pipeline=[])
    videos = build(root, **options)
    starts = {}
    for info in videos:
        starts.setdefault(info['video_id'], []).append(info['start_seconds'])
    for name, (num, rate) in VIDEOS.items():
        np.savez(
            tmp_path / f'{name}.npz', times=starts[name],
            features=np.repeat(np.round(starts[name], 1)[:, None], 3, 1),
            video=json.dumps(dict(num_frames=num, fps=float(rate))), **CLIP)
    features = build(root, **{
        **options, 'missing_video': 'error', 'index_file': None,
        'pipeline': [dict(type='LoadFeatureClip')],
        'data_prefix': dict(feature=str(tmp_path))})
    assert features.stream_keys() == videos.stream_keys()
    assert len(videos) < 44
    for one, other in zip(features, videos):
        assert torch.equal(one['label'], other['label'])
        np.testing.assert_array_equal(one['token_times'], other['token_times'])
        assert one['imgs'].shape == (1, 3, 1, 1, 1)
        assert one['imgs'].max() == pytest.approx(one['start_seconds'])


def test_features_of_frames(root, tmp_path):
    """A feature a frame: clips show those of their frames."""
    for name in VIDEOS:
        np.save(tmp_path / f'{name}.npy', np.arange(200)[:, None])
    dataset = build(root, missing_video='error', index_file=None,
                    frame_fps=20., pipeline=[dict(type='LoadFeatureClip')],
                    data_prefix=dict(feature=str(tmp_path)))
    assert len(dataset) == 50
    # 0.1 s apart, of 20 a second.
    assert dataset[3]['imgs'].ravel().tolist() == [24, 26, 28, 30]
