#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Export one step of a model with memory, for ONNX Runtime or torch.export.

    python tools/deployment/export_online.py CONFIG epoch_10.pth \
        --out-dir exported

A clip and the memory come in, scores and the next memory go out. The files
are run beside the model, over 10 clips with a reset, and the greatest
difference of scores is printed. See docs/export.md.
"""
from __future__ import annotations

import argparse
import importlib.util
import os.path as osp
from collections.abc import Callable, Iterator
from pathlib import Path

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import numpy as np
import torch
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmaction_memvit.apis import OnlineInferencer
from mmaction_memvit.apis.clip_plan import steady_clock
from mmaction_memvit.apis.export import StepProgram, export_steps, need_onnx
from mmaction_memvit.apis.session import Clip
from mmaction_memvit.command_line import make_parser, read_config, tells_errors
from mmaction_memvit.messages import text_table

ENDINGS = dict(torch='pt2', onnx='onnx')
NUM_STEPS, RESET_AT = 10, 6
# Of scores that are not those of the model.
LIMIT = 1e-4


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__, config='config')
    add = parser.add_argument
    add('checkpoint', nargs='?',
        help='weights (default: as initialised, to try it)')
    add('--out-dir', required=True, help='where files go')
    add('--formats', nargs='+', choices=list(ENDINGS), default=list(ENDINGS),
        help='for torch.export.load, for ONNX (default: both)')
    add('--batch-size', type=int,
        help='streams that are run at once (default: any number)')
    add('--video-size', nargs=2, type=int, metavar=('WIDTH', 'HEIGHT'),
        default=(320, 240), help='size of the videos; the pipeline of the '
        'config makes that of clips out of it (default: 320 240)')
    return parser.parse_args()


def clip_size(inferencer: OnlineInferencer, width: int,
              height: int) -> tuple[int, int, int]:
    """Frames, height and width of clips after the pipeline."""
    clip = Clip(0, np.arange(inferencer.plan.clip_len))
    clip.images = [np.zeros((height, width, 3), np.uint8)] * len(clip.wanted)
    data = inferencer.loader.pack(
        clip, steady_clock(30.), boxes=lambda *x: np.zeros((0, 4)))
    return tuple(data['inputs'].shape[-3:])


def load(path: str) -> Callable:
    """A file as a function from and to lists of tensors."""
    if path.endswith('.pt2'):
        module = torch.export.load(path).module()
        return lambda names, args: list(module(*args))
    import onnxruntime
    session = onnxruntime.InferenceSession(
        path, providers=['CPUExecutionProvider'])
    taken = {x.name for x in session.get_inputs()}

    def run(names: list[str], args: list[Tensor]) -> list[Tensor]:
        feed = {k: x.numpy() for k, x in zip(names, args) if k in taken}
        return [torch.from_numpy(x) for x in session.run(None, feed)]

    return run


def inputs(size: tuple, lanes: int,
           num_slots: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Noise: clips, which streams start anew, boxes, and which are boxes."""
    gen = torch.Generator().manual_seed(0)
    for step in range(NUM_STEPS):
        clips = torch.randint(256, (lanes, 3, *size), generator=gen)
        corners = torch.rand(lanes, num_slots, 2, 2, generator=gen)
        low, high = corners.sort(2)[0].unbind(2)
        extent = torch.tensor([size[2], size[1]])
        boxes = torch.cat((low * extent, high * extent), 2)
        is_box = torch.arange(num_slots) <= torch.arange(lanes)[:, None]
        yield (clips.byte(), torch.full((lanes, ), step in (0, RESET_AT)),
               boxes, is_box)


def difference(model: nn.Module, programs: dict[str, StepProgram],
               run: dict[str, Callable], size: tuple) -> float:
    """Greatest difference of scores, from those of the model in testing."""
    lanes = next(iter(programs.values())).num_lanes
    memory = {name: x.start() for name, x in programs.items()}
    head = getattr(model, 'roi_head', None)
    worst = 0.
    for step, (clips, reset, boxes, is_box) in enumerate(
            inputs(size, lanes, getattr(head, 'num_slots', 1))):
        samples = [
            ActionDataSample(metainfo=dict(
                video_id=(lane, step >= RESET_AT), timestamp=step,
                img_shape=size[1:])) for lane in range(lanes)]
        for sample, own, mask in zip(samples, boxes, is_box):
            sample.proposals = InstanceData(bboxes=own[mask])
        data = clips if head else clips[:, None]
        with torch.no_grad():
            found = model.test_step(
                dict(inputs=list(data), data_samples=samples))
        known = dict(clip=clips, reset=reset, boxes=boxes, is_box=is_box)
        for name, program in programs.items():
            known.update(zip(program.inputs[-len(memory[name]):]
                             if memory[name] else (), memory[name]))
            results = run[name](program.inputs,
                                [known[x] for x in program.inputs])
            known.update(zip(program.outputs, results))
            memory[name] = results[len(results) - len(memory[name]):]
        for lane, sample in enumerate(found):
            if head:
                pairs = [(known['scores'][lane][is_box[lane]],
                          sample.pred_instances.scores)]
            elif isinstance(sample.pred_score, dict):
                pairs = [(known[f'scores_{task}'][lane], x)
                         for task, x in sample.pred_score.items()]
            else:
                pairs = [(known['scores'][lane], sample.pred_score)]
            for own, expected in pairs:
                worst = max(worst, float(
                    (own - expected.view_as(own)).abs().max()))
    return worst


def write(inferencer: OnlineInferencer, programs: dict[str, StepProgram],
          kind: str, out_dir: str, size: tuple) -> None:
    """Write the files of a format, and run them."""
    run = {}
    for name, program in programs.items():
        path = osp.join(out_dir, f'{name}.{ENDINGS[kind]}')
        program.save(path) if kind == 'torch' else program.save_onnx(path)
        print(path)
        if kind == 'torch' or importlib.util.find_spec('onnxruntime'):
            run[name] = load(path)
    if run:
        worst = difference(inferencer.model, programs, run, size)
        print(f'{kind}: scores of {NUM_STEPS} clips, with a reset, differ by '
              f'{worst:.1e} at most')
        if not worst <= LIMIT:
            raise ValueError(f'{worst:.1e} is more than {LIMIT:g}: do not '
                             f'use the files in {out_dir}')


@tells_errors
def main() -> None:
    args = parse_args()
    # What can be known before minutes of work.
    Path(args.out_dir).mkdir(parents=True, exist_ok=True)
    if 'onnx' in args.formats:
        need_onnx()
    config = read_config(args)
    inferencer = OnlineInferencer(config, args.checkpoint)
    size = clip_size(inferencer, *args.video_size)
    programs = export_steps(inferencer.model, size, args.batch_size)
    for name, program in programs.items():
        print(f'{name}\n{text_table(program.describe(), range(4))}')
    for kind in args.formats:
        write(inferencer, programs, kind, args.out_dir, size)


if __name__ == '__main__':
    main()
