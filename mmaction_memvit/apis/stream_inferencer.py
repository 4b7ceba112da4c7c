# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, List, Optional

from .online_inferencer import OnlineInferencer
from .session import ClipPrediction, Frames, Session


class StreamInferencer(OnlineInferencer):
    """:class:`OnlineInferencer` with live streams by name.

    Arguments are those of :class:`OnlineInferencer`.

    Examples:
        >>> inferencer = StreamInferencer('config.py', 'epoch_10.pth')
        >>> for frames in camera:
        ...     for step in inferencer.push(frames, fps=30):
        ...         print(step.label)
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._live: Dict[str, Session] = {}

    def push(self, frames: Frames, stream: str = 'live',
             fps: float = 30.) -> List[ClipPrediction]:
        """Hand in the next frames of a live stream.

        Args:
            frames (np.ndarray | Tensor | list): See :meth:`Session.push`.
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
        if stream not in self._live:
            self._live[stream] = self.session(stream, fps)
        session = self._live[stream]
        session.fps = fps
        return session.push(frames)

    def reset(self, stream: Optional[str] = None) -> None:
        """Forget a live stream, or with None everything."""
        if stream is None:
            self._live.clear()
            self.bank.clear()
        elif stream in self._live:
            self._live.pop(stream).reset()
