"Clips of videos: TinyVIRAT's lists, the fights that can take its place, and lists with faults"
import json, os
from collections import Counter
from pathlib import Path
import numpy as np
import pytest
from mutations import check
from everything_is_video.cache import Cached, fingerprint
from everything_is_video.core import UserError
from everything_is_video.datasets import SPLITS
from everything_is_video.frames import grey
from everything_is_video.media import save_video
from everything_is_video.tasks import TASKS, open_source
from everything_is_video.tasks.tinyvirat import ColourFight, Fight, TinyVIRAT

rng = np.random.default_rng(0)

def at_hand(name):
    "The data folder, if it has a folder of that name"
    root = Path(os.environ.get('EIV_DATA', 'data'))
    if not (root/name).exists(): pytest.skip(f'{name} is not at hand (EIV_DATA names the folder to look in)')
    return root

def tube(path='a.mp4', label=('Riding',), **more): return {'path': path, 'label': list(label), **more}

def write(root, tubes, part='test', folder='TinyVIRAT'):
    path = root/folder/f'tiny_{part}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tubes if isinstance(tubes, str) else json.dumps(tubes))
    return path

def write_clip(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_video(rng.integers(0, 256, (12, 3, 64, 64), np.uint8), path)

def refused(root, split='test', reader=TinyVIRAT):
    with pytest.raises(UserError) as error: reader(root, split)
    line = str(error.value)
    assert '\n' not in line and '\x00' not in line and len(line) < 500
    return line


@pytest.mark.parametrize('content', [{'tubes': [tube(), tube('b.mp4')]}, [tube(id=0, dim=[30, 64, 64], video_id='v'), tube('b.mp4')],
                                     [tube(label=['Riding', 'Riding']), {'path': 'b.mp4', 'label': 'Riding'}]], ids=['version 1', 'version 2', 'labels'])
def test_both_versions(content, tmp_path):
    write(tmp_path, content)
    videos = tmp_path/'TinyVIRAT/videos/test'
    assert TinyVIRAT(tmp_path, 'test').records == [(videos/'a.mp4', '', ['Riding']), (videos/'b.mp4', '', ['Riding'])]

WRONG = [None, True, 7, 1.5, '', 'x', [], {}, [7], {'a': 1}, [None], [[]], [['Riding']], 'a\nb', '\x00']

@pytest.mark.parametrize('wrong', WRONG, ids=repr)
@pytest.mark.parametrize('place', ['all', 'tubes', 'tube', 'path', 'label', 'one label'])
def test_wrong_types_at_every_level(place, wrong, tmp_path):
    content = {'all': wrong, 'tubes': {'tubes': wrong}, 'tube': [tube(), wrong], 'path': [tube(wrong)], 'label': [{'path': 'a.mp4', 'label': wrong}],
               'one label': [{'path': 'a.mp4', 'label': ['Riding', wrong]}]}[place]
    path = write(tmp_path, content)
    if place == 'path' and wrong == 'x': assert TinyVIRAT(tmp_path, 'test').records[0][0].name == 'x'  # a name like others
    else: assert refused(tmp_path).startswith(str(path))

@pytest.mark.parametrize('path', ['../train/a.mp4', '/etc/passwd', 'a/../../b.mp4', './a.mp4', 'a//b.mp4', '..\\a.mp4', 'a\nb.mp4', 'a\x00.mp4', 'a'*300, '\ud800'])
def test_a_list_must_not_lead_elsewhere(path, tmp_path):
    write(tmp_path, [tube(path)])
    assert 'does not name a file in' in refused(tmp_path)

@pytest.mark.parametrize('label', ['Flying', 'riding', 'Riding ', 'Riding\n', 'Ri\x00ding', 'Ri\u202eding', '<b>Riding</b>'])
def test_a_label_that_there_is_not(label, tmp_path):
    write(tmp_path, [tube(label=[label])])
    assert f'the label {label!r} is none of the 26' in refused(tmp_path)

@pytest.mark.parametrize('second', [['Riding'], ['Misc']])
def test_a_clip_listed_twice(second, tmp_path):
    write(tmp_path, [tube(), tube('b.mp4'), tube(label=second)])
    assert 'tiny_test.json, a.mp4: is listed twice' in refused(tmp_path)

@pytest.mark.parametrize('content, message', [([], 'no examples of TinyVIRAT'), ({'tubes': []}, 'no examples of TinyVIRAT'), ({}, "KeyError: 'tubes'"), ('', 'not a list'),
                                              ('[{"path": "a.mp4"', 'not a list'), ([{'path': 'a.mp4'}], "KeyError: 'label'"), ([tube(label=[])], 'a clip without a label'),
                                              ('['*100_000, 'not a list'), ('\ufeff[', 'not a list')])
def test_lists_without_clips(content, message, tmp_path):
    write(tmp_path, content)
    assert message in refused(tmp_path)

def test_one_clip_cannot_be_divided(tmp_path):
    write(tmp_path, [tube('v/a.mp4'), tube('v/b.mp4')], 'train')
    assert '1 is too few to hold some out' in refused(tmp_path, 'validation')

@pytest.mark.parametrize('clip', [lambda v, i: tube(f'{v}/{i}.mp4'), lambda v, i: tube(f'{i}.mp4', video_id=f'{v}')], ids=['folders', 'video_id'])
def test_clips_of_one_video_are_in_one_part(clip, tmp_path):
    write(tmp_path, [clip(i % 30, i) for i in range(300)], 'train')
    parts = [{int(path.stem) % 30 for path, *_ in TinyVIRAT(tmp_path, split).records} for split in ('train', 'validation')]
    assert [len(part) for part in parts] == [27, 3] and not parts[0] & parts[1]

def test_missing_clips_are_counted(tmp_path, capsys):
    write(tmp_path, [tube(f'{name}.mp4') for name in 'abcd'])
    for name in 'ad': write_clip(tmp_path/f'TinyVIRAT/videos/test/{name}.mp4')
    dataset = TinyVIRAT(tmp_path, 'test')
    before = fingerprint(dataset)
    for i in 1, 2:
        with pytest.raises(UserError, match=f'{"abcd"[i]}.mp4: no such file; 2 of 4 videos are missing'): dataset[i]
    assert fingerprint(dataset) == before
    with pytest.raises(UserError, match='b.mp4: no such file; 2 of 4'): [*Cached(dataset, tmp_path/'cache')]
    kept = Cached(dataset, tmp_path/'cache', skip_bad=True)
    assert len(kept) == 2 and '2 of 4 examples are skipped' in capsys.readouterr().out


# the fights

SOURCES = ['a', 'b', 'c', 'CamNet', 'Synopsis', 'CamNet/Synopsis']

def fights(n=120): return [tube(f'fight/{i}.mp4', ['fight'], source=SOURCES[i % 6], mean_chroma=i % 12) for i in range(n)]

def test_fights_from_one_camera_stay_together(tmp_path):
    write(tmp_path, {'tubes': fights()}, 'train', 'fight_surv')
    for reader in Fight, ColourFight:
        parts = [{min(int(path.stem) % 6, 3) for path, *_ in reader(tmp_path, split).records} for split in ('train', 'validation')]
        assert not parts[0] & parts[1] and parts[0] | parts[1] == {0, 1, 2, 3}

def test_grey_fights_have_no_colours_to_learn(tmp_path):
    write(tmp_path, {'tubes': fights()}, 'train', 'fight_surv')
    count = lambda reader: sum(len(reader(tmp_path, split)) for split in ('train', 'validation'))
    assert (count(Fight), count(ColourFight)) == (120, 60)

@pytest.mark.parametrize('change, message', [({'source': None}, ''), ({'source': ['a']}, ''), ({'source': 7}, ''), ({'mean_chroma': None}, 'mean_chroma|NoneType'),
                                             ({'mean_chroma': '9'}, 'str')])
def test_fights_with_wrong_types(change, message, tmp_path):
    write(tmp_path, {'tubes': [fights()[0] | change, *fights()[1:]]}, 'train', 'fight_surv')
    if not message: assert len(Fight(tmp_path, 'train')) > 50  # a video of its own
    else:
        with pytest.raises(UserError, match=message): ColourFight(tmp_path, 'train')

def test_fights_are_whole():
    root = at_hand('fight_surv')
    sets = [open_source(TASKS['tinyvirat'], 'fight', root, split) for split in SPLITS]
    assert [s.name for s in sets] == ['Surveillance Camera Fight (stand-in for TinyVIRAT)']*3
    assert [len(s) for s in sets] == [208, 22, 70]
    assert Counter(label for i in range(70) for label in sets[2].label(i)[1]) == {'fight': 35, 'noFight': 35}
    about = {t['path']: t for part in ('train', 'test') for t in json.loads((root/f'fight_surv/tiny_{part}.json').read_text())['tubes']}
    cameras = [{sets[0].cut_from(about['/'.join(path.parts[-2:])]) for path, *_ in s.records} for s in sets]
    assert [len(c) for c in cameras] == [33, 3, 9] and len(set.union(*cameras)) == 45
    for s in sets:
        for i in range(0, len(s), 10):
            example = s[i]
            assert example.frames.shape == (10, 3, 64, 64) and len({f.tobytes() for f in example.frames}) == 10, s.records[i]

def test_fights_in_colour():
    root = at_hand('fight_surv')
    sets = [open_source(TASKS['colorization'], 'fight', root, split) for split in SPLITS]
    assert [len(s) for s in sets] == [176, 18, 68] and all('clips in colour' in s.name for s in sets)
    coloured = {path for s in sets for path, *_ in s.records}
    chroma = lambda frames: np.abs(frames.astype(float) - grey(frames)).mean()
    test = Fight(root, 'test')
    values = {path: chroma(test[i].frames) for i, (path, *_) in enumerate(test.records)}
    assert max(v for path, v in values.items() if path not in coloured) < min(np.percentile([v for path, v in values.items() if path in coloured], 10), 3)


# lists with one fault each

def plausible(read):
    return all(labels and set(labels) <= set(TinyVIRAT.vocabulary) and '/videos/test/' in path and '..' not in path for path, _, labels in read)

def test_faults(tmp_path, capsys):
    clips = [tube(f'v/{name}.mp4', label, id=i, dim=[12, 64, 64]) for i, (name, label) in enumerate([('a', ['Riding']), ('b', ['activity_walking', 'Talking']), ('c', ['Misc'])])]
    path = write(tmp_path, {'tubes': clips})
    for name in 'abc': write_clip(tmp_path/f'TinyVIRAT/videos/test/v/{name}.mp4')
    def read():
        dataset = TinyVIRAT(tmp_path, 'test')
        return [(str(path), text, labels) for path, text, labels in dataset.records if dataset.read(path).any()]
    check('TinyVIRAT, tiny_test.json', read, path, np.random.default_rng(0), plausible, capsys)

def test_faults_in_training(tmp_path, capsys):
    path = write(tmp_path, [tube(f'v{i % 3}/{i}.mp4', id=i) for i in range(6)], 'train')
    def read(): return [sorted(str(path) for path, *_ in TinyVIRAT(tmp_path, split).records) for split in ('train', 'validation')]
    check('TinyVIRAT, tiny_train.json', read, path, np.random.default_rng(1), lambda read: not set(read[0]) & set(read[1]), capsys)
