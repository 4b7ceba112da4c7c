# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
import itertools
import os.path as osp
import sys
from typing import Dict, Hashable, Iterator, List, NamedTuple, Optional, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate

from mmaction_memvit.datasets.grid import ClipGrid
from mmaction_memvit.memory import MemoryBank, MemoryHost
from mmaction_memvit.video import probe_video

from .model import load_model

_LOADERS = ('LoadVideoClip', 'DecordInit', 'DecordDecode', 'PyAVInit',
            'PyAVDecode', 'OpenCVInit', 'OpenCVDecode')


class ClipPrediction(NamedTuple):
    """What the model says of one clip.

    Args:
        clip (int): Number of the clip in its stream, from 0.
        start (float): Where the clip starts, in seconds.
        end (float): Where it ends, in seconds.
        scores (Tensor): Class scores, (num_classes, ), on the CPU.
    """
    clip: int
    start: float
    end: float
    scores: torch.Tensor

    @property
    def label(self) -> int:
        """int: the class of the highest score."""
        return int(self.scores.argmax())


class StreamInferencer:
    """Runs a trained model along a video, a file or live, clip by clip.

    Each clip is predicted as soon as its frames are there, with what the
    model remembers of the clips before. Time and memory a clip do not grow
    with the video.

    Args:
        config (str | Config): The config the model was trained with; its
            ``test_dataloader`` gives clip length and transforms.
        checkpoint (str, optional): Weights. Defaults to None: as initialised.
        device (str): Defaults to 'cpu'.
        cuda_graph (bool, optional): Option of the recognizer. Defaults to
            None: as the config says.

    Raises:
        FileNotFoundError: If config or checkpoint do not exist.
        ValueError: If the config's test data are no ``OnlineVideoDataset``,
            or the checkpoint does not fit the model, unless the config has
            ``any_checkpoint_fits=True``.

    Examples:
        >>> inferencer = StreamInferencer('config.py', 'epoch_10.pth')
        >>> for step in inferencer('match.mp4'):          # a file
        ...     print(f'{step.start:.1f} s: {step.label}')
        >>> for frames in camera:                         # or live
        ...     for step in inferencer.push(frames, fps=30):
        ...         print(step.label)
    """

    def __init__(self,
                 config: Union[str, Config],
                 checkpoint: Optional[str] = None,
                 device: str = 'cpu',
                 cuda_graph: Optional[bool] = None) -> None:
        config, self.model = load_model(config, checkpoint, device)
        dataset = config.test_dataloader.dataset
        if dataset.type.split('.')[-1] != 'OnlineVideoDataset':
            raise ValueError(
                f"the config's test data are a {dataset.type}, which has no "
                'streams: StreamInferencer needs an OnlineVideoDataset')
        self.grid = ClipGrid(
            dataset.get('clip_len', 16), dataset.get('frame_interval', 4),
            dataset.get('clip_stride'), dataset.get('last_clip', 'pad'))
        self.pipeline = copy.deepcopy(list(dataset.pipeline))
        self.from_file = Compose(self.pipeline)
        self.from_frames = Compose(
            [t for t in self.pipeline if t['type'] not in _LOADERS])
        if cuda_graph is not None:
            self.model.cuda_graph = cuda_graph
        # A model of MMAction2 has none to forget.
        self.bank = MemoryBank()
        if isinstance(self.model, MemoryHost):
            self.bank = self.model.bank(True)
        if config.model.get('max_streams') is None:
            # A bank keeps as many streams as batches have lanes. Here every
            # batch has one, while any number of streams may run: they are
            # forgotten when they end.
            self.bank.max_streams = sys.maxsize
        self._live: Dict[str, _LiveStream] = {}
        self._runs = itertools.count()

    def _predict(self, pipeline: Compose, results: dict, stream: Hashable,
                 clip: int, fps: float) -> ClipPrediction:
        first = clip * self.grid.clip_stride
        results.update(
            clip_len=self.grid.clip_len,
            frame_interval=self.grid.frame_interval,
            num_clips=1,
            label=-1,
            modality='RGB',
            start_index=0,
            segment_id='',
            fps=fps,
            clip_range=(first, first + self.grid.span - 1))
        data = pipeline(results)
        # Whatever the pipeline packs.
        data['data_samples'].set_metainfo(
            dict(video_id=stream, timestamp=clip, start_seconds=first / fps))
        data = pseudo_collate([data])
        with torch.no_grad():
            sample, = self.model.test_step(data)
        return ClipPrediction(clip, first / fps,
                              (first + self.grid.span) / fps,
                              sample.pred_score.float().cpu())

    def __call__(self, video: str) -> Iterator[ClipPrediction]:
        """Run along a video file; one shorter than a clip is padded.

        Args:
            video (str): Path.

        Yields:
            ClipPrediction: One for each clip, as it is predicted.

        Raises:
            FileNotFoundError: If there is no such video.
            ValueError: If it cannot be read.
        """
        if not osp.isfile(video):
            raise FileNotFoundError(f'{video}: no such file')
        entry = probe_video(video)
        if not entry['num_frames']:
            raise ValueError(f'{video}: {entry.get("problem", "no frames")}; '
                             'check the path, or encode the video anew')
        # Not the path: one file may be watched twice at a time.
        stream = video, next(self._runs)
        try:
            for clip in range(self.grid.num_clips(entry['num_frames'])):
                results = dict(
                    filename=video,
                    frame_table=entry,
                    total_frames=entry['num_frames'],
                    frame_inds=self.grid.frame_inds(clip,
                                                    entry['num_frames']))
                step = self._predict(self.from_file, results, stream, clip,
                                     entry['fps'])
                yield step._replace(
                    end=min(step.end, entry['num_frames'] / entry['fps']))
        finally:
            self.bank.forget(stream)

    def push(self,
             frames: Union[np.ndarray, List[np.ndarray]],
             stream: str = 'live',
             fps: float = 30.) -> List[ClipPrediction]:
        """Hand in the next frames of a live stream.

        Args:
            frames (np.ndarray | list[np.ndarray]): RGB, uint8, (H, W, 3)
                each, any number of them.
            stream (str): Name of the stream; several may run side by side,
                each remembered until :meth:`reset`. Defaults to 'live'.
            fps (float): Frames per second of the stream; 30 if it is 0, as
                of cameras that do not tell. Defaults to 30.

        Returns:
            list[ClipPrediction]: Of the clips these frames completed, often
            none.

        Raises:
            ValueError: If the frames are no such images.
        """
        if not fps > 0:
            # What cameras say that do not know it.
            fps = 30.
        live = self._live.setdefault(stream, _LiveStream())
        steps = []
        for frame in frames:
            if (not isinstance(frame, np.ndarray) or frame.ndim != 3
                    or frame.shape[2] != 3 or frame.dtype != np.uint8):
                raise ValueError(
                    'a frame must be a uint8 array of (H, W, 3), but got '
                    f'{getattr(frame, "dtype", type(frame).__name__)} of '
                    f'{getattr(frame, "shape", "no shape")}; hand in a list '
                    'of frames or an array (N, H, W, 3)')
            offset = live.frame - live.clip * self.grid.clip_stride
            if offset >= 0:
                live.buffer.append(frame)
            live.frame += 1
            if offset + 1 < self.grid.span:
                continue
            images = live.buffer[::self.grid.frame_interval]
            results = dict(
                imgs=list(images[:self.grid.clip_len]),
                original_shape=frame.shape[:2],
                img_shape=frame.shape[:2])
            steps.append(
                self._predict(self.from_frames, results, stream, live.clip,
                              fps))
            # Overlapping clips share frames.
            live.buffer = live.buffer[self.grid.clip_stride:]
            live.clip += 1
        return steps

    def reset(self, stream: Optional[str] = None) -> None:
        """Forget a live stream, or with None everything."""
        if stream is None:
            self._live.clear()
            self.bank.clear()
        else:
            self._live.pop(stream, None)
            self.bank.forget(stream)


class _LiveStream:
    """Frames of a live stream that are not yet a clip."""

    def __init__(self) -> None:
        self.buffer: List[np.ndarray] = []
        self.frame = 0
        self.clip = 0
