from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.encoding import Wishes, choose_encoder
from gsm_plugin.inference.video.facts import Facts
from gsm_plugin.inference.video.layout import Layout

FILM = Facts(Path('film.mp4'), 48, 64, Layout('yuv420p', False, 1), Fraction(1, 25), Fraction(25), 'h264')


def choose(depth=8, size=(96, 128), **wanted):
    layout = FILM.layout if depth == 8 else replace(FILM.layout, pixel_format=f'yuv420p{depth}le')
    facts = replace(FILM, layout=layout)
    return choose_encoder(facts, *size, True, Wishes(**wanted), Fraction(1, 25), Fraction(25))


@pytest.mark.parametrize(
    'wanted, sentence',
    [
        ({'crf': 99}, '--crf is 99, but libx264 takes 0 to 51'),
        ({'crf': -3}, '--crf is -3, but libx264 takes 0 to 51'),
        ({'crf': 52, 'codec': 'libx265'}, '--crf is 52, but libx265 takes 0 to 51'),
        ({'crf': 99, 'codec': 'libvpx-vp9'}, '--crf is 99, but libvpx-vp9 takes -1 to 63'),
        ({'crf': 99, 'codec': 'libsvtav1'}, '--crf is 99, but libsvtav1 takes 0 to 63'),
        ({'crf': 3, 'codec': 'ffv1'}, 'ffv1 has no crf; leave out --crf'),
        ({'options': ('crf=fine',)}, '--crf is fine, but libx264 takes 0 to 51'),
        ({'preset': 'sluggish'}, "--preset is 'sluggish', but libx264 takes ultrafast, superfast"),
        ({'preset': 'sluggish', 'codec': 'libx265'}, "--preset is 'sluggish', but libx265 takes ultrafast"),
        ({'preset': '99', 'codec': 'libsvtav1'}, '--preset is 99, but libsvtav1 takes -2 to 13'),
        ({'preset': 'slow', 'codec': 'libsvtav1'}, '--preset is slow, but libsvtav1 takes -2 to 13'),
        ({'preset': 'slow', 'codec': 'mpeg4'}, 'mpeg4 has no preset; leave out --preset'),
        ({'options': ('tune=film,grian',)}, "--encoder-option tune is 'grian', but libx264 takes film, "),
        ({'options': ('profile=higher',)}, "--encoder-option profile is 'higher', but libx264 takes baseline"),
        ({'options': ('profile=higher',), 'codec': 'libx265'}, 'incompatible profile set: higher'),
        ({'options': ('crf=9',), 'crf': 20}, '--crf 20 and --encoder-option crf=9 set the same; leave out one'),
        ({'options': ('b=2M',), 'crf': 20}, '--crf 20 and --encoder-option b=2M set the same'),
        (
            {'options': ('preset=slow',), 'preset': 'fast'},
            '--preset fast and --encoder-option preset=slow set the same',
        ),
        ({'options': ('g=9', 'g=8')}, '--encoder-option g is both 9 and 8; leave out one of them'),
        (
            {'options': ('time_base=1/7',)},
            '--encoder-option time_base is 1/7, but follows from the frames; leave it out.',
        ),
        ({'options': ('pixel_format=yuv444p',)}, 'is yuv444p, but follows from the frames; give --pix-fmt.'),
        ({'options': ('video_size=32x32',)}, 'is 32x32, but follows from the frames; give -s.'),
        ({'options': ('color_range=pc',)}, 'is pc, but follows from the frames; leave it out.'),
        ({'options': ('g=',)}, "--encoder-option is 'g='; write NAME=VALUE"),
        ({'options': ('b=-5',)}, '--encoder-option b is -5, but libx264 takes numbers from 0 up'),
        ({'options': ('g=x',)}, '--encoder-option g is x, but libx264 takes numbers;'),
        ({'options': ('speed=9',)}, 'libx264 has no option speed'),
        ({'options': ('x264-params=foo=bar',)}, "libx264 says: Error parsing option 'foo = bar'"),
        ({'options': ('x265-params=foo=bar',), 'codec': 'libx265'}, 'libx265 says: Unknown option: foo'),
        ({'codec': 'h265'}, 'no encoder h265'),
        ({'codec': 'aac'}, 'aac encodes audio'),
        (
            {'codec': 'prores_ks', 'pixel_format': 'yuv420p'},
            'prores_ks does not take yuv420p; it takes yuv422p10le, yuv444p10le: give one as --pix-fmt',
        ),
        (
            {'codec': 'dnxhd'},
            'yuv422p with chroma_sample_location=1, for DNxHD has a few sizes and bit rates; give --encoder-option '
            'profile=dnxhr_hq, or take another --codec.',
        ),
        ({'codec': 'dnxhd', 'pixel_format': 'yuv422p10le'}, 'give --encoder-option profile=dnxhr_hqx'),
        (
            {'codec': 'dnxhd', 'options': ('profile=dnxhr_hqx',)},
            '(pixel format is incompatible with DNxHR HQX profile); change these',
        ),
        ({'codec': 'png'}, 'none of which infer writes for 128x96; take another --codec.'),
        ({'codec': 'png', 'pixel_format': 'yuv420p'}, 'png does not take yuv420p; it takes gray: give one'),
        ({'codec': 'amv', 'pixel_format': 'yuv420p'}, 'amv takes yuvj420p, none of which infer writes'),
        ({'codec': 'libx264', 'pixel_format': 'yuv420p12le'}, 'libx264 does not take yuv420p12le; it takes gray'),
        ({'pixel_format': 'yuvj420p'}, 'pixel format yuvj420p is none that infer writes'),
        ({'pixel_format': 'nv21'}, 'pixel format nv21 is none that infer writes'),
    ],
)
def test_what_an_encoder_does_not_take_is_told_with_what_it_takes(wanted, sentence, capfd):
    level = av.logging.get_level()
    with pytest.raises(UserError) as caught:
        choose(**wanted)
    assert sentence in str(caught.value)
    assert str(caught.value).count('; ') <= 2
    assert capfd.readouterr().err == ''
    assert av.logging.get_level() == level


