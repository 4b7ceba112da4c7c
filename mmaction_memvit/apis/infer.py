# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The call form of MMAction2's inferencers."""
import os
import os.path as osp
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

import mmengine

from mmaction_memvit.annotations.class_names import read_class_names
from mmaction_memvit.video import probe_video
from mmaction_memvit.video.live import LiveSource, at_rate
from mmaction_memvit.video.write import VideoWriter
from mmaction_memvit.visualization.online import best_rows, draw_rows

# Classes that are drawn.
_TOP = 3


def infer(inferencer,
          inputs: Union[str, Sequence[str]],
          pred_out_file: str = '',
          vid_out_dir: str = '',
          print_result: bool = False,
          label_file: Optional[str] = None,
          boxes: Optional[Callable] = None) -> Dict[str, list]:
    """Run along whole files, see :meth:`OnlineInferencer.infer`."""
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
            draw_video(video, pictures[-1], entry['fps'], steps, names)
    found = dict(predictions=predictions)
    if print_result:
        print(found)
    if pred_out_file:
        mmengine.dump(found, pred_out_file)
    return dict(found, visualization=pictures)


def draw_video(video: str, path: str, fps: float, steps: List[Any],
               names: Dict[str, Dict[int, str]]) -> None:
    """Write a video with what is said of it on its pictures.

    Args:
        video (str): Path of the video.
        path (str): Where to.
        fps (float): Frames per second.
        steps (list[ClipPrediction]): What is said of its clips.
        names (dict): Names of classes by task and number.
    """
    writer = VideoWriter(path, fps)
    following = iter(steps)
    rows, later = [], next(following, None)
    frames = at_rate(LiveSource(video), fps, float('inf'))
    for number, image in enumerate(frames):
        seconds = number / fps
        while later and (later.start if later.keyframe is None else
                         later.keyframe) <= seconds:
            rows = best_rows(later, names, _TOP)
            later = next(following, None)
        writer.write(draw_rows(image, rows, f'{seconds:.1f} s'))
    writer.close()
