"The README: its script works as it is, its table is that of the runs, and every notebook is in its list"
import json, os, re, runpy, subprocess, sys
from pathlib import Path
import pytest
from everything_is_video.campaign import read_campaign, run_name
from everything_is_video.download import SMALL, downloads
from everything_is_video.folders import RunFolder
from everything_is_video.recipe import PRESETS
from everything_is_video.shots import _LONGEST
from everything_is_video.tasks import TASKS

ROOT = Path(__file__).parents[1]

def test_add_a_task(tmp_path):
    "Here with a budget of two steps instead of its minute"
    script, = re.findall(r'```python\n(.*?)```', (ROOT/'README.md').read_text(encoding='utf-8'), re.DOTALL)
    assert script.count('minutes=1)') == 1
    (tmp_path/'parity.py').write_text(script.replace('minutes=1)', 'steps=2)'), encoding='utf-8')
    done = subprocess.run([sys.executable, 'parity.py'], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert "'accuracy'" in done.stdout and (tmp_path/'runs'/'parity-official-tiny-0'/'predictions.npz').is_file()

def readme(): return (ROOT/'README.md').read_text(encoding='utf-8')

def between(name, text): return re.findall(rf'<!-- {name} -->\n(.*?)\n<!-- /{name} -->', text, re.DOTALL)[0]

def test_the_table_is_that_of_the_committed_runs():
    known = subprocess.run(['git', '-C', ROOT, 'ls-files', 'runs/*/metrics.json'], capture_output=True, text=True).stdout.split()
    shown = {run_name(row) for row in read_campaign(ROOT/'runs'/'campaign.csv')} & {p.parent.name for p in ROOT.glob('runs/*/metrics.json')}
    if shown != {Path(name).parent.name for name in known if name.count('/') == 2}: pytest.skip('runs of the table were made here')
    script = runpy.run_path(str(ROOT/'.ci'/'summary'))
    runs, best = script['best_runs']()
    assert between('summary', readme()) == script['summary'](best).strip(), 'run `make table2`'
    assert between('summary', readme()).count('\n') == 9  # a head, a rule, and the eight tasks
    assert between('losses', readme()) == script['losses'](runs, best), 'run `make table2`'

def test_the_weights_are_those_of_the_package():
    script = runpy.run_path(str(ROOT/'.ci'/'summary'))
    for name, text in zip(('caption', 'weights'), script['weights']()):
        assert between(name, readme()) == script['from_root'](text), 'run `.ci/summary`, then `make prepare`'

def test_the_numbers_in_sentences():
    "Those that are typed, and come from the code or from runs"
    def known(run): return RunFolder(ROOT/'runs'/run).read_metrics()
    old, new, trial = map(known, ('sst2-official-bert-base-0', 'sst2-official-small-0', 'cifar10-jpeg-fast+changes-0'))
    said = [f'at most {SMALL} MB', f'within {_LONGEST} frames', f'the {trial["parameters"]/1e6:.0f}M model',
            f'have {old["n_train"]:,} training examples', f'({new["n_train"]:,} remain)']
    said += ['ten minutes on a CPU', 'an hour on a GPU', 'seven days on a GPU']
    assert [text for text in said if text not in readme()] == []
    assert [PRESETS[name].minutes for name in ('small', 'fast', 'paper')] == [10, 60, 7*24*60]

@pytest.mark.parametrize('page', ['README.md', 'nbs/train.ipynb'])
def test_the_downloads_are_those_of_the_classes(page):
    text = (ROOT/page).read_text(encoding='utf-8')
    if page.endswith('.ipynb'): text = '\n'.join(''.join(cell['source']) for cell in json.loads(text)['cells'])
    script = runpy.run_path(str(ROOT/'.ci'/'summary'))
    assert between('downloads', text) == script['markdown'](downloads(TASKS.values())).strip(), 'run `make table2`'

def test_every_notebook_is_listed():
    "Dataset rooms and samples, too: in the three parts of the reading list"
    notebooks = {p.relative_to(ROOT).as_posix() for p in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts}
    known = subprocess.run(['git', '-C', ROOT, 'ls-files', 'nbs/*.ipynb'], capture_output=True, text=True).stdout.split()
    notebooks &= set(known) or notebooks
    listed = re.findall(r'\]\((nbs/[^)]+\.ipynb)\)', readme().split('## The notebooks')[1].split('\n## ')[0])
    assert sorted(listed) == sorted(set(listed)) and set(listed) == notebooks - {'nbs/index.ipynb'}
