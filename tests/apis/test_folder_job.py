# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Many files, by any number of processes, killed or not: the same results."""
import gc
import json
import os
import random
import signal
import subprocess
import sys

import pandas as pd
import pytest
import torch
from helpers.logs import logged
from helpers.models import MEMVIT
from helpers.runs import ROOT, config, free_port, loader, write_videos
from helpers.videos import truncate, write_video

from mmaction_memvit.apis import OnlineInferencer
from mmaction_memvit.apis.folder_job import FolderJob, share_out
from mmaction_memvit.video.find import name_videos

# Clips of v0.mp4 to v4.mp4, of a file in a folder and of one of other size.
COUNTS = [6, 5, 4, 3, 2, 30, 3]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with a config, weights and videos, some of them broken."""
    folder = tmp_path_factory.mktemp('job')
    cfg = config(
        folder / 'run', test=loader(folder, train=False, short_video='pad'))
    cfg.dump(str(folder / 'config.py'))
    torch.manual_seed(0)
    inferencer = OnlineInferencer(cfg)
    torch.save(inferencer.model.state_dict(), folder / 'weights.pth')
    write_videos(folder / 'videos')
    videos = folder / 'videos'
    write_video(videos / 'deep/er/long.mp4', 120, first=500)
    write_video(videos / 'wide.mp4', 12, first=900, width=96)
    (videos / 'text.mp4').write_text('no video')
    truncate(videos / 'v0.mp4', videos / 'cut.mp4', 0.3)
    return folder


@pytest.fixture(scope='module')
def inferencer(folder):
    return OnlineInferencer(
        str(folder / 'config.py'), str(folder / 'weights.pth'))


@pytest.fixture(scope='module')
def videos(folder):
    return name_videos([str(folder / 'videos')])


def run(inferencer, videos, out, ranks=(0, ), num_processes=1, **kwargs):
    """Runs the shares of some processes; gives clips that each has run."""
    job = FolderJob(inferencer, str(out), **{
        **dict(batch_size=3, num_workers=0), **kwargs})
    plan = job.prepare(videos, num_processes)
    return [[x.clips for x in job.run(plan, rank)] for rank in ranks
            ], job.merge()


@pytest.fixture(scope='module')
def expected(inferencer, videos, folder):
    """What a job writes that nobody interrupts, by the name of the file."""
    (clips, ), paths = run(inferencer, videos, folder / 'whole')
    assert clips[-1] == sum(COUNTS)
    return {os.path.basename(x): open(x, 'rb').read() for x in paths}


def test_results_are_those_of_each_file(inferencer, videos, folder, expected):
    lines = [json.loads(x) for x in expected['results.jsonl'].splitlines()]
    found = {}
    for x in lines:
        found.setdefault(x['video'], []).append(x)
    assert list(found) == sorted(found)
    assert sorted(map(len, found.values())) == sorted(COUNTS)
    for name, own in found.items():
        for line, step in zip(own, inferencer(videos[name])):
            assert (line['clip'], line['start'], line['end']) == (
                step.clip, pytest.approx(step.start, abs=1e-3),
                pytest.approx(step.end, abs=1e-3))
            torch.testing.assert_close(
                torch.tensor(line['scores']), step.scores, atol=1e-5, rtol=0)
        path = folder / f'whole/clips/{name}.jsonl'
        assert [json.loads(x) for x in open(path)] == own
    failed = pd.read_csv(folder / 'whole/failed.csv')
    assert failed.video.tolist() == ['cut.mp4', 'text.mp4']
    assert failed.reason.str.len().min() > 10


def test_processes_share_the_files(inferencer, videos, tmp_path, expected):
    """However many there are; whoever is the last writes the end."""
    for num in (2, 5):
        out = tmp_path / str(num)
        job = FolderJob(inferencer, str(out), 3, 0)
        plan = job.prepare(videos, num)
        assert sorted(sum(plan.shares, [])) == list(range(3))
        left = [plan.seconds_left(rank) for rank in range(num)]
        for rank in range(num):
            assert rank == 0 or job.merge() is None or num > 3
            *_, now = list(job.run(plan, rank)) or [None]
            if now:
                assert now.seconds == pytest.approx(left[rank], abs=0.5)
        for path in job.merge():
            assert open(path, 'rb').read() == expected[os.path.basename(path)]
    assert share_out([1, 5, 2, 4], 2) == [[1, 0], [3, 2]]


def test_a_kill_loses_nothing_that_was_saved(inferencer, videos, tmp_path,
                                             expected):
    """SIGKILL, twice, at random moments of the same job."""
    rng = random.Random(os.urandom(8))
    before, moments = 0, []
    for _ in range(2):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                torch.set_num_threads(1)
                job = FolderJob(inferencer, str(tmp_path), 3, 1, 0.)
                for now in job.run(job.prepare(videos)):
                    os.write(write, bytes([now.clips]))
            finally:
                os._exit(0)
        os.close(write)
        for _ in range(rng.randint(1, 4)):
            told = os.read(read, 1)
        moments.append(told)
        # Within what comes next, wherever that is.
        signal.sigtimedwait([], rng.random() * 0.05)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        before += told[0] if told else 0
    (clips, ), paths = run(inferencer, videos, tmp_path, save_every=0.)
    assert paths, moments
    for path in paths:
        assert open(path, 'rb').read() == expected[os.path.basename(path)]
    done = clips[-1] if clips else 0
    assert done <= sum(COUNTS) - before, moments
    # Once more, there is nothing to do.
    assert run(inferencer, videos, tmp_path) == ([[]], paths)


def test_lines_behind_the_saved_state_are_not_kept(inferencer, videos,
                                                   tmp_path, expected):
    job = FolderJob(inferencer, str(tmp_path), 3, 0, save_every=0.)
    running = job.run(job.prepare(videos))
    assert next(running).saved
    job.save_every = 1e9
    assert not next(running).saved
    # As if it were killed; its lines are there.
    running.close()
    del running, job
    gc.collect()
    lines = (tmp_path / 'clips/deep/er/long.mp4.jsonl').read_text()
    state = torch.load(tmp_path / 'state/000000.pt', weights_only=True)
    assert lines.count('\n') > state['turn'] > 0
    for path in run(inferencer, videos, tmp_path)[1]:
        assert open(path, 'rb').read() == expected[os.path.basename(path)]


def test_new_files_join_and_other_models_do_not(inferencer, videos, folder,
                                                tmp_path, expected):
    some = {k: x for k, x in videos.items() if 'v' in k}
    assert len(some) == 5
    run(inferencer, some, tmp_path)
    (clips, ), _ = run(inferencer, videos, tmp_path)
    assert clips[-1] == 33
    lines = [json.loads(x) for x in open(tmp_path / 'results.jsonl')]
    assert [(x['video'], x['clip']) for x in lines] == [
        (x['video'], x['clip'])
        for x in map(json.loads, expected['results.jsonl'].splitlines())]
    cfg = inferencer.config.copy()
    cfg.model = dict(cfg.model, backbone=dict(MEMVIT, mem_len=1))
    with pytest.raises(ValueError, match='batch_size=0'):
        run(inferencer, videos, tmp_path / 'none', batch_size=0)
    with pytest.raises(ValueError, match='another'):
        run(OnlineInferencer(cfg), videos, tmp_path)


def test_a_file_that_is_cut_off_is_told(inferencer, tmp_path):
    whole = write_video(tmp_path / 'whole.mkv', 60, gop=4)
    cut = truncate(whole, tmp_path / 'cut.mkv')
    _, (results, failed) = run(
        inferencer, {'cut.mkv': cut, 'whole.mkv': whole}, tmp_path / 'out')
    videos = [json.loads(x)['video'] for x in open(results)]
    assert 0 < videos.count('cut.mkv') < videos.count('whole.mkv') == 15
    table = pd.read_csv(failed)
    assert table.video.tolist() == ['cut.mkv'] and 'cut' in table.reason[0]
    with logged() as lines:
        list(inferencer(cut))
    assert 'cut off' in ''.join(lines)


def test_torchrun(folder, expected):
    """Two processes of a launcher give the files of one."""
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2',
         f'--master_port={free_port()}', str(ROOT / 'tools/online_folder.py'),
         'videos', '--config', 'config.py', '--checkpoint', 'weights.pth',
         '--out-dir', 'two', '--batch-size', '3', '--workers', '1',
         '--launcher', 'pytorch'],
        cwd=str(folder),
        env=dict(os.environ, PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES='',
                 OMP_NUM_THREADS='1'),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
    for name, text in expected.items():
        assert (folder / 'two' / name).read_bytes() == text
    assert 'process 1 of 2' in done.stdout and 'process 2 of 2' in done.stdout
    assert 'x real time' in done.stdout and 'results.jsonl' in done.stdout
