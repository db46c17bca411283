"Servers, archives and pickles that are broken or hostile: nothing wrong ever stands under the final name"
import contextlib, errno, fcntl, gzip, hashlib, io, multiprocessing, os, pickle, re, resource, signal, stat, struct
import tarfile, threading, time, warnings, zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import numpy as np
import pytest
from everything_is_video import download as module, pickles
from everything_is_video.download import download, extract, fetch
from everything_is_video.pickles import read_pickle
from everything_is_video.core import UserError

rng = np.random.default_rng(0)
BODY = rng.bytes(300_000)
MD5 = 'md5:' + hashlib.md5(BODY).hexdigest()
fork = multiprocessing.get_context('fork')
pytestmark = pytest.mark.filterwarnings('ignore:.*multi-threaded, use of fork:DeprecationWarning')

def refused(match, call, *args):
    "The call ends as one line that says so"
    with pytest.raises(UserError) as error: call(*args)
    line = str(error.value)
    assert match in line and '\n' not in line, line
    return line

def names(folder): return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob('*'))


# a server that can do everything wrong

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args): pass

    def do_GET(self):
        asked = self.headers.get('Range')
        start = int(re.fullmatch(r'bytes=(\d+)-', asked)[1]) if asked else 0
        self.server.asked.append(asked)
        with contextlib.suppress(OSError): self.server.answer(self, start)

    def reply(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items(): self.send_header(name.replace('_', '-'), str(value))
        self.end_headers()
        self.wfile.write(body)

def honest(body, **headers):
    def answer(handler, start):
        rest = dict(Content_Length=len(body) - start, **headers)
        if start >= len(body): handler.reply(416, b'', Content_Range=f'bytes */{len(body)}')
        elif start: handler.reply(206, body[start:], Content_Range=f'bytes {start}-{len(body)-1}/{len(body)}', **rest)
        else: handler.reply(200, body, **rest)
    return answer

def breaks_off(body, at, **headers):
    def answer(handler, start):
        status = 206 if start else 200
        if start: headers['Content_Range'] = f'bytes {start}-{len(body)-1}/{len(body)}'
        handler.reply(status, body[start:max(at, start)], Content_Length=len(body) - start, **headers)
    return answer

def always(status, body, **headers): return lambda handler, start: handler.reply(status, body, **headers)

@pytest.fixture
def server():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    server.asked, server.answer, server.url = [], honest(BODY), f'http://127.0.0.1:{server.server_port}'
    threading.Thread(target=server.serve_forever, args=[.01], daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()

def begun(server, path, body=BODY, at=150_000, **headers):
    "Leave a part there: a transfer that was interrupted"
    server.answer = breaks_off(body, at, **headers)
    refused(f'broke off after {at:,} of {len(body):,} bytes', download, f'{server.url}/a.bin', path)
    server.asked.clear()
    assert not path.exists() and names(path.parent) == [f'{path.name}.eiv-part', f'{path.name}.eiv-part-of']


# downloads

def test_an_interrupted_transfer_goes_on(server, tmp_path):
    path = tmp_path/'a.bin'
    begun(server, path)
    server.answer = honest(BODY)
    assert download(f'{server.url}/a.bin', path, MD5).read_bytes() == BODY
    assert server.asked == ['bytes=150000-'] and names(tmp_path) == ['a.bin']
    download(f'{server.url}/a.bin', path, MD5)
    assert len(server.asked) == 1  # it is there

@pytest.mark.parametrize('answer', [
    always(206, BODY, Content_Range='bytes 0-299999/300000', Content_Length=300_000),               # from the beginning
    always(200, BODY, Content_Length=300_000),                                                      # knows no ranges
    lambda h, start: honest(BODY)(h, 0) if not start else h.reply(206, BODY[9:], Content_Range='bytes 9-299999/300000'),
    lambda h, start: honest(BODY)(h, 0) if not start else h.reply(206, BODY[9:]),                   # says no range
    lambda h, start: honest(BODY)(h, 0) if not start else h.reply(206, BODY[9:], Content_Range='bytes x'),
    lambda h, start: honest(BODY)(h, 0) if not start else h.reply(206, b'--x', Content_Type='multipart/byteranges; boundary=x'),
    lambda h, start: honest(BODY)(h, 0) if not start else h.reply(416, b''),
], ids=['206 of all', '200', '206 of others', '206 of none', '206 of garbage', 'multipart', '416'])
def test_a_server_that_cannot_go_on_starts_again(server, tmp_path, answer):
    path = tmp_path/'a.bin'
    begun(server, path)
    server.answer = answer
    assert download(f'{server.url}/a.bin', path).read_bytes() == BODY
    assert len(server.asked) <= 2 and names(tmp_path) == ['a.bin']

def test_a_server_that_always_restarts_and_breaks_off(server, tmp_path):
    path = tmp_path/'a.bin'
    server.answer = always(200, BODY[:100_000], Content_Length=300_000)
    for _ in range(3): refused('broke off after 100,000 of 300,000', download, f'{server.url}/a.bin', path)
    assert not path.exists() and len(server.asked) == 3

@pytest.mark.parametrize('first, second', [({'ETag': '"1"'}, {'ETag': '"2"'}), ({'Last_Modified': 'Mon'}, {'Last_Modified': 'Tue'}), ({}, {})])
def test_a_file_that_changed_meanwhile(server, tmp_path, first, second):
    path = tmp_path/'a.bin'
    begun(server, path, **first)
    new = rng.bytes(300_000 if first else 300_001)  # without a version only the size tells
    server.answer = honest(new, **second)
    assert download(f'{server.url}/a.bin', path).read_bytes() == new
    assert server.asked == ['bytes=150000-', None]

def test_the_part_of_another_address(server, tmp_path):
    path = tmp_path/'a.bin'
    begun(server, path)
    server.answer = honest(new := rng.bytes(300_000))
    assert download(f'{server.url}/b.bin', path).read_bytes() == new

@pytest.mark.parametrize('rest', [BODY, BODY + b'x', b'', BODY[:9]], ids=['whole', 'longer', 'empty', 'short'])
def test_whatever_was_left(server, tmp_path, rest):
    path = tmp_path/'a.bin'
    begun(server, path)
    (tmp_path/'a.bin.eiv-part').write_bytes(rest)
    server.answer = honest(BODY)
    assert download(f'{server.url}/a.bin', path).read_bytes() == BODY and names(tmp_path) == ['a.bin']
    assert len(server.asked) == {BODY: 0, BODY + b'x': 2}.get(rest, 1)

@pytest.mark.parametrize('note', ['', '\0\xff', 'x'*9999, None])
def test_a_damaged_note(server, tmp_path, note):
    path = tmp_path/'a.bin'
    begun(server, path)
    if note is None: (tmp_path/'a.bin.eiv-part-of').unlink()
    else: (tmp_path/'a.bin.eiv-part-of').write_bytes(note.encode('latin1'))
    server.answer = honest(BODY)
    assert download(f'{server.url}/a.bin', path).read_bytes() == BODY and server.asked == [None]

def chunked(*chunks, end=True):
    def answer(handler, start):
        handler.protocol_version = 'HTTP/1.1'
        handler.close_connection = True
        body = b''.join(b'%x\r\n%b\r\n' % (len(c), c) for c in chunks) + (b'0\r\n\r\n' if end else b'')
        handler.reply(200, body, Transfer_Encoding='chunked')
    return answer

@pytest.mark.parametrize('answer, url, checksum, fault', [
    (always(200, BODY, Content_Length=400_000), 'a.bin', '', 'broke off after 300,000 of 400,000 bytes'),
    (always(200, BODY, Content_Length=200_000), 'a.bin', MD5, 'wrong md5 checksum'),
    (always(200, BODY), 'a.bin', '', 'does not say how large'), (always(200, BODY[:-1]), 'a.bin', MD5, 'wrong md5 checksum'),
    (always(200, BODY, Content_Length='-7'), 'a.bin', '', 'does not say how large'),
    (always(200, BODY, Content_Length='9'*5000), 'a.bin', '', 'cannot be fetched'),
    (always(200, BODY, Content_Length=10**15 - 1), 'a.bin', '', 'free some space'),
    (always(200, b'', Content_Length=0), 'a.bin', '', 'the answer is empty'), (always(204, b''), 'a.zip', '', 'the answer is empty'),
    (chunked(BODY, end=False), 'a.zip', '', 'cannot be fetched'), (always(404, b'gone'), 'a.bin', '', '404'), (always(500, b''), 'a.bin', '', '500'),
    (always(206, BODY[9:], Content_Range='bytes 9-299999/300000'), 'a.bin', '', 'wrong part of the file'),
    (always(302, b'', Location='file:///etc/passwd'), 'a.bin', '', 'cannot be fetched'), (always(302, b'', Location='/a.bin'), 'a.bin', '', 'cannot be fetched'),
    (always(200, b' \n<!DOCTYPE html><p>Log in</p>', Content_Length=30), 'a.zip', MD5, 'an HTML page instead of the file'),
    (always(200, b'\xef\xbb\xbf<HTML>', Content_Length=9), 'a.gif', '', 'an HTML page instead of the file'),
    (lambda h, start: h.wfile.write(b'\xff'*99), 'a.bin', '', 'cannot be fetched'), (lambda h, start: None, 'a.bin', '', 'cannot be fetched'),
])
def test_a_server_that_lies(server, tmp_path, answer, url, checksum, fault):
    server.answer = answer
    line = refused(fault, download, f'{server.url}/{url}', tmp_path/'a.bin', checksum)
    assert f'{server.url}/{url}' in line or 'free some space' in line
    assert not (tmp_path/'a.bin').exists()
    if 'broke off' not in fault: assert names(tmp_path) == []

@pytest.mark.parametrize('answer', [always(200, BODY), chunked(BODY[:9], BODY[9:])])
def test_an_unknown_size_is_right_if_checked(server, tmp_path, answer):
    server.answer = answer
    assert download(f'{server.url}/a.bin', tmp_path/'a.bin', MD5).read_bytes() == BODY

@pytest.mark.parametrize('url', ['file:///etc/passwd', 'ftp://a/b', '/etc/passwd', 'http://[', 'http://a b', 'http://127.0.0.1:9/a', 'http://é.invalid/ü', ''])
def test_an_address_that_is_none(tmp_path, url):
    refused(url, download, url, tmp_path/'a.bin')
    assert names(tmp_path) == []

def test_no_advice_of_other_tasks(tmp_path):
    line = refused('run it again to go on from there', download, 'http://127.0.0.1:9/a', tmp_path/'a')
    assert 'sample' not in line and 'otb' not in line

def limited(limit, value, call, *args):
    "Call in a process of its own with a limit; what the UserError says, 'done', or how it ended otherwise"
    def work(sender):
        resource.setrlimit(limit, (value, value))
        try: sender.send(call(*args) and 'done' or 'done')
        except UserError as error: sender.send(str(error))
    receiver, sender = fork.Pipe(False)
    worker = fork.Process(target=work, args=[sender])
    worker.start()
    worker.join(120)
    return receiver.recv() if receiver.poll() else f'exit code {worker.exitcode}'

def test_a_disk_that_is_full(server, tmp_path):
    line = limited(resource.RLIMIT_FSIZE, 100_000, download, f'{server.url}/a.bin', tmp_path/'a.bin')
    assert 'cannot be written (File too large); free some space' in line and '\n' not in line
    assert not (tmp_path/'a.bin').exists()
    assert download(f'{server.url}/a.bin', tmp_path/'a.bin').read_bytes() == BODY
    write_zip(tmp_path/'a.zip', {'a/x': bytes(200_000), 'a/y': b'y'})
    server.answer = honest((tmp_path/'a.zip').read_bytes())
    line = limited(resource.RLIMIT_FSIZE, 100_000, fetch, f'{server.url}/a.zip', tmp_path/'data/a')
    assert 'data/a: cannot be written (File too large)' in line
    assert names(tmp_path/'data') == ['a.eiv-archive']  # it is whole
    server.asked.clear()
    fetch(f'{server.url}/a.zip', tmp_path/'data/a')
    assert names(tmp_path/'data') == ['a', 'a/x', 'a/y'] and not server.asked

def test_no_place_to_write(server, tmp_path):
    (tmp_path/'file').touch()
    write_zip(tmp_path/'a.zip')
    for folder in tmp_path/'file', Path('/proc/none'):
        refused('cannot be written', download, f'{server.url}/a.bin', folder/'a.bin')
        refused('cannot be written', fetch, f'{server.url}/a.zip', folder/'a')
        refused('cannot be written', extract, tmp_path/'a.zip', folder/'a')

def test_the_users_own_files_stay(server, tmp_path):
    own = ['a.part', 'part-1', 'a.zip', 'download-a.zip', 'a.tmp', 'a.lock', 'tmp1']
    for name in own: (tmp_path/name).write_text('mine')
    write_zip(tmp_path/'b')
    server.answer = honest((tmp_path/'b').read_bytes())
    fetch(f'{server.url}/a.zip', tmp_path/'a')
    assert all((tmp_path/name).read_text() == 'mine' for name in own)
    assert names(tmp_path) == sorted([*own, 'b', 'a', 'a/x.txt', 'a/y.txt'])

def test_what_is_fetched_is_said(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, 'tqdm', lambda **kw: bars.append(kw) or tqdm(**kw))
    tqdm, bars = __import__('tqdm').tqdm, []
    fetch(f'{server.url}/folder/a.bin', tmp_path/'a')
    assert f'{server.url}/folder/a.bin' in capsys.readouterr().out
    assert bars[0]['desc'] == 'a.bin' and bars[0]['total'] == 300_000


# processes: kills, waiting, no locks

def run_and_kill(call, *args, until):
    "A process that is killed as soon as `until` is true"
    worker = fork.Process(target=call, args=args)
    worker.start()
    end = time.monotonic() + 60
    while not until() and time.monotonic() < end and worker.is_alive(): time.sleep(.01)
    assert worker.is_alive() and until()
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()

def test_a_killed_download(server, tmp_path):
    release = threading.Event()
    def slow(handler, start):
        handler.reply(200, BODY[:200_000], Content_Length=300_000)
        handler.wfile.flush()
        release.wait(60)
    server.answer = slow
    part = tmp_path/'a.bin.eiv-part'
    run_and_kill(download, f'{server.url}/a.bin', tmp_path/'a.bin', until=lambda: part.exists() and (tmp_path/'a.bin.eiv-part-of').exists())
    release.set()
    assert not (tmp_path/'a.bin').exists() and 'a.bin.eiv-part-lock' in names(tmp_path)
    server.answer = honest(BODY)
    assert download(f'{server.url}/a.bin', tmp_path/'a.bin').read_bytes() == BODY and names(tmp_path) == ['a.bin']

def test_a_killed_unpacking(server, tmp_path):
    write_zip(tmp_path/'a.zip', {f'a/{i}': rng.bytes(1000) for i in range(20)})
    server.answer = honest((tmp_path/'a.zip').read_bytes())
    target, folder = tmp_path/'data/a', tmp_path/'data/a.eiv-unpack'
    def slowly(*args):
        chunks = module._chunks
        module._chunks = lambda *args: (time.sleep(.1) or chunk for chunk in chunks(*args))
        fetch(f'{server.url}/a.zip', target)
    run_and_kill(slowly, until=lambda: (folder/'a/5').exists())
    assert not target.exists() and folder.exists()
    fetch(f'{server.url}/a.zip', target)
    assert names(target) == sorted(map(str, range(20))) and names(tmp_path/'data') == ['a', *(f'a/{n}' for n in names(target))]
    assert len(server.asked) == 1  # the archive was whole

def test_killed_after_the_last_step(server, tmp_path):
    (tmp_path/'a').mkdir()
    (tmp_path/'a.eiv-archive').write_bytes(BODY)
    fetch(f'{server.url}/a.zip', tmp_path/'a')
    assert names(tmp_path) == ['a'] and not server.asked

@pytest.mark.parametrize('kind', ['file', 'archive'])
def test_two_processes_wait_for_each_other(server, tmp_path, kind):
    write_zip(tmp_path/'a.zip', {f'a/{i}': rng.bytes(9000) for i in range(50)})
    body = BODY if kind == 'file' else (tmp_path/'a.zip').read_bytes()
    def slow(handler, start):
        time.sleep(.2)
        honest(body)(handler, start)
    server.answer = slow
    url = f'{server.url}/a.bin' if kind == 'file' else f'{server.url}/a.zip'
    workers = [fork.Process(target=fetch, args=[url, tmp_path/'data/a']) for _ in range(4)]
    for worker in workers: worker.start()
    for worker in workers: worker.join(60)
    assert [worker.exitcode for worker in workers] == [0]*4 and server.asked == [None]
    if kind == 'file': assert (tmp_path/'data/a').read_bytes() == BODY and names(tmp_path/'data') == ['a']
    else: assert len(names(tmp_path/'data')) == 51

@pytest.mark.parametrize('code', [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(server, tmp_path, monkeypatch, code):
    def flock(*args): raise OSError(code, os.strerror(code))
    monkeypatch.setattr(fcntl, 'flock', flock)
    module._warn_no_locks.cache_clear()
    write_zip(tmp_path/'a.zip')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        server.answer = breaks_off(BODY, 9)
        refused('broke off', download, f'{server.url}/a.bin', tmp_path/'data/a.bin')
        server.answer = honest((tmp_path/'a.zip').read_bytes())
        fetch(f'{server.url}/a.zip', tmp_path/'data/a')
    assert names(tmp_path/'data') == ['a', 'a/x.txt', 'a/y.txt']
    assert len(caught) == 1 and 'no locks' in str(caught[0].message)
    module._warn_no_locks.cache_clear()

def test_another_failure_of_a_lock_is_one_line(server, tmp_path, monkeypatch):
    def flock(*args): raise OSError(errno.EIO, 'Input/output error')
    monkeypatch.setattr(fcntl, 'flock', flock)
    refused('Input/output error', download, f'{server.url}/a.bin', tmp_path/'a.bin')
    assert names(tmp_path) == []


# archives

TWO = {'a/x.txt': b'x'*5000, 'a/y.txt': b'y'}

def write_zip(path, members=TWO, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, 'w', method) as file:
        for name, content in members.items(): file.writestr(name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name), content, method)

def write_tar(path, members=TWO, **header):
    with tarfile.open(path, 'w:gz') as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in header.items(): setattr(info, key, value)
            file.addfile(info, io.BytesIO(content))

WRITERS = {'zip': write_zip, 'tar.gz': write_tar}

def refused_whole(match, archive, target):
    "Refused before anything is unpacked, and nothing is left"
    before = names(archive.parent)
    line = refused(match, extract, archive, target)
    assert names(archive.parent) == before and archive.name in line

@pytest.mark.parametrize('kind', WRITERS)
def test_a_good_archive(tmp_path, kind):
    members = {'./a/x.txt': b'x', 'a//y.txt': b'y'*99_999, 'a/' + 'long'*40 + '/猫 é.txt': b'cat', 'a/empty': b''}
    WRITERS[kind](tmp_path/'archive', members)
    extract(tmp_path/'archive', tmp_path/'new/b')
    found = {str(p.relative_to(tmp_path/'new/b')): p.read_bytes() for p in (tmp_path/'new/b').rglob('*') if p.is_file()}
    assert found == {name.replace('./', '').replace('//', '/').removeprefix('a/'): content for name, content in members.items()}
    assert {stat.S_IMODE(p.stat().st_mode) & 0o111 for p in (tmp_path/'new/b').rglob('*') if p.is_file()} == {0}
    extract(tmp_path/'archive', tmp_path/'new/b')  # it is there

def test_two_folders_and_what_a_mac_adds(tmp_path):
    write_zip(tmp_path/'1.zip', {'a/x': b'', '__MACOSX/a/._x': b''})
    write_zip(tmp_path/'2.zip', {'a/x': b'', 'b/x': b'', 'c/': b''})
    extract(tmp_path/'1.zip', tmp_path/'one')
    extract(tmp_path/'2.zip', tmp_path/'two')
    assert names(tmp_path/'one') == ['x'] and names(tmp_path/'two') == ['a', 'a/x', 'b', 'b/x', 'c']

@pytest.mark.parametrize('kind', WRITERS)
@pytest.mark.parametrize('name', ['../x', '/x', 'a/../../x', 'a/..', '..', 'C:x', 'c:\\x', 'a\\x', '\\\\host\\x', 'a\nb', 'a\x7f', 'a\u202eb', 'n'*256, 'n/'*600 + 'x', 'é'*128],
                         ids=lambda n: ascii(n)[:12])
def test_a_name_that_leads_elsewhere(tmp_path, kind, name):
    WRITERS[kind](tmp_path/'archive', {'good/file': b'', name: b'x'})
    refused_whole('is not a name inside the folder', tmp_path/'archive', tmp_path/'a')

def test_a_hidden_end_of_a_name(tmp_path):
    write_zip(tmp_path/'archive', {'a/xQ.txt': b''})
    (tmp_path/'archive').write_bytes((tmp_path/'archive').read_bytes().replace(b'xQ.txt', b'x\0.txt'))
    refused_whole('is not a name inside the folder', tmp_path/'archive', tmp_path/'a')

@pytest.mark.parametrize('kind', WRITERS)
@pytest.mark.parametrize('first, second', [('a/x', 'a/x'), ('a/x', 'a/X'), ('a/x', 'a/x/y'), ('a/x/y', 'a/x'), ('a/x', 'A/y'), ('a/é', 'a/e\u0301'), ('a/x', './a//x'), ('a/ß', 'a/SS')])
def test_names_that_clash(tmp_path, kind, first, second):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # zipfile warns when it writes a name twice
        if kind == 'zip':
            with zipfile.ZipFile(tmp_path/'archive', 'w') as file:
                for name in first, second: file.writestr(name, 'x')
        else:
            with tarfile.open(tmp_path/'archive', 'w:gz') as file:
                for name in first, second: file.addfile(tarfile.TarInfo(name))
    refused_whole('is there twice', tmp_path/'archive', tmp_path/'a')

@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b'K', b'X', b'Z'])
@pytest.mark.parametrize('form', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_members_that_are_no_files(tmp_path, kind, form):
    with tarfile.open(tmp_path/'a.tar.gz', 'w:gz', format=form) as file:
        file.addfile(tarfile.TarInfo('a/good'))
        info = tarfile.TarInfo('a/' + 'link'*50)
        info.type, info.linkname = kind, '../'*20 + 'etc/passwd'
        file.addfile(info)
    refused_whole('is a link, a device or a sparse file', tmp_path/'a.tar.gz', tmp_path/'a')

def test_a_link_and_a_file_behind_it(tmp_path):
    (tmp_path/'outside').mkdir()
    with tarfile.open(tmp_path/'a.tar.gz', 'w:gz') as file:
        link = tarfile.TarInfo('a/link')
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path/'outside')
        file.addfile(link)
        file.addfile(tarfile.TarInfo('a/link/x'))
    refused_whole('is a link', tmp_path/'a.tar.gz', tmp_path/'a')

@pytest.mark.parametrize('kind', [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
@pytest.mark.parametrize('system', [0, 3, 19])
def test_zip_members_that_are_no_files(tmp_path, kind, system):
    info = zipfile.ZipInfo('a/link')
    info.external_attr, info.create_system = (kind | 0o777) << 16, system
    write_zip(tmp_path/'a.zip', {'a/good': b'', info: b'/etc/passwd'})
    refused_whole('is a link or a device', tmp_path/'a.zip', tmp_path/'a')

def test_zip_members_that_are_packed_strangely(tmp_path):
    for method in zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2:
        write_zip(tmp_path/'a.zip', TWO, method)
        refused_whole('in an unusual way', tmp_path/'a.zip', tmp_path/'a')
    write_zip(tmp_path/'a.zip')
    body = bytearray((tmp_path/'a.zip').read_bytes())
    body[body.index(b'PK\1\2') + 8] |= 1
    (tmp_path/'a.zip').write_bytes(body)
    refused_whole('is encrypted', tmp_path/'a.zip', tmp_path/'a')

def measured(call, *args):
    "How the call ends in a process of its own: what it said, and the memory it took in MB on top of ours"
    def work(sender):
        signal.alarm(60)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try: said = call(*args) and 'done' or 'done'
        except UserError as error: said = str(error)
        sender.send((said, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)/1024))
    receiver, sender = fork.Pipe(False)
    worker = fork.Process(target=work, args=[sender])
    worker.start()
    worker.join()
    assert receiver.poll(), f'it ended with exit code {worker.exitcode}'
    return receiver.recv()

def stream(path, *parts):
    "A gzip file of (content, how often)"
    with gzip.open(path, 'wb', compresslevel=1) as file:
        for content, n in parts:
            for _ in range(n): file.write(content)

def header(name='a/x', **values):
    info = tarfile.TarInfo(name)
    for key, value in values.items(): setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)

def pax(**records):
    "A pax header in front of the next member"
    content = b''
    for key, value in records.items():
        rest = f' {key.replace("_", ".")}={value}\n'.encode()
        n = len(rest) + 1
        while len(str(n)) + len(rest) != n: n = len(str(n)) + len(rest)
        content += str(n).encode() + rest
    return header('pax', type=b'x', size=len(content)) + content + bytes(-len(content) % 512)

MB = bytes(1 << 20)
BOMBS = {
    'announced': ([(header(size=3 << 30), 1), (MB, 300)], 'has 3,221,225,472 bytes'),
    'many': ([(header('a/{}'.format('x'*9), size=1 << 20) + MB, 1), *[(header(f'a/{i}', size=1 << 20) + MB, 1) for i in range(200)]], 'too many for'),
    'behind the end': ([(header(), 1), (bytes(1024), 1), (MB, 300)], 'more than'),
    'negative size': ([(header(size=-512), 1)], 'has -512 bytes'),
    'negative size in pax': ([(pax(size='-1536') + header(), 1), (bytes(1024), 1)], ''),
    'a large header': ([(header(type=b'x', size=1 << 30), 1), (MB, 100)], 'a header is too large'),
    'a long name': ([(header('././@LongLink', type=b'L', size=1 << 30), 1), (MB, 100)], 'a header is too large'),
    'headers only': ([(header(type=b'g', size=512) + b'16 comment=1234\n' + bytes(496), 3000)], ''),
    'digits': ([(header(type=b'x', size=1 << 14) + b'1'*(1 << 14), 100)], 'a number of 100 digits'),
    'sparse in pax': ([(pax(GNU_sparse_major='1', GNU_sparse_minor='0', GNU_sparse_realsize=str(1 << 40)) + header(size=512), 1), (b'1\n0\n0\n' + bytes(506), 1), (bytes(1024), 1)], ''),
    'sparse map': ([(pax(GNU_sparse_major='1', GNU_sparse_minor='0') + header(size=1 << 24), 1), (b'99999999\n', 1), (b'1\n'*(1 << 19), 9)], ''),
    'a damaged header': ([(header('a/1'), 1), (header('a/2').replace(b'a/2', b'a/3'), 1), (header('a/4'), 1), (bytes(1024), 1)], 'a damaged header'),
    'its half': ([(header('a/1', size=9999) + bytes(5000), 1)], ''),
    'nothing': ([(bytes(10240), 1)], 'there is nothing in it'),
    'a name of nothing': ([(header('./'), 1), (bytes(1024), 1)], ''),
}

@pytest.mark.parametrize('name', BOMBS)
def test_tar_files_that_are_too_much(tmp_path, name):
    parts, fault = BOMBS[name]
    stream(tmp_path/'a.tar.gz', *parts)
    said, memory = measured(extract, tmp_path/'a.tar.gz', tmp_path/'a')
    assert fault in said and 'a.tar.gz' in said and memory < 200, (said, memory)
    assert names(tmp_path) == ['a.tar.gz']

def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(module, '_MEMBERS', 50)
    for kind, writer in WRITERS.items():
        writer(tmp_path/'archive', {f'a/{i}': b'' for i in range(51)})
        refused_whole('members of 0 bytes are too many' if kind == 'tar.gz' else '', tmp_path/'archive', tmp_path/'a')
        writer(tmp_path/'archive', {f'a/{i}': b'' for i in range(50)})
        extract(tmp_path/'archive', tmp_path/f'good.{kind}')
    monkeypatch.setattr(module, '_MEMBERS', 1)
    refused_whole('its directory is too large', write_zip(tmp_path/'archive', {'n'*200: b''}) or tmp_path/'archive', tmp_path/'a')

def test_three_megabytes_of_zip_that_give_three_gigabytes(tmp_path):
    with zipfile.ZipFile(tmp_path/'a.zip', 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        with file.open('a/zeros', 'w', force_zip64=True) as member:
            for _ in range(300): member.write(MB)
    said, memory = measured(extract, tmp_path/'a.zip', tmp_path/'a')
    assert '314,572,800 bytes are too many for' in said and memory < 50
    body = bytearray((tmp_path/'a.zip').read_bytes())
    directory = body.index(b'PK\1\2')
    body[directory + 24:directory + 28] = struct.pack('<I', 1000)  # announced: 1,000 bytes
    (tmp_path/'a.zip').write_bytes(body)
    said, memory = measured(extract, tmp_path/'a.zip', tmp_path/'a')
    assert 'CRC' in said and memory < 50 and names(tmp_path) == ['a.zip']

def test_members_that_overlap(tmp_path):
    "A directory that lists one member of 10 MB a thousand times under different names"
    write_zip(tmp_path/'a.zip', {'a/0000': bytes(10**7)})
    body = (tmp_path/'a.zip').read_bytes()
    directory, end = body.index(b'PK\1\2'), body.index(b'PK\5\6')
    entries = b''.join(body[directory:end].replace(b'a/0000', f'a/{i:04d}'.encode()) for i in range(1000))
    tail = body[end:end + 8] + struct.pack('<HHII', 1000, 1000, len(entries), directory) + b'\0\0'
    (tmp_path/'a.zip').write_bytes(body[:directory] + entries + tail)
    refused_whole('are too many for', tmp_path/'a.zip', tmp_path/'a')

def test_what_compresses_well_is_still_read(tmp_path):
    for kind, writer in WRITERS.items():
        writer(tmp_path/'archive', {'a/table.tsv': b'a fine film\t1\n'*10**6})  # 14 MB in 40 kB
        extract(tmp_path/'archive', tmp_path/kind)
        assert (tmp_path/kind/'table.tsv').stat().st_size == 14*10**6

def test_no_room_for_it(tmp_path, monkeypatch):
    write_zip(tmp_path/'a.zip')
    monkeypatch.setattr(module.shutil, 'disk_usage', lambda path: type('usage', (), {'free': 100}))
    refused('free some space', extract, tmp_path/'a.zip', tmp_path/'a')
    assert names(tmp_path) == ['a.zip']

def test_what_is_no_archive(tmp_path, server):
    os.mkfifo(tmp_path/'fifo')
    (tmp_path/'folder').mkdir()
    (tmp_path/'text').write_text('text')
    with tarfile.open(tmp_path/'a.tar', 'w') as file: file.addfile(tarfile.TarInfo('a/x'))
    stream(tmp_path/'text.gz', (b'text', 9))
    write_zip(tmp_path/'empty.zip', {})
    zipfile.ZipFile(tmp_path/'both.zip', 'w').close()
    write_tar(tmp_path/'both')
    (tmp_path/'both').write_bytes((tmp_path/'both').read_bytes() + (tmp_path/'empty.zip').read_bytes())
    for name, fault in {'fifo': 'not a regular file', 'folder': 'not a regular file', 'text': 'neither a zip nor', 'a.tar': 'neither a zip nor', 'text.gz': '',
                        'empty.zip': 'nothing in it', 'both': '', 'missing': 'no such file'}.items(): refused_whole(fault, tmp_path/name, tmp_path/'a')

def test_a_hostile_archive_is_not_kept(server, tmp_path):
    for name, body in {'a.zip': b'PK\3\4garbage', 'a.tar.gz': BODY, 'b.zip': b'GIF89a'}.items():
        server.answer = honest(body)
        line = refused('nothing was kept', fetch, f'{server.url}/{name}', tmp_path/'data/a')
        assert f'{server.url}/{name}' in line and names(tmp_path/'data') == []
    server.answer = always(200, b'<!doctype html><title>Too many downloads</title>', Content_Length=48)
    refused('an HTML page instead of the file', fetch, f'{server.url}/a.zip', tmp_path/'data/a')
    write_zip(tmp_path/'a.zip')
    body = (tmp_path/'a.zip').read_bytes()
    server.answer = always(200, body, Content_Length=len(body) - 9)  # too short, and no checksum
    refused('nothing was kept', fetch, f'{server.url}/a.zip', tmp_path/'data/a')
    server.answer = always(200, body)  # no size: the archive itself shows that it is whole
    fetch(f'{server.url}/a.zip?download=1', tmp_path/'data/a')
    assert names(tmp_path/'data') == ['a', 'a/x.txt', 'a/y.txt']


# pickles

class Python2Pickler(pickle._Pickler):
    "Writes texts and bytes alike as Python 2 strings, as in the official batches of 2009"
    def save_string(self, text):
        content = text.encode('latin1') if isinstance(text, str) else text
        self.write(b'U' + bytes([len(content)]) + content if len(content) < 256 else b'T' + struct.pack('<i', len(content)) + content)
        self.memoize(text)
    dispatch = {**pickle._Pickler.dispatch, str: save_string, bytes: save_string}

def batch(n=5, title='training batch 1 of 5'):
    images = np.random.default_rng(n).integers(0, 256, (n, 3072), np.uint8)
    return {'batch_label': title, 'labels': [i % 10 for i in range(n)], 'data': images, 'filenames': [f'cat_{i}.png' for i in range(n)]}

META = {'num_cases_per_batch': 10000, 'label_names': 'airplane automobile bird cat deer dog frog horse ship truck'.split(), 'num_vis': 3072}

def official(value):
    "As the official files are written: the first protocol of Python 2 that has numpy.core"
    content = io.BytesIO()
    Python2Pickler(content, 2).dump(value)
    return content.getvalue().replace(b'numpy._core', b'numpy.core')

def same(a, b): return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) and type(a[k]) is type(b[k]) for k in a)

