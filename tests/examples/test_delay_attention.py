# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A trained model looks at the clip that it is asked about."""
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from demos.delay_attention import attention_records, format_attention_table
from generated.longcue import LongCueSpec, plan_videos, render_video
from helpers.runs import config, loader
from mmaction.registry import MODELS
from mmengine.registry import init_default_scope

from mmaction_memvit.apis import OnlineInferencer

# Of few cues, so that little training will do.
SPEC = LongCueSpec(
    num_cues=2, max_delay=3, clips_per_video=12, clip_len=2, size=32)
MODEL = dict(
    type='OnlineRecognizer3D',
    backbone=dict(
        type='MeMViT',
        arch=dict(embed_dims=32, num_layers=3, num_heads=2,
                  downscale_indices=[1]),
        spatial_size=32, temporal_size=2, mem_len=3, mem_layers='all',
        mem_compress=dict(kernel_size=(3, 3, 3), stride=(2, 2, 2)),
        adaptive_kv_stride=(1, 4, 4), output_cls_token=False,
        init_cfg=[dict(type='TruncNormal', layer='Conv3d', std=0.1),
                  dict(type='Xavier', layer='Linear', distribution='normal'),
                  dict(type='Constant', layer='LayerNorm', val=1., bias=0.)]),
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[127.] * 3,
                           std=[58.] * 3, format_shape='NCTHW'),
    cls_head=dict(type='MViTHead', in_channels=64, num_classes=2,
                  with_cls_token=False, dropout_ratio=0.,
                  average_clips='prob'))
STEPS, LANES, RATE = 500, 16, 4e-3


def train(model) -> None:
    """Train along videos, with memory whose gradient stops at each clip."""
    plans = plan_videos(SPEC, 'train', 128)
    frames = torch.from_numpy(np.stack([render_video(SPEC, x) for x in plans]))
    clips = frames.unflatten(1, (SPEC.clips_per_video, -1))
    labels = torch.full(clips.shape[:2], -1)
    for own, plan in zip(labels, plans):
        for question in plan.questions:
            own[[question.cue_clip, question.clip]] = question.label
    optimizer = torch.optim.AdamW(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, STEPS + SPEC.clips_per_video, pct_start=0.15)
    done = 0
    while done < STEPS:
        lanes = torch.randperm(len(plans))[:LANES]
        memory = model.init_memory(LANES)
        for clip in range(SPEC.clips_per_video):
            images = clips[lanes, clip].movedim(-1, 1)
            target = labels[lanes, clip]
            learns = (target >= 0).any().item()
            with torch.set_grad_enabled(learns):
                feats, memory = model.step((images - 127.) / 58, memory)
            memory = tuple(x and x.map(torch.Tensor.detach) for x in memory)
            if not learns:
                continue
            optimizer.zero_grad()
            F.cross_entropy(
                model.cls_head(feats), target, ignore_index=-1).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
            optimizer.step()
            schedule.step()
            done += 1


def test_attention_at_a_question_lies_on_its_cue(tmp_path):
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(MODEL)
    model.init_weights()
    train(model.train())
    torch.save(model.state_dict(), tmp_path / 'model.pth')
    cfg = config(tmp_path, test=loader(tmp_path, train=False, clip_len=2))
    cfg.model = MODEL
    inferencer = OnlineInferencer(
        cfg, str(tmp_path / 'model.pth'), record_attention=True)
    records, right = [], []
    for plan in plan_videos(SPEC, 'val', 16):
        steps = inferencer.session(fps=SPEC.frame_rate).push(
            render_video(SPEC, plan))
        records.append(attention_records(
            steps, [dict(clip=x.clip, delay=x.delay) for x in plan.questions]))
        right += [steps[x.clip].label == x.label for x in plan.questions]
    records = pd.concat(records)
    print(format_attention_table(records))
    assert len(records) == 48
    assert np.mean(right) > 0.9
    # One of up to three clips, by chance.
    chance = records['chance'].mean()
    assert chance < 0.45 and records['first'].mean() > chance + 0.2
    assert records['share'].mean() > 1.15 * chance
