"Files of images, sounds and videos: the right values, refusals in one line, limits, and damage in bulk"
import json, os, resource, struct, subprocess, sys, threading, wave
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
import av
import numpy as np
import pytest
from PIL import Image
from everything_is_video.core import UserError
from everything_is_video.media import image_size, read_image, read_sound, save_video, video_frames

GIGABYTE = 2**30


# made here

def ramp(n=40):
    "Frames of one grey each, 5 brighter every time"
    return np.broadcast_to(np.uint8(20 + 5*np.arange(n)).reshape(n, 1, 1, 1), (n, 3, 64, 64))

def write_frames(path, times, rate, codec='libx264', options=None, size=64):
    "A video of greys, 5 brighter every frame, shown from the given times on, `rate` a second"
    with av.open(str(path), 'w', options=options or {}) as video:
        stream = video.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = size, size, 'yuv420p'
        stream.codec_context.time_base = stream.time_base = Fraction(1, rate)
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((size, size, 3), 20 + 5*i, np.uint8), 'rgb24')
            frame.pts, frame.time_base = time, stream.codec_context.time_base
            video.mux(stream.encode(frame))
        video.mux(stream.encode())

def tone(rate, seconds=1): return .3*np.sin(2*np.pi*440*np.arange(int(rate*seconds))/rate)

def write_sound(path, codec, rate=48000, layout='mono', options=None, seconds=1):
    "A tone, written by FFmpeg"
    samples = np.float32(tone(rate, seconds))[None].repeat(2 if layout == 'stereo' else 1, 0)
    frame = av.AudioFrame.from_ndarray(samples, 'fltp', layout)
    frame.rate = rate
    with av.open(str(path), 'w', options=options or {}) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.open()
        convert = av.AudioResampler(stream.format.name, layout, rate, stream.codec_context.frame_size or None)
        for part in convert.resample(frame) + convert.resample(None): file.mux(stream.encode(part))
        file.mux(stream.encode())

def write_wave(path, samples, rate=8000):
    with wave.open(str(path), 'wb') as file:
        file.setparams((1, 2, rate, 0, 'NONE', ''))
        file.writeframes(samples.astype('<i2').tobytes())

def greys(path, n=4): return video_frames(path, n)[:, 0, 32, 32].tolist()

def refused(call, *words):
    "One line that says these words"
    with pytest.raises(UserError) as caught: call()
    line = str(caught.value)
    assert '\n' not in line
    for word in words: assert word in line, line


# cases that were once read wrong, with the right values

def case(name):
    root = os.environ.get('EIV_CASES')
    if not root: pytest.skip('EIV_CASES does not name the folder of cases')
    path = Path(root)/name
    if not path.exists(): pytest.skip(f'{path} is not there')
    return path

WHOLE = [51.5, 94.6, 138.4, 181.5]
MEANS = { # of four frames, evenly spread over the video's time
    'videos/cut_copy.mp4': [170.5, 177.8, 186.3, 195.8],
    'videos/long.mp4': [51.2, 93.3, 136.7, 177.8],
    'videos/plain.mp4': [51.8, 94, 137.9, 182.2],
    'videos/rotated.mp4': [51.8, 94, 137.9, 182.2],
    'videos/whole_faststart.mp4': [50.5, 93.6, 137.7, 180.4],
    'videos/vp8.webm': [51.8, 94, 137.8, 181.7],
    'videos/vp9.webm': [51.7, 94, 137.9, 181.8],
    'videos/whole.gif': WHOLE,
    'videos/whole_trailing.gif': WHOLE,
    'videos/whole_trailing_newline.gif': WHOLE,
    'gif_end/data/tgif-qa/gifs/newline.gif': WHOLE,
    'gif_end/data/tgif-qa/gifs/trailing.gif': WHOLE,
    'videos/transparent.gif': [233.1]*4,
    'videos/vfr.gif': [121.2, 186.2, 194.6, 199.7],
    'gif_end/data/tgif-qa/gifs/vfr.gif': [121.2, 186.2, 194.6, 199.7],
    'videos/vfr.mkv': [107.6, 185.1, 189.4, 194.4],
    'try_it/clip.mkv': [107.6, 185.1, 189.4, 194.4]}