@pytest.mark.parametrize('write', [official, *(lambda v, p=p: pickle.dumps(v, p) for p in range(6))], ids=['official', *map(str, range(6))])
def test_every_protocol(tmp_path, write):
    for value in batch(), META, batch(0), {'data': np.asfortranarray(batch()['data'])}, {'data': np.uint8(np.arange(24)).reshape(2, 3, 4)}:
        (tmp_path/'a').write_bytes(write(value))
        assert same(read_pickle(tmp_path/'a'), value)
        assert same(read_pickle(tmp_path/'a'), pickle.loads((tmp_path/'a').read_bytes(), encoding='latin1'))

def test_what_torchvision_reads(tmp_path):
    datasets = pytest.importorskip('torchvision.datasets')
    folder = tmp_path/'cifar-10-batches-py'
    folder.mkdir()
    for i, name in enumerate(['test_batch', *(f'data_batch_{k}' for k in range(1, 6))]): (folder/name).write_bytes(official(batch(5 + i)))
    (folder/'batches.meta').write_bytes(official(META))
    class Unchecked(datasets.CIFAR10):
        meta = {**datasets.CIFAR10.meta, 'md5': hashlib.md5((folder/'batches.meta').read_bytes()).hexdigest()}
        def _check_integrity(self): return True
    train, test = Unchecked(tmp_path, True), Unchecked(tmp_path, False)
    assert read_pickle(folder/'batches.meta')['label_names'] == train.classes
    for dataset, files in (train, [f'data_batch_{k}' for k in range(1, 6)]), (test, ['test_batch']):
        parts = [read_pickle(folder/name) for name in files]
        assert np.array_equal(np.concatenate([p['data'] for p in parts]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), dataset.data)
        assert sum((p['labels'] for p in parts), []) == dataset.targets

