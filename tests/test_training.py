"Wrong inputs to a run: each ends in one line that says what to do, and leaves nothing behind."
import subprocess, sys
from pathlib import Path
import pytest
from everything_is_video.samples import make_sample
from everything_is_video.training import main

REPOSITORY = Path(__file__).parents[1]

def refused(capsys, *arguments):
    "The one line a run ends with"
    with pytest.raises(SystemExit) as end: main([*map(str, arguments)])
    line = str(end.value.code)
    assert '\n' not in line and end.value.code != 0
    return line

@pytest.mark.parametrize('flag, value, expected', [
    ('--task', 'mnist', "task='mnist': no such task; there are"),
    ('--preset', 'huge', "preset='huge': no such preset; there are paper, small, tiny"),
    ('--source', 'png', "source='png': task cifar10 has no such source; it has official, jpeg, sample"),
    ('--source', 'official', 'no such folder; set data_dir'),
    ('--device', 'cuda:99', 'not on this machine'),
    ('--batch_size', '-1', 'must not be below 0')])
def test_wrong_setting(tmp_path, capsys, flag, value, expected):
    line = refused(capsys, '--data_dir', tmp_path/'data', '--run_dir', tmp_path/'run', flag, value)
    assert expected in line
    assert not (tmp_path/'run').exists() and not (tmp_path/'data').exists()

def test_truncated_batch(tmp_path, capsys):
    sample = make_sample('cifar10', tmp_path, 100)
    batch = sample/'cifar-10-batches-py/data_batch_3'
    batch.write_bytes(batch.read_bytes()[:1000])
    line = refused(capsys, '--data_dir', sample, '--run_dir', tmp_path/'run')
    assert 'data_batch_3' in line and not (tmp_path/'run').exists()

def test_image_that_does_not_decode(tmp_path, capsys):
    "In the JPEG stand-in, where an image is decoded only when it is asked for"
    import numpy as np, zipfile
    folder = tmp_path/'cifar10'
    folder.mkdir()
    names = 'airplane automobile bird cat deer dog frog horse ship truck'.split()
    labels = np.arange(40) % 10
    np.savez(folder/'official_labels.npz', train=labels, test=labels)
    for part in 'train', 'test':
        with zipfile.ZipFile(folder/f'{part}.zip', 'w') as file:
            for i, k in enumerate(labels): file.writestr(f'{part}/{names[k]}/{i//10:04d}.jpg', b'no picture')
    line = refused(capsys, '--source', 'jpeg', '--data_dir', tmp_path, '--run_dir', tmp_path/'run', '--preset', 'tiny', '--steps', 1)
    assert 'train.zip: train/' in line and 'not an image' in line

def papermill(tmp_path, *parameters):
    return subprocess.run([sys.executable, '-m', 'papermill', 'nbs/train.ipynb', str(tmp_path/'out.ipynb'), *parameters], cwd=REPOSITORY, capture_output=True, text=True)

def test_papermill_refuses_what_it_does_not_know(tmp_path):
    ended = papermill(tmp_path, '-p', 'tsak', 'cifar10')
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode != 0
    assert last.startswith("tsak='cifar10': no such parameter; there are task, source, data_dir")

def test_papermill_refuses_a_wrong_type(tmp_path):
    ended = papermill(tmp_path, '-p', 'seed', 'seven')
    assert ended.returncode != 0
    assert ended.stderr.strip().splitlines()[-1] == "seed='seven' must be of type int, not str"

def test_killed_run_goes_on(tmp_path):
    "A process ended by SIGKILL in the middle of its work, started again with the same command"
    import torch
    command = lambda name: [sys.executable, '-m', 'everything_is_video.training', '--source', 'sample-100', '--preset', 'tiny', '--steps', '45',
                            '--data_dir', str(tmp_path), '--run_dir', str(tmp_path/name)]
    weights = lambda name: torch.load(tmp_path/name/'checkpoint.pt', weights_only=True)['model']
    subprocess.run(command('whole'), check=True, capture_output=True, cwd=REPOSITORY)
    process = subprocess.Popen(command('killed'), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=REPOSITORY)
    import time
    while not (tmp_path/'killed/checkpoint.pt').exists() and process.poll() is None: time.sleep(.02)
    process.kill()
    process.wait()
    subprocess.run(command('killed'), check=True, capture_output=True, cwd=REPOSITORY)
    for a, b in zip(weights('whole').values(), weights('killed').values()): assert torch.equal(a, b)
