# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Outputs equal the reference's, for generated weights, when at hand."""
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tools import load_tool
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmaction_memvit.models import MeMViT

ROOT = Path(__file__).resolve().parents[1]
PARITY = ROOT.parent / 'shared' / 'parity'
AVA_CONFIG = 'memvit-small-p244-m2g2_k400-pre_8xb2-16x4x1-30e_ava22-rgb.py'
FILES = sorted(PARITY.glob('*.npz'))

pytestmark = pytest.mark.skipif(
    not FILES, reason='the reference outputs (../shared/parity) are absent')


def weight(name: str, shape: list) -> np.ndarray:
    """The generated weights, by the rule the outputs were made with."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    n = rng.standard_normal(shape).astype(np.float32)
    *path, leaf = name.split('.')
    if path and 'norm' in path[-1] and leaf == 'weight':
        return 1 + np.float32(0.1) * n
    for part, scale in (('bias', 0.05), ('rel_pos', 0.1), ('cls_token', 0.5)):
        if part in leaf:
            return np.float32(scale) * n
    return (n / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def clip(step: int, slot: int, frames: int, height: int,
         width: int) -> np.ndarray:
    rng = np.random.RandomState(1000 * slot + step)
    low = rng.standard_normal(
        (3, frames, height // 8, width // 8)).astype(np.float32)
    return low.repeat(8, axis=2).repeat(8, axis=3)


def converted_weights(meta: dict, folder: Path) -> dict:
    """The generated weights, through the converter."""
    src, dst = folder / 'src.pyth', folder / 'dst.pth'
    torch.save(dict(epoch=1,
                    model_state={name: torch.from_numpy(weight(name, shape))
                                 for name, shape in meta['keys']},
                    optimizer_state={}, cfg=''),
               src)
    load_tool('tools/convert_memvit.py').main([str(src), str(dst)])
    return torch.load(dst, weights_only=True)['state_dict']


def tokens_of(feats) -> torch.Tensor:
    patch, cls = feats[-1]
    return torch.cat((cls[:, None], patch.flatten(2).mT), 1)


@pytest.mark.parametrize('file', FILES, ids=lambda f: f.stem)
def test_outputs_equal_the_reference(file, tmp_path):
    data = np.load(file)
    meta = json.loads(bytes(data['meta']))
    state = converted_weights(meta, tmp_path)
    options = dict(zip(meta['opts'][::2], meta['opts'][1::2]))
    kwargs = dict(
        mem_len=0 if options.get('MEMVIT.ENABLE') == 'False' else 2,
        mem_stride=1 if options.get('MEMVIT.SAMPLER') == 'all' else 2)
    if len(meta['streams'][0]) > 1:
        kwargs.update(mem_mask='zero', mem_compress_at='next')
    model = MeMViT('small', spatial_size=meta['size'],
                   temporal_size=meta['frames'], **kwargs).eval()
    model.load_state_dict({
        key[len('backbone.'):]: value for key, value in state.items()
        if key.startswith('backbone.')}, strict=kwargs['mem_len'] > 0)
    batch = len(meta['streams'][0])
    memory = model.init_memory(batch) if kwargs['mem_len'] else None
    before = meta['streams'][0]
    for step, names in enumerate(meta['streams']):
        x = torch.from_numpy(np.stack(
                                 [clip(step, slot, meta['frames'], *meta['hw'])
                                  for slot in range(batch)]))
        with torch.no_grad():
            if memory is None:
                feats = model(x)
            else:
                memory = memory.reset(
                    torch.tensor([a != b for a, b in zip(before, names)]))
                feats, memory = model(x, memory)
        before = names
        np.testing.assert_allclose(
            tokens_of(feats), data[f'feat_{step}'], atol=1e-4, rtol=0)
        if meta['boxes'] is None:
            scores = torch.nn.functional.linear(
                feats[-1][1], state['cls_head.fc_cls.weight'],
                state['cls_head.fc_cls.bias']).softmax(-1)
            np.testing.assert_allclose(
                scores, data[f'logits_{step}'], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    'file', [f for f in FILES if 'boxes' in f.stem], ids=lambda f: f.stem)
def test_box_scores_equal_the_reference(file, tmp_path, monkeypatch):
    """Through the detector of the AVA config, step by step."""
    pytest.importorskip('mmdet')
    data = np.load(file)
    meta = json.loads(bytes(data['meta']))
    cfg = Config.fromfile(str(ROOT / 'configs/detection/memvit' / AVA_CONFIG))
    cfg.model.backbone.update(
        spatial_size=meta['size'], temporal_size=meta['frames'])
    # As the reference: empty slots are attended to.
    cfg.model.roi_head.mem_mask = 'zero'
    init_default_scope('mmaction')
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(converted_weights(meta, tmp_path), strict=True)
    height, width = meta['hw']
    boxes = torch.tensor([box[1:] for box in meta['boxes']])
    feats = []
    score_boxes = model.roi_head.score_boxes
    monkeypatch.setattr(
        model.roi_head, 'score_boxes',
        lambda f, *args: feats.append(f) or score_boxes(f, *args))
    for step, names in enumerate(meta['streams']):
        x = torch.from_numpy(clip(step, 0, meta['frames'], height, width))
        sample = ActionDataSample(
            proposals=InstanceData(bboxes=boxes),
            metainfo=dict(
                video_id=names[0], timestamp=step, img_shape=(height, width)))
        with torch.no_grad():
            sample, = model.predict(x[None], [sample])
        pred = sample.pred_instances
        np.testing.assert_allclose(
            tokens_of(feats[-1]), data[f'feat_{step}'], atol=1e-4, rtol=0)
        np.testing.assert_allclose(
            pred.scores[:, 1:], data[f'logits_{step}'], atol=1e-4, rtol=0)
        assert not pred.scores[:, 0].any()
        np.testing.assert_allclose(
            pred.bboxes * torch.tensor([width, height] * 2), boxes, rtol=1e-6)


def test_the_converter_lists_what_it_does_not_know(tmp_path):
    meta = json.loads(bytes(np.load(FILES[0])['meta']))
    state = {name: torch.zeros(shape) for name, shape in meta['keys']}
    state['blocks.0.attn.surprise'] = torch.zeros(1)
    torch.save(dict(model_state=state), tmp_path / 'src.pyth')
    with pytest.raises(SystemExit, match='blocks.0.attn.surprise'):
        load_tool('tools/convert_memvit.py').main(
            [str(tmp_path / 'src.pyth'), str(tmp_path / 'dst.pth')])
    assert not (tmp_path / 'dst.pth').exists()