@pytest.mark.parametrize('name', MEANS)
def test_case_video(name):
    assert np.allclose(video_frames(case(name), 4).mean((1, 2, 3)), MEANS[name], atol=1)

def test_case_edit_list():
    "Only the part between the cuts, seen in the middle of the frame"
    assert np.allclose(greys(case('videos/cut_copy.mp4')), [184, 194, 204, 214], atol=2)

def test_case_rotation():
    plain, turned = (video_frames(case(f'videos/{name}.mp4'), 4) for name in ('plain', 'rotated'))
    assert np.array_equal(turned, np.rot90(plain, -1, (2, 3)))

@pytest.mark.parametrize('name, words', [
    ('videos/half_faststart.mp4', 'not a video that can be read'),
    ('videos/half_faststart_at_packet.mp4', 'broken off'),
    ('videos/half_semicolon.gif', 'broken off'),
    ('gif_end/data/tgif-qa/gifs/half.gif', 'broken off'),
    ('gif_end/data/tgif-qa/gifs/notrailer.gif', 'broken off'),
    ('gif_end/data/tgif-qa/gifs/jpeg.gif', 'its first bytes are JPEG'),
    ('videos/really_jpeg.gif', 'its first bytes are JPEG'),
    ('videos/really_webp.gif', 'its first bytes are WEBP'),
    ('videos/audio_only.mp4', 'only sound')])
def test_case_no_video(name, words): refused(lambda: video_frames(case(name), 4), name, words)

@pytest.mark.parametrize('name', ['hidden_black', 'hidden_red', 'la', 'palette_transparent', 'transparent_black_ink'])
def test_case_transparent(name):
    "White around the drawing, whatever colour is hidden there"
    frame = read_image(case(f'images/{name}.png'))
    drawing = [0, 128, 255] if name.startswith('hidden') else [0, 0, 0]
    assert np.array_equal(frame[:, [0, 0, -1, -1], [0, -1, 0, -1]], np.full((3, 4), 255))
    assert frame[:, 32, 32].tolist() == drawing

@pytest.mark.parametrize('name', ['ramp16.png', 'ramp16.tif', 'ramp_float.tif'])
def test_case_deep(name):
    assert abs(read_image(case(f'images/{name}')).astype(int) - read_image(case('images/ramp8.png'))).max() <= 1

def test_case_orientation():
    turned, upright = case('images/phone.jpg'), case('images/phone_upright.jpg')
    assert abs(read_image(turned).astype(int) - read_image(upright)).max() <= 8
    assert image_size(turned) == image_size(upright) == (96, 128)

def test_case_cmyk():
    frame = read_image(case('images/cmyk.jpg'))
    assert frame[:, 0, 0].tolist() == [0, 0, 255] and frame[:, 32, 32].tolist() == [0, 0, 0]

SAME = ['extensible', 'f32', 'junk_before', 'odd_list', 'rate_192k', 's24', 'stereo', 'streamed', 'streamed_zero', 'u8']

@pytest.mark.parametrize('name', SAME)
def test_case_sound(name):
    samples, rate = read_sound(case(f'wav/data/{name}.wav'))
    plain, _ = read_sound(case('wav/data/plain.wav'))
    assert rate == (192000 if name == 'rate_192k' else 8000)
    assert np.abs(samples - plain).max() < (.011 if name == 'u8' else 1e-4)

@pytest.mark.parametrize('name, value', [('silence', 0), ('constant', 12000/32768), ('ulaw', -32124/32768)])
def test_case_constant_sound(name, value): assert (read_sound(case(f'wav/data/{name}.wav'))[0] == value).all()

@pytest.mark.parametrize('name, words', [
    ('one_sample', 'only 0.1 milliseconds'), ('ten_samples', 'only 1.2 milliseconds'), ('rate_0', 'not a sound'),
    ('rate_8', '8 samples a second'), ('rate_20', '20 samples a second')])
