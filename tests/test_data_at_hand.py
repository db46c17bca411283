"The readers on real data: EIV_DATA names the folder it is in; what is not there is skipped by name"
import json, os, shutil, time
from pathlib import Path
from zipfile import ZipFile
import numpy as np
import pytest
from PIL import Image
from everything_is_video.cache import Cached
from everything_is_video.datasets import SPLITS
from everything_is_video.frames import draw_box, image_frame, read_box
from everything_is_video.tasks.audiomnist import AudioMNIST, FSDD
from everything_is_video.media import read_sound
from everything_is_video.tasks.cifar10 import CIFAR10JPEG
from everything_is_video.tasks.lasot import OTB, LaSOT
from everything_is_video.tasks.sst2 import SST2, whole_sentences
from everything_is_video.tasks.tgif_qa import TGIFQA
from everything_is_video.tasks.tinyvirat import TinyVIRAT

def at_hand(name):
    "The data folder, if it has a folder of that name"
    root = Path(os.environ.get('EIV_DATA', 'data'))
    if not (root/name).exists(): pytest.skip(f'{name} is not at hand (EIV_DATA names the folder to look in)')
    return root

def psnr(a, b): return 10*np.log10(255**2/np.mean((a.astype(float) - b)**2))


def test_sst2_is_complete_and_whole_sentences_are_held_out():
    root = at_hand('SST-2')
    train, validation, test = (SST2(root, split) for split in SPLITS)
    assert (len(train), len(validation), len(test)) == (59_483, 688, 872)
    rows = (root/'SST-2/train.tsv').read_text(encoding='utf-8').splitlines()[1:]
    phrases = [' '.join(row.split('\t')[0].split()) for row in rows]
    assert len(phrases) == 67_349 and len(whole_sentences(phrases)) == 6_885
    held = '\n'.join(f' {text} ' for _, text, _ in validation.records)
    trained = [text for _, text, _ in train.records]
    assert not any(f' {text} ' in held for text in set(trained))  # no phrase of a held-out sentence
    kept = iter(trained)
    assert all(f' {text} ' in held or text == next(kept) for text in phrases)  # all others, in order
    trained = '\n'.join(f' {text} ' for text in trained)
    assert [sum(f' {text} ' in trained for _, text, _ in s.records) for s in (validation, test)] == [0, 2]
    lengths = [np.mean([len(text.split()) for _, text, _ in s.records]) for s in (validation, test)]
    assert max(lengths) - min(lengths) < 2, lengths  # words in a sentence
    assert (test[0].text, test[0].answer) == ("it 's a charming and often affecting journey .", 'positive')
    assert (test[1].text, test[1].answer) == ('unflinchingly bleak and desperate', 'negative')

@pytest.mark.parametrize('split, part', [('test', 'test'), ('train', 'train')])
def test_cifar_jpegs_are_the_official_images_in_the_official_order(split, part):
    root = at_hand('cifar10/lossless.npz')
    dataset, file = CIFAR10JPEG(root, split), np.load(root/'cifar10/lossless.npz')
    images, index = file[f'{part}_images'], file[f'{part}_index']
    labels = np.load(root/'cifar10/official_labels.npz')[part]
    place = {source: i for i, (source, *_) in enumerate(dataset.records)}
    rank, compared = np.zeros(10, int), []
    for i, k in enumerate(labels[:len(images)]):
        source = f'{part}/{dataset.vocabulary[k]}/{rank[k]:04d}.jpg'
        rank[k] += 1
        if source not in place: continue  # it is in the validation set
        example = dataset[place[source]]
        assert example.answer == dataset.vocabulary[k]
        compared.append(psnr(example.frames[0], image_frame(images[i])))
    assert index.tolist() == list(range(1017)) and len(compared) > 900
    assert np.mean(compared) > 30 and np.min(compared[:100]) > 25

def test_cifar_unpacked_and_without_a_list_comes_by_class(tmp_path):
    root = at_hand('cifar10')
    with ZipFile(root/'cifar10/test.zip') as file: file.extractall(tmp_path/'cifar10')
    zipped, unpacked = CIFAR10JPEG(root, 'test'), CIFAR10JPEG(tmp_path, 'test')
    assert unpacked.name == zipped.name == 'CIFAR-10 (JPEG)'
    assert unpacked.records == sorted(zipped.records) != zipped.records
    assert np.array_equal(unpacked.read('test/cat/0007.jpg'), zipped.read('test/cat/0007.jpg'))

def test_cifar_splits():
    root = at_hand('cifar10')
    sets = [CIFAR10JPEG(root, split) for split in SPLITS]
    assert [len(s) for s in sets] == [45_000, 5_000, 10_000]
    assert len({r[0] for s in sets for r in s.records}) == 60_000
    assert min(np.bincount([sets[1].vocabulary.index(r[2]) for r in sets[1].records])) > 400

def test_cifar_jpeg_speed(capsys):
    dataset = CIFAR10JPEG(at_hand('cifar10'), 'test')
    dataset[0]
    start = time.process_time()
    for i in range(1000): dataset[i]
    with capsys.disabled(): print(f'\nJPEGs decoded: {1000/(time.process_time() - start):,.0f} a second')

