# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
import multiprocessing as mp
import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers.videos import read_number, truncate, write_video
from mmaction.apis import inference_recognizer, init_recognizer
from mmaction.registry import TRANSFORMS
from mmengine.config import Config

from mmaction_memvit.datasets.transforms import (
    LoadVideoClip,
    VideoInit,
    loading,
)
from mmaction_memvit.datasets.transforms.loading import ReaderCache
from mmaction_memvit.video import VideoReadError, decode, probe_video

NUM = 60


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos')
    return write_video(folder / 'a.mp4', NUM, height=48, width=64)


def load(transform, video, inds):
    return transform(dict(filename=video, frame_inds=np.asarray(inds)))


def numbers(results):
    return [read_number(x) for x in results['imgs']]


@pytest.mark.parametrize('backend', ['auto', 'pyav', 'decord'])
def test_frames(video, backend):
    if backend == 'decord':
        pytest.importorskip('decord')
    transform = TRANSFORMS.build(dict(type='LoadVideoClip', backend=backend))
    inds = [4, 8, 12, 59, 59]
    results = load(transform, video, inds)
    assert numbers(results) == inds
    assert all(x.dtype == np.uint8 and x.shape == (48, 64, 3)
               for x in results['imgs'])
    assert results['img_shape'] == results['original_shape'] == (48, 64)
    # A grid of frames, as some sampling transforms give it.
    results = load(transform, video, [[1, 2], [3, 4]])
    assert numbers(results) == [1, 2, 3, 4]
    assert results['frame_inds'].shape == (4, )


def test_same_results_as_the_stock_transforms(video):
    pytest.importorskip('decord')
    boxes = np.array([[0.25, 0.5, 0.75, 1.]], dtype=np.float32)
    results = [
        dict(filename=video, frame_inds=np.arange(0, 32, 4),
             gt_bboxes=boxes.copy(), proposals=boxes.copy()) for _ in range(2)]
    ours = LoadVideoClip()(results[0])
    stock = results[1]
    for name in ('DecordInit', 'DecordDecode'):
        stock = TRANSFORMS.build(dict(type=name))(stock)
    for key in ('img_shape', 'original_shape'):
        assert ours[key] == stock[key]
    for key in ('gt_bboxes', 'proposals', 'frame_inds'):
        np.testing.assert_array_equal(ours[key], stock[key])
        assert ours[key].dtype == stock[key].dtype
    assert isinstance(ours['imgs'], list)
    difference = np.asarray(ours['imgs'], int) - np.asarray(stock['imgs'], int)
    assert np.abs(difference).max() <= 8


def test_a_video_is_opened_once(video, tmp_path):
    other = write_video(tmp_path / 'b.mp4', NUM, first=100)
    transform = LoadVideoClip(cache_size=2)
    for start in range(0, 40, 8):
        inds = list(range(start, start + 8))
        assert numbers(load(transform, video, inds)) == inds
        assert numbers(load(transform, other, inds)) == [100 + i for i in inds]
    assert transform._cache.opened == 2
    anew = LoadVideoClip(cache_size=0)
    for _ in range(3):
        load(anew, video, [0])
    assert anew._cache.opened == 3 and len(anew._cache) == 0


def test_failures(video, tmp_path):
    transform = LoadVideoClip()
    with pytest.raises(VideoReadError, match='absent.mp4'):
        load(transform, str(tmp_path / 'absent.mp4'), [0])
    with pytest.raises(VideoReadError, match=f'frames 50 to {NUM}.*{NUM} fr'):
        load(transform, video, [50, NUM])
    # A reader that failed is not used again, a replaced file is found.
    path = truncate(video, tmp_path / 'c.mp4')
    with pytest.raises(VideoReadError):
        load(transform, path, [0])
    truncate(video, path, 1.)
    assert numbers(load(transform, path, [5])) == [5]
    with pytest.raises(KeyError, match='frame_inds'):
        transform(dict(filename=video))


@pytest.mark.parametrize('backend', ['pyav', 'decord'])
def test_scaled_while_it_is_read(video, backend):
    pytest.importorskip({'pyav': 'av', 'decord': 'decord'}[backend])
    stock = load(LoadVideoClip(), video, [3, 40])
    boxes = np.array([[0.25, 0.5, 0.75, 1.]], dtype=np.float32)
    for ours, resize in ((dict(short_side=32), dict(scale=(-1, 32))),
                         (dict(short_side=65), dict(scale=(-1, 65))),
                         (dict(size=(56, 40)),
                          dict(scale=(56, 40), keep_ratio=False))):
        expected = TRANSFORMS.build(dict(type='Resize', **resize))(
            {**stock, 'imgs': list(stock['imgs']), 'modality': 'RGB'})
        transform = LoadVideoClip(backend=backend, **ours)
        got = transform(
            dict(filename=video, frame_inds=[3, 40], gt_bboxes=boxes.copy()))
        assert got['img_shape'] == tuple(expected['img_shape'])
        assert got['original_shape'] == (48, 64)
        height, width = got['img_shape']
        np.testing.assert_array_equal(
            got['gt_bboxes'], boxes * (width, height, width, height))
        assert numbers(got) == [3, 40]
        difference = np.abs(
            np.asarray(got['imgs'], int) - np.asarray(expected['imgs'], int))
        # Kinds of interpolation differ at the edges of the blocks.
        assert difference.mean() < 4


