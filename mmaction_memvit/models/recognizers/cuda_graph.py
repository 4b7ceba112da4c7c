# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Steps without launch cost: a model's step, captured and replayed."""
from contextlib import nullcontext
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmaction_memvit.memory import state
from mmaction_memvit.messages import warn_once
from mmaction_memvit.ops.constants import all_constants
from mmaction_memvit.ops.precision import activation_dtype

# Kinds of input that have a graph of their own; more run eagerly.
_MOST = 4
_WARM_UP = 3


class CUDAGraphStep:
    """Replays a pure step of a model, of training its gradient too.

    One graph for each kind of input (shapes, dtypes, autocast, mode), captured
    at its first use. Inputs are copied into the graph's buffers, results out
    of them, so that what is returned stays as it is: streams may be reset,
    swapped and stored as without a graph. Weights are read where they are;
    where they move (``.to()``) or get frozen, graphs are made anew.

    Runs eagerly on other devices, for all but the first four kinds of input,
    with gradients in evaluation, and in training where a graph cannot be:
    within windows of clips (their activations would overwrite each other) and
    with ``with_cp`` (which reads the state of random numbers).

    Args:
        model (nn.Module): Whose weights the step reads.
        step (Callable): Pure, without host synchronisation. What it takes and
            gives are nestings of tensors as memories are; of what it gives
            the first item gets a gradient, the second one (the memory) none.
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

    def __call__(self, clips: Tensor, *args: Any, alone: bool = True) -> Any:
        """As ``step``.

        Args:
            clips (Tensor): (B, 3, T, H, W).
            *args: What else the step takes.
            alone (bool): Whether the backward pass of this step comes before
                the next step. Defaults to True.
        """
        train = torch.is_grad_enabled()
        inputs = (clips, *args)
        if not self.can_capture(clips) or train != self.model.training or (
                train and not self._stands_alone(inputs, alone)):
            return self.step(*inputs)
        weights = tuple((x.data_ptr(), x.requires_grad) for x in (
            *self.model.parameters(), *self.model.buffers()))
        if weights != self._weights:
            self._weights, self._graphs = weights, {}
        key = train, _kind(inputs)
        if key not in self._graphs and (len(self._graphs) == _MOST or
                                        train and self._recomputes()):
            return self.step(*inputs)
        # Capture and replay go to the current device, whatever that is.
        with torch.cuda.device(
                clips.device) if clips.is_cuda else nullcontext():
            if key not in self._graphs:
                make = _TrainingGraph if train else _Graph
                self._graphs[key] = make(self, inputs)
            return self._graphs[key](inputs)

    def can_capture(self, clips: Tensor) -> bool:
        """Whether there is a device for it; says so once where not."""
        if clips.device.type == 'cuda':
            return True
        self._tell(f'the clips are on {clips.device}')
        return False

    def _stands_alone(self, inputs: tuple, alone: bool) -> bool:
        if not alone:
            self._tell('training is on windows of clips (unroll)')
        return alone and not any(
            x.requires_grad for x in state.tensors(inputs))

    def _recomputes(self) -> bool:
        found = any(getattr(x, 'with_cp', False) for x in self.model.modules()
                    if x is not self.model)
        if found:
            self._tell('with_cp recomputes in the backward pass')
        return found

    @staticmethod
    def _tell(why: str) -> None:
        warn_once(f'cuda_graph=True, but {why}: running eagerly')

    @staticmethod
    def capture(run: Callable[[], Any],
                warm_up: Optional[Callable[[], Any]] = None,
                pool: Optional[tuple] = None
                ) -> Tuple[Any, Callable[[], None]]:
        """Capture ``run``.

        Args:
            run (Callable): Launches work on the current device.
            warm_up (Callable, optional): To be run before. Defaults to None:
                nothing.
            pool (tuple, optional): Of a ``graph_pool_handle``, for graphs
                that are replayed one after the other. Defaults to None.

        Returns:
            tuple: What it gave, in buffers of the graph, and a function that
            fills them anew.
        """
        if warm_up is not None:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP):
                    warm_up()
            torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Casts of weights must not be kept from one graph to the next.
        torch.clear_autocast_cache()
        # Other threads (pinned memory of data loaders) may go on.
        with torch.cuda.graph(
                graph, pool=pool, capture_error_mode='thread_local'):
            out = run()
        torch.clear_autocast_cache()
        return out, graph.replay


class GraphedSteps:
    """What models have in common whose steps can be replayed.

    Stands before :class:`MemoryHost` among a model's bases.

    Args:
        cuda_graph (bool): Whether steps are replayed from CUDA graphs, one
            for each of the first four input shapes, in training with their
            gradients (see docs/speed.md). Defaults to False.
    """

    def __init__(self, *args, cuda_graph: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.cuda_graph = cuda_graph
        self._graphs: Optional[CUDAGraphStep] = None
        # Whether a step is not one of a window.
        self._alone = True

    def run(self, window: Sequence[Tuple], *args, **kwargs) -> List:
        """See :meth:`MemoryHost.run`."""
        self._alone = len(window) == 1
        return super().run(window, *args, **kwargs)

    def replay(self, step: Callable[..., Any], *inputs: Any) -> Any:
        """``step(*inputs)``, by a graph if that is asked for.

        Always the same one, see :class:`CUDAGraphStep`.
        """
        if not self.cuda_graph:
            return step(*inputs)
        if self._graphs is None:
            self._graphs = CUDAGraphStep(self, step)
        return self._graphs(*inputs, alone=self._alone)


class _Graph:
    """One captured kind of input."""

    def __init__(self, owner: CUDAGraphStep, inputs: tuple) -> None:
        self.inputs = state.tree_map(torch.clone, inputs)

        def run() -> Any:
            return owner.step(*self.inputs)

        self.result, self.replay = owner.capture(run, run)
        # Read by the graph, so they must not be freed.
        self.constants = all_constants()

    def __call__(self, inputs: tuple) -> Any:
        copy_all(state.tensors(self.inputs), state.tensors(inputs))
        self.replay()
        return _copy(self.result)


class _Step(nn.Module):
    """A step as a module, whose weights can be put in."""

    def __init__(self, owner: CUDAGraphStep) -> None:
        super().__init__()
        self.model = owner.model
        self.forward = owner.step


class _TrainingGraph:
    """One captured kind of input, and its backward pass."""

    def __init__(self, owner: CUDAGraphStep, inputs: tuple) -> None:
        self.step = _Step(owner)
        self.inputs = state.tree_map(torch.clone, inputs)
        self.weights = {name: x for name, x in self.step.named_parameters()
                        if x.requires_grad}
        buffers = list(self.step.buffers())
        before = [x.clone() for x in buffers]
        self.grads_out: List[Tensor] = []
        # Not a head's, which comes after the step.
        self.weights = {
            name: x
            for (name, x), grad in zip(self.weights.items(), self._both())
            if grad is not None}
        pool = torch.cuda.graph_pool_handle() if inputs[0].is_cuda else None
        result, self.replay = owner.capture(self._forward, self._both, pool)
        self.fixed = [not x.requires_grad for x in state.tensors(result)]
        self.result = state.detach(result)
        if self.live:
            self.grads, self.replay_backward = owner.capture(
                self._backward, pool=pool)
        self.constants = all_constants()
        for buffer, old in zip(buffers, before):
            buffer.copy_(old)  # BatchNorm has counted none of these
        self.turn = 0

    def _forward(self) -> Any:
        # Leaves of its own: autograd knows weights by the stream of their
        # first use, which a capture cannot wait for.
        self.leaves = {name: nn.Parameter(x.detach())
                       for name, x in self.weights.items()}
        out, memory = torch.func.functional_call(
            self.step, self.leaves, self.inputs)
        self.live = [x for x in state.tensors(out) if x.requires_grad]
        return out, state.detach(memory)

    def _backward(self) -> Tuple[Optional[Tensor], ...]:
        if not self.live:  # all of the step is frozen
            return (None, ) * len(self.leaves)
        # A backward pass runs without autocast, under which this is called.
        with torch.autocast(self.live[0].device.type, enabled=False):
            return torch.autograd.grad(self.live, list(self.leaves.values()),
                                       self.grads_out, allow_unused=True)

    def _both(self) -> Tuple[Optional[Tensor], ...]:
        self._forward()
        if not self.grads_out:
            self.grads_out = [torch.zeros_like(x) for x in self.live]
        return self._backward()

    def __call__(self, inputs: tuple) -> Any:
        outs = iter(_Replay.apply(self, inputs, *self.weights.values()))
        return state.tree_map(lambda _: next(outs), self.result)


class _Replay(torch.autograd.Function):
    """A training graph as a function of the weights."""

    @staticmethod
    def forward(ctx, graph: _TrainingGraph, inputs: tuple,
                *params: Tensor) -> Tuple[Tensor, ...]:
        copy_all(state.tensors(graph.inputs), state.tensors(inputs))
        graph.replay()
        graph.turn += 1
        ctx.graph, ctx.turn = graph, graph.turn
        outs = state.tensors(_copy(graph.result))
        ctx.mark_non_differentiable(
            *[x for x, fixed in zip(outs, graph.fixed) if fixed])
        ctx.set_materialize_grads(False)
        return tuple(outs)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads: Optional[Tensor]) -> tuple:
        graph = ctx.graph
        if graph.turn != ctx.turn:
            raise RuntimeError(
                'the backward pass of a step came after the next step, whose '
                'activations took the place of its own: call backward first, '
                'or train with cuda_graph=False')
        grads = [x for x, fixed in zip(grads, graph.fixed) if not fixed]
        for own, grad in zip(graph.grads_out, grads):
            own.zero_() if grad is None else own.copy_(grad)
        graph.replay_backward()
        # Copies: weights keep what they are given as their gradient.
        return (None, None, *_copy(list(graph.grads)))


def _copy(memory: Any) -> Any:
    """A copy, in few launches."""
    result = state.tree_map(torch.empty_like, memory)
    copy_all(state.tensors(result), state.tensors(memory))
    return result


@torch.no_grad()
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
