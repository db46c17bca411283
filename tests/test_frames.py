"Odd and hostile texts, each with the right value: it is drawn as it should be, or refused in one line"
import random
import sys
import time
import unicodedata
from collections import Counter
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw
from everything_is_video import frames, lettering
from everything_is_video.core import UserError
from everything_is_video.frames import (
    SIZE, check_vocabulary, draw_box, image_frame, spectrogram_frame, text_frame, tokenize)
from everything_is_video.batches import TextAtlas
from everything_is_video.lettering import clean_text

@pytest.fixture
def installed(monkeypatch):
    "Sets which fonts are installed besides those of matplotlib"
    def use(*paths):
        monkeypatch.setattr(lettering, '_installed', lambda: list(map(str, paths)))
        text_frame.cache_clear()
    yield use
    text_frame.cache_clear()

def same(a, b): return (text_frame(a) == text_frame(b)).all()

def refusal(call, *arguments):
    with pytest.raises(UserError) as error: call(*arguments)
    line = str(error.value)
    assert line.isprintable() and len(line) < 300, ascii(line)
    return line


@pytest.mark.parametrize('text, clean', [
    ('cafe\u0301', 'café'),                       # decomposed
    ('\u1112\u1161\u11ab', '한'),                 # Korean in parts
    ('\u212b', 'Å'),                              # the sign for ångström
    ('a\u200bb\u200d\ufeffc\u00ad\u2060', 'abc'), # nothing that can be seen between the letters
    ('\u202ecat\u202c', 'cat'),                   # marks of direction
    ('e\u200b\u0301', 'é'),
    ('❤\ufe0f', '❤'), ('a\u034fb', 'ab'), ('\u3164x', 'x'), ('x\U000e0041', 'x'),
    ('a\nb', 'a b'), ('a\r\nb', 'a b'), ('\ta\x0bb\u2028c\u2029d\x85', 'a b c d'), ('a\u00a0\u3000b', 'a b'),
    ('a\x00b\x1b[31m', 'ab[31m'), ('\x7f\x9b', ''),
    ('ﬁ', 'ﬁ'), ('ｘ', 'ｘ'), ('x²', 'x²'),       # other letters stay other letters
])
def test_one_form_of_a_text(text, clean):
    assert clean_text(text) == clean_text(clean) == clean
    assert not clean or tokenize(text) == tokenize(clean)

@pytest.mark.parametrize('text, tokens', [
    ('cafe\u0301s.', ['cafés', '.']),
    ('x\u0302+y', ['x\u0302', '+', 'y']),         # no composed form: the accent stays with its letter
    ('हिन्दी है', ['हिन्दी', 'है']),
    ('a\u200bb \u200b c', ['ab', 'c']),
    ("don\u2019t", ['don', '\u2019', 't']),
    ('foo_bar 3.5', ['foo_bar', '3', '.', '5']),
    ('😀❤\ufe0f!', ['😀', '❤', '!']),
    ('1\ufe0f\u20e3', ['1\u20e3']),
    ('\u0301', ['\u0301']), ('\x00\u200b\n', []), ('', []),
])
def test_tokens(text, tokens): assert tokenize(text) == tokens

def test_equal_texts_have_equal_frames():
    assert same('cafe\u0301', 'café') and same('cat\n', 'cat') and same('\u200bcat\x00', 'cat')
    assert same('a\nlong\r\nline', 'a long line') and same('big\tcat', 'big cat')
    assert not text_frame('\u200b\n\x00').any() and not text_frame('').any()

def test_other_texts_have_other_frames():
    assert not same('אב', 'בא') and not same('ﬁ', 'fi') and not same('x\u0302', 'x') and not same('x\u0302', 'x^')
    assert not same('لا', 'ﻻ')  # two letters and their ligature

def test_an_accent_without_a_composed_form_stands_on_its_letter():
    plain, accented = text_frame('x').nonzero()[1], text_frame('x\u0302').nonzero()[1]
    assert np.ptp(accented) <= np.ptp(plain), 'the accent takes no room of its own'

