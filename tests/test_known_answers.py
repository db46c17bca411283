"Perfect predictions have perfect scores: for each task by its own clips, through the files a run leaves, with real OCR"
import json
import numpy as np
import pytest
from PIL import Image
from everything_is_video.generation import save_predictions
from everything_is_video.metrics import score
from everything_is_video.tasks import TASKS, open_dataset

def perfect(clips): return np.stack([clip.frames[clip.n_input:] for clip in clips])

@pytest.mark.parametrize('name', [name for name, task in TASKS.items() if task.sample])
def test_perfect_predictions(tmp_path, name):
    task, run = TASKS[name], tmp_path/'run'
    run.mkdir()
    test = open_dataset(task, 'sample-10', tmp_path, 'test')
    save_predictions(run, perfect, task, test)
    score(run)
    saved = json.loads((run/'metrics.json').read_text())
    metrics = saved['metrics']
    assert saved['n'] == len(test) > 0
    assert metrics['psnr'] == 100 and metrics['ssim'] == pytest.approx(1)
    expected = {'word': ['accuracy', 'accuracy_nearest', 'f1_micro', 'f1_macro', 'f1_weighted'], 'text': ['accuracy_nearest'], 'boxes': ['iou'], 'video': []}
    for key in expected[task.output.replace('words', 'word')]:
        assert metrics[key] == 1 and saved['intervals'][key] == [1, 1], key
    if task.output == 'boxes': assert metrics['iou_missing'] == 0
    if task.output == 'video': assert metrics['cdc'] > 0 and metrics['colorfulness'] > 0  # the truth's own
    trivial = saved['trivial']['metrics']
    assert trivial['psnr'] < 100 and trivial['ssim'] < 1
    if task.output in ('word', 'words'):
        answers = [json.dumps(test.label(i)[1]) for i in range(len(test))]
        assert trivial['accuracy'] == pytest.approx(max(map(answers.count, answers))/len(test), abs=1e-6)
    if task.output == 'boxes': assert 0 < trivial['iou'] < 1 and saved['trivial']['answer'] == 'first box kept'
    if name == 'colorization': assert trivial['colorfulness'] == 0  # grey
    if task.output == 'text': assert 0 < trivial['accuracy_nearest'] < .5

def test_answers_stand_above_the_pictures(tmp_path):
    "Scoring draws samples.png again, higher by a title for each row"
    task, run = TASKS['cifar10'], tmp_path/'run'
    run.mkdir()
    save_predictions(run, perfect, task, open_dataset(task, 'sample-10', tmp_path, 'test'))
    before = Image.open(run/'samples.png').size
    score(run)
    assert Image.open(run/'samples.png').size[1] > before[1]