def test_case_no_sound(name, words): refused(lambda: read_sound(case(f'wav/data/{name}.wav')), words)

def test_case_memo_and_song():
    assert read_sound(case('try_it/phone_memo_stereo.wav'))[0].shape == (4000,)
    refused(lambda: read_sound(case('try_it/song.mp3')), 'song.mp3: not a sound')


# videos

def test_regular_frames_are_taken_by_number(tmp_path):
    "The numbers that 40 frames of equal length gave before times were looked at"
    for name in 'ramp.mp4', 'ramp.gif':
        save_video(ramp(), tmp_path/name)
        for n in 1, 3, 4, 7, 40, 60:
            wanted = ((np.arange(n) + .5)*40/n).astype(int)
            assert np.allclose(greys(tmp_path/name, n), 20 + 5*wanted, atol=2)

@pytest.mark.parametrize('ending', ['mp4', 'mkv'])
def test_evenly_by_time(tmp_path, ending):
    "Ten frames in the first second, then one each second"
    path = tmp_path/f'slow.{ending}'
    write_frames(path, [*range(0, 1000, 100), 1000, 2000, 3000, 4000], 1000)
    assert np.allclose(greys(path), np.array([5, 10, 11, 12])*5 + 20, atol=3)

def test_rotation(tmp_path):
    "The display matrix in an mp4's track header: a quarter turn clockwise"
    frames = ramp(8).copy()
    frames[:, :, :, 32:] = 255  # bright on the right
    save_video(frames, tmp_path/'a.mp4')
    content = bytearray((tmp_path/'a.mp4').read_bytes())
    at = content.index(b'tkhd') + 44
    content[at:at+36] = struct.pack('>9i', 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30)
    (tmp_path/'b.mp4').write_bytes(content)
    plain, turned = video_frames(tmp_path/'a.mp4', 4), video_frames(tmp_path/'b.mp4', 4)
    assert np.array_equal(turned, np.rot90(plain, -1, (2, 3)))
    assert turned[0, 0, 48].mean() > 200 > turned[0, 0, 16].mean()  # bright below

@pytest.mark.parametrize('ending', ['mp4', 'mkv', 'avi', 'gif'])
def test_broken_off_at_every_packet(tmp_path, ending):
    path, cut = tmp_path/f'whole.{ending}', tmp_path/f'cut.{ending}'
    if ending == 'gif': save_video(ramp(), path)
    else: write_frames(path, range(40), 10, 'mpeg4' if ending == 'avi' else 'libx264',
                       {'movflags': 'faststart'} if ending == 'mp4' else {})
    content = path.read_bytes()
    with av.open(str(path)) as video: places = [p.pos for p in video.demux(video=0) if p.size]
    assert len(places) == 40 and len(greys(path)) == 4
    for place in places[1:]:
        cut.write_bytes(content[:place])
        refused(lambda: video_frames(cut, 4), f'cut.{ending}: not a video')

def test_gif_on_white(tmp_path):
    images = []
    for i in range(4):
        image = Image.new('RGBA', (32, 32))
        image.paste((200, 0, 0), (8*i, 0, 8*i + 8, 32))
        images.append(image)
    images[0].save(tmp_path/'bar.gif', save_all=True, append_images=images[1:], duration=100, disposal=2)
    frames = video_frames(tmp_path/'bar.gif', 4)
    assert frames[0, :, 32, 4].tolist() == [200, 0, 0] and frames[0, :, 32, 40].tolist() == [255, 255, 255]
    assert frames[3, :, 32, 60].tolist() == [200, 0, 0] and frames[3, :, 32, 4].tolist() == [255, 255, 255]

def test_sound_is_no_video(tmp_path):
    write_sound(tmp_path/'tone.mp4', 'aac')
    refused(lambda: video_frames(tmp_path/'tone.mp4', 4), 'tone.mp4: it holds only sound')

