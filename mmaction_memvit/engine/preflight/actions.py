# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Actions of EPIC-KITCHENS: one list for the head and all data sets.

The metric takes that of its data set, or refuses another one.
"""
from collections.abc import Iterator
from typing import Optional

from mmaction_memvit.annotations.epic_lists import unlike_actions

from .findings import Finding
from .run import Run


def _columns(run: Run) -> Optional[tuple[str, int]]:
    """Option and number of a head's columns of actions."""
    scored = run.num_classes
    if isinstance(scored, dict) and 'action' in scored:
        return f'{run.head.path}.num_classes.action', scored['action']
    # Of verb, noun, action.
    if isinstance(scored, int) and run.head.get('label_column') == 2:
        return f'{run.head.path}.num_classes', scored
    return None


def actions_are_numbered(run: Run) -> Iterator[Finding]:
    """Heads of actions over data sets whose actions are all -1."""
    if _columns(run) is None:
        return
    for loader, dataset in run.data_sets():
        if dataset.is_a('EpicVideoDataset') and not dataset.get('actions'):
            option = f'{loader.path}.dataset.actions'
            yield Finding(
                option, f'{run.head} learns actions, but without a list of '
                f'them {dataset} knows none',
                f"{option}='actions.csv', or the lists of training and "
                'validation segments')


def column_has_its_classes(run: Run) -> Iterator[Finding]:
    """Heads that learn verbs or nouns in as many columns as of others."""
    scored = run.num_classes
    if not isinstance(scored, int):
        return
    column = run.head.get('label_column')
    # Of actions, 2, there is a check of their own.
    if column not in (0, 1):
        return
    option = ('num_verbs', 'num_nouns')[column]
    for loader, dataset in run.data_sets():
        number = dataset.get(option)
        if dataset.is_a('EpicVideoDataset') and number != scored:
            yield Finding(
                f'{run.head.path}.label_column', f'label_column={column}, of '
                f'which {loader.path}.dataset has {option}={number}, but '
                f'num_classes={scored}',
                f'{run.head.path}.label_column=2 to learn actions, or '
                f'{run.head.path}.num_classes={number}')
            return


def actions_agree(run: Run) -> Iterator[Finding]:
    """Lists of other actions than the head or another data set has."""
    columns, first = _columns(run), None
    for loader, dataset in run.data_sets():
        pairs = getattr(dataset.value, 'metainfo', {}).get('action_pairs')
        if pairs is None:
            continue
        first = first or (loader, pairs)
        unlike = unlike_actions(pairs, first[1])
        if unlike:
            option = f'{loader.path}.dataset.actions'
            yield Finding(option, f'{unlike} as in {first[0].path}',
                          f'{option}, the same in all data sets')
        elif columns and columns[1] != len(pairs):
            yield Finding(
                columns[0], f'{columns[1]} columns, but {loader.path}.dataset '
                f'has {len(pairs)} actions', f'{columns[0]}={len(pairs)}, or '
                'another list in `actions` of all data sets')


CHECKS = (actions_are_numbered, column_has_its_classes)
DATA_CHECKS = (actions_agree, )
