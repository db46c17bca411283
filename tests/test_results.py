"What runs leave in their folders: read whole or refused in one line, and text on its way into tables stays text"
import csv, io, json, os, shutil, subprocess, sys
from pathlib import Path
import mistune
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from everything_is_video import ocr
from everything_is_video.campaign import published
from everything_is_video.folders import RunFolder
from everything_is_video.core import UserError, write_json
from everything_is_video.frames import text_frame
from everything_is_video.metrics import load_predictions, score
from everything_is_video.results import (
    put_table, read_run, read_runs, show_row, table2, to_latex, to_markdown, write_table)

ROOT = Path(__file__).parents[1]
WORDS = 'cat', 'dog', 'ship', 'cat'
NAMES = 'cifar10-jpeg-small-0', 'colorization-sample-1000-grey-0', 'sst2-official-small-0'

def refused(function, *arguments):
    "The one line with which something is refused"
    with pytest.raises(UserError) as caught: function(*arguments)
    line = str(caught.value)
    assert line and '\n' not in line
    return line

def arrays(**others):
    "What predictions.npz holds: four words, the second read as another"
    def drawn(words): return np.stack([np.broadcast_to(text_frame(word), (1, 3, 64, 64)) for word in words])
    examples = [json.dumps(dict(index=i, answer=word, text='')) for i, word in enumerate(WORDS)]
    about = dict(task='cifar10', output='word', vocabulary=['cat', 'dog', 'ship'], samples=dict(clips=[0, 1], given=1))
    frames, targets = drawn(['cat', 'cat', 'ship', 'cat']), drawn(WORDS)
    samples = np.concatenate([targets[:2], frames[:2]], 1)
    return dict(frames=frames, targets=targets, examples=np.array(examples), samples=samples, meta=json.dumps(about)) | others

@pytest.fixture
def run(tmp_path):
    run = RunFolder(tmp_path/'run')
    run.path.mkdir()
    write_json(run.metrics, dict(task='cifar10', dataset='made up', preset='none', device='none', seed=0, train_seconds=1.,
                                 steps=3, metrics={}))
    np.savez_compressed(run.predictions, **arrays())
    return run

@pytest.fixture
def runs(tmp_path):
    "Some of the committed runs, to be spoilt"
    for name in NAMES: shutil.copytree(ROOT/'runs'/name, tmp_path/'runs'/name)
    return tmp_path/'runs'

def test_metrics_stand_alone():
    "Frames and core, and nothing of the model, the datasets or the training"
    script = "import sys, everything_is_video.metrics; print(*(m for m in sys.modules if m.startswith('everything_is_video.')))"
    done = subprocess.run([sys.executable, '-c', script], cwd=ROOT, capture_output=True, text=True, check=True)
    names = {name.removeprefix('everything_is_video.') for name in done.stdout.split()}
    assert names <= {'core', 'folders', 'frames', 'lettering', 'media', 'metrics', 'ocr'}, names

# a run's summary

SPOILT = {'metrics.json': ['{"task": ', '[1]', '"text"', '{"task": "sst2"}', '\ufeff{}', '[' * 100_000],
          'config.json': ['{', '[]', '3'],
          'log.csv': ['step,seconds\n1,2\n', 'step,seconds,validation_ssim\nx,1,2\n', 'step,seconds,validation_ssim\n1,2\n',
                      'step,seconds,validation_ssim\n1,2,good\n']}

@pytest.mark.parametrize('name, text', [(name, text) for name, texts in SPOILT.items() for text in texts],
                         ids=lambda text: text[:20])
def test_one_broken_run(runs, capsys, name, text):
    "It is named, and its row says so; the other rows are as they were"
    whole = read_runs(runs)
    (runs/NAMES[0]/name).write_text(text, encoding='utf-8')
    line = refused(read_run, runs/NAMES[0])
    assert str(runs/NAMES[0]/name) in line
    spoilt = read_runs(runs)
    assert capsys.readouterr().out == f'left out: {line}\n'
    table = table2(spoilt)
    assert table.iloc[-1].Model == NAMES[0] and table.iloc[-1].Run == f'left out: {line}'
    assert table.iloc[:-1].equals(table2(whole[whole.run != NAMES[0]]))

def test_latin1_and_folders(runs):
    for name in 'metrics.json', 'config.json', 'log.csv':
        path = runs/NAMES[0]/name
        kept = path.read_bytes()
        path.write_bytes(kept + b'\xe9')
        assert str(path) in refused(read_run, runs/NAMES[0])
        path.write_bytes(kept)
    read_run(runs/NAMES[0])

