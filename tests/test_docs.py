"The site of `make docs`, opened page by page in a headless Chromium: every link leads somewhere, no script fails, every picture is shown"
import json, os, re, shutil, subprocess, sys, tempfile, time
from pathlib import Path
from urllib.parse import unquote, urldefrag
import mistune, pytest, websocket

ROOT = Path(__file__).parents[1]
BROWSERS = 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason='no chromium on the path: the site is not opened in a browser (apt install chromium)')
NBS = ROOT/'nbs'
NOTEBOOKS = sorted(p for p in NBS.rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
PAGES = [p.relative_to(NBS).with_suffix('.html').as_posix() for p in NOTEBOOKS]
WIDTHS = 390, 838, 1280  # a phone, the column of a README, a desktop
LOOK = '''Promise.allSettled([...document.images].map(i => i.decode())).then(() => JSON.stringify({
    title: document.querySelector('main h1')?.innerText, links: [...document.links].map(a => a.href), ids: [...document.querySelectorAll('[id]')].map(e => e.id),
    pages: [...document.querySelectorAll('#pages a')].map(a => [a.href, a.innerText]),
    pictures: document.images.length, unseen: [...document.images].filter(i => !i.naturalWidth).map(i => i.src.slice(0, 120)),
    text: document.querySelector('main')?.innerText ?? ''}))'''
CUT = '''(() => {  // what reaches beyond the window, unless it is inside a box that scrolls; and which tables and texts have to be scrolled
    const scrolls = e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
    const boxed = e => { for (let a = e; a; a = a.parentElement) if (scrolls(a)) return true; return false }
    const shown = [...document.querySelectorAll('body *')].filter(e => getComputedStyle(e).visibility != 'hidden' && e.offsetWidth)
    const out = shown.filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !boxed(e))
    const hidden = shown.filter(e => getComputedStyle(e).overflowX == 'hidden' && e.scrollWidth > e.clientWidth + 1)
    const wide = [...document.querySelectorAll('table, pre')].filter(t => { const box = scrolls(t) ? t : t.parentElement; return box.scrollWidth > box.clientWidth + 1 })
    const name = e => e.tagName + ': ' + (e.innerText ?? '').slice(0, 40)
    return JSON.stringify({cut: [...out, ...hidden].map(name), wide: wide.map(name),
                           over: document.documentElement.scrollWidth - document.documentElement.clientWidth})})()'''
# how a README looks: the widths and the tables of GitHub's own style
GITHUB = '''<style>body { margin: 0 auto; padding: 16px; max-width: 838px; box-sizing: border-box; font: 16px/1.5 "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif }
table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse } td, th { padding: 6px 13px; border: 1px solid #ccc }
code { font: 85% monospace; padding: .2em .4em; white-space: break-spaces } pre { overflow: auto; padding: 16px } pre code { white-space: pre; padding: 0 } img { max-width: 100% }</style>'''

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

    def look(self, script): return json.loads(self.call('Runtime.evaluate', expression=script, awaitPromise=True)['result']['value'])

    def widths(self):
        "What does not fit at each width of the window"
        found = {}
        for width in WIDTHS:
            self.call('Emulation.setDeviceMetricsOverride', width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
            found[width] = self.look(CUT)
        self.call('Emulation.clearDeviceMetricsOverride')
        return found

    def open(self, url):
        "What the page holds, the errors it logged, and what it asked the network for"
        self.events.clear()
        self.call('Page.navigate', url=url)
        while not any(e.get('method') == 'Page.loadEventFired' for e in self.events): self.receive()
        page = self.look(LOOK)
        def of(method): return [e['params'] for e in self.events if e.get('method') == method]
        page['errors'] = [e['exceptionDetails'] for e in of('Runtime.exceptionThrown')] + [e['entry'] for e in of('Log.entryAdded') if e['entry']['level'] == 'error']
        page['asked'] = [u for e in of('Network.requestWillBeSent') if (u := e['request']['url']).startswith('http')]
        return {**page, 'widths': self.widths()}

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
def browser():
    browser = Browser()
    yield browser
    browser.close()

@pytest.fixture(scope='module')
def pages(site, browser):
    "Every page, as the browser sees it"
    found = {path.relative_to(site).as_posix(): browser.open(path.as_uri()) for path in sorted(site.rglob('*.html'))}
    print(f"{len(found)} pages, {sum(len(p['links']) for p in found.values())} links, {sum(p['pictures'] for p in found.values())} pictures")
    return found

def heading(path):
    "The title that a notebook gives itself"
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    return next(line[2:].strip() for c in cells if c['cell_type'] == 'markdown' for line in c['source'] if line.startswith('# '))

def test_every_notebook_has_a_page(pages):
    assert sorted(pages) == sorted([*PAGES, 'api.html'])
    assert [name for name, page in pages.items() if len(page['text']) < 300 or not page['title']] == []

def test_every_page_leads_to_all_others_by_their_titles(site, pages):
    titles = {(site/page).as_uri(): heading(path) for page, path in zip(PAGES, NOTEBOOKS)}
    for name, page in pages.items():
        listed = dict(page['pages'])
        assert set(listed) == {*titles, (site/'api.html').as_uri()}, name
        assert [u for u, title in titles.items() if not listed[u].endswith(title)] == [], name

def test_the_reading_order(pages):
    names = [Path(url).name for url, _ in pages['index.html']['pages']]
    numbered = [name for name in names if name[:2].isdigit() and name[2] == '_' and name not in ('00_samples.html', '13_baselines.html')]
    assert numbered == sorted(numbered)
    order = [names.index(n) for n in ('index.html', '00_core.html', '12_attention.html', 'try_it.html', 'train.html', 'media.html', 'api.html')]
    assert order == sorted(order)

def test_no_broken_link(site, pages):
    broken = []
    for name, page in pages.items():
        for link in page['links']:
            target, anchor = urldefrag(link)
            if not target.startswith('file:'): continue  # elsewhere in the network: not opened
            path = Path(unquote(target.removeprefix('file://')))
            there = path.is_file() and path.is_relative_to(site)
            if there and anchor and path.suffix == '.html': there = unquote(anchor) in pages[path.relative_to(site).as_posix()]['ids']
            if not there: broken.append((name, link))
    assert broken == [], broken

def test_no_script_error(pages): assert {n: p['errors'] for n, p in pages.items() if p['errors']} == {}

def test_every_picture_is_shown(pages):
    assert {n: p['unseen'] for n, p in pages.items() if p['unseen']} == {}
    assert pages['index.html']['pictures'] and sum(p['pictures'] for p in pages.values()) > len(NOTEBOOKS)

def test_no_network_is_needed(pages): assert {n: p['asked'] for n, p in pages.items() if p['asked']} == {}

@pytest.mark.parametrize('width', WIDTHS)
def test_nothing_is_cut_off(pages, width):
    found = {name: page['widths'][width] for name, page in pages.items()}
    assert {name: f['cut'] for name, f in found.items() if f['cut'] or f['over'] > 0} == {}
    if width > 800: assert found['index.html']['wide'] == [], 'tables or commands that have to be scrolled'

@pytest.mark.parametrize('width', WIDTHS)
def test_nothing_of_the_readme_is_cut_off(tmp_path, browser, width):
    "README.md in GitHub's style; on a phone tables and commands may be scrolled"
    readme = (ROOT/'README.md').read_text(encoding='utf-8').replace('src="', f'src="{ROOT.as_uri()}/')
    html = mistune.create_markdown(escape=False, plugins=['table'])(readme)
    page = tmp_path/'readme.html'
    page.write_text(f'<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">{GITHUB}<main>{html}</main>', encoding='utf-8')
    seen = browser.open(page.as_uri())
    assert seen['unseen'] == [] and seen['pictures']
    found = seen['widths'][width]
    assert found['cut'] == [] and found['over'] <= 0
    if width > 800: assert found['wide'] == [], 'tables or commands that have to be scrolled'

def test_api_names_every_exported_function(pages):
    from importlib import import_module
    for path in NOTEBOOKS:
        match = re.search(r'#\| default_exp ([\w.]+)', path.read_text(encoding='utf-8'))
        if not match: continue
        name = match[1].removesuffix('.__init__')
        module = import_module(f'everything_is_video.{name}')
        own = {n for n in module.__all__ if getattr(getattr(module, n), '__module__', '') == module.__name__}
        assert {f'{name}.{n}' for n in own} <= set(pages['api.html']['ids'])
    assert 'frames a second' in pages['api.html']['text']  # a comment on a parameter of save_video, in its table
