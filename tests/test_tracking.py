"Tracking: boxes and images as people have stored them, windows, sequences held out, and files with faults"
import json, os, shutil
from pathlib import Path
import numpy as np
import pytest
from PIL import Image
from mutations import check
from everything_is_video.core import UserError
from everything_is_video.datasets import SPLITS
from everything_is_video.frames import draw_box, image_frame, read_box
from everything_is_video.tasks import TASKS, open_source
from everything_is_video.tasks.lasot import OTB, LaSOT, Tracking
from everything_is_video.tracks import frame_boxes, read_track

N, SIZE = 40, (160, 120)
BOXES = [(10 + 2*t, 30 + t, 30, 25) for t in range(N)]
ABSENT = [-1]*4

def lines(boxes, separator=',', end='\n'): return ''.join(separator.join(map(str, box)) + end for box in boxes)

def at_hand(variable, name):
    "A folder that an environment variable leads to"
    root = Path(os.environ.get(variable, 'data'))
    if not (root/name).exists(): pytest.skip(f'{name} is not at hand ({variable} names the folder to look in)')
    return root

@pytest.fixture
def sequence(tmp_path):
    "One sequence in LaSOT's layout; image t says in its grey which line is its own"
    folder = tmp_path/'LaSOT/kite/kite-1'
    (folder/'img').mkdir(parents=True)
    (tmp_path/'LaSOT/testing_set.txt').write_text('kite-1\n')
    for t in range(N): Image.new('L', SIZE, 5*t).save(folder/f'img/{t+1:08d}.jpg')
    (folder/'groundtruth.txt').write_text(lines(BOXES))
    return folder

def read(folder, n=N): return LaSOT(folder.parents[2], 'test', n_frames=n, stride=1)[0]

def right(box):
    "The first and the last pixel of 64 that a box touches, by another way: pixel by pixel"
    x, y, w, h = box
    touched = lambda start, length, whole: [p for p in range(64) if p*whole < (start + length)*64 and (p + 1)*whole > start*64]
    across, down = touched(x, w, SIZE[0]), touched(y, h, SIZE[1])
    return [across[0], down[0], across[-1], down[-1]] if across and down and w > 0 and h > 0 else ABSENT

RIGHT = [right(box) for box in BOXES]

def is_right(example, boxes=RIGHT):
    assert example.answer.tolist() == boxes
    shown = [round(float(frame.mean())/5) for frame in example.frames]
    assert shown == list(range(N))


# boxes

def test_a_box_is_the_pixels_it_touches():
    rng = np.random.default_rng(0)
    boxes = np.round(rng.uniform(-100, 200, (300, 4)), 1)
    assert [right(b) for b in boxes] == frame_boxes(boxes, *SIZE).tolist()

@pytest.mark.parametrize('box, expected', [
    ((-80, 30, 30, 25), ABSENT), ((200, 30, 30, 25), ABSENT), ((10, -25, 30, 25), ABSENT), ((10, 120, 30, 25), ABSENT),
    ((-20, 30, 30, 25), [0, 16, 3, 29]), ((150, 100, 30, 25), [60, 53, 63, 63]), ((-50, -50, 300, 300), [0, 0, 63, 63]),
    ((0, 0, 0, 0), ABSENT), ((10, 30, 0, 25), ABSENT), ((10, 30, -1, -1), ABSENT), ((-1, -1, -1, -1), ABSENT),
    (('nan',)*4, ABSENT), (('NaN',)*4, ABSENT), ((10.5, 3e1, '+30.0', '25.'), [4, 16, 16, 29])])
def test_a_box_in_a_file(box, expected, sequence):
    (sequence/'groundtruth.txt').write_text(lines([*BOXES[:7], box, *BOXES[8:]]))
    is_right(read(sequence), [*RIGHT[:7], expected, *RIGHT[8:]])

