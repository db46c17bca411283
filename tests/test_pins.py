"settings.ini, pyproject.toml and environment.yml name the same packages in the same versions"
import configparser, re, tomllib
from pathlib import Path
import yaml

ROOT = Path(__file__).parents[1]
SETTINGS = configparser.ConfigParser(delimiters=['='], interpolation=None)
SETTINGS.read(ROOT/'settings.ini')
SETTINGS = SETTINGS['DEFAULT']
PROJECT = tomllib.loads((ROOT/'pyproject.toml').read_text())['project']
CONDA = yaml.safe_load((ROOT/'environment.yml').read_text())
CONDA_NAMES = {'pytorch': 'torch'}            # conda-forge's name -> the Python package index's name
NOT_PYTHON = {'python', 'pip', 'tesseract'}   # what only conda has to name

def pins(requirements):
    "Pinned requirements as {name: version}"
    for r in requirements: assert re.fullmatch(r'[A-Za-z0-9_-]+==[0-9][0-9.]*', r), f'{r} is not pinned as name==version'
    return dict(r.split('==') for r in requirements)

def test_settings_and_pyproject():
    assert pins(SETTINGS['requirements'].split()) == pins(PROJECT['dependencies'])
    assert pins(SETTINGS['dev_requirements'].split()) == pins(PROJECT['optional-dependencies']['dev'])
    assert PROJECT['name'] == SETTINGS['lib_name'] and PROJECT['description'] == SETTINGS['description']
    assert PROJECT['requires-python'].startswith('>=' + SETTINGS['min_python'])

def test_environment():
    conda = [d for d in CONDA['dependencies'] if isinstance(d, str)]
    named = {re.split('[=<>]', d)[0] for d in conda}
    assert NOT_PYTHON <= named and CONDA['channels'][0] == 'conda-forge'
    conda = pins([d for d in conda if re.split('[=<>]', d)[0] not in NOT_PYTHON])
    conda = {CONDA_NAMES.get(name, name): version for name, version in conda.items()}
    assert conda == pins(PROJECT['dependencies'] + PROJECT['optional-dependencies']['dev'])
    assert f"python{PROJECT['requires-python']}" in CONDA['dependencies']
    assert [d for d in CONDA['dependencies'] if isinstance(d, dict)] == [{'pip': ['-e .']}]  # nothing else by pip

def test_version():
    import everything_is_video
    assert everything_is_video.__version__ == SETTINGS['version']
