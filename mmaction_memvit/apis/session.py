# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""One stream on its way through a model: frames in, clips out."""
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Optional, Union

import cv2
import numpy as np
import torch

from mmaction_memvit.video.live import Gap

from .clip_plan import steady_clock
from .memory_attention import MemoryAttention

Frames = Union[np.ndarray, torch.Tensor, Iterable]


class ClipPrediction(NamedTuple):
    """What the model says of one clip.

    Args:
        clip (int): Number of the clip in its stream, from 0.
        start (float): Where the clip starts, in seconds.
        end (float): Where it ends, in seconds.
        scores (Tensor | dict): On the CPU: class scores (num_classes, ), of
            temporal tokens (T', num_classes), of boxes (N, num_classes); of
            heads with several tasks a dict of them.
        boxes (Tensor, optional): (N, 4), shares of the picture. Defaults to
            None: the model takes no boxes.
        keyframe (float, optional): Seconds of the picture that they are on.
        attention (MemoryAttention, optional): What the clip attended to.
            Defaults to None: nobody asked.
    """
    clip: int
    start: float
    end: float
    scores: Union[torch.Tensor, dict[str, torch.Tensor]]
    boxes: Optional[torch.Tensor] = None
    keyframe: Optional[float] = None
    attention: Optional[MemoryAttention] = None

    @property
    def label(self) -> int:
        """int: the class of the highest score, of scores (num_classes, )."""
        return int(self.scores.argmax())

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists, as JSON takes them; scores to six decimals."""

        def listed(x: Any) -> Any:
            if isinstance(x, dict):
                return {key: listed(value) for key, value in x.items()}
            return x.double().numpy().round(6).tolist()

        found = dict(clip=self.clip, start=round(self.start, 3),
                     end=round(self.end, 3), scores=listed(self.scores))
        if self.boxes is not None:
            found.update(
                keyframe=round(self.keyframe, 3), boxes=listed(self.boxes))
        return found


class Clip:
    """Frames of a clip as they come; ``wanted`` are their numbers, ascending.

    ``images`` have come; ``data`` is what the pipeline has made of them, where
    that was done before.
    """

    def __init__(self, number: int, wanted: np.ndarray) -> None:
        self.number = number
        # Before the stream its first frame is shown.
        self.wanted = wanted.clip(0)
        self.images: list[np.ndarray] = []
        self.data: Optional[dict] = None

    def show(self, image: np.ndarray, until: int) -> None:
        """Take a picture for all of its frames before number ``until``."""
        num = int(np.searchsorted(self.wanted, until)) - len(self.images)
        if num <= 0:
            return
        if self.images and self.images[0].shape != image.shape:
            # The source has changed its size: a clip has one.
            height, width = self.images[0].shape[:2]
            image = cv2.resize(image, (width, height))
        self.images += [image] * num


class Session:
    """A stream, and where it is; made by :meth:`OnlineInferencer.session`.

    It holds the frames of clips that are not complete, the last frame and,
    in the bank of the model, the memory: never more, however long it runs.

    Attributes:
        name (Hashable): What the caller calls it; None if anonymous.
        num_frames (int): Frames that have come.
        num_skipped (int): Clips that a gap of the stream has swallowed.
    """

    def __init__(self, inferencer, key: int, name: Any = None,
                 fps: float = 30., boxes: Optional[Callable] = None) -> None:
        if not fps > 0:
            raise ValueError(
                f'fps={fps} must be above 0; of a source that does not tell, '
                'measure it: mmaction_memvit.video.live.LiveSource does')
        self.inferencer = inferencer
        self.key = key
        self.name = name
        self.clock = steady_clock(fps)
        self.boxes = boxes
        self._start()

    @property
    def fps(self) -> float:
        """float: Frames per second of the stream."""
        return self.clock.fps

    @fps.setter
    def fps(self, fps: float) -> None:
        self.clock = steady_clock(fps)

    def _start(self) -> None:
        self.num_frames = 0
        self.num_run = 0
        self.num_skipped = 0
        self.input_shape: Optional[tuple] = None
        self.last_seconds: Optional[float] = None
        self._next = 0
        self._open: deque[Clip] = deque()
        self._last: Optional[np.ndarray] = None

    def push(self, frames: Frames) -> list[ClipPrediction]:
        """Hand in the next frames.

        Args:
            frames (np.ndarray | Tensor | Iterable): RGB, uint8, any number
                of (H, W, 3), or one. They may be :class:`Gap`.

        Returns:
            list[ClipPrediction]: Of the clips that are complete now, often
            none.

        Raises:
            ValueError: If the frames are no such images.
        """
        return self.inferencer.run_feeds([self], [self.feed(frames)])[0]

    def finish(self) -> list[ClipPrediction]:
        """End the stream: clips that it breaks off are padded, as in tests.

        Returns:
            list[ClipPrediction]: Of these clips, often none.
        """
        return self.inferencer.run_feeds([self], [self.rest()])[0]

    def reset(self) -> None:
        """Forget everything and start anew, at 0 s."""
        self.inferencer.bank.forget(self.key)
        self._start()

    # -- clips --------------------------------------------------------------

    def feed(self, frames: Frames) -> Iterator[Clip]:
        """Take frames; gives a clip as soon as it is complete."""
        for frame in _each(frames):
            if isinstance(frame, Gap):
                yield from self._pass_over(frame.num_frames)
                continue
            self._last = _image(frame)
            yield from self._show(self._last, self.num_frames + 1)

    def rest(self) -> Iterator[Clip]:
        """The clips that the end of the stream breaks off."""
        if self._last is None:
            return
        num = self.inferencer.plan.num_clips(
            steady_clock(self.fps, self.num_frames))
        while self._next < num or (self._open and self._open[0].number < num):
            if not self._open:
                self._open_next()
            clip = self._open.popleft()
            clip.show(self._last, clip.wanted[-1] + 1)
            yield clip
        self._open.clear()

    def _open_next(self) -> None:
        wanted = self.inferencer.plan.wanted(self._next, self.clock)
        self._open.append(Clip(self._next, wanted))
        self._next += 1

    def _show(self, image: np.ndarray, until: int) -> Iterator[Clip]:
        """A picture is shown up to before frame ``until``."""
        plan = self.inferencer.plan
        self.num_frames = until
        while plan.wanted(self._next, self.clock)[0] < until:
            self._open_next()
        for clip in self._open:
            clip.show(image, until)
        while self._open and plan.complete(self._open[0].number,
                                           self.fps) <= until:
            yield self._open.popleft()

    def _pass_over(self, num_frames: int) -> Iterator[Clip]:
        """Frames that never came; no clip is made of nothing but them."""
        if self._last is None:
            # The stream has not begun.
            return
        until = self.num_frames + num_frames
        plan = self.inferencer.plan
        while plan.complete(self._next, self.fps) <= until:
            self._next += 1
            self.num_skipped += 1
        yield from self._show(self._last, until)

    # -- state --------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that the stream needs to go on: numbers, text and tensors.

        ``torch.save`` and ``torch.load(weights_only=True)`` take it; see
        :meth:`OnlineInferencer.load_session`.
        """
        return dict(
            name=self.name, fps=self.fps, plan=self.inferencer.plan.describe(),
            num_frames=self.num_frames, num_run=self.num_run,
            num_skipped=self.num_skipped, next=self._next,
            input_shape=self.input_shape, last_seconds=self.last_seconds,
            last=_tensors([] if self._last is None else [self._last]),
            open=[(clip.number, _tensors(clip.images)) for clip in self._open],
            memory=self.inferencer.memory_of(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a stream was when :meth:`state_dict` was asked.

        Raises:
            ValueError: If it was of a model with other clips or memory.
        """
        own = self.inferencer.plan.describe()
        if state['plan'] != own:
            raise ValueError(
                f'the saved session has clips of {state["plan"]}, the model '
                f'has {own}: load it with the config it was saved with')
        self.reset()
        for name in ('fps', 'num_frames', 'num_run', 'num_skipped',
                     'last_seconds'):
            setattr(self, name, state[name])
        self.input_shape = state['input_shape'] and tuple(state['input_shape'])
        self.inferencer.set_memory(self, state)
        self._next = state['next']
        for image in state['last']:
            self._last = image.numpy()
        for number, images in state['open']:
            wanted = self.inferencer.plan.wanted(number, self.clock)
            clip = Clip(number, wanted)
            clip.images = [x.numpy() for x in images]
            self._open.append(clip)


def _tensors(images: list[np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(x.copy()) for x in images]


def _each(frames: Frames) -> Iterable:
    """Frames one by one; one alone is one."""
    if isinstance(frames, Gap) or getattr(frames, 'ndim', 4) == 3:
        return [frames]
    return frames


def _image(frame: Any) -> np.ndarray:
    """A frame as an array of our own: cameras use theirs again."""
    if isinstance(frame, torch.Tensor):
        frame = frame.cpu().numpy()
    if (not isinstance(frame, np.ndarray) or frame.ndim != 3
            or frame.shape[2] != 3 or frame.dtype != np.uint8):
        raise ValueError(
            'a frame must be a uint8 array of (H, W, 3), but got '
            f'{getattr(frame, "dtype", type(frame).__name__)} of '
            f'{getattr(frame, "shape", "no shape")}; hand in a list '
            'of frames or an array (N, H, W, 3)')
    return frame.copy()
