"Perfect predictions have perfect scores: for each task by its own clips, through the files a run leaves, with real OCR"
import json
import numpy as np
import pytest
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
    expected = {'word': ['accuracy', 'accuracy_nearest', 'f1_micro', 'f1_macro', 'f1_weighted'], 'boxes': ['iou'], 'video': []}
    for key in expected[task.output.replace('words', 'word')]:
        assert metrics[key] == 1 and saved['intervals'][key] == [1, 1], key
    if task.output == 'boxes': assert metrics['iou_missing'] == 0
    if task.output == 'video': assert metrics['cdc'] > 0 and metrics['colorfulness'] > 0  # the truth's own
