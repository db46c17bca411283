"""The app in a headless Chromium: type, draw, upload a picture and a clip, speak from a file, ask about an example.

With EIV_PICTURES=FOLDER, a picture of every page is kept there."""
import base64, os, socket, subprocess, sys, time, wave
from pathlib import Path
import numpy as np, pytest
from PIL import Image
from everything_is_video.hub import JOINT, HubModel
from everything_is_video.media import save_video
from everything_is_video.model import ModelConfig
from everything_is_video.tasks import TASKS
from test_docs import CHROMIUM, Browser

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not CHROMIUM, reason='no chromium on the path: the app is not opened in a browser (apt install chromium)')
PARTS = [  # what the app is asked about: task, source, its answers
    ('cifar10', 'jpeg', ['cat', 'dog']), ('sst2', 'official', ['negative', 'positive']), ('audiomnist', 'fsdd', list('0123456789')),
    ('tinyvirat', 'sample-40', ['Push', 'Pull']), ('clevrer', 'easy_vqa', ['red', 'blue', 'circle']), ('colorization', 'sample-40', None)]

REFUSED = 'span[style*=color]'  # what is said in red

def changed():
    "What git says has changed; '' where there is no git"
    return subprocess.run(['git', '-C', ROOT, 'status', '--porcelain'], capture_output=True, text=True).stdout

def in_bin(name): return str(Path(sys.executable).with_name(name))

@pytest.fixture(scope='module')
def folder(tmp_path_factory): return tmp_path_factory.mktemp('app')

@pytest.fixture(scope='module')
def weights(folder):
    "The folder of the package's weights, or of weights that have learnt nothing"
    if JOINT.exists(): return JOINT
    parts = [dict(task=task, source=source, dataset=source, vocabulary=words) for task, source, words in PARTS]
    frames = max(TASKS[part['task']].n_input + TASKS[part['task']].n_target for part in parts)
    model = HubModel(ModelConfig(K=32, heads=2, global_blocks=1, max_frames=frames, dropout=0.), {}, parts)
    model.generate_model_card = lambda **more: super(HubModel, model).generate_model_card(**more)
    model.save_pretrained(folder/'weights')
    return folder/'weights'

@pytest.fixture(scope='module')
def address(folder, weights):
    "A server of the app, made from a copy of the notebook as `make app` makes it"
    before = changed()
    copy = folder/'app.ipynb'
    given = ['-p', 'run_dir', weights, '-p', 'data_dir', folder/'data']
    subprocess.run([in_bin('papermill'), '--prepare-only', ROOT/'nbs'/'try_it.ipynb', copy, *given], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=(folder/'voila.log').open('w'))
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])}
    options = ['--no-browser', '--Voila.ip=127.0.0.1', f'--port={port}', '--TagRemovePreprocessor.remove_cell_tags=no-app']
    server = subprocess.Popen([in_bin('voila'), *options, copy], env=environment, **quiet)
    for _ in range(1200):
        assert server.poll() is None, (folder/'voila.log').read_text()[-2000:]
        try: socket.create_connection(('127.0.0.1', port), 5).close()
        except OSError: time.sleep(.5)
        else: break
    yield f'http://127.0.0.1:{port}/'
    server.terminate()
    server.wait(60)
    assert changed() == before, 'the app has changed what git knows'

