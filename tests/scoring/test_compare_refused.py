"""What `basicsr compare` refuses, in one sentence, before anything is run or lost."""

import os
import re
import sys
from types import SimpleNamespace

import pytest
import torch

from gsm_plugin.locks import locked
from gsm_plugin.scoring import metric_choices
from tests.scoring.comparing import refusal, run, write_frames, write_gsm, write_video
from tests.scoring.tiny_vsr import moving_frames, write_network


def test_networks_of_two_scales_are_refused_before_anything_is_run(tmp_path, capsys):
    place, half = write_frames(tmp_path / 'clip', moving_frames(2)), write_gsm(tmp_path, 'half')
    found = refusal(capsys, place, tmp_path / 'out', '--networks', 'bicubic', half, '--scale', '4')
    assert 'half enlarges by 2, but --scale is 4; compare networks of one scale' in found
    _, file = write_network(tmp_path)
    found = refusal(capsys, place, tmp_path / 'out', '--networks', f'bicubic,{half},tiny={file}')
    assert 'tiny makes 256 pixels of 64, but the scale is 2; take its own scale' in found
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['--networks', 'bicubic', '--degradation', 'blur'], "No degradation is called 'blur'"),
        (['--networks', 'bicubic', '--frames', '0'], '--frames is 0; give a whole number from 1 up'),
        (['--networks', 'bicubic', '--clips', 'other'], '--clips has other, which is not there; take some of clip'),
        (['--networks', ','], '--networks names none'),
        (['--networks', 'bicubic', '--clips', 'clip', 'clip'], '--clips has clip twice; name it once.'),
        (['--networks', 'bicubc'], 'did you mean bicubic'),
        (
            ['--networks', 'bicubic', '--metrics', 'psnr,tof'],
            "names 'psnr'; take some of lpips, dists, tof, tlp, mse_hidden, mse_shown, PSNR",
        ),
        (['--networks', 'bicubic', '--metrics', ','], '--metrics names none; take some of lpips'),
        (['--networks', 'bicubic', '--metrics', 'tof'], 'tof is of consecutive frames, but of clip clip one is scored'),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, capsys, arguments, sentence):
    place = write_frames(tmp_path / 'clip', moving_frames(1))
    assert sentence in refusal(capsys, place, tmp_path / 'out', *arguments)
    assert not (tmp_path / 'out').exists()


def test_a_missing_package_ends_it_before_anything_is_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'lpips', None)
    place = write_frames(tmp_path / 'clip', moving_frames(2))
    found = refusal(capsys, place, tmp_path / 'out', '--networks', 'bicubic', '--metrics', 'tlp')
    assert '--metrics tlp needs the package lpips' in found
    assert not (tmp_path / 'out').exists()


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_run(tmp_path, capsys):
    place = write_frames(tmp_path / 'clip', moving_frames(1))
    (tmp_path / 'file').write_text('precious')
    found = refusal(capsys, place, tmp_path / 'file', '--networks', 'bicubic')
    assert re.search(r'table\.md cannot be written, for \S+file is no folder; give another --out', found)
    assert (tmp_path / 'file').read_text() == 'precious'


def test_a_network_that_another_process_scores_into_the_folder_is_refused_and_others_are_not(tmp_path, capsys):
    place = write_frames(tmp_path / 'clip', moving_frames(2))
    (tmp_path / 'out').mkdir()
    with locked(tmp_path / 'out' / 'gsm.json'):
        found = refusal(capsys, place, tmp_path / 'out', '--networks', write_gsm(tmp_path, 'gsm'))
        assert f'gsm.json is being written by process {os.getpid()} on' in found
        assert [path.name for path in (tmp_path / 'out').iterdir()] == ['gsm.json.lock']
        run(place, tmp_path / 'out', '--networks', 'bicubic')
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == ['bicubic.json', 'page.html', 'pictures', 'table.md']


