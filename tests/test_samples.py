"The generated samples: the same twice and as they always were, read by the official readers, made once by several processes."
import hashlib
import multiprocessing
import subprocess
import sys
import numpy as np
import pytest
from everything_is_video.samples.__init__ import make_sample, sample_names

# Files of text and their hashes (sha256) with 40 examples and seed 0. Pictures and sounds also depend on the libraries that encode them.
TEXTS = {
    'sst2': ('SST-2/train.tsv', '1867fd905f1e9219'),
    'tgif_qa': ('tgif-qa/Train_frameqa_question.csv', 'e7bec26ea0b0b97f'),
    'tinyvirat': ('TinyVIRAT/tiny_train.json', '45376a020f23da80'),
    'clevrer': ('clevrer/questions/train.json', 'd104fcc45ce4e830'),
    'lasot': ('LaSOT/training_set.txt', '775ac17fbf63f124')}

def contents(path): return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob('*')) if p.is_file()}

@pytest.fixture(scope='module')
def root(tmp_path_factory): return tmp_path_factory.mktemp('samples')

@pytest.mark.parametrize('name', sample_names())
def test_same_twice(name, root):
    first = contents(make_sample(name, root, 7))
    assert len(first) > 1
    assert first == contents(make_sample(name, root/'again', 7))

@pytest.mark.parametrize('name', sample_names())
def test_another_seed(name, root):
    first, other = contents(make_sample(name, root, 7)), contents(make_sample(name, root, 7, seed=1))
    assert [k for k in first if first[k] != other.get(k)] != ['sample.json']

@pytest.mark.parametrize('name', TEXTS)
def test_as_it_always_was(name, root):
    file, start = TEXTS[name]
    text = (make_sample(name, root, 40)/file).read_bytes()
    assert hashlib.sha256(text).hexdigest().startswith(start), f'{name}: another sample than before with the same seed; raise its version'

@pytest.mark.parametrize('name', sample_names())
def test_official_reader(name, root):
    from everything_is_video.tasks import TASKS
    readers = {task.sources['official'] for task in TASKS.values() if task.sample and task.sample[0] == name and not task.unstructured}
    [reader] = readers # one, whichever tasks share it
    folder = make_sample(name, root, 7)
    parts = {split: reader(folder, split) for split in ('train', 'validation', 'test')}
    if name == 'audiomnist': assert [len(p) for p in parts.values()] == [7, 20, 20]
    else: assert len(parts['train']) + len(parts['validation']) == 7 and len(parts['test']) == 20
    for dataset in parts.values():
        for i in {0, len(dataset)-1}:
            example = dataset[i]
            assert example.frames.dtype == np.uint8 and example.frames.shape[1:] == (3, 64, 64)
            said = example.answer if isinstance(example.answer, list) else [example.answer]
            if name == 'lasot': assert example.answer.shape == (len(example.frames), 4) and example.answer[0, 0] >= 0
            else: assert all(word in dataset.vocabulary for word in said)

def test_imported_only_when_asked_for(tmp_path):
    code = f'''
import sys
import everything_is_video.samples as samples
prefix = 'everything_is_video.samples.'
def loaded(): return sorted(name.removeprefix(prefix) for name in sys.modules if name.startswith(prefix))
assert not loaded(), loaded()
samples.make_sample('sst2', {str(tmp_path)!r}, 5)
assert loaded() == ['drawing', 'sst2'], loaded()
'''
    subprocess.run([sys.executable, '-c', code], check=True)

def test_two_processes(root):
    with multiprocessing.get_context('spawn').Pool(2) as pool:
        a, b = pool.starmap(make_sample, [('sst2', root, 3000)]*2)
    assert a == b and (a/'sample.json').exists()
    assert not [p for p in root.iterdir() if p.name.startswith('part-')]

def test_killed_half_way(root, monkeypatch):
    def half(folder, *_):
        (folder/'half').touch()
        raise KeyboardInterrupt
    monkeypatch.setattr('everything_is_video.samples.sst2.write', half)
    with pytest.raises(KeyboardInterrupt): make_sample('sst2', root, 5)
    assert not [p for p in root.iterdir() if 'sst2-5-' in p.name]
