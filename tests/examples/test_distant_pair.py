# Copyright (c) mmaction_memvit contributors. All rights reserved.
from collections import Counter

from generated.distant_pair import (
    DistantPairSpec,
    pair_table,
    plan_pairs,
    plan_signs,
    render_video,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SMALL = DistantPairSpec(num_things=3, num_slots=5, slot_frames=2)


def slot_frames(spec, frames, slot):
    return frames[slot * spec.slot_frames:(slot + 1) * spec.slot_frames]


@settings(max_examples=40, deadline=None)
@given(things=st.integers(2, 6), min_distance=st.integers(1, 4),
       more=st.integers(1, 8), families=st.integers(1, 9),
       seed=st.integers(0, 10**6))
def test_plan(things, min_distance, more, families, seed):
    spec = DistantPairSpec(num_things=things, min_distance=min_distance,
                           num_slots=min_distance + more, seed=seed)
    plans = plan_pairs(spec, 'val', families * things**2)
    table = pair_table(spec, plans)
    assert len({plan.name for plan in plans}) == len(table) == len(plans)
    for plan, row in zip(plans, table):
        assert row['video'] == plan.name and row['label'] == plan.label
        assert row['label'] == (row['thing'] + row['steps']) % things
        slots = [sign.slot for sign in plan.signs]
        assert slots == [row['thing_slot'], row['steps_slot']]
        assert 0 <= slots[0] and slots[1] < spec.num_slots
        assert row['delay'] == slots[1] - slots[0] >= min_distance
    turns = []
    for family in range(families):
        first = family * things**2
        twins = table[first:first + things**2]
        assert len({plan.scene for plan in plans[first:first + things**2]
                    }) == 1
        assert len({(x['thing_slot'], x['steps_slot']) for x in twins}) == 1
        # Every pair once: given either sign, all labels are equally frequent.
        assert len({(x['thing'], x['steps']) for x in twins}) == things**2
        for sign in ('thing', 'steps'):
            given = Counter((x[sign], x['label']) for x in twins)
            assert set(given.values()) == {1}
            assert len(given) == things**2
        turns.append(twins[0]['delay'])
    counts = Counter(turns)
    assert max(counts.values()) - min(
        counts.get(x, 0) for x in spec.distances) <= 1


def test_signs_are_labelled_with_what_they_show():
    plans = plan_signs(SMALL, 'train', 14)
    assert [plan.label for plan in plans] == [*range(7)] * 2
    for plan in plans:
        assert [x.sign for x in plan.signs] == [*range(6), None][
            plan.label:plan.label + 1][:plan.label < 6]
        assert len(render_video(SMALL, plan)) == SMALL.slot_frames
    assert SMALL.sign_classes == (*SMALL.classes, '0 steps', '1 steps',
                                  '2 steps', 'no sign')