def test_letters_that_no_font_has(installed):
    installed()
    assert '猫 (U+732B)' in refusal(text_frame, '猫')
    line = refusal(text_frame, 'a猫b犬')
    assert '犬 (U+72AC), 猫 (U+732B): ' in line and 'a (' not in line
    assert 'U+D800: ' in refusal(text_frame, '\ud800')
    assert ' and 15 more' in refusal(text_frame, ''.join(map(chr, range(0x4e00, 0x4e14))))
    atlas = TextAtlas()
    assert atlas.ids(['a', '猫', 'b', 'a']).tolist() == [0, 1, 2, 0]
    for _ in range(2): assert '猫 (U+732B)' in refusal(atlas.frames, np.array([0, 1])), 'refused when it is to be drawn, each time'
    assert (atlas.frames(np.array([2, 0])) == [text_frame('b'), text_frame('a')]).all()

def test_a_font_that_has_them(installed, tmp_path):
    font = TTFont(lettering._shipped()[0])
    for table in font['cmap'].tables:
        if table.isUnicode(): table.cmap.update({0x732b: 'A', 0x72ac: 'B'})
    font.save(tmp_path/'unifont.ttf')
    (tmp_path/'damaged.ttf').write_bytes(b'not a font')
    installed(tmp_path/'damaged.ttf', tmp_path/'unifont.ttf')
    assert same('猫', 'A') and same('犬 cat', 'B cat') and not same('猫', '犬')
    check_vocabulary(['猫', '犬'])
    assert '鳥 (U+9CE5): ' in refusal(text_frame, '猫鳥'), 'named is what the best font lacks'

def test_answers_that_look_the_same(installed):
    installed()
    check_vocabulary(['yes', 'no', 'l', 'I', '1', '0', 'O', 'o', 'yes'])
    pairs = ('cat', 'c\u0430t'), ('café', 'cafe\u0301'), ('a', 'a '), ('a b', 'a\nb'), ('cat', 'cat\u200b'), ('A', 'Α')
    for pair in pairs:
        line = refusal(check_vocabulary, ['first', *pair])
        assert all(ascii(word) in line for word in pair)
    assert 'U+732B' in refusal(check_vocabulary, ['cat', '猫'])
    assert 'empty' in refusal(check_vocabulary, ['cat', '\u200b'])
    assert 'too long' in refusal(check_vocabulary, ['cat', 'Donaudampfschifffahrt'])
    check_vocabulary(['cat', 'Donau_dampf_schiff_fahrt', 'pneumono-', 'transportation'])

def whole_search(text):
    "`text_frame` by trying every layout at every size, for text that DejaVu Sans Mono has"
    pieces, layouts = frames.re.findall(r'[^\s,_]*[,_]?\s*', text)[:-1], []
    for columns in range(len(text), max(map(len, pieces)) - 1, -1):
        lines = ['']
        for piece in pieces:
            if lines[-1] and len((lines[-1] + piece).rstrip()) > columns: lines.append('')
            lines[-1] += piece
        layouts.append([line.rstrip() for line in lines])
    def fits(lines, size):
        x0, y0, x1, y1 = lettering._ink(lines, lettering._shipped()[0], size)
        return max(x1 - x0, y1 - y0) <= 60
    sizes = [max(size for size in range(1, 128) if size == 1 or fits(lines, size)) for lines in layouts]
    lines, size = layouts[sizes.index(max(sizes))], max(sizes)
    x0, y0, x1, y1 = lettering._ink(lines, lettering._shipped()[0], size)
    image = Image.new('L', (SIZE, SIZE))
    ImageDraw.Draw(image).multiline_text(((SIZE-x0-x1)/2, (SIZE-y0-y1)/2), '\n'.join(lines), 255,
                                         lettering._font(lettering._shipped()[0], size), spacing=0, align='center')
    return np.asarray(image)

