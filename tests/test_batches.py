"A dataset's clips coded once give the batches that clips drawn one by one give, for every task"
import numpy as np, pytest, torch
from everything_is_video.augment import augmentation, random_numbers
from everything_is_video.batches import Renderer, batch_indices, coded_batches
from everything_is_video.recipe import PRESETS, fit_to_task
from everything_is_video.runs import read_config
from everything_is_video.tasks import TASKS, open_dataset
from everything_is_video.training import Trainer

@pytest.fixture(scope='module')
def folder(tmp_path_factory): return tmp_path_factory.mktemp('data')

def drawn(clips):
    "The slow twin: every clip drawn by itself"
    return torch.from_numpy(np.stack([clip.frames for clip in clips])).float()/255

@pytest.mark.parametrize('name', TASKS)
@pytest.mark.parametrize('free', [None, 0, 2**40])  # read when asked for, read ahead, all of it kept
def test_the_same_batch(folder, name, free):
    task, render = TASKS[name], Renderer('cpu')
    data = open_dataset(task, 'sample-40', folder, 'train')
    order = lambda step: batch_indices(len(data), 5, 0, step)
    coded = coded_batches(task, data, render, order, free)
    for step in 0, 1, 2, 9, 1:  # across a pass, a step far ahead, and one of before
        clips = [task.clip(data[i]) for i in order(step)]
        assert torch.equal(render.draw(coded(step)), drawn(clips))
        assert torch.equal(render(clips), drawn(clips))

def test_a_picture_that_is_kept_is_not_the_batch(folder):
    "What is drawn on a batch is not drawn on what is kept"
    task, render = TASKS['lasot'], Renderer('cpu')
    data = open_dataset(task, 'sample-40', folder, 'train')
    coded = coded_batches(task, data, render, lambda step: [0, 1], 2**40)
    how = augmentation(task, PRESETS['fast'])
    first = render.draw(coded(0))
    changed = render.draw(how.decide(coded(0), random_numbers(0, 0, 2, 41)), how.change)
    assert not torch.equal(changed, first) and torch.equal(render.draw(coded(0)), first)

def test_what_cannot_be_read_ends_in_its_own_line(folder):
    "Also where a thread reads it"
    class Broken(list):
        def __getitem__(self, i):
            if i == 3: raise ValueError('example 3')
            return super().__getitem__(i)
    task = TASKS['sst2']
    data = Broken(open_dataset(task, 'sample-40', folder, 'train')[i] for i in range(8))
    coded = coded_batches(task, data, Renderer('cpu'), lambda step: [step], -1)
    assert coded(2).numbers.shape == (1, 22)
    with pytest.raises(ValueError, match='example 3'): coded(3)

def trainer(folder, name, task='cifar10', **more):
    return Trainer(read_config(dict(task=task, source='sample-40', preset='tiny', device='cpu', data_dir=str(folder), run_dir=str(folder/name)) | more))

@pytest.mark.parametrize('task', ['cifar10', 'lasot', 'sst2'])
def test_losses_do_not_depend_on_the_way(folder, task):
    "Ten steps with batches read when asked for, read ahead and kept: the very same losses"
    losses = []
    for free in None, 0, 2**40:
        one = trainer(folder, f'{task}-{free}', task, steps=10)
        part = one.parts[0]
        part.coded = coded_batches(part.task, part.data, one.render, part.examples, free)
        for _ in range(4 if task == 'lasot' else 10): one.step()
        one.look()
        losses.append(one.losses)
    assert losses[0] == losses[1] == losses[2]

@pytest.mark.parametrize('task', ['cifar10', 'sst2', 'audiomnist', 'lasot'])
def test_augmentation_is_shared_by_processes(folder, task):
    "Each process changes its clips as one process alone would"
    task, render = TASKS[task], Renderer('cpu')
    data = open_dataset(task, 'sample-40', folder, 'train')
    how = augmentation(task, fit_to_task(PRESETS['fast'], task))
    def frames(places):
        coded = coded_batches(task, data, render, lambda step: np.arange(6)[places], None)(7)
        return render.draw(how.decide(coded, random_numbers(3, 7, 6, coded.numbers.shape[1])[places]), how.change)
    whole = frames(slice(None))
    assert torch.equal(whole[0::2], frames(slice(0, None, 2))) and torch.equal(whole[1::2], frames(slice(1, None, 2)))
    assert not torch.equal(whole, render([task.clip(data[i]) for i in range(6)]))

def test_augmented_where_the_budget_is_ten_passes(folder):
    "In steps it is known at once; in minutes from the speed so far, and then kept"
    def fast(**more):
        one = trainer(folder, 'fast', preset='fast', batch_size=8, **more)
        return one, len(one.parts[0].data)
    one, n = fast(steps=100)
    assert one.parts[0].augments(0) and 100*8 >= 10*n
    one, n = fast(steps=10*n//8 - 1)
    assert not one.parts[0].augments(0)
    one, n = fast(minutes=1)
    assert not one.parts[0].augments(0)
    passes = lambda seconds: one.state.update(step=8, seconds=seconds) or one.unread.append(torch.ones(2)) or one.look()
    passes(60*8*8/(9*n))
    since = lambda: one.state['augment_from'].get('cifar10')
    assert not one.parts[0].augments(8, since())
    passes(60*8*8/(11*n))
    assert one.parts[0].augments(8, since()) and not one.parts[0].augments(7, since())
    passes(60*8*8/(9*n))
    assert one.parts[0].augments(8, since())

def test_numbers_of_fast():
    "Every number of the recipe is in the settings that a run keeps"
    recipe = fit_to_task(PRESETS['fast'], TASKS['cifar10'])
    assert (recipe.bce_fraction, recipe.ssim_power, recipe.lr, recipe.weight_decay, recipe.batch_size) == (.7, 4, 1e-3, .1, 256)
    assert (recipe.augment_passes, recipe.shift, recipe.cut, recipe.colour, recipe.blank, recipe.mask) == (10, 8, 24, .2, .1, 8)
