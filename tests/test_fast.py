"The training on a GPU: what can be seen of it on a CPU, and the step itself where there is a GPU"
import time
from dataclasses import replace
import pytest, torch
from everything_is_video.core import UserError
from everything_is_video.devices import Captured
from everything_is_video.folders import RunFolder
from everything_is_video.model import ModelConfig, VideoModel, short_attention, slow_attention, time_mask
from everything_is_video.recipe import PRESETS, learning_rate, make_optimizers, set_rate
from everything_is_video.runs import read_checkpoint, read_config
from everything_is_video.training import Trainer, train, update

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')

def config(folder, name, **more):
    return read_config(dict(source='sample-40', preset='tiny', device='cpu', data_dir=str(folder), run_dir=str(folder/name)) | more)

@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('length', [2, 3, 11, 21, 40, 64])
def test_attention_as_products(length, dtype):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 5, 2, length, 16).to(dtype)
    slow = slow_attention(q.float(), k.float(), v.float(), time_mask(length))
    fast = short_attention(q, k, v, causal=True)
    assert fast.dtype == dtype
    torch.testing.assert_close(fast.float(), slow, **(dict(rtol=.03, atol=.03) if dtype == torch.bfloat16 else {}))

def test_muon_by_groups():
    "All matrices of a shape at once, with a rate that is a tensor, for a whole model: as one by one, up to bfloat16"
    def after(together):
        torch.manual_seed(0)
        model = VideoModel(PRESETS['tiny'].model)
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        muon = make_optimizers(model, PRESETS['tiny'])[0]
        for _ in range(2):
            for p in model.parameters(): p.grad = torch.randn_like(p)
            if not together: muon.step()
            else: by_groups(muon)
        return {n: p.detach() - before[n] for n, p in model.named_parameters()}
    def by_groups(muon):
        group = muon.param_groups[0]
        for p in group['params']: muon.state[p].setdefault('momentum', torch.zeros_like(p))
        with torch.no_grad():
            for shape in {p.shape for p in group['params']}:
                muon._together([p for p in group['params'] if p.shape == shape], dict(group, lr=torch.tensor(group['lr'])))
    one, other = after(False), after(True)
    moved = [n for n in one if one[n].any()]
    assert len(moved) > 10 and moved == [n for n in other if other[n].any()]
    for n in moved: assert (one[n] - other[n]).norm() < .05*one[n].norm(), n

def test_validation_by_the_clock(tmp_path):
    "A budget in minutes and a recipe with seconds: validated by the clock, also after a restart; a budget in steps: by the step"
    timed = config(tmp_path, 'timed', minutes=.05)
    recipe = replace(timed.recipe, validate_seconds=1., validate_every=10**6)
    run = train(timed, recipe)
    seconds = [float(row['seconds']) for row in run.read_log()]
    assert 1 <= len(seconds) <= 4 and all(b - a >= .9 for a, b in zip(seconds, seconds[1:-1]))  # 1: a first step may take it all
    state = read_checkpoint(run)['state']
    assert state['validated'] == state['seconds'] >= 3
    one = Trainer(timed, recipe)
    one.state = dict(state, step=99, seconds=10., validated=9.5)
    assert not one.due
    one.state['seconds'] = 10.5
    assert one.due
    stepped = Trainer(config(tmp_path, 'stepped', steps=40), replace(recipe, validate_every=15))
    stepped.state.update(step=15, seconds=0.)
    assert stepped.due
    stepped.state.update(step=16, seconds=99.)
    assert not stepped.due

def test_what_is_written_is_the_step_it_was(tmp_path, monkeypatch):
    "A write that is slow: the training continues, and the checkpoint holds the weights of its own step"
    import everything_is_video.training as training
    seen, steps, real = [], [], training.save_checkpoint
    def slow(run, values):
        time.sleep(.3)
        seen.append((values['state']['step'], steps[-1], values['model']['head.bias'].clone()))
        real(run, values)
    monkeypatch.setattr(training, 'save_checkpoint', slow)
    settings = config(tmp_path, 'slow', steps=45)
    one, biases = Trainer(settings), {}
    step = one.step
    def watched():
        step()
        steps.append(one.state['step'])
        biases[one.state['step']] = one.model.head.bias.detach().clone()
    one.step = watched
    with training.opened_run(settings, one.recipe): one.fit()
    assert [step for step, *_ in seen] == [15, 30, 45] and seen[0][1] > 15
    for step, _, bias in seen: assert torch.equal(bias, biases[step])
    assert read_checkpoint(settings.run)['state']['step'] == 45

