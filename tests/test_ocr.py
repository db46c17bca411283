"A tesseract that fails ends in one line of its own words; an answer is '' only where tesseract is known to work"
import os, re, shutil, subprocess, sys, tempfile
from pathlib import Path
import numpy as np
import pytest
import everything_is_video.ocr as reading
from everything_is_video.frames import UserError, text_frame

REAL = shutil.which('tesseract')
CASES = Path(os.environ.get('EIV_CASES', 'cases'))/'tesseract_broken'
WORDS = 'airplane bird cat deer dog frog horse ship truck'.split()
REPAIR = '; repair or reinstall it, then try again'
REINSTALL = '; reinstall it, or try another version (5.3.0 is known to work)'

def drawn(*words): return np.stack([np.broadcast_to(text_frame(word), (3, 64, 64)) for word in words])

@pytest.fixture(autouse=True)
def nothing_read_yet(monkeypatch):
    monkeypatch.setattr(reading, '_answers', {})
    monkeypatch.delenv('TESSDATA_PREFIX', raising=False)

@pytest.fixture
def fake(tmp_path, monkeypatch):
    "Puts a shell script first on PATH; in it, {real} is tesseract and {folder} a folder of its own"
    def put(script, first_line='#!/bin/sh'):
        path = tmp_path/'tesseract'
        path.write_text(f'{first_line}\n' + script.replace('{real}', REAL).replace('{folder}', str(tmp_path)))
        path.chmod(0o755)
        monkeypatch.setenv('PATH', f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
        return tmp_path
    return put

def refused(frames=None, lines=False):
    "The one line in which frames are refused, at every try; nothing is remembered"
    frames = drawn(*WORDS) if frames is None else frames
    said = []
    for read in (lambda: reading.ocr(frames, lines), lambda: reading.read_labels(frames, WORDS, lines)):
        with pytest.raises(UserError) as caught: read()
        said.append(str(caught.value))
    assert said[0] == said[1] and len(said[0].splitlines()) == 1 and reading._answers == {}
    return said[0]

BROKEN = {
    'built for another CPU': ('kill -ILL $$', 'tesseract fails: killed by signal 4, Illegal instruction' + REPAIR),
    'killed for memory': ('cat >/dev/null; kill -KILL $$', 'tesseract fails: killed by signal 9, Killed' + REPAIR),
    'a library is gone': ('echo "tesseract: error while loading shared libraries: liblept.so.5" >&2; exit 127',
        'tesseract fails: tesseract: error while loading shared libraries: liblept.so.5; exit status 127' + REPAIR),
    'confined': ('shift; exec {real} /nowhere/list.txt "$@"',
        'tesseract fails: Error, cannot read input file /nowhere/list.txt: No such file or directory; '
        'Error during processing.; exit status 1' + REPAIR),
    'another encoding': (r"printf 'Page 1\nm\351moire\n\n  insuffisante\n' >&2; exit 1",
        'tesseract fails: m\ufffdmoire;   insuffisante; exit status 1' + REPAIR),
    'no word at all': ('exit 3', 'tesseract fails: exit status 3' + REPAIR),
    'no output': ('exit 0', 'tesseract gave 1 answers to 2 frames' + REINSTALL),
    'no answers': ('{real} "$@" | tr -d a-z0-9', "tesseract reads '' where 'yes' is drawn" + REINSTALL),
    'wrong answers': ('{real} "$@" | tr a-y b-z', "tesseract reads 'zft' where 'yes' is drawn" + REINSTALL),
    'too few answers': (r'{real} "$@" | tr -d "\f"', 'tesseract gave 1 answers to 2 frames' + REINSTALL),
    'too many answers': (r'{real} "$@"; printf "\f"', 'tesseract gave 3 answers to 2 frames' + REINSTALL),
    'damaged data': ('TESSDATA_PREFIX={folder} exec {real} "$@"',
        'tesseract cannot load its English data: Error opening data file {folder}/eng.traineddata; '
        'run `apt install --reinstall tesseract-ocr-eng`')}

@pytest.mark.parametrize('lines', [False, True])
@pytest.mark.parametrize('kind', BROKEN)
def test_broken_tesseract(fake, kind, lines):
    script, message = BROKEN[kind]
    folder = fake(script)
    assert refused(lines=lines) == message.replace('{folder}', str(folder))
    assert refused(drawn(''), lines) == message.replace('{folder}', str(folder))

def test_out_of_memory(fake):
    fake('ulimit -v 40000; exec {real} "$@"')
    said = refused()
    assert re.fullmatch(r'tesseract fails: .*tesseract: .+; exit status \d+' + re.escape(REPAIR), said)

@pytest.mark.parametrize('name, message', [
    ('bin_ill', 'tesseract fails: killed by signal 4, Illegal instruction' + REPAIR),
    ('bin_lib', 'tesseract fails: tesseract: error while loading shared libraries: liblept.so.5: cannot open shared '
                'object file: No such file or directory; exit status 127' + REPAIR),
    ('bin_mem', 'exit status 127' + REPAIR),
    ('bin_snap', BROKEN['confined'][1])])
def test_case_files(monkeypatch, name, message):
    if not CASES.is_dir(): pytest.skip(f'{CASES} is not there: set EIV_CASES')
    with np.load(CASES/'run/predictions.npz') as saved: frames = saved['frames'][:, 0]
    monkeypatch.setenv('PATH', f'{CASES/name}{os.pathsep}{os.environ["PATH"]}')
    assert refused(frames).endswith(message)

def test_case_run_reads_right():
    if not CASES.is_dir(): pytest.skip(f'{CASES} is not there: set EIV_CASES')
    with np.load(CASES/'run/predictions.npz') as saved:
        frames, targets = saved['frames'][:, 0], saved['targets'][:, 0]
    vocabulary = ['negative', 'positive']
    right = [[word] for word in reading.nearest_word(targets, vocabulary)]
    assert len(right) == 40 and reading.read_labels(frames, vocabulary) == right

def test_not_installed(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert refused() == ('tesseract is not installed: run `apt install tesseract-ocr`, '
                         'or `conda install -c conda-forge tesseract`')

@pytest.mark.parametrize('first_line, words', [
    ('#!/nowhere/sh', 'No such file or directory'), ('\x7fELF', 'Exec format error')])
def test_cannot_start(fake, monkeypatch, first_line, words):
    monkeypatch.setenv('PATH', str(fake('', first_line)))
    assert refused() == f'tesseract cannot start ({words}); reinstall it'

def test_data_prefix_is_named(monkeypatch):
    monkeypatch.setenv('TESSDATA_PREFIX', '/nowhere')
    assert refused() == ('tesseract cannot load its English data: Error opening data file /nowhere/eng.traineddata; '
                         'unset TESSDATA_PREFIX=/nowhere, or set it to the folder of eng.traineddata')

def test_hangs(fake, monkeypatch):
    monkeypatch.setattr(reading, '_SECONDS', .5)
    fake('exec sleep 600')
    assert refused(drawn('cat')) == 'tesseract fails: no answer within 1 seconds' + REPAIR

# fails on a list of more than three pages, of 12,544 bytes each
AGAIN = 'exec {real} {folder}/list.tif stdout "$3" "$4"'
LONG = 'cat > {folder}/list.tif; if [ $(wc -c < {folder}/list.tif) -gt 50000 ]; then %s; fi; ' + AGAIN

@pytest.mark.parametrize('fault', ['exit 1', 'kill -SEGV $$', 'echo cat; exit 0', 'exec sleep 600'])
def test_long_lists_are_split(fake, monkeypatch, fault):
    monkeypatch.setattr(reading, '_SECONDS', 2)
    fake(LONG % fault)
    pages = [reading._page(frame, False) for frame in drawn(*WORDS[:4])]
    if 'sleep' not in fault:
        with pytest.raises(UserError): reading._call(pages, 7)
    assert reading._call(pages[:2], 7) == WORDS[:2]
    assert reading.ocr(drawn('', *WORDS[:4])) == ['', *WORDS[:4]]

def test_breaks_while_it_is_split(fake):
    "Long lists fail, and after three calls all do: the halves already read do not count"
    fake('echo >> {folder}/calls; [ $(wc -l < {folder}/calls) -lt 4 ] || exit 9; ' + LONG % 'exit 1')
    with pytest.raises(UserError, match='exit status 9'): reading.ocr(drawn(*WORDS[:4]))
    assert reading._answers == {}

# fails on a page with 64 bytes 'b' in a row, which is what a line of the value 142 becomes
BAD = 'cat > {folder}/list.tif; if grep -q $(printf %%064d 0 | tr 0 b) {folder}/list.tif; then %s; fi; ' + AGAIN

@pytest.mark.parametrize('fault', ['exit 1', 'kill -SEGV $$', 'echo; exit 0'])
def test_one_page_it_cannot_read(fake, monkeypatch, fault):
    frames = drawn('cat', 'frog', 'dog').copy()
    frames[1, :, 63] = 142
    assert reading.ocr(frames) == ['cat', 'frog', 'dog']  # by a tesseract without that fault
    monkeypatch.setattr(reading, '_answers', {})
    fake(BAD % fault)
    assert reading.ocr(frames) == ['cat', '', 'dog'] and reading.ocr(frames[1:2]) == ['']

def test_it_breaks_after_the_first_call(fake):
    "The second call, for what was empty in the first, fails: '' is not remembered"
    fake('case "$*" in *"psm 10"*) exit 5;; esac; exec {real} "$@"')
    with pytest.raises(UserError, match='exit status 5'): reading.ocr(drawn('cat', ''))
    assert reading._answers == {}
    fake('exec {real} "$@"')
    assert reading.ocr(drawn('cat', '')) == ['cat', '']

def test_good_words_and_empty_frames():
    assert reading.ocr(drawn(*WORDS, '', '7', 'yes')) == [*WORDS, '', '7', 'yes']
    assert reading.ocr(np.zeros((2, 3, 64, 64), np.uint8)) == ['', '']
    assert reading.ocr(drawn('', 'Riding, Opening'), lines=True) == ['', 'Riding, Opening']
    assert reading.read_labels(drawn('cat', '', 'dog'), WORDS) == [['cat'], [], ['dog']]

def test_one_call_on_one_thread(fake):
    before = dict(os.environ)
    folder = fake('[ "$OMP_THREAD_LIMIT" = 1 ] || exit 7; echo >> {folder}/calls; exec {real} "$@"')
    frames = drawn(*WORDS, *WORDS)
    assert reading.ocr(frames) == reading.ocr(frames) == WORDS*2
    assert len((folder/'calls').read_text().splitlines()) == 1
    assert dict(os.environ) | {'PATH': ''} == before | {'PATH': ''}

def test_no_temporary_folder(monkeypatch):
    monkeypatch.setenv('TMPDIR', '/nowhere')
    monkeypatch.setattr(tempfile, 'tempdir', '/nowhere')
    assert reading.ocr(drawn('cat')) == ['cat']

def test_other_locale(fake):
    fake(r"cat > /dev/null; printf 'caf\303\251\n\fyes\n'")
    code = ('import numpy as np; from everything_is_video.ocr import ocr; '
            'print(ascii(ocr(np.zeros((1, 3, 64, 64), np.uint8))))')
    plain = {**os.environ, 'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
    ended = subprocess.run([sys.executable, '-c', code], env=plain, capture_output=True, text=True)
    assert ended.stdout == "['caf\\xe9']\n", ended.stderr
