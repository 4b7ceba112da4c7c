# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What must not be observed changes no score: from frames to the metric."""
import cv2
import numpy as np
import pytest
import torch
from helpers.epic import SIZES, build_model, write_official, write_text
from mmaction.registry import DATASETS, METRICS
from mmengine.dataset import pseudo_collate

TAU_A = 1.
# Starts of the segments, of which one is too early, one falls on the border
# of a token and others do not.
STARTS = (0.7, 1.73, 2.67, 3.41)
SECONDS = 3
PIPELINE = [dict(type='RawFrameDecode'),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs',
                 meta_keys=('video_id', 'timestamp', 'token_times',
                            'narration_id'))]


def write_frames(folder, numbers, seed):
    """Writes small frames of noise, which nothing of another one is in."""
    rng = np.random.default_rng(seed)
    for number in numbers:
        image = np.kron(rng.integers(0, 256, (4, 4, 3), np.uint8),
                        np.ones((8, 8, 1), np.uint8))
        name = folder / f'frame_{number + 1:010d}.jpg'
        assert cv2.imwrite(str(name), image)


def score(model, root, **options):
    """Scores of the segments, NaN where nothing can be observed."""
    dataset = DATASETS.build(
        dict(type='OnlineEpicDataset', ann_file=str(root / 'val.csv'),
             data_prefix=dict(img=str(root)),
             video_info_file=str(root / 'info.csv'), task='anticipation',
             tau_a=TAU_A, clip_len=4, frame_interval=5, pipeline=PIPELINE,
             test_mode=True, **options))
    model.bank(True).clear()
    dump = str(root / 'dump.npz')
    metric = METRICS.build(
        dict(type='EpicAnticipationMetric', ann_file=str(root / 'val.csv'),
             tau_a=TAU_A, num_verbs=SIZES['verb'], num_nouns=SIZES['noun'],
             online=True, dump_file=dump))
    with torch.no_grad():
        for i in range(len(dataset)):
            out = model.test_step(pseudo_collate([dataset[i]]))
            metric.process(None, [x.to_dict() for x in out])
    metric.evaluate(len(dataset))
    with np.load(dump) as arrays:
        return np.concatenate([arrays[task] for task in SIZES], axis=1)


@pytest.mark.parametrize('rate,options', [
    # No multiple of a token: the early tokens of a clip have a memory that
    # has seen further.
    (60000 / 1001, dict()), (50., dict(clip_stride=7))
], ids=['grid', 'overlapping'])
def test_frames_after_the_observation_change_no_score(tmp_path, rate, options):
    model = build_model()
    num_frames = int(SECONDS * rate)
    write_official(tmp_path / 'val.csv',
                   [(f'P01_01_{i}', start, start + 0.5, i % 4, i)
                    for i, start in enumerate(STARTS)])
    write_text(tmp_path / 'info.csv', 'video_id,duration,fps,resolution',
               f'P01_01,{num_frames / rate},{rate},32x32')
    folder = tmp_path / 'P01_01'
    folder.mkdir()
    write_frames(folder, range(num_frames), seed=0)
    base = score(model, tmp_path, **options)
    seen = np.asarray(STARTS) > TAU_A
    assert np.array_equal(np.isfinite(base).all(1), seen)
    before = num_frames
    for i in reversed(np.flatnonzero(seen)):
        # All frames that begin later are others, and stay so.
        begin = np.arange(num_frames) / rate
        later = np.flatnonzero(begin > STARTS[i] - TAU_A + 1e-6)
        write_frames(folder, later[later < before], seed=i)
        before = later[0]
        scores = score(model, tmp_path, **options)
        assert np.array_equal(scores[:i + 1], base[:i + 1], equal_nan=True)
        if i + 1 < len(STARTS):
            assert (scores[i + 1:] != base[i + 1:]).any(1).all()
    # Frames shortly before are observed.
    first = int((STARTS[1] - TAU_A - 0.5) * rate)
    write_frames(folder, range(first, before), seed=9)
    scores = score(model, tmp_path, **options)
    assert (scores[1] != base[1]).any()
    if not options:
        # A model that is not causal is found out by its first token.
        model = build_model(causal=False)
        scores = score(model, tmp_path)
        write_frames(
            folder, np.flatnonzero(begin > STARTS[2] - TAU_A + 1e-6), seed=7)
        assert (score(model, tmp_path)[2] != scores[2]).any()
