# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Small annotation files in the forms of EPIC-KITCHENS-100."""
import csv
import json
from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.registry import init_default_scope

COLUMNS = ('narration_id', 'participant_id', 'video_id',
           'narration_timestamp', 'start_timestamp', 'stop_timestamp',
           'start_frame', 'stop_frame', 'narration', 'verb', 'verb_class',
           'noun', 'noun_class', 'all_nouns', 'all_noun_classes')


def timestamp(seconds):
    """HH:MM:SS.ss of seconds, '' of None."""
    if seconds is None:
        return ''
    centi = round(seconds * 100)
    return (f'{centi // 360000:02}:{centi // 6000 % 60:02}:'
            f'{centi // 100 % 60:02}.{centi % 100:02}')


def official_row(name, start, stop, verb=None, noun=None):
    """A row as a dict; the video is the narration id without its end."""
    video = name.rsplit('_', 1)[0]
    row = dict(narration_id=name, participant_id=video.split('_')[0],
               video_id=video, narration_timestamp=timestamp(start),
               start_timestamp=timestamp(start),
               stop_timestamp=timestamp(stop), start_frame=0, stop_frame=0)
    if verb is not None:
        row.update(narration='take "a, b"', verb='take', verb_class=verb,
                   noun='a:b', noun_class=noun, all_nouns="['a:b', 'c']",
                   all_noun_classes=f'[{noun}, 1]')
    return row


def write_official(path, rows, drop=()):
    """Writes segments, (narration_id, start, stop[, verb, noun]) each.

    ``drop`` are columns to leave out.
    """
    rows = [official_row(*row) for row in rows]
    columns = [c for c in COLUMNS if c in rows[0] and c not in drop]
    with open(path, 'w', newline='') as f:
        writer = csv.DictWriter(f, columns, extrasaction='ignore')
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def write_text(path, *lines):
    """Writes lines."""
    Path(path).write_text('\n'.join(lines) + '\n')
    return str(path)


def write_index(path, form='{0}/videos/{1}.MP4', **videos):
    """Writes an index; values are (number of frames, frames per second)."""
    index = {
        form.format(name.split('_')[0], name):
        dict(num_frames=num, fps=float(fps), width=64, height=64, size=1)
        for name, (num, fps) in videos.items()}
    Path(path).write_text(json.dumps(index))
    return str(path)


def write_info(path, **videos):
    """Writes a video list; values are (number of frames, rate)."""
    return write_text(path, 'video_id,duration,fps,resolution',
                      *(f'{name},{num / float(fps)},{float(fps)},64x64'
                        for name, (num, fps) in videos.items()))

# A small causal model of verbs and nouns.
SIZES = dict(verb=4, noun=5)
MODEL = dict(
    type='OnlineRecognizer3D',
    backbone=dict(type='MeMViT',
                  arch=dict(embed_dims=16, num_layers=2, num_heads=1,
                            downscale_indices=[1]),
                  spatial_size=32, temporal_size=4, causal=True,
                  mem_compress=dict(kernel_size=(3, 3, 3), stride=(2, 2, 2))),
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[127.] * 3,
                           std=[64.] * 3, format_shape='NCTHW'),
    cls_head=dict(type='MultiTaskHead', num_classes=SIZES,
                  head=dict(type='FrameLevelHead', in_channels=32)))


def build_model(**backbone):
    """The model, with weights strong enough for its past to show."""
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(
        {**MODEL, 'backbone': {**MODEL['backbone'], **backbone}})
    for param in model.parameters():
        param.data += 0.2 * torch.randn_like(param)
    return model.eval()