def test_numbers(runs):
    "No NaN, no text, no truth value gets into the table as a number"
    run = RunFolder(runs/NAMES[0])
    whole = run.read_metrics()
    for value in float('nan'), float('inf'), 10**400, '31', True, None, [1]:
        for change in dict(metrics=dict(psnr=value)), dict(train_seconds=value), dict(n=value), dict(seed=value), dict(steps=value):
            write_json(run.metrics, whole | change)
            assert str(run.metrics) in refused(read_run, run), change
    for interval in [0, float('nan')], [0, None], [0], [3, 2], 'ab', 3:
        write_json(run.metrics, whole | dict(intervals=dict(psnr=interval)))
        assert str(run.metrics) in refused(read_run, run), interval
    write_json(run.metrics, whole | dict(something='new', lists=[1, 2]))  # of a newer version
    assert read_run(run)['something'] == 'new'

def test_mutated_summaries(runs):
    "Bytes changed, lost and doubled: read, or refused in one line"
    rng, counts = np.random.default_rng(0), dict(read=0, refused=0)
    for name in 'metrics.json', 'config.json', 'log.csv':
        path = runs/NAMES[0]/name
        whole = path.read_bytes()
        for _ in range(100):
            place, length = rng.integers(len(whole)), rng.integers(1, 20)
            change = [bytes(rng.integers(0, 256, length, dtype=np.uint8)), b'', whole[place:place + 2*length]][rng.integers(3)]
            path.write_bytes(whole[:place] + change + whole[place + length:])
            try:
                table2(pd.DataFrame([read_run(runs/NAMES[0])]))
                counts['read'] += 1
            except UserError as error:
                assert str(path) in str(error) and '\n' not in str(error)
                counts['refused'] += 1
        path.write_bytes(whole)
    print(counts)
    assert sum(counts.values()) == 300 and counts['refused'] > 50

# predictions

WRONG = {'float frames': dict(frames=np.zeros((4, 1, 3, 64, 64))),
         'another size': dict(frames=np.zeros((4, 1, 3, 32, 32), np.uint8)),
         'no frames': dict(frames=np.zeros((0, 1, 3, 64, 64), np.uint8), examples=np.array([])),
         'fewer frames': dict(frames=np.zeros((3, 1, 3, 64, 64), np.uint8)),
         'more targets': dict(targets=np.zeros((4, 2, 3, 64, 64), np.uint8)),
         'fewer examples': dict(examples=np.array(['{"index": 0, "answer": "cat", "text": ""}'])),
         'a pickle': dict(examples=np.array([{'index': 0}]*4, object)),
         'no index': dict(examples=np.array(['{"answer": "cat", "text": ""}']*4)),
         'no text': dict(examples=np.array(['{"index": 0, "answer": "cat", "text": null}']*4)),
         'a number for a word': dict(examples=np.array(['{"index": 0, "answer": 3, "text": ""}']*4)),
         'no object': dict(examples=np.array(['[]']*4)),
         'no JSON': dict(meta='{'),
         'no vocabulary': dict(meta='{"task": "cifar10", "output": "word", "vocabulary": []}'),
         'a later version': dict(meta='{"task": "cifar10", "output": "sound", "vocabulary": null}'),
         'boxes': dict(meta='{"task": "lasot", "output": "boxes", "vocabulary": null}'),
         'given of other clips': dict(given=np.zeros((3, 1, 3, 64, 64), np.uint8)),
         'no meaning': dict(meta='{}')}

@pytest.mark.parametrize('fault', WRONG)
def test_wrong_predictions(run, fault):
    before = run.metrics.read_bytes()
    np.savez_compressed(run.predictions, **arrays(**WRONG[fault]))
    assert str(run.predictions) in refused(score, run)
    assert run.metrics.read_bytes() == before

def test_boxes_that_are_none(run):
    good = [1, 2, 3, 4]
    for boxes in [good, [1, 2]], [good, good], [[1, 2, 3, None]], [['a']*4], [[1, 2, 3, float('nan')]], good, {}, 'box':
        examples = np.array([json.dumps(dict(index=0, answer=boxes, text=''))]*4)
        np.savez_compressed(run.predictions, **arrays(examples=examples, **WRONG['boxes']))
        assert str(run.predictions) in refused(score, run), boxes

