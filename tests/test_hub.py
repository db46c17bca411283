"Weights are given away: from a clone, an installed package, a folder, and a hub"
import hashlib, os, shutil, subprocess, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import pytest
from everything_is_video.hub import JOINT, HubModel, load_weights
from everything_is_video.model import ModelConfig

ROOT = Path(__file__).parents[1]
PLAIN = ModelConfig(K=32, heads=2, global_blocks=1, max_frames=4, dropout=0.)
SUM = 'from everything_is_video.hub import load_weights as load; print(sum(p.double().sum().item() for p in load({}).parameters()))'

def loaded(where, **environment):
    "What a process of its own loads: the sum of all weights"
    done = subprocess.run([sys.executable, '-c', SUM.format(where)], cwd='/', capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[-1])

def total(model): return sum(p.double().sum().item() for p in model.parameters())

@pytest.fixture
def folder(tmp_path):
    HubModel(PLAIN).save_pretrained(tmp_path/'weights')
    return tmp_path/'weights'

def test_a_folder(folder): assert loaded(repr(str(folder)), PYTHONPATH=str(ROOT)) == total(load_weights(folder))

def test_an_installed_package(folder, tmp_path):
    "What pip installs brings the weights of the clone"
    pytest.importorskip('setuptools', minversion='77', reason='no setuptools 77 here: the package is not built')
    clone = tmp_path/'clone'
    clone.mkdir()
    for name in 'pyproject.toml', 'README.md', 'LICENSE': shutil.copy(ROOT/name, clone)
    shutil.copytree(ROOT/'everything_is_video', clone/'everything_is_video')
    own = clone/'everything_is_video'/JOINT.name
    if not own.exists(): shutil.copytree(folder, own)
    install = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index', '--no-build-isolation', '--target', tmp_path/'there', clone]
    subprocess.run(install, check=True)
    assert sorted(p.name for p in (tmp_path/'there/everything_is_video'/JOINT.name).iterdir()) == sorted(p.name for p in own.iterdir())
    assert loaded('', PYTHONPATH=str(tmp_path/'there')) == total(load_weights(own))

class Hub(BaseHTTPRequestHandler):
    "As much of a hub as a download needs: /owner/name/resolve/main/file"
    folder = None
    def do_HEAD(self): self.do_GET()
    def do_GET(self):
        owner, name, _, _, file = (self.path.split('?')[0].split('/')[1:] + ['']*5)[:5]
        path = self.folder/file
        there = (owner, name) == ('owner', 'model') and path.is_file()
        content = path.read_bytes() if there else b''
        self.send_response(200 if there else 404)
        if not there: self.send_header('X-Error-Code', 'EntryNotFound' if owner == 'owner' else 'RepoNotFound')
        self.send_header('X-Repo-Commit', 40*'a')
        self.send_header('ETag', f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        if self.command == 'GET': self.wfile.write(content)
    def log_message(self, *args): pass

@pytest.fixture
def hub(folder, tmp_path):
    "A hub on this machine, as the environment of a process"
    server = ThreadingHTTPServer(('127.0.0.1', 0), type('Ours', (Hub,), {'folder': folder}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield dict(HF_ENDPOINT=f'http://127.0.0.1:{server.server_port}', HF_HOME=str(tmp_path/'home'), PYTHONPATH=str(ROOT),
               HF_HUB_DISABLE_XET='1', HF_HUB_DISABLE_TELEMETRY='1')
    server.shutdown()
    server.server_close()

def test_a_hub(folder, hub):
    assert loaded("'owner/model'", **hub) == total(load_weights(folder))
    assert loaded("'owner/model'", **{**hub, 'HF_HUB_OFFLINE': '1'}) == total(load_weights(folder))  # kept from before

def test_not_on_the_hub(hub):
    done = subprocess.run([sys.executable, '-c', SUM.format("'nobody/nothing'")], cwd='/', capture_output=True, text=True, env={**os.environ, **hub})
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith('everything_is_video.core.UserError: nobody/nothing: no such folder, and not to be had')

def test_a_model_without_a_run_is_saved_with_a_plain_card(folder):
    assert 'library_name: everything_is_video' in (folder/'README.md').read_text()

@pytest.mark.skipif(not JOINT.exists(), reason='the package brings no weights yet')
def test_the_weights_of_the_package():
    assert sum(path.stat().st_size for path in JOINT.iterdir()) <= 8_000_000
    model, card = load_weights(), (JOINT/'README.md').read_text(encoding='utf-8')
    assert len({part['task'] for part in model.parts}) >= 8
    for part in model.parts: assert card.count(part['dataset']) >= 3  # the front matter, its scores, its data
    assert model.generate_model_card().content.strip() == card.strip(), 'made by an older version; run everything_is_video.hub again'
