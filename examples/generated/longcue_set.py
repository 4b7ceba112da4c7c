# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Writing LongCue, with boxes or without."""
import argparse
import os.path as osp
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .longcue import LongCueSpec, VideoPlan, plan_videos
from .options import longcue_options
from .video_set import make_set, make_videos, store_video


class SetForm(NamedTuple):
    """What tells LongCue with boxes from LongCue without.

    Attributes:
        name (str): Of the set.
        version (int): To be raised when the same options give other files.
        spec (type): Class of its options.
        meta_file (str): Name of the file that says what the set is.
        index_file (str): Name of the file of frame counts.
        folder (str): Where the videos are, under the set's folder.
        suffix (str): From a video's name to its file's.
        render (Callable): ``(spec, plan)`` to frames.
        about (Callable): ``(spec)`` to what else the meta file says.
        content (Callable): ``(spec, split, plans)`` to what it says of a
            split, beside the videos: ``ann_file``, ``questions``.
        write (Callable): ``(out_dir, content, spec, plans, with_cues)``;
            writes the tables of a split.
    """
    name: str
    version: int
    spec: type
    meta_file: str
    index_file: str
    folder: str
    suffix: str
    render: Callable[[Any, VideoPlan], np.ndarray]
    about: Callable[[Any], dict[str, Any]]
    content: Callable[[Any, str, list[VideoPlan]], dict[str, Any]]
    write: Callable[..., None]

    def make_video(self, plan: VideoPlan, spec: LongCueSpec,
                   out_dir: str) -> dict[str, Any]:
        """Draw and write a video; gives its entry in the index."""
        return store_video(
            osp.join(out_dir, self.folder, plan.name + self.suffix),
            self.render(spec, plan), spec.frame_rate,
            range(0, spec.num_frames, spec.gop_size))

    def make(self, out_dir: str, spec: LongCueSpec, num_videos: dict[str, int],
             num_workers: int = 1, force: bool = False,
             label_cues: str = 'train') -> dict[str, Any]:
        """Make a set, or leave it alone if it is there already.

        Args:
            out_dir (str): Folder to write to.
            spec (LongCueSpec): The options of the set.
            num_videos (dict[str, int]): Number of videos by split.
            num_workers (int): Processes. Defaults to 1.
            force (bool): Whether to replace a set that was made with other
                options. Defaults to False.
            label_cues (str): Splits in which what shows a cue is labelled,
                too: 'none', 'train' or 'all'. Defaults to 'train'.

        Returns:
            dict: What the meta file holds.

        Raises:
            FileExistsError: If the folder holds another set and not
                ``force``.
        """
        plans = {split: plan_videos(spec, split, number)
                 for split, number in num_videos.items()}
        splits = {
            split: {
                'videos': [osp.join(self.folder, plan.name + self.suffix)
                           for plan in own],
                **self.content(spec, split, own)}
            for split, own in plans.items()}
        meta = {
            'dataset': self.name,
            'version': self.version,
            'spec': spec.to_dict(),
            'classes': list(spec.classes),
            'chance': 1 / spec.num_cues,
            'fps': spec.frame_rate,
            'num_frames': spec.num_frames,
            'label_cues': label_cues,
            **self.about(spec),
            'splits': splits}

        def write() -> None:
            every = sum(plans.values(), [])
            make_videos(partial(self.make_video, spec=spec, out_dir=out_dir),
                        every, [plan.name + self.suffix for plan in every],
                        osp.join(out_dir, self.folder),
                        osp.join(out_dir, self.index_file), num_workers,
                        chunksize=spec.num_cues)
            for split, own in plans.items():
                self.write(out_dir, splits[split], spec, own,
                           label_cues in ('all', split))

        return make_set(osp.join(out_dir, self.meta_file), meta, force, write)

    def run(self, args: argparse.Namespace) -> None:
        """Make the set of some options and say what it holds."""
        spec = self.spec(**longcue_options(args))
        meta = self.make(args.out_dir, spec,
                         dict(train=args.train_videos, val=args.val_videos),
                         num_workers=args.num_workers, force=args.force,
                         label_cues=args.label_cues)
        for split, content in meta['splits'].items():
            print(f'{split}: {len(content["videos"])} videos of '
                  f'{spec.clips_per_video} clips '
                  f'({spec.clips_per_video * spec.clip_seconds:g} s), '
                  f'{len(content["questions"])} questions, '
                  f'{osp.join(args.out_dir, content["ann_file"])}')
        print(f'classes: {", ".join(meta["classes"])}; chance '
              f'{meta["chance"]:.0%}; {spec.frame_rate:g} frames a second')
