# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
from mmaction.structures import ActionDataSample

from mmaction_memvit.models.necks import CollaborativeMemory

OPTIONS = [(m, i) for m in ('associative', 'average')
           for i in ('gating', 'residual')]
B, N, C = 2, 3, 8


def build(in_channels=C, **kwargs):
    torch.manual_seed(0)
    kwargs = {'zero_init': False, 'reduction': 2, **kwargs}
    return CollaborativeMemory(in_channels, **kwargs).eval()


def features(*shape, dtype=torch.float32):
    return torch.randn(B * N, *shape,
                       generator=torch.Generator().manual_seed(1), dtype=dtype)


def matrices(conv, x):
    """(B, N, L, c) of a 1x1x1 convolution, as a matrix product."""
    rows = x.flatten(2).transpose(1, 2).unflatten(0, (B, N))
    return rows @ conv.weight.flatten(1).T + conv.bias


@pytest.mark.parametrize('normalize', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_associative_memory_is_attention_to_all_clips(dtype, normalize):
    neck = build(normalize=normalize).to(dtype)
    path = neck.paths['0']
    x = features(C, 2, 3, 3, dtype=dtype)
    memory, = neck.write(x, N)
    got = path.retrieve(x, memory, N).flatten(2).transpose(1, 2)
    q, k, v = (
        matrices(conv, x) for conv in (path.query, path.key, path.value))
    for b in range(B):
        for n in range(N):
            expected = sum(q[b, n] @ k[b, i].T @ v[b, i] for i in range(N))
            if normalize:
                expected = expected / (N * 18)
            torch.testing.assert_close(
                got[b * N + n], expected, atol=1e-5, rtol=1e-5)
    # To the letter of eq. 4: the mean of M_n, W_o, norm, gate.
    mean = got.mean(1)[..., None, None, None]
    gate = torch.sigmoid(path.norm(path.out(mean)))
    torch.testing.assert_close(
        neck.read(x, (memory, ), N), x * (1 + gate), atol=1e-5, rtol=1e-5)


def test_average_memory_is_the_mean_of_all_places():
    neck = build(memory='average', infusion='residual')
    path = neck.paths['0']
    x = features(C, 2, 3, 3)
    mean = x.view(B, N, C, -1).mean((1, 3))[..., None, None, None]
    added = path.norm(path.out(path.value(mean))).repeat_interleave(N, 0)
    torch.testing.assert_close(neck(x, num_clips=N)[0], x + added)


@pytest.mark.parametrize('memory, infusion', OPTIONS)
def test_order_of_clips_does_not_matter_but_other_clips_do(memory, infusion):
    neck = build(memory=memory, infusion=infusion)
    x = features(C, 2, 3, 3)
    order = torch.tensor([2, 0, 1, 5, 3, 4])
    out, loss = neck(x, num_clips=N)
    assert loss == {} and out.shape == x.shape
    torch.testing.assert_close(neck(x[order], num_clips=N)[0], out[order])
    other = x.clone()
    other[0] *= 2
    changed = (neck(other, num_clips=N)[0] - out).flatten(1).abs().amax(1)
    assert (changed[:N] > 1e-5).all() and (changed[N:] == 0).all()


@pytest.mark.parametrize('memory, infusion', OPTIONS)
def test_memories_add_up(memory, infusion):
    neck = build(memory=memory, infusion=infusion)
    x = features(C, 2, 3, 3).unflatten(0, (B, N))
    whole = neck.write(x.flatten(0, 1), N)
    parts = [neck.write(x[:, n], 1) for n in range(N)]
    total = tuple(sum(p[1:], start=p[0]) for p in zip(*parts))
    torch.testing.assert_close(total[0].total, whole[0].total)
    # The size is that of one clip, and one clip may read what all wrote.
    assert total[0].total.shape == parts[0][0].total.shape
    alone = neck.read(x[:, 1], total, 1)
    torch.testing.assert_close(
        alone, neck(x.flatten(0, 1), num_clips=N)[0].unflatten(0,
                                                               (B, N))[:, 1])


def test_half_precision_does_not_overflow():
    neck = build(normalize=True).bfloat16()
    x = (300 * features(C, 2, 3, 3)).half().bfloat16()
    memory, = neck.write(x, N)
    assert memory.total.dtype == torch.float32
    out = neck.read(x, (memory, ), N)
    assert out.dtype == torch.bfloat16 and out.isfinite().all()


@pytest.mark.parametrize('shape', [(), (4, 4), (2, 4, 4)])
def test_maps_vectors_and_stages(shape):
    neck = build()
    x = features(C, *shape)
    out, _ = neck(x, num_clips=N)
    assert out.shape == x.shape
    flat = x.reshape(B * N, C, -1, 1, 1)
    torch.testing.assert_close(
        out.flatten(), neck(flat, num_clips=N)[0].flatten())
    first = features(C, 8, 8)
    stages, _ = neck((first, x), num_clips=N)
    assert stages[0] is first and (stages[1] == out).all()


@pytest.mark.parametrize('infusion', ['gating', 'residual'])
def test_class_token_is_one_more_place(infusion):
    neck = build(infusion=infusion)
    patch, cls = features(C, 2, 3, 3), features(C) * 3
    out, _ = neck(([patch, cls], ), num_clips=N)
    assert isinstance(out, tuple) and isinstance(out[0], list)
    tokens = torch.cat([patch.flatten(2), cls[..., None]], 2)
    expected, _ = neck(tokens[..., None, None], num_clips=N)
    expected = expected.flatten(2)
    torch.testing.assert_close(out[0][0].flatten(2), expected[..., :-1])
    torch.testing.assert_close(out[0][1], expected[..., -1])


def test_pathways_have_memories_of_their_own():
    slow, fast = features(C, 2, 3, 3), features(4, 8, 3, 3)
    both = build((C, 4))
    out, _ = both((slow, fast), num_clips=N)
    assert [x.shape for x in out] == [slow.shape, fast.shape]
    assert len(both.write((slow, fast), N)) == 2
    only, _ = build((C, None))((slow, fast), num_clips=N)
    assert only[1] is fast
    torch.testing.assert_close(only[0], build()(slow, num_clips=N)[0])
    assert (out[1] != fast).any()


def test_it_starts_gently():
    x = features(C, 2, 3, 3)
    neck = build(zero_init=True, infusion='residual')
    assert (neck(x, num_clips=N)[0] == x).all()
    neck = build(zero_init=True)
    torch.testing.assert_close(neck(x, num_clips=N)[0], 1.5 * x)
    neck = build(zero_init=True, norm_cfg=None)
    torch.testing.assert_close(neck(x, num_clips=N)[0], 1.5 * x)


def test_data_samples_tell_the_number_of_clips():
    neck = build()
    x = features(C, 2, 3, 3)
    samples = [ActionDataSample() for _ in range(B)]
    assert (neck(x, data_samples=samples)[0] == neck(x, num_clips=N)[0]).all()
    with pytest.raises(ValueError, match='CollaborativeRecognizer3D'):
        neck(x)
    for num_clips in (4, 0):
        with pytest.raises(ValueError, match=f'6 clips.*{num_clips} clips'):
            neck(x, num_clips=num_clips)
    with pytest.raises(ValueError, match='6 clips.*4 videos'):
        neck(x, data_samples=samples[:1] * 4)


@pytest.mark.parametrize('kwargs, message', [
    (dict(reduction=3), 'reduction=3.*8.*1, 2, 4, 8'),
    (dict(reduction=2.), 'reduction=2.0'),
    (dict(norm_cfg=dict(type='IN3d'), zero_init=True), 'affine=True'),
    (dict(memory='max'), "memory='max'"),
    (dict(infusion='sum'), "infusion='sum'"),
    (dict(in_channels=(None, None)), 'no pathway'),
])
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


@pytest.mark.parametrize('x', [features(4, 2, 3, 3), features(C, 5),
                               (features(C, 2, 3, 3), features(4, 2, 3, 3)),
                               dict(x=1), (),
                               ([features(C, 2, 3, 3), features(4)], ), None])
def test_unexpected_features(x):
    with pytest.raises(ValueError, match='in_channels=8'):
        build()(x, num_clips=N)


def test_wrong_channels_of_a_pathway_are_told():
    with pytest.raises(ValueError, match='5 channels.*1'):
        build((C, 4))((features(C, 2, 3, 3), features(5, 2, 3, 3)),
                      num_clips=N)
    with pytest.raises(ValueError, match=r'in_channels=\(8, 4\)'):
        build((C, 4))(features(C, 2, 3, 3), num_clips=N)


@pytest.mark.parametrize('other', [
    dict(memory='average'),
    dict(infusion='residual'),
    dict(reduction=4),
    dict(normalize=False),
])
def test_a_checkpoint_of_another_memory_is_an_error(other):
    neck = build()
    state = build(**other).state_dict()
    with pytest.raises(ValueError, match='checkpoint.*--cfg-options'):
        neck.load_state_dict(state, strict=False)
    neck.load_state_dict(build().state_dict())
    # Of a model without memory.
    neck.load_state_dict({}, strict=False)
