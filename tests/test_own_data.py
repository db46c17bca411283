"`-p source folder`: every kind of a user's own data, what is refused, and a run from a folder to its score"
import json, os
from dataclasses import replace
from pathlib import Path
import av
import numpy as np
import pytest
from PIL import Image
from everything_is_video import own_data as module
from everything_is_video.cache import Cached
from everything_is_video.core import UserError
from everything_is_video.datasets import SPLITS, Dataset
from everything_is_video.frames import grey, spectrogram_frame
from everything_is_video.media import read_image, read_sound, save_video, video_frames
from everything_is_video.own_data import own_data
from everything_is_video.tasks import TASKS, Task, open_dataset, open_source

COLOURS = dict(red=(230, 30, 30), green=(30, 200, 30), blue=(30, 60, 230))
TEXTS = [name for name, task in TASKS.items() if task.output in ('word', 'words')]

@pytest.fixture(autouse=True)
def said_anew():
    "What is said once in a process is said in each test"
    module._say.cache_clear()
    module._try_labels.cache_clear()

def new(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

def picture(path, colour=(230, 30, 30), size=(50, 40)):
    Image.new('RGB', size, colour).save(new(path))
    return path

def clip(path, n=12):
    "Greys that become brighter, in the format of the ending"
    frames = np.broadcast_to(np.uint8(20 + 15*np.arange(n)).reshape(n, 1, 1, 1), (n, 3, 64, 64))
    if path.suffix != '.webm': save_video(frames, new(path))
    else:
        with av.open(str(new(path)), 'w') as video:
            stream = video.add_stream('libvpx', rate=4)
            stream.width, stream.height, stream.pix_fmt = 64, 64, 'yuv420p'
            for frame in frames: video.mux(stream.encode(av.VideoFrame.from_ndarray(frame.transpose(1, 2, 0).copy(), 'rgb24')))
            video.mux(stream.encode())
    return path

CODECS = dict(wav='pcm_s16le', flac='flac', mp3='libmp3lame', ogg='libopus', m4a='aac')

def sound(path, pitch=440, rate=48_000):
    frame = av.AudioFrame.from_ndarray(np.float32(.3*np.sin(2*np.pi*pitch*np.arange(rate//2)/rate))[None], 'fltp', 'mono')
    frame.rate = rate
    with av.open(str(new(path)), 'w') as file:
        stream = file.add_stream(CODECS[path.suffix[1:]], rate=rate, layout='mono')
        stream.codec_context.open()
        convert = av.AudioResampler(stream.format.name, 'mono', rate, stream.codec_context.frame_size or None)
        for part in convert.resample(frame) + convert.resample(None): file.mux(stream.encode(part))
        file.mux(stream.encode())
    return path

def table(path, *rows):
    new(path).write_text('\n'.join(rows) + '\n', encoding='utf-8')
    return path

def pictures(root, n=4, parts=('train', 'test')):
    for part in parts:
        for name, colour in COLOURS.items():
            for i in range(n): picture(root/part/name/f'{i}.png', colour, (50, 40 + len(part)))  # no copies

def texts(root, n=6):
    for part in 'train', 'test': table(root/f'{part}.csv', 'text,label', *[f'{part} {i},{"good" if i % 2 else "bad"}' for i in range(n)])

def sequence(place, n=30, box='10,10,20,20'):
    for t in range(1, n + 1): picture(place/f'img/{t:08}.jpg', size=(64, 64))
    table(place/'groundtruth.txt', *[box]*n)

def opened(task, root): return [own_data(TASKS[task], root, split) for split in SPLITS]

def refused(task, root, *words, split='train'):
    "One line that says these words"
    with pytest.raises(UserError) as caught: open_dataset(TASKS[task], 'folder', root, split)
    line = str(caught.value)
    assert '\n' not in line and len(line) < 400
    for word in words: assert word in line, line

def apart(sets):
    "No file and no text is in two of them"
    keys = [{record[0] or record[1] for record in data.records} for data in sets]
    assert not keys[0] & keys[1] and not keys[0] & keys[2] and not keys[1] & keys[2]
    return set.union(*keys)


# each kind is read right

def test_pictures(tmp_path, capsys):
    root = tmp_path/'my_data'
    pictures(root)
    for ending in 'JPG', 'webp', 'bmp', 'tif': picture(root/f'train/red/x.{ending}')
    sets = opened('cifar10', root)
    assert {data.name for data in sets} == {'own data (my_data)'}
    assert [data.vocabulary for data in sets] == [['blue', 'green', 'red']]*3 and capsys.readouterr().out == ''
    assert [len(data) for data in sets] == [15, 1, 12] and len(apart(sets)) == 28
    for data in sets:
        for i in range(len(data)):
            example = data[i]
            assert example.answer == data.records[i][0].parent.name and example.frames.shape == (1, 3, 64, 64)
            assert abs(example.frames[0, :, 30, 30] - np.array(COLOURS[example.answer])).max() < 6
    assert TASKS['cifar10'].clip(sets[2][0]).targets == ['blue']

@pytest.mark.parametrize('ending', CODECS)
def test_sounds(tmp_path, ending):
    for label, pitch in dict(low=200, high=3000).items():
        for i in range(3): path = sound(tmp_path/f'train/{label}/{i}.{ending}', pitch + 10*i)
    sets = opened('audiomnist', tmp_path)
    assert [len(data) for data in sets] == [4, 1, 1] and len(apart(sets)) == 6
    of, = [data for data in sets if path in [record[0] for record in data.records]]
    example = of[[record[0] for record in of.records].index(path)]
    assert example.answer == 'high' and np.array_equal(example.frames, spectrogram_frame(*read_sound(path))[None])

@pytest.mark.parametrize('ending', ['mp4', 'webm', 'mkv', 'mov', 'gif', 'avi'])
def test_videos(tmp_path, ending):
    for i in range(4): path = clip(tmp_path/f'train/{"ab"[i % 2]}/{i}.{ending}')
    clip(tmp_path/f'test/b/x.{ending}', 11)
    train, validation, test = opened('tinyvirat', tmp_path)
    assert [len(train), len(validation), len(test)] == [3, 1, 1]
    assert test[0].answer == ['b'] and np.array_equal(test[0].frames, video_frames(tmp_path/f'test/b/x.{ending}', 10))
    assert TASKS['tinyvirat'].clip(test[0]).frames.shape == (12, 3, 64, 64)

@pytest.mark.parametrize('ending', ['csv', 'tsv', 'jsonl'])
def test_several_labels(tmp_path, ending):
    for i in range(4): clip(tmp_path/f'clips/{i}.gif')
    labels = ['run, jump', 'run;sit', 'sit', 'jump,run,jump']
    if ending == 'csv': rows = ['id,file,labels', *[f'{i},clips/{i}.gif,"{text}"' for i, text in enumerate(labels)]]
    if ending == 'tsv': rows = ['file\tlabels', *[f'clips/{i}.gif\t{text}' for i, text in enumerate(labels)]]
    if ending == 'jsonl':
        lists = [text.replace(';', ',').replace(' ', '').split(',') for text in labels]
        rows = [json.dumps(dict(file=f'clips/{i}.gif', labels=text)) for i, text in enumerate(lists)]
    table(tmp_path/f'train.{ending}', *rows)
    sets = opened('tinyvirat', tmp_path)
    records = {record[0].name: record[2] for data in sets for record in data.records}
    assert records == {'0.gif': ['run', 'jump'], '1.gif': ['run', 'sit'], '2.gif': ['sit'], '3.gif': ['jump', 'run']}
    assert sets[0].vocabulary == ['jump', 'run', 'sit'] and {data.n_frames for data in sets} == {10}

def written(ending, rows, columns):
    "Rows as a table"
    if ending == 'jsonl': return [json.dumps(dict(zip(columns, row)), ensure_ascii=False) for row in rows]
    if ending == 'tsv': return ['\t'.join(map(str, row)) for row in [columns, *rows]]
    return [','.join(f'"{value}"' if ',' in str(value) else str(value) for value in row) for row in [columns, *rows]]

@pytest.mark.parametrize('ending', ['csv', 'tsv', 'jsonl'])
def test_texts(tmp_path, ending):
    rows = [('good, very good', 1), ('bad', 0), ('naïve ж', 0), ('more  of   it', 1)]
    table(tmp_path/f'test.{ending}', *written(ending, rows, ['text', 'label']))
    table(tmp_path/f'train.{ending}', *written(ending, [(f'{text}, too', label) for text, label in rows], ['text', 'label']))
    train, validation, test = opened('sst2', tmp_path)
    assert [record[1:] for record in test.records] == [('good, very good', '1'), ('bad', '0'), ('naïve ж', '0'), ('more of it', '1')]
    assert len(train) == 3 and len(validation) == 1 and train.vocabulary == ['0', '1']
    assert train[0].frames.shape == (0, 3, 64, 64) and train.n_frames == 0
    assert TASKS['sst2'].clip(test[1]).inputs[-2:] == ['bad', '|']

def test_a_table_as_excel_writes_it(tmp_path):
    content = '\ufefftext,label\r\n"she said ""no"", twice",bad\r\n\r\n"two\r\nlines",good\r\n'
    (tmp_path/'train.csv').write_bytes(content.replace('e', 'o').replace('toxt,labol', 'text,label').encode())
    (tmp_path/'test.csv').write_bytes(content.encode())
    test = own_data(TASKS['sst2'], tmp_path, 'test')
    assert [record[1:] for record in test.records] == [('she said "no", twice', 'bad'), ('two lines', 'good')]

def test_tab_delimited_text_of_a_spreadsheet(tmp_path):
    content = 'text\tlabel\r\n"she said ""no"", twice"\tbad\r\nsay "no" , café\tbad\r\n"two\r\nlines"\tgood\r\n'
    (tmp_path/'test.tsv').write_bytes(content.encode())
    table(tmp_path/'train.tsv', 'text\tlabel', 'a\tbad', 'b\tgood')
    test = own_data(TASKS['sst2'], tmp_path, 'test')
    assert [record[1:] for record in test.records] == [('she said "no", twice', 'bad'), ('say "no" , café', 'bad'), ('two lines', 'good')]
    for content, words in {'"Best" film\tbad': "line 2: ' ' expected after", '"Best film\tbad\nworst" film\tbad': 'line 3: ', '"a\tbad\nb"\tgood': 'line 3 has a tab within quotes'}.items():
        table(tmp_path/'test.tsv', 'text\tlabel', content)
        refused('sst2', tmp_path, 'test.tsv: not a table', words)

@pytest.mark.parametrize('task', ['clevrer', 'tgif_qa'])
@pytest.mark.parametrize('ending', ['csv', 'tsv', 'jsonl'])
def test_questions(tmp_path, task, ending):
    rows = []
    for i in range(4):
        clip(tmp_path/f'clips/{i}.{"mp4" if task == "clevrer" else "gif"}')
        name = sorted(path.name for path in (tmp_path/'clips').iterdir())[i]
        rows += [(f'clips/{name}', 'how bright, at last?', 'very'), (f'clips/{name}', 'a cube?', 'no')]
    table(tmp_path/f'train.{ending}', *written(ending, rows, ['file', 'question', 'answer']))
    sets = opened(task, tmp_path)
    assert sets[0].name.endswith(', a tenth for the test)') and len(apart(sets)) == 4  # a clip's questions stay together
    assert [len(data) for data in sets] == [4, 2, 2] and sets[0].vocabulary == ['no', 'very']
    example = sets[2][0]
    assert (example.text, example.answer) == ('how bright, at last?', 'very')
    assert np.array_equal(example.frames, video_frames(sets[2].records[0][0], 4))
    assert TASKS[task].clip(example).inputs[-2:] == ['?', '|']

def test_questions_about_pictures(tmp_path):
    for name, colour in COLOURS.items(): picture(tmp_path/f'{name}.png', colour)
    table(tmp_path/'train.csv', 'file,question,answer', *[f'{name}.png,which colour?,{name}' for name in COLOURS])
    sets = opened('clevrer', tmp_path)
    assert [len(data) for data in sets] == [1, 1, 1] and sets[0].n_frames == 1
    assert np.array_equal(sets[1][0].frames, read_image(tmp_path/f'{sets[1][0].answer}.png')[None])

@pytest.mark.parametrize('layout', ['lists', 'train and test', 'neither'])
def test_tracking(tmp_path, layout):
    places = {'lists': 'cat/cat-{}', 'train and test': '{part}/{}', 'neither': 'cats/{}'}[layout]
    for i in range(5): sequence(tmp_path/places.format(i, part='test' if i == 4 else 'train'), box=f'{i},10,20,20')
    if layout == 'lists':
        table(tmp_path/'training_set.txt', *[f'cat-{i}' for i in range(4)])
        table(tmp_path/'testing_set.txt', 'cat-4')
    sets = opened('lasot', tmp_path)
    assert (', a tenth for the test' in sets[0].name) == (layout == 'neither')
    assert len({record[0][0] for data in sets for record in data.records}) == 5 and [len(data) for data in sets] == [3, 1, 1]
    last = own_data(TASKS['lasot'], tmp_path, 'test')
    assert last[0].frames.shape == (20, 3, 64, 64) and last[0].answer.shape == (20, 4)
    number = int(last.records[0][0][0].name.split('-')[-1])
    assert last[0].answer[0].tolist() == [number, 10, number + 19, 29]
    assert TASKS['lasot'].clip(last[0]).frames.shape == (41, 3, 64, 64)

@pytest.mark.parametrize('layout', ['flat', 'deep', 'train and test'])
def test_colorization(tmp_path, layout):
    names = {'flat': '{}', 'deep': 'a/b{}/{}', 'train and test': '{part}/more/{}'}[layout]
    for i in range(5): clip(tmp_path/f'{names.format(i, i, part="test" if i == 4 else "train")}.gif', 12 + i)
    sets = opened('colorization', tmp_path)
    assert len(apart(sets)) == 5 and [len(data) for data in sets] == [3, 1, 1]
    assert sets[0].vocabulary is None
    example = sets[2][0]
    given = TASKS['colorization'].clip(example)
    assert np.array_equal(given.frames[11:], example.frames) and np.array_equal(given.frames[:10], grey(example.frames))


# the split

def test_without_a_test_set(tmp_path):
    pictures(tmp_path, 20, ['train'])
    sets = opened('cifar10', tmp_path)
    assert [len(data) for data in sets] == [49, 5, 6] and len(apart(sets)) == 60
    assert {data.name for data in sets} == {f'own data ({tmp_path.name}, a tenth for the test)'}
    assert [data.records for data in opened('cifar10', tmp_path)] == [data.records for data in sets]

def test_equal_texts_stay_in_one_part(tmp_path):
    table(tmp_path/'train.csv', 'text,label', *[f'text {i % 20},{"ab"[i % 2]}' for i in range(60)])
    assert len(apart(opened('sst2', tmp_path))) == 20

@pytest.mark.parametrize('again', ['train 1,good', 'train 1,bad', 'train  1 ,good'])
def test_equal_texts_in_both_parts(tmp_path, again):
    texts(tmp_path)
    with open(tmp_path/'test.csv', 'a') as file: file.write(f'{again}\ntrain 3,good\n')
    for split in SPLITS: refused('sst2', tmp_path, "2 texts of the test are in train too, the first is 'train 1'; take them out of one", split=split)

def test_copies_in_both_parts(tmp_path):
    pictures(tmp_path)
    (tmp_path/'test/blue/copy.png').write_bytes((tmp_path/'train/red/2.png').read_bytes())
    for split in SPLITS: refused('cifar10', tmp_path, 'test/blue/copy.png: the same content as', 'one of 1 such files', split=split)

def test_labels_of_the_test_set_count(tmp_path):
    texts(tmp_path)
    with open(tmp_path/'test.csv', 'a') as file: file.write('a new one,neither\n')
    assert {tuple(data.vocabulary) for data in opened('sst2', tmp_path)} == {('bad', 'good', 'neither')}

def test_hidden_names_are_not_seen(tmp_path):
    pictures(tmp_path)
    before = [data.records for data in opened('cifar10', tmp_path)]
    for name in '.DS_Store', 'train/.DS_Store', 'train/red/._0.png', 'train/.ipynb_checkpoints/x.png', '.git/HEAD', 'README.txt':
        new(tmp_path/name).write_bytes(b'x')
    assert [data.records for data in opened('cifar10', tmp_path)] == before


# labels

def test_labels_that_draw_alike(tmp_path):
    for label in 'caf\u00e9', 'cafe\u0301': picture(tmp_path/f'train/{label}/1.png')
    for label in 'caf\u00e9', 'tea': picture(tmp_path/f'test/{label}/1.png')
    refused('cifar10', tmp_path, 'draws the same frame as', 'rename one')

@pytest.mark.parametrize('task', ['sst2', 'tinyvirat'])
def test_labels_that_ocr_confuses(tmp_path, capsys, task):
    for i in range(12): clip(tmp_path/f'{i}.gif')
    columns = 'file,labels' if task == 'tinyvirat' else 'text,label'
    table(tmp_path/'train.csv', columns, *[f'{i}.gif,{label}' for i, label in enumerate(['O', '0', 'horse']*4)])
    for _ in range(2): opened(task, tmp_path)
    out = capsys.readouterr().out
    assert out.count('\n') == 1 and 'OCR reads 1 of 3 labels wrongly' in out and 'horse' not in out and 'rename' in out

def test_labels_are_not_tried_without_tesseract(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    labels = 'never', 'read', 'before'  # else what was read is remembered
    table(tmp_path/'train.csv', 'text,label', *[f'{i},{labels[i % 3]}ly' for i in range(9)])
    assert len(opened('sst2', tmp_path)[0]) == 8 - 1
    out = capsys.readouterr().out
    assert out.count('\n') == 1 and 'not tried with OCR: tesseract is not installed' in out

def test_one_label(tmp_path):
    for i in range(4): picture(tmp_path/f'train/images/{i}.png')
    refused('cifar10', tmp_path, "all examples are 'images'; give at least two labels")

@pytest.mark.parametrize('label', ['a,b', 'v1.0', 'what!', 'a;b', 'a:b'])
def test_a_separator_within_a_label(tmp_path, label):
    for name in label, 'other': clip(tmp_path/f'train/{name}/1.gif')
    clip(tmp_path/'test/other/2.gif')
    refused('tinyvirat', tmp_path, f'the label {label!r} has one of')

def test_a_text_that_is_cut_is_said(tmp_path, capsys):
    texts(tmp_path)
    with open(tmp_path/'train.csv', 'a') as file: file.write(f'{"word "*21},good\n{"word "*20},bad\n')
    opened('sst2', tmp_path)
    assert capsys.readouterr().out.endswith(': 1 of 14 texts are too long; task sst2 has 20 frames for them, the rest is left out\n')


# refusals

@pytest.mark.parametrize('task', TASKS)
def test_no_folder_and_an_empty_one(tmp_path, task):
    refused(task, tmp_path/'nowhere', 'nowhere: no such folder; set data_dir')
    refused(task, tmp_path, 'it is empty; put your files there')
    (tmp_path/'.hidden').touch()
    refused(task, tmp_path, 'it is empty; put your files there')

@pytest.mark.parametrize('task', TEXTS)
def test_no_training_set(tmp_path, task):
    (tmp_path/'cat').mkdir()
    refused(task, tmp_path, 'has no folder train', 'train.csv; put it there')

def test_empty_folders_within(tmp_path):
    pictures(tmp_path)
    (tmp_path/'train/empty').mkdir()
    for split in SPLITS: refused('cifar10', tmp_path, 'train/empty: it is empty; put your files there, or remove it', split=split)
    (tmp_path/'train/empty').rmdir()
    (tmp_path/'more').mkdir()
    refused('cifar10', tmp_path, 'more: neither train nor test; join it to one of them')

@pytest.mark.parametrize('name,words', {
    'train/x.png': 'x.png: is in no folder', 'test/red/deep/x.png': 'x.png: is in no folder', 'train/red/x.txt': 'x.txt: not a picture (png, jpg',
    'test/red/x.mp4': 'x.mp4: not a picture', 'train/red/x.png.gif': 'gif: not a picture', 'train/red/x': 'x: not a picture', 'val/x.png': 'val: neither train nor test'}.items())
def test_odd_files(tmp_path, name, words):
    pictures(tmp_path)
    new(tmp_path/name).write_bytes(b'x')
    for split in SPLITS: refused('cifar10', tmp_path, words, split=split)

def test_what_is_no_picture_inside(tmp_path):
    pictures(tmp_path, 1)
    (tmp_path/'test/red/0.png').write_bytes(b'<html>')
    with pytest.raises(UserError, match='0.png: not an image'): [own_data(TASKS['cifar10'], tmp_path, 'test')[i] for i in range(3)]
    skipped = open_dataset(TASKS['cifar10'], 'folder', tmp_path, 'test', cache=tmp_path/'.cache', skip_bad=True)
    assert isinstance(skipped, Cached) and len(skipped) == 2

@pytest.mark.parametrize('task,wrong', [('cifar10', 'a.wav'), ('audiomnist', 'a.png'), ('tinyvirat', 'a.png'), ('colorization', 'a.png'), ('colorization', 'notes.txt')])
def test_the_kind_of_another_task(tmp_path, task, wrong):
    new(tmp_path/f'train/a/{wrong}').write_bytes(b'x')
    refused(task, tmp_path, f'{wrong}: not a ', f'which task {task} takes here; convert, move or remove it')

def test_pictures_and_clips_together(tmp_path):
    picture(tmp_path/'a.png')
    clip(tmp_path/'b.gif')
    table(tmp_path/'train.csv', 'file,question,answer', 'a.png,what?,one', 'b.gif,what?,two')
    refused('clevrer', tmp_path, 'holds pictures and videos; keep one kind in a folder')
    table(tmp_path/'train.jsonl', '{"file": "a.png", "question": "x", "answer": "a"}', '{"question": "y", "answer": "b"}')
    (tmp_path/'train.csv').unlink()
    refused('clevrer', tmp_path, 'train.jsonl, line 2: None is no file')

WRONG = {
    '': 'it has no rows', 'text,label': 'it has no rows', 'text,label\na,': "line 2: '' is no label", 'text,label\n,a': "line 2: '' is no text",
    'sentence,label\na,b': "no column 'text', it has sentence, label", 'text,labels\na,b': "no column 'label', it has text, labels; task sst2 takes the columns text,label; rename yours",
    'text;label\na;b': "no column 'text', it has text;label", 'text,label\na': 'line 2 has 1 fields instead of 2',
    'text,label\na,b,c': 'line 2 has 3 fields', 'text,text\na,b': 'twice the same column', 'text,label\n"a"b,c': 'expected after', 'text,label\n"a,b': 'unexpected end of data',
    'file,question,answer\na,b,c': "no column 'text', it has file, question, answer", 'file,label\nno.png,a': "no column 'text'", 'text,label\na\x01,b\nc,d': 'is not a line of text without control characters', 'text,label\na,b\nc,b': "all examples are 'b'"}

@pytest.mark.parametrize('part', ['train', 'test'])
@pytest.mark.parametrize('content', WRONG, ids=repr)
def test_tables_with_faults(tmp_path, part, content):
    texts(tmp_path)
    if 'all examples' in WRONG[content]: table(tmp_path/'train.csv', content), table(tmp_path/'test.csv', content)
    else: (tmp_path/f'{part}.csv').write_text(content)
    for split in SPLITS: refused('sst2', tmp_path, WRONG[content], split=split)

@pytest.mark.parametrize('name,words', {'no.png': 'train.csv, line 2: ', '../x.png': 'does not name a file', '/etc/passwd': 'does not name a file'}.items())
def test_a_table_names_no_file(tmp_path, name, words):
    table(tmp_path/'train.csv', 'file,label', f'{name},a')
    refused('cifar10', tmp_path, words)

def test_the_task_says_which_columns_are_meant(tmp_path):
    for i in range(6): clip(tmp_path/f'{i}.gif'), picture(tmp_path/f'{i}.png')
    rows = {ending: [f'{i}.{ending},{"ab"[i % 2]},{"cd"[i % 2]},text {i},what?,{"ef"[i % 2]}' for i in range(6)] for ending in ('gif', 'png')}
    found = {}
    for task, ending in dict(tinyvirat='gif', cifar10='png', sst2='png', clevrer='png', tgif_qa='gif').items():
        table(tmp_path/'train.csv', 'file,label,labels,text,question,answer', *rows[ending])
        data = opened(task, tmp_path)[0]
        file, text, answer = data.records[0]
        found[task] = file and file.suffix, text.split()[:1], data.vocabulary, data.n_frames
    assert found == {'tinyvirat': ('.gif', [], ['c', 'd'], 10), 'cifar10': ('.png', [], ['a', 'b'], 1), 'sst2': (None, ['text'], ['a', 'b'], 0),
                     'clevrer': ('.png', ['what?'], ['e', 'f'], 1), 'tgif_qa': ('.gif', ['what?'], ['e', 'f'], 4)}

@pytest.mark.parametrize('content,words', {b'text,label\n\xff\xfe,a\n': 'not a table in UTF-8', b'[1]\n': 'line 1 is no JSON object', b'{"text": "a"}\n': "no column 'label'",
    b'{"text": "a", "label": ["a", "b"]}\n': 'is no label', b'{"text": "a", "label": null}\n': 'None is no label', b'{"text": "a", "label": "b"}\n{"text": "a"}\n': 'line 2: None is no label',
    b'{"text": "a"\n': 'line 1 is no JSON', b'['*100_000: 'not a table'}.items(), ids=lambda x: repr(x)[:40])
def test_json_with_faults(tmp_path, content, words):
    (tmp_path/'train.jsonl').write_bytes(content)
    refused('sst2', tmp_path, 'train.jsonl', words)

def test_a_test_set_of_the_other_form(tmp_path):
    pictures(tmp_path)
    names = [f'{part}/{label}/{i}.png' for part in ('train', 'test') for label in COLOURS for i in range(4)]
    rows = {part: [f'{name},{name.split("/")[1]}' for name in names if name.startswith(part)] for part in ('train', 'test')}
    table(tmp_path/'test.csv', 'file,label', *rows['test'])
    for split in SPLITS: refused('cifar10', tmp_path, 'test.csv: train is a folder and this is not; make both a folder', split=split)
    table(tmp_path/'train.csv', 'file,label', *rows['train'])
    assert [len(data) for data in opened('cifar10', tmp_path)] == [11, 1, 12]  # the tables name files in both folders
    (tmp_path/'test.csv').unlink()
    for name in 'test', 'Test':
        (tmp_path/'test').rename(tmp_path/name)
        for split in SPLITS: refused('cifar10', tmp_path, f'{name}: train is a table and this is not; make both a table', split=split)
        (tmp_path/name).rename(tmp_path/'test')

@pytest.mark.parametrize('name', ['Test', 'TEST', 'val', 'Val', 'validation', 'valid'])
def test_a_test_set_that_would_be_trained_on(tmp_path, name):
    for i in range(4): clip(tmp_path/f'clips/{"train" if i else name}/{i}.gif'), sequence(tmp_path/f'boxes/{"train" if i else name}/{i}', 25)
    for split in SPLITS: refused('colorization', tmp_path/'clips', f'{name}: would be trained on', 'name folders train and test', split=split)
    refused('lasot', tmp_path/'boxes', f'{name}: would be trained on')

@pytest.mark.parametrize('text,label', [('a {}', 'good'), ('a', '{}')])
def test_letters_that_no_font_has(tmp_path, text, label):
    unicorn = '\U0001f984'
    texts(tmp_path)
    with open(tmp_path/'test.csv', 'a', encoding='utf-8') as file: file.write(f'{text},{label}\n'.format(unicorn))
    for split in SPLITS: refused('sst2', tmp_path, f'no font here can draw {unicorn} (U+1F984)', split=split)

def test_letters_of_a_question(tmp_path):
    for name, colour in COLOURS.items(): picture(tmp_path/f'{name}.png', colour)
    table(tmp_path/'train.csv', 'file,question,answer', 'red.png,what?,a', 'green.png,what?,b')
    table(tmp_path/'test.csv', 'file,question,answer', 'blue.png,\U0001f984?,a')
    for split in SPLITS: refused('clevrer', tmp_path, "the text '\U0001f984?': no font here can draw", split=split)

def test_two_tables(tmp_path):
    texts(tmp_path)
    (tmp_path/'train.csv').rename(tmp_path/'train.tsv')
    texts(tmp_path)
    refused('sst2', tmp_path, 'there are two tables train; remove one of them')
    (tmp_path/'train.tsv').rename(tmp_path/'dev.tsv')
    refused('sst2', tmp_path, 'dev.tsv: neither train nor test')

def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path/'train.csv')
    refused('sst2', tmp_path, 'train.csv')

def test_a_file_in_two_rows(tmp_path):
    for i in range(4): clip(tmp_path/f'{i}.gif')
    rows = [f'{i}.gif,{"ab"[i % 2]}' for i in range(4)]
    table(tmp_path/'train.csv', 'file,labels', *rows, '0.gif,b')
    refused('tinyvirat', tmp_path, '0.gif: is listed twice; give it one row')
    table(tmp_path/'train.csv', 'file,labels', *rows)
    table(tmp_path/'test.csv', 'file,labels', '0.gif,a')
    refused('tinyvirat', tmp_path, '0.gif: is for training and for the test')

def test_tracking_with_faults(tmp_path):
    for i in range(4): sequence(tmp_path/f'cat/cat-{i}', 5)
    table(tmp_path/'training_set.txt', 'cat-0')
    refused('lasot', tmp_path, 'testing_set.txt: no such file; write it, or remove the other list')
    (tmp_path/'training_set.txt').unlink()
    table(tmp_path/'cat/cat-3/groundtruth.txt', '1,2,3,4')
    for split in SPLITS: refused('lasot', tmp_path, 'cat-3/groundtruth.txt', '1 lines of 4 numbers for 5 images', split=split)
    for i in range(4): (tmp_path/f'cat/cat-{i}/groundtruth.txt').unlink()
    refused('lasot', tmp_path, 'no groundtruth.txt in it')

def test_too_few(tmp_path):
    pictures(tmp_path, 1, ['train'])
    (tmp_path/'train/red/0.png').unlink()
    (tmp_path/'train/red').rmdir()
    refused('cifar10', tmp_path, 'without the tenth for the test: 1 is too few')


# every task, and a run

def test_messages_name_the_source(tmp_path):
    for name, task in TASKS.items():
        with pytest.raises(UserError, match=f'source=.folders.: task {name} has no such source; .*, folder$'): open_source(task, 'folders', tmp_path, 'test')

def test_a_task_defined_elsewhere(tmp_path):
    class Never(Dataset): pass
    class Elsewhere(Task): name, title, n_input, batch_size, sources = 'elsewhere', 'Elsewhere', 4, 8, {'official': Never}
    try:
        texts(tmp_path)
        data = open_dataset(TASKS['elsewhere'], 'folder', tmp_path, 'test')
        assert TASKS['elsewhere'].clip(data[0]).inputs == ['', 'test', '0', '|']
        for i in range(4): clip(tmp_path/f'clips/train/{"ab"[i % 2]}/{i}.gif')
        assert open_dataset(TASKS['elsewhere'], 'folder', tmp_path/'clips', 'test')[0].frames.shape == (3, 3, 64, 64)
    finally: del TASKS['elsewhere']

def test_from_a_folder_to_a_score(tmp_path):
    from everything_is_video.generation import predict
    from everything_is_video.metrics import score
    from everything_is_video.runs import Config
    from everything_is_video.training import train
    pictures(tmp_path/'my_data')
    config = Config('cifar10', 'folder', str(tmp_path/'my_data'), preset='tiny', steps=2, batch_size=4, device='cpu', run_dir=str(tmp_path/'run'))
    train(config)
    found = score(predict(config))
    assert (found['source'], found['dataset'], found['n'], found['n_train']) == ('folder', 'own data (my_data)', 12, 11)
    assert 0 <= found['metrics']['accuracy'] <= 1

def test_weights_of_a_folder(tmp_path, monkeypatch):
    "Terms are the user's own; the folder is found again, and no sample is made in it"
    hub = pytest.importorskip('everything_is_video.hub')
    run, weights, own, moved = (tmp_path/name for name in ('run', 'weights', 'my_data', 'moved'))
    test_from_a_folder_to_a_score(tmp_path)
    before = sorted(own.rglob('*'))
    def broken(*_): raise UserError('no card')
    with monkeypatch.context() as patch:
        patch.setattr(hub, 'model_card', broken)
        with pytest.raises(UserError, match='no card'): hub.save_weights(run, weights)
    assert not weights.exists()
    hub.save_weights(run, weights)
    assert sorted(path.name for path in weights.iterdir()) == ['README.md', 'config.json', 'model.safetensors']
    assert "the user's own" in (weights/'README.md').read_text(encoding='utf-8')
    for where in run, weights:
        for data_dir in '', str(own): assert hub.load_task(where=where, data_dir=data_dir)[2].name == 'own data (my_data)'
    assert hub.find_data(TASKS['cifar10'], ['folder'], str(own)).name == 'own data (my_data)'
    assert sorted(own.rglob('*')) == before
    own.rename(moved)
    assert hub.load_task(where=weights, data_dir=str(moved))[2].name == 'own data (moved)'
    assert hub.load_task(where=weights, data_dir=str(tmp_path/'data'))[2].name == 'CIFAR-10 sample (200 generated)'

def test_a_run_belongs_to_one_folder(tmp_path):
    "Another folder has another run, and is refused to this one; pictures with labels are not mirrored"
    from everything_is_video.runs import opened_run, read_config
    from everything_is_video.training import Trainer
    for name in 'one', 'two':
        for label, colour in COLOURS.items():
            for i in range(6): picture(tmp_path/name/'train'/label/f'{i}.png', colour)
    def settings(name, **more):
        return read_config(dict(task='cifar10', source='folder', preset='fast', batch_size=2, steps=2, device='cpu', data_dir=str(tmp_path/name), **more))
    assert settings('one').name == 'cifar10-folder-one-fast-0' != settings('two').name
    first, second = (settings(name, run_dir=str(tmp_path/'run')) for name in ('one', 'two'))
    with opened_run(first, first.recipe): pass
    with pytest.raises(UserError, match='data_dir was'), opened_run(second, second.recipe): pass
    small = settings('one', run_dir=str(tmp_path/'small'))
    recipe = replace(small.recipe, model=replace(small.recipe.model, K=32, heads=2, global_blocks=1))
    assert not Trainer(small, recipe).parts[0].augmentation.mirror
