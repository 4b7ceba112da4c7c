# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Inference without launch cost: a step of a model, captured and replayed."""
from contextlib import nullcontext
from typing import Any, Callable, Dict, Sequence, Tuple

import torch
from torch import Tensor, nn

from mmaction_memvit.memory import state
from mmaction_memvit.messages import warn_once
from mmaction_memvit.ops.constants import all_constants
from mmaction_memvit.ops.precision import activation_dtype

# Kinds of input that have a graph of their own; more run eagerly.
_MOST = 4
_WARM_UP = 3


class CUDAGraphStep:
    """Replays a pure step of a model.

    One graph for each kind of input (shapes, dtypes, autocast), captured at
    its first use. Inputs are copied into the graph's buffers, results out of
    them, so that what is returned stays as it is: streams may be reset,
    swapped and stored as without a graph. Weights are read where they are;
    where they move (``.to()``), graphs are made anew.

    Runs eagerly on other devices, with gradients, and for all but the first
    four kinds of input.

    Args:
        model (nn.Module): Whose weights the step reads.
        step (Callable): Pure, without host synchronisation. What it takes and
            gives are nestings of tensors as memories are.
    """

    def __init__(self, model: nn.Module, step: Callable[..., Any]) -> None:
        self.model, self.step = model, step
        self._graphs: Dict[tuple, _Graph] = {}
        self._weights: tuple = ()

    def __deepcopy__(self, memo: dict) -> None:
        # A copied model has weights of its own, and makes its own.
        return None

    def __reduce__(self) -> tuple:
        # Graphs cannot be saved; they are captured anew.
        return CUDAGraphStep, (self.model, self.step)

    def __call__(self, clips: Tensor, *args: Any) -> Any:
        """As ``step``."""
        if not self.can_capture(clips):
            return self.step(clips, *args)
        weights = tuple(x.data_ptr() for x in (
            *self.model.parameters(), *self.model.buffers()))
        if weights != self._weights:
            self._weights, self._graphs = weights, {}
        inputs = (clips, *args)
        key = _kind(inputs)
        if key not in self._graphs and len(self._graphs) == _MOST:
            return self.step(*inputs)
        # Capture and replay go to the current device, whatever that is.
        with torch.cuda.device(
                clips.device) if clips.is_cuda else nullcontext():
            if key not in self._graphs:
                self._graphs[key] = _Graph(self.step, self.capture, inputs)
            return self._graphs[key](inputs)

    def can_capture(self, clips: Tensor) -> bool:
        """Whether a graph is possible now; says so once where it never is."""
        if torch.is_grad_enabled():
            return False
        if clips.device.type == 'cuda':
            return True
        warn_once(f'cuda_graph=True, but the clips are on {clips.device}: '
                  'running eagerly')
        return False

    @staticmethod
    def capture(run: Callable[[], Any]) -> Tuple[Any, Callable[[], None]]:
        """What ``run`` gives, in buffers of a graph, and what refills them."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Casts of weights must not be kept from one graph to the next.
        torch.clear_autocast_cache()
        # Other threads (pinned memory of data loaders) may go on.
        with torch.cuda.graph(graph, capture_error_mode='thread_local'):
            out = run()
        torch.clear_autocast_cache()
        return out, graph.replay


class _Graph:
    """One captured kind of input."""

    def __init__(self, step: Callable, capture: Callable,
                 inputs: tuple) -> None:
        self.inputs = state.tree_map(torch.clone, inputs)
        self.result, self.replay = capture(lambda: step(*self.inputs))
        # Read by the graph, so they must not be freed.
        self.constants = all_constants()

    def __call__(self, inputs: tuple) -> Any:
        copy_all(state.tensors(self.inputs), state.tensors(inputs))
        self.replay()
        result = state.tree_map(torch.empty_like, self.result)
        copy_all(state.tensors(result), state.tensors(self.result))
        return result


def copy_all(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy tensors, those of a dtype in one launch."""
    groups: Dict[torch.dtype, list] = {}
    for pair in zip(targets, sources):
        groups.setdefault(pair[0].dtype, []).append(pair)
    for pairs in groups.values():
        torch._foreach_copy_(*map(list, zip(*pairs)))


def _kind(inputs: tuple) -> tuple:
    """What must be equal for a graph to do."""
    return (activation_dtype(inputs[0]), torch.is_inference_mode_enabled(), *(
        (x.shape, x.dtype) if isinstance(x, Tensor) else x
        for x in state.state_dict(inputs).values()))
