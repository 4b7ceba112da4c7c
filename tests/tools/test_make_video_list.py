# Copyright (c) mmaction_memvit contributors. All rights reserved.
import importlib.util
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools/data'

# See test_collaborative_configs.py for what the lists hold.


@pytest.fixture(scope='module')
def tool():
    sys.path.insert(0, str(TOOLS))
    spec = importlib.util.spec_from_file_location(
        'make_video_list', TOOLS / 'make_video_list.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(TOOLS))


def test_byte_order_mark(tool, tmp_path):
    """Excel's 'CSV UTF-8' begins with one."""
    rows = [f'clip{i}.mp4,{i % 2},name {i % 2},{i}' for i in range(8)]
    (tmp_path / 'labels.csv').write_text(
        '\n'.join(['\ufeffpath,label,class,source_group', *rows]))
    tool.main([str(tmp_path / 'labels.csv'), '--out', str(tmp_path)])
    listed = [line for name in ('train', 'val')
              for line in (tmp_path / f'{name}.txt').read_text().splitlines()]
    assert sorted(listed) == [f'clip{i}.mp4 {i % 2}' for i in range(8)]


@pytest.mark.parametrize('name', ['clip', 'clip '])
def test_paths_with_spaces_are_noted(tool, tmp_path, capsys, name):
    """MMAction2's VideoDataset cannot read them, as its code stands."""
    from mmaction.datasets import VideoDataset
    rows = [f'{name}{i}.mp4,{i % 2},name {i % 2},{i}' for i in range(8)]
    (tmp_path / 'labels.csv').write_text(
        '\n'.join(['path,label,class,source_group', *rows]))
    tool.main([str(tmp_path / 'labels.csv'), '--out', str(tmp_path)])
    told = capsys.readouterr().out
    if name == 'clip':
        assert 'note' not in told
        dataset = VideoDataset(str(tmp_path / 'train.txt'), [])
        assert len(dataset) >= 4
    else:
        assert "note: 8 paths have a space, such as 'clip 0.mp4'" in told
        assert "MMAction2's VideoDataset does not" in told
        with pytest.raises(ValueError, match='too many values'):
            VideoDataset(str(tmp_path / 'train.txt'), [])
