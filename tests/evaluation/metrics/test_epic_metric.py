# Copyright (c) mmaction_memvit contributors. All rights reserved.
import logging

import numpy as np
import pytest
import torch
from helpers.epic import write_official, write_text
from mmaction.registry import METRICS
from mmaction.structures import ActionDataSample

from mmaction_memvit.evaluation.submissions.epic_dump import read_epic_dump
from mmaction_memvit.evaluation.submissions.epic_truth import EpicTruth

# A token every half second; segments that overlap, lie between centres of
# tokens, share borders with them, and start before anything is seen.
SEGMENTS = [('P01_01_0', 0.2, 0.9, 0, 1),
            ('P01_01_1', 1.5, 4.0, 1, 2),
            ('P01_01_2', 3.0, 3.2, 2, 5),
            ('P01_01_3', 2.25, 2.75, 3, 0),
            ('P01_01_4', 7.9, 8.3, 4, 0),
            ('P02_07_0', 1.0, 3.0, 0, 1),
            ('P02_07_1', 4.0, 6.0, 3, 4),
            ('P02_07_2', 4.0, 4.0, 0, 3)]
NAMES = [row[0] for row in SEGMENTS]
VIDEOS = {'P01_01': 8.0, 'P02_07': 6.0, 'P03_01': 4.0}
TOKENS, STEP = 4, 0.5
SIZES = dict(verb=5, noun=6)
BOTH = ('EpicRecognitionMetric', 'EpicAnticipationMetric')


@pytest.fixture
def files(tmp_path):
    """Arguments of a metric."""
    return dict(ann_file=write_official(tmp_path / 'val.csv', SEGMENTS),
                tail_verbs=write_text(tmp_path / 'verbs.csv', 'verb', '2',
                                      '3'),
                tail_nouns=write_text(tmp_path / 'nouns.csv', 'noun', '1'),
                unseen_participants=write_text(tmp_path / 'unseen.csv',
                                               'participant_id', 'P02'),
                num_verbs=SIZES['verb'], num_nouns=SIZES['noun'])


@pytest.fixture
def run(files, tmp_path):
    """Evaluates samples; with ``dump`` the scores of verbs by segment."""

    def evaluate(samples, kind=BOTH[0], dump=False, batch=3, meta=None,
                 **kwargs):
        path = str(tmp_path / 'out/dump.npz') if dump else None
        metric = METRICS.build(
            {'type': kind, 'dump_file': path, **files, **kwargs})
        metric.dataset_meta = meta
        for first in range(0, len(samples), batch):
            metric.process(
                None, [s.to_dict() for s in samples[first:first + batch]])
        got = metric.evaluate(len(samples))
        return dict(zip(*(read_epic_dump(path)[0], read_epic_dump(path)[1]
                          ['verb']))) if dump else got

    return evaluate


def make_sample(scores, **meta):
    """A scored sample as a recognizer hands it over."""
    sample = ActionDataSample(metainfo=meta)
    sample.set_pred_score({t: torch.as_tensor(s) for t, s in scores.items()})
    return sample