@pytest.mark.parametrize(
    'wanted',
    [
        {},
        {'crf': 0, 'preset': '5'},
        {'crf': 51, 'codec': 'libx265', 'preset': 'ultrafast'},
        {'preset': '-1', 'codec': 'libsvtav1'},
        {'options': ('tune=film,zerolatency', 'profile=high', 'b=2M')},
        {'options': ('x264-params=keyint=30:bframes=2',)},
        {'options': ('b=2M',), 'crf': 20, 'codec': 'libvpx-vp9'},
        {'codec': 'libx264', 'depth': 10},
        {'codec': 'dnxhd', 'size': (120, 256), 'options': ('profile=dnxhr_hq',)},
        {'codec': 'dnxhd', 'size': (120, 256), 'options': ('profile=dnxhr_hqx',), 'pixel_format': 'yuv422p10le'},
        {'codec': 'dnxhd', 'size': (120, 256), 'options': ('profile=dnxhr_444',), 'pixel_format': 'yuv444p10le'},
        {'codec': 'ffv1', 'pixel_format': 'yuv444p16le'},
    ],
)
def test_what_an_encoder_takes_passes(wanted):
    choose(**wanted).opened(False)


@pytest.mark.parametrize(
    'codec, pixel_format, size, enlarged, chosen',
    [
        ('prores_ks', 'yuv420p', (96, 128), True, 'yuv422p10le'),
        ('prores_ks', 'yuv444p', (96, 128), True, 'yuv422p10le'),
        ('prores_ks', 'yuv444p', (96, 128), False, 'yuv444p10le'),
        ('prores_ks', 'yuv420p', (95, 127), True, 'yuv444p10le'),
        ('prores_ks', 'gbrp', (96, 128), True, 'yuv422p10le'),
        ('huffyuv', 'yuv420p', (96, 128), True, 'yuv422p'),
        ('v410', 'yuv420p', (96, 128), True, 'yuv444p10le'),
        ('r210', 'yuv420p10le', (96, 128), True, 'gbrp10le'),
        ('libx264', 'yuv420p12le', (96, 128), True, 'yuv420p10le'),
        ('mpeg4', 'yuv422p10le', (96, 128), False, 'yuv420p'),
        ('jpegls', 'gray16le', (96, 128), True, 'gray16le'),
    ],
)
def test_an_encoder_that_does_not_take_the_default_format_gets_the_nearest(codec, pixel_format, size, enlarged, chosen):
    facts = replace(FILM, layout=Layout(pixel_format, pixel_format == 'gbrp', int(pixel_format != 'gbrp')))
    encoder = choose_encoder(facts, *size, enlarged, Wishes(codec), Fraction(1, 25), Fraction(25))
    assert encoder.layout.pixel_format == chosen
    assert encoder.instead_of not in (None, chosen)
    assert encoder.layout.full_range == (encoder.layout.kind == 'rgb')
    encoder.opened(False)


def test_sides_that_no_format_of_an_encoder_has_are_refused():
    with pytest.raises(
        UserError, match=r'libsvtav1 takes yuv420p, .*for 127x95; take another --codec, or an -s that ma'
    ):
        choose_encoder(FILM, 95, 127, True, Wishes('libsvtav1'), Fraction(1, 25), Fraction(25))


@pytest.mark.parametrize('codec', ['h264', 'hevc', 'av1'])
def test_the_name_of_what_is_written_stands_for_an_encoder_with_its_defaults(codec):
    encoder = av.Codec(codec, 'w').name
    assert encoder != codec
    assert choose(codec=codec) == choose(codec=encoder)


def test_frames_are_encoded_side_by_side_and_not_cut_into_slices():
    encoder = choose_encoder(FILM, 360, 640, True, Wishes(), Fraction(1, 25), Fraction(25))
    planes = [np.zeros((360, 640), np.uint8), *[np.zeros((180, 320), np.uint8)] * 2]
    packets = encoder.encode((encoder.frame(planes, pts) for pts in range(2)), global_header=False)
    assert b'sliced_threads=0' in b''.join(map(bytes, packets))


@pytest.mark.parametrize(
    'codec, decoder',
    [('libx264', 'h264'), ('libx265', 'hevc'), ('libvpx-vp9', 'vp9'), ('libsvtav1', 'libdav1d'), ('mpeg4', 'mpeg4')],
)
def test_encoders_print_nothing_and_give_every_frame_once_and_in_order(codec, decoder, capfd):
    encoder, context = choose(codec=codec), av.CodecContext.create(decoder, 'r')
    values = range(20, 236, 12)
    planes = ([np.full((96, 128), value, np.uint8), *[np.full((48, 64), 128, np.uint8)] * 2] for value in values)
    packets = encoder.encode((encoder.frame(one, pts) for pts, one in enumerate(planes)), global_header=False)
    frames = [frame for packet in (*packets, None) for frame in context.decode(packet)]
    assert [frame.pts for frame in frames] == list(range(len(values)))
    assert [frame.to_ndarray()[:96].mean() for frame in frames] == pytest.approx(values, abs=5)
    assert capfd.readouterr() == ('', '')
