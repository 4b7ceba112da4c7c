# Copyright (c) mmaction_memvit contributors. All rights reserved.
import logging

import numpy as np
import pytest
import torch
from helpers.epic import write_official, write_text
from mmaction.registry import METRICS
from mmaction.structures import ActionDataSample

from mmaction_memvit.evaluation.metrics import (
    EpicAnticipationMetric,
    EpicRecognitionMetric,
)
from mmaction_memvit.evaluation.submissions.epic_dump import read_epic_dump
from mmaction_memvit.evaluation.submissions.epic_truth import EpicTruth

NUM_VERBS, NUM_NOUNS = 5, 6
# A token every half second; segments that overlap, lie between centres of
# tokens, share borders with them, and start before anything is seen.
SEGMENTS = [
    ('P01_01_0', 0.2, 0.9, 0, 1),
    ('P01_01_1', 1.5, 4.0, 1, 2),
    ('P01_01_2', 3.0, 3.2, 2, 5),
    ('P01_01_3', 2.25, 2.75, 3, 0),
    ('P01_01_4', 7.9, 8.3, 4, 0),
    ('P02_07_0', 1.0, 3.0, 0, 1),
    ('P02_07_1', 4.0, 6.0, 3, 4),
    ('P02_07_2', 4.0, 4.0, 0, 3),
]
VIDEOS = {'P01_01': 8.0, 'P02_07': 6.0, 'P03_01': 4.0}
TOKENS, STEP = 4, 0.5


@pytest.fixture
def files(tmp_path):
    """Arguments of a metric."""
    return dict(
        ann_file=write_official(tmp_path / 'val.csv', SEGMENTS),
        tail_verbs=write_text(tmp_path / 'verbs.csv', 'verb', '2', '3'),
        tail_nouns=write_text(tmp_path / 'nouns.csv', 'noun', '1'),
        unseen_participants=write_text(tmp_path / 'unseen.csv',
                                       'participant_id', 'P02'),
        num_verbs=NUM_VERBS,
        num_nouns=NUM_NOUNS)


def make_sample(scores, **meta):
    """A scored sample as a recognizer hands it over."""
    sample = ActionDataSample()
    sample.set_pred_score({t: torch.as_tensor(s) for t, s in scores.items()})
    sample.set_metainfo(meta)
    return sample