def test_a_batch_of_full_size(tmp_path):
    value = {'data': rng.integers(0, 256, (10_000, 3072), np.uint8), 'labels': list(range(10))*1000, 'filenames': ['a.png']*10_000}
    for write in official, pickle.dumps:
        (tmp_path/'a').write_bytes(write(value))
        assert same(read_pickle(tmp_path/'a'), value)

class Runs:
    def __init__(self, *call): self.call = call
    def __reduce__(self): return self.call

def ops(*parts): return b''.join(parts) + b'.'

GLOBAL = {name: f'c{name}\n'.encode() for name in ('numpy\ndtype', 'numpy.core.multiarray\n_reconstruct', '_codecs\nencode', 'numpy\nndarray', 'numpy._core.numeric\n_frombuffer')}
DTYPE, RECONSTRUCT, ENCODE, NDARRAY, FROMBUFFER = GLOBAL.values()
UINT8 = DTYPE + b'(X\2\0\0\0u1I00\nI01\ntR(K\3X\1\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb'
def array(shape, dtype=UINT8, content=b'C\1a'): return b'}X\4\0\0\0data' + RECONSTRUCT + b'(' + NDARRAY + b'(K\0tC\1btR(K\1' + shape + dtype + b'I00\n' + content + b'tbs'

HOSTILE = {
    'os.system': (pickle.dumps({'data': os.system}), 'wants to run posix.system'), 'eval': (pickle.dumps(Runs(eval, ('1+1',))), 'wants to run builtins.eval'),
    'print, protocol 0': (pickle.dumps(Runs(print, ('!',)), 0), 'wants to run __builtin__.print'),
    'an object array': (pickle.dumps({'data': np.array([None])}), 'else than uint8'), 'floats': (pickle.dumps({'data': np.zeros(3)}), 'else than uint8'),
    'int64 labels': (pickle.dumps({'labels': np.arange(3)}), 'else than uint8'), 'a numpy number': (pickle.dumps({'labels': [np.int64(3)]}), 'wants to run'),
    'a dtype alone': (pickle.dumps({'data': np.dtype('u1')}), 'in place of an array'), 'a huge dtype': (ops(b'}X\1\0\0\0d' + DTYPE + b'X\x0b\0\0\0V2147483647\x85Rs'), 'in place of an array'),
    'a function alone': (ops(b'}X\1\0\0\0d' + ENCODE + b's'), 'in place of an array'),
    'a good one, for comparison': (ops(array(b'(K\1t')), ''),
    'a shape too large': (ops(array(b'(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft')), 'another shape'), 'a negative shape': (ops(array(b'(J\xff\xff\xff\xffJ\xff\xff\xff\xfft')), 'another shape'),
    'a shape of texts': (ops(array(b'(X\1\0\0\0at')), 'another shape'), 'no shape': (ops(array(b'N')), 'another shape'),
    'no dtype': (ops(array(b'(K\1t', b'N')), 'else than uint8'), 'no state': (ops(array(b'(K\1t', DTYPE + b'(X\2\0\0\0u1tR')), 'else than uint8'),
    'no content': (ops(array(b'(K\1t', content=b'N')), 'without content'), 'a list for content': (ops(array(b'(K\1t', content=b']')), 'without content'),
    'text beyond latin1': (ops(array(b'(K\1t', content=b'X\3\0\0\0\xe7\x8c\xab')), 'UnicodeEncodeError'),
    'encode to another code': (ops(array(b'(K\1t', content=ENCODE + b'(X\1\0\0\0aX\5\0\0\0utf-7tR')), 'without content'),
    'attributes of a function': (ops(ENCODE + b'}X\10\0\0\0__call__K\1sb0N'), 'POP'), 'a state for ndarray': (ops(NDARRAY + b'N}X\1\0\0\0aK\1s\x86b'), 'not a dict'),
    'a new object': (ops(NDARRAY + b')\x81'), 'NEWOBJ'), 'an instance': (ops(b'(inumpy\nndarray\n'), 'INST'), 'a persistent id': (ops(b'Pa\n'), 'PERSID'), 'an extension': (ops(b'\x82\1'), 'EXT1'),
    'a memo of 32 GB': (ops(b'}r\xff\xff\xff\x7f'), 'a number above'), 'a memo by text': (ops(b'}p99999999999\n'), 'a number above'),
    'bytes that are not there': (ops(b'B\xff\xff\xff\x7fabc'), 'not a CIFAR-10 file'), 'a bytearray of 1 TB': (ops(b'\x96' + struct.pack('<Q', 1 << 40)), 'not a CIFAR-10 file'),
    'a bytearray of 3 GB': (ops(b'\x96' + struct.pack('<Q', 3 << 30)), 'not a CIFAR-10 file'), 'a frame of 8 EB': (b'\x80\4\x95' + struct.pack('<Q', 1 << 63) + b'}.', 'a number above'),
    'a large number': (ops(b'}X\1\0\0\0aL' + b'9'*4000 + b'L\ns'), 'a number above'), 'a larger one': (ops(b'L' + b'9'*5000 + b'L\n'), ''),
    'deep tuples as a key': (ops(b'}K\1' + b'\x85'*100_000 + b'K\1s'), 'too many instructions'), 'deep lists': (ops(b'}K\1' + b']'*100_000 + b'a'*99_999 + b's'), '1 is neither'),
    'many instructions': (ops(b'}X\1\0\0\0a](' + b'N'*1_100_000 + b'es'), 'too many instructions'), 'many arrays': (ops(b'}' + b''.join([array(b'(K\1t')[1:].replace(b'data', b'd%03d' % i) for i in range(30)])), 'too many instructions'),
    'a list in a list': (pickle.dumps({'labels': [[1]]}), "'labels' is neither"), 'a dict in it': (pickle.dumps({'labels': {}}), "'labels' is neither"),
    'a list of itself': (ops(b'}X\1\0\0\0a]q\0h\0as'), "'a' is neither"), 'a dict of itself': (ops(b'}q\0X\1\0\0\0ah\0s'), "'a' is neither"),
    'a list': (pickle.dumps([1, 2]), 'not a dict'), 'nothing': (b'', 'not a CIFAR-10 file'), 'no end': (pickle.dumps(batch())[:-1], 'not a CIFAR-10 file'),
    'append to a function': (ops(ENCODE + b'K\1a'), 'not a CIFAR-10 file'), 'items of a function': (ops(ENCODE + b'K\1K\1s'), 'not a CIFAR-10 file'),
    'a call of a call': (ops(b'}X\1\0\0\0d' + ENCODE + b')R)R)Rs'), 'in place of an array'), 'a call of a number': (ops(b'K\1)R'), 'not a CIFAR-10 file'),
    'garbage': (b'\0garbage\xff', 'not a CIFAR-10 file'), 'html': (b'<!doctype html>', 'not a CIFAR-10 file'),
}

