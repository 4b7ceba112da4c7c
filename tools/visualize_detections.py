#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Draw boxes and actions of ground truth and predictions on keyframes.

    python tools/test.py CONFIG epoch_10.pth \
        --cfg-options test_evaluator.results_file=results.csv
    python tools/visualize_detections.py CONFIG --results results.csv

writes OUT/VIDEO/0902.jpg for every keyframe shown. Without results only the
ground truth is drawn.
"""
from __future__ import annotations

import argparse
import os.path as osp
from collections.abc import Sequence
from typing import Any

import mmcv
import mmengine
import numpy as np
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.fileio import get, join_path

from mmaction_memvit.annotations.ava import image_key, read_action_boxes
from mmaction_memvit.annotations.class_names import read_label_map
from mmaction_memvit.command_line import make_parser, read_config, tells_errors
from mmaction_memvit.datasets.transforms import LoadVideoClip
from mmaction_memvit.messages import first_names
from mmaction_memvit.visualization.detections import draw_detections


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__, config='config')
    add = parser.add_argument
    add('--results', help='CSV of predictions, as AVADetectionMetric and '
        'evaluators of AVA have it')
    add('--split', choices=['train', 'val', 'test'], default='test',
        help='whose keyframes to draw')
    add('--out', default='detections', help='folder to write to')
    add('--video', help='draw keyframes of this video only')
    add('--score-thr', type=float, default=0.3,
        help='actions with a score above it are written')
    add('--num', type=int,
        help='number of keyframes, from first to last at equal distances; if '
        'left out 20, with --video all')
    add('--show-gt', action=argparse.BooleanOptionalAction, default=True,
        help='draw the ground truth')
    args = parser.parse_args(args)
    for path in (args.config, args.results):
        if path and not osp.isfile(path):
            parser.error(f'there is no file {path}')
    if args.num is None and not args.video:
        args.num = 20
    return args


class Predictions:
    """The results of a model in a CSV file, by keyframe."""

    def __init__(self, path: str) -> None:
        self.rows = read_action_boxes(path, has_scores=True)
        self.numbers = {key: i for i, key in enumerate(self.rows.keys)}

    def get(self, key: tuple[str, int]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (P, 4) and scores (P, C) of a keyframe, by id."""
        rows = self.rows
        which = rows.images == self.numbers.get(key, -1)
        boxes, number = np.unique(rows.boxes[which].reshape(-1, 4), axis=0,
                                  return_inverse=True)
        num_columns = int(rows.labels.max(initial=0)) + 1
        scores = np.full((len(boxes), num_columns), -np.inf)
        scores[number.reshape(-1), rows.labels[which]] = rows.scores[which]
        return boxes, scores


def read_keyframe(info: dict, load: LoadVideoClip) -> np.ndarray:
    """The keyframe of a sample as RGB, uint8 of shape (H, W, 3)."""
    center = int(info['center_frame'])
    if info.get('filename'):
        return load({'filename': info['filename'], 'frame_inds': [center],
                     'frame_table': info.get('frame_table')})['imgs'][0]
    name = info['filename_tmpl'].format(center + info['start_index'])
    return mmcv.imfrombytes(
        get(join_path(info['frame_dir'], name)), channel_order='rgb')


def build_dataset(cfg: Config, split: str) -> Any:
    """The data set itself, without wrappers around it and transforms."""
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise SystemExit(f'The config has no {split}_dataloader. Choose '
                         'another --split.')
    found = loader.dataset
    while 'ann_file' not in found and 'dataset' in found:
        found = found.dataset
    dataset = DATASETS.build(dict(found, pipeline=[]))
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    if not len(dataset):
        raise SystemExit(f'The {split} data set is empty.')
    info = dataset.get_data_info(0)
    lacking = [key for key in ('video_id', 'timestamp', 'center_frame',
                               'gt_bboxes', 'gt_labels') if key not in info]
    if lacking:
        raise SystemExit(
            f'The {split} data set, {found.type}, has no keyframes: its '
            f'samples lack {lacking}. Give the config of a detector with '
            'OnlineAVADataset.')
    return dataset


