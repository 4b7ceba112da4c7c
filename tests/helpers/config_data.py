# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tiny videos and lists for any config of this project."""
import itertools
import json
import math
from pathlib import Path

import mmcv
import mmengine
import numpy as np

from . import charades
from .epic import write_official, write_text
from .videos import number_image, write_video

FPS = 30
# Lengths of the videos, in clips.
NUM_CLIPS = (1.5, 2, 2.5, 3)
# Lengths of the videos with boxes.
NUM_SECONDS = (2, 3, 2, 2)
# Names of the videos in the form of EPIC-KITCHENS-100.
KITCHENS = ('P01_01', 'P01_02', 'P02_01', 'P02_02')
MODES = ('train', 'val', 'test')
# Videos of Charades, their actions and seconds.
CHARADES = [('AAAAA', 'c000 0.00 1.00;c003 0.50 2.00', 2.),
            ('BBBBB', 'c001 0.00 1.00', 1.5), ('CCCCC', '', 1.5),
            ('DDDDD', 'c005 0.20 1.00;c003 0.00 1.00', 1.)]


def every_dict(node):
    """All dicts within a config."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, (dict, list, tuple)):
        for child in (node.values() if isinstance(node, dict) else node):
            yield from every_dict(child)


def clip_span(loader):
    """Frames that a clip stands for."""
    for node in every_dict(loader):
        if 'clip_len' in node:
            return node.clip_len * node.get('frame_interval', 1)
    raise AssertionError(f'no clip_len in {loader}')


def write_boxes(folder, cfg):
    """Writes videos, and all files of AVA's form."""
    num_classes = cfg.model.roi_head.bbox_head.num_classes
    start = cfg.train_dataloader.dataset.timestamp_start
    rows, proposals = [], {}
    for i, seconds in enumerate(NUM_SECONDS):
        write_video(folder / f'v{i}.mp4', int(FPS * (seconds + 0.5)),
                    first=1000 * i, width=96, height=64, rate=FPS)
        for second in range(1, seconds + 1):
            rows.append(f'v{i},{start + second},0.1,0.1,0.5,0.9,'
                        f'{1 + (i + second) % (num_classes - 1)},0')
            # The first box is the labelled one, the other nobody's.
            proposals[f'v{i},{start + second:04d}'] = np.array(
                [[.1, .1, .5, .9, 1.], [.5, .2, .9, .8, .95]], np.float32)
    (folder / 'boxes.csv').write_text('\n'.join(rows) + '\n')
    (folder / 'excluded.csv').write_text(f'v0,{start + 1}\n')
    (folder / 'labels.pbtxt').write_text(''.join(
        f'item {{\n  name: "action {i}"\n  id: {i}\n}}\n'
        for i in range(1, num_classes)))
    mmengine.dump(proposals, folder / 'proposals.pkl')
    files = dict(ann_file='boxes.csv', exclude_file='excluded.csv',
                 label_file='labels.pbtxt', proposal_file='proposals.pkl')
    datasets = [cfg[f'{x}_dataloader'].dataset for x in MODES]
    metrics = [cfg.val_evaluator, cfg.test_evaluator]
    for node in datasets + metrics:
        for key, name in files.items():
            if node.get(key):
                node[key] = str(folder / name)


def is_epic(dataset):
    return 'EpicDataset' in dataset.type


