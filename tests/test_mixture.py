"One model for several tasks: what holds for the run of one task holds for it"
import json, subprocess, sys
from dataclasses import replace
import pytest
from everything_is_video.core import UserError
from everything_is_video.generation import predict
from everything_is_video.metrics import score
from everything_is_video.results import read_run
from everything_is_video.runs import learning_curve, load_run, opened_run, read_config
from everything_is_video.tasks import TASKS, Task
from everything_is_video.tasks.cifar10 import CIFAR10
from everything_is_video.training import Trainer, train
from test_training import REPOSITORY, torchrun

def settings(folder, name, **more):
    about = dict(task='all', source='sample-40', preset='tiny', steps=100, batch_size=2, device='cpu', data_dir=str(folder))
    return read_config(about | dict(run_dir=str(folder/name)) | more)

@pytest.fixture(scope='module')
def folder(tmp_path_factory): return tmp_path_factory.mktemp('mixture')

class Killed(Exception): pass

def killed(config, recipe, step):
    "Train and lose the process before a step"
    trainer = Trainer(config, recipe)
    real = trainer.step
    def fatal():
        if trainer.state['step'] == step: raise Killed
        real()
    trainer.step = fatal
    with pytest.raises(Killed), opened_run(config, trainer.recipe): trainer.fit()

@pytest.fixture(scope='module')
def whole(folder):
    config = settings(folder, 'whole')
    config = replace(config, turns=','.join(f'{name}=1' for name in config.parts))
    recipe = replace(config.recipe, validate_every=40, validate_on=2, augment=1, model=replace(config.recipe.model, dropout=.1))
    train(config, recipe)
    return config, recipe

def test_killed_and_resumed(folder, whole):
    "All eight tasks: the same weights and logs, bit for bit"
    config, recipe = whole
    assert list(config.parts) == [name for name, task in TASKS.items() if not task.unstructured] and len(config.parts) >= 8
    again = replace(config, run_dir=str(folder/'again'))
    for step in 5, 55: killed(again, recipe, step)
    train(again, recipe)
    for one, other in [(config.run, again.run), *zip(config.results.values(), again.results.values())]:
        assert one.weights.read_bytes() == other.weights.read_bytes()
        rows = [[{k: v for k, v in row.items() if k not in ('seconds', 'clips_per_second')} for row in run.read_log()] for run in (one, other)]
        assert json.dumps(rows[0]) == json.dumps(rows[1]) and len(rows[0]) in (3, 4)  # in the first 20 steps a task may have no turn

def test_each_task_has_its_results(whole):
    "A log, the best weights, predictions and scores for each; its folder is one of a run"
    config, _ = whole
    predict(config)
    steps = 0
    for name, folder in config.results.items():
        assert folder.path.parent == config.run.path and folder.weights.is_file()
        task, model, test = load_run(folder, str(config.data))
        assert task is TASKS[name] and model.config.max_frames == 40 and len(test)
        score(folder)
        row = read_run(folder)
        assert (row['task'], row['model'], row['n'], row['all_steps']) == (name, 'one model', len(test), 100)
        steps += row['steps']
        assert learning_curve(folder)
    assert steps == 100 and learning_curve(config.run)

def test_part_lost(folder, whole):
    "A run is refused to other data of one of its tasks"
    config, recipe = whole
    trainer = Trainer(config, recipe)
    trainer.sizes['sst2'] += 1
    with pytest.raises(UserError, match='set another run_dir'): trainer.resume()

LOSSES = """import json, sys
from everything_is_video.training import Trainer
from everything_is_video.devices import process_group, rank
from everything_is_video.runs import read_config
with process_group():
    trainer = Trainer(read_config(dict(task='all', source='sample-40', preset='tiny', steps=100, batch_size=4, device='cpu', data_dir=sys.argv[1], run_dir=sys.argv[2])))
    for _ in range(10): trainer.step()
    trainer.look()
    if rank() == 0: json.dump([trainer.losses, trainer.taken], open(sys.argv[2] + '.json', 'w'))
"""

def test_two_processes_train_like_one(folder):
    script, found = folder/'losses.py', {}
    script.write_text(LOSSES)
    for name, start in ('one', lambda *a: subprocess.run([sys.executable, *a], cwd=REPOSITORY, check=True)), ('two', lambda *a: torchrun(2, *a)):
        start(str(script), str(folder), str(folder/name))
        found[name] = json.loads((folder/f'{name}.json').read_text())
    assert found['one'][1] == found['two'][1] and len(set(found['one'][1])) > 3
    assert found['one'][0] == pytest.approx(found['two'][0], rel=1e-3)

def test_a_task_of_ones_own_joins_in(folder):
    "With the same lines as for a run of its own"
    class Flip(Task):
        name, title, n_input, batch_size = 'flip', 'Upside Down', 2, 8
        sources = {'official': CIFAR10}
        sample = 'cifar10', 40
    try:
        config = settings(folder, 'ninth', task='sst2,flip', steps=20)
        train(config)
        steps = [int(run.read_log()[-1]['step']) for run in config.results.values()]
        assert min(steps) > 0 and sum(steps) == 20
        assert 'flip' in settings(folder, 'every').parts
    finally: del TASKS['flip']

def test_turns_are_part_of_the_run(folder):
    config = settings(folder, 'turns', task='cifar10,sst2', steps=4, turns='cifar10=3,sst2=1')
    assert Trainer(config).turns == (75, 25)
    train(config)
    with pytest.raises(UserError, match='turns was'): train(settings(folder, 'turns', task='cifar10,sst2', steps=4))
