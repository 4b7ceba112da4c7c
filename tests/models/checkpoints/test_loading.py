# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a checkpoint gives is told; a foreign one gives no accuracy."""
import copy
import pickle
from fractions import Fraction

import pytest
import torch
from helpers.logs import logged
from helpers.models import MEMVIT, SLOWONLY
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import ConfigDict
from mmengine.model.weight_init import PretrainedInit
from mmengine.runner import load_checkpoint
from mmengine.utils import digit_version

from mmaction_memvit.models.checkpoints import any_checkpoint_fits


def build(kind='OnlineRecognizer3D', num_classes=3, **backbone):
    backbone = backbone or MEMVIT
    return MODELS.build(
        ConfigDict(
            type=kind, backbone=copy.deepcopy(dict(backbone)),
            cls_head=dict(
                type='MViTHead' if backbone['type'] == 'MeMViT' else 'I3DHead',
                in_channels=32, num_classes=num_classes)))


def collaborative(**backbone):
    return MODELS.build(
        ConfigDict(
            type='CollaborativeRecognizer3D',
            backbone=dict(SLOWONLY, **backbone),
            neck=dict(type='CollaborativeMemory', in_channels=32),
            cls_head=dict(type='I3DHead', in_channels=32, num_classes=3)))


def save(state, path):
    if isinstance(state, torch.nn.Module):
        state = state.state_dict()
    torch.save(dict(state_dict=state), path)
    return str(path)


def predict(model):
    sample = ActionDataSample(metainfo=dict(video_id='a', timestamp=0))
    return model.eval()(
        torch.rand(1, 1, 3, 4, 32, 32), [sample], mode='predict')


FOREIGN = {
    'two unrelated tensors':
    lambda own: dict(a=torch.zeros(2), b=torch.zeros(3)),
    'a ResNet': lambda own: build(**SLOWONLY).state_dict(),
    'wrong shapes':
    lambda own: {k: v.new_zeros(*v.shape, 2) for k, v in own.items()},
    'keys without prefix':
    lambda own:
    {k[9:]: v for k, v in own.items() if k.startswith('backbone.')},
    'a released checkpoint': lambda own: dict(model_state=own),
    'nothing': lambda own: {},
}


@pytest.mark.parametrize('share', [0., 0.7, b'version 1', b'hello'])
def test_a_damaged_file_is_told(tmp_path, share):
    path = tmp_path / 'a.pth'
    save(build(), path)
    data = path.read_bytes()
    # Texts, as what Git LFS leaves of a file that it has not fetched.
    path.write_bytes(share if isinstance(share, bytes) else
                     data[:int(len(data) * share)])
    with pytest.raises(ValueError, match='a.pth'):
        load_checkpoint(build(), str(path))


@pytest.mark.skipif(digit_version(torch.__version__) < digit_version('2.6.0'),
                    reason='torch < 2.6 takes all types')
def test_types_that_torch_does_not_take_are_named(tmp_path):
    save(dict(build().state_dict(), odd=Fraction(1, 2)), tmp_path / 'a.pth')
    with pytest.raises(pickle.UnpicklingError, match='Fraction'):
        load_checkpoint(build(), str(tmp_path / 'a.pth'))


@pytest.mark.parametrize('kind', FOREIGN)
@pytest.mark.parametrize('model', [
    build, collaborative, lambda: build('Recognizer3D'),
    lambda: build('OnlineRecognizer3D', **SLOWONLY, frozen_stages=-1)])
def test_a_foreign_checkpoint_is_an_error(tmp_path, kind, model):
    model = model()
    own = model.state_dict()
    foreign = FOREIGN[kind](own)
    if kind == 'a ResNet' and 'backbone.conv1.conv.weight' in own:
        pytest.skip('this model is a ResNet')
    path = save(foreign, tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match='any_checkpoint_fits=True') as error:
        load_checkpoint(model, path)
    assert path in str(error.value)
    if kind == 'keys without prefix':
        assert "'backbone.'" in str(error.value)
    if kind == 'a released checkpoint':
        assert 'convert_memvit' in str(error.value)
    with any_checkpoint_fits(), logged() as lines:
        load_checkpoint(model, path)
    assert path in lines[-1] or not foreign
    predict(model)


def test_a_stock_model_takes_anything_but_nothing(tmp_path):
    model = build('Recognizer3D', **SLOWONLY)
    with pytest.raises(ValueError, match='x.pth.* 0 of'):
        load_checkpoint(model, save(dict(a=torch.zeros(1)),
                                    tmp_path / 'x.pth'))
    state = model.state_dict()
    key = next(k for k in state if k.startswith('backbone.'))
    load_checkpoint(model, save({key: state[key]}, tmp_path / 'x.pth'))
    predict(model)