def write_epic(folder, cfg):
    """Writes videos, and all files of the form of EPIC-KITCHENS-100."""
    sizes = cfg.model.cls_head.num_classes
    if isinstance(sizes, dict):
        sizes = sizes['verb'], sizes.get('noun', 1)
    else:
        sizes = 5, 7
    span = clip_span(cfg.train_dataloader)
    # Long enough for something to be anticipated.
    more = math.ceil(1.5 * FPS / span)
    rows, infos = [], ['video_id,duration,fps,resolution']
    for i, (name, num_clips) in enumerate(zip(KITCHENS, NUM_CLIPS)):
        num_frames = int(span * (num_clips + more))
        if 'feature' in cfg.train_dataloader.dataset.data_prefix:
            np.save(folder / name, np.random.randn(
                num_frames, cfg.model.cls_head.in_channels))
        else:
            write_video(
                folder / f'{name}.mp4', num_frames, first=1000 * i, rate=FPS)
        seconds = num_frames / FPS
        infos.append(f'{name},{seconds},{FPS},64x64')
        # One after the other, the last one beyond the end.
        for k in range(int(seconds)):
            rows.append((f'{name}_{k}', k + 0.1,
                         k + (9 if k + 1 == int(seconds) else 1.2),
                         *((i + k) % size for size in sizes)))
    pairs = {row[3:] for row in rows}
    if 'actions.csv' in str(cfg.test_dataloader):
        pairs = itertools.product(*map(range, sizes))
    pairs = sorted(pairs)
    write_text(folder / 'actions.csv', 'id,verb,noun',
               *(f'{i},{v},{n}' for i, (v, n) in enumerate(pairs)))
    if not isinstance(cfg.model.cls_head.num_classes, dict):
        cfg.model.cls_head.num_classes = len(pairs)
    for name in ('EPIC_100_train', 'EPIC_100_train_uses',
                 'EPIC_100_validation', 'train_segments', 'val_segments'):
        write_official(folder / f'{name}.csv', rows)
    write_text(folder / 'EPIC_100_video_info.csv', *infos)
    for task in ('verb', 'noun'):
        write_text(folder / f'EPIC_100_tail_{task}s.csv', task, '1')
    write_text(folder / 'EPIC_100_unseen_participant_ids_validation.csv',
               'participant_id', 'P02')
    for node in every_dict([cfg.model, cfg.val_evaluator, cfg.test_evaluator]
                           + [cfg[f'{x}_dataloader'] for x in MODES]):
        for key, value in node.items():
            if isinstance(value, str) and value.endswith('.csv'):
                node[key] = str(folder / Path(value).name)
            elif key == 'actions':
                node[key] = [str(folder / Path(x).name) for x in value]


def write_charades(folder, cfg):
    """Writes videos and their list, of 6 classes."""
    charades.write_list(folder / 'list.csv', CHARADES)
    charades.write_videos(folder, CHARADES)
    cfg.model.cls_head.num_classes = 6
    for mode in MODES:
        cfg[f'{mode}_dataloader'].dataset.update(
            ann_file=str(folder / 'list.csv'), num_classes=6)
    for node in (cfg.val_evaluator, cfg.test_evaluator):
        node.pop('class_names')


def write_frames(folder, template):
    """Writes folders of frames, and their list."""
    lines = []
    for i in range(len(NUM_CLIPS)):
        for number in range(1, 31):
            mmcv.imwrite(number_image(1000 * i + number),
                         str(folder / f'v{i}' / template.format(number)))
        lines.append(f'v{i} 30 {i}')
    write_text(folder / 'video.txt', *lines)


def write_features(path, num_frames, span, cfg):
    """Writes what tools/extract_features.py makes of a video."""
    num = math.ceil(num_frames / span)
    first = cfg.model.get('neck') or cfg.model.cls_head
    np.savez(path, features=np.random.randn(num, first.in_channels),
             times=np.arange(num) * span / FPS,
             video=json.dumps(dict(num_frames=num_frames, fps=FPS)))


def write_data(folder, cfg):
    """Writes videos of some clips, and lists of both forms."""
    if 'roi_head' in cfg.model:
        write_boxes(folder, cfg)
        return
    if is_epic(cfg.train_dataloader.dataset):
        write_epic(folder, cfg)
        return
    if cfg.train_dataloader.dataset.type == 'CharadesDataset':
        write_charades(folder, cfg)
        return
    num_classes = cfg.model.cls_head.num_classes
    if cfg.train_dataloader.dataset.type == 'RawframeDataset':
        write_frames(folder, cfg.train_dataloader.dataset.filename_tmpl)
        return
    span = clip_span(cfg.val_dataloader)
    lists = dict(video='', segments='')
    for i, num_clips in enumerate(NUM_CLIPS):
        num_frames = int(span * num_clips)
        if 'feature' in cfg.train_dataloader.dataset.data_prefix:
            write_features(folder / f'v{i}.npz', num_frames, span, cfg)
        else:
            write_video(
                folder / f'v{i}.mp4', num_frames, first=1000 * i, rate=FPS)
        label = i % num_classes
        lists['video'] += f'v{i}.mp4 {label}\n'
        lists['segments'] += f'v{i}.mp4 0.0 {num_frames / FPS} {label}\n'
    for name, text in lists.items():
        (folder / f'{name}.txt').write_text(text)
