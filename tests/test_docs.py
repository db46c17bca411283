"The site of `make docs`, opened page by page in a headless Chromium: every link leads somewhere, no script fails, every picture is shown"
import json, os, shutil, subprocess, sys, tempfile, time
from pathlib import Path
from urllib.parse import unquote, urldefrag
import pytest, websocket

ROOT = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'))), None)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason='no chromium on the path: the site is not opened in a browser (apt install chromium)')
NOTEBOOKS = sorted(p.stem for p in (ROOT/'nbs').glob('*.ipynb'))
LOOK = '''Promise.allSettled([...document.images].map(i => i.decode())).then(() => JSON.stringify({
    title: document.querySelector('main h1')?.innerText, links: [...document.links].map(a => a.href), ids: [...document.querySelectorAll('[id]')].map(e => e.id),
    pictures: document.images.length, unseen: [...document.images].filter(i => !i.naturalWidth).map(i => i.src.slice(0, 120)),
    width: document.documentElement.scrollWidth - innerWidth, text: document.querySelector('main')?.innerText ?? ''}))'''

class Browser:
    "A headless Chromium, spoken to over its DevTools protocol"
    def __init__(self):
        self.home, self.sent, self.events = tempfile.TemporaryDirectory(ignore_cleanup_errors=True), 0, []
        root = ['--no-sandbox'] if os.getuid() == 0 else []
        self.process = subprocess.Popen([CHROMIUM, '--headless=new', '--disable-gpu', '--disable-dev-shm-usage', *root, '--remote-debugging-port=0',
                                         '--remote-allow-origins=*', f'--user-data-dir={self.home.name}', 'about:blank'],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = Path(self.home.name, 'DevToolsActivePort')
        for _ in range(600):
            if port.exists() and len(port.read_text().split()) == 2: break
            assert self.process.poll() is None, f'{CHROMIUM} ended at once'
            time.sleep(.1)
        number, path = port.read_text().split()
        self.socket = websocket.create_connection(f'ws://127.0.0.1:{number}{path}', timeout=120)
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in 'Page', 'Runtime', 'Log', 'Network': self.call(f'{domain}.enable')

    def receive(self):
        message = json.loads(self.socket.recv())
        self.events.append(message)
        return message

    def call(self, method, **params):
        self.sent += 1
        self.socket.send(json.dumps(dict(id=self.sent, method=method, params=params, **({'sessionId': self.session} if hasattr(self, 'session') else {}))))
        while (answer := self.receive()).get('id') != self.sent: pass
        assert 'error' not in answer, answer
        return answer['result']

    def open(self, url):
        "What the page holds, the errors it logged, and what it asked the network for"
        self.events.clear()
        self.call('Page.navigate', url=url)
        while not any(e.get('method') == 'Page.loadEventFired' for e in self.events): self.receive()
        page = json.loads(self.call('Runtime.evaluate', expression=LOOK, awaitPromise=True)['result']['value'])
        def of(method): return [e['params'] for e in self.events if e.get('method') == method]
        page['errors'] = [e['exceptionDetails'] for e in of('Runtime.exceptionThrown')] + [e['entry'] for e in of('Log.entryAdded') if e['entry']['level'] == 'error']
        page['asked'] = [u for e in of('Network.requestWillBeSent') if (u := e['request']['url']).startswith('http')]
        return page

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)
        self.home.cleanup()

@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "The folder of the site: the one `make docs` has just built, or one built here from these notebooks"
    if built := os.environ.get('EIV_SITE'): return (ROOT/built).resolve()
    folder = tmp_path_factory.mktemp('site')/'_docs'
    subprocess.run([sys.executable, ROOT/'.ci'/'docs', folder], check=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    return folder

@pytest.fixture(scope='module')
def pages(site):
    "Every page, as the browser sees it"
    browser = Browser()
    try: found = {path.name: browser.open(path.as_uri()) for path in sorted(site.glob('*.html'))}
    finally: browser.close()
    print(f"{len(found)} pages, {sum(len(p['links']) for p in found.values())} links, {sum(p['pictures'] for p in found.values())} pictures")
    return found

def test_every_notebook_has_a_page(pages):
    assert sorted(pages) == sorted(f'{n}.html' for n in [*NOTEBOOKS, 'api'])
    assert [name for name, page in pages.items() if len(page['text']) < 300 or not page['title']] == []
    assert {f'{n}.html' for n in NOTEBOOKS} <= {Path(l).name for l in pages['index.html']['links']}

def test_no_broken_link(site, pages):
    broken = []
    for name, page in pages.items():
        for link in page['links']:
            target, anchor = urldefrag(link)
            if not target.startswith('file:'): continue  # elsewhere in the network: not opened
            path = Path(unquote(target.removeprefix('file://')))
            there = path.is_file() and path.is_relative_to(site)
            if not there or anchor and path.suffix == '.html' and unquote(anchor) not in pages[path.name]['ids']: broken.append((name, link))
    assert broken == []

def test_no_script_error(pages): assert {n: p['errors'] for n, p in pages.items() if p['errors']} == {}

def test_every_picture_is_shown(pages):
    assert {n: p['unseen'] for n, p in pages.items() if p['unseen']} == {}
    assert pages['index.html']['pictures'] and sum(p['pictures'] for p in pages.values()) > len(NOTEBOOKS)

def test_no_network_is_needed(pages): assert {n: p['asked'] for n, p in pages.items() if p['asked']} == {}

def test_pages_are_not_wider_than_the_window(pages): assert {n: p['width'] for n, p in pages.items() if p['width'] > 0} == {}

def test_api_names_every_exported_function(pages):
    from everything_is_video import frames, metrics
    assert {f'{m.__name__.split(".")[-1]}.{n}' for m in (frames, metrics) for n in m.__all__ if callable(getattr(m, n))} <= set(pages['api.html']['ids'])
    assert 'frames a second' in pages['api.html']['text']  # a comment on a parameter of save_video, in its table
