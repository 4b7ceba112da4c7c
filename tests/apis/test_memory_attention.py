# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
import torch
from helpers.models import MEMVIT
from helpers.runs import MODEL, config, loader
from mmaction.registry import MODELS
from mmengine.registry import init_default_scope

from mmaction_memvit.apis import AttentionRecorder, OnlineInferencer
from mmaction_memvit.models.layers.pooling_attention import PoolingAttention

IMAGES = np.random.default_rng(0).integers(
    0, 255, (2, 24, 40, 40, 3)).astype(np.uint8)


def make_inferencer(folder, mem_len=2, mem_stride=2, **kwargs):
    init_default_scope('mmaction')
    cfg = config(folder, test=loader(folder, train=False))
    cfg.model = MODEL
    cfg.model['backbone'] = dict(
        MODEL['backbone'], mem_len=mem_len, mem_stride=mem_stride)
    torch.manual_seed(0)
    return OnlineInferencer(cfg, **kwargs)


@pytest.mark.parametrize('causal', [False, True])
def test_weights_are_those_of_fused_attention(causal):
    """What fused attention makes of values that tell their keys apart."""
    torch.manual_seed(0)
    init_default_scope('mmaction')
    model = MODELS.build(dict(MEMVIT, mem_layers='all', causal=causal))
    model.init_weights()
    seen = []
    for layer in model.modules():
        if isinstance(layer, PoolingAttention):

            def compare(q, k, v, layout, hidden, shared, layer=layer):
                weights = layer.weights(q, k, layout, hidden)
                marks = torch.eye(k.shape[1])[None, :, None].expand(
                    len(k), -1, k.shape[2], -1)
                layer.residual_pooling = False
                for part in marks.split(v.shape[-1], -1):
                    num = part.shape[-1]
                    part = torch.nn.functional.pad(
                        part, (0, v.shape[-1] - num))
                    out = PoolingAttention._fused(layer, q, k, part, layout,
                                                  hidden, shared)
                    torch.testing.assert_close(
                        out[..., :num].transpose(1, 2),
                        weights[..., :num], atol=1e-5, rtol=0)
                    weights = weights[..., num:]
                seen.append(layout.num_entries)
                return q

            layer._fused = compare
    memory = model.init_memory(2)
    with torch.no_grad():
        for _ in range(3):
            _, memory = model(torch.randn(2, 3, 4, 32, 32), memory)
    assert seen == [2] * 6


def test_sessions_tell_what_they_attended_to(tmp_path):
    plain = make_inferencer(tmp_path)
    recording = make_inferencer(tmp_path, record_attention=True)
    recording.model.load_state_dict(plain.model.state_dict())
    steps = recording.session().push(IMAGES[0])
    for a, b in zip(plain.session().push(IMAGES[0]), steps):
        assert a.attention is None
        torch.testing.assert_close(a.scores, b.scores)
    assert not any('_fused' in vars(x) for x in recording.model.modules())
    for number, step in enumerate(steps):
        attention = step.attention
        assert attention.ages == (0, 2, 4)
        # A layer with memory of two, 8 x 8 tokens at most.
        assert attention.mass.shape == (1, 3)
        np.testing.assert_allclose(attention.mass.sum(1), 1, atol=1e-5)
        np.testing.assert_array_equal(
            attention.share > 0, np.less_equal(attention.ages, number))
        heat = attention.heat.sum((1, 2))
        assert (heat <= attention.share + 1e-6).all()
        assert heat[0] > 0.5 * attention.share[0]
        assert attention.picture.shape == (32, 32, 3)
        assert attention.picture.dtype == np.uint8
    # In a batch as alone.
    sessions = [recording.session() for _ in IMAGES]
    found = recording.push(sessions, IMAGES[::-1])
    for a, b in zip(steps, found[1]):
        for one, other in zip(a.attention, b.attention):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_model_without_memory_is_refused(tmp_path):
    with pytest.raises(ValueError, match='mem_len'):
        make_inferencer(tmp_path, mem_len=0, record_attention=True)


def test_a_replayed_graph_is_left_for_the_recording(tmp_path):
    init_default_scope('mmaction')
    model = MODELS.build(dict(MODEL, cuda_graph=True))
    with AttentionRecorder(model).record() as found:
        assert not model.cuda_graph
        model.eval().step(
            torch.zeros(1, 3, 4, 32, 32), model.init_memory(1, (32, 32)))
    assert model.cuda_graph and len(found[0]['mass']) == 1