def test_cached_cifar_speed(tmp_path, capsys):
    dataset = CIFAR10JPEG(at_hand('cifar10'), 'test')
    kept = Cached(dataset, tmp_path)
    for i in range(2000): kept[i]
    order = np.random.default_rng(0).integers(0, 2000, (300, 64))
    start = time.process_time()
    for batch in order: np.stack([kept[i].frames for i in batch])
    speed = order.size/(time.process_time() - start)
    with capsys.disabled(): print(f'\nkept frames read: {speed:,.0f} examples a second (20,000 are wanted)')

def test_fsdd():
    root = at_hand('fsdd')
    train, validation, test = (FSDD(root, split) for split in SPLITS)
    assert (len(train), len(validation), len(test)) == (2430, 270, 300)
    assert sorted(r[2] for r in test.records) == sorted('0123456789'*30)
    first = test[0]
    assert first.frames.shape == (1, 3, 64, 64) and np.ptp(first.frames) > 200

def test_audiomnist():
    root = at_hand('AudioMNIST')
    paths = sorted((root/'AudioMNIST/data').rglob('*.wav'))
    assert len(paths) == 31
    for path in paths:
        samples, rate = read_sound(path)
        assert rate == 48_000 and .2 < len(samples)/rate < 2 and .001 < np.abs(samples).max() < 1
    train = AudioMNIST(root, 'train')
    assert train.name == 'AudioMNIST (3 of 36 speakers)' and len(train) == 31
    assert {e.answer for e in train} == {'0'} and train[30].frames.std() > 10

def test_tinyvirat(tmp_path):
    root = at_hand('tinyvirat')
    (tmp_path/'TinyVIRAT/videos/test').mkdir(parents=True)
    shutil.copy(root/'tinyvirat/unlabelled_clip.mp4', tmp_path/'TinyVIRAT/videos/test/clip.mp4')
    (tmp_path/'TinyVIRAT/tiny_test.json').write_text(json.dumps({'tubes': [{'path': 'clip.mp4', 'label': ['activity_walking', 'Misc']}]}))
    clip = TinyVIRAT(tmp_path, 'test')[0]
    assert clip.frames.shape == (10, 3, 64, 64) and clip.answer == ['activity_walking', 'Misc']
    assert len({f.tobytes() for f in clip.frames}) == 10

def test_tgif_questions():
    root = at_hand('tgif-qa')
    test = TGIFQA(root, 'test')
    assert len(test) == 13_691 and test.label(0) == ('what is being placed in the white ice cream cone ?', 'cookie')
    assert set(test.vocabulary) <= set((root/'tgif-qa/frameqa_answer_vocabulary.txt').read_text().split('\n'))

def test_tgif_gifs(tmp_path):
    root = at_hand('tgif-qa/gifs')
    shutil.copytree(root/'tgif-qa/gifs', tmp_path/'tgif-qa/gifs')
    names = sorted(p.stem for p in (tmp_path/'tgif-qa/gifs').glob('*.gif'))
    (tmp_path/'tgif-qa/Test_frameqa_question.csv').write_text('gif_name\tquestion\tanswer\n' + ''.join(f'{n}\twhat ?\tcat\n' for n in names))
    assert len(names) == 3
    for example in TGIFQA(tmp_path, 'test'): assert len({f.tobytes() for f in example.frames}) == 4

def test_lasot_sequence():
    root = at_hand('LaSOT')
    assert [len((root/'LaSOT'/f).read_text().split()) for f in ('training_set.txt', 'testing_set.txt')] == [1_120, 280]
    dataset = LaSOT(root, 'test')
    assert dataset.name == 'LaSOT (1 of 280 sequences)' and len(dataset) == 11
    for example in dataset: assert example.frames.shape == (20, 3, 64, 64) and example.answer.shape == (20, 4)
    width, height = Image.open(root/'LaSOT/airplane/airplane-1/img/00000001.jpg').size
    x, y, w, h = 367, 101, 41, 16  # the first line of its groundtruth.txt
    box = dataset[0].answer[0]
    assert np.abs(box*np.array([width, height, width, height])/64 - [x, y, x+w, y+h]).max() < width/64

def test_every_box_drawn_is_read_back(monkeypatch):
    root, n = at_hand('otb_in_lasot_layout'), 0
    monkeypatch.setattr(OTB, 'every', 1)  # in training too, each frame is looked at
    for split in SPLITS:
        dataset = OTB(root, split, n_frames=1)
        for i, example in enumerate(dataset):
            frame, box = example.frames[0], example.answer[0]
            if min(box[2:] - box[:2]) < 1: continue
            assert read_box(draw_box(frame, box)) == tuple(box), dataset.records[i][0]
            n += 1
    assert n == 1_590

def test_otb_splits_are_whole_sequences():
    root = at_hand('otb_in_lasot_layout')
    sets = [OTB(root, split) for split in SPLITS]
    names = [{r[0][0].name for r in s.records} for s in sets]
    assert sum(map(len, names)) == len(set.union(*names)) == 6
    assert [s.name for s in sets] == ['OTB (stand-in for LaSOT)']*3
    for example in sets[2]: assert (example.answer >= 0).all() and (example.answer < 64).all()
