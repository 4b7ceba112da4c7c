# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest
from helpers.attention import attended_step as step

from mmaction_memvit.visualization.live_page import LivePage

BROWSER = next(filter(None, map(shutil.which, (
    'chromium', 'chromium-browser', 'google-chrome'))), None)


def rows(*scores):
    return [dict(name=name, score=score) for name, score in scores]


@pytest.fixture
def page():
    page = LivePage('<b>door</b>.mp4', port=0)
    yield page
    page.close()


def get(page, path):
    with urllib.request.urlopen(page.url + path, timeout=10) as answer:
        return answer.read()


def fill(page):
    image = np.zeros((96, 128, 3), np.uint8)
    image[..., 0] = 250
    page.show(image)
    for number in range(200):
        # Two persons.
        page.add(step(number, looks_at=4 if number > 10 else None),
                 rows(('walk', .9), ('<i>sit</i>', .05), ('walk', .4)),
                 '400.0 s, 3.00 x real time')


def test_answers(page):
    with pytest.raises(urllib.error.HTTPError, match='404'):
        get(page, 'picture')
    assert json.loads(get(page, 'state?after=-1'))['steps'] == []
    fill(page)
    state = json.loads(get(page, 'state?after=-1'))
    # Of two minutes, 2 s each.
    assert 58 < len(state['steps']) < 63 and state['last'] == 199
    assert state['steps'][-1]['best'] == [['walk', .9], ['<i>sit</i>', .05]]
    assert state['attention'][2] == pytest.approx([8, 4 / 7])
    assert len(json.loads(get(page, 'state?after=197'))['steps']) == 2
    for name, color in (('picture', 250), ('strip', None)):
        image = cv2.imdecode(
            np.frombuffer(get(page, name), np.uint8), cv2.IMREAD_COLOR)
        # OpenCV has blue first.
        assert color is None or abs(int(image[50, 50, 2]) - color) < 9
    for wrong in ('other', 'state?after=x', '../live_page.py'):
        with pytest.raises(urllib.error.HTTPError, match='404'):
            get(page, wrong)


def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=str(port)):
            LivePage('a', port=port)


@pytest.mark.skipif(BROWSER is None, reason='no Chromium is installed')
def test_in_a_browser(page, tmp_path):
    fill(page)

    def browse(*options):
        return subprocess.run(
            [BROWSER, '--headless', '--no-sandbox', '--disable-gpu',
             f'--user-data-dir={tmp_path}/profile', '--window-size=1100,1000',
             '--virtual-time-budget=3000', *options, page.url],
            capture_output=True, text=True, timeout=120, check=True).stdout

    found = browse('--dump-dom')
    # Names are shown as they are written, not as HTML.
    assert '&lt;b&gt;door&lt;/b&gt;.mp4' in found
    assert '&lt;i&gt;sit&lt;/i&gt;' in found and '<i>sit</i>' not in found
    assert '<div id="state">400.0 s, 3.00 x real time</div>' in found
    for said in ('0.90', '8.0 s ago', '57.1 %', '400 s'):
        assert said in found
    assert len(re.findall('<path', found)) == 2
    assert re.search(r'src="picture\?\d+"', found)
    assert 'src="strip?199"' in found
    browse(f'--screenshot={tmp_path}/page.png')
    image = cv2.imread(str(tmp_path / 'page.png'))
    # The red picture is on it.
    red = (image[..., 2] > 240) & (image[..., :2] < 20).all(-1)
    assert red.mean() > 0.05
