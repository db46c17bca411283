"The campaign: runs that are not done are executed in order, a second call does nothing, and a stop loses nothing."
import json, os, signal, subprocess, sys, time
from pathlib import Path
from everything_is_video.campaign import COLUMNS, campaign, is_used, read_campaign, status

REPOSITORY = Path(__file__).parents[1]

def write(folder, *rows):
    "A campaign file in a folder of runs"
    folder.mkdir(exist_ok=True)
    (folder/'campaign.csv').write_text('\n'.join([','.join(COLUMNS), *rows]) + '\n')
    return folder/'campaign.csv'

def start(path, *options, python_path=''):
    "A process that works on a campaign, with its data in the same folder"
    environment = os.environ | {'EIV_DATA': str(path.parent/'data'), 'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join([str(python_path), str(REPOSITORY)])}
    return subprocess.Popen([sys.executable, '-m', 'everything_is_video.campaign', str(path), '--device', 'cpu', *options], cwd=REPOSITORY, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

def lines(process):
    "Exit status and the last line about each run"
    out, error = process.communicate(timeout=300)
    assert 'Traceback' not in error, error
    return process.returncode, dict(line.split(maxsplit=1) for line in out.splitlines()), error

def stamps(folder): return {p: p.stat().st_mtime_ns for p in folder.rglob('*') if p.is_file() and p.name != 'lock'}

BARE = '''# a machine with torch, numpy, pillow, matplotlib, safetensors and tqdm alone: Python reads this file when it starts
import sys
from importlib.machinery import PathFinder
class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in ('pandas', 'scipy', 'sklearn', 'librosa', 'av', 'torchmetrics', 'rapidfuzz', 'fastcore', 'IPython', 'transformers'): return None
        return PathFinder.find_spec(name, path, target)
sys.meta_path = [Bare if finder is PathFinder else finder for finder in sys.meta_path]
'''

def test_campaign(tmp_path, capsys, monkeypatch):
    "Two runs, wrong rows, one without data, one for a GPU; then scored on a machine that can; then nothing is left to do"
    path = write(tmp_path/'runs', 'cpu,mnist,sample-50,ours,tiny,.02,0,0,0', 'cpu,cifar10,sample-50,ours,tiny,.02,0,0,0', 'cpu,cifar10,sample-50,nobody,,.02,0,0,0',
                 'cpu,lasot,official,ours,tiny,.02,0,0,0', 'gpu,cifar10,sample-50,ours,paper,.02,0,0,0', 'cpu,sst2,sample-50,ours,tiny,.02,0,0,0')
    folder, runs = path.parent, ['cifar10-sample-50-tiny-0', 'sst2-sample-50-tiny-0']
    (bare := tmp_path/'bare').mkdir()
    (bare/'sitecustomize.py').write_text(BARE)
    status, said, error = lines(start(path, python_path=bare))
    assert said['mnist-sample-50-tiny-0'].startswith("failed: task='mnist': no such task; there are")
    assert said['cifar10-sample-50-nobody-0'].startswith('failed: ')
    for run in runs: assert said[run].startswith('trained, not scored (No module named ')
    assert said['lasot-official-tiny-0'].startswith('no data: folder ') and said['lasot-official-tiny-0'].endswith('LaSOT')
    assert said['cifar10-sample-50-paper-0'] == 'waits for a GPU'
    assert status == 1 and error.strip() == '2 of 6 runs failed; what they said is in their train.log'

    write(folder, *[line for line in path.read_text().splitlines()[1:] if ',ours,tiny,' in line])
    trained = stamps(folder)
    status, said, _ = lines(start(path))
    now = stamps(folder)
    assert status == 1 and [said[run].split(' ', 2)[:2] for run in runs] == [['done:', 'accuracy']]*2
    assert sorted(p for p in now if now[p] != trained.get(p)) == [folder/run/name for run in runs for name in ('metrics.json', 'samples.png')]

    monkeypatch.setenv('EIV_DATA', str(folder/'data'))
    assert list(campaign(path).values()) == ['failed', 'done', 'missing', 'done']
    assert capsys.readouterr().out.splitlines()[1].split(maxsplit=1)[1] == said[runs[0]]
    assert stamps(folder) == now

def test_interrupted(tmp_path):
    "Ctrl-C ends a run cleanly; the same command continues where it was"
    path = write(tmp_path/'runs', 'cpu,cifar10,sample-50,ours,tiny,60,0,0,0')
    run = path.parent/'cifar10-sample-50-tiny-0'
    def steps(): return [int(line.split(',')[0]) for line in (run/'log.csv').read_text().splitlines()[1:]] if (run/'log.csv').exists() else []
    def interrupt(after):
        process = start(path)
        while process.poll() is None and not [s for s in steps() if s > after]: time.sleep(.1)
        assert is_used(run) and status(read_campaign(path)[0], path.parent, 'cpu') == ('used', 'running in another process')
        process.send_signal(signal.SIGINT)
        code, said, _ = lines(process)
        assert code == 130 and said[run.name].startswith('stopped at step ') and said[run.name].endswith('; the same command continues there')
        assert not is_used(run)
        return steps()
    first = interrupt(0)
    assert (run/'checkpoint.pt').exists() and not (run/'metrics.json').exists()
    assert status(read_campaign(path)[0], path.parent, 'cpu')[1].startswith('stopped at step ')
    second = interrupt(first[-1])
    assert second[:len(first)] == first and len(second) > len(first)

def test_side_by_side(tmp_path):
    "Two processes at the same campaign share its runs: in the end every run is done, and neither process has failed"
    path = write(tmp_path/'runs', 'cpu,cifar10,sample-50,ours,tiny,.05,0,0,0', 'cpu,sst2,sample-50,ours,tiny,.05,0,0,0')
    ended = [lines(process) for process in [start(path), start(path)]]
    assert [code for code, _, _ in ended] == [0, 0], ended
    for run in ended[0][1]:
        assert any(said[run].startswith('done: accuracy') for _, said, _ in ended)
        assert json.loads((path.parent/run/'metrics.json').read_text())['train_seconds'] >= 3

def test_broken_run(tmp_path, monkeypatch):
    "A run whose files are broken is named, and the next is executed; in a locale without UTF-8"
    monkeypatch.setenv('LC_ALL', 'C')
    monkeypatch.setenv('PYTHONUTF8', '0')
    monkeypatch.setenv('PYTHONCOERCECLOCALE', '0')
    path = write(tmp_path/'runs', *(f'cpu,cifar10,sample-50,ours,tiny,.02,{seed},0,0' for seed in range(4)))
    names = [f'cifar10-sample-50-tiny-{seed}' for seed in range(4)]
    for name, file, text in zip(names, ['config.json', 'metrics.json', 'log.csv'], ['{', '"é"', 'step,seconds\n1']):
        (path.parent/name).mkdir()
        if file == 'log.csv': (path.parent/name/'config.json').write_text('{"task": "cifar10"}')
        (path.parent/name/file).write_text(text, encoding='latin-1')
    code, said, error = lines(start(path))
    assert code == 1 and error.startswith('3 of 4 runs failed')
    for name, file in zip(names, ['config.json', 'metrics.json', 'log.csv']):
        assert said[name].startswith(f"failed: {path.parent/name/file}: not a run's")
    assert said[names[3]].startswith('done: accuracy')

def test_nothing_outside(tmp_path):
    "A row that names a folder elsewhere ends the campaign before a folder is made"
    path = write(tmp_path/'runs', 'cpu,cifar10,sample-50,ours,tiny,.02,0,0,0', 'cpu,cifar10,sample-50,../../x,tiny,.02,0,0,0')
    process = start(path)
    _, error = process.communicate()
    assert process.returncode == 1 and error == f"{path}, line 3: model='../../x': only letters, digits and . _ + - , = may be in it\n"
    assert [p.name for p in tmp_path.rglob('*')] == ['runs', 'campaign.csv']

def test_wrong_file(tmp_path):
    process = start(tmp_path/'runs.csv')
    _, error = process.communicate()
    assert process.returncode == 1 and error.count('\n') == 1 and 'no such file' in error