@pytest.mark.parametrize('line, message', [
    ('10,30,30,nan', 'box 8 is [10.0, 30.0, 30.0, nan]'), ('nan,nan,30,25', 'box 8 is'), ('10,30,inf,25', "line 8 is '10,30,inf,25'"),
    ('-inf,30,30,25', 'line 8 is'), ('10,30,-30,25', 'box 8 is [10.0, 30.0, -30.0, 25.0]'), ('10,30,30,-25', 'box 8 is'), ('10,30,-1,25', 'box 8 is'),
    ('10,30,1e9,25', 'box 8 is'), ('10,30,30', 'lines of 3 or 4 numbers'), ('10,30,30,25,1', 'lines of 4 or 5 numbers'), ('', '39 lines of 4 numbers for 40 images'),
    ('10,,30,25', 'line 8 is'), ('10,30,30,25,', 'line 8 is'), ('10 30 30 25', 'line 8 is'), ('10,30,1_0,25', 'line 8 is'), ('10,30,0x1,25', 'line 8 is'),
    ('10,30,１０,25', 'line 8 is'), ('10,30,1.2.3,25', 'could not convert'), ('x,y,w,h', 'line 8 is')])
def test_a_line_that_is_no_box(line, message, sequence):
    (sequence/'groundtruth.txt').write_text(lines(BOXES[:7]) + line + '\n' + lines(BOXES[8:]))
    with pytest.raises(UserError) as error: read(sequence)
    text = str(error.value)
    assert text.startswith(f'{sequence}/groundtruth.txt: not a list of boxes x,y,width,height') and message in text and '\n' not in text

@pytest.mark.parametrize('content', [
    lines(BOXES, '\t'), lines(BOXES, ' '), lines(BOXES, '   '), lines(BOXES, ', '), lines(BOXES, ' , '), lines(BOXES, ',', '\r\n'), lines(BOXES, ',', '\r'),
    lines(BOXES, ',', '\r\r\n'), '\ufeff' + lines(BOXES), lines(BOXES).rstrip(), lines(BOXES) + '\n\n', '\n' + lines(BOXES), lines(BOXES, '\t', '\r')])
def test_separators_and_ends_of_lines(content, sequence):
    (sequence/'groundtruth.txt').write_bytes(content.encode())
    is_right(read(sequence))

def test_corners_in_place_of_sizes(sequence):
    path = sequence/'groundtruth.txt'
    corners = [(100 + t % 9, 60, 130 + t % 9, 85) for t in range(N)]
    path.write_text(lines(corners))
    with pytest.raises(UserError, match='groundtruth.txt: these look like x0,y0,x1,y1; make them x,y,width,height'): read(sequence)
    path.write_text(lines([*corners[:-1], (0, 0, 0, 0)]))  # absent once
    with pytest.raises(UserError, match='these look like x0,y0,x1,y1'): read(sequence)
    leaving = [(100 + t, 60, 40, 25) for t in range(N)]  # a target that leaves the image on the right
    path.write_text(lines(leaving))
    is_right(read(sequence), [right(b) for b in leaving])
    filling = [(2, 1, 157, 118)]*N  # a target as large as the image
    path.write_text(lines(filling))
    is_right(read(sequence), [right(b) for b in filling])

def test_polygons_are_refused(sequence):
    (sequence/'groundtruth.txt').write_text(lines([(x, y, x+w, y, x+w, y+h, x, y+h) for x, y, w, h in BOXES]))
    with pytest.raises(UserError, match='40 lines of 8 numbers for 40 images: these are polygons, not boxes'): read(sequence)

@pytest.mark.parametrize('content', [','.join(['0']*30 + ['1']*10), '\n'.join(['0']*30 + ['1']*10), '\ufeff' + '\t'.join(['0']*30 + ['1']*10)])
@pytest.mark.parametrize('name', ['full_occlusion.txt', 'out_of_view.txt'])
def test_a_flag_makes_the_target_absent(name, content, sequence):
    (sequence/name).write_text(content)
    is_right(read(sequence), RIGHT[:30] + [ABSENT]*10)

@pytest.mark.parametrize('content, message', [('0,1', '2 numbers for 40 images'), (','.join(['0']*39 + ['2']), 'other numbers'), (','.join(['0']*39 + ['nan']), 'other numbers'),
                                              ('', '0 numbers'), (','.join(['0']*39 + ['no']), 'line 1 is'), (','.join(['0']*39 + ['-1']), 'other numbers')])
