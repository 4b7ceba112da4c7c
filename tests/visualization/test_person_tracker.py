# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np

from mmaction_memvit.visualization.person_tracker import PersonTracker


def test_a_person_has_one_number():
    track = PersonTracker()
    a = np.array([0., 0, 10, 20])
    b = a + [30, 0, 30, 0]
    assert track([a, b]) == [1, 2]
    # They walk, in any order.
    assert track([b + 2, a + 2]) == [2, 1]
    # One is hidden, another comes.
    assert track([a + 3, b + 40]) == [1, 3]
    assert track([]) == []
    assert track([b + 3]) == [2]
    # Who is away for long has no number any more.
    assert [track([]) for _ in range(3)] == [[]] * 3
    assert track([b + 3]) == [4]
