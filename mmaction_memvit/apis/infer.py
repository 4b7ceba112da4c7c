# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The call form of MMAction2's inferencers."""
import os
import os.path as osp
from typing import Callable, Dict, Optional, Sequence, Union

import mmengine

from mmaction_memvit.annotations.class_names import read_class_names
from mmaction_memvit.video import probe_video
from mmaction_memvit.video.write import VideoWriter
from mmaction_memvit.visualization.online import best_rows
from mmaction_memvit.visualization.online_outputs import (
    draw_file,
    shown_from,
)

# Classes that are drawn.
_TOP = 3


def infer_files(inferencer, inputs: Union[str, Sequence[str]],
                pred_out_file: str = '', vid_out_dir: str = '',
                print_result: bool = False, label_file: Optional[str] = None,
                boxes: Optional[Callable] = None) -> Dict[str, list]:
    """Run along whole files, called as MMAction2's inferencers are.

    Args:
        inputs (str | Sequence[str]): Paths.
        pred_out_file (str): Where ``predictions`` go (.json, .yaml, .pkl).
            Defaults to '': nowhere.
        vid_out_dir (str): Where videos go, with the best classes on them.
            Defaults to '': nowhere.
        print_result (bool): Defaults to False.
        label_file (str, optional): Names of the classes, one a line. Defaults
            to None: numbers.
        boxes (Callable, optional): See :meth:`OnlineInferencer.session`.

    Returns:
        dict: ``predictions``, of each file a list of
        :meth:`ClipPrediction.to_dict`; ``visualization``, paths.
    """
    inputs = [inputs] if isinstance(inputs, str) else list(inputs)
    names = {}
    if label_file is not None:
        names[''] = dict(enumerate(read_class_names(label_file)))
    predictions, pictures = [], []
    for video in inputs:
        entry = probe_video(video)
        steps = list(inferencer(video, boxes, entry))
        predictions.append([step.to_dict() for step in steps])
        if vid_out_dir:
            os.makedirs(vid_out_dir, exist_ok=True)
            stem = osp.splitext(osp.basename(video))[0]
            pictures.append(osp.join(vid_out_dir, f'{stem}.mp4'))
            writer = VideoWriter(pictures[-1], entry['fps'])
            draw_file(video, writer, entry['fps'],
                      [(shown_from(x), best_rows(x, names, _TOP))
                       for x in steps])
            writer.close()
    found = dict(predictions=predictions)
    if print_result:
        print(found)
    if pred_out_file:
        mmengine.dump(found, pred_out_file)
    return dict(found, visualization=pictures)