def test_flags_that_are_wrong(content, message, sequence):
    (sequence/'out_of_view.txt').write_text(content)
    with pytest.raises(UserError, match='out_of_view.txt: not a line of 0 and 1.*' + message): read(sequence)

def test_a_target_that_is_never_seen(sequence):
    (sequence/'groundtruth.txt').write_text(lines([(500, 500, 10, 10)]*N))
    with pytest.raises(UserError, match='the target is in none of its 40 frames'): read(sequence)


# images

def renamed(sequence, name):
    for t in range(N): (sequence/f'img/{t+1:08d}.jpg').rename(sequence/'img'/name(t))

@pytest.mark.parametrize('name', [
    lambda t: f'{t:08d}.jpg', lambda t: f'{t+1:04d}.jpg', lambda t: f'{t+1}.jpg', lambda t: f'{t+300:05d}.jpg', lambda t: f'{t+1:08d}.JPG',
    lambda t: f'{t+1:08d}.jpeg', lambda t: f'{t+1:08d}.Jpg', lambda t: f'{t+95}.jpg'], ids=['from 0', 'four digits', 'no zeros', 'from 300', 'JPG', 'jpeg', 'Jpg', '95 to 134'])
def test_images_belong_to_lines_by_their_place(name, sequence):
    (sequence/'img/x').mkdir()
    for t in range(N): (sequence/f'img/{t+1:08d}.jpg').rename(sequence/'img/x'/name(t))
    for path in (sequence/'img/x').iterdir(): path.rename(sequence/'img'/path.name)
    (sequence/'img/x').rmdir()
    is_right(read(sequence))

def test_png_images(sequence):
    for path in list((sequence/'img').iterdir()):
        with Image.open(path) as image: image.save(path.with_suffix('.png'))
        path.unlink()
    is_right(read(sequence))

def test_files_that_are_no_images(sequence):
    for path in list((sequence/'img').iterdir()): path.with_name(f'._{path.name}').write_bytes(b'\0\5\x16\7Mac OS X')
    for name in '.DS_Store', 'Thumbs.db', 'readme.txt': (sequence/'img'/name).write_text('x')
    is_right(read(sequence))

@pytest.mark.parametrize('change, message', [
    (lambda folder: (folder/'00000021.jpg').unlink(), 'img: image 21 is missing between others'),
    (lambda folder: (folder/'00000040.jpg').unlink(), '40 lines of 4 numbers for 39 images'),
    (lambda folder: shutil.copy(folder/'00000040.jpg', folder/'00000041.jpg'), '40 lines of 4 numbers for 41 images'),
    (lambda folder: shutil.copy(folder/'00000040.jpg', folder/'40.jpg'), '40.jpg: has the number of 00000040.jpg'),
    (lambda folder: shutil.copy(folder/'00000040.jpg', folder/'00000040.png'), '00000040.png: has the number of 00000040.jpg'),
    (lambda folder: (folder/'00000003.jpg').rename(folder/'00000003 copy.jpg'), '00000003 copy.jpg: its name is not a number'),
    (lambda folder: (folder/'00000003.jpg').rename(folder/'frame_3.jpg'), 'frame_3.jpg: its name is not a number'),
    (lambda folder: Image.new('L', (80, 60)).save(folder/'00000021.jpg'), '00000021.jpg: not 160×120 as the first image; make all one size'),
    (lambda folder: (folder/'00000021.jpg').write_bytes((folder/'00000021.jpg').read_bytes()[:300]), '00000021.jpg: not an image'),
    (lambda folder: (folder/'00000001.jpg').write_bytes(b''), '00000001.jpg: it is empty'),
    (lambda folder: shutil.rmtree(folder), '40 lines of 4 numbers for 0 images')], ids=lambda v: v if isinstance(v, str) else '')
def test_images_that_do_not_fit(change, message, sequence):
    change(sequence/'img')
    with pytest.raises(UserError) as error: read(sequence)
    assert message in str(error.value) and str(sequence) in str(error.value) and '\n' not in str(error.value)

def test_a_pipe_is_no_list(sequence):
    (sequence/'groundtruth.txt').unlink()
    os.mkfifo(sequence/'groundtruth.txt')
    with pytest.raises(UserError, match='groundtruth.txt: .*not a regular file'): read(sequence)