@pytest.mark.parametrize('name', HOSTILE)
def test_hostile_pickles(tmp_path, name):
    content, fault = HOSTILE[name]
    (tmp_path/'a').write_bytes(content)
    said, memory = measured(read_pickle, tmp_path/'a')
    assert memory < 300 and '\n' not in said
    if 'comparison' in name: assert said == 'done'
    else: assert fault in said and str(tmp_path/'a') in said, said

def test_lists_that_grow_when_they_are_read(tmp_path):
    "Thirty lists, each of the one before, twice: a thousand million numbers as an array"
    content = b'}X\6\0\0\0labels]q\0(K\1K\1e'
    for i in range(1, 31): content += b'](' + b'h%ch%ce' % (i - 1, i - 1) + b'q%c' % i
    (tmp_path/'a').write_bytes(ops(content, b's'))
    refused('', read_pickle, tmp_path/'a')

def test_files_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path/'fifo')
    for path in tmp_path/'fifo', tmp_path, Path('/dev/zero'): refused('not a regular file', read_pickle, path)
    refused('no such file', read_pickle, tmp_path/'missing')
    with open(tmp_path/'large', 'wb') as file: file.truncate(1 << 40)
    refused('larger than 64 MB', read_pickle, tmp_path/'large')

def test_nothing_is_changed_by_a_pickle(tmp_path):
    "State and attributes that a pickle sets stay its own"
    before = set(vars(pickles._Call)), np.dtype('u1').itemsize
    (tmp_path/'a').write_bytes(ops(DTYPE + b'N}X\4\0\0\0nameX\1\0\0\0xs\x86b'))
    refused('', read_pickle, tmp_path/'a')
    assert (set(vars(pickles._Call)), np.dtype('u1').itemsize) == before
    (tmp_path/'a').write_bytes(official(batch()))
    assert same(read_pickle(tmp_path/'a'), batch())


