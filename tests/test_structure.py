"The rooms of the package: imports run one way, modules are small, lines are short"
import ast, re, subprocess, sys
from graphlib import TopologicalSorter
from pathlib import Path
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT/'everything_is_video'
NOTEBOOKS = sorted((ROOT/'nbs').rglob('*.ipynb'))

def name(path):
    "A module's name within the package: tasks.sst2; a package's own name is tasks"
    return '.'.join(path.relative_to(PACKAGE).with_suffix('').parts).removesuffix('.__init__')

MODULES = {name(path): path for path in sorted(PACKAGE.rglob('*.py')) if path.parent != PACKAGE or path.stem[0] != '_'}

def lines(path):
    "The exported lines of a module: without nbdev's own, and without the docstring that is the notebook's first words"
    cells = re.split(r'^# %% .*$', path.read_text(encoding='utf-8'), flags=re.MULTILINE)[2:]  # [1] is __all__
    return [line for line in ''.join(cells).splitlines() if line.strip()]

def imports(path):
    "The modules of the package that a module imports when it is imported"
    package = name(path).split('.')[:-1] if path.stem != '__init__' else name(path).split('.')
    found = set()
    for node in ast.parse(path.read_text(encoding='utf-8')).body:  # not in functions, not under `if __name__ …`
        if not isinstance(node, ast.ImportFrom): continue
        names = node.module.split('.') if node.module else []
        if node.level: base = package[:len(package) - node.level + 1] + names
        elif names[0] == PACKAGE.name: base = names[1:]
        else: continue
        for alias in node.names:
            deeper = '.'.join([*base, alias.name])
            found.add(deeper if deeper in MODULES else '.'.join(base))
    return found - {''}

GRAPH = {module: imports(path) for module, path in MODULES.items()}

def test_no_circle(): assert set(TopologicalSorter(GRAPH).static_order()) >= set(MODULES)

def numbers():
    "Module -> the number of its notebook; the rooms of the datasets come after their base"
    found = {}
    for path in NOTEBOOKS:
        number = re.match(r'\d\d', path.name)
        exported = re.search(r'#\| default_exp ([\w.]+)', path.read_text(encoding='utf-8'))
        if exported and path.parent.name == 'nbs' and number: found[exported[1]] = int(number[0])
        if exported and path.parent.name == 'tasks': found[exported[1].removesuffix('.__init__')] = 3.5
    return found

def test_no_upward_import():
    number = numbers()
    assert number['core'] == 0 and number['tasks.sst2'] == 3.5 and number['training'] == 8
    def below(module, seen):
        "Everything that a module imports, directly or not"
        for other in GRAPH[module] - seen:
            seen.add(other)
            below(other, seen)
        return seen
    upward = [(m, o) for m in number for o in below(m, set()) if number.get(o, -1) > number[m]]
    assert upward == []

def test_rooms_do_not_know_each_other():
    rooms = {module for module in MODULES if module.startswith('tasks.') and module != 'tasks.base'}
    assert len(rooms) >= 8
    rooms.remove('tasks.unstructured')  # reads the data of two others again
    assert [(room, other) for room in rooms for other in GRAPH[room] & (rooms | {'tasks'})] == []

def loaded(module):
    "The modules of the package in a process that has imported one of them"
    code = f'import sys, everything_is_video.{module}; print(*(m for m in sys.modules if m.startswith("everything_is_video.")))'
    ended = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {m.removeprefix('everything_is_video.') for m in ended.stdout.split()}

def test_metrics_need_neither_model_nor_data():
    assert not loaded('metrics') & {'training', 'model', 'runs', 'datasets', 'tasks', 'recipe', 'loss', 'devices'}

def test_samples_are_imported_only_when_asked_for():
    assert not [m for m in loaded('command') | loaded('results') if m.startswith('samples')]

@pytest.mark.parametrize('module', MODULES)
def test_size(module):
    path = MODULES[module]
    exported = lines(path)
    assert [line for line in exported if len(line) > 110] == []
    if module.startswith('samples'): return
    assert len(path.read_text(encoding='utf-8').splitlines()) <= 450
    public = re.search(r'__all__ = \[(.*?)\]', path.read_text(encoding='utf-8'), re.DOTALL)
    assert len(re.findall(r"'\w+'", public[1])) <= 25

def test_the_loop_is_a_short_file():
    path, = [path for path in MODULES.values() if 'class Trainer' in path.read_text(encoding='utf-8')]
    assert len(path.read_text(encoding='utf-8').splitlines()) <= 250

def test_the_way_to_the_model_is_short():
    "What a reader reads before the model: the numbered chapters before it, and the rooms of the datasets"
    before = [module for module, number in numbers().items() if number < 4 and module != 'tasks.unstructured']
    assert {'core', 'frames', 'datasets', 'tasks.base', 'tasks.lasot'} <= set(before)
    assert sum(len(lines(MODULES[module])) for module in before) <= 1000

def test_few_clever_lines():
    "Walrus, and several assignments in one, are rare: at most 1 and 20 in 1,000 lines"
    trees = {m: ast.parse(p.read_text(encoding='utf-8')) for m, p in MODULES.items() if not m.startswith('samples')}
    total = sum(len(lines(MODULES[m])) for m in trees)
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    walrus = [node for node in nodes if isinstance(node, ast.NamedExpr)]
    packed = [node for node in nodes if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)
              and isinstance(node.targets[0], ast.Tuple)]
    assert len(walrus) <= total/1000 and len(packed) <= 20*total/1000, (len(walrus), len(packed), total)