def test_mutated_predictions(run):
    "The archive's checksums tell: nothing is read that was not written"
    whole, kept, rng = run.predictions.read_bytes(), load_predictions(run), np.random.default_rng(0)
    counts = dict(same=0, refused=0)
    for _ in range(150):
        spoilt = bytearray(whole)
        place, length = rng.integers(len(whole)), rng.integers(1, 50)
        kind = rng.integers(3)
        if kind == 0: spoilt[place] ^= 1 << rng.integers(8)
        elif kind == 1: del spoilt[place:place + length]
        else: spoilt[place:place + length] = bytes(len(spoilt[place:place + length]))
        run.predictions.write_bytes(spoilt)
        try: read = load_predictions(run)
        except UserError as error:
            assert str(run.predictions) in str(error) and '\n' not in str(error)
            counts['refused'] += 1
            continue
        assert (read.frames == kept.frames).all() and (read.targets == kept.targets).all()
        assert (read.examples, read.vocabulary, read.output) == (kept.examples, kept.vocabulary, kept.output)
        counts['same'] += 1
    print(counts)
    assert counts['refused'] > 50

def test_a_run_of_the_version_before(run):
    "No samples and no given frames in the file: scored, and its picture stays"
    older = arrays(meta='{"task": "cifar10", "output": "word", "vocabulary": ["cat", "dog", "ship"]}')
    del older['samples']
    np.savez_compressed(run.predictions, **older)
    run.samples.write_bytes(b'a picture')
    assert score(run)['metrics']['accuracy'] == .75
    assert run.samples.read_bytes() == b'a picture'

def test_what_costs_nothing(run):
    "Two of the four are cats"
    saved = score(run)
    assert saved['trivial']['answer'] == 'most frequent answer (cat)'
    assert saved['trivial']['metrics']['accuracy'] == .5 and saved['metrics']['accuracy'] == .75
    assert saved['trivial']['metrics']['f1_macro'] == pytest.approx(2/9, abs=1e-6)

def test_scores_outlive_the_picture(run, monkeypatch, capsys):
    "As where a backend for drawing is inherited that cannot be loaded"
    def fails(*_): raise ImportError('no such backend')
    monkeypatch.setattr('everything_is_video.metrics.show', fails)
    score(run)
    assert capsys.readouterr().out == f'{run.samples}: not drawn again (no such backend); the scores are written\n'
    assert run.read_metrics()['metrics']['accuracy'] == .75 and not run.samples.exists()

