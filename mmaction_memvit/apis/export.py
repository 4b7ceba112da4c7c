# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""One step of a model as a program that runs without this package.

A clip and the memory come in, scores and the next memory go out. Memory is
flat: tensors by names, zeros before the first clip. Where a stream starts
anew, ``reset`` says so. Detectors are two programs, backbone and head.
"""
import importlib.util
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmaction_memvit.memory import MemoryHost, run_part, state
from mmaction_memvit.models.roi_heads.slot_roi_head import patch_features

Size = Tuple[int, int, int]


class StepProgram(NamedTuple):
    """A program and what its tensors are called.

    Args:
        program (torch.export.ExportedProgram): Takes and gives tensors in the
            order of the names.
        inputs (list[str]): Names of what it takes, ``memory_...`` last.
        outputs (list[str]): Names of what it gives; ``next_memory_...`` is
            the memory of the next step.
    """
    program: 'torch.export.ExportedProgram'
    inputs: List[str]
    outputs: List[str]

    @property
    def num_lanes(self) -> int:
        """int: streams it was traced with, of which it may take others."""
        return self.program.example_inputs[0][0].shape[0]

    def start(self) -> List[Tensor]:
        """Memory before the first clip of :attr:`num_lanes` streams."""
        return [torch.zeros_like(x)
                for name, x in zip(self.inputs, self.program.example_inputs[0])
                if name.startswith('memory_')]

    def describe(self) -> List[Tuple[str, str, str, str]]:
        """Rows of what comes in and goes out: name, dtype and shape."""
        nodes = list(self.program.graph.nodes)
        # Weights are taken in before.
        taken = [x for x in nodes if x.op == 'placeholder']
        rows = []
        for way, names, found in (
            ('in', self.inputs, taken[len(taken) - len(self.inputs):]),
            ('out', self.outputs, nodes[-1].args[0])):
            for name, node in zip(names, found):
                x = node.meta['val']
                shape = ', '.join(
                    str(n) if isinstance(n, int) else 'B' for n in x.shape)
                rows.append((way, name, str(x.dtype)[6:], f'({shape})'))
        return rows

    def save(self, path: str) -> None:
        """Write a file for ``torch.export.load``."""
        torch.export.save(self.program, path)

    def save_onnx(self, path: str) -> None:
        """Write an ONNX file.

        Raises:
            ImportError: If onnx or onnxscript is not installed.
        """
        need_onnx()
        torch.onnx.export(self.program, f=path, input_names=self.inputs,
                          output_names=self.outputs, dynamo=True,
                          external_data=False, verbose=False)


def need_onnx() -> None:
    """Raises an ImportError if what writes ONNX files is not installed."""
    for name in ('onnx', 'onnxscript'):
        if importlib.util.find_spec(name) is None:
            raise ImportError(f'{name} is not installed: pip install '
                              '"mmaction_memvit[export]"')


def export_steps(model: nn.Module, clip_size: Size,
                 batch_size: Optional[int] = None) -> Dict[str, StepProgram]:
    """Export a step of a recognizer or detector with memory.

    Args:
        model (nn.Module): An :class:`OnlineRecognizer3D` or
            :class:`OnlineFastRCNN`.
        clip_size (tuple[int]): Frames, height and width of clips.
        batch_size (int, optional): Streams B. Defaults to None: any number.

    Returns:
        dict[str, StepProgram]: ``step`` of a recognizer: uint8 ``clip`` (B,
        3, T, H, W), RGB as the pipeline gives it, and bool ``reset`` (B, ) to
        ``scores``, of heads with several tasks ``scores_TASK``. ``backbone``
        and ``head`` of a detector: the former gives ``features``, the latter
        takes them, ``boxes`` (B, S, 4), pixels, ``is_box``, bool (B, S), and
        ``reset`` and gives ``scores`` (B, S, num_classes); S is
        ``num_slots`` of the RoI head.

    Raises:
        ValueError: If the model is no such one, or torch is below 2.7.
    """
    if not hasattr(torch.compiler, 'is_exporting'):
        raise ValueError(f'torch {torch.__version__} cannot export without '
                         'the operators of this package: use 2.7 or later')
    if not isinstance(model, MemoryHost):
        raise ValueError(f'{type(model).__name__} is no OnlineRecognizer3D '
                         'or OnlineFastRCNN')
    # One lane would be taken for a constant.
    lanes = batch_size or 2
    example = torch.zeros(lanes, 3, *clip_size, dtype=torch.uint8)
    reset = torch.ones(lanes, dtype=torch.bool)
    memory = model.init_memory(lanes, clip_size[1:])
    if not hasattr(model, 'roi_head'):
        return dict(
            step=_export(_Step(model, memory), dict(clip=example, reset=reset),
                         batch_size))
    backbone = _Backbone(model, memory[:2])
    head = _Head(model.roi_head, memory[2])
    with torch.no_grad():
        inputs, _ = backbone.run(example, reset, *state.tensors(memory[:2]))
    num = model.roi_head.num_slots
    inputs.update(boxes=torch.rand(lanes, num, 4),
                  is_box=torch.ones(lanes, num, dtype=torch.bool), reset=reset)
    return dict(
        backbone=_export(backbone, dict(clip=example, reset=reset),
                         batch_size),
        head=_export(head, inputs, batch_size))


def _export(module: '_Part', inputs: Dict[str, Tensor],
            batch_size: Optional[int]) -> StepProgram:
    """Export a part, with its memory behind its other inputs."""
    names = module.memory_names()
    args = (*inputs.values(), *state.tensors(module.empty))
    shapes = None
    if batch_size is None:
        lanes = {0: torch.export.Dim('batch')}
        shapes = ((lanes, ) * len(args), )
    with torch.no_grad():
        results = module.eval().run(*args)[0]
        program = torch.export.export(
            module, args, dynamic_shapes=shapes, strict=False)
    return StepProgram(program, [*inputs, *names],
                       [*results, *(f'next_{x}' for x in names)])


class _Part(nn.Module):
    """What is exported: tensors in, tensors out.

    Args:
        empty: Memory at the start of streams.
    """

    def __init__(self, empty: object) -> None:
        super().__init__()
        self.empty = empty

    def memory_names(self) -> List[str]:
        """Names of the tensors of memory, in order."""
        return [f'memory_{place.replace(".", "_")}'
                for place, x in state.state_dict(self.empty).items()
                if isinstance(x, Tensor)]

    def recall(self, tensors: Sequence[Tensor], reset: Tensor) -> object:
        """Memory of tensors."""
        values: Iterator[Tensor] = iter(tensors)
        return state.reset(
            state.tree_map(lambda x: next(values), self.empty), reset)

    def run(self, *args: Tensor) -> Tuple[Dict[str, Tensor], object]:
        """A step: results by name, and the next memory."""
        num = len(args) - len(self.memory_names())
        return self.step(*args[:num], args[num:])

    def forward(self, *args: Tensor) -> Tuple[Tensor, ...]:
        """A step, as tensors."""
        results, memory = self.run(*args)
        return (*results.values(), *state.tensors(memory))


class _Step(_Part):
    """A recognizer."""

    def __init__(self, model: nn.Module, empty: tuple) -> None:
        super().__init__(empty)
        self.model = model

    def step(self, clip: Tensor, reset: Tensor,
             tensors: Sequence[Tensor]) -> Tuple[Dict[str, Tensor], tuple]:
        model, memory = self.model, self.recall(tensors, reset)
        feats, memory = model._step(
            normalized(clip, model.data_preprocessor), memory, None)
        if not model.remembering[2]:
            if model.with_neck and not model.remembering[1]:
                feats, _ = model.neck(feats, data_samples=None)
            feats = model.cls_head(feats)
        if not isinstance(feats, dict):
            return dict(scores=averaged(model.cls_head, feats)), memory
        return {f'scores_{task}': averaged(model.cls_head.heads[task], x)
                for task, x in feats.items()}, memory


class _Backbone(_Part):
    """Backbone and neck of a detector."""

    def __init__(self, model: nn.Module, empty: tuple) -> None:
        super().__init__(empty)
        self.model = model

    def step(self, clip: Tensor, reset: Tensor,
             tensors: Sequence[Tensor]) -> Tuple[Dict[str, Tensor], tuple]:
        model = self.model
        own, of_neck = self.recall(tensors, reset)
        feats, own = run_part(
            model.backbone, normalized(clip, model.data_preprocessor), own,
            None)
        if model.with_neck:
            feats, of_neck = run_part(model.neck, feats, of_neck, None)
        feats = patch_features(feats)
        if torch.is_tensor(feats):
            feats = [feats]
        names = ['features', *(f'features_{i}' for i in range(1, len(feats)))]
        return dict(zip(names, feats)), (own, of_neck)


class _Head(_Part):
    """Head of a detector."""

    def __init__(self, head: nn.Module, empty: object) -> None:
        super().__init__(empty)
        self.head = head

    def step(self, *args) -> Tuple[Dict[str, Tensor], object]:
        *feats, boxes, is_box, reset, tensors = args
        memory = self.recall(tensors, reset)
        feats = feats[0] if len(feats) == 1 else tuple(feats)
        logits, memory = self.head.score_slots(feats, boxes, is_box, memory)
        # Class 0 is nobody's.
        if self.head.bbox_head.multilabel:
            scores = logits.sigmoid()
        else:
            scores = logits.softmax(-1)
        return dict(scores=F.pad(scores, (1, 0))), memory


def normalized(clip: Tensor, preprocessor: nn.Module) -> Tensor:
    """Pixels as the model takes them, by its data preprocessor."""
    clip = clip.float()
    if preprocessor.to_rgb:
        clip = clip.flip(1)
    if not preprocessor._enable_normalize:
        return clip
    return (clip - preprocessor.mean) / preprocessor.std


def averaged(head: nn.Module, scores: Tensor) -> Tensor:
    """Scores of clips of one view, as a head's ``predict`` gives them."""
    scores = head.average_clip(scores)
    # Without an average there is a dimension of views.
    return scores if head.average_clips else scores[:, 0]
