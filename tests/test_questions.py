"Questions: the files of CLEVRER, easy-VQA and TGIF-QA, real videos of CLEVRER, and files with faults"
import json, os, shutil
from collections import Counter
from pathlib import Path
from urllib.error import HTTPError, URLError
import numpy as np
import pytest
from PIL import Image
from mutations import check
from everything_is_video.cache import Cached
from everything_is_video.core import UserError
from everything_is_video.datasets import SPLITS
from everything_is_video.media import save_video
from everything_is_video.tasks import TASKS, open_source, tgif_qa
from everything_is_video.tasks.clevrer import CLEVRER, EasyVQA
from everything_is_video.tasks.tgif_qa import TGIFQA

rng = np.random.default_rng(0)
WRONG = [None, True, 7, 1.5, '', 'x', [], {}, [7], {'a': 1}, [None], [[]], '\x00', 'a\nb']

def at_hand(name):
    "The data folder, if it has a folder of that name"
    root = Path(os.environ.get('EIV_DATA', 'data'))
    if not (root/name).exists(): pytest.skip(f'{name} is not at hand (EIV_DATA names the folder to look in)')
    return root

def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), newline='')
    return path

def write_video(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_video(rng.integers(0, 256, (12, 3, 64, 64), np.uint8), path)

def refused(reader, root, split='test'):
    with pytest.raises(UserError) as error: reader(root, split)
    line = str(error.value)
    assert line.isprintable() and len(line) < 600
    return line


# CLEVRER

def ask(question='What color is it?', answer='red', question_type='descriptive'): return dict(question=question, answer=answer, question_type=question_type)
def scene(number=10000, *questions): return {'scene_index': number, 'video_filename': f'video_{number:05d}.mp4', 'questions': list(questions or [ask()])}
def clevrer(root, scenes, part='validation'): return write(root/f'clevrer/questions/{part}.json', scenes)

def test_clevrer_as_it_is(tmp_path):
    clevrer(tmp_path, [scene(10000, ask(), ask('How many?', 3), ask('What next?', None, 'predictive')), scene(14999)])
    folder = tmp_path/'clevrer/videos/validation'
    first, last = folder/'video_10000-11000/video_10000.mp4', folder/'video_14000-15000/video_14999.mp4'
    assert CLEVRER(tmp_path, 'test').records == [(first, 'What color is it?', 'red'), (first, 'How many?', '3'), (last, 'What color is it?', 'red')]

@pytest.mark.parametrize('wrong', WRONG, ids=repr)
@pytest.mark.parametrize('place', ['all', 'scene', 'video_filename', 'questions', 'a question', 'question', 'answer', 'question_type'])
def test_clevrer_wrong_types_at_every_level(place, wrong, tmp_path):
    good = scene()
    content = {'all': wrong, 'scene': [good, wrong], 'questions': [good | {'questions': wrong}], 'video_filename': [good | {'video_filename': wrong}],
               'a question': [scene(10000, ask(), wrong)], 'question': [scene(10000, ask(wrong))], 'answer': [scene(10000, ask(answer=wrong))],
               'question_type': [scene(10000, ask(question_type=wrong))]}[place]
    path = clevrer(tmp_path, content)
    if place == 'question' and wrong in ('x', ''): assert CLEVRER(tmp_path, 'test').label(0) == (wrong, 'red')
    else: assert refused(CLEVRER, tmp_path).startswith(str(path))

@pytest.mark.parametrize('name', ['../train/video_00000-01000/video_00000.mp4', '/video_10000.mp4', 'video_00000.mp4', 'video_15000.mp4', 'video_1.mp4', 'video_10000.mp4\n',
                                  'video_10000xmp4', 'video_１0000.mp4', 'video_10000.avi', 'a.mp4'])
def test_clevrer_must_not_lead_elsewhere(name, tmp_path):
    clevrer(tmp_path, [scene() | {'video_filename': name}])
    assert 'no video for validation' in refused(CLEVRER, tmp_path)

def test_clevrer_training_videos_have_their_numbers(tmp_path):
    clevrer(tmp_path, [scene(0), scene(9999), scene(10000)], 'train')
    assert "no video for train: 'video_10000.mp4'" in refused(CLEVRER, tmp_path, 'train')

@pytest.mark.parametrize('scenes, message', [([], 'no examples'), ([scene() | {'questions': []}], 'no examples'), ([scene(10000, ask(question_type='predictive'))], 'no examples'),
                                             ([scene(), scene(10001), scene()], 'video_10000.mp4: is listed twice'), ('[', 'not a list'), ('['*100_000, 'not a list'),
                                             ([scene(10000, ask(answer='red\n'))], r"the label 'red\n'"), ([scene(10000, ask('Is it\x07?'))], r"'Is it\x07?' is not a line of text")])
def test_clevrer_refused(scenes, message, tmp_path):
    clevrer(tmp_path, scenes)
    assert message in refused(CLEVRER, tmp_path)

def test_clevrer_videos_are_in_one_part_and_missing_ones_are_counted(tmp_path):
    clevrer(tmp_path, [scene(i, *[ask(f'Is it {k}?', 'yes') for k in range(5)]) for i in range(40)], 'train')
    parts = [CLEVRER(tmp_path, split) for split in ('train', 'validation')]
    videos = [{path for path, *_ in part.records} for part in parts]
    assert [len(part) for part in parts] == [180, 20] and [len(v) for v in videos] == [36, 4] and not videos[0] & videos[1]
    with pytest.raises(UserError, match='no such file; 4 of 4 videos are missing'): parts[1][0]

def test_clevrer_faults(tmp_path, capsys):
    path = clevrer(tmp_path, [scene(10000, ask(), ask('How many are there?', 3)), scene(10001, ask('Is it a cube?', 'no'), ask('What then?', None, 'predictive'))])
    def plausible(read): return all(answer in CLEVRER.vocabulary and '/videos/validation/video_1' in video for video, text, answer in read)
    check('CLEVRER, validation.json', lambda: [(str(video), *rest) for video, *rest in CLEVRER(tmp_path, 'test').records], path, np.random.default_rng(0), plausible, capsys)


# real videos of CLEVRER: no official questions are at hand, so three are made of what each scene is said to hold

def questions(about):
    things = about['object_property']
    yield ask('How many spheres are there?', sum(thing['shape'] == 'sphere' for thing in things))
    for thing in things[:1]: yield ask(f'Is there a {thing["color"]} {thing["material"]} {thing["shape"]}?', 'yes')
    colours = Counter(thing['color'] for thing in things)
    yield ask('Are there cyan objects?', 'yes' if colours['cyan'] else 'no')

def test_real_clevrer_videos(tmp_path):
    source = at_hand('clevrer_real9')/'clevrer_real9'
    seen = []
    for part in 'train', 'validation':
        (tmp_path/'clevrer/videos').mkdir(parents=True, exist_ok=True)
        (tmp_path/f'clevrer/videos/{part}').symlink_to(source/f'video_{part}')
        abouts = [json.loads(path.read_text()) for path in sorted((source/f'annotation_{part}').rglob('*.json'))]
        here = [about for about in abouts if list((source/f'video_{part}').rglob(about['video_filename']))]
        clevrer(tmp_path, [scene(about['scene_index'], *questions(about)) for about in here], part)
    for split in SPLITS:
        for example in CLEVRER(tmp_path, split): seen.append((split, example))
    assert Counter(split for split, _ in seen) == {'train': 6, 'validation': 3, 'test': 6}
    for _, example in seen:
        assert example.frames.shape == (4, 3, 64, 64) and example.answer in CLEVRER.vocabulary
        assert len({f.tobytes() for f in example.frames}) == 4
        clip = TASKS['clevrer'].clip(example)
        assert len(clip.frames) == 22

def test_the_look_of_real_clevrer():
    source = at_hand('clevrer_real9')/'clevrer_real9'
    paths = sorted(source.rglob('*.mp4'))
    assert len(paths) == 9
    reader = CLEVRER.__new__(CLEVRER)
    reader.n_frames = 4
    for path in paths:
        frames = reader.read(path).astype(float)
        middle = np.median(frames, axis=(0, 2, 3))
        assert 90 < middle.mean() < 150 and np.ptp(middle) < 12, path  # a grey floor
        moved = np.abs(frames[0] - frames[-1]).max(0) > 40
        assert .002 < moved.mean() < .3, path                           # on which little moves
        assert frames[:, :, :10].std() < 25, path                       # under an empty wall


# easy-VQA

def easy(root, rows, part='test'): return write(root/f'easy_vqa/{part}/questions.json', rows)

@pytest.mark.parametrize('wrong', WRONG, ids=repr)
@pytest.mark.parametrize('place', ['all', 'row', 'question', 'answer', 'image'])
def test_easy_vqa_wrong_types_at_every_level(place, wrong, tmp_path):
    good = ['is it red?', 'yes', 0]
    content = {'all': wrong, 'row': [good, wrong], 'question': [[wrong, 'yes', 0]], 'answer': [['is it?', wrong, 0]], 'image': [['is it?', 'yes', wrong]]}[place]
    path = easy(tmp_path, content)
    if (place, wrong) in (('question', 'x'), ('question', ''), ('image', 7)): assert len(EasyVQA(tmp_path, 'test')) == 1
    else: assert refused(EasyVQA, tmp_path).startswith(str(path))

@pytest.mark.parametrize('image', ['0', '../../train/images/0', -1, 10**30, 0.0])
def test_easy_vqa_must_not_lead_elsewhere(image, tmp_path):
    easy(tmp_path, [['is it?', 'yes', image]])
    assert 'is not the number of an image' in refused(EasyVQA, tmp_path)

def test_easy_vqa_as_its_archive_has_it(tmp_path):
    easy(tmp_path, [['is it?', 'yes', 0]])
    (tmp_path/'easy_vqa').rename(tmp_path/'data')
    (tmp_path/'easy_vqa/easy_vqa').mkdir(parents=True)
    (tmp_path/'data').rename(tmp_path/'easy_vqa/easy_vqa/data')
    assert EasyVQA(tmp_path, 'test').records == [(tmp_path/'easy_vqa/easy_vqa/data/test/images/0.png', 'is it?', 'yes')]

def test_easy_vqa_is_whole():
    root = at_hand('easy_vqa')
    sets = [open_source(TASKS['clevrer'], 'easy_vqa', root, split) for split in SPLITS]
    assert [s.name for s in sets] == ['easy-VQA (stand-in for CLEVRER, images)']*3
    assert [len(s) for s in sets] == [34_753, 3_822, 9_673]
    images = [{path for path, *_ in s.records} for s in sets]
    assert [len(i) for i in images] == [3_600, 400, 1_000] and len(set.union(*images)) == 5_000
    assert set(EasyVQA.vocabulary) == {answer for s in sets for *_, answer in s.records} == set((root/'easy_vqa/answers.txt').read_text().split())
    assert Counter(answer for *_, answer in sets[2].records).most_common(1) == [('yes', 3_611)]
    for s in sets:
        for i in range(0, len(s), 700):
            example = s[i]
            with Image.open(s.records[i][0]) as image: assert np.array_equal(example.frames, np.asarray(image.convert('RGB')).transpose(2, 0, 1)[None])
            assert len(TASKS['clevrer'].clip(example).frames) == 22

def test_easy_vqa_faults(tmp_path, capsys):
    path = easy(tmp_path, [['what is the red shape?', 'circle', 0], ['is there a triangle?', 'no', 0], ['what color is it?', 'teal', 1]])
    def plausible(read): return all(answer in EasyVQA.vocabulary and '/test/images/' in image and '..' not in image for image, text, answer in read)
    check('easy-VQA, questions.json', lambda: [(str(image), *rest) for image, *rest in EasyVQA(tmp_path, 'test').records], path, np.random.default_rng(0), plausible, capsys)


# TGIF-QA

HEADER = 'gif_name\tquestion\tanswer\ttype\tvid_id\tkey\tdescription'
def row(gif='a', question='what is it ?', answer='cat'): return f'{gif}\t{question}\t{answer}\t0\tFRAMEQA1\t1\ta cat .'
def tgif(root, *rows, part='Test', end='\r\n', header=HEADER): return write(root/f'tgif-qa/{part}_frameqa_question.csv', end.join([header, *rows, '']))

@pytest.mark.parametrize('end', ['\r\n', '\n', '\r\n\r\n'])
@pytest.mark.parametrize('header', [HEADER, '\ufeff' + HEADER])
def test_tgif_as_it_is(end, header, tmp_path):
    tgif(tmp_path, row(), row('b', 'what " is it ?', 'dog'), end=end, header=header)
    dataset = TGIFQA(tmp_path, 'test')
    gifs = tmp_path/'tgif-qa/gifs'
    assert dataset.records == [(gifs/'a.gif', 'what is it ?', 'cat'), (gifs/'b.gif', 'what " is it ?', 'dog')] and dataset.vocabulary == ['cat', 'dog']

@pytest.mark.parametrize('line, message', [
    (row('../x'), "line 3: '../x.gif' does not name a file"), (row('/etc/x'), 'does not name a file'), (row('a/../../x'), 'does not name a file'), (row('x'*300), 'does not name a file'),
    (row('a\x01'), 'does not name a file'), (row(answer=''), 'line 3: a question without an answer'), (row(answer=' '), 'line 3: a question without'), (row(question=''), 'line 3: a question without'),
    (row(answer='c\x00at'), r"'c\x00at' is not a line of text"), (row(answer='c\x1bat'), 'is not a line of text'), (row(answer='a\u2028b'), 'is not a line of text'),
    (row(answer='a\rb'), 'is not a line of text'), ('a\tb', 'line 3 has 2 fields instead of 7'), (row() + '\tx', 'line 3 has 8 fields')])
def test_tgif_refused(line, message, tmp_path):
    tgif(tmp_path, row(), line)
    assert message in refused(TGIFQA, tmp_path)

def test_tgif_without_questions(tmp_path):
    tgif(tmp_path)
    assert 'no examples of TGIF-QA' in refused(TGIFQA, tmp_path)

def test_tgif_does_not_train_on_gifs_of_the_test(tmp_path, capsys):
    tgif(tmp_path, row('a'), row('b'))
    tgif(tmp_path, *[row(f'c{i % 20}', f'what is {i} ?', 'dog') for i in range(100)], row('b', answer='fox'), part='Train')
    parts = [TGIFQA(tmp_path, split) for split in SPLITS]
    gifs = [{path.stem for path, *_ in part.records} for part in parts]
    assert [len(p) for p in parts] == [90, 10, 2] and len(set.union(*gifs)) == 22 and gifs[2] == {'a', 'b'}
    assert parts[0].vocabulary == parts[2].vocabulary == ['cat', 'dog', 'fox']
    assert '1 questions are left out, their GIFs are in the test set' in capsys.readouterr().out

def test_gifs_that_are_gone_are_skipped_only_when_asked(tmp_path, capsys):
    tgif(tmp_path, *[row(name) for name in 'abcd'])
    for name in 'ac': write_video(tmp_path/f'tgif-qa/gifs/{name}.gif')
    dataset = TGIFQA(tmp_path, 'test')
    with pytest.raises(UserError, match='b.gif: no such file; 2 of 4 videos are missing'): list(dataset)
    kept = Cached(dataset, tmp_path/'cache', skip_bad=True)
    out = capsys.readouterr().out
    assert len(kept) == 2 and '2 of 4 examples are skipped' in out and 'b.gif: no such file' in out

def fetching(root, monkeypatch, fault):
    "Which GIFs are fetched, and asked for, where `fault` says what is wrong with an address"
    tgif(root, *[row(f'g{i}') for i in range(30)])
    tgif(root, *[row(f'h{i}') for i in range(30)], part='Train')
    write(root/'tgif-qa/tgif-v1.0.tsv', ''.join(f'https://{name}.example/{name}{i}.gif\ta cat .\n' for i in range(30) for name in 'gh'))
    asked = []
    def download(url, path):
        asked.append(Path(url).stem)
        if fault(url) is None: return write(path, 'GIF89a')
        try: raise fault(url)
        except OSError: raise UserError(f'{url}: cannot be fetched') from None
    monkeypatch.setattr(tgif_qa, 'download', download)
    TGIFQA.download(root)
    return sorted(path.stem for path in (root/'tgif-qa/gifs').iterdir()), asked

def test_a_host_that_is_gone_is_given_up(tmp_path, monkeypatch, capsys):
    there, asked = fetching(tmp_path, monkeypatch, lambda url: URLError('Name or service not known') if '//g.' in url else None)
    assert there == sorted(f'h{i}' for i in range(30)) and sum(name[0] == 'g' for name in asked) == 5
    assert '30 of 60 GIFs cannot be fetched from their addresses' in capsys.readouterr().out

def test_gifs_that_are_gone_do_not_condemn_their_host(tmp_path, monkeypatch, capsys):
    there, asked = fetching(tmp_path, monkeypatch, lambda url: HTTPError(url, 404, 'Not Found', {}, None) if '//g.' in url and not url.endswith('29.gif') else None)
    assert len(there) == 31 and len(asked) == 60 and '29 of 60 GIFs cannot' in capsys.readouterr().out

def test_without_a_network_no_gif_comes(tmp_path, monkeypatch):
    with pytest.raises(UserError, match='60 of 60 GIFs cannot be fetched from their addresses; is there a network'): fetching(tmp_path, monkeypatch, lambda url: URLError('no route'))

def test_tgif_faults(tmp_path, capsys):
    path = tgif(tmp_path, row(), row('b', 'what color is the car ?', 'red'), row('c', 'how many dogs ?', 'two'))
    def plausible(read): return all(answer.strip() and '/tgif-qa/gifs/' in gif and '..' not in gif.split('/') for gif, text, answer in read)
    check('TGIF-QA, Test_frameqa_question.csv', lambda: [(str(gif), *rest) for gif, *rest in TGIFQA(tmp_path, 'test').records], path, np.random.default_rng(0), plausible, capsys)
