# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
import json
import pickle

import numpy as np
import pytest
from helpers.calls import count_calls
from helpers.videos import read_number, truncate, write_video
from mmaction.registry import DATASETS
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmaction_memvit.video import VideoReadError, probe_video

FRAMES = {'a.mp4': 40, 'sub dir/b! (1).mp4': 70, 'c.avi': 33}
LIST = 'a.mp4 0\nsub dir/b! (1).mp4 1\nc.avi 2\n'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    index = {}
    for name, num in FRAMES.items():
        codec = 'mpeg4' if name.endswith('avi') else 'libx264'
        path = write_video(folder / name, num, codec=codec, b_frames=0)
        index[name] = probe_video(path)
    (folder / 'index.json').write_text(json.dumps(index))
    (folder / 'list.txt').write_text(LIST)
    return folder


def build(root, text=None, pipeline=(), **kwargs):
    if text is not None:
        (root / 'other.txt').write_text(text)
        kwargs['ann_file'] = 'other.txt'
    config = dict(type='OnlineVideoDataset', ann_file='list.txt',
                  data_root=str(root), index_file='index.json', clip_len=4,
                  frame_interval=2, pipeline=list(pipeline))
    return DATASETS.build({**config, **kwargs})


def entry(num_frames, fps=10.):
    return dict(num_frames=num_frames, fps=fps, width=8, height=8)


def plan(tmp_path, text, frames, **kwargs):
    """A dataset of videos that exist in the index only."""
    (tmp_path / 'index.json').write_text(
        json.dumps({k: entry(n) for k, n in frames.items()}))
    return build(tmp_path, text, missing_video='unchecked', **kwargs)


# -- clips and samples ------------------------------------------------------


def test_clips(root):
    dataset = build(root)
    # 40 / 8, 70 / 8 and 33 / 8 frames; 6 left over make a clip, 1 does not.
    assert dataset.stream_keys() == [
        (v, i) for v, num in zip(FRAMES, (5, 9, 4)) for i in range(num)]
    assert dataset.video_ids == list(FRAMES)
    info = dataset[13]
    assert info.pop('start_seconds') == pytest.approx(64 / 30)
    assert info.pop('frame_inds').tolist() == [64, 66, 68, 69]
    assert info.pop('frame_table')['num_frames'] == 70
    assert info == dict(
        filename=str(root / 'sub dir/b! (1).mp4'), label=1, timestamp=8,
        video_id='sub dir/b! (1).mp4', clip_range=(64, 69), total_frames=70,
        fps=30., avg_fps=30., clip_len=4, frame_interval=2, num_clips=1,
        segment_id='', sample_idx=13, modality='RGB', start_index=0, epoch=0,
        aug_seed=0)
    assert dataset.get_data_info(-1)['sample_idx'] == 17
    with pytest.raises(IndexError):
        dataset.get_data_info(18)


@pytest.mark.parametrize('kwargs, num', [
    (dict(last_clip='drop'), 5 + 8 + 4),
    (dict(clip_stride=4), 9 + 17 + 7),
    (dict(clip_len=16), 2 + 3 + 1),
    (dict(indices=7, lazy_init=True), 7),
    (dict(indices=-3, serialize_data=False), 3),
])
def test_number_of_clips(root, kwargs, num):
    dataset = build(root, **kwargs)
    keys = dataset.stream_keys()
    assert len(dataset) == len(keys) == len(set(keys)) == num
    for i in range(num):
        info = dataset.get_data_info(i)
        assert (info['video_id'], info['timestamp']) == keys[i]


PIPELINE = [dict(type='Resize', scale=(-1, 64)),
            dict(type='CenterCrop', crop_size=64),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs',
                 meta_keys=('video_id', 'timestamp', 'segment_id',
                            'clip_range', 'fps'))]
OURS = [dict(type='LoadVideoClip'), *PIPELINE]
STOCK = [dict(type='DecordInit'), dict(type='DecordDecode'), *PIPELINE]


