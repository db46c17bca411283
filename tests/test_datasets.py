"Bad input for every reader, and the cache of decoded frames under two processes and a kill"
import functools, importlib, io, json, multiprocessing, os, pickle, shutil, signal, struct, subprocess, sys, tarfile, threading, time, unicodedata, wave
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from zipfile import ZipFile
import numpy as np
import pytest
from PIL import Image
import mutations
from everything_is_video import zips
from everything_is_video.cache import Cached, fingerprint, stamp
from everything_is_video.core import UserError
from everything_is_video.datasets import SPLITS, Dataset
from everything_is_video.media import save_video
from everything_is_video.tasks import TASKS, open_source
from everything_is_video.tasks.audiomnist import AudioMNIST, FSDD
from everything_is_video.tasks.cifar10 import CIFAR10, CIFAR10JPEG
from everything_is_video.tasks.clevrer import CLEVRER
from everything_is_video.tasks.lasot import OTB, LaSOT
from everything_is_video.tasks.sst2 import SST2
from everything_is_video.tasks.tgif_qa import TGIFQA
from everything_is_video.tasks.tinyvirat import TinyVIRAT

rng = np.random.default_rng(0)
CIFAR_FILES = ['test_batch', *(f'data_batch_{k}' for k in range(1, 6))]


# the official formats, as small as they can be: three test examples and some to train on

def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

def write_cifar(root):
    for name in CIFAR_FILES:
        write(root/'cifar-10-batches-py'/name, pickle.dumps({'data': rng.integers(0, 256, (3, 3072), np.uint8), 'labels': [0, 1, 0]}))
    write(root/'cifar-10-batches-py/batches.meta', pickle.dumps({'label_names': ['cat', 'dog']}))

def write_jpeg(root):
    (root/'cifar10').mkdir(parents=True)
    for part in 'train', 'test':
        with ZipFile(root/f'cifar10/{part}.zip', 'w') as file:
            for i in range(3):
                with file.open(f'{part}/cat/{i:04d}.jpg', 'w') as image: Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(image, 'JPEG')
    np.savez(root/'cifar10/official_labels.npz', train=np.uint8([3]*3), test=np.uint8([3]*3))

def write_sst2(root):
    for name in 'train', 'dev': write(root/f'SST-2/{name}.tsv', 'sentence\tlabel\n' + ''.join(f'a fine film {i} . \t1\n' for i in range(3)))

def write_wave(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), 'wb') as file:
        file.setparams((1, 2, 8000, 0, 'NONE', ''))
        file.writeframes(rng.integers(-9000, 9000, 2000).astype('<i2').tobytes())

def write_audiomnist(root):
    for speaker in 1, 4, 5:
        for i in range(3): write_wave(root/f'AudioMNIST/data/{speaker:02d}/{i}_{speaker:02d}_0.wav')

def write_fsdd(root):
    for i in range(9): write_wave(root/f'fsdd/recordings/{i}_theo_{i%3*3}.wav')

def write_video(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_video(rng.integers(0, 256, (12, 3, 64, 64), np.uint8), path)

def write_tinyvirat(root):
    for part in 'train', 'test':
        for i in range(3): write_video(root/f'TinyVIRAT/videos/{part}/{i}.mp4')
        write(root/f'TinyVIRAT/tiny_{part}.json', json.dumps({'tubes': [{'path': f'{i}.mp4', 'label': ['Riding']} for i in range(3)]}))

def write_clevrer(root):
    for part, first in ('train', 0), ('validation', 10000):
        names = [f'video_{first+i:05d}.mp4' for i in range(3)]
        for name in names: write_video(root/f'clevrer/videos/{part}/video_{first:05d}-{first+1000:05d}/{name}')
        scenes = [{'video_filename': name, 'questions': [{'question': 'What is it?', 'question_type': 'descriptive', 'answer': 'red'}]} for name in names]
        write(root/f'clevrer/questions/{part}.json', json.dumps(scenes))

def write_tgif(root):
    for part in 'Train', 'Test':
        for i in range(3): write_video(root/f'tgif-qa/gifs/{part}{i}.gif')
        rows = [f'{part}{i}\twhat is it ?\tcat\t0\tFRAMEQA1\t1\ta cat .' for i in range(3)]
        write(root/f'tgif-qa/{part}_frameqa_question.csv', '\r\n'.join(['gif_name\tquestion\tanswer\ttype\tvid_id\tkey\tdescription', *rows, '']))

def write_sequence(folder):
    (folder/'img').mkdir(parents=True)
    for i in range(1, 25): Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).save(folder/f'img/{i:08d}.jpg')
    write(folder/'groundtruth.txt', '10,10,20,20\n'*24)

def write_lasot(root):
    for i in range(1, 7): write_sequence(root/f'LaSOT/cat/cat-{i}')
    for name, which in ('training', (1, 2, 3)), ('testing', (4, 5, 6)): write(root/f'LaSOT/{name}_set.txt', ''.join(f'cat-{i}\n' for i in which))

