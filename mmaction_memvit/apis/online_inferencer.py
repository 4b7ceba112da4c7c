# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Trained models along streams: files, cameras, any number at a time."""
import itertools
import os.path as osp
import sys
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Optional, Union

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mmaction_memvit.memory import MemoryBank, MemoryHost
from mmaction_memvit.memory.bank import ClipIdentity
from mmaction_memvit.memory.state import load_state_dict, state_dict
from mmaction_memvit.messages import warn
from mmaction_memvit.models.recognizers.clip_collaboration import (
    ClipCollaboration,
)
from mmaction_memvit.models.recognizers.cuda_graph import GraphedSteps
from mmaction_memvit.video import probe_video
from mmaction_memvit.video.frames import Clock

from .clip_loader import ClipLoader
from .clip_plan import plan_of
from .infer import infer_files
from .memory_attention import AttentionRecorder, MemoryAttention
from .model import load_model
from .session import Clip, ClipPrediction, Frames, Session


class OnlineInferencer:
    """Runs a trained model along streams, clip by clip.

    Each clip is predicted as soon as its frames are there, with what the
    model remembers of the clips before. Time and memory a clip do not grow
    with the stream. Several streams pass the model as one batch, with the
    scores that each has alone, which are those of testing. Recognizers,
    with scores of clips or of temporal tokens, anticipation, detectors; and
    MMAction2's recognizers, which remember nothing.

    Args:
        config (str | Config): The config the model was trained with; its
            ``test_dataloader`` gives clips and transforms.
        checkpoint (str, optional): Weights. Defaults to None: as initialised.
        device (str): Defaults to 'cpu'.
        sample_fps (float, optional): Frames per second that ``frame_interval``
            and ``clip_stride`` of the config count at, whatever the rate of
            a stream. Defaults to None: as the config says; where it does not,
            frames are taken as they come.
        cuda_graph (bool, optional): Option of :class:`GraphedSteps`. Defaults
            to None: as the config says.
        record_attention (bool): Whether predictions tell what a MeMViT
            attended to, see :class:`MemoryAttention`. Attention weights are
            computed once more for it. Defaults to False.

    Raises:
        FileNotFoundError: If config or checkpoint do not exist.
        ValueError: If the config's test data have no clips in order, the
            model looks at several clips at once (collaborative memory), or
            it attends to no memory that could be recorded.

    Examples:
        >>> inferencer = OnlineInferencer('config.py', 'epoch_10.pth')
        >>> for step in inferencer('match.mp4'):           # a file
        ...     print(f'{step.start:.1f} s: {step.label}')
        >>> door, yard = (inferencer.session(x) for x in ('door', 'yard'))
        >>> for frames in zip(door_camera, yard_camera):   # or live
        ...     for steps in inferencer.push([door, yard], frames):
        ...         print([step.label for step in steps])
    """

    def __init__(self, config: Union[str, Config],
                 checkpoint: Optional[str] = None, device: str = 'cpu',
                 sample_fps: Optional[float] = None,
                 cuda_graph: Optional[bool] = None,
                 record_attention: bool = False) -> None:
        self.config, self.model = load_model(config, checkpoint, device)
        if isinstance(self.model, ClipCollaboration):
            raise ValueError(
                f'{type(self.model).__name__} looks at several clips of a '
                'video at once, later ones too, so it cannot run along a '
                'stream; use tools/test.py')
        dataset = self.config.test_dataloader.dataset
        self.plan = plan_of(dataset, sample_fps)
        self.loader = ClipLoader(dataset, self.plan)
        if cuda_graph is not None:
            if not isinstance(self.model, GraphedSteps):
                raise ValueError(
                    f'cuda_graph={cuda_graph}, but {type(self.model).__name__}'
                    ' has no such option: leave it out, or use '
                    'OnlineRecognizer3D or OnlineFastRCNN')
            self.model.cuda_graph = cuda_graph
        self.recorder = (
            AttentionRecorder(self.model) if record_attention else None)
        # A model of MMAction2 has none to forget.
        self.bank = MemoryBank()
        if isinstance(self.model, MemoryHost):
            self.bank = self.model.bank(True)
        # A bank keeps as many streams as batches have lanes. Here any number
        # may run: they are forgotten when nobody holds them any more.
        self.bank.max_streams = sys.maxsize
        self._keys = itertools.count()

    # -- sessions -----------------------------------------------------------

    def session(self, name: Hashable = None, fps: float = 30.,
                boxes: Optional[Callable] = None) -> Session:
        """Begin a stream; it is forgotten when nobody holds it any more.

        Args:
            name (Hashable): For the caller's use: streams of one name do not
                meet. Defaults to None.
            fps (float): Frames per second of the stream. Defaults to 30.
            boxes (Callable, optional): For detectors: gives the boxes of a
                clip, pixels (N, 4), N may be 0, from the picture of its
                keyframe, (H, W, 3), and that one's seconds. Defaults to
                None.

        Raises:
            ValueError: If ``fps`` is not above 0, or a detector gets no
                ``boxes``.
        """
        if boxes is None and self.loader.takes_boxes:
            raise ValueError(
                'a detector needs boxes: hand in boxes=f, where f(picture, '
                'seconds) gives the pixels (N, 4) of the persons there')
        session = Session(self, next(self._keys), name, fps, boxes)
        end = weakref.finalize(session, self.bank.forget, session.key)
        end.atexit = False
        return session

    def load_session(self, state: Union[str, dict[str, Any]],
                     boxes: Optional[Callable] = None) -> Session:
        """Go on with a session that was saved, in another process too.

        Args:
            state (str | dict): From :meth:`Session.state_dict`, or a file to
                which ``torch.save`` has written it.
            boxes (Callable, optional): See :meth:`session`.

        Raises:
            ValueError: If it was saved with another model.
        """
        if not isinstance(state, dict):
            state = torch.load(state, map_location='cpu', weights_only=True)
        session = self.session(state['name'], state['fps'], boxes)
        session.load_state_dict(state)
        return session

    def push(self, sessions: Sequence[Session],
             frames: Sequence[Frames]) -> list[list[ClipPrediction]]:
        """Hand in the next frames of several streams, for one batch.

        Args:
            sessions (Sequence[Session]): The streams.
            frames (Sequence): What :meth:`Session.push` takes, for each.

        Returns:
            list[list[ClipPrediction]]: For each stream, of the clips that
            are complete now.
        """
        if len(sessions) != len(frames):
            raise ValueError(f'there are {len(sessions)} sessions, but frames '
                             f'for {len(frames)}')
        return self.run_feeds(
            sessions, [s.feed(x) for s, x in zip(sessions, frames)])

    def finish(self,
               sessions: Sequence[Session]) -> list[list[ClipPrediction]]:
        """End several streams, see :meth:`Session.finish`."""
        return self.run_feeds(sessions, [s.rest() for s in sessions])

    def run_feeds(self, sessions: Sequence[Session],
                  feeds: Sequence[Iterator[Clip]]) -> list[list]:
        """Predict what feeds of clips give, those of a turn as a batch."""
        if len({id(s) for s in sessions}) < len(sessions):
            raise ValueError('a session stands twice in the list: its clips '
                             'follow each other, in one push')
        results: list[list] = [[] for _ in sessions]
        while True:
            clips = [next(feed, None) for feed in feeds]
            ready = [i for i, clip in enumerate(clips) if clip is not None]
            if not ready:
                return results
            found = self.run_clips([sessions[i] for i in ready],
                                   [clips[i] for i in ready])
            for i, prediction in zip(ready, found):
                results[i].append(prediction)

    # -- files --------------------------------------------------------------

    def __call__(self, video: str, boxes: Optional[Callable] = None,
                 entry: Optional[dict] = None) -> Iterator[ClipPrediction]:
        """Run along a video file; the clip that it breaks off is padded.

        Only frames that clips show are decoded.

        Args:
            video (str): Path.
            boxes (Callable, optional): See :meth:`session`.
            entry (dict, optional): The file's in an index, see
                :func:`probe_video`. Defaults to None: the file is scanned.

        Yields:
            ClipPrediction: One for each clip, as it is predicted.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it cannot be read.
        """
        if not osp.isfile(video):
            raise FileNotFoundError(f'{video}: no such file')
        entry = entry or probe_video(video)
        if not entry['num_frames']:
            raise ValueError(f'{video}: {entry.get("problem", "no frames")}; '
                             'check the path, or encode the video anew')
        if 'problem' in entry:
            warn(f'{video}: {entry["problem"]}')
        session = self.file_session(video, entry, boxes)
        for number in range(self.plan.num_clips(session.clock)):
            clip = self.loader.read(video, entry, number)
            yield self.run_clips([session], [clip])[0]

    infer = infer_files

    def file_session(self, name: Hashable, entry: dict,
                     boxes: Optional[Callable] = None) -> Session:
        """A session that keeps the time of a file and knows its end.

        Args:
            name (Hashable): For the caller's use.
            entry (dict): The file's in an index, see :func:`probe_video`.
            boxes (Callable, optional): See :meth:`session`.
        """
        session = self.session(name, entry['fps'], boxes)
        session.clock = Clock(entry)
        session.num_frames = entry['num_frames']
        return session

    # -- the model ----------------------------------------------------------

    def run_clips(self, sessions: Sequence[Session],
                  clips: Sequence[Clip]) -> list[ClipPrediction]:
        """The next clips of different streams, those of one size at once."""
        packed = [self._pack(s, c) for s, c in zip(sessions, clips)]
        shapes = [tuple(x['inputs'].shape) for x in packed]
        found: list[Any] = [None] * len(packed)
        for shape in dict.fromkeys(shapes):
            lanes = [i for i, x in enumerate(shapes) if x == shape]
            data = pseudo_collate([packed[i] for i in lanes])
            with torch.no_grad():
                if self.recorder is None:
                    samples = self.model.test_step(data)
                    attention: list[Any] = [None] * len(lanes)
                else:
                    samples, attention = self.recorder.predict(data)
            for i, *own in zip(lanes, samples, attention):
                found[i] = own
        return [self._prediction(session, clip, *own)
                for session, clip, own in zip(sessions, clips, found)]

    def _pack(self, session: Session, clip: Clip) -> dict:
        data = clip.data or self.loader.pack(
            clip, session.clock, session.name, session.boxes)
        shape = tuple(data['inputs'].shape)
        if session.input_shape not in (None, shape):
            warn(f'{session.name or "a session"}: clips of {shape} follow '
                 f'those of {session.input_shape}: its memory starts anew')
            self.bank.forget(session.key)
        session.input_shape = shape
        session.last_seconds = self.plan.start_seconds(
            clip.number, session.clock)
        # Whatever the pipeline packs.
        data['data_samples'].set_metainfo(
            dict(video_id=session.key,
                 timestamp=self.plan.first + session.num_run,
                 start_seconds=session.last_seconds))
        session.num_run += 1
        return data

    def _prediction(self, session: Session, clip: Clip, sample,
                    attention: Optional[MemoryAttention]) -> ClipPrediction:
        clock = session.clock
        start, end = self.plan.seconds(clip.number, clock)
        times = clip.number, start, min(
            end, float(clock.seconds_at(session.num_frames)))
        if 'pred_instances' in sample:
            found = sample.pred_instances
            return ClipPrediction(
                *times, _to_cpu(found.scores), _to_cpu(found.bboxes),
                self.plan.start_seconds(clip.number, clock), attention)
        return ClipPrediction(
            *times, _to_cpu(sample.pred_score), attention=attention)

    # -- memory of a session ------------------------------------------------

    def memory_of(self, session: Session) -> Optional[dict[str, Any]]:
        """What the model remembers of a stream; None if nothing."""
        identities = self._identities(session, 0)
        if not identities or not len(self.bank):
            return None
        size = session.input_shape[-2:]
        memory = self.bank.read(self._identities(session, 1),
                                lambda num: self.model.init_memory(num, size))
        return state_dict(memory)

    def set_memory(self, session: Session, state: dict[str, Any]) -> None:
        """Remember what :meth:`memory_of` gave, in a session's state."""
        if state['memory'] is None:
            return
        if not isinstance(self.model, MemoryHost):
            raise ValueError('the saved session is of a model with memory, '
                             'which this one has not')
        identities = self._identities(session, 0)
        empty = self.model.init_memory(
            len(identities), session.input_shape[-2:])
        self.bank.write(identities, load_state_dict(empty, state['memory']))

    def _identities(self, session: Session, ahead: int) -> list[ClipIdentity]:
        """Of the last clip of a stream, or one ahead, in all views."""
        if not isinstance(self.model, MemoryHost) or \
                not self.model.with_memory or not session.num_run:
            return []
        position = self.plan.first + session.num_run - 1 + ahead
        # Detectors take a clip without views.
        views = 1 if len(session.input_shape) == 4 else \
            session.input_shape[0]
        return [ClipIdentity(session.key, position, view, session.last_seconds)
                for view in range(views)]


def _to_cpu(scores: Union[torch.Tensor, dict]) -> Union[torch.Tensor, dict]:
    if isinstance(scores, dict):
        return {name: _to_cpu(x) for name, x in scores.items()}
    return scores.float().cpu()