@pytest.mark.parametrize('pipeline', [OURS, STOCK], ids=['ours', 'stock'])
def test_pipelines(root, pipeline):
    if pipeline is STOCK:
        pytest.importorskip('decord')
    dataset = build(root, pipeline=pipeline, test_mode=True)
    for i in range(len(dataset)):
        sample = dataset[i]
        assert sample['inputs'].shape == (1, 3, 4, 64, 64)
        shown = [read_number(x)
                 for x in sample['inputs'][0].permute(1, 2, 3, 0).numpy()]
        info = dataset.get_data_info(i)
        assert shown == info['frame_inds'].tolist()
        meta = sample['data_samples'].metainfo
        for key in ('video_id', 'timestamp', 'segment_id', 'clip_range'):
            assert meta[key] == info[key]
        assert sample['data_samples'].gt_label.tolist() == [info['label']]


def test_without_index(root, log):
    plain = build(root, index_file=None)
    assert plain.stream_keys() == build(root).stream_keys()
    for i in range(25):
        (root / f'{i}.avi').write_bytes((root / 'c.avi').read_bytes())
    many = ''.join(f'{i}.avi 0\n' for i in range(25))
    assert len(build(root, many, index_file=None)) == 100
    assert 'build_video_index' in log() and '25 videos' in log()


def test_labels(tmp_path):
    frames = dict.fromkeys(['a', 'b', 'c'], 8)
    dataset = plan(tmp_path, 'a 0\nb -1\nc 2\n', frames, num_classes=3)
    assert [dataset[i]['label'] for i in range(3)] == [0, -1, 2]
    dataset = plan(tmp_path, 'a 0\nb -1\nc 2 0\n', frames, num_classes=3,
                   multi_class=True)
    assert [dataset[i]['label'].tolist() for i in range(3)] == [
        [1, 0, 0], [-1, -1, -1], [1, 0, 1]]
    unlabelled = plan(tmp_path, 'a\nb\nc\n', frames, test_mode=True)
    assert unlabelled[1]['label'] == -1
    with pytest.raises(ValueError, match='label 2 .*num_classes=2'):
        plan(tmp_path, 'a 0\nc 2\n', frames,
             metainfo=dict(classes=['run', 'jump']))


def test_segments(tmp_path, log):
    # 10 fps, clips of 0.8 s. Video a: 0-0.8, 0.8-1.6, 1.6-2.4, 2.4-3.2,
    # 3.2-4.0, 4.0-4.8, 4.8-5.0
    text = ('a 0.0 1.1 0\n'  # clip 0 whole, 0.3 s of clip 1
            'a 1.1 2.0 1\n'  # 0.5 s of clip 1, half of clip 2
            'a 2.0 2.4 2\n'  # the other half of clip 2
            'a 3.3 3.5 3\n'  # short, inside clip 4
            'a 3.6 3.7 4\n'  # still shorter, hidden in clip 4
            'a 4.5 9.0 5\n'  # 0.3 s of clip 5: too little; clip 6
            'b 7.0 8.0 1\n')  # behind the end
    dataset = plan(
        tmp_path, text, dict(a=50, b=16), ann_format='segments', num_classes=6)
    got = [(dataset[i]['label'], dataset[i]['segment_id']) for i in range(9)]
    assert got == [(0, 'a#0'), (1, 'a#1'), (1, 'a#1'), (-1, ''), (3, 'a#3'),
                   (-1, ''), (5, 'a#5'), (-1, ''), (-1, '')]
    assert "3 labelled segments are the label of no clip: 'a#2', 'a#4'" \
        in log()
    assert '1 segments begin after the end of their video' in log()
    assert '44.4% of them not annotated' in log()
    with pytest.raises(ValueError, match='in frames: 2 segments'):
        plan(tmp_path, 'a 11 20 0\nb 33 35 1\n', dict(a=50, b=16),
             ann_format='segments')
    strict = plan(tmp_path, text, dict(a=50, b=16), ann_format='segments',
                  min_overlap=0.25)
    assert [strict[i]['label'] for i in range(7)] == [0, 1, 1, -1, 3, 5, 5]
    # Training on them would run, with a loss of 0.
    with pytest.raises(ValueError, match=r"'b#0'.*Remedy: .*seconds"):
        plan(tmp_path, 'b 60 90 0\n', dict(b=50), ann_format='segments')
    with pytest.raises(ValueError, match='min_overlap=0 '):
        plan(tmp_path, text, dict(a=50, b=16), ann_format='segments',
             min_overlap=0)