@pytest.mark.parametrize('out', ['clip', 'full'])
def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path, capsys, out):
    place = write_frames(tmp_path / 'clip', moving_frames(1))
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'table.md').write_text('precious')
    before = sorted(tmp_path.rglob('*'))
    found = refusal(capsys, place, tmp_path / out, '--networks', 'bicubic')
    assert 'in it and no results of a comparison; give another folder by --out' in found
    assert sorted(tmp_path.rglob('*')) == before
    assert (tmp_path / 'full' / 'table.md').read_text() == 'precious'


def test_a_clip_with_a_label_is_told_to_go_without(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'film.mp4').write_bytes(b'no video')
    found = refusal(capsys, 'mine=film.mp4', tmp_path / 'out', '--networks', 'bicubic')
    assert 'clips have no labels such as mine; write film.mp4.' in found


def test_a_film_that_cannot_be_opened_is_our_sentence_alone(tmp_path, capfd):
    place = tmp_path / 'broken.mp4'
    # what FFmpeg takes for an MP4 without its index
    place.write_bytes(
        bytes.fromhex('00000018') + b'ftypmp42' + bytes(12) + bytes.fromhex('00000010') + b'mdat' + bytes(8)
    )
    with pytest.raises(SystemExit):
        run(place, tmp_path / 'out', '--networks', 'bicubic')
    assert capfd.readouterr().err.count('\n') == 1


def test_a_wrong_place_is_one_sentence(tmp_path, capsys):
    # said before weights are missed
    assert 'x does not exist; name a video' in refusal(capsys, tmp_path / 'x', tmp_path / 'out', '--networks', 'vrt')
    (tmp_path / 'empty').mkdir()
    found = refusal(capsys, tmp_path / 'empty', tmp_path / 'out', '--networks', 'bicubic')
    assert 'has neither images nor videos nor folders of images' in found
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    found = refusal(capsys, tmp_path / 'broken.mp4', tmp_path / 'out', '--networks', 'bicubic')
    assert re.search(r'broken\.mp4 is missing or not a video that OpenCV can read', found)


def test_a_network_of_another_scale_is_one_sentence(tmp_path, capsys):
    place = write_frames(tmp_path / 'clip', moving_frames(1))
    _, file = write_network(tmp_path)
    found = refusal(capsys, place, tmp_path / 'out', '--networks', f'bicubic,tiny={file}', '--scale', '2')
    assert 'tiny makes 256 pixels of 64, but the scale is 2; take its own scale' in found
    assert not (tmp_path / 'out').exists()


def test_a_clip_that_is_too_short_for_a_network_is_one_sentence(tmp_path, capsys):
    place = write_frames(tmp_path / 'clip', moving_frames(2))
    _, file = write_network(tmp_path, window=3)
    with pytest.raises(SystemExit):
        run(place, tmp_path / 'out', '--networks', f'tiny={file}')
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith('basicsr: tiny needs 3 frames, but clip clip has 2; leave it out.')


def test_a_flow_network_that_is_missing_is_one_sentence(tmp_path, capsys):
    place = write_frames(tmp_path / 'clip', moving_frames(1))
    (tmp_path / 'o.yml').write_text('scale: 4\nnetwork_g: {type: GSMamba, spynet_path: none.pth}\npath: {}\n')
    found = refusal(capsys, place, tmp_path / 'out', '--networks', f'mine={tmp_path / "o.yml"}')
    assert 'none.pth does not exist' in found


def test_weights_that_do_not_fit_end_it_before_anything_is_run(tmp_path, capsys):
    place = write_frames(tmp_path / 'clip', moving_frames(1))
    write_network(tmp_path)
    found = refusal(capsys, place, tmp_path / 'out', '--networks', f'bicubic,basicvsr={tmp_path / "tiny.pth"}')
    assert 'do not fit BasicVSR' in found
    assert 'or the option file of yours by LABEL=OPTIONS.yml.' in found
    assert 'network_g' not in found
    assert 'path:' not in found.replace(str(tmp_path), '')
    assert not (tmp_path / 'out').exists()


