"Clocks, homes, backends and file systems that fail: a run goes on, or ends in one line"
import errno, os, subprocess, sys, time
from pathlib import Path
import pytest
from everything_is_video import folders, runs
from everything_is_video.core import UserError
from everything_is_video.folders import RunFolder, locked
from everything_is_video.runs import read_config
from everything_is_video.training import train

ROOT = Path(__file__).parents[1]

def python(code, **environment):
    return subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment})

def test_home_that_cannot_be_written():
    "librosa's compiler keeps its work in a temporary folder then"
    code = ('import os, numpy as np\nfrom everything_is_video.frames import spectrogram_frame\n'
            'spectrogram_frame(np.sin(np.arange(4000.)), 8000)\nprint(os.environ.get("NUMBA_CACHE_DIR"))')
    ended = python(code, HOME='/proc/none')
    assert ended.returncode == 0 and Path(ended.stdout.strip()).is_dir(), ended.stderr

def test_backend_of_another_program():
    code = ('from everything_is_video.core import UserError\nfrom everything_is_video.frames import text_frame\n'
            'try: text_frame("cat")\nexcept UserError as error: print(error)')
    ended = python(code, MPLBACKEND='nonsense')
    assert ended.stdout == "MPLBACKEND='nonsense': no backend that matplotlib knows here; unset it\n", ended.stderr

@pytest.mark.parametrize('fault', [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_system_without_locks(tmp_path, monkeypatch, capsys, fault):
    def refuse(*arguments): raise OSError(fault, os.strerror(fault))
    monkeypatch.setattr(folders.fcntl, 'flock', refuse)
    with locked(tmp_path/'lock', 'in use'): pass
    assert 'no locks on this file system' in capsys.readouterr().out

def test_lock_of_another_process(tmp_path, monkeypatch):
    def refuse(*arguments): raise OSError(errno.EWOULDBLOCK, 'in use')
    monkeypatch.setattr(folders.fcntl, 'flock', refuse)
    with pytest.raises(UserError, match='^in use$'):
        with locked(tmp_path/'lock', 'in use'): pass
    monkeypatch.undo()
    with locked(tmp_path/'lock', 'in use'): pass  # what was refused is not held

@pytest.mark.parametrize('jump', [3600, -3600])
def test_clock_that_is_set(tmp_path, monkeypatch, jump):
    "An hour forward does not end a run, an hour back does not make it longer"
    real, calls = time.time, []
    def clock():
        calls.append(1)
        return real() + jump*len(calls)
    monkeypatch.setattr(time, 'time', clock)
    config = read_config(dict(source='sample-100', preset='tiny', minutes=.05, device='cpu', data_dir=str(tmp_path), run_dir=str(tmp_path/'run')))
    start = time.monotonic()
    train(config)
    seconds = [float(row['seconds']) for row in config.run.read_log()]
    assert seconds == sorted(seconds) and 3 <= seconds[-1] <= time.monotonic() - start

def test_changed_tree(tmp_path, monkeypatch):
    "What a changed tree differs in is kept in the run's folder; a clean one leaves nothing there"
    monkeypatch.setattr(runs, 'code_version', lambda: ('0123456789ab', ''))
    runs.save_changes(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(runs, 'code_version', lambda: ('0123456789ab+changes', 'diff --git a/x b/x\n+é\n'))
    runs.save_changes(tmp_path)
    assert (RunFolder(tmp_path)/'changes.patch').read_text(encoding='utf-8') == 'diff --git a/x b/x\n+é\n'
    assert runs.provenance('CPU')['commit'] == '0123456789ab+changes'