def test_scoring_alone(run):
    "While another process works on the run it is not scored; afterwards it is"
    script = f"import fcntl; kept = open({str(run.lock)!r}, 'w'); fcntl.flock(kept, fcntl.LOCK_EX); print(1, flush=True); input()"
    other = subprocess.Popen([sys.executable, '-c', script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    other.stdout.readline()
    assert 'another process is using this run' in refused(score, run)
    other.communicate(b'\n')
    np.savez(run.predictions, **arrays(**WRONG['float frames']))
    refused(score, run)
    np.savez(run.predictions, **arrays())
    free = f"import fcntl; fcntl.flock(open({str(run.lock)!r}, 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    subprocess.run([sys.executable, '-c', free], check=True)  # a refused score keeps no lock
    assert score(run)['n'] == 4

def test_broken_ocr(tmp_path, monkeypatch):
    "A tesseract that fails is named, and changes no score"
    cases = Path(os.environ.get('EIV_CASES', 'cases'))/'tesseract_broken'
    if not cases.is_dir(): pytest.skip(f'{cases} is not there: set EIV_CASES')
    run = RunFolder(shutil.copytree(cases/'run', tmp_path/'run'))
    before, path = run.metrics.read_bytes(), os.environ['PATH']
    for folder in sorted(cases.glob('bin_*')):
        monkeypatch.setattr(ocr, '_answers', {})
        monkeypatch.setenv('PATH', f'{folder}:{path}')
        assert 'tesseract' in refused(score, run)
        assert run.metrics.read_bytes() == before
    monkeypatch.setenv('PATH', path)
    assert score(run)['metrics']['accuracy'] == 1

# text in tables

HOSTILE = ['a|b', '<script>alert(1)</script>', '<!-- /table2 -->', 'one\ntwo', 'one\r\ntwo', 'one\u2028two', '[here](https://example.org)',
           '![x](y.png)', '[x]: https://example.org', '*a* **b** _c_ __d__ ~~e~~ `f`', r'\| \\', '$x^2$', '&lt;b&gt;', '\x1b[31mred\x07',
           'right\u202eleft', '50 % & #1 {x} ~ ^', '=1+1', "=cmd|'/C calc'!A0", '+1+1', '-1+1', '@SUM(A1)', '\t=1', '[0]', 'half \ud800',
           'été 猫']

@pytest.mark.parametrize('text', HOSTILE, ids=ascii)
def test_text_stays_text(tmp_path, text):
    plain = ''.join(' ' if c.isspace() else c for c in text)
    plain = plain.replace('\x1b', '').replace('\x07', '').replace('\u202e', '').replace('\ud800', '')
    table = pd.DataFrame({'Dataset': [text, 'next'], 'n': [1, 2]})
    write_table(table, 'table2', tmp_path)
    files = {path.suffix: path.read_bytes().decode('utf-8') for path in tmp_path.iterdir()}
    assert [len(files[kind].splitlines()) for kind in ('.md', '.csv', '.tex')] == [4, 3, 8]

    html = mistune.create_markdown(escape=False, plugins=['table', 'strikethrough', 'math'])(files['.md'])
    soup = BeautifulSoup(html, 'html.parser')
    assert {tag.name for tag in soup.find_all()} <= {'table', 'thead', 'tbody', 'tr', 'th', 'td'}, html
    assert [cell.text.split() for cell in soup.find_all('td')] == [plain.split(), ['1'], ['next'], ['2']]

    rows = list(csv.reader(io.StringIO(files['.csv'])))
    assert rows[1][0] in (plain, "'" + plain) and rows[1][0][0] not in '=@\t'
    assert rows[1][1] == '1' and rows[2] == ['next', '2']
    assert to_latex(table).count('&') - to_latex(table).count(r'\&') == 3

    page = tmp_path/'page.md'
    page.write_text('Before\n<!-- table2 -->\n<!-- /table2 -->\nAfter\n', encoding='utf-8')
    for _ in range(2): put_table(page, 'table2', files['.md'])
    assert page.read_text(encoding='utf-8') == f'Before\n<!-- table2 -->\n{files[".md"].strip()}\n<!-- /table2 -->\nAfter\n'

def test_numbers_stay_numbers(tmp_path):
    "A sign before a number, or alone, is no formula"
    table = pd.DataFrame({'a': ['-', '-3.5', '12', '+ CNN [37]†'], 'b': [1, 2, 3, 4]})
    write_table(table, 'table', tmp_path)
    assert pd.read_csv(tmp_path/'table.csv', dtype={'a': str}).equals(table)

def test_hostile_names(run, capsys):
    "Through the whole way: a run's summary, the row, the terminal"
    write_json(run.metrics, run.read_metrics() | dict(dataset='a\x1b[2J|b\n<b>', device='d\r\nevil'))
    score(run)
    show_row(run)
    out = capsys.readouterr().out
    assert '\x1b' not in out and 'cifar10: a[2J|b <b>\n' in out and 'd  evil' in out
    assert len(to_markdown(table2(read_runs(run.path.parent))).splitlines()) == len(table2(read_runs(run.path.parent))) + 2

# tables and command line

def test_committed_tables(tmp_path):
    "From the committed runs the committed files, byte for byte"
    write_table(table2(published(ROOT/'runs')), 'table2', tmp_path)
    for path in tmp_path.iterdir(): assert path.read_bytes() == (ROOT/'figures'/path.name).read_bytes(), path.name

def elsewhere(**locale):
    "An environment with another locale"
    return {k: v for k, v in os.environ.items() if not k.startswith(('LC_', 'LANG', 'PYTHONUTF8'))} | locale

def test_files_in_another_locale(tmp_path):
    script = ('from everything_is_video.campaign import published; from everything_is_video.results import *; import sys\n'
              f'write_table(table2(published({str(ROOT/"runs")!r})), "table2", sys.argv[1])')
    ascii_only = elsewhere(LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')
    subprocess.run([sys.executable, '-c', script, tmp_path], cwd=ROOT, env=ascii_only, check=True)
    for path in tmp_path.iterdir(): assert path.read_bytes() == (ROOT/'figures'/path.name).read_bytes(), path.name

def test_a_terminal_without_plus_minus():
    command = [sys.executable, '-m', 'everything_is_video.results', 'runs/sst2-official-small-0']
    done = subprocess.run(command, cwd=ROOT, env=elsewhere(PYTHONIOENCODING='ascii'), capture_output=True)
    accuracy = 100*json.loads((ROOT/'runs/sst2-official-small-0/metrics.json').read_text())['metrics']['accuracy']
    assert done.returncode == 0 and f'accuracy (%)  {accuracy:.1f} ? 3.2'.encode() in done.stdout, done.stderr

def test_command_line_names_the_fault(tmp_path):
    (tmp_path/'metrics.json').write_text('{')
    done = subprocess.run([sys.executable, '-m', 'everything_is_video.results', tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and str(tmp_path/'metrics.json') in done.stderr