def test_only_avc_is_not_needed(tmp_path):
    "Other codecs and containers"
    for ending, codec in ('webm', 'libvpx-vp9'), ('webm', 'libvpx'), ('avi', 'mpeg4'), ('mov', 'libx264'), ('mkv', 'libx265'):
        try: write_frames(path := tmp_path/f'{codec}.{ending}', range(40), 10, codec)
        except av.codec.codec.UnknownCodecError: continue
        assert np.allclose(greys(path), 20 + 5*np.array([5, 15, 25, 35]), atol=4), codec


# images

def drawing(size=128):
    "A dark square on nothing, with white hidden around it"
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[size//4:-size//4, size//4:-size//4] = 40, 80, 120, 255
    return Image.fromarray(pixels)

@pytest.mark.parametrize('ending, options', [('png', {}), ('webp', dict(lossless=True)), ('tiff', {}),
                                             ('tiff', dict(compression='tiff_lzw')), ('gif', {})])
def test_transparent(tmp_path, ending, options):
    drawing().save(path := tmp_path/f'drawing.{ending}', **options)
    frame = read_image(path)
    assert frame[:, 0, 0].tolist() == [255, 255, 255] and abs(frame[:, 32, 32].astype(int) - [40, 80, 120]).max() <= 6

def test_transparent_modes(tmp_path):
    image = drawing()
    grey, palette = image.convert('LA'), image.convert('RGB').quantize(4)
    palette.info['transparency'] = bytes([0 if tuple(palette.getpalette()[3*i:3*i+3]) == (0, 0, 0) else 255 for i in range(4)])
    for name, picture in dict(grey=grey, palette=palette).items():
        picture.save(tmp_path/f'{name}.png', **({'transparency': palette.info['transparency']} if name == 'palette' else {}))
        frame = read_image(tmp_path/f'{name}.png')
        assert frame[:, 0, 0].tolist() == [255, 255, 255], name
        assert frame[:, 32, 32].max() < 130, name

@pytest.mark.parametrize('ending', ['jpg', 'png', 'webp', 'tiff'])
def test_orientation(tmp_path, ending):
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[:30, :50] = 255  # bright at the top left
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(pixels).save(path := tmp_path/f'{turn}.{ending}', exif=exif)
        frame = read_image(path)[0].astype(int)
        corners = [frame[8, 8], frame[8, -8], frame[-8, -8], frame[-8, 8]]  # clockwise
        assert int(np.argmax(corners)) == {1: 0, 2: 1, 3: 2, 4: 3, 5: 0, 6: 1, 7: 2, 8: 3}[turn], (turn, corners)
        assert image_size(path) == ((60, 100) if turn > 4 else (100, 60)), turn

def test_deep_images(tmp_path):
    steps = np.arange(256)[None].repeat(64, 0)
    Image.fromarray(np.uint8(steps)).save(tmp_path/'8.png')
    Image.fromarray(np.uint16(steps*256)).save(tmp_path/'16.png')
    Image.fromarray(np.uint16(steps*256)).save(tmp_path/'16.tif')
    Image.fromarray(np.int32(steps*100000)).save(tmp_path/'32.tif')
    Image.fromarray(np.float32(steps/255)).save(tmp_path/'float.tif')
    Image.fromarray(np.float32(steps*3 - 40)).save(tmp_path/'stretched.tif')
    for name in '16.png', '16.tif', '32.tif', 'float.tif', 'stretched.tif':
        assert abs(read_image(tmp_path/name).astype(int) - read_image(tmp_path/'8.png')).max() <= 1, name

def test_ordinary_images_as_before(tmp_path):
    "What Pillow's bilinear resizing gives, byte for byte; a large JPEG through its draft mode"
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8))
    for mode in 'RGB', 'L':
        pixels.convert(mode).save(path := tmp_path/f'{mode}.png')
        expected = np.asarray(Image.open(path).convert('RGB').resize((64, 64), Image.Resampling.BILINEAR))
        assert np.array_equal(read_image(path), expected.transpose(2, 0, 1))
        assert np.array_equal(read_image('x', path.read_bytes()), read_image(path))
    pixels.resize((1600, 1200)).save(path := tmp_path/'large.jpg')
    with Image.open(path) as image:
        image.draft('RGB', (128, 128))
        assert image.size == (200, 150)
        expected = np.asarray(image.convert('RGB').resize((64, 64), Image.Resampling.BILINEAR))
    assert np.array_equal(read_image(path), expected.transpose(2, 0, 1))