def test_a_file_that_was_corrected_is_read_again(sequence):
    is_right(read(sequence))
    (sequence/'groundtruth.txt').write_text(lines(BOXES[::-1]))
    is_right(read(sequence), RIGHT[::-1])

CASES = {'left_the_image': [RIGHT[0]]*10 + [ABSENT]*20 + [RIGHT[0]]*10, 'nan': [RIGHT[0]]*10 + [ABSENT]*10 + [[20, 16, 31, 29]]*20, 'negative': [RIGHT[0]]*20 + [ABSENT]*20,
         'one_missing': 'img: image 21 is missing between others', 'polygon': '40 lines of 8 numbers for 40 images: these are polygons',
         'xyxy_looks_ok': 'these look like x0,y0,x1,y1'}
CASES |= dict.fromkeys(['bom', 'crlf', 'four', 'from_zero', 'mac', 'plain', 'png', 'space', 'tab', 'upper'], RIGHT)

@pytest.mark.parametrize('name', CASES)
def test_files_as_reported(name):
    folder = at_hand('EIV_CASES', f'lasot/data/{name}')/f'lasot/data/{name}/LaSOT/kite/kite-1'
    if isinstance(CASES[name], str):
        with pytest.raises(UserError, match=CASES[name]): read(folder)
    else: assert read(folder).answer.tolist() == CASES[name]

def test_every_reported_file_is_tested():
    folder = at_hand('EIV_CASES', 'lasot/data')/'lasot/data'
    assert {path.name for path in folder.iterdir()} == set(CASES)


# lists and splits

def lasot(root, training, testing):
    (root/'LaSOT').mkdir()
    for name, names in ('training', training), ('testing', testing): (root/f'LaSOT/{name}_set.txt').write_text('\n'.join(names))
    for name in {*training, *testing}:
        folder = root/'LaSOT'/name.rsplit('-', 1)[0]/name
        if '..' in name or folder.exists(): continue
        (folder/'img').mkdir(parents=True)
        for t in range(12): Image.new('L', (16, 12), t).save(folder/f'img/{t+1:08d}.jpg')
        (folder/'groundtruth.txt').write_text('1,2,5,5\n'*12)
    return root

def test_windows_of_a_sequence_are_in_one_part(tmp_path):
    root = lasot(tmp_path, [f'{c}-{i}' for c in ('cat', 'dog') for i in range(1, 21)], ['cat-21', 'dog-21'])
    parts = [{source[0] for source, *_ in LaSOT(root, split, n_frames=2, stride=1).records} for split in SPLITS]
    assert [len(part) for part in parts] == [36, 4, 2] and len(set.union(*parts)) == 42

def test_a_sequence_listed_twice_counts_once(tmp_path):
    root = lasot(tmp_path, ['cat-1', 'cat-2'], ['cat-3', 'cat-3'])
    assert len(LaSOT(root, 'test', n_frames=12)) == 1

def test_a_test_list_must_not_name_a_training_sequence(tmp_path):
    root = lasot(tmp_path, ['cat-1', 'cat-2', 'cat-3'], ['cat-3', 'cat-4'])
    for split in SPLITS:
        with pytest.raises(UserError, match="_set.txt: 'cat-3' is in (training|testing)_set.txt too"): LaSOT(root, split)

@pytest.mark.parametrize('name', ['../cat-1', '/etc/x-1', 'a/../../b-1', '..', 'cat\x01-1', '..\\x-1', 'a'*300])
def test_a_list_that_leads_elsewhere(name, tmp_path):
    root = lasot(tmp_path, ['cat-1', 'cat-2'], ['cat-3'])
    (root/'LaSOT/testing_set.txt').write_text(f'cat-3\n{name}\n')
    with pytest.raises(UserError, match='testing_set.txt: .* does not name a file in'): LaSOT(root, 'test')

def test_lists_from_other_systems(tmp_path):
    root = lasot(tmp_path, ['cat-1', 'cat-2'], ['cat-3', 'cat-4'])
    (root/'LaSOT/testing_set.txt').write_bytes('\ufeffcat-3\r\ncat-4\r'.encode())
    dataset = LaSOT(root, 'test', n_frames=12)
    assert (dataset.name, len(dataset)) == ('LaSOT', 2)