def random_scores(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return {task: 2 * torch.randn(*shape, num, generator=generator)
            for task, num in SIZES.items()}


def segment_samples():
    return [make_sample(random_scores(i), narration_id=name)
            for i, name in enumerate(NAMES)]


def clip_samples(overlap=False):
    """Clips of whole videos, with the tokens' times."""
    samples = []
    for video, seconds in VIDEOS.items():
        stride = TOKENS * STEP / (2 if overlap else 1)
        for clip in range(int(seconds / stride)):
            starts = clip * stride + STEP * np.arange(TOKENS)
            samples.append(make_sample(
                random_scores(sum(map(ord, video)) * 100 + clip, TOKENS),
                video_id=video, timestamp=clip,
                token_times=np.stack([starts, starts + STEP], 1)))
    return samples


def tokens_of(samples, video):
    """(start, end, scores of verbs) of all tokens of a video."""
    return [(*time, verb) for sample in samples if sample.video_id == video
            for time, verb in zip(sample.token_times.tolist(),
                                  sample.pred_score['verb'].numpy())]


def stacked(samples):
    return {task: torch.stack([s.pred_score[task] for s in samples]).numpy()
            for task in SIZES}


def log_mean_prob(rows):
    rows = np.asarray(rows, np.float64)
    probs = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    return np.log(probs.mean(0))


def same(one, two):
    return one.keys() == two.keys() and all(
        np.array_equal(one[k], two[k], equal_nan=True) for k in one)


# -- segments ---------------------------------------------------------------


def test_segments(files, run, log, tmp_path):
    samples = segment_samples()
    got = run(samples[::-1])
    want = EpicTruth(**files).measure('action_recognition', stacked(samples))
    assert got == {f'epic/{name}': value for name, value in want.items()}
    assert len(got) == 12 and set(got.values()) - {0., 1.}
    table = log[-1][1].splitlines()
    assert [line.split()[0] for line in table[2:]] == ['overall', 'unseen',
                                                       'tail']
    assert f'{100 * want["action_top5"]:.2f}' == table[2].split()[-1]
    path = write_text(tmp_path / 'other.csv', 'participant_id', 'P77')
    assert len(run(samples, unseen_participants=path)) == 9
    assert log[-1][1].splitlines()[-1].startswith('unseen: no segment')
    assert all(level == logging.INFO for level, _ in log)
    # Probabilities are not put through a softmax again.
    probs = [make_sample({t: s.softmax(0) for t, s in x.pred_score.items()},
                         narration_id=x.narration_id) for x in samples]
    one, two = (run(x, dump=True) for x in (samples, probs))
    for name in NAMES:
        assert two[name] == pytest.approx(
            log_mean_prob(one[name][None]), abs=1e-6)


def test_anticipation_of_segments(files, run, log):
    # The first starts before tau_a, so that no sample of it exists; one that
    # starts at tau_a may have one or not.
    samples = segment_samples()
    got = run(samples[1:], BOTH[1], prefix='ant')
    scores = stacked(samples)
    for array in scores.values():
        array[0] = np.nan
    want = EpicTruth(**files).measure('action_anticipation', scores)
    assert got == {f'ant/{name}': value for name, value in want.items()}
    assert len(got) == 9 and "'P01_01_0'" in log[0][1]
    without = [s for s in samples if s.narration_id != 'P02_07_0']
    run(without, BOTH[1])
    with pytest.raises(ValueError, match="not scored: 'P02_07_0'"):
        run(without, BOTH[1], tau_a=0.5)


@pytest.mark.parametrize('average', ('prob', 'score'))
def test_several_clips_and_views_are_averaged(run, average):
    samples = segment_samples()[1:]
    views = [random_scores(50 + i, 2) for i in range(3)]
    for time in range(3):
        samples.append(make_sample(
            views[time], narration_id='P01_01_0', timestamp=time))
    got = run(samples, dump=True, average=average)
    rows = np.concatenate([v['verb'].numpy() for v in views]).astype(float)
    assert got['P01_01_0'] == pytest.approx(
        log_mean_prob(rows) if average == 'prob' else rows.mean(0), abs=1e-6)
    # A single one stays as it is.
    assert np.array_equal(got['P01_01_3'],
                          samples[2].pred_score['verb'].numpy())
    # Whatever the order in which they come.
    order = np.random.default_rng(0).permutation(len(samples))
    assert same(got, run([samples[i] for i in order], dump=True,
                         average=average))


def test_anticipation_takes_the_last_token(run):
    samples = [make_sample(random_scores(i, 4), narration_id=name)
               for i, name in enumerate(NAMES)]
    got, mean = (run(samples, BOTH[1], dump=True, tokens=x)
                 for x in ('last', 'mean'))
    for sample in samples:
        verb = sample.pred_score['verb'].numpy()
        assert np.array_equal(got[sample.narration_id], verb[-1])
        assert mean[sample.narration_id] == pytest.approx(log_mean_prob(verb))


def test_forms_of_scores(run):
    """Fields, half precision, and tensors of stock heads."""
    samples = segment_samples()
    whole = run(samples)
    fields, verbs = [], []
    for sample in samples:
        name = sample.narration_id
        fields.append(ActionDataSample(metainfo=dict(segment_id=name)))
        for task in SIZES:
            fields[-1].set_field(sample.pred_score[task], f'pred_{task}')
        verbs.append(ActionDataSample(metainfo=dict(narration_id=name)))
        verbs[-1].set_pred_score(sample.pred_score['verb'])
    assert run(fields) == whole
    run([make_sample({t: s.bfloat16() for t, s in x.pred_score.items()},
                     narration_id=x.narration_id) for x in samples])
    assert run(verbs) == {n: v for n, v in whole.items() if 'verb' in n}
    with pytest.raises(ValueError, match=r'noun have shape \(5,\).* 6'):
        run(verbs, task='noun')


def test_a_head_of_actions_is_enough(run, tmp_path):
    path = write_text(tmp_path / 'actions.csv', 'id,verb,noun',
                      *(f'{i},{row[3]},{row[4]}' for i, row in enumerate(
                          r for r in SEGMENTS if r[0] != 'P02_07_0')))
    samples = []
    for name, action in zip(NAMES, (0, 1, 2, 3, 4, 0, 5, 6)):
        sample = ActionDataSample(metainfo=dict(narration_id=name))
        samples.append(sample.set_pred_score(3. * torch.eye(7)[action]))
    got = run(samples, actions=path)
    assert got['epic/action_top1'] == got['epic/verb_top1'] == 1
    assert got['epic/noun_top1'] == 1
    probs = (3. * torch.eye(7)[0]).softmax(0).double()
    # Actions 0 and 6 have verb 0.
    assert np.exp(run(samples, dump=True, actions=path)['P01_01_0'])[
        0] == pytest.approx(float(probs[0] + probs[6]))
    with pytest.raises(ValueError, match='7 classes, but there are'):
        run(samples)
    with pytest.raises(ValueError, match='set `actions`'):
        run(samples, task='action')
    # Those of the data set, or the same.
    pairs = [list(row[3:]) for row in SEGMENTS if row[0] != 'P02_07_0']
    meta = dict(action_pairs=pairs)
    assert run(samples, meta=meta) == run(
        samples, meta=meta, actions=path) == got
    with pytest.raises(ValueError, match=r'action 0 .*\(0, 1\), not \(0, 3'):
        run(samples, meta=dict(action_pairs=pairs[::-1]), actions=path)
    with pytest.raises(ValueError, match=r'\(4, 6\).*6 nouns'):
        run(samples, meta=dict(action_pairs=[*pairs, [0, 6]]))


@pytest.mark.parametrize('kind,name,share', [
    (BOTH[0], 'top5', 7 / 8), (BOTH[1], 'recall5', 6 / 7)])
def test_an_action_that_is_not_in_the_list_is_missed(run, kind, name, share):
    # P02_07_1; the first segments have one action, of which there are two.
    pairs = [row[3:] for row in SEGMENTS if row[0] != 'P02_07_1'][1:]
    scores = 3. * torch.eye(6)
    samples = [make_sample(dict(action=scores[pairs.index(row[3:])]
                                if row[3:] in pairs else scores[0]),
                           narration_id=row[0]) for row in SEGMENTS]
    got = run(samples, kind, meta=dict(action_pairs=pairs), **(
        dict(tau_a=0.) if kind == BOTH[1] else {}))
    assert got[f'epic/action_{name}'] == pytest.approx(share)


def test_missing_segments_are_named(files, run, log):
    samples = segment_samples()
    some = [s for s in samples if s.narration_id not in (NAMES[2], NAMES[6])]
    with pytest.raises(ValueError, match=f"2 of 8 .*'{NAMES[2]}', "
                       f"'{NAMES[6]}'"):
        run(some)
    truth, scores = EpicTruth(**files), stacked(samples)
    rows = [0, 1, 3, 4, 5, 7]
    want = truth.measure('action_recognition',
                         {t: s[rows] for t, s in scores.items()}, rows)
    assert list(run(some, missing='leave_out').values()) == list(want.values())
    for array in scores.values():
        array[[2, 6]] = np.nan
    want = truth.measure('action_recognition', scores)
    assert list(run(some, missing='miss').values()) == list(want.values())
    warned = [text for level, text in log if level == logging.WARNING]
    assert len(warned) == 2 and NAMES[2] in warned[0]


def test_duplicate_and_unknown_segments_are_named(run):
    samples = segment_samples()
    for more, words in (
        (samples[3], "1 samples .*twice.*'P01_01_3'"),
        (make_sample(random_scores(1), narration_id='P09_01_0'),
         "1 .*not in val.csv: 'P09_01_0'"),
        (make_sample(random_scores(1), video_id='P01_01'),
         'without `narration_id`.*online=')):
        with pytest.raises(ValueError, match=words):
            run([*samples, more])


def test_scores_that_are_not_finite(run, log):
    samples = segment_samples()
    good = run(samples)
    samples[1].pred_score['verb'][0] = float('nan')
    got = run(samples)
    warned = [text for level, text in log if level == logging.WARNING]
    assert len(warned) == 1 and 'P01_01_1' in warned[0]
    # All nouns are as before; the verb is missed even among the five.
    assert got['epic/noun_top1'] == good['epic/noun_top1']
    assert got['epic/verb_top5'] == 7 / 8 and good['epic/verb_top5'] == 1


def test_no_labels_no_measures(run, tmp_path):
    ann_file = write_official(tmp_path / 'test.csv',
                              [row[:3] for row in SEGMENTS])
    path = str(tmp_path / 'dump.pkl')
    assert run(segment_samples(), ann_file=ann_file, dump_file=path) == {
        'epic/num_segments': 8.}
    ids, scores = read_epic_dump(path)
    assert ids == NAMES and scores['noun'].shape == (8, SIZES['noun'])


@pytest.mark.parametrize('kwargs, message', [
    (dict(task='object'), "task='object'"),
    (dict(missing='ignore'), "missing='ignore'"),
    (dict(dump_file='a.json'), '.npz or .pkl'),
    (dict(tail_nouns=None), 'both lists or none'),
    (dict(kind=BOTH[1], tokens='first'), "tokens='first'"),
])
def test_bad_arguments(run, kwargs, message):
    with pytest.raises(ValueError, match=message):
        run([], **kwargs)


# -- whole videos -----------------------------------------------------------


@pytest.mark.parametrize('overlap', (False, True))
def test_tokens_of_a_segment(run, overlap):
    """Those whose centre is inside, or the nearest one."""
    samples = clip_samples(overlap)
    got = run(samples, dump=True, online=True)
    for name, start, stop, *_ in SEGMENTS:
        inside = [v for a, b, v in tokens_of(samples, name[:6])
                  if start <= (a + b) / 2 <= stop]
        if inside:
            assert got[name] == pytest.approx(
                inside[0] if len(inside) == 1 else log_mean_prob(inside),
                abs=1e-6)
    # 3.0 to 3.2: the token from 3.0 to 3.5; behind the end: the last one;
    # 4.0: equally far from 3.75 and 4.25, so the earlier one.
    for name, token in (('P01_01_2', 6), ('P01_01_4', 15), ('P02_07_2', 7)):
        if not overlap:
            assert np.array_equal(got[name],
                                  tokens_of(samples, name[:6])[token][2])
    for clip, times in ((90, (np.nan, np.nan)), (91, (8., 8.))):
        # Padding.
        samples.append(make_sample(
            random_scores(900 + clip, 1), video_id='P01_01', timestamp=clip,
            token_times=np.array([times])))
    assert same(got, run(samples, dump=True, online=True))


def without(video, clip):
    return [s for s in clip_samples()
            if (s.video_id, s.timestamp) != (video, clip)]


def test_too_far_from_all_tokens(run):
    # The video now ends at 6.0, the segment starts at 7.9.
    with pytest.raises(ValueError, match="1 of 8.* not scored: 'P01_01_4'"):
        run(without('P01_01', 3), online=True)
    run(without('P01_01', 3), online=True, max_distance=1.91)
    # Needed is what ends at 6.9 or before; there is a token until 6.0.
    run(without('P01_01', 3), BOTH[1], online=True)
    with pytest.raises(ValueError, match="not scored: 'P01_01_4'"):
        run(without('P01_01', 3), BOTH[1], online=True, max_distance=0.89)
    # A video that begins late is not one with nothing to observe.
    with pytest.raises(ValueError, match="'P01_01_1', 'P01_01_2', 'P01_01_3'"):
        run(without('P01_01', 0), BOTH[1], online=True)


@pytest.mark.parametrize('overlap', (False, True))
def test_anticipation_by_the_last_token_before(run, overlap):
    samples = clip_samples(overlap)
    got = run(samples, BOTH[1], dump=True, online=True)
    for name, start, *_ in SEGMENTS:
        past = [(b, v) for _, b, v in tokens_of(samples, name[:6])
                if b <= start - 1]
        assert bool(past) == (name not in ('P01_01_0', 'P02_07_0'))
        if past:
            last = max(b for b, _ in past)
            assert np.array_equal(got[name],
                                  next(v for b, v in past if b == last))
        else:
            assert np.isnan(got[name]).all()
    # Whatever is said later than start - tau_a changes nothing.
    for sample in samples:
        late = torch.as_tensor(sample.token_times[:, 1] > 3.0)
        for scores in sample.pred_score.values():
            scores[late] = -scores[late]
    found = run(samples, BOTH[1], dump=True, online=True)
    for name, start, *_ in SEGMENTS:
        assert np.array_equal(found[name], got[name], equal_nan=True) == (
            start - 1 <= 3.0)


@pytest.mark.parametrize('kind', BOTH)
@pytest.mark.parametrize('overlap', (False, True))
def test_order_and_batches_make_no_difference(run, kind, overlap):
    samples = clip_samples(overlap)
    want = run(samples, kind, dump=True, online=True)
    rng = np.random.default_rng(0)
    for batch in (1, 2, 5, 100):
        shuffled = [samples[i] for i in rng.permutation(len(samples))]
        assert same(want, run(shuffled, kind, True, batch, online=True))


@pytest.mark.parametrize('path', ('{}', 'P01/videos/{}.MP4'))
def test_ids_with_dots_and_folders(run, tmp_path, path):
    """Nothing is cut off an id that the table has."""
    want = run(clip_samples(), online=True, unseen_participants=None)
    # Without what stands after their last dots they would be the same.
    names = {'P01_01': '2024.01.05_cam.1', 'P02_07': '2024.01.05_cam.2',
             'P03_01': '2024.01.05_cam.3'}
    if path == '{}':
        names['P02_07'] = 'home/cam.2'
    ann_file = write_official(tmp_path / 'dots.csv', [
        (names[row[0][:6]] + row[0][6:], *row[1:]) for row in SEGMENTS])
    samples = clip_samples()
    for sample in samples:
        sample.set_metainfo(dict(video_id=path.format(names[sample.video_id])))
    assert run(samples, online=True, unseen_participants=None,
               ann_file=ann_file) == want


@pytest.mark.parametrize('online', (True, False))
def test_a_part_of_the_videos_in_anticipation(run, tmp_path, log, online):
    """What cannot be observed in the others is left out with them."""
    # P02_07_0 starts at tau_a, so only online it is not scored.
    mine = [s for s in clip_samples() if s.video_id == 'P02_07'] if online \
        else segment_samples()[6:]
    kwargs = dict(kind=BOTH[1], online=online)
    found = run(mine, dump=True, missing='leave_out', **kwargs)
    # Of a video that was evaluated it counts as missed.
    assert {k: np.isnan(x).all() for k, x in found.items()} == dict(
        P02_07_0=True, P02_07_1=False, P02_07_2=False)
    warned = [text for level, text in log if level == logging.WARNING]
    assert '5 of 8' in warned[-1] and 'P01_01_0' in warned[-1]
    # As a list of these videos only has it.
    few = write_official(tmp_path / 'few.csv', SEGMENTS[5:])
    assert run(mine, missing='leave_out', **kwargs) == run(
        mine, ann_file=few, **kwargs)
    # Otherwise nothing is left out.
    with pytest.raises(ValueError, match='4 of 8 .*P01_01_1'):
        run(mine, **kwargs)


def test_bad_clips(run):
    samples = clip_samples()
    with pytest.raises(ValueError, match=r"twice.*\('P01_01', 1\)"):
        run([*samples, samples[1]], online=True)
    for key in ('video_id', 'timestamp', 'token_times'):
        sample = samples[0].clone()
        sample.pop(key)
        with pytest.raises(ValueError, match=f'without `{key}`'):
            run([sample], online=True)
    samples[0].set_metainfo(dict(token_times=np.zeros((3, 2))))
    with pytest.raises(ValueError, match=r'shape \(3, 2\), but verb .* 4 '):
        run(samples, online=True)