def random_scores(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return {task: 2 * torch.randn(*shape, num, generator=generator)
            for task, num in (('verb', NUM_VERBS), ('noun', NUM_NOUNS))}


def segment_samples():
    return [make_sample(random_scores(i), narration_id=row[0])
            for i, row in enumerate(SEGMENTS)]


def clip_samples(overlap=False):
    """Clips of whole videos, with the tokens' times."""
    samples = []
    for video, seconds in VIDEOS.items():
        clips = int(seconds / (STEP * TOKENS)) * (2 if overlap else 1)
        for clip in range(clips):
            first = clip * TOKENS * STEP / (2 if overlap else 1)
            starts = first + STEP * np.arange(TOKENS)
            samples.append(make_sample(
                random_scores(hash_of(video, clip), TOKENS),
                video_id=video,
                timestamp=clip,
                token_times=np.stack([starts, starts + STEP], 1)))
    return samples


def hash_of(video, clip):
    return sum(map(ord, video)) * 100 + clip


def evaluate(metric, samples, batch=3):
    for first in range(0, len(samples), batch):
        metric.process(
            None, [s.to_dict() for s in samples[first:first + batch]])
    return metric.evaluate(len(samples))


def dumped(metric_type, samples, tmp_path, **kwargs):
    """Scores by segment that a metric arrives at."""
    path = str(tmp_path / 'dump.npz')
    evaluate(metric_type(dump_file=path, **kwargs), samples)
    ids, scores = read_epic_dump(path)
    return {name: {t: a[i] for t, a in scores.items()}
            for i, name in enumerate(ids)}


def log_mean_prob(rows):
    rows = np.asarray(rows, np.float64)
    probs = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    return np.log(probs.mean(0))


# -- segments ---------------------------------------------------------------


def test_segments(files, tmp_path, log):
    samples = segment_samples()
    got = evaluate(EpicRecognitionMetric(**files), samples[::-1])
    truth = EpicTruth(**files)
    want = truth.measure('action_recognition', {
        task: torch.stack([s.pred_score[task] for s in samples]).numpy()
        for task in ('verb', 'noun')})
    assert got == {f'epic/{name}': value for name, value in want.items()}
    assert len(got) == 12
    assert set(got.values()) - {0., 1.}
    table = log[-1][1].splitlines()
    assert table[0].endswith('8 segments of val.csv, in per cent')
    assert table[1].split()[:4] == ['verb', 'top1', 'verb', 'top5']
    assert [line.split()[0] for line in table[2:]] == ['overall', 'unseen',
                                                       'tail']
    assert f'{100 * want["action_top5"]:.2f}' == table[2].split()[-1]
    assert all(level == logging.INFO for level, _ in log)


def test_anticipation_of_segments(files, log):
    metric = METRICS.build(
        dict(type='EpicAnticipationMetric', prefix='ant', **files))
    # The first starts before tau_a, so that no sample of it exists; one that
    # starts at tau_a may have one or not.
    samples = segment_samples()
    got = evaluate(metric, samples[1:])
    scores = {
        task: torch.stack([s.pred_score[task] for s in samples]).numpy()
        for task in ('verb', 'noun')}
    for array in scores.values():
        array[0] = np.nan
    want = EpicTruth(**files).measure('action_anticipation', scores)
    assert got == {f'ant/{name}': value for name, value in want.items()}
    assert len(got) == 9
    assert '1 segments start before anything could be' in log[0][1]
    assert 'P01_01_0' in log[0][1]
    metric = EpicAnticipationMetric(**files)
    without = [s for s in samples if s.narration_id != 'P02_07_0']
    evaluate(metric, without)
    with pytest.raises(ValueError, match="not scored: 'P01_01_1', 'P02_07_0'"):
        evaluate(EpicAnticipationMetric(tau_a=0.5, **files), [
            s for s in without if s.narration_id != 'P01_01_1'])


@pytest.mark.parametrize('average', ('prob', 'score'))
def test_several_clips_and_views_are_averaged(files, tmp_path, average):
    samples = segment_samples()[1:]
    views = [random_scores(50 + i, 2) for i in range(3)]
    # Handed over in another order than that of time.
    for time in (2, 0, 1):
        samples.append(make_sample(
            views[time], narration_id='P01_01_0', timestamp=time))
    got = dumped(EpicRecognitionMetric, samples, tmp_path, average=average,
                 **files)
    for task in ('verb', 'noun'):
        rows = np.concatenate([v[task].numpy() for v in views]).astype(float)
        want = log_mean_prob(rows) if average == 'prob' else rows.mean(0)
        assert got['P01_01_0'][task] == pytest.approx(want, abs=1e-6)
        # A single one stays as it is.
        assert np.array_equal(got['P01_01_3'][task],
                              samples[2].pred_score[task].numpy())


def test_probabilities_are_not_softmaxed_again(files, tmp_path):
    scores = random_scores(1)
    probs = {task: s.softmax(0) for task, s in scores.items()}
    samples = [make_sample(probs, narration_id=row[0]) for row in SEGMENTS]
    got = dumped(EpicRecognitionMetric, samples, tmp_path, **files)
    for task in probs:
        assert got['P01_01_0'][task] == pytest.approx(
            probs[task].log().numpy(), abs=1e-6)


def test_anticipation_takes_the_last_token(files, tmp_path):
    samples = [make_sample(random_scores(i, 4), narration_id=row[0])
               for i, row in enumerate(SEGMENTS)]
    got = dumped(EpicAnticipationMetric, samples, tmp_path, **files)
    mean = dumped(EpicAnticipationMetric, samples, tmp_path, tokens='mean',
                  **files)
    for sample in samples:
        verb = sample.pred_score['verb'].numpy()
        name = sample.narration_id
        assert np.array_equal(got[name]['verb'], verb[-1])
        assert mean[name]['verb'] == pytest.approx(log_mean_prob(verb))


def test_forms_of_scores(files, tmp_path):
    """Fields, half precision, and tensors of stock heads."""
    samples = segment_samples()
    want = dumped(EpicRecognitionMetric, samples, tmp_path, **files)
    fields = []
    for sample in samples:
        other = ActionDataSample(
            metainfo=dict(segment_id=sample.narration_id))
        for task in ('verb', 'noun'):
            other.set_field(sample.pred_score[task], f'pred_{task}')
        fields.append(other)
    got = dumped(EpicRecognitionMetric, fields, tmp_path, **files)
    assert all(np.array_equal(got[n][t], want[n][t])
               for n in want for t in ('verb', 'noun'))
    half = [make_sample({t: s.bfloat16() for t, s in x.pred_score.items()},
                        narration_id=x.narration_id) for x in samples]
    evaluate(EpicRecognitionMetric(**files), half)
    verbs = []
    for sample in samples:
        other = ActionDataSample(
            metainfo=dict(narration_id=sample.narration_id))
        verbs.append(other.set_pred_score(sample.pred_score['verb']))
    whole = evaluate(EpicRecognitionMetric(**files), samples)
    got = evaluate(EpicRecognitionMetric(**files), verbs)
    assert got == {n: v for n, v in whole.items() if 'verb' in n}
    metric = EpicRecognitionMetric(task='noun', **files)
    with pytest.raises(ValueError, match=r'noun have shape \(5,\), but there '
                       'are 6'):
        evaluate(metric, verbs)


def test_a_head_of_actions_is_enough(files, tmp_path):
    path = write_text(tmp_path / 'actions.csv', 'id,verb,noun',
                      *(f'{i},{row[3]},{row[4]}' for i, row in enumerate(
                          r for r in SEGMENTS if r[0] != 'P02_07_0')))
    samples = []
    for i, row in enumerate(SEGMENTS):
        sample = ActionDataSample(metainfo=dict(narration_id=row[0]))
        sample.set_pred_score(3. * torch.eye(7)[min(i, 6)])
        samples.append(sample)
    samples[5].set_pred_score(3. * torch.eye(7)[0])
    samples[6].set_pred_score(3. * torch.eye(7)[5])
    got = evaluate(EpicRecognitionMetric(actions=path, **files), samples)
    assert got['epic/action_top1'] == got['epic/verb_top1'] == 1
    assert got['epic/noun_top1'] == 1
    both = dumped(EpicRecognitionMetric, samples, tmp_path, actions=path,
                  **files)
    probs = (3. * torch.eye(7)[0]).softmax(0).double()
    # Actions 0 and 6 have verb 0.
    assert np.exp(both['P01_01_0']['verb'])[0] == pytest.approx(
        float(probs[0] + probs[6]))
    with pytest.raises(ValueError, match='7 classes, but there are'):
        evaluate(EpicRecognitionMetric(**files), samples)
    with pytest.raises(ValueError, match='set `actions`'):
        evaluate(EpicRecognitionMetric(task='action', **files), samples)


def test_missing_segments_are_named(files, tmp_path, log):
    samples = segment_samples()
    some = [s for s in samples if s.narration_id not in ('P01_01_2',
                                                         'P02_07_1')]
    with pytest.raises(ValueError, match="2 of 8 .*not scored: 'P01_01_2', '"
                       "P02_07_1'"):
        evaluate(EpicRecognitionMetric(**files), some)
    truth = EpicTruth(**files)
    scores = {task: torch.stack([s.pred_score[task] for s in samples]).numpy()
              for task in ('verb', 'noun')}
    for array in scores.values():
        array[[2, 6]] = np.nan
    got = evaluate(EpicRecognitionMetric(missing='miss', **files), some)
    want = truth.measure('action_recognition', scores)
    assert list(got.values()) == list(want.values())
    rows = [0, 1, 3, 4, 5, 7]
    got = evaluate(EpicRecognitionMetric(missing='leave_out', **files), some)
    want = truth.measure('action_recognition',
                         {t: s[rows] for t, s in scores.items()}, rows)
    assert list(got.values()) == list(want.values())
    warned = [text for level, text in log if level == logging.WARNING]
    assert len(warned) == 2 and 'P01_01_2' in warned[0]


def test_duplicate_and_unknown_segments_are_named(files):
    samples = segment_samples()
    with pytest.raises(ValueError, match="1 samples .*twice.*'P01_01_3'"):
        evaluate(EpicRecognitionMetric(**files), [*samples, samples[3]])
    extra = make_sample(random_scores(1), narration_id='P09_01_0')
    with pytest.raises(ValueError, match="1 .*not in val.csv: 'P09_01_0'"):
        evaluate(EpicRecognitionMetric(**files), [*samples, extra])
    with pytest.raises(ValueError, match='without `narration_id`.*online='):
        evaluate(EpicRecognitionMetric(**files),
                 [make_sample(random_scores(1), video_id='P01_01')])


def test_scores_that_are_not_finite(files, log):
    samples = segment_samples()
    good = evaluate(EpicRecognitionMetric(**files), samples)
    samples[1].pred_score['verb'][0] = float('nan')
    got = evaluate(EpicRecognitionMetric(**files), samples)
    warned = [text for level, text in log if level == logging.WARNING]
    assert len(warned) == 1 and 'P01_01_1' in warned[0]
    # All nouns are as before; the verb is missed even among the five.
    assert got['epic/noun_top1'] == good['epic/noun_top1']
    assert got['epic/verb_top5'] == 7 / 8 and good['epic/verb_top5'] == 1


def test_no_labels_no_measures(files, tmp_path, log):
    files['ann_file'] = write_official(tmp_path / 'test.csv',
                                       [row[:3] for row in SEGMENTS])
    path = str(tmp_path / 'out/dump.pkl')
    got = evaluate(EpicRecognitionMetric(dump_file=path, **files),
                   segment_samples())
    assert got == {'epic/num_segments': 8.}
    ids, scores = read_epic_dump(path)
    assert ids == [row[0] for row in SEGMENTS]
    assert scores['noun'].shape == (8, NUM_NOUNS)


def test_fewer_samples_than_expected(files, log):
    metric = EpicRecognitionMetric(**files)
    metric.process(None, [s.to_dict() for s in segment_samples()])
    metric.evaluate(20)
    assert log[0][0] == logging.WARNING and 'set has 20' in log[0][1]
    with pytest.raises(ValueError, match='0 samples'):
        EpicRecognitionMetric(**files).compute_metrics([])


@pytest.mark.parametrize('kwargs, message', [
    (dict(task='object'), "task='object'"),
    (dict(average='max'), "average='max'"),
    (dict(missing='ignore'), "missing='ignore'"),
    (dict(dump_file='a.json'), 'must end with .npz or .pkl'),
    (dict(tail_nouns=None), 'both lists or none'),
])
def test_bad_arguments(files, kwargs, message):
    with pytest.raises(ValueError, match=message):
        EpicRecognitionMetric(**{**files, **kwargs})


def test_bad_arguments_of_anticipation(files):
    with pytest.raises(ValueError, match="tokens='first'"):
        EpicAnticipationMetric(tokens='first', **files)


# -- whole videos -----------------------------------------------------------


def tokens_of(samples, video):
    """(start, end, scores of verbs) of all tokens of a video."""
    return [(*time, verb) for sample in samples if sample.video_id == video
            for time, verb in zip(sample.token_times.tolist(),
                                  sample.pred_score['verb'].numpy())]


@pytest.mark.parametrize('overlap', (False, True))
def test_tokens_inside_a_segment_are_averaged(files, tmp_path, overlap):
    samples = clip_samples(overlap)
    got = dumped(EpicRecognitionMetric, samples, tmp_path, online=True,
                 **files)
    for name, start, stop, *_ in SEGMENTS:
        tokens = tokens_of(samples, name[:6])
        inside = [v for a, b, v in tokens if start <= (a + b) / 2 <= stop]
        if inside:
            assert got[name]['verb'] == pytest.approx(
                inside[0] if len(inside) == 1 else log_mean_prob(inside),
                abs=1e-6)
    # Centres at 2.25 and 2.75 are on the border and inside.
    assert len([1 for a, b, _ in tokens_of(clip_samples(), 'P01_01')
                if 2.25 <= (a + b) / 2 <= 2.75]) == 2


def test_segments_without_a_centre_get_the_nearest_token(files, tmp_path):
    samples = clip_samples()
    got = dumped(EpicRecognitionMetric, samples, tmp_path, online=True,
                 **files)
    first = {video: np.concatenate(
        [s.pred_score['verb'].numpy() for s in samples
         if s.video_id == video]) for video in VIDEOS}
    # 3.0 to 3.2: the token from 3.0 to 3.5; behind the end: the last one;
    # 4.0: equally far from 3.75 and 4.25, so the earlier one.
    for name, token in (('P01_01_2', 6), ('P01_01_4', 15), ('P02_07_2', 7)):
        assert np.array_equal(got[name]['verb'], first[name[:6]][token])


def test_too_far_from_all_tokens(files):
    samples = [s for s in clip_samples()
               if (s.video_id, s.timestamp) != ('P01_01', 3)]
    # The video now ends at 6.0, the segment starts at 7.9.
    with pytest.raises(ValueError, match="1 of 8.* not scored: 'P01_01_4'. No "
                       'token'):
        evaluate(EpicRecognitionMetric(online=True, **files), samples)
    evaluate(EpicRecognitionMetric(online=True, max_distance=1.91, **files),
             samples)


def test_padding_is_not_used(files, tmp_path):
    samples = clip_samples()
    want = dumped(EpicRecognitionMetric, samples, tmp_path, online=True,
                  **files)
    for clip, times in ((4, (np.nan, np.nan)), (5, (8., 8.))):
        samples.append(make_sample(
            random_scores(900 + clip, 1), video_id='P01_01', timestamp=clip,
            token_times=np.array([times])))
    got = dumped(EpicRecognitionMetric, samples, tmp_path, online=True,
                 **files)
    assert all(np.array_equal(got[n]['verb'], want[n]['verb']) for n in want)


@pytest.mark.parametrize('overlap', (False, True))
def test_anticipation_by_the_last_token_before(files, tmp_path, overlap):
    samples = clip_samples(overlap)
    got = dumped(EpicAnticipationMetric, samples, tmp_path, online=True,
                 **files)
    unobserved = []
    for name, start, *_ in SEGMENTS:
        past = [(b, v) for _, b, v in tokens_of(samples, name[:6])
                if b <= start - 1]
        if past:
            last = max(b for b, _ in past)
            verb = next(v for b, v in past if b == last)
            assert np.array_equal(got[name]['verb'], verb)
        else:
            assert np.isnan(got[name]['verb']).all()
            unobserved.append(name)
    assert unobserved == ['P01_01_0', 'P02_07_0']


def test_observation_may_not_be_old(files):
    samples = [s for s in clip_samples()
               if (s.video_id, s.timestamp) != ('P01_01', 3)]
    # Needed is what ends at 6.9 or before; there is a token until 6.0.
    evaluate(EpicAnticipationMetric(online=True, **files), samples)
    with pytest.raises(ValueError, match="not scored: 'P01_01_4'"):
        evaluate(EpicAnticipationMetric(online=True, max_distance=0.89,
                                        **files), samples)
    # A video that begins late is not one with nothing to observe.
    samples = [s for s in clip_samples()
               if (s.video_id, s.timestamp) != ('P01_01', 0)]
    with pytest.raises(ValueError, match="not scored: 'P01_01_1', 'P01_01_2', "
                       "'P01_01_3'"):
        evaluate(EpicAnticipationMetric(online=True, **files), samples)


def test_no_later_token_is_used(files, tmp_path):
    """Whatever is said later than start - tau_a changes nothing."""
    samples = clip_samples()
    want = dumped(EpicAnticipationMetric, samples, tmp_path, online=True,
                  **files)
    for sample in samples:
        late = torch.as_tensor(sample.token_times[:, 1] > 3.0)
        for scores in sample.pred_score.values():
            scores[late] = -scores[late]
    got = dumped(EpicAnticipationMetric, samples, tmp_path, online=True,
                 **files)
    for name, start, *_ in SEGMENTS:
        same = np.array_equal(got[name]['verb'], want[name]['verb'],
                              equal_nan=True)
        assert same == (start - 1 <= 3.0)


@pytest.mark.parametrize('metric_type', (EpicRecognitionMetric,
                                         EpicAnticipationMetric))
@pytest.mark.parametrize('overlap', (False, True))
def test_order_and_batches_make_no_difference(files, tmp_path, metric_type,
                                              overlap):
    samples = clip_samples(overlap)
    want = dumped(metric_type, samples, tmp_path, online=True, **files)
    rng = np.random.default_rng(0)
    for batch in (1, 2, 5, 100):
        shuffled = [samples[i] for i in rng.permutation(len(samples))]
        path = str(tmp_path / 'other.npz')
        evaluate(metric_type(online=True, dump_file=path, **files), shuffled,
                 batch)
        ids, scores = read_epic_dump(path)
        for task in ('verb', 'noun'):
            assert np.array_equal(
                scores[task], [want[name][task] for name in ids],
                equal_nan=True)


def test_order_of_the_clips_of_a_segment_makes_no_difference(files, tmp_path):
    samples = [
        make_sample(random_scores(10 * i + k), narration_id=row[0],
                    timestamp=k)
        for i, row in enumerate(SEGMENTS) for k in range(7)]
    want = dumped(EpicRecognitionMetric, samples, tmp_path, **files)
    rng = np.random.default_rng(0)
    for _ in range(5):
        shuffled = [samples[i] for i in rng.permutation(len(samples))]
        got = dumped(EpicRecognitionMetric, shuffled, tmp_path, **files)
        assert all(np.array_equal(got[n]['noun'], want[n]['noun'])
                   for n in want)


def test_a_path_is_a_video(files):
    samples = clip_samples()
    want = evaluate(EpicRecognitionMetric(online=True, **files), samples)
    for sample in samples:
        video = sample.video_id
        sample.set_metainfo(dict(video_id=f'{video[:3]}/videos/{video}.MP4'))
    assert evaluate(EpicRecognitionMetric(online=True, **files),
                    samples) == want


@pytest.mark.parametrize('path', ('{}', 'P01/videos/{}.MP4'))
def test_ids_with_dots_and_folders(files, tmp_path, path):
    """Nothing is cut off an id that the table has."""
    want = evaluate(EpicRecognitionMetric(online=True, **files),
                    clip_samples())
    # Without what stands after their last dots they would be the same.
    names = {'P01_01': '2024.01.05_cam.1', 'P02_07': '2024.01.05_cam.2',
             'P03_01': '2024.01.05_cam.3'}
    if path == '{}':
        names['P02_07'] = 'home/cam.2'
    files['ann_file'] = write_official(tmp_path / 'dots.csv', [
        (names[row[0][:6]] + row[0][6:], *row[1:]) for row in SEGMENTS])
    files['unseen_participants'] = write_text(
        tmp_path / 'others.csv', 'participant_id',
        names['P02_07'].split('_')[0])
    samples = clip_samples()
    for sample in samples:
        sample.set_metainfo(dict(
            video_id=path.format(names[sample.video_id])))
    got = evaluate(EpicRecognitionMetric(online=True, **files), samples)
    assert {k: v for k, v in got.items() if 'unseen' not in k} == {
        k: v for k, v in want.items() if 'unseen' not in k}


def test_a_part_of_the_videos_in_anticipation(files, tmp_path, log):
    """What cannot be observed in the others is left out with them."""
    rows = ['P02_07_0', 'P02_07_1', 'P02_07_2']
    for online, samples in ((True, clip_samples()),
                            (False, segment_samples())):
        # P02_07_0 starts at tau_a, so only online it is not scored.
        mine = [s for s in samples
                if (s.video_id if online else s.narration_id)[:6] == 'P02_07']
        mine = mine if online else mine[1:]
        path = str(tmp_path / 'part.npz')
        metric = EpicAnticipationMetric(
            online=online, missing='leave_out', dump_file=path, **files)
        evaluate(metric, mine)
        ids, scores = read_epic_dump(path)
        assert ids == rows
        # Of a video that was evaluated it counts as missed.
        assert np.isnan(scores['verb']).all(1).tolist() == [True, False,
                                                            False]
        assert any('1 segments start before' in text for _, text in log)
        warned = [text for level, text in log if level == logging.WARNING]
        assert '5 of 8' in warned[-1] and 'P01_01_0' in warned[-1]
        # As a list of these videos only has it.
        few = write_official(tmp_path / 'few.csv', SEGMENTS[5:])
        want = evaluate(EpicAnticipationMetric(
            online=online, **{**files, 'ann_file': few}), mine)
        assert metric.truth.measure('action_anticipation', scores,
                                    np.arange(5, 8)) == {
            k.replace('epic/', ''): v for k, v in want.items()}
        # Otherwise nothing is left out.
        with pytest.raises(ValueError, match='4 of 8 .*P01_01_1'):
            evaluate(EpicAnticipationMetric(online=online, **files), mine)


def test_bad_clips(files):
    samples = clip_samples()
    with pytest.raises(ValueError, match=r"twice.*\('P01_01', 1\)"):
        evaluate(EpicRecognitionMetric(online=True, **files),
                 [*samples, samples[1]])
    for key in ('video_id', 'timestamp', 'token_times'):
        sample = {k: v for k, v in samples[0].to_dict().items() if k != key}
        with pytest.raises(ValueError, match=f'without `{key}`'):
            EpicRecognitionMetric(online=True, **files).process(None,
                                                                [sample])
    samples[0].set_metainfo(dict(token_times=np.zeros((3, 2))))
    with pytest.raises(ValueError, match=r'shape \(3, 2\), but verb scores '
                       'are of 4 tokens'):
        evaluate(EpicRecognitionMetric(online=True, **files), samples)


def test_tokens_far_from_segments_are_not_kept(files):
    metric = EpicRecognitionMetric(online=True, **files)
    metric.process(None, [s.to_dict() for s in clip_samples()])
    kept = {key: len(r['times']) for key, r in metric.results}
    assert len(kept) == len(clip_samples())
    assert kept['P03_01', 0] == 0 and kept['P02_07', 2] == TOKENS
    # From 4.0 + 1 to 7.9 - 1 nothing is needed, borders are.
    assert kept['P01_01', 2] == 3


# -- processes --------------------------------------------------------------