# mutations in bulk; EIV_LONG=1 tries a hundred times as many

MANY = 100 if os.environ.get('EIV_LONG') else 1

def mutated(content, others, rng):
    "One of: some bits flipped, cut, bytes overwritten, removed or doubled, the head of another file, a number made extreme"
    content = bytearray(content)
    at = int(rng.integers(len(content)))
    n = int(min(rng.integers(1, 64), len(content) - at))
    kind = int(rng.integers(7))
    if kind == 0:
        for _ in range(rng.integers(1, 9)): content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    elif kind == 1: del content[at:]
    elif kind == 2: content[at:at + n] = rng.bytes(n)
    elif kind == 3: del content[at:at + n]
    elif kind == 4: content[at:at] = content[at:at + n]
    elif kind == 5: content[:at] = others[int(rng.integers(len(others)))][:at]
    else: content[at:at + 4] = struct.pack('<i', [0, -1, 2**31 - 1, -2**31, 65536][int(rng.integers(5))])
    return bytes(content)

def in_bulk(tmp_path, originals, n, read, wrap=lambda content: content):
    "Read n mutations in a process that may take 1 GB and 20 s for each; how many ended in which way"
    def work(sender):
        used = int(Path('/proc/self/statm').read_text().split()[0])*resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),)*2)
        rng, counts = np.random.default_rng(int(os.environ.get('EIV_SEED', 0))), {}
        for _ in range(n):
            k = int(rng.integers(len(originals)))
            content = wrap(mutated(originals[k], originals, rng))
            (tmp_path/'last').write_bytes(content)  # to be found if this ends the process
            signal.alarm(20)
            try: kind = read(tmp_path/'last', k)
            except UserError as error:
                kind = 'refused'
                assert '\n' not in str(error), error
            counts[kind] = counts.get(kind, 0) + 1
        sender.send(counts)
    receiver, sender = fork.Pipe(False)
    worker = fork.Process(target=work, args=[sender])
    worker.start()
    worker.join()
    assert worker.exitcode == 0 and receiver.poll(), f'exit code {worker.exitcode}; the mutation is {tmp_path/"last"}'
    counts = receiver.recv()
    assert sum(counts.values()) == n and counts['refused'] > n//10
    return counts

