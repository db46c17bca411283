"The script that the README shows works as it stands; here with a budget of two steps instead of its minute"
import os, re, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

def test_add_a_task(tmp_path):
    script, = re.findall(r'```python\n(.*?)```', (ROOT/'README.md').read_text(encoding='utf-8'), re.DOTALL)
    assert script.count('minutes=1)') == 1
    (tmp_path/'parity.py').write_text(script.replace('minutes=1)', 'steps=2)'), encoding='utf-8')
    done = subprocess.run([sys.executable, 'parity.py'], cwd=tmp_path, capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert "'accuracy'" in done.stdout and (tmp_path/'runs'/'parity-official-tiny-0'/'predictions.npz').is_file()