# sounds

SOUNDS = {'a.wav': 'pcm_s16le', 'b.wav': 'pcm_s24le', 'c.wav': 'pcm_s32le', 'd.wav': 'pcm_f32le', 'e.wav': 'pcm_f64le',
          'f.flac': 'flac', 'g.mp3': 'libmp3lame', 'h.ogg': 'libopus', 'i.m4a': 'aac', 'j.webm': 'libopus'}

@pytest.mark.parametrize('layout', ['mono', 'stereo'])
@pytest.mark.parametrize('name', SOUNDS)
def test_sound(tmp_path, name, layout):
    path, cut = tmp_path/name, tmp_path/f'cut-{name}'
    try: write_sound(path, SOUNDS[name], layout=layout)
    except av.codec.codec.UnknownCodecError: pytest.skip(f'this FFmpeg has no {SOUNDS[name]}')
    samples, rate = read_sound(path)
    assert rate == 48000 and abs(len(samples) - 48000) <= (0 if name[-3:] in ('wav', 'lac') else 4096)
    start = np.argmax(np.abs(samples) > .01)
    loud = np.sqrt(2*(samples[4800:-4800]**2).mean())
    assert abs(loud - .3) < (.02 if 'mp3' in name else .005) and start < 2500  # LAME makes sounds 5 % quieter
    if name[-3:] in ('wav', 'lac'): assert np.abs(samples - tone(48000)).max() < 1e-4
    content = path.read_bytes()
    for part in .3, .5, .8:
        cut.write_bytes(content[:int(len(content)*part)])
        refused(lambda: read_sound(cut), f'cut-{name}: not a sound')

def test_plain_wave_as_before(tmp_path):
    "16-bit mono: the numbers that `wave` gives"
    values = np.random.default_rng(0).integers(-32768, 32768, 9000)
    write_wave(tmp_path/'a.wav', values)
    samples, rate = read_sound(tmp_path/'a.wav')
    assert rate == 8000 and samples.dtype == np.float64 and np.array_equal(samples, values/32768)
    content = (tmp_path/'a.wav').read_bytes()
    for end in 44, 45, 46, 1000, len(content) - 1:
        (tmp_path/'cut.wav').write_bytes(content[:end])
        refused(lambda: read_sound(tmp_path/'cut.wav'), 'cut.wav: not a sound', 'of 18,000 bytes')

def test_channels_are_averaged(tmp_path):
    left, right = np.full(8000, 1000), np.full(8000, -3000)
    with wave.open(str(tmp_path/'two.wav'), 'wb') as file:
        file.setparams((2, 2, 8000, 0, 'NONE', ''))
        file.writeframes(np.stack([left, right], 1).astype('<i2').tobytes())
    assert (read_sound(tmp_path/'two.wav')[0] == -1000/32768).all()

def test_no_numbers(tmp_path):
    write_sound(tmp_path/'a.wav', 'pcm_f32le')
    content = bytearray((tmp_path/'a.wav').read_bytes())
    for value in float('nan'), float('inf'), 1e30:
        content[-400:-396] = struct.pack('<f', value)
        (tmp_path/'b.wav').write_bytes(content)
        refused(lambda: read_sound(tmp_path/'b.wav'), 'samples that are no numbers')