def test_segments_that_overlap_and_several_labels(tmp_path):
    text = 'a 0 2.4 0\na 0.2 0.9 1\na 0.8 1.6 2,3\na 1.6 2.4 -1\n'
    dataset = plan(tmp_path, text, dict(a=24), ann_format='segments',
                   multi_class=True, num_classes=4)
    got = [dataset[i]['label'].tolist() for i in range(3)]
    assert got == [[1, 1, 0, 0], [1, 0, 1, 1], [1, 0, 0, 0]]
    single = plan(
        tmp_path, text.replace('2,3', '2'), dict(a=24), ann_format='segments')
    # Of two that share the whole clip the first in the list counts.
    assert [single[i]['label'] for i in range(3)] == [0, 0, 0]


def test_many_clips_are_planned_quickly(tmp_path):
    frames = {f'{i:04d}.mp4': 4000 for i in range(800)}
    text = ''.join(f'{v} 1\n' for v in frames)
    dataset, calls = count_calls(
        lambda: plan(tmp_path, text, frames, clip_len=8))
    keys = dataset.stream_keys()
    assert len(keys) == len(set(keys)) == 200000
    # Calls for every video, not for every clip.
    assert calls < 100000
    assert len(pickle.dumps(dataset)) < 4e6


# -- what is wrong with the input -------------------------------------------


@pytest.mark.parametrize('kwargs, match', [
    (dict(missing_video='unchecked', index_file=None), 'needs an index_file'),
    (dict(data_prefix=dict(path='')), 'data_prefix='),
    (dict(multi_class=True), 'multi_class=True needs num_classes'),
    (dict(num_classes=2), r'list.txt:3: label 2 .*num_classes'),
    (dict(clip_len=20), r"1 of 3 .*40 frames: .*c.avi \(33 .*Remedy.*'pad'"),
])
def test_bad_values(root, kwargs, match):
    with pytest.raises(ValueError, match=match):
        build(root, **kwargs)


def test_short_videos(tmp_path, log):
    frames = dict(a=40, b=7, c=1)
    text = 'a 0\nb 1\nc 2\n'
    with pytest.raises(ValueError, match='2 of 3 videos'):
        plan(tmp_path, text, frames)
    padded = plan(tmp_path, text, frames, short_video='pad')
    assert len(padded) == 7
    assert padded[5]['frame_inds'].tolist() == [0, 2, 4, 6]
    assert padded[6]['frame_inds'].tolist() == [0, 0, 0, 0]
    assert padded[6]['clip_range'] == (0, 0)
    skipped = plan(tmp_path, text, frames, short_video='skip')
    assert skipped.video_ids == ['a']
    assert '2 of 3 videos' in log() and 'left out' in log()
    with pytest.raises(ValueError, match='no video .* is left'):
        plan(tmp_path, 'c 2\n', frames, short_video='skip')


def test_missing_videos(root, log):
    text = LIST + 'x.mp4 0\ny.mp4 1\n'
    with pytest.raises(
            FileNotFoundError,
            match="2 of 5 videos .*x.mp4.*y.mp4.*data_prefix.*'skip'"):
        build(root, text)
    with pytest.raises(FileNotFoundError, match='3 of 3'):
        build(root, data_prefix=dict(video='nowhere'))
    assert len(build(root, text, missing_video='skip')) == 18
    assert 'x.mp4' in log() and 'left out' in log()


def test_index_that_does_not_fit(root, tmp_path):
    index = json.loads((root / 'index.json').read_text())

    def build_with(changed):
        path = tmp_path / 'index.json'
        path.write_text(json.dumps(changed))
        return build(root, index_file=str(path))

    command = 'build_video_index .*list.txt --data-root .* --out .*json'
    with pytest.raises(ValueError, match=f"lacks 1 of 3.*'c.avi'.*{command}"):
        build_with({k: v for k, v in index.items() if k != 'c.avi'})
    with pytest.raises(ValueError, match=f"1 of 3 .*size.*'c.avi'.*{command}"):
        build_with({**index, 'c.avi': {**index['c.avi'], 'size': 5}})
    with pytest.raises(FileNotFoundError, match=f'absent.json.*{command}'):
        build(root, index_file='absent.json')
    broken = dict(num_frames=0, fps=0., problem='cannot be read: why')
    with pytest.raises(ValueError, match='1 of 3.*c.avi.*cannot be read: why'):
        build_with({**index, 'c.avi': broken})


