# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import pickle

import mmaction_memvit  # noqa: F401  # isort: skip

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, MODELS
from mmaction.structures import ActionDataSample
from mmengine.dataset import Compose, pseudo_collate
from mmengine.structures import InstanceData

from mmaction_memvit.video import VideoReadError

# 10 frames a second; seconds and keyframes of the videos.
FPS = 10
VIDEOS = dict(
    long=(20, range(2, 19)), gaps=(12, (1, 2, 7, 11)), short=(4, (0, 2)))
NUM_CLASSES = 4


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Annotations and an index; there are no videos."""
    folder = tmp_path_factory.mktemp('windows')
    rows, proposals, index = [], {}, {}
    for i, (name, (seconds, times)) in enumerate(VIDEOS.items()):
        index[f'{name}.mp4'] = dict(num_frames=seconds * FPS, fps=FPS)
        for t in times:
            # As many boxes as the timestamp is odd or even.
            for k in range(1 + t % 2):
                rows.append(f'{name},{t},0.{k + 1},0.1,0.5,0.9,{1 + i},{k}')
            proposals[f'{name},{t:04d}'] = np.array(
                [[.1, .1, .5, .9, 1.]], np.float32)
    (folder / 'ann.csv').write_text('\n'.join(rows) + '\n')
    (folder / 'excluded.csv').write_text('long,0010\n')
    (folder / 'index.json').write_text(json.dumps(index))
    (folder / 'boxes.pkl').write_bytes(pickle.dumps(proposals))
    return folder


def show(info):
    """A pipeline: a clip that shows its second and its draw."""
    second = info['center_frame'] / FPS
    clip = torch.full((3, 2, 4, 4), second)
    clip[0, 0, 0, 0] = np.random.rand()
    boxes = dict(
        gt_instances=InstanceData(bboxes=torch.tensor(info['gt_bboxes'])))
    if 'proposals' in info:
        boxes['proposals'] = InstanceData(
            bboxes=torch.tensor(info['proposals']))
    keys = 'video_id', 'timestamp', 'img_key'
    sample = ActionDataSample(metainfo={k: info[k] for k in keys}, **boxes)
    return dict(inputs=clip, data_samples=sample)


def build(root, pipeline=show, **kwargs):
    return DATASETS.build({**dict(
        type='CollaborativeAVADataset', ann_file='ann.csv',
        proposal_file='boxes.pkl', data_root=str(root),
        index_file='index.json', missing_video='unchecked',
        num_classes=NUM_CLASSES, num_clips=5, short_video='repeat',
        pipeline=[pipeline]), **kwargs})


def seconds(item):
    return item['inputs'][:, 1, 1, 1, 1].tolist()


def test_windows_at_ends_and_over_gaps(root):
    dataset = build(root, window_step=1)
    keys = [(v, t) for v, (_, times) in VIDEOS.items() for t in times]
    assert dataset.stream_keys() == keys and len(dataset) == 23
    found = {key: dataset[i] for i, key in enumerate(keys)}
    for key, wanted in {
        ('long', 10): [8, 9, 10, 11, 12],
        ('long', 2): [0, 1, 2, 3, 4],
        # Nothing starts at second 20.
        ('long', 18): [15, 16, 17, 18, 19],
        ('gaps', 1): [0, 1, 2, 3, 4],
        ('gaps', 7): [5, 6, 7, 8, 9],
        # Four clips only.
        ('short', 0): [0, 1, 2, 3, 3],
        ('short', 2): [0, 1, 2, 3, 3]
    }.items():
        assert seconds(found[key]) == wanted
        clips = found[key]['data_samples'].clips
        assert [x.timestamp for x in clips] == wanted
        assert {x.video_id for x in clips} == {key[0]}
        for x in clips:
            # Its own boxes, or none where nobody looked.
            known = x.timestamp in VIDEOS[key[0]][1]
            assert len(x.gt_instances) == (1 + x.timestamp % 2) * known
            assert len(x.proposals) == known
    sample = found['long', 18]['data_samples']
    assert sample.windows.tolist() == [[0, 1, 2, 3, 4]]
    assert sample.scored.tolist() == [3]
    assert (sample.video_id, sample.timestamp) == ('long', 18)
    # Excluded keyframes stay as clips without boxes.
    dataset = build(root, window_step=1, exclude_file='excluded.csv')
    assert ('long', 10) not in dataset.stream_keys()
    item = dataset[dataset.stream_keys().index(('long', 11))]
    assert seconds(item) == [9, 10, 11, 12, 13]
    assert [len(x.gt_instances)
            for x in item['data_samples'].clips] == [2, 0, 2, 1, 2]


@pytest.mark.parametrize('kwargs, second, wanted', [
    (dict(num_clips=4, clip_stride_seconds=3), 10, [4, 7, 10, 13]),
    # Under its former name.
    (dict(num_clips=4, clip_stride=3), 18, [9, 12, 15, 18]),
    # Timestamps that are frames, and half seconds.
    (dict(num_clips=3, clip_stride_seconds=.2, keyframe_rate='frames'), 10,
     [.8, 1., 1.2]),
    (dict(num_clips=3, clip_stride_seconds=.5, keyframe_rate=2), 10,
     [4.5, 5., 5.5])])
def test_strides_and_even_numbers(root, kwargs, second, wanted):
    dataset = build(root, window_step=1, **kwargs)
    item = dataset[dataset.stream_keys().index(('long', second))]
    assert seconds(item) == pytest.approx(wanted)


def test_an_epoch_shows_every_keyframe_about_once(root):
    dataset = build(root)
    # 17, 4 and 2 keyframes by 5.
    assert len(dataset) == 4 + 1 + 1
    keys = dataset.stream_keys()
    assert len(set(keys)) == 6
    centres, seen = set(), np.zeros(20)
    for epoch in range(20):
        dataset.set_epoch(epoch)
        infos = [dataset.get_data_info(i) for i in range(4)]
        centres.add(tuple(x['timestamp'] for x in infos))
        for info in infos:
            for clip in info['clips']:
                seen[clip['timestamp']] += 1
        assert dataset.get_data_info(0)['timestamp'] == infos[0]['timestamp']
    # Five phases; all keyframes have their turn.
    assert len(centres) == 5
    assert (seen[2:19] > 10).all() and (seen[2:19] < 40).all()


@pytest.mark.parametrize('size', [1, 3, 16])
def test_items_of_several_keyframes(root, size):
    dataset = build(root, test_mode=True, keyframes_per_item=size)
    # Metrics count keyframes.
    assert len(dataset) == 23
    slices = dataset.item_slices()
    assert len(slices) == sum(
        -(-len(times) // size) for _, times in VIDEOS.values())
    found, num_clips, places = {}, 0, []
    for i in slices:
        item = dataset[i]
        sample = item['data_samples']
        times = seconds(item)
        # Each clip once.
        assert times == sorted(set(times))
        assert times == [x.timestamp for x in sample.clips]
        num_clips += len(times)
        for k, row in zip(sample.scored.tolist(), sample.windows.tolist()):
            clip = sample.clips[k]
            assert len(clip.proposals) == 1
            key = clip.video_id, clip.timestamp
            assert key not in found
            places.append(clip.place)
            found[key] = [times[j] for j in row]
    keys = [(v, t) for v, (_, times) in VIDEOS.items() for t in times]
    assert places == [(i, 23, keys[(i + 1) % 23]) for i in range(23)]
    assert sorted(found) == sorted(keys)
    assert found['long', 10] == [8, 9, 10, 11, 12]
    assert found['long', 18] == [15, 16, 17, 18, 19]
    assert found['short', 0] == [0, 1, 2, 3, 3]
    if size == 16:
        # 17 keyframes are 16 and 1; others hold what they have.
        assert num_clips == 20 + 5 + 12 + 4
    # A number is a keyframe.
    assert seconds(dataset[8]) == [8, 9, 10, 11, 12]
    for bad in (slice(16, 18), slice(3, 3), slice(2, 8, 2)):
        with pytest.raises(IndexError, match='is no sample.*item_slices'):
            dataset[bad]
    with pytest.raises(IndexError, match='is no sample'):
        build(root)[0:2]


def test_draws_depend_on_seed_epoch_item_and_clip_alone(root):

    def draws(i, epoch=1):
        dataset.set_epoch(epoch)
        return dataset[i]['inputs'][:, 0, 0, 0, 0].tolist()

    dataset = build(root)
    first = draws(1)
    assert len(set(first)) == 5
    np.random.rand(3)
    assert draws(1) == first and draws(0) != first and draws(1, 2) != first


def test_a_window_is_augmented_alike(root):

    def draw(info):
        info['center_frame'] = np.random.rand() * FPS
        return info

    dataset = build(
        root, window_step=1, pipeline=Compose([
            dict(type='PerVideoAugment', transforms=[draw]), show]))
    draws = set()
    for epoch in range(2):
        dataset.set_epoch(epoch)
        for i in (0, 1):
            own = set(seconds(dataset[i]))
            assert len(own) == 1
            draws |= own
    assert len(draws) == 4


def test_a_video_that_fails_is_replaced(root, warnings):

    def broken(info):
        if info['video_id'] == 'long' and info['timestamp'] == 3:
            raise OSError('no such thing')
        return show(info)

    dataset = build(root, broken, window_step=1, seed=3)
    item = dataset[0]
    assert item['inputs'].shape == (5, 3, 2, 4, 4)
    assert dataset.failure_counts()['long'] >= 1
    assert 'Another window takes its place. Told' in warnings[0]
    with pytest.raises(VideoReadError, match='keyframe 3 .*no such thing'):
        build(root, broken, test_mode=True)[0]


def test_batches_of_any_sizes(root):
    """Through MMEngine's collate function and both preprocessors."""
    test = build(root, test_mode=True, keyframes_per_item=2)
    train = build(root)
    kinds = ('mmaction.ActionDataPreprocessor', 'AnySizeDataPreprocessor')
    for kind in kinds:
        model = MODELS.build(dict(type=kind, mean=[1.] * 3, std=[2.] * 3,
                                  format_shape='NCTHW'))
        batch = model(pseudo_collate([train[0], train[1]]), training=True)
        assert batch['inputs'].shape == (2, 5, 3, 2, 4, 4)
        torch.testing.assert_close(batch['inputs'][1, :, 1],
                                   (train[1]['inputs'][:, 1] - 1) / 2)
        assert [len(x.clips) for x in batch['data_samples']] == [5, 5]
    batch = model(pseudo_collate([test[0:2], test[21:23]]))
    assert [len(x) for x in batch['inputs']] == [6, 4]
    # Samples move to the device with their clips.
    moved = batch['data_samples'][0].to('meta')
    assert moved.windows.is_meta
    assert moved.clips[0].gt_instances.bboxes.is_meta
    assert not batch['data_samples'][0].clips[0].gt_instances.bboxes.is_meta


@pytest.mark.parametrize('kwargs, match', [
    (dict(num_clips=13), "2 of 3 .*num_clips=13 .*'gaps' has 12.*'repeat'"),
    # Three clips fit around second 1, but two around second 2.
    (dict(num_clips=3, clip_stride_seconds=5), "2 of 3 .*'gaps' has 2"),
    (dict(clip_stride_seconds=.5), 'seconds=0.5 s are 0.5 times')])
def test_bad_windows(root, kwargs, match):
    with pytest.raises(ValueError, match=match):
        build(root, short_video='error', **kwargs)


def test_clips_of_different_shapes(root):

    def uneven(info):
        part = show(info)
        part['inputs'] = part['inputs'][..., :info['timestamp'] % 2 + 1]
        return part

    with pytest.raises(ValueError, match='around long.*one shape .3, T'):
        build(root, uneven)[0]