def test_missing_library(tmp_path, monkeypatch):
    save_video(ramp(), tmp_path/'a.mp4')
    write_wave(tmp_path/'a.wav', np.zeros(8000))
    monkeypatch.setitem(sys.modules, 'av', None)
    for call in (lambda: video_frames(tmp_path/'a.mp4', 4), lambda: read_sound(tmp_path/'a.wav'),
                 lambda: save_video(ramp(), tmp_path/'b.mp4')):
        refused(call, 'av, which is not installed', 'pip install av')
    assert not list(tmp_path.glob('*b.mp4'))


# hostile files

READERS = dict(image=read_image, sound=read_sound, video=lambda path: video_frames(path, 4))

@pytest.mark.parametrize('reader', READERS)
def test_only_regular_files(tmp_path, reader):
    os.mkfifo(tmp_path/'pipe.mp4')
    (tmp_path/'empty.mp4').touch()
    for path in tmp_path, tmp_path/'pipe.mp4', '/dev/zero', '/dev/stdin':
        refused(lambda: READERS[reader](path), 'not a file but a folder or a device')
    refused(lambda: READERS[reader](tmp_path/'empty.mp4'), 'empty.mp4: it is empty')
    refused(lambda: READERS[reader](tmp_path/'none.mp4'), 'none.mp4: no such file')

def test_too_large_to_hold(tmp_path):
    "Files that are read as a whole: with a hole of 10 GB behind a right start"
    for name, start in ('a.gif', b'GIF89a'), ('a.webp', b'RIFF\0\0\0\0WEBP'):
        (tmp_path/name).write_bytes(start)
        os.truncate(tmp_path/name, 10*GIGABYTE)
        refused(lambda: read_image(tmp_path/name), f'{name}: over 268,435,456 bytes')
    refused(lambda: video_frames(tmp_path/'a.gif', 4), 'a.gif: over')

def test_web_page(tmp_path):
    (tmp_path/'cat.gif').write_text('\n<!DOCTYPE html><html><title>Gone</title></html>')
    refused(lambda: video_frames(tmp_path/'cat.gif', 4), 'cat.gif: not a video, its first bytes are HTML')

def test_ghostscript_is_never_started(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin
    started = []
    monkeypatch.setattr(EpsImagePlugin, 'Ghostscript', lambda *a, **k: started.append(a))
    script = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n'
    for name, content in dict(plain=script, dos=b'\xc5\xd0\xd3\xc6' + struct.pack('<II', 32, len(script)) + bytes(20) + script).items():
        (tmp_path/f'{name}.jpg').write_bytes(content)
        refused(lambda: read_image(tmp_path/f'{name}.jpg'), 'not an image')
    assert not started

def test_nothing_is_fetched(tmp_path):
    "Playlists and references to a server that counts, under every name and for both readers"
    asked = []
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)
        def log_message(self, *a): pass
    server = HTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    save_video(ramp(), tmp_path/'other.mp4')
    url, other = f'http://127.0.0.1:{server.server_port}/x.mp4', tmp_path/'other.mp4'
    hls = '#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n'
    texts = [hls.format(url), hls.format(other), f'ffconcat version 1.0\nfile {url}\n', f'ffconcat version 1.0\nfile {other}\n',
             f'<?xml version="1.0"?><MPD><BaseURL>{url}</BaseURL></MPD>', f'v=0\nc=IN IP4 127.0.0.1\nm=video {server.server_port} RTP/AVP 96\n']
    gab2 = b'GAB2\0' + struct.pack('<HIHI', 2, 0, 4, len(hls)) + hls.format(url).encode()
    starts = [b'', b'\0\0\0\x18ftypisom', b'RIFF\0\1\0\0AVI LIST\0\0\0\0hdrl' + gab2, b'\x1a\x45\xdf\xa3',
              b'GIF89a', b'ID3', b'OggS', b'RIFF\0\1\0\0WAVE']
    for i, text in enumerate(texts):
        for j, start in enumerate(starts):
            for ending in 'mp4', 'gif', 'm3u8':
                path = tmp_path/f'{i}-{j}.{ending}'
                path.write_bytes(start + text.encode())
                for read in READERS.values(): refused(lambda: read(path), 'not a')
    content = other.read_bytes()
    for reference in b'url \0\0\0\0' + url.encode() + b'\0', b'alis\0\0\0\0' + url.encode() + b'\0':
        at = content.index(b'url \0\0\0\1')
        longer = content.replace(content[at-4:at+8], struct.pack('>I', 4 + len(reference)) + reference)
        (tmp_path/'reference.mp4').write_bytes(longer)
        try: video_frames(tmp_path/'reference.mp4', 4)
        except UserError: pass
    for name in f'http://127.0.0.1:{server.server_port}/x.mp4', f'concat:{other}|{other}', f'file:{other}', f'subfile,,start,0,end,0,,:{other}':
        for read in READERS.values(): refused(lambda: read(name), 'no such file')
    server.shutdown()
    assert not asked