def test_unreadable_and_cut_off_videos(root, tmp_path, log):
    source = write_video(
        tmp_path / 'x.mp4', 100, container_options={'movflags': 'faststart'})
    truncate(source, tmp_path / 'cut.mp4', 0.7)
    (tmp_path / 'text.mp4').write_text('no video')
    text = 'x.mp4 0\ncut.mp4 0\ntext.mp4 0\n'
    with pytest.raises(ValueError, match='1 of 3.*text.mp4.*missing_video'):
        build(tmp_path, text, index_file=None)
    dataset = build(tmp_path, text, OURS, index_file=None,
                    missing_video='skip', test_mode=True)
    assert dataset.video_ids == ['x.mp4', 'cut.mp4']
    assert '1 videos are damaged' in log() and 'cut.mp4' in log()
    for i in range(len(dataset)):
        dataset[i]


def test_segments_of_a_video_of_variable_rate(tmp_path):
    """30 frames in second 0, then one every 0.1 s: seconds are a player's."""
    write_video(tmp_path / 'v.mp4', 60,
                times=list(range(30)) + list(range(30, 120, 3)))
    dataset = build(tmp_path, 'v.mp4 0 1 0\nv.mp4 1 4 1\n', OURS,
                    ann_format='segments', index_file=None)
    infos = list(map(dataset.get_data_info, range(len(dataset))))
    # Clips of 8 frames; of the fourth each second has 0.2 s.
    assert [x['label'] for x in infos] == [0, 0, 0, 0, *[1] * 4]
    assert [x['start_seconds'] for x in infos][3:] == pytest.approx(
        [.8, 1.2, 2., 2.8, 3.6])


# -- epochs, workers and failures -------------------------------------------


def loader_of(dataset, num_workers):
    return DataLoader(
        dataset, batch_size=2, num_workers=num_workers,
        persistent_workers=num_workers > 0, collate_fn=pseudo_collate)


def identities(loader):
    return [(sample.video_id, sample.timestamp) for batch in loader
            for sample in batch['data_samples']]


@pytest.mark.parametrize('num_workers', [0, 2])
@pytest.mark.parametrize('per_video', [False, True])
def test_persistent_workers_learn_the_epoch(root, num_workers, per_video):
    pipeline = [EpochAndDraw()]
    if per_video:
        pipeline = [dict(type='PerVideoAugment', transforms=pipeline)]
    data = build(root, pipeline=pipeline)
    loader = DataLoader(data, batch_size=None, num_workers=num_workers,
                        persistent_workers=num_workers > 0)
    draws = {}
    for epoch in (0, 1, 4):
        data.set_epoch(epoch)
        for video, seen_epoch, seed, draw in loader:
            assert seen_epoch == epoch and seed == 0
            draws.setdefault((video, epoch), set()).add(draw)
    assert all((len(d) == 1) == per_video for d in draws.values())
    assert len(set.union(*draws.values())) == (9 if per_video else 3 * 18)
    data.set_epoch(0, seed=5)
    assert all(seed == 5 for _, _, seed, _ in loader)


class EpochAndDraw:
    """A pipeline that returns what it was told, and a random number."""

    def __call__(self, info):
        return (info['video_id'], info['epoch'], info['aug_seed'],
                np.random.rand())


@pytest.fixture
def broken(tmp_path):
    """Two sound videos, and two that the index is wrong about."""
    index = {}
    for name in ('a.mp4', 'b.mp4'):
        index[name] = probe_video(write_video(tmp_path / name, 48))
    whole = write_video(tmp_path / 'whole.mp4', 48,
                        container_options={'movflags': 'faststart'})
    truncate(whole, tmp_path / 'cut.mp4', 0.7)
    index['cut.mp4'] = entry(48)
    (tmp_path / 'text.mp4').write_text('no video')
    index['text.mp4'] = entry(48)
    (tmp_path / 'index.json').write_text(json.dumps(index))
    (tmp_path / 'list.txt').write_text(
        'a.mp4 0\ncut.mp4 1\ntext.mp4 2\nb.mp4 3\n')
    return tmp_path


