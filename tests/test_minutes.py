"Minutes on a bare machine: packs hold the very same examples, and what is done comes home, whatever happens"
import json, os, signal, subprocess, sys, time
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from everything_is_video import minutes
from everything_is_video.campaign import COLUMNS
from everything_is_video.datasets import SPLITS
from everything_is_video.generation import predict
from everything_is_video.minutes import DONE, PIECE, collect, unbundle
from everything_is_video.packs import make_pack, packed_sources
from everything_is_video.tasks import TASKS, open_source
from test_campaign import BARE

REPOSITORY = Path(__file__).parents[1]
REAL = [('cifar10', 'jpeg'), ('sst2', 'official'), ('audiomnist', 'fsdd'), ('lasot', 'tracking'), ('tinyvirat', 'fight'), ('colorization', 'fight'), ('clevrer', 'easy_vqa')]

def same(a, b):
    "Whether two examples are equal, in their types as well"
    assert (a.text, type(a.answer)) == (b.text, type(b.answer))
    assert a.frames.dtype == b.frames.dtype and np.array_equal(a.frames, b.frames)
    if isinstance(a.answer, np.ndarray): assert a.answer.dtype == b.answer.dtype
    assert np.array_equal(a.answer, b.answer)

@pytest.mark.parametrize('task, source', REAL, ids=['-'.join(pair) for pair in REAL])
def test_real_data_through_a_pack(tmp_path, task, source):
    "Every text and answer, and the clips of forty examples of each split"
    data = os.environ.get('EIV_DATA')
    reader = TASKS[task].sources[source]
    if not data or not (Path(data)/reader.folder).exists(): pytest.skip(f'{reader.folder} is not there: set EIV_DATA')
    before = {split: open_source(TASKS[task], source, data, split) for split in SPLITS}
    sizes = make_pack(tmp_path, [(task, source)], data)
    assert sum(sizes.values()) < 25*2**20  # of all seven together, 60 MiB at most
    with packed_sources(tmp_path):
        for split, plain in before.items():
            packed = open_source(TASKS[task], source, tmp_path, split)
            for name in 'name', 'vocabulary', 'n_frames', 'split': assert getattr(packed, name) == getattr(plain, name)
            assert len(packed) == len(plain)
            for i in range(len(plain)):
                (text, answer), (packed_text, packed_answer) = plain.label(i), packed.label(i)
                assert text == packed_text and np.array_equal(answer, packed_answer), (split, i)
            for i in np.unique(np.linspace(0, len(plain) - 1, 40).astype(int)):
                same(plain[i], packed[i])
                clips = [TASKS[task].clip(dataset[i]) for dataset in (plain, packed)]
                assert np.array_equal(clips[0].frames, clips[1].frames)

@pytest.fixture(scope='module')
def home(tmp_path_factory):
    "A machine with data: a campaign and its pack, and a bare Python"
    home = tmp_path_factory.mktemp('home')
    (home/'runs').mkdir()
    lines = ['cpu,cifar10,sample-30,ours,tiny,1,0,0,0,1', 'cpu,sst2,sample-30,ours,tiny,1,0,0,0,1', 'gpu,cifar10,sample-30,ours,fast,1,0,0,0,1']
    (home/'runs'/'campaign.csv').write_text('\n'.join([','.join([*COLUMNS, 'weight']), *lines]) + '\n')
    command(home, '--pack', home/'pack', '--data_dir', home/'data', '--device', 'cpu')
    (home/'bare').mkdir()
    (home/'bare'/'sitecustomize.py').write_text(BARE)
    return home