def write_otb(root):
    for names in OTB.split_sequences.values():
        for name in names: write_sequence(root/'otb_in_lasot_layout'/name)

WRITERS = {CIFAR10: write_cifar, CIFAR10JPEG: write_jpeg, SST2: write_sst2, AudioMNIST: write_audiomnist, FSDD: write_fsdd,
           TinyVIRAT: write_tinyvirat, CLEVRER: write_clevrer, TGIFQA: write_tgif, LaSOT: write_lasot, OTB: write_otb}

@pytest.fixture(scope='session')
def good(tmp_path_factory):
    "All datasets, whole"
    root = tmp_path_factory.mktemp('good')
    for writer in WRITERS.values(): writer(root)
    return root

@pytest.fixture
def copy(good, tmp_path):
    "A copy of a dataset, to damage: the data folder it is in"
    def copy(reader):
        shutil.copytree(good/reader.folder, tmp_path/reader.folder)
        return tmp_path
    return copy


# good input

@pytest.mark.parametrize('reader', WRITERS)
def test_every_split_is_read(reader, good):
    seen = []
    for split in SPLITS:
        dataset = reader(good, split)
        assert len(dataset) > 0
        for i, example in enumerate(dataset):
            assert example.frames.shape == (dataset.n_frames, 3, 64, 64) and example.frames.dtype == np.uint8
            if isinstance(example.answer, np.ndarray): assert example.answer.shape == (dataset.n_frames, 4)
            else: assert set([example.answer] if isinstance(example.answer, str) else example.answer) <= set(dataset.vocabulary)
        seen += [(split, source) for source, *_ in dataset.records]
    if reader is not SST2: assert len(set(seen)) == len(seen)  # no file is in two splits
    again = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(again[0].frames, dataset[0].frames)

class Python2Pickler(pickle._Pickler):
    "Writes texts and bytes alike as Python 2 strings, as in the official batches of 2009"
    def save_string(self, text):
        content = text.encode() if isinstance(text, str) else text
        self.write(b'T' + struct.pack('<i', len(content)) + content)
    dispatch = {**pickle._Pickler.dispatch, str: save_string, bytes: save_string}

def test_a_batch_of_python_2(good, tmp_path):
    shutil.copytree(good/'cifar-10-batches-py', tmp_path/'cifar-10-batches-py')
    path = tmp_path/BATCH
    content = io.BytesIO()
    Python2Pickler(content, protocol=2).dump(pickle.loads(path.read_bytes()))
    path.write_bytes(content.getvalue().replace(b'numpy._core', b'numpy.core'))
    assert b'numpy.core.multiarray' in path.read_bytes()
    assert np.array_equal(CIFAR10(tmp_path, 'test').images, CIFAR10(good, 'test').images)

def test_a_videos_questions_stay_in_one_split(good, tmp_path):
    write_clevrer(tmp_path)
    path = tmp_path/'clevrer/questions/train.json'
    path.write_text(json.dumps([{**scene, 'questions': scene['questions']*5} for scene in json.loads(path.read_text())]))
    train, validation = ({r[0] for r in CLEVRER(tmp_path, s).records} for s in ('train', 'validation'))
    assert train and validation and not train & validation


# downloads, from a server that has the official files

@pytest.fixture
def official(good, tmp_path):
    "The files as they are given out, and the server's address"
    folder = tmp_path/'official'
    folder.mkdir()
    with tarfile.open(folder/'cifar.tar.gz', 'w:gz') as file: file.add(good/'cifar-10-batches-py', 'cifar-10-batches-py')
    shutil.make_archive(folder/'AudioMNIST', 'zip', good, 'AudioMNIST')
    (folder/'AudioMNIST.zip').rename(folder/'master.zip')
    shutil.make_archive(folder/'cat', 'zip', good/'LaSOT/cat')  # the zip of a class has its sequences at the top
    for name in 'training_set.txt', 'testing_set.txt': shutil.copy(good/'LaSOT'/name, folder)
    for path in (good/'tgif-qa').rglob('*.*'): shutil.copy(path, folder)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    handler.func.log_message = lambda *args: None
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f'http://127.0.0.1:{server.server_port}'
    server.shutdown()

def names(folder): return sorted(str(p.relative_to(folder)) for p in folder.rglob('*'))

