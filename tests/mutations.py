"Files with one fault each, made at random, and what a reader makes of them"
import multiprocessing, os, re, resource, signal
from collections import Counter
from everything_is_video.core import UserError

COUNT = int(os.environ.get('EIV_MUTATIONS', 120))  # for each reader; some hours' worth is a million
SECONDS, BYTES = 20, 2**30                         # for one file
TOKENS = ['', '""', 'null', 'true', '[]', '{}', '-1', '0', '7', '1.5', '1e999', 'NaN', 'nan', 'inf', '9'*20, '0x10', '1_0', 'ten',
          '"../../x"', '"/etc/passwd"', r'"a\nb"', r'"\u0000"', r'"\ud800"', '"é"', '../x', '/x', '[[["x"]]]', '{"a": 1}', 'a\x00b', '\ufeff', '['*50_000]

def mutated(content, rng):
    "A file with a fault: bits, bytes, spans or words that changed, or an end that is missing"
    i, j = sorted(rng.integers(0, len(content) + 1, 2))
    span = content[i:min(j, i + 60)]
    kind = rng.integers(8)
    if kind == 0: return content[:i]
    if kind == 1: return content[:i] + content[i + len(span):]
    if kind == 2: return content[:j] + span + content[j:]
    if kind == 3: return content[:i] + rng.bytes(3) + content[i:]
    if kind == 4:
        flipped = bytearray(content)
        flipped[i % len(content)] ^= 1 << rng.integers(8)
        return bytes(flipped)
    words = list(re.finditer(rb'"[^"]*"|[-\w.]+', content))
    word = words[rng.integers(len(words))]
    other = words[rng.integers(len(words))][0] if kind == 5 else TOKENS[rng.integers(len(TOKENS))].encode()
    return content[:word.start()] + other + content[word.end():]

def _child(read, path, contents, pipe):
    "Read each file within the limits, and say how it ended"
    pages = int(open('/proc/self/statm').read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages*resource.getpagesize() + BYTES,)*2)
    for content in contents:
        path.write_bytes(content)
        signal.alarm(SECONDS)  # ends this process
        try: result = 'accepted', read()
        except UserError as error: result = 'refused', str(error)
        except BaseException as error: result = 'crashed', repr(error)
        signal.alarm(0)
        pipe.send(result)
    pipe.close()

def outcomes(read, path, rng):
    "(content, outcome, what was read or said) of COUNT faulty files at a path, each read in a process with limits"
    good = path.read_bytes()
    contents = [mutated(good, rng) for _ in range(COUNT)]
    here, there = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context('fork').Process(target=_child, args=(read, path, contents, there))
    child.start()
    there.close()
    results = []
    try:
        while len(results) < COUNT: results.append(here.recv())
    except EOFError: results += [('ended', f'after {SECONDS} s or by a signal')]*(COUNT - len(results))
    child.join()
    path.write_bytes(good)
    return [(content, *result) for content, result in zip(contents, results)]

def check(name, read, path, rng, plausible, capsys):
    "No fault ends in more than one line, a crash, a hang or too much memory; what is accepted is the same or plausible"
    same, counts = read(), Counter()
    for content, outcome, what in outcomes(read, path, rng):
        assert outcome in ('accepted', 'refused'), (name, content, what)
        if outcome == 'refused': assert '\n' not in what and 'MemoryError' not in what and len(what) < 1000, (content, what)
        elif what == same: outcome = 'unchanged'
        else:
            outcome = 'beyond checking'
            assert plausible(what), (name, content, what)
        counts[outcome] += 1
    with capsys.disabled(): print(f'\n{name}: {COUNT} faulty files, {dict(counts)}')
    assert counts['refused'] > COUNT//10