def test_a_write_that_fails_ends_the_run(tmp_path, monkeypatch):
    import everything_is_video.training as training
    def full(run, values): raise UserError('the disk is full')
    monkeypatch.setattr(training, 'save_checkpoint', full)
    with pytest.raises(UserError, match='the disk is full'): train(config(tmp_path, 'full', steps=100))
    assert 15 <= int(RunFolder(tmp_path/'full').read_log()[-1]['step']) < 100

def losses(recipe, kinds, steps, captured):
    "The losses of some steps, of kinds of batch in turn: (clips, frames, targets)"
    torch.manual_seed(0)
    model = VideoModel(recipe.model).cuda()
    optimizers = make_optimizers(model, recipe)
    work = lambda frames, key: update(model, optimizers, frames, kinds[key[0]][2], recipe, float(key[1]))
    step, found = Captured(work) if captured else work, []
    for i in range(steps):
        torch.manual_seed(i)
        kind = i % 3 % len(kinds)
        set_rate(optimizers, learning_rate(recipe, i, i/steps))
        frames = torch.rand(*kinds[kind][:2], 3, 64, 64, device='cuda')
        found.append(step(frames, (kind, i >= steps//2))[0].item())
    if captured:
        assert sorted(step.graphs) == [(kind, True) for kind in range(len(kinds))] and all(step.graphs.values())
    return found

@gpu
@pytest.mark.parametrize('kinds', [[(4, 3, 1)], [(4, 3, 1), (2, 7, 3)], [(4, 3, 1), (2, 9, 4)]])
@pytest.mark.parametrize('generated', [False, True])
def test_captured_steps(kinds, generated):
    "Steps as CUDA graphs, both losses, a rate that changes, dropout: the losses of steps launched one by one"
    small = ModelConfig(K=128, heads=4, global_blocks=2, max_frames=8)
    recipe = replace(PRESETS['fast'], model=small, generated=generated)
    plain, captured = (losses(recipe, kinds, 20*len(kinds), way) for way in (False, True))
    assert captured == pytest.approx(plain, rel=.01)

@gpu
def test_what_cannot_be_captured():
    "A step that asks the device for a number: it is launched as it is, dropout too, and another key is captured"
    drop = torch.nn.Dropout(.5)
    def work(x, key):
        y = drop(x)
        if key == 'asks': y.sum().item()
        return y.sum()
    step = Captured(work)
    x = torch.ones(1000, device='cuda')
    for key in 'asks', 'does not', 'asks': sums = [step(x, key).item() for _ in range(6)]
    assert step.graphs['asks'] is None and step.graphs['does not'] and len(set(sums)) > 1

@gpu
def test_start_on_a_gpu(tmp_path):
    "Weights of a longer and of a shorter model, onto a GPU"
    from everything_is_video.weights import start_from
    from safetensors.torch import save_file
    for before, after in (5, 9), (9, 5):
        models = [VideoModel(replace(PRESETS['tiny'].model, max_frames=n)) for n in (before, after)]
        save_file(models[0].state_dict(), tmp_path/'model.safetensors')
        start_from(models[1].cuda(), tmp_path)
        torch.testing.assert_close(models[1].pos_time[:5].cpu(), models[0].pos_time[:5])

@gpu
def test_resume_on_a_gpu(tmp_path):
    "A run that is stopped and continued captures its steps again, with the rate it had"
    import everything_is_video.training as training
    settings = config(tmp_path, 'run', device='cuda', steps=30, minutes=3)
    one = Trainer(settings)
    step = one.step
    def stopping():
        if one.state['step'] == 16: raise KeyboardInterrupt
        step()
    one.step = stopping
    with pytest.raises(KeyboardInterrupt), training.opened_run(settings, one.recipe): one.fit()
    train(settings)
    rates = [float(row['learning_rate']) for row in RunFolder(settings.run).read_log()]
    assert rates == sorted(rates, reverse=True) and read_checkpoint(settings.run)['state']['step'] == 30
