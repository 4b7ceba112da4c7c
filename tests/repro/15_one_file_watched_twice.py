# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Two runs of StreamInferencer along one file at a time.

Both write the same memory, which is named by the path, and whoever ends
first erases that of the other: other scores, and nothing is said.
"""
import logging
import os

import torch
from frames import encode, folder, picture, verdict
from mmengine.config import Config
from mmengine.logging import MMLogger

import mmaction_memvit
from mmaction_memvit.apis import StreamInferencer

root = os.path.dirname(os.path.dirname(mmaction_memvit.__file__))
folder()
MMLogger.get_current_instance().setLevel(logging.ERROR)
cfg = Config.fromfile(f'{root}/configs/recognition/memvit/'
                      'memvit-tiny-m8_longcue-rgb.py')
cfg.test_dataloader.dataset.pipeline.insert(
    1, dict(type='Resize', scale=(32, 32), keep_ratio=False))
torch.manual_seed(0)
model = StreamInferencer(cfg)
encode('a.mp4', 40)
alone = [x.scores for x in model('a.mp4')]
pairs = list(zip(model('a.mp4'), model('a.mp4')))
worst = max(float((x.scores - s).abs().max())
            for pair, s in zip(pairs, alone) for x in pair)
print(f'{len(alone)} clips; greatest difference of a score: {worst:.4f}')
try:
    model.push([picture(i) for i in range(8)], fps=0.)
except ZeroDivisionError as e:
    print('push(fps=0), as many a camera says: ZeroDivisionError,', e)
verdict(worst > 1e-4, 'scores depend on who else watches the file')
