"""The notebooks are the source: the package and README.md are what they say, and they are clean and readable.

What a reader does in JupyterLab changes outputs and metadata, not sources. So sources are compared as they are in the folder;
whether a notebook is clean, and what its outputs hold, is asked of what git has: the index, which is what is committed next."""
import ast, json, re, subprocess, sys
from pathlib import Path
import pytest
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT/'everything_is_video'

def git(*arguments):
    "What git says; None where it says nothing, as in an archive"
    try: asked = subprocess.run(['git', '-C', ROOT, *arguments], capture_output=True)
    except OSError: return None
    return asked.stdout if asked.returncode == 0 else None

def the_notebooks():
    "Those that git knows; without git, those that are there"
    known = (git('ls-files', '-z', 'nbs/*.ipynb') or b'').decode().split('\0')
    there = [ROOT/name for name in known if name and (ROOT/name).exists()]
    return sorted(there or (p for p in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts))

NOTEBOOKS = the_notebooks()
MODULES = sorted(p for p in PACKAGE.rglob('*.py') if not p.name.startswith('_'))
every_notebook = pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))

def committed(path):
    "A notebook's bytes as git has them"
    return git('show', f':{path.relative_to(ROOT).as_posix()}') or path.read_bytes()

def read(path): return json.loads(committed(path))

def outputs(path): return [o for cell in read(path)['cells'] for o in cell.get('outputs', [])]

def copied(folder, content):
    "A folder with the settings and every notebook"
    for path in [ROOT/'settings.ini', ROOT/'pyproject.toml', PACKAGE/'__init__.py', *NOTEBOOKS]:
        place = folder/path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content(path) if path.suffix == '.ipynb' else path.read_bytes())
    return folder

def run(command, folder): subprocess.run([Path(sys.executable).with_name(command)], cwd=folder, check=True)

@pytest.fixture(scope='module')
def rebuilt(tmp_path_factory):
    "A copy of the project in which the package was exported again, from nothing"
    folder = copied(tmp_path_factory.mktemp('rebuilt'), Path.read_bytes)
    run('nbdev_export', folder)
    return folder

@pytest.fixture(scope='module')
def cleaned(tmp_path_factory):
    "A copy of the notebooks that git has, cleaned again"
    folder = copied(tmp_path_factory.mktemp('cleaned'), committed)
    run('nbdev_clean', folder)
    return folder

def test_package_is_in_step(rebuilt):
    def files(root): return {str(p.relative_to(root)): p.read_text(encoding='utf-8') for p in (root/PACKAGE.name).rglob('*.py')}
    there, here = files(rebuilt), files(ROOT)
    assert sorted(there) == sorted(here), 'modules of the package without a notebook, or notebooks without a module'
    assert [name for name in here if here[name] != there[name]] == [], 'run `make prepare`'

@every_notebook
def test_notebook_is_clean(cleaned, path):
    clean = committed(path) == (cleaned/path.relative_to(ROOT)).read_bytes()
    assert clean, 'run `make prepare`'

def test_readme_is_in_step():
    text, _ = MarkdownExporter().from_filename(ROOT/'nbs'/'index.ipynb')
    in_step = (ROOT/'README.md').read_text(encoding='utf-8') == re.sub(r'(\]\(|src=")\.\./', r'\1', text)
    assert in_step, 'run `make prepare`'

def test_readme_links():
    links = re.findall(r'(?:\]\(|src=")([^)"#]+)', (ROOT/'README.md').read_text(encoding='utf-8'))
    assert [link for link in links if '://' not in link and not (ROOT/link).exists()] == []

@every_notebook
def test_kernel(path): assert read(path)['metadata']['kernelspec']['name'] == 'python3'

@every_notebook
def test_no_stored_error(path): assert [o['evalue'] for o in outputs(path) if o['output_type'] == 'error'] == []

@every_notebook
def test_no_absolute_path_in_outputs(path):
    texts = [o.get('text', '') for o in outputs(path)]
    texts += [text for o in outputs(path) for kind, text in o.get('data', {}).items() if kind.startswith('text/')]
    absolute = r'(?<![\w./:<>~])(?:/[A-Za-z_][\w.+-]*){2,}|\b[A-Z]:\\\w+'
    texts = [re.sub(r'base64,[A-Za-z0-9+/=\\\s]+', '', ''.join(text)) for text in texts]  # pictures inside HTML
    assert [found for text in texts for found in re.findall(absolute, text)] == []

@every_notebook
def test_only_papermill_notebooks_are_skipped_by_nbdev_test(path):
    cells = read(path)['cells']
    papermill = any('parameters' in cell['metadata'].get('tags', []) for cell in cells)
    skipped = 'skip_exec: true' in ''.join(cells[0]['source'])
    assert skipped == papermill

@every_notebook
def test_papermill_reads_every_parameter(path):
    "It takes a line with a second equals sign for none: a warning on every run, and no word in `--help-notebook`"
    cells = [''.join(cell['source']) for cell in read(path)['cells'] if 'parameters' in cell['metadata'].get('tags', [])]
    assert [line for cell in cells for line in cell.splitlines() if line.count('=') > 1] == []

@pytest.mark.parametrize('path', MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_docstrings(path):
    "Each exported function and class has one, of one line"
    exported = [d for d in ast.parse(path.read_text(encoding='utf-8')).body
                if isinstance(d, (ast.FunctionDef, ast.ClassDef)) and not d.name.startswith('_')]
    assert [d.name for d in exported if len((ast.get_docstring(d) or '').splitlines()) != 1] == []

def test_a_reader_changes_nothing(tmp_path, monkeypatch):
    "A notebook executed in JupyterLab, with other outputs and metadata, is still the same project"
    if git('rev-parse', '--git-dir') is None: pytest.skip('no git here: outputs are taken as they are in the folder')
    path = ROOT/'nbs'/'choices.ipynb'
    lab = json.loads(path.read_bytes())
    lab['metadata'] = {'kernelspec': {'name': 'python3', 'display_name': 'Python 3 (ipykernel)'}, 'widgets': {}}
    for cell in lab['cells']:
        if cell['cell_type'] != 'code': continue
        cell['execution_count'] = 7
        cell['outputs'] = [dict(output_type='error', ename='Error', evalue='/home/me/file', traceback=[])]
    copy = copied(tmp_path, lambda p: json.dumps(lab).encode() if p == path else p.read_bytes())
    run('nbdev_export', copy)
    for module in MODULES: assert (copy/module.relative_to(ROOT)).read_text() == module.read_text(), module
    place = copy/path.relative_to(ROOT)
    assert place.read_bytes() != path.read_bytes() and read(path)['cells'] != lab['cells']