def test_held_out_sequences():
    parts = [set(Tracking.split_sequences[split]) for split in SPLITS]
    assert parts[2] == {'Crossing', 'Vase', 'Deer', 'DragonBaby', 'Human7', 'tlp_Drone1', 'uav_boat1', 'bag'} and parts[1] == {'Dog', 'Jumping', 'Diving'}
    assert [len(part) for part in parts] == [18, 3, 8] and len(set.union(*parts)) == 29 and {'Jogging-1', 'Jogging-2'} <= parts[0]
    assert all(set(OTB.split_sequences[split]) <= set(Tracking.split_sequences[split]) for split in SPLITS)
    assert all('OTB-100' in reader.origin and not reader.official for reader in (OTB, Tracking))


# real sequences

def test_tracking_is_whole():
    root = at_hand('EIV_DATA', 'tracking')
    at_hand('EIV_DATA', 'otb_in_lasot_layout')
    sets = [open_source(TASKS['lasot'], 'tracking', root, split) for split in SPLITS]
    assert [s.name for s in sets] == ['OTB/VOT/TLP/UAV123 (stand-in for LaSOT)']*3
    folders = [{source[0] for source, *_ in s.records} for s in sets]
    assert [len(f) for f in folders] == [18, 3, 8] and len(set.union(*folders)) == 29
    tracks = {folder.name: read_track(folder) for folder in set.union(*folders)}
    assert sum(map(len, tracks.values())) == 5_619 + 1_590 and all((track >= 0).all() for track in tracks.values())
    for about in json.loads((root/'tracking/sequences.json').read_text()):
        track = tracks[about['name']]
        assert len(track) == about['frames']
        size = np.median(track[:, 2:] - track[:, :2] + 1, 0)
        assert np.abs(size - about['box_at_64']).max() < 2, about['name']  # outer pixels are counted whole

def test_a_window_of_each_sequence():
    root = at_hand('EIV_DATA', 'tracking')
    for split in SPLITS:
        dataset = Tracking(root, split)
        first = {source[0]: i for i, (source, *_) in reversed(list(enumerate(dataset.records)))}
        for folder, i in first.items():
            example = dataset[i]
            assert example.frames.shape == (20, 3, 64, 64) and len({f.tobytes() for f in example.frames}) > 10, folder
            with Image.open(sorted((folder/'img').glob('*.jpg'))[0]) as image: assert np.abs(image_frame(image).astype(int) - example.frames[0]).mean() < 3
            clip = TASKS['lasot'].clip(example)
            for frame, target, box in zip(example.frames, clip.targets, example.answer):
                seen = read_box(draw_box(frame, box))
                if folder.name != 'DragonBaby': assert seen == tuple(box), folder  # its red clothes hide 45 of 113 boxes
                assert (target != frame).any()


# files with one fault each

def plausible(read):
    boxes = np.array(read[0])
    there = boxes[:, 0] >= 0
    return boxes.shape == (N, 4) and (boxes[~there] == -1).all() and (boxes < 64).all() and (boxes[there, 2:] >= boxes[there, :2]).all() and there.any()

@pytest.mark.parametrize('name', ['groundtruth.txt', 'full_occlusion.txt'])
def test_faults(name, sequence, capsys):
    (sequence/'full_occlusion.txt').write_text(','.join(['0']*30 + ['1']*10))
    def both():
        example = read(sequence)
        return example.answer.tolist(), example.frames.tobytes()
    check(f'LaSOT, {name}', both, sequence/name, np.random.default_rng(0), plausible, capsys)

def test_faults_in_lists(tmp_path, capsys):
    root = lasot(tmp_path, ['cat-1', 'cat-2', 'cat-3'], ['dog-1', 'dog-2'])
    def names(): return [source[0].name for source, *_ in LaSOT(root, 'test', n_frames=12).records]
    check('LaSOT, testing_set.txt', names, root/'LaSOT/testing_set.txt', np.random.default_rng(0), lambda read: set(read) < {'dog-1', 'dog-2'}, capsys)