def test_ordinary_texts_are_drawn_as_a_whole_search_draws_them():
    rng, words = random.Random(0), 'activity_walking a vehicle_moving, 3 cat Ёлка naïve transportation -'.split()
    for _ in range(20):
        text = rng.choice([' ', '_', ', ']).join(rng.choices(words, k=rng.randint(1, 5)))
        assert (text_frame(text) == whole_search(text)).all(), text

def test_long_texts(installed):
    installed()
    for text in 'word '*1000, 'x'*3601, 'ab_'*1300, 'a'*1_000_000, 'a '*500_000:
        assert 'too long' in refusal(text_frame, text)
    edges = [f'{"x"*n}{more}' for n in range(56, 64) for more in ('', ',', ', a', '_b', ' c d e f')]
    for text in 'word '*500, 'x'*3500, 'sha256' + 'f'*64, 'a, '*1000, *edges:
        ink = np.argwhere(text_frame(text))
        assert ink.min() >= 1 and ink.max() <= SIZE - 2, 'nothing is cut off'
        assert len(lettering._layouts(clean_text(text), 60)) <= 61, 'the work is bounded'

ALPHABETS = ['abcdefghij _,.', 'abcdeÀéñßЖяΩλ ', 'aeoxn\u0301\u0302\u0308\u0323\u20e3', 'אבגدلا\u200f ', '猫犬東京한국어 ',
             'हिन्दीภาษา', '😀👍🏽❤\ufe0f\u200d1\u20e3', '\x00\t\n\r\u200b\u202e\ufeff\u2028\u00ada']

def odd_texts(n):
    "n texts: letters of one alphabet or two, now and then any code point, a few long ones"
    rng = random.Random(0)
    for i in range(n):
        letters = ''.join(rng.sample(ALPHABETS, rng.choice([1, 1, 1, 2])))
        length = rng.choice([1, 2, 5, 12, 30])
        if i%10 == 0: letters, length = rng.choice(ALPHABETS[:3]), rng.choice([300, 1500, 5000])
        text = [rng.choice(letters) for _ in range(length)]
        for place in range(rng.choice([0, 0, 0, 0, 1, 4])): text[place%length] = chr(rng.randrange(sys.maxunicode + 1))
        yield ''.join(text)

def test_any_text_is_drawn_or_refused_in_one_line(installed):
    installed()
    kinds, slowest = Counter(), 0
    for text in odd_texts(600):
        start = time.perf_counter()
        clean = clean_text(text)
        assert clean_text(clean) == clean and unicodedata.is_normalized('NFC', clean)
        assert ''.join(tokenize(text)) == clean.replace(' ', '')
        try:
            frame = text_frame(text)
            assert frame.shape == (SIZE, SIZE) and frame.dtype == np.uint8 and same(text, clean)
            kind = 'drawn' if frame.any() else 'empty'
            assert clean or kind == 'empty'
        except UserError as error:
            assert str(error).isprintable() and len(str(error)) < 300
            kind = 'too long' if 'too long' in str(error) else 'no font has it'
        assert len(lettering._layouts(clean, 60)) <= 61
        slowest = max(slowest, time.perf_counter() - start)
        kinds[kind] += 1
    print(dict(kinds), f'slowest: {slowest:.2f} s')
    assert set(kinds) == {'drawn', 'empty', 'too long', 'no font has it'} and sum(kinds.values()) == 600

def test_what_is_no_image_sound_or_box():
    frame = np.zeros((3, SIZE, SIZE), np.uint8)
    for box in (-1, -1, -1, -1), (0, 0, 64, 10), (5, 0, 4, 10), (0, 9, 10, 8):
        assert 'inside a frame' in refusal(draw_box, frame, box)
    assert not draw_box(frame, (0, 0, 63, 63))[1:].any() and draw_box(frame, (63, 63, 63, 63))[0].sum() == 255
    assert 'float64' in refusal(image_frame, np.ones((8, 8)))
    assert 'uint16' in refusal(image_frame, np.ones((8, 8), np.uint16))
    for wave in np.zeros(0), np.full(800, np.nan), np.zeros((800, 2)):
        assert 'finite samples' in refusal(spectrogram_frame, wave, 8000)