class App(Browser):
    "The app's page, and hands"
    def __init__(self, address):
        super().__init__()
        self.call('Emulation.setDeviceMetricsOverride', width=1100, height=1500, deviceScaleFactor=1, mobile=False)
        self.call('Page.navigate', url=address)
        self.wait("document.querySelector('.eiv .answer')")

    def wait(self, condition, seconds=600):
        "Until a condition holds in the page"
        for _ in range(seconds*2):
            if self.look(f'JSON.stringify(!!({condition}))'): return
            time.sleep(.5)
        raise TimeoutError(f'{condition}; the page says: {self.text()[:500]}')

    def text(self): return self.look("JSON.stringify(document.body.innerText)")

    def place(self, element):
        "The middle of an element, once it is shown"
        self.wait(element)
        script = f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect(); return JSON.stringify([r.x, r.y, r.width, r.height]) }})()"
        x, y, width, height = self.look(script)
        assert width and height, element
        return x + width/2, y + height/2

    def mouse(self, kind, x, y, pressed=True):
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left' if pressed else 'none', buttons=int(pressed), clickCount=int(kind != 'mouseMoved'))

    def click(self, element):
        x, y = self.place(element)
        for kind in 'mousePressed', 'mouseReleased': self.mouse(kind, x, y)

    def shown(self, kind, words=''):
        "JavaScript for the first shown element of a kind with these words"
        return f"[...document.querySelectorAll({kind!r})].find(e => e.offsetWidth && (e.innerText ?? '').includes({words!r}))"

    def tab(self, name): self.click(self.shown('.lm-TabBar-tab', name))

    def choose(self, words):
        "The subject in whose title these words are"
        chosen = f"(() => {{ const s = {self.shown('select')}; s.selectedIndex = [...s.options].findIndex(o => o.text.replaceAll('\u00a0', ' ').includes({words!r})); s.dispatchEvent(new Event('change', {{bubbles: true}})); return JSON.stringify(s.selectedIndex) }})()"
        assert self.look(chosen) >= 0, words

    def write(self, words):
        "Type into the field that is shown"
        self.click(self.shown('input[type=text]'))
        self.look(f"(() => {{ {self.shown('input[type=text]')}.select(); return 'null' }})()")
        self.call('Input.insertText', text=words)

    def drag(self, start, end):
        "On the drawing board, from one place to another"
        x, y = self.place(self.shown('canvas'))
        along = [np.add((x - 128, y - 128), (1 - t)*np.array(start) + t*np.array(end)) for t in np.linspace(0, 1, 5)]
        self.mouse('mousePressed', *along[0])
        for place in along[1:]: self.mouse('mouseMoved', *place)
        self.mouse('mouseReleased', *along[-1])

    def upload(self, path):
        "Choose a file as the browser's dialog would"
        self.call('Page.setInterceptFileChooserDialog', enabled=True)
        self.events.clear()
        opened = []
        for _ in range(60):  # on a busy machine a click may miss a button that has just moved
            if opened: break
            self.click(self.shown('button', 'choose a file'))
            time.sleep(1)
            self.text()
            opened = [e['params']['backendNodeId'] for e in self.events if e.get('method') == 'Page.fileChooserOpened']
        self.call('DOM.setFileInputFiles', files=[str(path)], backendNodeId=opened[0])
        self.wait(self.shown('button', '(1)'))
        time.sleep(1)  # until the file is with the kernel

    def ask(self, name):
        "Press the button; the reply in words, or what is refused"
        self.look(f"(() => {{ document.querySelectorAll('.eiv, {REFUSED}').forEach(e => e.classList.add('old')); return 'null' }})()")
        self.click(self.shown('button', 'Ask the model'))
        self.wait(f"document.querySelector('.eiv:not(.old) .answer, {REFUSED}:not(.old)') && !{self.shown('button', 'Ask the model')}.disabled")
        self.wait("[...document.images].every(i => i.complete && i.naturalWidth)")
        self.keep(name)
        return self.look(f"JSON.stringify((document.querySelector('{REFUSED}') || document.querySelector('.eiv')).innerText)")

    def keep(self, name):
        if not os.environ.get('EIV_PICTURES'): return
        self.look("(() => { window.scrollTo(0, 0); return 'null' })()")
        picture = self.call('Page.captureScreenshot', captureBeyondViewport=True)['data']
        Path(os.environ['EIV_PICTURES'], f'{name}.png').write_bytes(base64.b64decode(picture))

@pytest.fixture(scope='module')
def app(address):
    app = App(address)
    yield app
    app.close()

def answer(text): return text.splitlines()[1]

def parts(text): return [part for part in ('The video', 'What it drew', 'Where it looked') if part in text]

def test_it_answers_at_once(app):
    app.keep('first')
    text = app.text()
    assert len(parts(text)) == 3 and 'OCR reads' in text and 'nearest drawn words' in text

def test_type(app):
    app.tab('Type')
    app.write('a dull , lifeless and boring film .')
    text = app.ask('type')
    assert len(parts(text)) == 3
    if JOINT.exists(): assert answer(text) in TASKS['sst2'].sources['official'].vocabulary

def test_nothing_is_drawn_yet(app):
    app.tab('Draw')
    assert 'draw something' in app.ask('nothing')

def test_draw(app):
    app.tab('Draw')
    app.choose('easy')
    app.write('what color is the shape?')
    app.drag((60, 60), (190, 190))
    text = app.ask('draw')
    assert len(parts(text)) == 3
    middle = "[...document.querySelector('canvas').getContext('2d').getImageData(125, 125, 1, 1).data].join()"
    assert app.look(f'JSON.stringify({middle})') == '255,0,0,255'
    if JOINT.exists(): assert answer(text) in TASKS['clevrer'].sources['easy_vqa'].vocabulary

def test_upload_a_picture(app, folder):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)).save(folder/'picture.png')
    app.tab('Upload')
    app.choose('Image Classification')
    app.upload(folder/'picture.png')
    assert 'OCR reads' in app.ask('picture')

def test_upload_a_clip(app, folder):
    clip = np.zeros((12, 3, 64, 64), np.uint8)
    for t in range(12): clip[t, :, 20:40, 4*t:4*t+12] = np.array([200, 60, 40])[:, None, None]
    save_video(clip, folder/'clip.mp4')
    app.tab('Upload')
    app.choose('Colorization')
    app.upload(folder/'clip.mp4')
    assert '10 frames in colour' in app.ask('clip')

def test_a_file_that_is_none(app, folder):
    (folder/'broken.png').write_text('no picture')
    app.tab('Upload')
    app.upload(folder/'broken.png')
    text = app.ask('broken')
    assert text.startswith('broken.png: not an image') and str(folder) not in text

def test_speak(app, folder):
    with wave.open(str(folder/'tone.wav'), 'wb') as file:
        file.setparams((1, 2, 8000, 0, 'NONE', ''))
        file.writeframes((8000*np.sin(np.arange(4000)*.3)).astype('<i2').tobytes())
    app.tab('Speak')
    app.upload(folder/'tone.wav')
    assert 'OCR reads' in app.ask('speak')

def test_an_example_whose_answer_is_known(app):
    app.tab('Examples')
    app.choose('Video Classification')
    assert 'right answer' in app.ask('example')

def test_nothing_went_wrong_in_the_page(app):
    assert [e['params'] for e in app.events if e.get('method') == 'Runtime.exceptionThrown'] == []
