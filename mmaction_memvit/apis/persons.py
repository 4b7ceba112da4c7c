# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Boxes of persons for sessions: found by MMDetection, or of a table."""
import argparse
from pathlib import Path
from typing import Callable, Mapping, Optional, Tuple, Union

import numpy as np
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope

from mmaction_memvit.annotations.proposals import (
    CONVERT_BOXES,
    read_proposals,
)
from mmaction_memvit.datasets.grid import KeyframeGrid
from mmaction_memvit.messages import first_names

from .online_inferencer import OnlineInferencer


class PersonDetector:
    """Boxes for sessions of action detectors, by any detector of MMDetection.

    Args:
        config (str | Config): Its config, a file or ``'mmdet::NAME.py'``.
        checkpoint (str, optional): Its weights. Defaults to None: as
            initialised.
        device (str): Defaults to 'cpu'.
        score_thr (float): Least score of a person. Defaults to 0.9, as in
            MMAction2.
        label (int): Number of the class of persons. Defaults to 0, as in
            COCO.

    Examples:
        >>> inferencer.session(boxes=PersonDetector(
        ...     'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', path))
    """

    def __init__(self, config: Union[str, Config],
                 checkpoint: Optional[str] = None, device: str = 'cpu',
                 score_thr: float = 0.9, label: int = 0) -> None:
        from mmdet.apis import inference_detector, init_detector
        self._detect = inference_detector
        if isinstance(config, str) and '::' in config:
            config = get_config(config)
        # MMDetection's names, not ours, which come back afterwards.
        with DefaultScope.overwrite_default_scope('mmdet'):
            self.model = init_detector(
                config, checkpoint, device=device, palette='coco')
        self.score_thr = score_thr
        self.label = label

    def __call__(self, picture: np.ndarray, seconds: float) -> np.ndarray:
        """Boxes of the persons on a picture.

        Args:
            picture (np.ndarray): RGB, uint8 (H, W, 3).
            seconds (float): Not used.

        Returns:
            np.ndarray: float32 (N, 4), pixels.
        """
        with DefaultScope.overwrite_default_scope('mmdet'):
            # MMDetection takes pictures as OpenCV reads them.
            found = self._detect(
                self.model,
                np.ascontiguousarray(picture[..., ::-1])).pred_instances
        keep = (found.labels == self.label) & (found.scores >= self.score_thr)
        return found.bboxes[keep].float().cpu().numpy()


def boxes_in_table(table: Mapping[Tuple[str, int], np.ndarray], video: str,
                   grid: KeyframeGrid, fps: float) -> Callable:
    """Boxes for sessions of action detectors, of a table.

    Args:
        table (Mapping): From :func:`read_proposals`.
        video (str): Its name there.
        grid (KeyframeGrid): Of the keyframes.
        fps (float): Frames per second of the video.

    Returns:
        Callable: Gives pixels (N, 4) of a picture and its seconds.

    Raises:
        ValueError: If the table has no boxes of the video.
    """
    if not any(name == video for name, _ in table):
        raise ValueError(f'the table has no boxes of {video!r}; it has those '
                         f'of {first_names(sorted({x for x, _ in table}))}')
    rate = fps if grid.rate == 'frames' else grid.rate

    def boxes(picture: np.ndarray, seconds: float) -> np.ndarray:
        height, width = picture.shape[:2]
        shares = table.get((video, grid.start + round(seconds * rate)), ())
        if not len(shares):
            return np.zeros((0, 4), np.float32)
        return np.asarray(shares)[:, :4] * (width, height, width, height)

    return boxes


def add_box_options(parser: argparse.ArgumentParser) -> None:
    """Options of a command that say where boxes come from."""
    add = parser.add_argument
    add('--boxes', help='detectors: person boxes (.pkl), made of a CSV file '
        f'by {CONVERT_BOXES}')
    add('--person-config', help='detectors: config of an MMDetection '
        'detector that finds the persons, a file or mmdet::NAME.py')
    add('--person-checkpoint', help='its weights')
    add('--person-score', type=float, default=0.9,
        help='least score of a person')


def boxes_by_video(args: argparse.Namespace,
                   inferencer: OnlineInferencer) -> Optional[Callable]:
    """What :func:`add_box_options` ask for.

    Args:
        args (argparse.Namespace): With ``device``.
        inferencer (OnlineInferencer): That takes the boxes.

    Returns:
        Callable | None: Gives, by path or name of a video and its frames per
        second, what :meth:`OnlineInferencer.session` takes as ``boxes``;
        None if nothing is asked for.

    Raises:
        ValueError: If nothing is asked for, and the model is a detector.
    """
    if args.person_config:
        detector = PersonDetector(args.person_config, args.person_checkpoint,
                                  args.device, args.person_score)
        return lambda name, fps: detector
    if args.boxes is None:
        if inferencer.loader.takes_boxes:
            raise ValueError(
                'a detector needs the boxes of persons. Remedy: name a file '
                f'of them by --boxes, which {CONVERT_BOXES} makes of a table, '
                'or by --person-config and --person-checkpoint a detector of '
                'MMDetection that finds them')
        return None
    table = read_proposals(args.boxes, 'let a detector find the persons, by '
                           '--person-config and --person-checkpoint')
    return lambda name, fps: boxes_in_table(
        table, Path(name).stem, inferencer.plan.grid, fps)
