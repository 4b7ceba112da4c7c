# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
from dataclasses import replace

import numpy as np
import pytest
from generated import video_set
from generated.longcue import LongCueSpec, plan_videos, render_video
from generated.make_longcue import LONGCUE, make_longcue

SMALL = LongCueSpec(max_delay=3, clips_per_video=11, size=32)


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    out_dir = tmp_path_factory.mktemp('longcue')
    meta = make_longcue(str(out_dir), SMALL, {'train': 8, 'val': 4})
    return out_dir, meta


def test_files(dataset):
    out_dir, meta = dataset
    assert json.loads((out_dir / 'longcue_meta.json').read_text()) == meta
    assert meta['classes'] == ['red disk', 'green triangle', 'blue square',
                               'yellow cross']
    assert meta['chance'] == 0.25 and meta['clip_seconds'] == 1
    index = json.loads((out_dir / 'longcue_index.json').read_text())
    assert len(index) == 12
    for split, number in ('train', 8), ('val', 4):
        content = meta['splits'][split]
        assert len(content['videos']) == number
        assert len(content['questions']) == 3 * number
        for name in content['videos']:
            assert (out_dir / name).is_file()
            assert index[name]['num_frames'] == 44
            assert index[name]['fps'] == 4
            assert 'problem' not in index[name]


def labelled_clips(path):
    rows = [line.split() for line in path.read_text().splitlines()]
    assert all(float(end) - float(start) == 1 for _, start, end, _ in rows)
    clips = [((name, float(start)), int(label))
             for name, start, _, label in rows]
    assert len(clips) == len(dict(clips))
    return dict(clips)


@pytest.mark.parametrize(
    'label_cues, with_cues',
    [('none', ()), ('train', ('train', )), ('all', ('train', 'val')),])
def test_lists_label_questions_and_where_wanted_cues(tmp_path,
                                                     label_cues, with_cues):
    spec = LongCueSpec(num_cues=2, max_delay=2, clips_per_video=6, size=32)
    meta = make_longcue(
        str(tmp_path), spec, {'train': 4, 'val': 2}, label_cues=label_cues)
    for split, content in meta['splits'].items():
        found = labelled_clips(tmp_path / content['ann_file'])
        wanted = {(q['video'], q['clip']): q['label']
                  for q in content['questions']}
        assert len(wanted) == 2 * len(content['videos'])
        if split in with_cues:
            wanted.update({(q['video'], q['cue_clip']): q['label']
                           for q in content['questions']})
        assert found == wanted


def test_videos_decode_to_what_was_drawn(dataset):
    out_dir, _ = dataset
    for plan in plan_videos(SMALL, 'train', 8):
        frames = video_set.read_video(str(out_dir / plan.name))
        drawn = render_video(SMALL, plan)
        assert frames.shape == drawn.shape == (44, 32, 32, 3)
        assert np.abs(frames.mean(-1) - drawn.mean(-1)).mean() < 5
        assert np.abs(frames.astype(int) - drawn).mean() < 10


def test_decoded_question_clips_carry_no_trace_of_the_cue(dataset):
    """Encoders predict frames from earlier ones: that must not leak."""
    out_dir, meta = dataset
    plans = plan_videos(SMALL, 'val', 4)
    cues = [question.cue_clip for question in plans[0].questions]
    videos = np.stack(
        [video_set.read_video(str(out_dir / plan.name)) for plan in plans])
    videos = videos.reshape(4, SMALL.clips_per_video, -1)
    differ = (videos != videos[:1]).any((0, 2))
    assert np.flatnonzero(differ).tolist() == cues


def test_an_existing_set_is_kept_and_a_different_one_protected(
        tmp_path, capsys):
    spec = LongCueSpec(num_cues=2, max_delay=1, clips_per_video=2, size=32)
    make_longcue(str(tmp_path), spec, {'train': 4})
    first, last = (tmp_path / f'train/longcue_0000{i}.mp4' for i in (0, 3))
    made = first.stat().st_mtime_ns
    make_longcue(str(tmp_path), spec, {'train': 4})
    assert first.stat().st_mtime_ns == made
    assert 'already holds' in capsys.readouterr().out

    other = replace(spec, seed=5)
    with pytest.raises(FileExistsError, match='--force'):
        make_longcue(str(tmp_path), other, {'train': 2})
    assert last.exists()
    make_longcue(str(tmp_path), other, {'train': 2}, force=True)
    assert first.stat().st_mtime_ns != made and not last.exists()


def test_a_file_that_does_not_read_back_is_an_error(tmp_path, monkeypatch):
    plan = plan_videos(SMALL, 'train', 4)[0]
    (tmp_path / 'train').mkdir()
    read = video_set.read_video
    monkeypatch.setattr(video_set, 'read_video', lambda path: read(path)[:-1])
    with pytest.raises(RuntimeError, match=' 44 .* 43'):
        LONGCUE.make_video(plan, SMALL, str(tmp_path))
    monkeypatch.setattr(video_set, 'read_video', lambda path: 255 - read(path))
    with pytest.raises(RuntimeError, match='grey levels'):
        LONGCUE.make_video(plan, SMALL, str(tmp_path))