def test_official_archives(official, good, tmp_path, monkeypatch):
    folder, address = official
    monkeypatch.setattr(CIFAR10, 'official', [('cifar-10-batches-py', f'{address}/cifar.tar.gz', 'md5:0')])
    with pytest.raises(UserError, match='wrong md5 checksum'): CIFAR10.download(tmp_path/'data')
    assert names(tmp_path/'data') == []
    monkeypatch.setattr(CIFAR10, 'official', [('cifar-10-batches-py', f'{address}/cifar.tar.gz', '')])
    monkeypatch.setattr(AudioMNIST, 'official', [('AudioMNIST', f'{address}/master.zip', '')])
    for reader in CIFAR10, AudioMNIST, AudioMNIST:
        reader.download(tmp_path/'data')
        assert names(tmp_path/'data'/reader.folder) == names(good/reader.folder)
    assert sorted(p.name for p in (tmp_path/'data').iterdir()) == ['AudioMNIST', 'cifar-10-batches-py']

def test_lasot_is_fetched_class_by_class(official, good, tmp_path, monkeypatch):
    monkeypatch.setattr(LaSOT, 'address', official[1])
    monkeypatch.setattr(LaSOT, 'official', [(f'LaSOT/{name}', f'{official[1]}/{name}', '') for name in ('training_set.txt', 'testing_set.txt')])
    LaSOT.download(tmp_path/'data')
    assert names(tmp_path/'data/LaSOT') == names(good/'LaSOT')

def test_gifs_that_are_gone_are_counted(official, tmp_path, monkeypatch, capsys):
    folder, address = official
    (folder/'tgif-v1.0.tsv').write_text(''.join(f'{address}/{name}.gif\ta cat .\n' for name in ('Train0', 'Train1', 'Test0', 'Test1', 'other')))
    (folder/'Train1.gif').unlink()
    monkeypatch.setattr(TGIFQA, 'official', [(f'tgif-qa/{name}', f'{address}/{name}', '') for name in
                                             ('Train_frameqa_question.csv', 'Test_frameqa_question.csv', 'tgif-v1.0.tsv')])
    TGIFQA.download(tmp_path/'data')
    assert [p for p in names(tmp_path/'data/tgif-qa/gifs')] == ['Test0.gif', 'Test1.gif', 'Train0.gif']
    assert '3 of 6 GIFs' in capsys.readouterr().out

