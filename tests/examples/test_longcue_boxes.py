# Copyright (c) mmaction_memvit contributors. All rights reserved.
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from demos.delay_accuracy import accuracy_by_delay, format_delay_table
from demos.detection import answer_box_questions
from generated.longcue import plan_videos
from generated.longcue_boxes import (
    LongCueBoxesSpec,
    annotation_rows,
    box_question_table,
    keyframe_boxes,
    person_boxes,
    proposal_table,
    render_box_video,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SMALL = LongCueBoxesSpec(max_delay=3, clips_per_video=11)


def in_clips(spec, frames):
    frames = frames[spec.lead_frames:]
    return frames.reshape(spec.clips_per_video, spec.clip_frames,
                          *frames.shape[1:])


@settings(max_examples=30, deadline=None)
@given(num_cues=st.integers(2, 8), max_delay=st.integers(1, 6),
       extra=st.integers(0, 30), families=st.integers(1, 3),
       seed=st.integers(0, 10**6))
def test_plan(num_cues, max_delay, extra, families, seed):
    spec = LongCueBoxesSpec(
        num_cues=num_cues, max_delay=max_delay,
        clips_per_video=max_delay * (max_delay + 3) // 2 + extra, seed=seed)
    plans = plan_videos(spec, 'val', families * num_cues)
    assert len({plan.name for plan in plans}) == len(plans)
    for plan in plans:
        asked = {(q.clip, q.person) for q in plan.questions}
        shown = {(q.cue_clip, q.person) for q in plan.questions}
        # Nobody shows a cue while anybody is asked.
        assert not {clip for clip, _ in asked} & {clip for clip, _ in shown}
        assert len(asked) == len(shown) == len(plan.questions)
        for person in (0, 1):
            mine = [q for q in plan.questions if q.person == person]
            delays = Counter(q.delay for q in mine)
            assert set(delays) == set(range(1, max_delay + 1))
            assert len(set(delays.values())) == 1
            for question in mine:
                earlier = [q.cue_clip for q in mine
                           if q.cue_clip < question.clip]
                assert max(earlier) == question.cue_clip
                # One cue within reach.
                assert sum(c >= question.clip - max_delay
                           for c in earlier) == 1
            assert 0 <= min(q.cue_clip for q in mine)
            assert max(q.clip for q in mine) < spec.clips_per_video
    for family in range(families):
        twins = plans[family * num_cues:(family + 1) * num_cues]
        for together in zip(*(twin.questions for twin in twins)):
            assert len({q._replace(label=0) for q in together}) == 1
            assert {q.label for q in together} == set(range(num_cues))


def test_the_keyframe_is_the_middle_of_its_clip():
    for spec in (SMALL, replace(SMALL, clip_len=5, frame_interval=2),
                 replace(SMALL, clip_len=1, frame_interval=3)):
        plan = plan_videos(spec, 'val', 4)[0]
        boxes = person_boxes(spec, plan)
        at_keyframes = keyframe_boxes(spec, plan) * spec.size
        for clip in range(spec.clips_per_video):
            center = round((clip + 1) / spec.keyframe_rate * spec.frame_rate)
            start = center - spec.clip_len // 2 * spec.frame_interval
            assert start == spec.lead_frames + clip * spec.clip_frames
            assert start % spec.gop_size == 0
            np.testing.assert_allclose(at_keyframes[clip], boxes[center])
        assert start + spec.clip_frames == spec.num_frames


def test_twins_differ_where_the_person_is_only():
    first, second = plan_videos(SMALL, 'val', 4)[:2]
    differ = in_clips(SMALL, (render_box_video(SMALL, first) !=
                              render_box_video(SMALL, second)).any(-1))
    boxes = in_clips(SMALL, person_boxes(SMALL, first))
    for question in first.questions:
        for frame, (x1, y1, x2, y2) in zip(
                differ[question.cue_clip],
                boxes[question.cue_clip, :, question.person]):
            assert frame[y1:y2, x1:x2].any()
            frame[y1:y2, x1:x2] = False
    assert not differ.any()


def test_annotations_and_proposals():
    plans = plan_videos(SMALL, 'train', 4)
    table = proposal_table(SMALL, plans)
    assert len(table) == 4 * 11
    orders = set()
    for plan in plans:
        boxes = keyframe_boxes(SMALL, plan)
        for clip in range(11):
            found = table[f'{plan.name},{clip + 1:04d}']
            assert found.shape == (2, 5) and found.dtype == np.float32
            assert (found[:, 4] == 1).all()
            first = int(not np.allclose(found[0, :4], boxes[clip, 0]))
            orders.add(first)
            np.testing.assert_allclose(found[:, :4],
                                       boxes[clip][[first, 1 - first]])
        wanted = {(q.clip, q.person): q.label for q in plan.questions}
        cues = {(q.cue_clip, q.person): q.label for q in plan.questions}
        for with_cues in (False, True):
            if with_cues:
                wanted.update(cues)
            rows = [x.split(',')
                    for x in annotation_rows(SMALL, plan, with_cues)]
            assert {x[0] for x in rows} == {plan.name}
            found = {(int(x[1]) - 1, int(x[7])): int(x[6]) - 1 for x in rows}
            assert found == wanted and len(rows) == len(wanted)
            assert [int(x[1]) for x in rows] == sorted(int(x[1]) for x in rows)
            for row in rows:
                np.testing.assert_allclose(
                    np.float64(row[2:6]),
                    boxes[int(row[1]) - 1, int(row[7])], atol=1e-6)
    assert orders == {0, 1}


def write_results(path, answers):
    path.write_text(''.join(
        f'{q["video"]},{q["timestamp"]},'
        f'{",".join(f"{x + move:.4f}" for x in q["box"])},{action},{score}\n'
        for q, move, action, score in answers))


def test_answers_by_delay(tmp_path):
    plans = plan_videos(SMALL, 'val', 4)
    questions = box_question_table(SMALL, plans)
    assert len(questions) == 4 * 6
    assert {q['label'] for q in questions} == {1, 2, 3, 4}
    results = tmp_path / 'results.csv'
    answers = []
    for q in questions:
        wrong = q['label'] % 4 + 1
        best = q['label'] if q['delay'] < 3 else wrong
        answers += [(q, .002, best, .6), (q, .002, 5 - best, .5)]
    write_results(results, answers)
    records = answer_box_questions(str(results), questions)
    assert [{k: v for k, v in r.items() if k != 'pred'}
            for r in records] == questions
    table = accuracy_by_delay(records)
    assert {d: e.accuracy for d, e in table.items()} == {1: 1, 2: 1, 3: 0}
    text = format_delay_table({'with memory': table}, .25)
    assert '66.7%' in text and '25.0%' in text
    # Excel puts a mark before the first name.
    results.write_text('\ufeff' + results.read_text())
    assert answer_box_questions(str(results), questions) == records
    # A better score on the other person does not count.
    moved = [(q, .5, q['label'] % 4 + 1, .9) for q in questions]
    write_results(results, answers + moved)
    assert answer_box_questions(str(results), questions) == records
    # Nothing on the person is no answer.
    one = next(i for i, q in enumerate(questions) if q['delay'] == 1)
    write_results(results, answers[:2 * one] + answers[2 * one + 2:])
    records = answer_box_questions(str(results), questions)
    assert records[one]['pred'] == -1
    assert sum(r['pred'] == -1 for r in records) == 1


def test_bad_results(tmp_path):
    questions = box_question_table(SMALL, plan_videos(SMALL, 'val', 4))
    results = tmp_path / 'results.csv'
    by_video = defaultdict(list)
    for q in questions:
        by_video[q['video']].append((q, 0, 1, .5))
    first, *rest = by_video.values()
    write_results(results, sum(rest, []))
    with pytest.raises(ValueError, match="1 of the.*'val_00000'"):
        answer_box_questions(str(results), questions)
    results.write_text('val_00000,1,0,0,1,1,2\n')
    with pytest.raises(ValueError, match='results.csv: .*line 1: .*score'):
        answer_box_questions(str(results), questions)
