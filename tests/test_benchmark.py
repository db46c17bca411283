"The benchmark notebook runs from its first cell to its last; its times are not tested"
import subprocess, sys
from pathlib import Path
import pandas as pd

REPOSITORY = Path(__file__).parents[1]

def test_quick_benchmark(tmp_path):
    command = [sys.executable, '-m', 'papermill', '--no-progress-bar', 'nbs/benchmark.ipynb', str(tmp_path/'out.ipynb'),
               '-p', 'device', 'cpu', '-p', 'quick', 'True', '-p', 'figures_dir', str(tmp_path)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    steps, generation, last = (pd.read_csv(tmp_path/f'benchmark-cpu-quick{part}.csv') for part in ('-steps', '-generation', ''))
    assert steps.Frames.tolist() == ['2 → 1', '21 → 20', '21 → 20'] and generation.Frames.tolist() == [1, 10, 20]
    assert last.Reached.notna().all() and last.Aim.isna().all()
