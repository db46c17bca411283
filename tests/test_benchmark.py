"The benchmark notebook runs from its first cell to its last; its times are not tested"
import os, subprocess, sys
from pathlib import Path
import pandas as pd
from everything_is_video.benchmark import noise_source, side_rows, write_rows
from everything_is_video.runs import Config
from everything_is_video.tasks import TASKS
from test_campaign import BARE

REPOSITORY = Path(__file__).parents[1]

def test_quick_benchmark(tmp_path):
    command = [sys.executable, '-m', 'papermill', '--no-progress-bar', 'nbs/benchmark.ipynb', str(tmp_path/'out.ipynb'),
               '-p', 'device', 'cpu', '-p', 'quick', 'True', '-p', 'figures_dir', str(tmp_path)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    steps, generation, last = (pd.read_csv(tmp_path/f'benchmark-cpu-quick{part}.csv') for part in ('-steps', '-generation', ''))
    assert steps.Frames.tolist() == ['2 → 1', '21 → 20', '21 → 20'] and generation.Frames.tolist() == [1, 10, 20]
    assert last.Reached.notna().all() and last.Aim.isna().all()

def test_bare_benchmark(tmp_path):
    "The command measures on a machine with torch, numpy and pillow alone; what is over its minutes is left out"
    (tmp_path/'bare').mkdir()
    (tmp_path/'bare'/'sitecustomize.py').write_text(BARE)
    environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(tmp_path/'bare'), str(REPOSITORY)]), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-m', 'everything_is_video.benchmark', '--device', 'cpu', '--minutes', '.03', '--out', str(tmp_path/'out')]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    table = pd.read_csv(tmp_path/'out'/'bare-cpu-steps.csv')
    assert table.Frames[0] == '2 → 1' and table.Preset[0] == 'small' and len(table) < 5
    assert (tmp_path/'out'/'bare-cpu-steps.md').read_text().count('\n') == len(table) + 2
    assert not (tmp_path/'out'/'bare-cpu-sides.csv').exists()

def test_sides(tmp_path):
    "A step clip by clip, the plain twin and this project train on the same noise"
    task = TASKS['sst2']
    settings = Config('sst2', 'noise', data_dir=str(tmp_path), device='cpu', preset='tiny', run_dir=str(tmp_path/'run'))
    with noise_source(task): rows = side_rows(task, settings, 0)
    assert [row['Way'] for row in rows][:3] == ['this project', 'clip by clip', 'the plain twin']
    write_rows(rows, 'sides', tmp_path)
    assert pd.read_csv(tmp_path/'sides.csv')['Clips/s'].min() > 0