def test_default_weights_are_those_of_the_degradation(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = write_frames(tmp_path / 'clip', moving_frames(1))
    for kind, name in (('bi', 'basicvsr-reds'), ('bd', 'basicvsr-vimeo90k-bd')):
        found = refusal(capsys, place, tmp_path / 'out', '--networks', 'basicvsr', '--degradation', kind)
        assert f'run basicsr weights get {name}, or name a file by basicvsr=WEIGHTS.pth.' in found


def test_an_output_of_no_numbers_ends_it_in_one_sentence(tmp_path, capsys):
    network, file = write_network(tmp_path)
    network.body[0].bias.data.fill_(3e38)
    torch.save({'params': network.state_dict()}, tmp_path / 'tiny.pth')
    place = write_frames(tmp_path / 'clip', moving_frames(2))
    with pytest.raises(SystemExit) as ended:
        run(place, tmp_path / 'out', '--networks', f'tiny={file}')
    assert ended.value.code == 2
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert sentence.startswith('basicsr: tiny, clip clip: the output of the network holds values that are no numbers')
    assert not (tmp_path / 'out' / 'table.md').exists()


@pytest.mark.parametrize('kind', ['images', 'video'])
def test_ground_truth_of_which_nothing_would_be_left_is_refused(tmp_path, capsys, kind):
    frames = moving_frames(3)
    make = write_frames if kind == 'images' else write_video
    place = make(tmp_path / ('clip' if kind == 'images' else 'clip.avi'), frames)
    found = refusal(capsys, place, tmp_path / 'out', '--networks', 'bicubic', '--shrink', '99')
    expected = (
        'frames of 48x64 pixels, of which nothing is left when they are made 99 times smaller; take a smaller --s'
    )
    assert expected in found
    assert not (tmp_path / 'out').exists()


def test_a_clip_that_is_too_small_is_told_before_others_are_scored(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(metric_choices, 'Perceptual', lambda names: SimpleNamespace(names=names))
    frames = moving_frames(3)
    write_frames(tmp_path / 'set' / 'large', frames)
    write_frames(tmp_path / 'set' / 'small', [frame[:30, :30] for frame in frames])
    write_frames(tmp_path / 'set' / 'tiny', [frame[:4, :4] for frame in frames])
    arguments = [tmp_path / 'set', tmp_path / 'out', '--networks', 'bicubic']
    found = refusal(capsys, *arguments)
    assert f'{tmp_path / "set" / "tiny"} has no frames of at least 8x8 pixels; name another clip.' in found
    found = refusal(capsys, *arguments, '--clips', 'large', 'small', '--metrics', 'tof,tlp')
    expected = '--metrics tlp is of frames of at least 31x31 pixels, but those of clip small have 28x28; leave tlp out'
    assert expected in found
    assert not (tmp_path / 'out').exists()


def test_later_frames_of_another_size_are_told_before_others_are_scored(tmp_path, capsys):
    frames = moving_frames(3)
    write_frames(tmp_path / 'set' / 'a', frames)
    write_frames(tmp_path / 'set' / 'b', [*frames, frames[0][:40]])
    arguments = [tmp_path / 'set', tmp_path / 'out', '--networks', 'bicubic']
    found = refusal(capsys, *arguments)
    assert re.search(r'b/3\.png has 40x64 pixels but \S+b/0\.png has 48x64; make all frames of a clip the same', found)
    assert not (tmp_path / 'out').exists()
    # which are never read
    run(*arguments, '--frames', '3')
    run(tmp_path / 'set', tmp_path / 'other', '--networks', 'bicubic', '--clips', 'a')


def test_one_image_is_no_clip(tmp_path, capsys):
    clip = write_frames(tmp_path / 'clip', moving_frames(3))
    expected = '0.png is one image; name the folder of the frames.'
    assert expected in refusal(capsys, clip / '0.png', tmp_path / 'out', '--networks', 'bicubic')
