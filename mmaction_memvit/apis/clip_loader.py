# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Clips of files, as a model takes them."""
from typing import Callable, Hashable, Mapping, Optional, Union

import numpy as np
from mmaction.registry import TRANSFORMS
from mmengine.config import ConfigDict
from mmengine.dataset import Compose

from mmaction_memvit.video.frames import Clock

from .clip_plan import ClipPlan, KeyframePlan, frame_loader, frame_pipeline
from .session import Clip


class ClipLoader:
    """Reads clips and passes them through the pipeline of a config.

    ``dataset`` is the config's ``test_dataloader.dataset``. It knows no model:
    processes beside the model's may run it.
    """

    def __init__(self, dataset: ConfigDict,
                 plan: Union[ClipPlan, KeyframePlan]) -> None:
        self.plan = plan
        self._pipeline = Compose(frame_pipeline(dataset.pipeline))
        self._frames = TRANSFORMS.build(frame_loader(dataset.pipeline))
        self._num_classes = dataset.get('num_classes', 81)

    @property
    def takes_boxes(self) -> bool:
        """bool: whether clips come with the boxes of their keyframes."""
        return hasattr(self.plan, 'keyframe')

    def read(self, video: str, entry: Mapping, number: int) -> Clip:
        """A clip of a file with its frames, by the file's entry of an index.

        Raises:
            VideoReadError: If they cannot be read.
        """
        clip = Clip(number, self.plan.wanted(number, Clock(entry)))
        clip.images = self._frames.transform(
            dict(filename=video, frame_table=entry,
                 frame_inds=clip.wanted))['imgs']
        return clip

    def pack(self, clip: Clip, clock: Clock, name: Hashable = None,
             boxes: Optional[Callable] = None) -> dict:
        """What the pipeline makes of a clip: ``inputs``, ``data_samples``.

        ``clock`` and ``name`` are its stream's; for ``boxes`` see
        :meth:`OnlineInferencer.session`.
        """
        plan = self.plan
        # Transforms may work in place; clips share frames.
        images = [np.array(x) for x in clip.images]
        shape = images[0].shape[:2]
        return self._pipeline(
            dict(
                imgs=images, original_shape=shape, img_shape=shape,
                clip_len=plan.clip_len, frame_interval=plan.frame_interval,
                num_clips=1, label=-1, modality='RGB', start_index=0,
                segment_id='', fps=clock.fps,
                clip_range=(int(clip.wanted[0]), int(clip.wanted[-1])),
                **self._box_keys(clip, clock, name, boxes)))

    def _box_keys(self, clip: Clip, clock: Clock, name: Hashable,
                  boxes: Optional[Callable]) -> dict:
        """What the pipelines of detectors take beside frames."""
        if not self.takes_boxes:
            return {}
        seconds = self.plan.start_seconds(clip.number, clock)
        picture = np.array(clip.images[self.plan.clip_len // 2])
        pixels = np.asarray(
            boxes(picture, seconds), np.float32).reshape(-1, 4)
        height, width = picture.shape[:2]
        size = np.array([width, height, width, height], np.float32)
        return dict(img_key=f'{name},{self.plan.first + clip.number:04d}',
                    gt_bboxes=np.zeros((0, 4), np.float32),
                    gt_labels=np.zeros((0, self._num_classes), np.float32),
                    entity_ids=np.zeros(0, np.int64), proposals=pixels,
                    orig_proposals=pixels / size,
                    scores=np.ones(len(pixels), np.float32))
