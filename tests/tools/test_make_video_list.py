# Copyright (c) mmaction_memvit contributors. All rights reserved.

import pytest
from helpers.tools import tool_fixture

tool = tool_fixture('tools/data/make_video_list.py')

# See test_collaborative_configs.py for what the lists hold.


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