def bomb(kind):
    "A small file that asks for much"
    if kind == 'gif':
        place = struct.pack('<HHHH', 0, 0, 65535, 65535)
        return b'GIF89a' + place[4:] + b'\x80\0\0' + bytes(6) + b',' + place + b'\0\2\2\x4c\1\0;'
    if kind == 'png': return b'\x89PNG\r\n\x1a\n' + struct.pack('>I4sIIBBBBB', 13, b'IHDR', 30000, 30000, 8, 6, 0, 0, 0) + bytes(100)
    if kind == 'bmp': return b'BM' + struct.pack('<IHHIIiiHHIIiiII', 54, 0, 0, 54, 40, 40000, 40000, 1, 24, 0, 0, 0, 0, 0, 0)
    if kind == 'webp':
        size = struct.pack('<I', 16382 | 16382 << 14)
        return b'RIFF' + struct.pack('<I', 37) + b'WEBPVP8L' + struct.pack('<I', 25) + b'\x2f' + size + bytes(20)
    if kind == 'jpg':
        header = b'\xff\xd8\xff\xc2' + struct.pack('>HBHHB', 17, 8, 13000, 13000, 3) + b'\1\x11\0\2\x11\0\3\x11\0'
        return header + b'\xff\xda\0\x0c\3\1\0\2\0\3\0\0\0\0' + bytes(1000) + b'\xff\xd9'

@pytest.mark.parametrize('kind', ['gif', 'png', 'bmp', 'webp', 'jpg', 'frames', 'wav'])
def test_bombs(tmp_path, kind):
    path = tmp_path/f'bomb.{kind}'
    if kind == 'frames':  # an mp4 whose tables announce 160 million frames
        save_video(ramp(), path := tmp_path/'bomb.mp4')
        content = bytearray(path.read_bytes())
        for table, at, values in (b'stsz', 8, (1, 160_000_000)), (b'stts', 12, (160_000_000,)), (b'stsc', 16, (2**31 - 1,)):
            place = content.index(table) + at
            content[place:place + 4*len(values)] = struct.pack(f'>{len(values)}I', *values)
        for name in b'edts', b'ctts', b'stss': content = content.replace(name, b'free')
        path.write_bytes(content)
    elif kind == 'wav': write_wave(path, np.zeros(10_000_001), 48000)
    else: path.write_bytes(bomb(kind))
    reader = 'sound' if kind == 'wav' else 'video' if kind == 'frames' else 'image'
    counts = worker('read', reader, path)
    assert counts['refused'] == 1, counts
    if kind == 'gif': assert worker('read', 'video', path)['refused'] == 1


# damage in bulk: each reader in a process of its own, so that memory can be measured and a hang be ended

LONG = bool(os.environ.get('EIV_LONG'))
N = 20_000 if LONG else 120
KINDS = dict(png='image', jpg='image', gif='image', webp='image', tiff='image', mp4='video', mkv='video', avi='video', gif_video='video',
             wav='sound', flac='sound', mp3='sound', ogg='sound')
CHECKED = 'png', 'flac'  # these have checksums: what is accepted is the same