def test_other_classes_are_told_and_do_not_predict(tmp_path):
    path = save(build(num_classes=7), tmp_path / 'other.pth')
    model = build()
    with logged() as lines:
        load_checkpoint(model, path)
    line, = (x for x in lines if path in x)
    for word in ('cls_head.fc_cls.weight', '(7, 32)', '(3, 32)'):
        assert word in line
    total = sum('num_batches' not in k for k in model.state_dict())
    assert f'{total - 2} of the {total} tensors' in line
    with pytest.raises(ValueError, match='cls_head.fc_cls.*Remedy'):
        predict(model)
    # Features may be computed, and training is what it is for.
    model.eval()(torch.rand(1, 1, 3, 4, 32, 32), mode='tensor')
    sample = ActionDataSample(metainfo=dict(video_id='a', timestamp=0))
    sample.set_gt_label(1)
    model.train()(torch.rand(1, 1, 3, 4, 32, 32), [sample], mode='loss')
    predict(copy.deepcopy(model))


def test_what_fits_is_one_quiet_sentence(tmp_path, capsys):
    path = save(build(), tmp_path / 'own.pth')
    model = build()
    with logged(lambda record: (record.levelname, record.getMessage())
                ) as lines:
        load_checkpoint(model, path)
    (level, line), = (x for x in lines if 'tensors' in x[1])
    assert level == 'INFO' and path in line and 'not in it' not in line
    assert 'match exactly' not in capsys.readouterr().out
    predict(model)


def test_two_parts_make_a_whole(tmp_path):
    whole = build().state_dict()
    parts = [{k: v for k, v in whole.items() if k.startswith('cls_') is head}
             for head in (False, True)]
    model = build()
    load_checkpoint(model, save(parts[0], tmp_path / 'backbone.pth'))
    with any_checkpoint_fits():
        load_checkpoint(model, save(parts[1], tmp_path / 'head.pth'))
    predict(model)


def test_what_was_trained_over_features_goes_on_over_their_backbone(tmp_path):
    whole = build(**SLOWONLY)
    path = save(whole, tmp_path / 'whole.pth')
    head = build(type='FeatureBackbone')
    features = save(head, tmp_path / 'features.pth')
    with pytest.raises(ValueError, match='0%.*model.init_cfg'):
        load_checkpoint(build(**SLOWONLY), features)
    start = dict(type='Pretrained', checkpoint=path)
    for part in (lambda x: x, lambda x: x.backbone):
        model = build(**SLOWONLY)
        part(model).init_cfg = dict(
            start, **dict(prefix='backbone.') if part(model) is not model
            else {})
        with logged() as lines:
            load_checkpoint(model, features)
        assert path in lines[-1] and features in lines[-1]
        own = model.state_dict()
        for source, name in ((whole, 'backbone.'), (head, 'cls_head.')):
            assert all(torch.equal(own[k], x)
                       for k, x in source.state_dict().items()
                       if k.startswith(name))
        predict(model)


@pytest.mark.parametrize('model', ['memvit', 'collaborative'])
def test_new_memory_is_named_and_told_when_it_predicts(tmp_path, model):
    if model == 'memvit':
        path = save(build(**{**MEMVIT, 'mem_len': 0}), tmp_path / 'm0.pth')
        name, model = 'rel_pos_mem', build()
    else:
        path = save(build('Recognizer3D', **SLOWONLY), tmp_path / 'clips.pth')
        name, model = 'neck.', collaborative()
    with logged() as lines:
        load_checkpoint(model, path)
    assert name in next(x for x in lines if 'starts anew' in x)
    with logged() as lines:
        predict(model), predict(model)
    line, = (x for x in lines if 'not been trained' in x)
    assert path in line


def test_init_cfg_takes_a_part_and_not_nothing(tmp_path):
    path = save(collaborative(depth=18), tmp_path / 'a.pth')
    cfg = dict(type='Pretrained', checkpoint=path)
    model = collaborative(depth=34)
    model.init_cfg = cfg
    with logged() as lines:
        model.init_weights()
    assert any('not in it' in x and 'layer1.2' in x for x in lines)
    with pytest.raises(ValueError, match='90%'):
        load_checkpoint(collaborative(depth=34), path)
    # Of a backbone alone: the names in the file begin with another word.
    stock = build('Recognizer3D', **SLOWONLY).backbone
    with pytest.raises(ValueError, match="prefix='backbone.'"):
        PretrainedInit(path)(stock)
    PretrainedInit(path, prefix='backbone.')(stock)


def test_a_foreign_checkpoint_of_a_detector(tmp_path):
    pytest.importorskip('mmdet')
    from helpers.boxes import DETECTOR
    model = MODELS.build(ConfigDict(copy.deepcopy(DETECTOR)))
    path = save(build(**SLOWONLY), tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match='0% of the backbone'):
        load_checkpoint(model, path)
    # The backbone of a recognizer is what its training starts from.
    state = {k: v for k, v in model.state_dict().items()
             if k.startswith('backbone.')}
    with logged() as lines:
        load_checkpoint(model, save(state, tmp_path / 'backbone.pth'))
    assert any('not in it' in x and 'roi_head.' in x for x in lines)


def test_weights_that_cannot_be_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    url = 'http://127.0.0.1:9/weights.pth'
    with pytest.raises(ConnectionError, match='load_from') as error:
        load_checkpoint(build(), url)
    assert url in str(error.value)
