# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Running the tools of this project one after the other."""
import os
import os.path as osp
import subprocess
import sys
from typing import List, Optional, Sequence

from mmengine.config import Config

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


def run(title: str, out_dir: str, tool: str, *args: str) -> None:
    """Run a command of this project in the output folder; exit if it fails.

    Args:
        title (str): What is printed above.
        out_dir (str): The folder.
        tool (str): Path of the script, from the root of the checkout.
        *args (str): Its arguments.
    """
    print(f'\n=== {title}\n$ python {" ".join([tool, *map(str, args)])}\n',
          flush=True)
    result = subprocess.run(
        [sys.executable, osp.join(ROOT, *tool.split('/')), *map(str, args)],
        cwd=out_dir)
    if result.returncode:
        sys.exit(f'{title} failed; see the messages above')


def generate(name: str, out_dir: str, data: str, *args: str) -> None:
    """Make a set of videos in the output folder."""
    run('make the videos', out_dir, 'examples/generate.py', name, data, *args,
        '--force')


def train_and_test(name: str, out_dir: str, config: str, seed: int,
                   epochs: Optional[int], options: Sequence[str] = (),
                   test_args: Sequence[str] = ()) -> str:
    """Train a config and test what came out.

    Args:
        name (str): What the model is called in the titles.
        out_dir (str): The folder to run in.
        config (str): Path of the config from ``configs/``, without suffix.
        seed (int): Of the training.
        epochs (int, optional): Instead of those of the config.
        options (Sequence[str]): ``key=value`` for the training.
        test_args (Sequence[str]): Arguments of the test; ``{work_dir}``
            stands for the folder of the run.

    Returns:
        str: The folder of the run.
    """
    path = osp.join(ROOT, 'configs', *config.split('/')) + '.py'
    work_dir = osp.join(out_dir, 'work_dirs', osp.basename(config))
    if epochs:
        options = [*options, *schedule(path, epochs)]
    run(f'train {name}', out_dir, 'tools/train.py', path, '--work-dir',
        work_dir, '--cfg-options', f'randomness.seed={seed}', *options)
    test(name, out_dir, config, work_dir, *test_args)
    return work_dir


def schedule(path: str, epochs: int) -> List[str]:
    """``key=value`` for a training of so many epochs, decay included."""
    options = [
        f'{key}={epochs}' for key in ('train_cfg.max_epochs',
                                      'train_cfg.val_begin',
                                      'default_hooks.checkpoint.interval')]
    for i, rate in enumerate(Config.fromfile(path).param_scheduler):
        if 'T_max' in rate:
            options.append(f'param_scheduler.{i}.T_max={epochs}')
        elif rate.get('by_epoch', True) and 'end' in rate:
            begin = max(epochs - (rate['end'] - rate['begin']), 0)
            options += [f'param_scheduler.{i}.begin={begin}',
                        f'param_scheduler.{i}.end={epochs}']
    return options


def test(name: str, out_dir: str, config: str, work_dir: str,
         *test_args: str) -> None:
    """Test the last checkpoint of a run; arguments as above."""
    path = osp.join(ROOT, 'configs', *config.split('/')) + '.py'
    run(f'test {name}', out_dir, 'tools/test.py', path,
        checkpoint_of(work_dir), '--work-dir', work_dir,
        *(arg.format(work_dir=work_dir) for arg in test_args))


def checkpoint_of(work_dir: str) -> str:
    """The last checkpoint of a finished training."""
    with open(osp.join(work_dir, 'last_checkpoint')) as file:
        return file.read().strip()


def relative(path: str) -> str:
    """A path as one would type it, where that is shorter."""
    return min(path, osp.relpath(path, os.getcwd()), key=len)