def make(kind, path):
    "A small whole file"
    picture = Image.fromarray(np.uint8(np.add.outer(np.arange(48)*2, np.arange(64)*2))).convert('RGB')
    if kind == 'gif_video': save_video(ramp(12), path)
    elif kind in ('mp4', 'mkv'): save_video(np.random.default_rng(0).integers(0, 256, (12, 3, 64, 64), np.uint8), path)
    elif kind == 'avi': write_frames(path, range(12), 10, 'mpeg4')
    elif KINDS[kind] == 'image': picture.save(path)
    else: write_sound(path, dict(wav='pcm_s16le', flac='flac', mp3='libmp3lame', ogg='libopus')[kind], seconds=.5)

def damage(content, rng):
    "Flipped bits (often in the first or last bytes), a cut, a block of zeros, of ones, more bytes, a block twice"
    data, size = bytearray(content), len(content)
    at, length = int(rng.integers(size)), int(rng.integers(1, 200))
    how = rng.integers(8)
    if how < 3:
        low, high = [(0, size), (0, min(size, 200)), (max(size - 1500, 0), size)][how]
        for place in rng.integers(low, high, rng.integers(1, 9)): data[place] ^= 1 << int(rng.integers(8))
    elif how == 3: data = data[:at]
    elif how == 4: data[at:at+length] = bytes(len(data[at:at+length]))
    elif how == 5: data[at:at+length] = b'\xff'*len(data[at:at+length])
    elif how == 6: data += rng.bytes(length)
    else: data[at:at] = data[at:at+length]
    return bytes(data)

def right_shape(reader, value):
    if reader != 'sound': return value.dtype == np.uint8 and value.shape == ((3, 64, 64) if reader == 'image' else (4, 3, 64, 64))
    samples, rate = value
    return samples.ndim == 1 and samples.dtype == np.float64 and np.isfinite(samples).all() and isinstance(rate, int)

def read_once(reader, path, counts, original):
    try: value = READERS[reader](path)
    except UserError as error:
        assert '\n' not in str(error)
        counts['refused'] += 1
        return
    assert right_shape(reader, value)
    new = value[0] if reader == 'sound' else value
    counts['same' if original is not None and np.array_equal(original, new) else 'changed'] += 1

def peak():
    "The most memory this process has had, in bytes; getrusage would count the process that started it"
    return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])*1024

def work(task, reader, path, kind='', seed=0, n=0):
    "In a process of its own: read one file, or n damaged ones; print how many of each class, and the memory used"
    counts = dict(refused=0, same=0, changed=0)
    path = Path(path)
    if task == 'read': read_once(reader, path, counts, None)
    else:
        content, original = path.read_bytes(), READERS[reader](path)
        original = original[0] if reader == 'sound' else original
        for i in range(int(n)):
            (damaged := path.with_name('damaged.bin')).write_bytes(damage(content, np.random.default_rng([int(seed), i])))
            read_once(reader, damaged, counts, original)
    print(json.dumps(counts | dict(bytes=peak())))

def worker(*arguments, timeout=60):
    "The counts of such a process: in time, in a gigabyte, with nothing on standard error"
    done = subprocess.run([sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0 and not done.stderr, f'{arguments}: {done.returncode}\n{done.stderr[-3000:]}'
    counts = json.loads(done.stdout)
    assert counts['bytes'] < GIGABYTE, counts
    return counts

@pytest.mark.parametrize('kind', KINDS)
def test_damage(tmp_path, kind, capsys):
    path = tmp_path/f'whole.{kind.split("_")[0]}'
    make(kind, path)
    counts = worker('damage', KINDS[kind], path, kind, 0, N, timeout=3600 if LONG else 60)
    with capsys.disabled(): print(f'\n{kind}, {N} damaged files:', ', '.join(f'{v:,} {k}' for k, v in counts.items()), end=' ')
    assert counts['refused'] + counts['same'] + counts['changed'] == N and counts['refused'] > N//10
    if kind in CHECKED: assert counts['changed'] == 0

if __name__ == '__main__': work(*sys.argv[1:])
