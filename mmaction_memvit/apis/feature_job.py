# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Features of many videos, a file each, by several processes.

A video is written when its last clip is done, all at once, so that a job that
was killed goes on with the videos that are not there. Which clips pass the
model together depends on nothing but the videos and the batch size: files are
the same to the last byte whoever writes them.
"""
import json
import os.path as osp
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
)

import numpy as np
import torch
from mmaction.models.recognizers.base import BaseRecognizer
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from mmaction_memvit.evaluation.functional.look_ahead import looks_ahead
from mmaction_memvit.files import whole_file
from mmaction_memvit.memory import MemoryHost
from mmaction_memvit.messages import check_choice, check_whole
from mmaction_memvit.models.layers.feature_vectors import feature_vectors
from mmaction_memvit.video.find import is_video

from .folder_job import fingerprint, share_out
from .read_ahead import Batch, read_ahead


class Progress(NamedTuple):
    """How far a process has come."""
    clips: int  # that are done or given up
    videos: int  # that are written
    failed: Dict[str, str]  # reasons why videos were given up, by names


class FeatureExtractor:
    """Vectors of clips from a part of a recognizer.

    Args:
        model (BaseRecognizer): In evaluation mode. Parts after the stage are
            taken off it.
        stage (str): Whose output it is, 'backbone' or 'neck'. Defaults to
            'backbone'.
        per_frame (bool): See :func:`feature_vectors`. Defaults to False.

    Raises:
        ValueError: If the model is no recognizer.
    """

    def __init__(self, model: nn.Module, stage: str = 'backbone',
                 per_frame: bool = False) -> None:
        check_choice('stage', stage, ('backbone', 'neck'))
        if not isinstance(model, BaseRecognizer):
            raise ValueError(f'{type(model).__name__} is no recognizer, whose '
                             'features stand for clips. Remedy: a config of '
                             'Recognizer2D, Recognizer3D, OnlineRecognizer3D')
        if stage == 'neck' and not model.with_neck:
            raise ValueError("stage='neck', but the model has none. Remedy: "
                             "stage='backbone'")
        self.model, self.stage, self.per_frame = model, stage, per_frame
        model.cls_head = None
        if stage == 'backbone':
            model.neck = None
        # Which parts remember, anew.
        vars(model).pop('remembering', None)
        # Views pass the model as they come.
        model.test_cfg = None
        self.remembers = isinstance(model, MemoryHost) and model.with_memory

    def forget(self) -> None:
        """Let all streams start anew."""
        if self.remembers:
            self.model.bank(True).clear()

    @torch.no_grad()
    def __call__(self, clips: Sequence[dict]) -> List[np.ndarray]:
        """Vectors (T, C) of packed clips; T = 1 unless ``per_frame``.

        Clips of several views (crops) give their mean.
        """
        shapes = [tuple(x['inputs'].shape) for x in clips]
        found: List[Any] = [None] * len(clips)
        for shape in dict.fromkeys(shapes):
            places = [i for i, x in enumerate(shapes) if x == shape]
            vectors = self._vectors([clips[i] for i in places])
            for i, own in zip(places, vectors.cpu().numpy()):
                found[i] = own
        return found

    def _vectors(self, clips: Sequence[dict]) -> Tensor:
        data = self.model.data_preprocessor(pseudo_collate(clips), False)
        inputs, samples = data['inputs'], data['data_samples']
        if self.stage == 'backbone' and not self.remembers:
            # Of all models this runs the backbone alone.
            out = self.model.extract_feat(inputs, stage='backbone')
        else:
            out = self.model.extract_feat(
                inputs, stage='neck', data_samples=samples, test_mode=True)
        vectors = feature_vectors(out[0], self.per_frame).float()
        return vectors.unflatten(0, (len(clips), -1)).mean(1)


class FeatureJob:
    """Writes the features of videos as ``out_dir/NAME.npz``.

    A file holds ``features``, float16 (L, C), or (L, T, C) ``per_frame``;
    ``times``, float64 (L, ), seconds at which clips begin; ``fps``, clips a
    second; ``clip_len`` and ``frame_interval``; and ``video``, JSON of what
    tells the time of the video's frames, by which data sets have the same
    labels for features as for the video.

    Args:
        extractor (FeatureExtractor): The model.
        clips (DatasetClips | FileClips): The videos.
        out_dir (str): Folder, seen by all processes.
        batch_size (int): Clips that pass the model at a time: consecutive
            ones, or, in a model that remembers, of so many videos. Defaults
            to 16.
        num_workers (int): Processes that decode ahead; 0 for none. Defaults
            to 4.
    """

    def __init__(self, extractor: FeatureExtractor, clips: Any, out_dir: str,
                 batch_size: int = 16, num_workers: int = 4) -> None:
        self.extractor = extractor
        self.clips = clips
        self.out_dir = out_dir
        self.batch_size = check_whole('batch_size', batch_size)
        self.num_workers = check_whole('num_workers', num_workers, 0)
        names = sorted(clips.counts, key=lambda x: (-clips.counts[x], x))
        names = [x for x in names if clips.counts[x]]
        lanes = batch_size if extractor.remembers else 1
        self.groups = [names[i:i + lanes] for i in range(0, len(names), lanes)]
        _check_names(names)

    def path(self, name: str) -> str:
        """Where the features of a video go."""
        return osp.join(self.out_dir, f'{_stem(name)}.npz')

    def prepare(self, pipeline: Any, num_processes: int = 1
                ) -> List[List[int]]:
        """Share out what is left to do; asked by one process, for all.

        Args:
            pipeline (Any): What frames pass before the model.
            num_processes (int): Defaults to 1.

        Returns:
            list[list[int]]: Numbers of ``groups`` for each process.

        Raises:
            ValueError: If ``out_dir`` holds features of another model.
        """
        own = fingerprint(
            self.extractor.model, self.clips.describe(), pipeline,
            self.extractor.stage, self.extractor.per_frame, self.batch_size)
        path = osp.join(self.out_dir, 'extraction.json')
        told = dict(model=own)
        if osp.exists(path):
            with open(path, encoding='utf-8') as f:
                told = json.load(f)
                if told['model'] != own:
                    raise ValueError(
                        f'{self.out_dir} holds features of another model, '
                        'other clips or another batch size: name another '
                        'folder, or remove this one')
        if 'looks_ahead' not in told:
            told['looks_ahead'] = self._looks_ahead()
        with whole_file(path, 'w', encoding='utf-8') as f:
            json.dump(told, f)
        left = [i for i, group in enumerate(self.groups)
                if not all(osp.exists(self.path(x)) for x in group)]
        shares = share_out([self.num_clips([i]) for i in left], num_processes)
        return [[left[i] for i in share] for share in shares]

    def _looks_ahead(self) -> Optional[bool]:
        """Whether vectors know of later frames of their clip, if known."""
        if not self.extractor.per_frame or not self.groups:
            return None
        clip = next(read_ahead(self.clips.read, [[(self.groups[0][0], 0)]], 0)
                    )[0]
        if isinstance(clip, str):
            return None

        def score(inputs: Tensor) -> np.ndarray:
            self.extractor.forget()
            return self.extractor([dict(clip, inputs=inputs)])[0]

        ahead = looks_ahead(score, clip['inputs'])
        self.extractor.forget()
        return ahead

    def num_clips(self, share: Sequence[int]) -> int:
        """Clips of some groups."""
        return sum(self.clips.counts[x] for i in share for x in self.groups[i])

    def batches(self, group: Sequence[str]) -> Iterator[Batch]:
        """Clips of a group that pass the model together, in order."""
        counts = self.clips.counts
        if self.extractor.remembers:
            for turn in range(max(counts[x] for x in group)):
                yield [(x, turn) for x in group if turn < counts[x]]
            return
        for name in group:
            every = [(name, i) for i in range(counts[name])]
            for i in range(0, len(every), self.batch_size):
                yield every[i:i + self.batch_size]

    def run(self, share: Sequence[int]) -> Iterator[Progress]:
        """Do one process's share.

        Yields:
            Progress: After each batch.
        """
        batches = [b for i in share for b in self.batches(self.groups[i])]
        last = {name: clip for batch in batches for name, clip in batch}
        vectors: Dict[str, list] = {}
        failed: Dict[str, str] = {}
        done = written = 0
        for batch, read in zip(batches, read_ahead(
                self.clips.read, batches, self.num_workers)):
            if batch[0][1] == 0:
                self.extractor.forget()
            for (name, _), clip in zip(batch, read):
                if isinstance(clip, str):
                    failed.setdefault(name, clip)
            kept = [(key, clip) for key, clip in zip(batch, read)
                    if key[0] not in failed]
            found = self.extractor([x for _, x in kept]) if kept else []
            for ((name, clip), packed), own in zip(kept, found):
                seconds = packed['data_samples'].start_seconds
                vectors.setdefault(name, []).append((seconds, own))
                if clip == last[name]:
                    problem = self._write(name, *zip(*vectors.pop(name)))
                    written += not problem
                    if problem:
                        failed[name] = problem
            done += len(batch)
            yield Progress(done, written, failed)

    def _write(self, name: str, times: Sequence[float],
               features: Sequence[np.ndarray]) -> str:
        """Writes a file; tells if it cannot be."""
        features = np.stack(features)
        with np.errstate(over='ignore'):
            half = features.astype(np.float16)
        if not np.isfinite(half).all():
            return ('features are not finite, or beyond the 65504 of float16: '
                    f'the greatest is {np.abs(features).max():.3g}')
        clips, video = self.clips, self.clips.video(name)
        span = times[-1] - times[0] if len(times) > 1 else 0.
        with whole_file(self.path(name)) as f:
            np.savez(
                f, features=half if half.shape[1] > 1 else half[:, 0],
                times=np.asarray(times, float),
                fps=(len(times) - 1) / span if span else video['fps'],
                video=np.array(json.dumps(_clock_of(video), sort_keys=True)),
                **clips.grid)
        return ''


def _clock_of(video: dict) -> dict:
    """What tells the time of a video's frames, see :class:`Clock`."""
    told = {k: video[k] for k in ('num_frames', 'fps')}
    entry = video.get('frame_table', video)
    if {'time_drift', 'start'} & entry.keys():
        told['frame_table'] = {
            **{k: x for k, x in entry.items() if k not in ('size', 'problem')},
            'table': {k: x for k, x in entry['table'].items() if k != 'keys'}}
    return told


def _check_names(names: Sequence[str]) -> None:
    stems: Dict[str, str] = {}
    for name in names:
        other = stems.setdefault(_stem(name), name)
        if other != name:
            raise ValueError(f'{other} and {name} would be one file. Remedy: '
                             'rename one of them')


def _stem(name: str) -> str:
    return osp.splitext(name)[0] if is_video(name) else name
