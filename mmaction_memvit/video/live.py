# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Pictures as they come: cameras, addresses, files at their own pace.

A source gives RGB pictures with the seconds at which they are shown; a
stream of a model counts frames at one rate. :func:`at_rate` makes the one of
the other, whatever a source's rate does.
"""
import math
import os
import os.path as osp
import re
import threading
import time
from collections import deque
from itertools import chain, islice
from typing import Iterable, Iterator, NamedTuple, Optional, Union

import cv2
import numpy as np

from ..messages import tool, warn
from .decode import Converter
from .frames import (
    READ_ERRORS,
    Picture,
    VideoReadError,
    open_video,
    time_of,
    video_stream,
)

# Rates that a source may claim to have.
_BELIEVED = (1., 240.)
# So many frames measure the rate of a source that tells none.
_NUM_MEASURED = 16
_IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')
# Pictures may come so much too early, in frames, and count as in time.
_JITTER = 0.25


class Frame(NamedTuple):
    """A picture of a source.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3), as a player shows it.
        seconds (float): When it is shown.
    """
    image: np.ndarray
    seconds: float


class Gap(NamedTuple):
    """Frames of a stream that never came."""
    num_frames: int


class LiveSource:
    """Pictures of a file, a folder, a camera or an address, once, in order.

    Args:
        source (str | int): A video file; a folder of pictures, shown in the
            order of their names; the number of a camera (OpenCV); or an
            address such as ``rtsp://`` or ``http://`` (PyAV).
        fps (float, optional): Of a folder, 30 by default; in other sources
            it takes the place of what they tell. Defaults to None.
        realtime (bool): Whether files and folders are shown at their own
            pace, as cameras are. Defaults to False: as fast as they are
            taken.
        buffer_seconds (float): If the frames that wait to be taken are more
            than this, they are dropped, all at once, so that what is left
            are whole clips. Not where time is not real. Defaults to 2.
        patience (float): Seconds without a frame after which a camera or an
            address has ended. Defaults to 10.

    Attributes:
        fps (float): Frames per second, measured where nobody tells.
        is_live (bool): Whether the source has a pace of its own: a camera,
            or an address that tells no duration.
        num_frames (int): Frames that have come.
        num_dropped (int): Those of them that were dropped.
        problem (str): Why the source ended early; empty if it did not.

    Raises:
        FileNotFoundError: If there is no such file.
        VideoReadError: If nothing can be read.
    """

    def __init__(self, source: Union[str, int], fps: Optional[float] = None,
                 realtime: bool = False, buffer_seconds: float = 2.,
                 patience: float = 10.) -> None:
        self.name = str(source)
        self.num_frames = self.num_dropped = 0
        self.problem = ''
        self.is_live = self.name.isdigit()
        self._patience = patience
        self._told = fps or 0.
        frames = self._open(self.name)
        head = list(islice(frames, _NUM_MEASURED))
        if not head:
            raise VideoReadError(f'{self.name}: '
                                 f'{self.problem or "it shows no picture"}')
        low, high = _BELIEVED
        self.fps = self._told
        if not low <= self.fps <= high:
            self.fps = measured_fps([x.seconds for x in head])
        self._frames = chain(head, frames)
        self._capacity = max(1, round(buffer_seconds * self.fps))
        self._pace = realtime and not self.is_live
        self.realtime = realtime or self.is_live

    def __iter__(self) -> Iterator[Frame]:
        if not self.realtime:
            for frame in self._frames:
                self.num_frames += 1
                yield frame
            return
        yield from self._in_real_time()

    # -- kinds of sources ---------------------------------------------------

    def _open(self, name: str) -> Iterator[Frame]:
        if name.isdigit():
            return self._camera(int(name))
        if osp.isdir(name):
            self._told = self._told or 30.
            return self._folder(name)
        if '://' not in name and not osp.isfile(name):
            raise FileNotFoundError(f'{name}: no such file, folder or camera')
        return self._stream(name)

    def _camera(self, number: int) -> Iterator[Frame]:
        capture = cv2.VideoCapture(number)
        if not capture.isOpened():
            raise VideoReadError(
                f'camera {number} cannot be opened: check that it is there '
                'and no other program uses it')
        self._told = self._told or capture.get(cv2.CAP_PROP_FPS)
        return self._read_camera(capture)

    def _read_camera(self, capture) -> Iterator[Frame]:
        try:
            while True:
                there, image = capture.read()
                if not there:
                    self.problem = 'the camera gives no more pictures'
                    return
                yield Frame(image[..., ::-1], time.monotonic())
        finally:
            capture.release()

    def _folder(self, path: str) -> Iterator[Frame]:
        # "9.jpg" comes before "10.jpg".
        names = sorted(
            (x for x in os.listdir(path) if x.lower().endswith(_IMAGES)),
            key=lambda name: [(not part.isdecimal(), int(part) if
                               part.isdecimal() else 0, part)
                              for part in re.split(r'(\d+)', name)])
        if not names:
            self.problem = ('no pictures in this folder. For videos in one: '
                            f'{tool("online_folder.py")}')
        for number, name in enumerate(names):
            image = cv2.imread(osp.join(path, name))
            if image is None:
                raise VideoReadError(f'{osp.join(path, name)}: no picture '
                                     'can be read; encode it anew')
            yield Frame(image[..., ::-1], number / self._told)

    def _stream(self, name: str) -> Iterator[Frame]:
        options = {}
        if name.startswith('rtsp'):
            # Lost packets of UDP are grey pictures.
            options['rtsp_transport'] = 'tcp'
        try:
            container = open_video(
                name, options=options,
                timeout=self._patience if '://' in name else None)
            stream = video_stream(container)
        except READ_ERRORS as e:
            raise VideoReadError(f'{name} cannot be opened: {e}; check the '
                                 'path or address') from e
        self._told = self._told or float(stream.average_rate or 0)
        # What has an end waits until it is taken.
        self.is_live = '://' in name and container.duration is None
        return self._decode(container, stream)

    def _decode(self, container, stream) -> Iterator[Frame]:
        convert, number, turn = Converter(), 0, (False, ) * 3
        with container:
            try:
                for frame in container.decode(stream):
                    # As it may change its size, each is looked at.
                    picture = Picture.of(frame, stream, turn)
                    turn = picture[2:]
                    when = time_of(frame)
                    seconds = number / (self._told or 30.) if when is None \
                        else float(when * frame.time_base)
                    yield Frame(convert.to_rgb(frame, picture), seconds)
                    number += 1
            except READ_ERRORS as e:
                self.problem = f'it ends after {number} frames ({e})'
                if number:
                    warn(f'{self.name}: {self.problem}')

    # -- real time ----------------------------------------------------------

    def _in_real_time(self) -> Iterator[Frame]:
        """Frames from a thread that does not wait for who takes them."""
        waiting: deque = deque()
        changed = threading.Condition()
        ended = threading.Event()

        def read() -> None:
            begin = zero = None
            try:
                for frame in self._frames:
                    if begin is None:
                        begin, zero = time.monotonic(), frame.seconds
                    if self._pace:
                        late = begin + frame.seconds - zero - time.monotonic()
                        ended.wait(max(0, late))
                    if ended.is_set():
                        return
                    with changed:
                        self.num_frames += 1
                        if len(waiting) >= self._capacity:
                            self.num_dropped += len(waiting)
                            waiting.clear()
                        waiting.append(frame)
                        changed.notify()
            except Exception as e:  # told to who takes the frames
                waiting.append(e)
            finally:
                with changed:
                    waiting.append(None)
                    changed.notify()

        threading.Thread(target=read, daemon=True).start()
        try:
            while True:
                with changed:
                    if not changed.wait_for(lambda: waiting, self._patience):
                        self.problem = (f'no picture for {self._patience:g} '
                                        's: it has ended')
                        warn(f'{self.name}: {self.problem}')
                        return
                    frame = waiting.popleft()
                if frame is None:
                    return
                if isinstance(frame, Exception):
                    raise frame
                yield frame
        finally:
            ended.set()


def at_rate(frames: Iterable[Frame], fps: float,
            longest: float) -> Iterator[Union[np.ndarray, Gap]]:
    """Pictures at one rate: at each moment the one that is on screen.

    Pictures are repeated or left out. Where none comes for long, that is a
    gap; time that runs backwards starts anew from where it was.

    Args:
        frames (Iterable[Frame]): What comes, at any times.
        fps (float): The rate.
        longest (float): Seconds for which a picture is repeated at most.

    Yields:
        np.ndarray | Gap: A picture, or the number of those that are missing.
    """
    zero, slot, image = None, 0, None
    for frame in frames:
        if zero is None:
            zero = frame.seconds
        x = (frame.seconds - zero) * fps
        if x < slot - 1 - fps:
            zero, x = frame.seconds - slot / fps, float(slot)
        due = math.ceil(x - _JITTER)
        if due - slot > longest * fps:
            yield Gap(due - slot)
            slot = due
        while slot < due:
            yield image
            slot += 1
        image = frame.image
        # A nearer one may come.
        if due == slot and x >= slot - _JITTER:
            yield image
            slot += 1


def measured_fps(seconds: Iterable[float]) -> float:
    """Frames per second by the times of some frames; 30 where none tell."""
    steps = np.diff(np.fromiter(seconds, float))
    steps = steps[steps > 0]
    return float(1 / np.median(steps)) if len(steps) else 30.
