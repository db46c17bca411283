"The generated samples: the same twice, read by the official readers, made once by several processes."
import importlib, multiprocessing
import numpy as np
import pytest
from everything_is_video.samples import WRITERS, make_sample

READERS = dict(cifar10='CIFAR10', sst2='SST2', audiomnist='AudioMNIST', tinyvirat='TinyVIRAT', clevrer='CLEVRER', tgif_qa='TGIFQA', lasot='LaSOT')

def contents(path): return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob('*')) if p.is_file()}

@pytest.fixture(scope='module')
def root(tmp_path_factory): return tmp_path_factory.mktemp('samples')

@pytest.mark.parametrize('name', WRITERS)
def test_same_twice(name, root):
    first = contents(make_sample(name, root, 7))
    assert len(first) > 1
    assert first == contents(make_sample(name, root/'again', 7))

@pytest.mark.parametrize('name', WRITERS)
def test_another_seed(name, root):
    first, other = contents(make_sample(name, root, 7)), contents(make_sample(name, root, 7, seed=1))
    assert [k for k in first if first[k] != other.get(k)] != ['sample.json']

@pytest.mark.parametrize('name', WRITERS)
def test_official_reader(name, root):
    reader = getattr(importlib.import_module(f'everything_is_video.tasks.{name}'), READERS[name])
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

def test_two_processes(root):
    with multiprocessing.get_context('spawn').Pool(2) as pool:
        a, b = pool.starmap(make_sample, [('sst2', root, 3000)]*2)
    assert a == b and (a/'sample.json').exists()
    assert not [p for p in root.iterdir() if p.name.startswith('part-')]

def test_killed_half_way(root, monkeypatch):
    def half(folder, *_):
        (folder/'half').touch()
        raise KeyboardInterrupt
    monkeypatch.setitem(WRITERS, 'half', half)
    with pytest.raises(KeyboardInterrupt): make_sample('half', root, 5)
    assert not [p for p in root.iterdir() if 'half' in p.name]
