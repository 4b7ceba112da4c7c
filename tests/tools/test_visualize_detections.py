# Copyright (c) mmaction_memvit contributors. All rights reserved.
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.tools import tool_fixture
from helpers.videos import number_image, read_number, write_video
from mmaction.registry import DATASETS

tool = tool_fixture('tools/visualize_detections.py')


@DATASETS.register_module(force=True)
class ViewerTestDataset:
    """Keyframes every second in two videos or frame folders."""

    metainfo: dict = {}

    def __init__(self, ann_file, pipeline, frame_dir=None, videos=None,
                 custom_classes=None, test_mode=False):
        self.ann_file, self.test_mode = ann_file, test_mode
        self.frame_dir, self.videos = frame_dir, videos
        self.custom_classes = custom_classes
        self.keys = [(f'sub/{v} (1)!', t) for v in 'ba' for t in range(1, 4)]

    def stream_keys(self):
        return self.keys

    def __len__(self):
        return len(self.keys)

    def get_data_info(self, index):
        video, timestamp = self.keys[index]
        info = dict(video_id=video, timestamp=timestamp,
                    center_frame=10 * timestamp,
                    gt_bboxes=np.array([[.1, .1, .5, .9]], np.float32),
                    gt_labels=np.eye(4, dtype=np.float32)[[timestamp]])
        if self.videos:
            info.update(filename=f'{self.videos}/{video}.mp4', start_index=0)
        else:
            info.update(frame_dir=f'{self.frame_dir}/{video}', start_index=1,
                        filename_tmpl='img_{:05}.png')
        return info


CONFIG = """
default_scope = 'mmaction'
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ViewerTestDataset', ann_file='truth.csv',
                 pipeline=[dict(type='NoSuchTransform')], {source}))
train_dataloader = dict(dataset=dict(
    type='RepeatDataset', times=2, dataset=test_dataloader['dataset']))
test_evaluator = dict(
    type='AVADetectionMetric', ann_file='truth.csv', num_classes=4,
    label_file='labels.pbtxt')
"""


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Two videos, whose frames show their number."""
    folder = tmp_path_factory.mktemp('viewer')
    for i, video in enumerate('ab'):
        write_video(folder / f'sub/{video} (1)!.mp4', 40, first=1000 * i)
        (folder / f'sub/{video} (1)!').mkdir()
        for time in range(1, 4):
            cv2.imwrite(
                str(folder / f'sub/{video} (1)!/img_{10 * time + 1:05}.png'),
                number_image(1000 * i + 10 * time))
    return folder


@pytest.fixture
def draw(tool, data, tmp_path, monkeypatch, capsys):
    """Run the tool in a folder with config and results."""
    monkeypatch.chdir(tmp_path)
    for name, source in [('video', 'videos'), ('frames', 'frame_dir')]:
        Path(f'{name}.py').write_text(
            CONFIG.format(source=f'{source}={str(data)!r}'))
    Path('labels.pbtxt').write_text(''.join(
        f'item {{ name: "{name}" id: {i} }}\n'
        for i, name in enumerate(['stand', 'sit', 'wave'], 1)))
    Path('results.csv').write_text('sub/a (1)!,0002,0.2,0.2,0.5,0.9,2,0.8\n'
                                   'sub/a (1)!,0002,0.2,0.2,0.5,0.9,3,0.1\n'
                                   'sub/a (1)!,0002,0.4,0.2,0.9,0.9,1,0.6\n'
                                   'sub/z,0002,0.4,0.2,0.9,0.9,1,0.6\n')

    def run(*args, config='video'):
        paths = tool.main([f'{config}.py', '--out', 'out', *args])
        return paths, capsys.readouterr().out

    return run


@pytest.fixture
def drawn(tool, monkeypatch):
    """What is to be drawn, and the image that it is drawn on."""
    calls = []
    draw_detections = tool.draw_detections

    def record(image, names, truth, found, score_thr, title):
        calls.append((read_number(image), names, truth, found, title))
        return draw_detections(image, names, truth, found, score_thr, title)

    monkeypatch.setattr(tool, 'draw_detections', record)
    return calls


@pytest.mark.parametrize('config', ['video', 'frames'])
def test_pictures(draw, drawn, config):
    paths, out = draw('--results', 'results.csv', config=config)
    # In the order of videos and time.
    assert paths == [f'out/sub/{v} (1)!/{t:04d}.jpg' for v in 'ab'
                     for t in range(1, 4)]
    for path in paths:
        assert cv2.imread(path).shape == (512, 512, 3)
    assert '1 of 6 keyframes have predictions; 1 keyframes of' in out
    assert '6 pictures are in out, the first one is out/sub/a' in out
    assert [call[0] for call in drawn] == [10, 20, 30, 1010, 1020, 1030]
    number, names, truth, found, title = drawn[1]
    assert names == {1: 'stand', 2: 'sit', 3: 'wave'}
    assert truth[1].argmax(1).tolist() == [2]
    np.testing.assert_allclose(found[0], [[.2, .2, .5, .9], [.4, .2, .9, .9]])
    np.testing.assert_allclose(
        found[1], [[-np.inf, -np.inf, .8, .1], [-np.inf, .6, *[-np.inf] * 2]])
    assert title.startswith('sub/a (1)!,0002\ngreen: ground truth   orange')
    assert drawn[0][3][0].shape == (0, 4)


def test_choice_of_keyframes(draw, drawn):
    assert len(draw('--num', '3')[0]) == 3
    assert [call[0] for call in drawn] == [10, 30, 1020]
    drawn.clear()
    draw('--video', 'sub/b (1)!', '--no-show-gt', '--split', 'train')
    assert [call[0] for call in drawn] == [1010, 1020, 1030]
    assert all(call[2] is call[3] is None for call in drawn)


def test_custom_classes(draw, drawn):
    draw('--num', '1', '--cfg-options',
         'test_dataloader.dataset.custom_classes=[7,2,5]')
    (_, names, (boxes, labels), _, _), = drawn
    assert labels.shape == (1, 8) and labels[0].nonzero()[0].tolist() == [7]


@pytest.mark.parametrize('args,message', [
    (['--video', 'sub/c (1)!'], r"'sub/c \(1\)!'.*'sub/a .*'sub/b"),
    (['--results', 'other.csv'], r"None of the 1 .*'q,0009'.*among the 6"),
    (['--results', 'labels.pbtxt'], 'labels.pbtxt.*line 1'),
    (['--split', 'val'], 'no val_dataloader'),
])
def test_errors(draw, args, message):
    Path('other.csv').write_text('q,0009,0.4,0.2,0.9,0.9,1,0.6\n')
    with pytest.raises(SystemExit, match=message):
        draw(*args)
    assert not Path('out').exists()
