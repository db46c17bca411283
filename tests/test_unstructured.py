"Text and video by themselves: tasks like the others, from the files to the scores"
import os
from pathlib import Path
import pytest
from everything_is_video.datasets import SPLITS
from everything_is_video.frames import tokenize
from everything_is_video.generation import predict
from everything_is_video.metrics import load_predictions, score
from everything_is_video.mixture import read_parts
from everything_is_video.results import read_run, row_cells, show_row
from everything_is_video.runs import read_config
from everything_is_video.tasks import TASKS, open_dataset, table1
from everything_is_video.tasks.sst2 import whole_sentences
from everything_is_video.training import train

BY_THEMSELVES = ['text', 'video']

def test_not_among_the_papers_tasks():
    assert [name for name, task in TASKS.items() if task.unstructured] == BY_THEMSELVES
    assert not set(BY_THEMSELVES) & set(read_parts('all', 'sample')) and len(read_parts('all', 'sample')) >= 8
    assert not {TASKS[name].title for name in BY_THEMSELVES} & {row['Task'] for row in table1()}

@pytest.fixture(scope='module')
def run(tmp_path_factory):
    "One run of both"
    folder = tmp_path_factory.mktemp('unstructured')
    config = read_config(dict(task='text,video', source='sample-60', preset='tiny', steps=30, batch_size=4, device='cpu',
                              data_dir=str(folder), run_dir=str(folder/'run')))
    train(config)
    predict(config)
    return config

def test_scored_like_any_task(run, capsys):
    measures = {'text': {'psnr', 'ssim', 'accuracy_nearest'}, 'video': {'psnr', 'ssim', 'cdc', 'colorfulness', 'colorfulness_lab'}}
    for name, folder in run.results.items():
        task = TASKS[name]
        saved = score(folder)
        p = load_predictions(folder)
        assert p.frames.shape == p.targets.shape == (len(p.examples), task.n_target, 3, 64, 64)
        assert set(saved['metrics']) == measures[name] and set(saved['trivial']['metrics']) == measures[name]
        assert len(p.samples[0][0]) == 12 and p.samples[1] == 6   # six true frames, and what is expected after each
        show_row(folder)
        assert 'PSNR' in capsys.readouterr().out
    assert row_cells(read_run(run.results['text']))['Acc'].startswith('(nearest ')

def test_each_frame_is_predicted_from_the_true_ones(run):
    "What is kept as given is the frame before each target"
    p = load_predictions(run.results['video'])
    assert (p.given[:, 1:] == p.targets[:, :-1]).all() and p.given.shape == p.targets.shape

def test_real_sentences():
    "No sentence of validation or test stands in the text that is trained on; no phrase is there twice"
    data = Path(os.environ.get('EIV_DATA', 'data'))
    if not (data/'SST-2').is_dir(): pytest.skip(f'{data/"SST-2"} is not there')
    text = TASKS['text']
    streams = {}
    for split in SPLITS:
        part = open_dataset(text, 'official', data, split)
        words = [word for _, _, answer in part.records for word in answer]
        streams[split] = ' '.join(text for _, text, _ in part.records)
        assert len(part) > 500 and '' not in words and words.count('|') > 300
    sentences = {split: [s.strip() for s in stream.split('|')[1:-1]] for split, stream in streams.items()}
    trained = set(sentences['train'])
    for split in 'validation', 'test':
        long = [s for s in sentences[split] if s.count(' ') > 5]
        assert len(long) > 300 and not trained & set(long)

def test_real_videos():
    data = Path(os.environ.get('EIV_DATA', 'data'))
    if not (data/'fight_surv').is_dir(): pytest.skip(f'{data/"fight_surv"} is not there')
    films = open_dataset(TASKS['video'], 'fight', data, 'test')
    clip = TASKS['video'].clip(films[0])
    assert len(films) == 70 and clip.frames.shape == (10, 3, 64, 64) and clip.n_input == 1
