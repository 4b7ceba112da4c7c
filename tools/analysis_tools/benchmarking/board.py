# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Boards: the lists of models that leaderboard.py compares."""
import json
import os.path as osp
import re
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import Any, Dict, List, Optional

import yaml
from mmengine.config import Config
from mmengine.hub import get_config

from mmaction_memvit.messages import data_error, did_you_mean


@dataclass
class Row:
    """A model of a board."""

    name: str = ''
    # A file, from the folder of the board or from where the tool runs; or
    # ``mmaction::...``, as in ``_base_``.
    config: str = ''
    # Its weights, likewise, or an address; else whether to train it, and the
    # name of the row whose checkpoint that starts from.
    checkpoint: Optional[str] = None
    train: bool = False
    load_from: Optional[str] = None
    # What to change in the config, as ``--cfg-options``.
    options: Dict[str, Any] = field(default_factory=dict)
    # Numbers of others, by column, and where these are from.
    published: Dict[str, Any] = field(default_factory=dict)
    source: str = ''
    # Of the video that a sample shows, where the config does not tell, as of
    # samplers over the whole video.
    seconds: Optional[float] = None

    @property
    def slug(self) -> str:
        """The name as that of a file."""
        return re.sub(r'\W+', '-', self.name).strip('-').lower()


@dataclass
class Board:
    """Models to compare, and how; ratios are to the first."""

    rows: List[Row] = field(default_factory=list)
    title: str = ''
    # Measure of the config's evaluator in the table, and what guessing gives.
    metric: str = 'acc/top1'
    chance: Optional[float] = None
    # A file that is there if the data are, and commands that make them.
    data: Optional[str] = None
    prepare: Optional[List[str]] = None
    # For the configs of all rows.
    options: Dict[str, Any] = field(default_factory=dict)
    # Frames per second of the videos, where the data do not resample them;
    # seconds for all rows.
    fps: float = 30.
    seconds: Optional[float] = None
    # Height and width of frames where costs are measured, else as in training.
    size: Optional[int] = None
    # The filled batch, in clips or videos.
    batch_size: int = 8
    # Of PyTorch on the CPU, in training, too; rows that are trained at a time.
    threads: Optional[int] = None
    jobs: int = 1
    # Timed rounds; clips to measure the used temporal support on.
    rounds: int = 5
    support_clips: int = 256


# What a value must be, where its name does not say it.
KINDS = dict(
    rows=list, prepare=list, options=dict, published=dict, train=bool,
    fps=(int, float), seconds=(int, float), chance=(int, float), size=int,
    batch_size=int, threads=int, jobs=int, rounds=int, support_clips=int)


def check_keys(where: str, cls: type, given: object) -> dict:
    """The keys of a board or row; a ValueError if one is wrong."""
    if not isinstance(given, dict):
        raise data_error(where, f'{given!r} is no mapping',
                         'give it lines `key: value`')
    known = [x.name for x in fields(cls)]
    for key, value in given.items():
        if key not in known:
            raise data_error(where, f'there is no key {key!r}',
                             did_you_mean(key, known))
        kind = KINDS.get(key, str)
        wrong = not isinstance(value, kind) or (
            kind is not bool and isinstance(value, bool))
        positive = isinstance(value, (int, float)) and key != 'train'
        if wrong or (positive and not value > 0):
            names = kind if isinstance(kind, tuple) else (kind, )
            raise data_error(
                where, f'{key}: {value!r} is no '
                + ('positive ' if kind in (int, (int, float)) else '')
                + ' or '.join(x.__name__ for x in names),
                'correct the value, or leave the key out')
    return given


def read_board(path: str) -> Board:
    """Reads a board.

    Raises:
        ValueError: If a key or value is wrong, with board, row and remedy.
    """
    try:
        with open(path, encoding='utf-8') as file:
            given = yaml.safe_load(file)
    except OSError as e:
        raise data_error(path, e.strerror,
                         'name a board, such as boards/longcue.yml') from None
    except yaml.YAMLError as e:
        problem = ' '.join(str(e).split())
        raise data_error(path, problem, 'correct the YAML') from None
    given = dict(check_keys(path, Board, given))
    rows = []
    for number, row in enumerate(given.get('rows', ()), 1):
        name = row.get('name') if isinstance(row, dict) else None
        where = f'{path}: row {name or number!r}'
        row = Row(**check_keys(where, Row, row))
        for key in ('name', 'config'):
            if not getattr(row, key):
                raise data_error(where, f'it has no {key}', f'give it a {key}')
        if any(x.slug == row.slug for x in rows):
            raise data_error(where, 'another row has this name',
                             'give every row a name of its own')
        rows.append(row)
        starts = [x.name for x in rows if x is not row]
        if row.load_from is not None and row.load_from not in starts:
            raise data_error(where, f'load_from: no row before it is called '
                             f'{row.load_from!r}',
                             did_you_mean(row.load_from, starts))
    if not rows:
        raise data_error(path, 'it has no rows', 'list models under `rows:`')
    given['rows'] = rows
    return Board(**given)


def find_file(path: str, folder: str) -> str:
    """A path from the folder of the board, or from the current one."""
    near = osp.join(folder, path)
    return near if osp.exists(near) else path


def load_config(board: Board, row: Row, folder: str) -> Config:
    """The config of a row, with the options of board and row.

    Raises:
        ValueError: If it is not there or cannot be read.
    """
    path = row.config
    try:
        if '::' in path:
            cfg = get_config(path)
        else:
            path = find_file(path, folder)
            if not osp.isfile(path):
                raise FileNotFoundError('no such file')
            cfg = Config.fromfile(path)
        cfg.merge_from_dict({**board.options, **row.options})
    except Exception as e:  # noqa: BLE001
        raise data_error(
            f'config {row.config}', ' '.join(str(e).split())[:300],
            'correct its path (from the folder of the board, or from where '
            'you are) or its options') from None
    return cfg


def fingerprint(*parts: object) -> str:
    """Of what a result depends on."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def stat_of(path: Optional[str]) -> object:
    """Size and time of a file, to see whether it is the same."""
    if not path or not osp.isfile(path):
        return path
    stat = osp.getsize(path), int(osp.getmtime(path))
    return [osp.abspath(path), *stat]
