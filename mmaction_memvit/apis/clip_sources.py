# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The clips of many videos in order, as a model takes them.

Two sources: a data set of streams, with all that it knows (frame folders,
clips left out), and any video files, by the clips that a config's test data
have.
"""
import os.path as osp
from typing import Any, Dict, Mapping, Optional

import numpy as np
import torch
from mmaction.registry import DATASETS
from mmengine.config import ConfigDict

from mmaction_memvit.datasets import StreamDataset
from mmaction_memvit.messages import first_names
from mmaction_memvit.video.frames import Clock

from .clip_loader import ClipLoader
from .session import Clip


class DatasetClips:
    """Clips of a data set of streams, such as :class:`OnlineEpicDataset`.

    Args:
        dataset (StreamDataset): In test mode.
    """

    def __init__(self, dataset: StreamDataset) -> None:
        self.dataset = dataset
        video, position = (dataset.samples[k] for k in ('video', 'position'))
        order = np.lexsort((position, video))
        counts = np.bincount(video, minlength=len(dataset.video_ids))
        ends = np.cumsum(counts)
        #: dict[str, int]: Clips of each video.
        self.counts = dict(zip(dataset.video_ids, counts.tolist()))
        self._samples = {
            name: order[end - num:end]
            for (name, num), end in zip(self.counts.items(), ends)}
        self._numbers = {x: i for i, x in enumerate(dataset.video_ids)}

    def describe(self) -> Any:
        """What clips depend on, for comparison."""
        dataset = self.dataset
        grid = vars(dataset.grid) if hasattr(dataset, 'grid') else {}
        return grid, getattr(dataset, 'sample_fps', None)

    @property
    def grid(self) -> Dict[str, int]:
        """dict: ``clip_len`` and ``frame_interval``, where they are known."""
        grid = getattr(self.dataset, 'grid', None)
        return {k: getattr(grid, k) for k in ('clip_len', 'frame_interval')
                if hasattr(grid, k)}

    def video(self, name: str) -> dict:
        """The video, as an index has it."""
        return self.dataset.get_video_info(self._numbers[name])

    def read(self, name: str, clip: int) -> dict:
        """``inputs`` and ``data_samples`` of a clip."""
        index = int(self._samples[name][clip])
        data, info = self.dataset[index], self.dataset.get_data_info(index)
        data['data_samples'].set_metainfo({
            k: info[k] for k in ('video_id', 'timestamp', 'start_seconds')})
        return data


class FileClips:
    """Clips of video files, by the plan of a config's test data.

    Args:
        loader (ClipLoader): With the plan.
        paths (Mapping): Paths of videos by names.
        index (Mapping): Their entries in an index, by names.
    """

    def __init__(self, loader: ClipLoader, paths: Mapping[str, str],
                 index: Mapping[str, dict]) -> None:
        self.loader, self.paths, self.index = loader, paths, index
        #: dict[str, int]: Clips of each video that can be read.
        self.counts = {name: loader.plan.num_clips(Clock(index[name]))
                       for name in paths if index[name]['num_frames']}

    def describe(self) -> Any:
        """What clips depend on, for comparison."""
        return self.loader.plan.describe()

    @property
    def grid(self) -> Dict[str, int]:
        """dict: ``clip_len`` and ``frame_interval``."""
        plan = self.loader.plan
        return dict(
            clip_len=plan.clip_len, frame_interval=plan.frame_interval)

    def video(self, name: str) -> dict:
        """The video, as an index has it."""
        return self.index[name]

    def read_clip(self, name: str, number: int) -> Clip:
        """A clip with ``data``, or, where boxes are missing, ``images``."""
        entry = self.index[name]
        clip = self.loader.read(self.paths[name], entry, number)
        if self.loader.takes_boxes:
            # Whoever finds the boxes wants the pictures. Tensors are shared
            # between processes, arrays copied.
            clip.images = torch.from_numpy(np.stack(clip.images))
        else:
            clip.data = self.loader.pack(clip, Clock(entry), name)
            clip.images = []
        return clip

    def read(self, name: str, clip: int) -> dict:
        """``inputs`` and ``data_samples`` of a clip."""
        data = self.read_clip(name, clip).data
        seconds = self.loader.plan.start_seconds(clip, Clock(self.index[name]))
        data['data_samples'].set_metainfo(
            dict(video_id=name, timestamp=clip, start_seconds=seconds))
        return data


def stream_dataset(config: ConfigDict) -> Optional[StreamDataset]:
    """The data set of a config in test mode, if it gives streams of clips."""
    kind = DATASETS.get(config['type']) if isinstance(
        config['type'], str) else config['type']
    if not (isinstance(kind, type) and issubclass(kind, StreamDataset)
            and kind.batch_sampler == 'StreamBatchSampler'):
        return None
    return DATASETS.build({**config, 'test_mode': True})


def listed_files(config: ConfigDict) -> Dict[str, str]:
    """Paths of a data set's video files by names, as its list has them."""
    dataset = DATASETS.build({**config, 'test_mode': True})
    infos = [dataset.get_video_info(i) for i in range(len(dataset.video_ids))
             ] if isinstance(dataset, StreamDataset) else [
                 dataset.get_data_info(i) for i in range(len(dataset))]
    lost = [i for i, x in enumerate(infos) if 'filename' not in x]
    if lost:
        raise ValueError(
            f'{type(dataset).__name__} has no video files, such as sample '
            f'{first_names(lost, 1)}. Remedy: OnlineEpicDataset for frame '
            'folders, or --videos')
    root = (dataset.data_prefix or {}).get('video') or ''
    return {osp.relpath(x['filename'], root or '.').replace('\\', '/')
            if '://' not in x['filename']
            else osp.basename(x['filename']): x['filename'] for x in infos}
