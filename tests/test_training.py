"A training that is given wrong inputs, stopped, killed, continued, or run by two processes"
import json, os, resource, signal, socket, subprocess, sys, time
from dataclasses import replace
from pathlib import Path
import pytest, torch
from everything_is_video.command import main
from everything_is_video.folders import RunFolder
from everything_is_video.core import UserError, write_json
from everything_is_video.generation import predict
from everything_is_video.samples.__init__ import make_sample
from everything_is_video.training import Trainer, train
from everything_is_video.runs import opened_run, read_config

REPOSITORY = Path(__file__).parents[1]

def short(folder, name, **more):
    "The settings of a short run"
    return read_config(dict(source='sample-100', preset='tiny', device='cpu', data_dir=str(folder), run_dir=str(folder/name)) | more)

def refused(capsys, *arguments):
    "The one line a run ends with"
    with pytest.raises(SystemExit) as end: main([*map(str, arguments)])
    line = str(end.value.code)
    assert '\n' not in line and end.value.code != 0
    return line

@pytest.mark.parametrize('flag, value, expected', [
    ('--task', 'mnist', "task='mnist': no such task; there are"),
    ('--preset', 'huge', "preset='huge': no such preset; there are paper, paper-small, fast, small, tiny"),
    ('--source', 'png', "source='png': task cifar10 has no such source; it has official, jpeg, sample"),
    ('--task', 'audiomnist', 'no such folder; set data_dir, or download=True to fetch about 1 GB from github.com'),
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

def command(folder, name, *more):
    "A short run from the command line"
    return [sys.executable, '-m', 'everything_is_video.training', '--source', 'sample-100', '--preset', 'tiny', '--steps', '45', '--device', 'cpu',
            '--data_dir', str(folder), '--run_dir', str(folder/name), *more]

def finish(folder, name, *more, **options):
    "Run it to its end"
    return subprocess.run(command(folder, name, *more), cwd=REPOSITORY, capture_output=True, text=True, **options)

def interrupt(folder, name, what, checkpoints=1):
    "Start it, and send a signal as soon as it has written some checkpoints"
    process, path, times = subprocess.Popen(command(folder, name), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPOSITORY), folder/name/'checkpoint.pt', set()
    before = path.stat().st_mtime_ns if path.exists() else None
    while process.poll() is None and len(times - {before}) < checkpoints:
        time.sleep(.01)
        if path.exists(): times.add(path.stat().st_mtime_ns)
    process.send_signal(what)
    return process.communicate()[0], process.returncode

def test_old_run_folder(whole):
    "A run that the version before began, with its names for the settings, ends with the same weights"
    run = RunFolder(whole.parent/'old')
    interrupt(whole.parent, run.name, signal.SIGKILL)
    config = run.read_config()
    recipe = config['recipe']
    recipe |= {'draw': recipe.pop('bce_fraction'), 'power': recipe.pop('ssim_power'), 'ema': 0.}
    write_json(run.config, config)
    ended = finish(whole.parent, run.name)
    assert ended.returncode == 0, ended.stderr
    assert same_weights(whole, run.path)
    config['recipe']['ema'] = .99
    write_json(run.config, config)
    assert 'recipe.ema was 0.99 and is 0.0' in finish(whole.parent, run.name).stderr

def test_other_recipe(tmp_path):
    "A folder that holds a run is not for another recipe, and a refused setting does not keep its lock"
    config = short(tmp_path, 'run', steps=2)
    recipe = replace(config.recipe, augment=1)
    train(config, recipe)
    weights = config.run.weights.read_bytes()
    with pytest.raises(UserError, match='recipe.augment was 1 and is 0'): train(config)
    with pytest.raises(UserError, match='seed was 0 and is 1'): train(replace(config, seed=1), recipe)
    train(config, recipe)
    assert config.run.weights.read_bytes() == weights
    code = f"from everything_is_video.folders import locked\nwith locked({str(config.run.lock)!r}, 'in use'): print('free')"
    assert subprocess.run([sys.executable, '-c', code], cwd=REPOSITORY, capture_output=True, text=True).stdout == 'free\n'

def test_out_of_memory(tmp_path):
    "A step that the memory does not suffice for ends in one line; a limit on the address space stands for a small machine"
    def small(): resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    limit = 6*2**30
    ended = finish(tmp_path, 'run', '--batch_size', '20000', preexec_fn=small)
    assert ended.returncode == 1 and ended.stderr.count('\n') == 1, ended.stderr[-1000:]
    assert ended.stderr.startswith('out of memory (') and 'set a batch_size below 20000' in ended.stderr

def same_weights(one, other):
    one, other = (torch.load(run/'checkpoint.pt', weights_only=True)['model'] for run in (one, other))
    return all(torch.equal(one[name], other[name]) for name in one)

@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    "A run that nothing disturbed; its folder is the place for others"
    folder = tmp_path_factory.mktemp('runs')
    assert finish(folder, 'whole').returncode == 0
    return folder/'whole'

def test_killed_run_continues(whole):
    "Processes ended by SIGKILL in the middle of their work, started again with the same command; the notebook does this 50 times"
    for _ in range(2): assert interrupt(whole.parent, 'killed', signal.SIGKILL)[1] == -signal.SIGKILL
    assert finish(whole.parent, 'killed').returncode == 0
    assert same_weights(whole, whole.parent/'killed')

@pytest.mark.parametrize('what', [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop(whole, what):
    "Ctrl-C: the run validates and saves, can be scored as it is, and continues when started again"
    run = whole.parent/what.name
    said, code = interrupt(whole.parent, run.name, what)
    assert code == 130 and 'stopped as asked after step' in said.splitlines()[-1]
    step = torch.load(run/'checkpoint.pt', weights_only=True)['state']['step']
    assert 15 <= step < 45 and f',{step}' in ',' + (run/'log.csv').read_text().splitlines()[-1]
    config = json.loads((run/'config.json').read_text())
    predict(read_config({**{k: v for k, v in config.items() if k != 'recipe'}, 'data_dir': str(whole.parent), 'run_dir': str(run)}))
    assert json.loads((run/'metrics.json').read_text())['steps'] == step
    assert finish(whole.parent, run.name).returncode == 0
    assert same_weights(whole, run)

def test_a_finished_run_goes_on(tmp_path):
    "With a constant learning rate, 2 steps and then 4 are the same as 4; where the rate falls, it is refused"
    def trained(name, steps): return train(short(tmp_path, name, preset='paper-small', batch_size=4, steps=steps))
    trained('longer', 2)
    assert same_weights(trained('longer', 4), trained('at once', 4))
    train(short(tmp_path, 'falls', steps=2))
    with pytest.raises(UserError, match='steps was 2 and is 4') as error: train(short(tmp_path, 'falls', steps=4))
    assert str(error.value).endswith(f'set another run_dir, and start={tmp_path/"falls"} to begin with its weights')

def test_full_disk(whole):
    "A checkpoint that cannot be written ends the run in one line and leaves the one before it; a limit on the size of files stands for the full disk"
    run, limit = whole.parent/'full', (whole/'best.safetensors').stat().st_size + 1000
    interrupt(whole.parent, 'full', signal.SIGINT)
    before = (run/'checkpoint.pt').read_bytes()
    assert len(before) > limit
    ended = finish(whole.parent, 'full', preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [f'{run}/checkpoint.pt: cannot be written (File too large); what was there before is kept']
    assert (run/'checkpoint.pt').read_bytes() == before and not list(run.glob('part-*'))
    assert finish(whole.parent, 'full').returncode == 0
    assert same_weights(whole, run)

LOSSES = """import json, sys
from everything_is_video.training import Trainer
from everything_is_video.devices import process_group, rank
from everything_is_video.runs import read_config
with process_group():
    trainer = Trainer(read_config(dict(source='sample-100', preset='tiny', steps=10, device='cpu', data_dir=sys.argv[1], run_dir=sys.argv[2])))
    for _ in range(10): trainer.step()
    trainer.look()
    if rank() == 0: json.dump(trainer.losses, open(sys.argv[2] + '.json', 'w'))
"""

def torchrun(n, *command):
    return subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', str(n), *command], cwd=REPOSITORY, capture_output=True, text=True)

def test_two_processes_train_like_one(tmp_path):
    "Each with half of every batch: the same losses up to rounding, which the optimiser enlarges a little at each step"
    script, losses = tmp_path/'losses.py', {}
    script.write_text(LOSSES)
    for name, start in ('one', lambda *a: subprocess.run([sys.executable, *a], cwd=REPOSITORY, check=True)), ('two', lambda *a: torchrun(2, *a)):
        start(str(script), str(tmp_path), str(tmp_path/name))
        losses[name] = json.loads((tmp_path/f'{name}.json').read_text())
    assert losses['one'] == pytest.approx(losses['two'], rel=1e-3)
    assert losses['one'][0] == pytest.approx(losses['two'][0], rel=1e-6) and losses['one'][0] != losses['one'][9]

def test_two_processes_stop_together(tmp_path):
    "A time budget ends both at the same step; one of them writes and predicts; a batch that cannot be shared is refused"
    arguments = ['-m', 'everything_is_video.training', '--source', 'sample-100', '--preset', 'tiny', '--device', 'cpu', '--data_dir', str(tmp_path)]
    ended = torchrun(2, *arguments, '--minutes', '.03', '--run_dir', str(tmp_path/'run'))
    assert ended.returncode == 0, ended.stderr
    metrics = json.loads((tmp_path/'run/metrics.json').read_text())
    assert metrics['device'].startswith('2 × CPU') and metrics['train_seconds'] >= 1.8
    ended = torchrun(2, *arguments, '--batch_size', '7', '--run_dir', str(tmp_path/'odd'))
    assert ended.returncode != 0 and 'batch_size=7: must be a multiple of the 2 processes' in ended.stderr and not (tmp_path/'odd').exists()

PAIR = """import sys, time
from everything_is_video.core import UserError
from everything_is_video.devices import process_group, rank, rank_zero_first
from everything_is_video.runs import read_config
from everything_is_video.training import train
settings = dict(source='sample-100', preset='tiny', steps=100_000, device='cpu', data_dir=sys.argv[1], run_dir=sys.argv[1] + '/run')
try:
    with process_group(minutes=.05):
        print('together', flush=True)
        with rank_zero_first():
            if rank() == 0: time.sleep(float(sys.argv[2]))  # as if it fetched data
        print('ready', flush=True)
        train(read_config(settings))
except UserError as error: sys.exit(str(error))
"""

def pair(folder, seconds):
    "Two processes that train together, and give up what is silent for three seconds"
    (folder/'pair.py').write_text(PAIR)
    with socket.create_server(('127.0.0.1', 0)) as free: port = free.getsockname()[1]
    shared = dict(TORCHELASTIC_RUN_ID='pair', WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), OMP_NUM_THREADS='1')
    return [subprocess.Popen([sys.executable, str(folder/'pair.py'), str(folder), str(seconds)], cwd=REPOSITORY, text=True,
                             env={**os.environ, **shared, 'RANK': str(i), 'PYTHONPATH': str(REPOSITORY)},
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(2)]

def heard(processes, *lines):
    "Wait until both have said these lines"
    for process in processes:
        for line in lines: assert process.stdout.readline() == line + '\n', process.communicate()[1]

def other_ends(processes, ill, what):
    "What the other process says when one is killed or frozen"
    processes[ill].send_signal(what)
    try: return processes[1 - ill].communicate(timeout=120)[1]
    finally:
        for process in processes:
            process.kill()
            process.wait()

@pytest.mark.parametrize('what', [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize('ill', [0, 1])
def test_one_of_two_fails(tmp_path, ill, what):
    "The other ends in one line; before that process 0 kept it waiting for longer than a silence may last"
    processes = pair(tmp_path, 5)
    heard(processes, 'together', 'ready')
    while not (tmp_path/'run/checkpoint.pt').exists(): time.sleep(.1)
    said = other_ends(processes, ill, what)
    assert processes[1 - ill].returncode == 1
    assert said.count('\n') == 1 and f'process {1 - ill}: another process of this training has failed or is silent' in said

@pytest.mark.parametrize('what', [signal.SIGKILL, signal.SIGSTOP])
def test_process_0_fails_while_the_other_waits(tmp_path, what):
    processes = pair(tmp_path, 600)
    heard(processes, 'together')
    said = other_ends(processes, 0, what)
    assert said.count('\n') == 1 and 'process 1: another process of this training has failed or is silent' in said

def test_bare_machine(tmp_path):
    "A machine that trains needs nothing but torch, numpy, pillow, matplotlib, safetensors and tqdm"
    absent = 'fastcore execnb nbdev papermill IPython pandas librosa pytesseract scipy sklearn torchvision torchmetrics rapidfuzz av numba transformers'
    (tmp_path/'sitecustomize.py').write_text(f'import sys\nsys.modules.update(dict.fromkeys({absent.split()}))\n') # as if they were not installed
    ended = finish(tmp_path, 'run', '--steps', '2', env={**os.environ, 'PYTHONPATH': f'{tmp_path}:{REPOSITORY}'})
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path/'run/predictions.npz').exists()
    for task, said in ('audiomnist', 'reading a sound: made with av'), ('colorization', 'videos: made with av'): # what these need too
        ended = finish(tmp_path, task, '--task', task, '--steps', '2', env={**os.environ, 'PYTHONPATH': f'{tmp_path}:{REPOSITORY}'})
        assert ended.returncode == 1 and ended.stderr.startswith(said) and ended.stderr.count('\n') == 1, ended.stderr

def test_checkpointing_changes_nothing(tmp_path):
    "Activations computed again in the backward pass are the same, and so are the losses"
    losses = []
    for checkpointing in False, True:
        trainer = Trainer(short(tmp_path, f'run-{checkpointing}', checkpointing=checkpointing))
        assert trainer.model.checkpointing == checkpointing
        for _ in range(3): trainer.step()
        trainer.look()
        losses.append(trainer.losses)
    assert losses[0] == losses[1]
