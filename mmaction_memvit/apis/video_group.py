# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files that pass a model as one batch, what they gave, and where they are."""
import json
import os
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Sequence

import torch

from mmaction_memvit.files import whole_file
from mmaction_memvit.video.frames import Clock

from .session import Session


class VideoGroup:
    """Files of a FolderJob that pass the model as one batch, and results."""

    def __init__(self, job, number: int, names: Sequence[str]) -> None:
        self.job, self.number = job, number
        self.counts = {x: job.plan.counts.get(x, 0) for x in names}
        self.sessions: Dict[str, Session] = {}
        self.failed: Dict[str, str] = {}
        self._files: Dict[str, Any] = {}

    def load(self, state: Mapping, turn: int) -> None:
        """Go on where a state was saved, or begin."""
        job = self.job
        self.failed.update(state.get('failed', {}))
        for name, count in self.counts.items():
            offset = None
            if count > turn and name not in self.failed:
                # What was written after the state was saved is done again.
                offset = state.get('offsets', {}).get(name, 0)
                self._begin(name, state.get('sessions', {}).get(name))
            self._files[name] = _open_at(job.clips_file(name), offset)

    def _begin(self, name: str, state: Optional[dict]) -> None:
        job = self.job
        entry = job.plan.index[name]
        try:
            boxes = job.boxes and job.boxes(name, entry['fps'])
        except ValueError as e:
            self.failed[name] = str(e)
            return
        session = job.inferencer.file_session(name, entry, boxes)
        if state:
            session.load_state_dict(state)
            session.clock = Clock(entry)
        self.sessions[name] = session

    def step(self, turn: int, found: Mapping[str, Any]) -> List[tuple]:
        """Run clip ``turn`` of each file that has one, from read_ahead.

        Gives sessions and predictions.
        """
        clips = {}
        for name in list(self.sessions):
            if name not in found:
                # It has ended; its memory goes.
                del self.sessions[name]
                continue
            clip = found[name]
            if isinstance(clip, str):
                self.failed[name] = f'clip {turn}: {clip}'
                del self.sessions[name]
                continue
            clips[name] = clip
        if not clips:
            return []
        sessions = [self.sessions[x] for x in clips]
        steps = self.job.inferencer.run_clips(sessions, list(clips.values()))
        for name, step in zip(clips, steps):
            line = json.dumps(dict(video=name, **step.to_dict()))
            self._files[name].write(line.encode() + b'\n')
        return list(zip(sessions, steps))

    def save(self, turn: int, is_done: bool) -> None:
        """Write down that all before clip ``turn`` is done."""
        offsets = {}
        for name, file in self._files.items():
            file.flush()
            os.fsync(file.fileno())
            offsets[name] = file.tell()
            if is_done:
                file.close()
        state = dict(failed=self.failed, done=is_done)
        if not is_done:
            state.update(
                turn=turn, offsets=offsets,
                sessions={k: x.state_dict() for k, x in self.sessions.items()})
        with whole_file(self.job.state_file(self.number)) as f:
            torch.save(state, f)
            f.flush()
            os.fsync(f.fileno())


def _open_at(path: str, offset: Optional[int]):
    """A file to add lines to, cut off at an offset if there is one."""
    os.makedirs(osp.dirname(path), exist_ok=True)
    file = open(path, 'ab')
    if offset is not None:
        if file.tell() < offset:
            raise ValueError(f'{path} is shorter than it was: begin anew, in '
                             'another folder')
        file.truncate(offset)
        file.seek(offset)
    return file
