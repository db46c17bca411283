"The notebooks are the source: the package and README.md are what they say, and they are clean and readable"
import ast, json, re, shutil, subprocess, sys
from pathlib import Path
import pytest
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT/'everything_is_video'
NOTEBOOKS = sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
MODULES = sorted(p for p in PACKAGE.rglob('*.py') if not p.name.startswith('_'))
every_notebook = pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))

def read(path): return json.loads(path.read_text(encoding='utf-8'))

def outputs(path): return [o for cell in read(path)['cells'] for o in cell.get('outputs', [])]

@pytest.fixture(scope='module')
def rebuilt(tmp_path_factory):
    "A copy of the project in which the package was exported again, from nothing, and the notebooks cleaned again"
    copy = tmp_path_factory.mktemp('rebuilt')
    for path in [ROOT/'settings.ini', ROOT/'pyproject.toml', PACKAGE/'__init__.py', *NOTEBOOKS]:
        place = copy/path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    for command in 'nbdev_export', 'nbdev_clean':
        subprocess.run([Path(sys.executable).with_name(command)], cwd=copy, check=True)
    return copy

def test_package_is_in_step(rebuilt):
    def files(root): return {str(p.relative_to(root)): p.read_text(encoding='utf-8') for p in (root/PACKAGE.name).rglob('*.py')}
    there, here = files(rebuilt), files(ROOT)
    assert sorted(there) == sorted(here), 'modules of the package without a notebook, or notebooks without a module'
    assert [name for name in here if here[name] != there[name]] == [], 'run `make prepare`'

@every_notebook
def test_notebook_is_clean(rebuilt, path):
    clean = path.read_bytes() == (rebuilt/path.relative_to(ROOT)).read_bytes()
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

@pytest.mark.parametrize('path', MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_docstrings(path):
    "Each exported function and class has one, of one line"
    exported = [d for d in ast.parse(path.read_text(encoding='utf-8')).body
                if isinstance(d, (ast.FunctionDef, ast.ClassDef)) and not d.name.startswith('_')]
    assert [d.name for d in exported if len((ast.get_docstring(d) or '').splitlines()) != 1] == []