def test_known_frames_are_not_scanned(video, monkeypatch):
    entry = probe_video(video)
    monkeypatch.setattr(decode, 'scan_video', None)
    results = LoadVideoClip()(
        dict(filename=video, frame_inds=[3, 40], frame_table=entry))
    assert numbers(results) == [3, 40]


def test_copies_open_their_own_files(video):
    transform = LoadVideoClip(io_backend='local')
    load(transform, video, [0])
    for other in (copy.deepcopy(transform), pickle.loads(
            pickle.dumps(transform))):
        assert len(other._cache) == 0
        assert numbers(load(other, video, [7])) == [7]
    assert len(transform._cache) == 1


def _in_child(transform, video, queue):
    queue.put(numbers(load(transform, video, range(20, 40))))
    queue.put(transform._cache.opened)


@pytest.mark.parametrize('backend', ['pyav', 'decord'])
def test_survives_a_fork(video, backend):
    if 'fork' not in mp.get_all_start_methods():
        pytest.skip('this system cannot fork')
    pytest.importorskip({'pyav': 'av', 'decord': 'decord'}[backend])
    transform = LoadVideoClip(backend=backend)
    load(transform, video, [3, 4])
    context = mp.get_context('fork')
    queue = context.Queue()
    children = [
        context.Process(target=_in_child, args=(transform, video, queue))
        for _ in range(2)]
    for child in children:
        child.start()
    got = [queue.get(timeout=60) for _ in range(4)]
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    # Each child opened the file itself: a shared one has one file position.
    assert sorted(map(str, got)) == sorted(
        map(str, [1, 1, list(range(20, 40)), list(range(20, 40))]))
    assert numbers(load(transform, video, [5, 6])) == [5, 6]
    assert transform._cache.opened == 1


# -- readers that stay open -------------------------------------------------


class FakeReader:

    def __init__(self):
        self.open = True

    def close(self):
        self.open = False


@pytest.mark.parametrize('num_videos, warns', [(4, False), (5, True)])
def test_reader_cache_tells_when_it_is_too_small(monkeypatch, num_videos,
                                                 warns):
    told = []
    monkeypatch.setattr(loading, 'warn',
                        lambda text, **kwargs: told.append(text))
    readers = ReaderCache(4)
    for step in range(20):
        for lane in range(num_videos):
            # Every lane goes on to another video now and then.
            readers.get(f'{lane}-{step // 9}', FakeReader)
    assert len(told) == int(warns)
    if warns:
        assert 'cache_size=4' in told[0] and 'batch size' in told[0]


# -- files that no data set knows -------------------------------------------


def test_tells_the_length(tmp_path):
    path = tmp_path / 'a (1)!.mp4'
    write_video(path, 23, rate=10)
    results = VideoInit()(dict(filename=str(path)))
    assert results['total_frames'] == 23
    assert results['fps'] == results['avg_fps'] == pytest.approx(10)
    known = dict(filename=str(tmp_path / 'none.mp4'), total_frames=7)
    assert VideoInit()(dict(known)) == known


def test_a_file_that_is_none(tmp_path):
    path = tmp_path / 'a.mp4'
    with pytest.raises(VideoReadError, match='a.mp4 cannot be read.*Remedy'):
        VideoInit()(dict(filename=str(path)))
    path.write_bytes(b'no video')
    with pytest.raises(VideoReadError, match='a.mp4 .*Remedy'):
        VideoInit()(dict(filename=str(path)))


def test_inference_of_a_file_that_no_list_knows(tmp_path):
    """MMAction2's inference runs on the test pipeline of our configs."""
    name = 'slowonly-tiny-memory_1xb8-8x2x1-n4_jhmdb-rgb.py'
    cfg = Config.fromfile(
        str(Path(__file__).resolve().parents[3] /
            'configs/recognition/collaborative' / name))
    assert cfg.test_pipeline == cfg.test_dataloader.dataset.pipeline
    path = write_video(tmp_path / 'a.avi', 30, codec='mpeg4', b_frames=0)
    model = init_recognizer(cfg, device='cpu')
    sample = inference_recognizer(model, str(path))
    assert sample.num_clips == 10
    assert sample.pred_score.sum() == pytest.approx(1)