def test_small_data_is_fetched_unasked(official, good, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(CIFAR10, 'official', [('cifar-10-batches-py', f'{official[1]}/cifar.tar.gz', '')])
    assert len(open_source(TASKS['cifar10'], 'official', tmp_path/'data', 'test')) == len(CIFAR10(good, 'test'))
    assert capsys.readouterr().out.startswith('CIFAR-10: fetching about 170 MB from 127.0.0.1')
    open_source(TASKS['cifar10'], 'official', tmp_path/'data', 'test')
    assert capsys.readouterr().out == ''

def test_large_data_is_fetched_when_asked_for(official, good, tmp_path, monkeypatch):
    monkeypatch.setattr(AudioMNIST, 'official', [('AudioMNIST', f'{official[1]}/master.zip', '')])
    def opened(**more): return open_source(TASKS['audiomnist'], 'official', tmp_path/'data', 'test', **more)
    with pytest.raises(UserError, match='no such folder; set data_dir, or download=True to fetch about 1 GB from 127.0.0.1') as error: opened()
    assert str(error.value).endswith('or take another source of audiomnist: fsdd, sample, sample-N, folder')
    assert not (tmp_path/'data').exists()
    assert len(opened(download=True)) == len(AudioMNIST(good, 'test'))

def test_tables_come_unasked_and_gifs_do_not(official, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(TGIFQA, 'official', [(f'tgif-qa/{name}', f'{official[1]}/{name}', '') for name in
                                             ('Train_frameqa_question.csv', 'Test_frameqa_question.csv', 'Test0.gif')])
    dataset = open_source(TASKS['tgif_qa'], 'official', tmp_path/'data', 'test')
    assert capsys.readouterr().out.startswith('TGIF-QA (FrameQA): fetching about 25 MB from 127.0.0.1')
    assert len(dataset) > 0 and not (tmp_path/'data/tgif-qa/gifs').exists()
    with pytest.raises(UserError, match=r'videos are missing; set download=True to fetch them \(about 34 GB'): dataset[0]

def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(SST2, 'official', [('SST-2', 'http://127.0.0.1:9/SST-2.zip', '')])
    for download in False, True:
        with pytest.raises(UserError) as error: open_source(TASKS['sst2'], 'official', tmp_path, 'test', download=download)
        line = str(error.value)
        assert 'http://127.0.0.1:9/SST-2.zip: cannot be fetched' in line and '\n' not in line
        assert line.endswith('or take source=sample, which is made here without a network')
        assert not (tmp_path/'SST-2').exists()


# a dataset of one's own

ROOM = '''
import numpy as np
from everything_is_video.datasets import Dataset
from everything_is_video.tasks.base import Task

class Nothing(Dataset):
    name, n_frames, vocabulary = 'nothing', 0, ['yes']
    def __init__(self, root, split):
        super().__init__(root, split)
        self.records = [(None, 'is it so ?', 'yes')]
    def read(self, source): return np.empty((0, 3, 64, 64), np.uint8)

class Ninth(Task):
    name, title, row, n_input, batch_size = 'ninth', 'Ninth', 9, 6, 2
    sources = {'official': Nothing}
'''

def test_a_dataset_is_added_by_one_file(tmp_path):
    import everything_is_video
    shutil.copytree(os.path.dirname(everything_is_video.__file__), tmp_path/'everything_is_video')
    (tmp_path/'everything_is_video/tasks/ninth.py').write_text(ROOM)
    program = '''
from everything_is_video.tasks import TASKS, open_dataset, table1
task = TASKS['ninth']
print(list(TASKS)[8:], table1()[-1]['Task'], task.clip(open_dataset(task, 'official', '.', 'test')[0]).frames.shape)
'''
    env = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    done = subprocess.run([sys.executable, '-c', program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout == "['ninth', 'text', 'video'] Ninth (7, 3, 64, 64)\n", done.stderr


# bad input: what is done to a file, and what the one line must say besides the file's name

def cut(path): path.write_bytes(path.read_bytes()[:len(path.read_bytes())*2//3])
def remove(path): path.unlink()
def garbage(path): path.write_bytes(b'\0garbage\xff'*9)
def text(content): return lambda path: path.write_text(content)
def batch(**content): return lambda path: path.write_bytes(pickle.dumps(content))
def images(n=3): return np.zeros((n, 3072), np.uint8)
def no_files(path):
    for file in path.rglob('*.*'):
        if file.is_file(): file.unlink()
def edit(old, new): return lambda path: path.write_text(path.read_text().replace(old, new, 1))
def empty_zip(path): ZipFile(path, 'w').close()
def bad_jpeg(path):
    with ZipFile(path) as file: members = {n: file.read(n) for n in file.namelist()}
    with ZipFile(path, 'w') as file:
        for name, content in members.items(): file.writestr(name, content[:200] if '0001' in name else content)

TABLE, ZIP, LABELS = 'SST-2/dev.tsv', 'cifar10/test.zip', 'cifar10/official_labels.npz'
BATCH, META, WAV = 'cifar-10-batches-py/test_batch', 'cifar-10-batches-py/batches.meta', 'AudioMNIST/data/05/1_05_0.wav'
VIRAT, CLIP, QUESTIONS = 'TinyVIRAT/tiny_test.json', 'TinyVIRAT/videos/test/1.mp4', 'clevrer/questions/validation.json'
VIDEO, CSV, GIF = 'clevrer/videos/validation/video_10000-11000/video_10001.mp4', 'tgif-qa/Test_frameqa_question.csv', 'tgif-qa/gifs/Test1.gif'
TRACK, IMAGE, VASE = 'LaSOT/cat/cat-5/groundtruth.txt', 'LaSOT/cat/cat-5/img/00000001.jpg', 'otb_in_lasot_layout/Vase/groundtruth.txt'
LISTED = 'LaSOT/testing_set.txt'

@pytest.mark.parametrize('reader, path, fault, message', [
    (CIFAR10, BATCH, remove, 'no such file'), (CIFAR10, META, remove, 'no such file'), (CIFAR10, BATCH, cut, 'not a CIFAR-10 file'),
    (CIFAR10, META, garbage, 'not a CIFAR-10'), (CIFAR10, BATCH, batch(data=images()), 'labels'),
    (CIFAR10, BATCH, batch(data=images()[:, :99], labels=[0, 1, 0]), '(3, 99)'), (CIFAR10, BATCH, batch(data=images(), labels=[0]), '1 labels'),
    (CIFAR10, BATCH, batch(data=images(), labels=[0, 7, 0]), 'label 7 of 2'), (CIFAR10, BATCH, batch(data=images(0), labels=[]), 'no examples'),
    (CIFAR10, BATCH, batch(data=os.system, labels=[]), 'wants to run'), (CIFAR10, META, batch(names=[]), 'label_names'),
    (CIFAR10JPEG, ZIP, remove, 'no such file'), (CIFAR10JPEG, ZIP, cut, 'not a zip file'),
    (CIFAR10JPEG, LABELS, garbage, 'not a list of labels'), (CIFAR10JPEG, LABELS, lambda p: np.savez(p, train=[1]), 'test'),
    (CIFAR10JPEG, LABELS, lambda p: np.savez(p, test=[3, 99]), 'not a list of labels'), (CIFAR10JPEG, LABELS, lambda p: np.savez(p, test=[4]), 'deer/0000.jpg'),
    (CIFAR10JPEG, ZIP, bad_jpeg, 'test/cat/0001.jpg: not an image'), (CIFAR10JPEG, ZIP, empty_zip, '3 images are not there'),
    (CIFAR10JPEG, LABELS, lambda p: np.savez(p, test=np.zeros(0, int)), 'no examples'),
    (SST2, TABLE, remove, 'no such file'), (SST2, TABLE, cut, 'line 3 has 1 fields'), (SST2, TABLE, garbage, 'not a tab-separated table'),
    (SST2, TABLE, edit('sentence', 'phrase'), "no column 'sentence'"), (SST2, TABLE, edit('1', 'good'), "line 2: the label 'good'"),
    (SST2, TABLE, text(''), 'it is empty'), (SST2, TABLE, text('sentence\tlabel\n'), 'no examples'),
    (AudioMNIST, WAV, cut, 'broken off: 2,652 of 4,000 bytes'), (AudioMNIST, WAV, garbage, 'not a sound'), (AudioMNIST, WAV, text(''), 'it is empty'),
    (AudioMNIST, WAV, lambda p: p.rename(p.with_name('q_05_0.wav')), 'q_05_0.wav: its name is not'), (AudioMNIST, 'AudioMNIST/data', no_files, 'no examples'),
    (FSDD, 'fsdd/recordings/0_theo_0.wav', cut, 'broken off'), (FSDD, 'fsdd/recordings/0_theo_0.wav', lambda p: p.rename(p.with_name('zero.wav')), 'zero.wav: its name is not'),
    (FSDD, 'fsdd/recordings/0_theo_0.wav', garbage, 'not a sound'), (FSDD, 'fsdd/recordings', no_files, 'no examples'),
    (TinyVIRAT, VIRAT, remove, 'no such file'), (TinyVIRAT, VIRAT, cut, 'not a list of TinyVIRAT clips'), (TinyVIRAT, VIRAT, edit('tubes', 'clips'), 'tubes'),
    (TinyVIRAT, VIRAT, edit('label', 'class'), 'label'), (TinyVIRAT, VIRAT, edit('Riding', 'Flying'), "0.mp4: the label 'Flying'"),
    (TinyVIRAT, VIRAT, edit('"Riding"', ''), '0.mp4: a clip without a label'), (TinyVIRAT, VIRAT, text('[]'), 'no examples'), (TinyVIRAT, VIRAT, text('7'), 'not a list'),
    (TinyVIRAT, CLIP, remove, 'no such'), (TinyVIRAT, CLIP, cut, 'not a video'), (TinyVIRAT, CLIP, garbage, 'not a video'),
    (CLEVRER, QUESTIONS, remove, 'no such file'), (CLEVRER, QUESTIONS, cut, 'not a list of CLEVRER questions'), (CLEVRER, QUESTIONS, edit('"answer"', '"reply"'), 'answer'),
    (CLEVRER, QUESTIONS, edit('red', 'pink'), "video_10000.mp4: the label 'pink'"), (CLEVRER, QUESTIONS, edit('video_10000.mp4', 'a.mp4'), 'not a list of CLEVRER questions'),
    (CLEVRER, QUESTIONS, text('[]'), 'no examples'), (CLEVRER, VIDEO, remove, 'no such'), (CLEVRER, VIDEO, cut, 'not a video'), (CLEVRER, VIDEO, garbage, 'not a video'),
    (TGIFQA, CSV, remove, 'no such file'), (TGIFQA, CSV, cut, 'line 3 has'), (TGIFQA, CSV, edit('gif_name', 'gif'), "no column 'gif_name'"),
    (TGIFQA, CSV, edit('\tcat\t', '\t\t'), 'line 2: a question without an answer'), (TGIFQA, CSV, text('gif_name\tquestion\tanswer\n'), 'no examples'),
    (TGIFQA, GIF, remove, 'no such'), (TGIFQA, GIF, cut, 'its end is missing'), (TGIFQA, GIF, garbage, 'not a video'), (TGIFQA, GIF, text('GIF89a;'), 'not a video'),
    (LaSOT, LISTED, remove, 'no such file'), (LaSOT, LISTED, text(''), 'no examples'), (LaSOT, LISTED, garbage, 'not a list of sequences'),
    (LaSOT, TRACK, remove, 'no such file'), (LaSOT, TRACK, cut, '16 lines of 4 numbers for 24 images'), (LaSOT, TRACK, edit('10,10', '10 10'), 'not a list of boxes'),
    (LaSOT, TRACK, text('1,2,3\n'*24), '24 lines of 3 numbers'), (LaSOT, TRACK, edit('10', 'ten'), 'not a list of boxes'), (LaSOT, TRACK, text('0,0,0,0\n'*24), 'in none of its 24 frames'),
    (LaSOT, IMAGE, remove, 'for 23 images'), (LaSOT, IMAGE, cut, 'not an image'), (LaSOT, IMAGE, garbage, 'not an image'),
    (OTB, VASE, remove, 'no such file'), (OTB, VASE, cut, '16 lines of 4 numbers for 24 images'), (OTB, 'otb_in_lasot_layout/Vase/img/00000007.jpg', garbage, 'not an image'),
], ids=lambda v: v.__name__ if isinstance(v, type) else None)
def test_bad_input_is_one_line(reader, path, fault, message, copy):
    root = copy(reader)
    fault(root/path)
    with pytest.raises(UserError) as error: list(reader(root, 'test'))
    line = str(error.value)
    assert message in line and '\n' not in line
    assert str(root) in line and (str(root/path.split('/')[0]) in line)

@pytest.mark.parametrize('reader', WRITERS)
def test_nothing_there(reader, tmp_path):
    with pytest.raises(UserError, match='no such file|no examples'): reader(tmp_path, 'test')

def test_unknown_split(good):
    with pytest.raises(UserError, match="'dev': no such split"): SST2(good, 'dev')

def test_a_flag_of_lasot(copy):
    root = copy(LaSOT)
    flags = root/'LaSOT/cat/cat-4/full_occlusion.txt'
    flags.write_text(','.join(['0']*23 + ['1']))
    assert (LaSOT(root, 'test', n_frames=24)[0].answer[:, 0] >= 0).tolist() == [True]*23 + [False]
    (root/'LaSOT/cat/cat-5/out_of_view.txt').write_text('0,1')
    with pytest.raises(UserError, match='out_of_view.txt: not a line of 0 and 1.*2 numbers for 24 images'): LaSOT(root, 'test')[1]


# one bad file among many

@pytest.mark.parametrize('reader, path', [(CIFAR10JPEG, ZIP), (AudioMNIST, WAV), (FSDD, 'fsdd/recordings/0_theo_0.wav'), (TinyVIRAT, CLIP), (CLEVRER, VIDEO),
                                          (TGIFQA, GIF), (LaSOT, TRACK), (OTB, VASE)])
def test_one_bad_file_is_skipped_and_counted(reader, path, copy, capsys):
    n = len(reader(root := copy(reader), 'test'))
    (bad_jpeg if path == ZIP else garbage)(root/path)
    kept = Cached(reader(root, 'test'), root/'cache', skip_bad=True)
    assert len(kept) == n - 1 and len(kept.skipped) == 1 and str(root/path) in kept.skipped[0]
    assert f'1 of {n} examples are skipped' in capsys.readouterr().out
    sources = [s for s, *_ in reader(root, 'test').records]
    for e, source in zip(kept, [s for s in sources if str(s) not in kept.skipped[0]] if path != ZIP else sources[::2]):
        if reader not in (LaSOT, OTB): assert np.array_equal(e.frames, kept.dataset.read(source))
    again = pickle.loads(pickle.dumps(kept))
    assert len(again) == n - 1 and np.array_equal(again[0].frames, kept[0].frames)

def test_all_bad(copy):
    root = copy(TinyVIRAT)
    for i in range(3): garbage(root/f'TinyVIRAT/videos/test/{i}.mp4')
    with pytest.raises(UserError, match='3 of 3 examples are skipped'): Cached(TinyVIRAT(root, 'test'), root/'cache', skip_bad=True)


# the cache

class Slow(Dataset):
    "Frames that say which example they are, 1 ms each"
    name, n_frames = 'slow', 2
    def __init__(self, n):
        self.split, self.records = 'train', [(None, '', str(i)) for i in range(n)]
    def frames(self, i):
        time.sleep(.001)
        return np.full((2, 3, 64, 64), i % 251, np.uint8)

def fill(folder, n, seed):
    kept = Cached(Slow(n), folder)
    for i in np.random.default_rng(seed).permutation(n): kept[i]

def is_right(kept): return all((e.frames == i % 251).all() for i, e in enumerate(kept))

def test_two_processes_share_it(tmp_path):
    workers = [multiprocessing.get_context('spawn').Process(target=fill, args=(tmp_path, 300, seed)) for seed in range(2)]
    for w in workers: w.start()
    for w in workers: w.join()
    kept = Cached(Slow(300), tmp_path)
    assert [w.exitcode for w in workers] == [0, 0] and kept.kept.stamps().all() and is_right(kept)
    assert len(list(tmp_path.iterdir())) == 1

def test_a_kill_leaves_it_right(tmp_path):
    n, kept = 2000, None
    for seed in range(3):
        worker = multiprocessing.get_context('fork').Process(target=fill, args=(tmp_path, n, seed))
        worker.start()
        time.sleep(.4)
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    kept = Cached(Slow(n), tmp_path)
    there = np.flatnonzero(kept.kept.stamps())
    assert 0 < len(there) < n
    frames = [kept.kept.read(i, stamp(kept.dataset, i)) for i in there]
    assert all(f is None or (f == i % 251).all() for i, f in zip(there, frames)) and sum(f is None for f in frames) <= 3
    assert is_right(kept)

def test_another_run_finds_the_same_file(good):
    program = f'from everything_is_video.tasks.audiomnist import AudioMNIST; from everything_is_video.cache import fingerprint; print(fingerprint(AudioMNIST({str(good)!r}, "test")))'
    found = {subprocess.run([sys.executable, '-c', program], env={**os.environ, 'PYTHONHASHSEED': seed}, capture_output=True, text=True).stdout for seed in '123'}
    assert found == {fingerprint(AudioMNIST(good, 'test')) + '\n'}

def test_a_changed_file_is_read_again(copy):
    root = copy(AudioMNIST)
    Cached(AudioMNIST(root, 'test'), root/'cache')[1]
    write_wave(root/WAV)
    dataset = AudioMNIST(root, 'test')
    assert np.array_equal(Cached(dataset, root/'cache')[1].frames, dataset[1].frames)

def damaged(path, kind, rng):
    "A file of kept frames after a fault of the disk"
    content = bytearray(path.read_bytes())
    at, length = int(rng.integers(len(content))), int(rng.integers(1, 40_000))
    if kind == 'bit': content[at] ^= 1 << int(rng.integers(8))
    if kind == 'zeros': content[at:at+length] = bytes(len(content[at:at+length]))
    if kind == 'ones': content[at:at+length] = b'\xff'*len(content[at:at+length])
    if kind == 'cut': content = content[:at]
    if kind == 'lost': content = content[:at] + content[at+length:]
    if kind == 'swapped':  # two blocks of the disk
        a, b = int(rng.integers(len(content)//4096)), int(rng.integers(len(content)//4096))
        blocks = content[4096*a:4096*(a+1)], content[4096*b:4096*(b+1)]
        content[4096*a:4096*(a+1)], content[4096*b:4096*(b+1)] = blocks[::-1]
    if kind == 'longer': content += rng.bytes(length)
    if kind == 'empty': content = b''
    with open(path, 'r+b') as file:  # the same file: a process may have it open
        file.write(content)
        file.truncate()

@pytest.mark.parametrize('kind', ['bit', 'zeros', 'ones', 'cut', 'lost', 'swapped', 'longer', 'empty'])
def test_damaged_frames_are_decoded_again(tmp_path, kind):
    whole = Cached(Slow(20), tmp_path)
    list(whole)
    path, = tmp_path.iterdir()
    for i in range(15):
        damaged(path, kind, np.random.default_rng(i))
        assert is_right(whole) and is_right(Cached(Slow(20), tmp_path))
        assert all(whole.kept.read(k, stamp(whole.dataset, k)) is not None for k in range(20))

def test_a_cut_under_way_does_not_end_the_process(tmp_path):
    program = f"""
import os, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from test_datasets import Cached, Slow, is_right
kept = Cached(Slow(20), {str(tmp_path)!r})
assert is_right(kept)
for size in 100_000, 1000, 0:
    os.truncate(kept.kept.path, size)
    assert is_right(kept)
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    kept = Cached(Slow(5), tmp_path)
    pwrite = os.pwrite
    monkeypatch.setattr(os, 'pwrite', lambda file, content, at: pwrite(file, content[:100], at))
    with pytest.raises(UserError, match='no more frames can be kept .the disk is full.; free some space'): kept[0]
    monkeypatch.undo()
    assert is_right(kept)

def test_a_reading_error_is_decoded_again(tmp_path, monkeypatch):
    kept = Cached(Slow(5), tmp_path)
    assert is_right(kept)
    def broken(*arguments): raise OSError(5, 'Input/output error')
    monkeypatch.setattr(os, 'pread', broken)
    assert is_right(kept)

def test_other_decoders_and_other_code_decode_again(good, monkeypatch):
    cache = importlib.import_module('everything_is_video.cache')
    dataset = AudioMNIST(good, 'test')
    before = fingerprint(dataset)
    versions = {}
    monkeypatch.setattr(cache, 'version', lambda name: versions.get(name, '1.0'))
    found = {before}
    for name in 'none', 'av', 'librosa', 'numpy', 'pillow':
        versions[name] = '2.0'
        cache._drawing.cache_clear()
        found.add(fingerprint(dataset))
    assert len(found) == 6
    source = cache.inspect.getsource
    for name in 'everything_is_video.media', 'everything_is_video.frames', 'AudioMNIST', '_SpokenDigits', 'Dataset':
        changed = lambda part: source(part) + (part.__name__ == name)*'\n'
        monkeypatch.setattr(cache.inspect, 'getsource', changed)
        cache._drawing.cache_clear()
        found.add(fingerprint(dataset))
    assert len(found) == 11
    monkeypatch.undo()
    cache._drawing.cache_clear()
    assert fingerprint(dataset) == before

def test_a_changed_image_of_many_is_read_again(good, copy):
    root = copy(CIFAR10JPEG)
    before = Cached(CIFAR10JPEG(root, 'test'), root/'cache')
    list(before)
    bad_jpeg(root/ZIP)  # one for all
    with pytest.raises(UserError, match='0001.jpg: not an image'): list(Cached(CIFAR10JPEG(root, 'test'), root/'cache'))
    with ZipFile(good/ZIP) as file: file.extractall(root/'cifar10')
    unpacked = Cached(CIFAR10JPEG(root, 'test'), root/'cache')
    assert [e.frames.tobytes() for e in unpacked] == [e.frames.tobytes() for e in before]
    shutil.copy(root/'cifar10/test/cat/0002.jpg', root/'cifar10/test/cat/0001.jpg')
    again = Cached(CIFAR10JPEG(root, 'test'), root/'cache')
    assert again.kept.path == unpacked.kept.path
    assert [again.kept.read(i, again._stamp(i)) is None for i in range(3)] == [False, True, False]
    assert np.array_equal(again[1].frames, again[2].frames)

def test_a_file_that_went_is_missed(copy):
    root = copy(AudioMNIST)
    dataset = AudioMNIST(root, 'test')
    list(Cached(dataset, root/'cache'))
    (root/WAV).unlink()
    with pytest.raises(UserError, match='no such file'): list(Cached(dataset, root/'cache'))

def test_no_place_for_it(good, tmp_path):
    (tmp_path/'file').touch()
    with pytest.raises(UserError, match='frames cannot be kept there'): Cached(SST2(good, 'test'), tmp_path/'file')


# tables as editors and other programs leave them

REVIEWS = [('a charming journey .', 'positive'), ('bleak and desperate', 'negative'), ('say "no" to it', 'negative'), ('café crème', 'positive')]

@pytest.mark.parametrize('case, right', [
    *((case, REVIEWS) for case in ('plain', 'crlf', 'bom', 'columns_swapped', 'index_column', 'u2028')),
    ('blank_lines_then_bad', "dev.tsv, line 6: the label '7'"), ('comma', "no column 'sentence'"),
    ('cr', "no column 'label'"), ('utf16', 'UnicodeDecodeError'), ('latin1', 'UnicodeDecodeError'), ('nul', 'control characters'),
    ('label_float', "line 2: the label '1.0'"), ('label_space', "line 2: the label '1 '"),
    ('empty_sentence', 'line 2: a sentence of 0 words'), ('pandas_quotes', 'line 3 has quotes as in CSV')])
def test_case_table(case, right):
    folder = os.environ.get('EIV_CASES')
    if not folder or not os.path.isdir(f'{folder}/tables'): pytest.skip('EIV_CASES does not name a folder with tables')
    read = lambda: [(e.text, e.answer) for e in SST2(f'{folder}/tables/data/{case}', 'test')]
    if right is REVIEWS: assert read() == REVIEWS
    else:
        with pytest.raises(UserError) as error: read()
        assert right in str(error.value) and '\n' not in str(error.value)

@pytest.mark.parametrize('kind', ['pipe', 'device', 'folder', 'loop', 'huge', 'one line'])
def test_what_is_no_table(copy, kind):
    path = copy(SST2)/TABLE
    path.unlink()
    if kind == 'pipe': os.mkfifo(path)
    if kind == 'device': path.symlink_to('/dev/zero')
    if kind == 'folder': path.mkdir()
    if kind == 'loop': path.symlink_to(path)
    if kind in ('huge', 'one line'):
        with open(path, 'wb') as file: file.truncate(10**9 if kind == 'huge' else 60_000_000)
    with pytest.raises(UserError) as error: SST2(path.parents[1], 'test')
    assert str(path) in str(error.value) and '\n' not in str(error.value) and len(str(error.value)) < 500


# faults in bulk (EIV_MUTATIONS says how many)

def test_faulty_tables(copy, capsys):
    root = copy(SST2)
    write(root/TABLE, 'sentence\tlabel\n' + ''.join(f'it is {word} , café {i} . \t{i % 2}\n' for i, word in enumerate('dull fine odd new poor good'.split()*5)))
    def read(): return [(e.text, e.answer) for e in SST2(root, 'test')]
    def drawn(text): return text.split() and not {unicodedata.category(character) for character in text} & {'Cc', 'Cs', 'Zl', 'Zp'}
    def plausible(rows): return all(drawn(text) and answer in SST2.vocabulary for text, answer in rows)
    mutations.check('SST-2', read, root/TABLE, rng, plausible, capsys)

@pytest.mark.parametrize('path', [ZIP, LABELS])
def test_faulty_zips(path, copy, capsys):
    root = copy(CIFAR10JPEG)
    def read():
        zips._opened.cache_clear()  # two changes may have the same time
        dataset = CIFAR10JPEG(root, 'test')
        return [dataset.name, *((e.answer, e.frames.tobytes()) for e in dataset)]
    mutations.check(path, read, root/path, rng, lambda read: False, capsys)  # everything in it has a checksum