def start(home, *options, path='campaign.csv'):
    "A campaign command on a bare machine"
    python = os.pathsep.join([str(home/'bare'), str(REPOSITORY)])
    environment = os.environ | {'PYTHONPATH': python, 'OMP_NUM_THREADS': '1', 'EIV_DATA': ''}
    words = [sys.executable, '-m', 'everything_is_video.campaign', home/'runs'/path, *options]
    return subprocess.Popen(list(map(str, words)), cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

def command(home, *options, **where):
    "Its lines about runs, once it has ended well"
    process = start(home, *options, **where)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return [line for line in out.replace('\r', '\n').splitlines() if ': ' in line and '%' not in line.split(': ')[0]]

def shared(home, out, minutes): return '--device', 'cpu', '--data', home/'pack', '--minutes', minutes, '--out', home/out

def test_from_minutes_to_a_table(home):
    "Two runs share twenty seconds on a bare machine; at home they are rows of Table 2"
    said = command(home, *shared(home, 'out', .25))
    assert [line.split(':')[1].strip() for line in said if '-tiny-' in line] == ['done', 'done'], said
    assert [line.split(': ')[1] for line in command(home, *shared(home, 'out', .02)) if '-tiny-' in line] == ['done', 'done']
    files = [path for path in (home/'out').rglob('*') if path.is_file()]
    assert max(path.stat().st_size for path in files) <= PIECE
    for path in files:
        if path.name.startswith(('config', 'metrics', 'log')): assert str(home) not in path.read_text()
    states = collect(home/'runs'/'campaign.csv', home/'out', home/'figures')
    assert [line.split()[:2] for line in states.values()] == [['done:', 'accuracy']]*2
    table = pd.read_csv(home/'figures'/'table2.csv', dtype=str).fillna('')
    assert sorted(table[table.Run.str.startswith('tiny')].Dataset) == ['CIFAR-10 sample (30 generated)', 'SST-2 sample (30 generated)']
    for run in (home/'runs').glob('*-tiny-0'): assert json.loads((run/'config.json').read_text())['minutes'] < .4
    assert all('done: accuracy' in line for line in command(home, '--list', '--device', 'cpu') if '-tiny-' in line)

def test_out_of_time(home):
    "What cannot end is not started"
    said = [line for line in command(home, *shared(home, 'nothing', .02)) if '-tiny-' in line]
    assert len(said) == 2 and all('not started: ' in line and 's are left, it needs' in line for line in said)
    assert list((home/'nothing').iterdir()) == []

def test_killed(home):
    "Asked to stop in its second run, a campaign leaves the first one whole, and the second for the next time"
    rows = (home/'runs'/'campaign.csv').read_text().splitlines()
    (home/'runs'/'killed.csv').write_text('\n'.join([rows[0], rows[1], rows[2][:-1] + '20']) + '\n')
    names = 'cifar10-sample-30-tiny-0', 'sst2-sample-30-tiny-0'
    process = start(home, *shared(home, 'killed', 4), path='killed.csv')
    while process.poll() is None and not (home/'killed'/names[0]/DONE).exists(): time.sleep(.1)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=100)
    assert process.returncode == 130 and 'Traceback' not in error, error
    assert not (home/'killed'/names[1]/DONE).exists()
    assert len(unbundle(home/'killed'/names[0])) >= 5
    assert f'{names[0]}: done: before' in command(home, *shared(home, 'killed', .01), path='killed.csv')

def test_one_that_fails(home, monkeypatch, capsys):
    "A row that cannot be meant, and one that fails: the next is done, and what failed left its traceback"
    rows = (home/'runs'/'campaign.csv').read_text().splitlines()
    other = rows[1].replace(',0,0,0,1', ',5,0,0,1')
    (home/'runs'/'broken.csv').write_text('\n'.join([rows[0], rows[1].replace(',tiny,', ',none,'), rows[1], other]) + '\n')
    def fails(config):
        if config.seed == 0: raise RuntimeError('no luck\ntoday')
        return predict(config)
    monkeypatch.setattr(minutes, 'predict', fails)
    states = minutes.spend(home/'runs'/'broken.csv', 'cpu', home/'pack', .25, home/'broken')
    assert [*states.values()] == ['failed', 'failed', 'done']
    out = capsys.readouterr().out
    assert "failed: preset='none': no such preset" in out and 'cifar10-sample-30-tiny-0: failed: no luck today\n' in out
    assert 'RuntimeError: no luck' in (home/'broken'/'cifar10-sample-30-tiny-0'/'failed.txt').read_text()
    said = minutes.collect(home/'runs'/'broken.csv', home/'broken', home/'figures')
    assert said['cifar10-sample-30-tiny-0'].endswith('the run has not ended') and said['cifar10-sample-30-tiny-5'].startswith('done: accuracy')

def test_one_model_for_two_tasks(home):
    "A run of several tasks comes home with the results of each"
    rows = (home/'runs'/'campaign.csv').read_text().splitlines()
    (home/'together').mkdir()
    path = home/'together'/'campaign.csv'
    path.write_text(f'{rows[0]},turns\ncpu,"cifar10,sst2",sample-30,ours,tiny,1,0,0,0,1,"cifar10=1,sst2=1"\n')
    said = command(home, *shared(home, 'joint', .3), path='../together/campaign.csv')
    assert any(line.startswith('2-tasks-tiny-0: done') for line in said), said
    states = collect(path, home/'joint', home/'figures')
    assert states == {'2-tasks-tiny-0': 'done: 2 tasks'}
    table = pd.read_csv(home/'figures'/'table2.csv', dtype=str).fillna('')
    assert sum(table.Model == 'one model of 2 tasks, this project') == 2
    assert 'done: 2 tasks' in ' '.join(command(home, '--list', '--device', 'cpu', path='../together/campaign.csv'))