def choose_keyframes(keys: Sequence[tuple[str, int]], video: str | None,
                     num: int | None) -> list[int]:
    """Indices of the keyframes to draw, in the order of videos and time."""
    indices = range(len(keys))
    if video is not None:
        indices = [i for i in indices if keys[i][0] == video]
        if not indices:
            names = first_names(sorted({name for name, _ in keys}))
            raise SystemExit(f'No keyframe is of a video {video!r}. Remedy: '
                             f'one of {names}')
    indices = sorted(indices, key=lambda i: keys[i])
    if num is not None and num < len(indices):
        indices = [indices[i * len(indices) // num] for i in range(num)]
    return indices


def compare_with_results(keys: Sequence[tuple[str, int]],
                         found: Predictions) -> None:
    """Tell how many keyframes have results; none at all is an error."""
    own = found.numbers
    shared = own.keys() & set(keys)
    if not shared:
        example = image_key(*min(own)) if own else 'none'
        raise SystemExit(
            f'None of the {len(own)} keyframes of the results '
            f"('{example}' ...) is among the {len(keys)} of the data set "
            f"('{image_key(*min(keys))}' ...). Give the results of this data "
            'set, or the --split that they are for.')
    print(f'{len(shared)} of {len(keys)} keyframes have predictions'
          f'; {len(own) - len(shared)} keyframes of the results are '
          'not in the data set')


def load_names(cfg: Config, dataset: Any) -> dict[int, str]:
    """Names of the classes, from the label map of data set or metric."""
    metrics = cfg.get('test_evaluator') or []
    metrics = [metrics] if isinstance(metrics, dict) else metrics
    for path in (getattr(dataset, 'label_file', None),
                 *(metric.get('label_file') for metric in metrics)):
        if path:
            return read_label_map(path)
    return {}


def truth_by_id(info: dict,
                custom: Sequence[int] | None) -> tuple[np.ndarray, np.ndarray]:
    """Ground truth of a sample, with columns of labels by id."""
    boxes = np.asarray(info['gt_bboxes']).reshape(-1, 4)
    labels = np.asarray(info['gt_labels']).reshape(len(boxes), -1)
    if custom is not None:
        # Column k is the k-th custom class, counted from 1.
        by_id = np.zeros((len(boxes), max(custom) + 1))
        by_id[:, list(custom)] = labels[:, 1:]
        labels = by_id
    return boxes, labels


@tells_errors
def main(args: Sequence[str] | None = None) -> list[str]:
    """Draw.

    Returns:
        list[str]: Paths of the pictures.
    """
    args = parse_args(args)
    cfg = read_config(args)

    dataset = build_dataset(cfg, args.split)
    keys = [(str(video), int(time)) for video, time in dataset.stream_keys()]
    indices = choose_keyframes(keys, args.video, args.num)
    names = load_names(cfg, dataset)
    custom = getattr(dataset, 'custom_classes', None)
    found, what = None, []
    if args.show_gt:
        what.append('green: ground truth')
    if args.results:
        found = Predictions(args.results)
        compare_with_results(keys, found)
        what.append(f'orange: predictions above {args.score_thr:g}')

    load, paths = LoadVideoClip(cache_size=1), []
    for n in mmengine.track_iter_progress(indices):
        info = dataset.get_data_info(n)
        image = draw_detections(
            read_keyframe(info, load), names,
            truth_by_id(info, custom) if args.show_gt else None,
            found.get(keys[n]) if found else None, args.score_thr,
            f'{image_key(*keys[n])}\n{"   ".join(what)}')
        # A video's name may be a path.
        video = osp.normpath(keys[n][0]).replace('..', '_').lstrip('/')
        paths.append(osp.join(args.out, video, f'{keys[n][1]:04d}.jpg'))
        mmcv.imwrite(image[..., ::-1], paths[-1])
    print(f'\n{len(paths)} pictures are in {args.out}, the first one is '
          f'{paths[0]}')
    return paths


if __name__ == '__main__':
    main()