@pytest.mark.parametrize('pipeline', [OURS, STOCK], ids=['ours', 'stock'])
def test_failures_in_training(broken, log, pipeline):
    if pipeline is STOCK:
        pytest.importorskip('decord')
    orders = []
    # Workers first: the log tells a line once, and they inherit what it told.
    for num_workers in (2, 0):
        dataset = build(broken, pipeline=pipeline)
        keys = dataset.stream_keys()
        np.random.seed(num_workers)
        loader = loader_of(dataset, num_workers)
        epochs, counts = [], []
        for epoch in range(2):
            dataset.set_epoch(epoch)
            epochs.append(identities(loader))
            counts.append(dataset.failure_counts())
        # Sound clips come as asked for; failing ones are replaced by others,
        # which say truly who they are.
        for got in epochs:
            assert len(got) == len(keys) == 24
            for asked, identity in zip(keys, got):
                assert identity == asked or asked[0] in ('cut.mp4', 'text.mp4')
                assert identity in keys and identity[0] != 'text.mp4'
        # All clips of text.mp4 and the last ones of cut.mp4, each counted.
        assert set(counts[0]) == {'cut.mp4', 'text.mp4'}
        assert counts[0]['text.mp4'] >= 6
        assert all(counts[1][k] > counts[0][k] for k in counts[0])
        assert epochs[0] != epochs[1]
        orders.append(epochs)
    # Replacements do not depend on the workers.
    assert orders[0] == orders[1]
    # Told once a video; workers that meet it at the same moment each tell.
    for name in ('text', 'cut'):
        assert 2 <= log().count(f"{name}.mp4': frames") <= 3
    assert 'stream starts anew' in log()


def test_failures_in_copies_and_test_mode(broken):
    dataset = build(broken, pipeline=OURS)
    dataset[12]
    # Copies have counters of their own; spawned workers get pickles.
    other = copy.deepcopy(dataset)
    assert other.failure_counts() == dataset.failure_counts() != {}
    other[12]
    assert other.failure_counts() != dataset.failure_counts()
    other.set_epoch(3)
    assert dataset.epoch == 0 and other.epoch == 3
    assert len(pickle.loads(pickle.dumps(dataset))) == len(dataset)
    dataset = build(broken, pipeline=OURS, test_mode=True)
    dataset[0]
    match = r"text.mp4': frames 0 to 6 cannot be read.*Remedy: replace"
    with pytest.raises(VideoReadError, match=match):
        dataset[12]
    batches = iter(DataLoader(dataset, sampler=[12], num_workers=1))
    with pytest.raises(VideoReadError, match=match):
        next(batches)
    # Left to the garbage collector this would take seconds.
    batches._shutdown_workers()
    assert dataset.failure_counts() == {}


def test_mistakes_are_not_taken_for_bad_videos(broken):

    def fail(error):

        def transform(results):
            raise error

        return transform

    for pipeline in ([fail(KeyError('key'))], [fail(ImportError('av'))],
                     [fail(AttributeError('attribute'))],
                     [dict(type='LoadVideoClip'), fail(ValueError('crop'))]):
        dataset = build(broken, pipeline=pipeline)
        error = type(pipeline[-1].__closure__[0].cell_contents)
        with pytest.raises(error):
            dataset[0]
        assert dataset.failure_counts() == {}


def test_it_ends_when_nothing_can_be_read(tmp_path):
    frames = {f'{i}.mp4': 80 for i in range(3)}
    text = ''.join(f'{k} 0\n' for k in frames)
    dataset = plan(tmp_path, text, frames, pipeline=OURS, max_refetch=4)
    with pytest.raises(RuntimeError, match='4 replacements.*3 videos') as e:
        dataset[0]
    assert 'Remedy' in str(e.value)
    assert sum(dataset.failure_counts().values()) == 5
    # A transform that returns None is no failure of a video.
    dataset = plan(tmp_path, text, frames, pipeline=[lambda results: None])
    with pytest.raises(RuntimeError, match='0 videos.*returns None'):
        dataset[0]
