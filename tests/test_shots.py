"Solved examples before the question: what holds for a run holds with them"
import json, subprocess, sys
from dataclasses import replace
import numpy as np
import pytest
from everything_is_video.core import UserError
from everything_is_video.generation import predict
from everything_is_video.metrics import load_predictions, score
from everything_is_video.mixture import Part
from everything_is_video.results import read_run, show_row
from everything_is_video.runs import load_run, read_config
from everything_is_video.batches import Renderer
from everything_is_video.tasks import TASKS, open_dataset
from everything_is_video.training import train
from test_mixture import killed
from test_training import REPOSITORY, torchrun

def settings(folder, name, **more):
    about = dict(task='cifar10', source='sample-60', preset='tiny', steps=20, batch_size=4, shots=2, device='cpu', data_dir=str(folder))
    return read_config(about | dict(run_dir=str(folder/name)) | more)

@pytest.fixture(scope='module')
def folder(tmp_path_factory): return tmp_path_factory.mktemp('shots')

@pytest.fixture(scope='module')
def whole(folder):
    config = settings(folder, 'whole')
    recipe = replace(config.recipe, validate_every=6, validate_on=4, augment=2, model=replace(config.recipe.model, dropout=.1))
    train(config, recipe)
    return config, recipe

def test_the_run_is_longer(whole, folder):
    config, _ = whole
    assert config.recipe.model.max_frames == 8 and config.run.read_config()['shots'] == 2
    assert settings(folder, '', run_dir='').run.name == 'cifar10-sample-60-2-shots-tiny-0'
    with pytest.raises(UserError, match='shots was 2 and is 0'): train(replace(config, shots=0))
    with pytest.raises(UserError, match='over 41; set shots=12'): settings(folder, 'long', shots=20)
    with pytest.raises(UserError, match='task sst2 has 66 frames'): settings(folder, 'mixed', task='cifar10,sst2')

def test_killed_and_resumed(folder, whole):
    "The same weights, bit for bit, through passes with and without augmentation"
    config, recipe = whole
    again = replace(config, run_dir=str(folder/'again'))
    for step in 4, 15: killed(again, recipe, step)
    train(again, recipe)
    assert config.run.weights.read_bytes() == again.run.weights.read_bytes()
    rows = [[(row['step'], row['loss'], row['validation_ssim']) for row in run.read_log()] for run in (config.run, again.run)]
    assert rows[0] == rows[1] and len(rows[0]) == 4

def test_predicted_after_examples_of_the_training_set(whole, folder):
    config, _ = whole
    predict(config)
    first = load_predictions(config.run)
    predict(config)
    assert (first.frames == load_predictions(config.run).frames).all()   # with the same examples again
    score(config.run)
    assert read_run(config.run)['shots'] == 2
    task, model, test = load_run(config.run, str(folder))                # without the training set: empty places
    assert task.n_input == 8 and model.config.max_frames == 8
    assert task.clip(test[0]).inputs[:6] == ['']*6

def test_row_says_so(whole, capsys):
    show_row(whole[0].run)
    assert '2 examples before each question' in capsys.readouterr().out

def test_a_batch_is_questions_after_solved_examples(folder, whole):
    "On a CPU, and where all clips lie on a device: each scene is an example of the training set as it is without shots"
    config, recipe = whole
    task = TASKS['cifar10']
    data = open_dataset(task, 'sample-60', folder, 'train')
    scenes = {task.clip(data[i]).frames.tobytes() for i in range(len(data))}
    counts = set()
    for free in None, 2**40:
        part = Part('cifar10', task, 'sample-60', config, recipe)
        part.prepare(Renderer('cpu'), free)
        for k in range(8):
            frames = (part.batch(k)*255).round().byte().numpy()
            assert frames.shape == (4, 9, 3, 64, 64)
            shown = part.drawn(k)[1]
            counts.add(shown)
            for clip in frames:
                assert not clip[:3*(2 - shown)].any()
                places = [scene.tobytes() for scene in np.split(clip, 3)[2 - shown:]]
                assert set(places) <= scenes and places[-1] not in places[:-1]
    assert counts == {0, 1, 2}

LOSSES = """import json, sys
from everything_is_video.training import Trainer
from everything_is_video.devices import process_group, rank
from everything_is_video.runs import read_config
with process_group():
    trainer = Trainer(read_config(dict(task='cifar10', source='sample-60', preset='tiny', steps=100, batch_size=4, shots=3, device='cpu',
                                       data_dir=sys.argv[1], run_dir=sys.argv[2])))
    for _ in range(5): trainer.step()
    trainer.look()
    if rank() == 0: json.dump(trainer.losses, open(sys.argv[2] + '.json', 'w'))
"""

def test_two_processes_train_like_one(folder):
    script = folder/'losses.py'
    script.write_text(LOSSES)
    subprocess.run([sys.executable, str(script), str(folder), str(folder/'one')], cwd=REPOSITORY, check=True)
    torchrun(2, str(script), str(folder), str(folder/'two'))
    one, two = (json.loads((folder/f'{name}.json').read_text()) for name in ('one', 'two'))
    assert len(one) == 5 and one == pytest.approx(two, rel=1e-3)