def contents(folder): return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob('*') if p.is_file()}

def tree(n=6):
    tree = {f'data/{i}/{"long"*i*9}é.txt': (b'a fine film \t1\n'*40*i + np.random.default_rng(i).bytes(99*i)) for i in range(n)}
    return {**tree, 'data/empty': b''}

def unpacked(whole):
    "Unpack a mutation in a folder of its own: nothing may be outside, or left"
    def read(path, k):
        folder = path.parent/'in'/'side'
        folder.mkdir(parents=True)
        try:
            extract(path, folder/'target')
            found = contents(folder/'target')
            if found == {name.removeprefix('data/'): content for name, content in tree().items()}: return 'unchanged'
            assert not whole, 'changed in spite of its checksums'
            return 'changed beyond checking'
        finally:
            assert set(os.listdir(path.parent)) == {'last', 'in'} and os.listdir(path.parent/'in') == ['side']
            assert set(os.listdir(folder)) <= {'target'}
            module.shutil.rmtree(path.parent/'in')
    return read

def test_mutated_archives(tmp_path, capsys):
    for name, writer in {'zip': lambda p: write_zip(p, tree()), 'stored': lambda p: write_zip(p, tree(), zipfile.ZIP_STORED), 'tar.gz': lambda p: write_tar(p, tree())}.items():
        writer(tmp_path/name)
    archives = [(tmp_path/name).read_bytes() for name in ('zip', 'stored', 'tar.gz')]
    tars = [gzip.decompress(archives[2])]
    (tmp_path/'1').mkdir()
    (tmp_path/'2').mkdir()
    counts = {'archives, bit for bit': in_bulk(tmp_path/'1', archives, 300*MANY, unpacked(True)),
              'tar files inside a whole gzip': in_bulk(tmp_path/'2', tars, 150*MANY, unpacked(False), lambda c: gzip.compress(c, 1))}
    with capsys.disabled(): print('', *(f'{name}: {c}' for name, c in counts.items()), sep='\n')

def test_mutated_pickles(tmp_path, capsys):
    values = batch(2), META, {'data': np.arange(60, dtype=np.uint8).reshape(5, 12), 'labels': [1, 2, 3]}
    originals = [write(value) for value in values for write in (official, *(lambda v, p=p: pickle.dumps(v, p) for p in range(6)))]
    reference = [value for value in values for _ in range(7)]
    originals.append(ops(array(b'(K\1t')))
    reference.append({'data': np.uint8([97])})
    def read(path, k):
        found = read_pickle(path)
        assert all(isinstance(v, (np.ndarray, int, str, bytes, list, type(None))) for v in found.values())
        assert all(v.dtype == np.uint8 for v in found.values() if isinstance(v, np.ndarray))
        return 'unchanged' if same(found, reference[k]) else 'changed beyond checking'
    counts = in_bulk(tmp_path, originals, 1500*MANY, read)
    with capsys.disabled(): print(f'\npickles: {counts}')
