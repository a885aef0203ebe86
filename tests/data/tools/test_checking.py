import shutil
from dataclasses import replace

import pytest

from gsm_plugin.data.clip_names import ClipFacts
from gsm_plugin.data.layouts import LAYOUTS, find_layout
from gsm_plugin.data.tools.checking import check_dataset
from gsm_plugin.data.tools.clip_folders import find_clips
from gsm_plugin.errors import UserError
from tests.data.tools.miniature import damage, reds_names, vimeo_names, write_frame, write_pair

SMALL = ClipFacts(4, (16, 24))
REDS = replace(
    find_layout('reds'),
    editions=tuple({f'{clip:03d}': SMALL for clip in range(count)} for count in (14, 12)),
    any_clip=SMALL,
)
VID4 = replace(find_layout('vid4'), editions=({'calendar': SMALL, 'city': ClipFacts(3, (16, 32))},))


@pytest.fixture
def reds(tmp_path):
    write_pair(tmp_path, {f'{clip:03d}': reds_names(4) for clip in range(14)})
    return tmp_path


def findings(root, layout, lq=True, **options):
    return check_dataset(layout, root / 'GT', root / 'LQ' if lq else None, workers=2, **options).findings


def test_a_sound_data_set_has_no_findings(reds):
    checked = check_dataset(REDS, reds / 'GT', reds / 'LQ', workers=2)
    assert checked.findings == []
    assert (checked.clips, checked.frames, checked.held_out) == (14, 56, ['000', '011'])


def test_reds_may_come_without_its_validation_clips(reds):
    for kind in ('GT', 'LQ'):
        for clip in ('012', '013'):
            shutil.rmtree(reds / kind / clip)
    assert findings(reds, REDS) == []


@pytest.mark.parametrize('kind', ['GT', 'LQ'])
def test_clips_that_are_missing_and_that_do_not_belong_there_are_named(reds, kind):
    shutil.rmtree(reds / kind / '003')
    (reds / kind / '005').rename(reds / kind / 'x05')
    assert findings(reds, REDS) == [
        f'clip 003 is missing in {reds / kind} (and 1 more); add it, or name what you have by --list.',
        f'{reds / kind / "x05"} is no clip of this data set; remove it, or name yours by --list.',
    ]


@pytest.mark.parametrize('kind', ['GT', 'LQ'])
def test_frames_that_are_missing_and_that_do_not_belong_there_are_named(reds, kind):
    folder = reds / kind / '007'
    (folder / '00000001.png').unlink()
    shutil.copy(folder / '00000000.png', folder / '00000004.png')
    (folder / 'Thumbs.db').write_bytes(b'x')
    (folder / '.hidden').write_bytes(b'x')
    assert findings(reds, REDS) == [
        f'{folder / "Thumbs.db"} is no image; remove it, since BasicSR takes every file of a clip for a frame.',
        f'frame 00000001.png is missing in {folder}; copy the clip again.',
        f'{folder / "00000004.png"} is no frame of this data set, whose frames are 00000000.png to 00000003.png; '
        f'remove or rename it.',
    ]


@pytest.mark.parametrize('kind', ['GT', 'LQ'])
@pytest.mark.parametrize('harm', ['cut', 'flip'])
def test_a_damaged_frame_is_named(reds, kind, harm):
    path = reds / kind / '002' / '00000003.png'
    damage(path, harm)
    assert findings(reds, REDS) == [f'{path} is damaged, cut, or no image; copy or make it again.']


def test_frames_of_an_odd_size_are_named(reds):
    write_frame(reds / 'GT' / '001' / '00000002.png', 500, (16, 20))
    write_frame(reds / 'LQ' / '001' / '00000002.png', 501, (4, 5))
    write_frame(reds / 'LQ' / '002' / '00000001.png', 502, (4, 5))
    gt, lq = reds / 'GT', reds / 'LQ'
    assert findings(reds, REDS) == [
        f'{gt}/001/00000002.png has 16x20 pixels, not 16x24 as it should; copy or make it again.',
        f'{lq}/001/00000002.png has 4x5 pixels, not 4x6 as most frames of the clip; copy or make it again.',
        f'{lq}/002/00000001.png has 4x5 pixels, not 4x6 as most frames of the clip; copy or make it again.',
        f'{gt}/002/00000001.png has 16x24 pixels, which is not 4 times the 4x5 of {lq}/002/00000001.png; '
        f'correct scale, or make the LQ images again.',
    ]


def test_a_wrong_scale_is_one_finding(reds):
    assert findings(reds, REDS, scale=2) == [
        f'the frames of {reds / "GT"} are 4 times those of {reds / "LQ"}, not 2; correct --scale, or --lq.'
    ]


def test_a_clip_of_another_scale_is_named(reds):
    for i in range(4):
        write_frame(reds / 'LQ' / '004' / f'{i:08d}.png', 600 + i, (8, 12))
    found = findings(reds, REDS)
    assert len(found) == 1
    assert found[0].startswith(f'{reds}/GT/004/00000000.png has 16x24 pixels, which is not 4 times the 8x12 of')


def test_a_training_clip_that_shows_a_clip_of_reds4_is_named(reds):
    shutil.copy(reds / 'GT' / '011' / '00000002.png', reds / 'GT' / '009' / '00000001.png')
    assert findings(reds, REDS) == [
        f'{reds}/GT/009/00000001.png shows the same as {reds}/GT/011/00000002.png, which is for tests; '
        f'remove clip 009, or copy the right one.'
    ]


def test_a_training_clip_that_shows_a_clip_of_the_test_folder_is_named(reds):
    shutil.copytree(reds / 'GT' / '011', reds / 'test' / '011')
    assert findings(reds, REDS, test_gt=reds / 'test') == []
    shutil.copytree(reds / 'GT' / '003', reds / 'test' / '020')
    found = findings(reds, REDS, test_gt=reds / 'test')
    assert found == [
        f'{reds}/GT/003/00000000.png shows the same as {reds}/test/020/00000000.png, which is for tests; '
        f'remove clip 003, or copy the right one.'
    ]


def test_a_list_decides_about_clips_numbers_and_sizes(reds):
    listed = reds / 'list.txt'
    listed.write_text('001 4 (16,24,3)\n002\n')
    assert findings(reds, REDS, clip_list=listed) == []
    listed.write_text('001 3 (16,24,3)\n002 4 (16,20,3)\n099\n')
    gt, lq = reds / 'GT', reds / 'LQ'
    extra = 'is no frame of this data set, whose frames are 00000000.png to 00000002.png; remove or rename it.'
    assert findings(reds, REDS, clip_list=listed) == [
        f'clip 099 is missing in {gt}; add it, or name what you have by --list.',
        f'{gt}/001/00000003.png {extra}',
        f'{gt}/002/00000000.png has 16x24 pixels, not 16x20 as it should (and 3 more frames of the clip); '
        f'copy or make it again.',
        f'clip 099 is missing in {lq}; add it, or name what you have by --list.',
        f'{lq}/001/00000003.png {extra}',
    ]


def write_vid4(root):
    write_pair(root, {'calendar': [f'Frame {i:03d}.png' for i in range(1, 5)]})
    write_pair(root, {'city': [f'{i}.png' for i in range(3)]}, (16, 32))


def test_vid4_may_have_any_names_of_frames(tmp_path):
    write_vid4(tmp_path)
    assert findings(tmp_path, VID4) == []


def test_vid4_is_compared_by_number_and_lq_with_gt_by_name(tmp_path):
    write_vid4(tmp_path)
    (tmp_path / 'LQ' / 'city' / '2.png').rename(tmp_path / 'LQ' / 'city' / '3.png')
    (tmp_path / 'GT' / 'calendar' / 'Frame 002.png').unlink()
    (tmp_path / 'LQ' / 'calendar' / 'Frame 002.png').unlink()
    gt, lq = tmp_path / 'GT', tmp_path / 'LQ'
    assert findings(tmp_path, VID4) == [
        f'{gt}/calendar has 3 frames, but should have 4; copy the clip again.',
        f'{lq}/calendar has 3 frames, but should have 4; copy the clip again.',
        f'frame number 2 is missing in {lq}/city; copy the clip again.',
        f'frame 2 is missing in {lq}/city (LQ has 3, GT has 3); add, remove or rename it.',
    ]


def test_a_list_of_names_keeps_what_is_known_of_the_clips(tmp_path):
    write_vid4(tmp_path)
    for kind in ('GT', 'LQ'):
        shutil.rmtree(tmp_path / kind / 'calendar')
        (tmp_path / kind / 'city' / '2.png').unlink()
    (tmp_path / 'list.txt').write_text('city\n')
    expected = [
        f'{tmp_path}/{kind}/city has 2 frames, but should have 3; copy the clip again.' for kind in ('GT', 'LQ')
    ]
    assert findings(tmp_path, VID4, clip_list=tmp_path / 'list.txt') == expected


def test_hidden_folders_are_passed_over(reds):
    for name in ('@eaDir', '.thumbnails'):
        write_frame(reds / 'GT' / name / '0.png', 700)
    assert findings(reds, REDS) == []


def test_vimeo_sequences_have_seven_frames(tmp_path):
    vimeo = replace(find_layout('vimeo90k'), any_clip=ClipFacts(7, (16, 24)))
    write_pair(tmp_path, {f'00001/000{i}': vimeo_names() for i in (1, 2, 3)})
    assert findings(tmp_path, vimeo) == []
    (tmp_path / 'GT' / '00001/0002' / 'im4.png').unlink()
    shutil.rmtree(tmp_path / 'LQ' / '00001/0003')
    (tmp_path / 'train.txt').write_text('00001/0002\n00002/0001\n')
    gt, lq = tmp_path / 'GT', tmp_path / 'LQ'
    assert findings(tmp_path, vimeo) == [
        f'frame im4.png is missing in {gt}/00001/0002; copy the clip again.',
        f'clip 00001/0003 is missing in {lq}; add it, or name what you have by --list.',
    ]
    assert findings(tmp_path, vimeo, clip_list=tmp_path / 'train.txt')[:2] == [
        f'clip 00002/0001 is missing in {gt}; add it, or name what you have by --list.',
        f'frame im4.png is missing in {gt}/00001/0002; copy the clip again.',
    ]


def test_own_clips_may_have_any_names_and_lengths(tmp_path):
    write_pair(tmp_path, {'one': reds_names(3), 'two': [f'shot{i}.png' for i in range(5, 11)]})
    clips = find_layout('clips')
    assert findings(tmp_path, clips) == []
    (tmp_path / 'GT' / 'two' / 'shot7.png').unlink()
    found = findings(tmp_path, clips)
    assert found[0] == f'frame number 7 is missing in {tmp_path}/GT/two; copy the clip again.'
    assert found[1].startswith('frame shot7 is missing in')


def test_the_published_facts(tmp_path):
    """As their papers and BasicSR's lists of clips have them."""
    reds, reds4, vimeo, vid4, udm10, _ = LAYOUTS
    assert [len(edition) for edition in reds.editions] == [270, 240]
    assert list(reds4.editions[0]) == list(reds.held_out) == ['000', '011', '015', '020']
    assert reds.editions[0]['269'] == reds4.any_clip == ClipFacts(100, (720, 1280))
    assert (reds.frame_name(99), vimeo.frame_name(6)) == ('00000099.png', 'im7.png')
    assert vimeo.any_clip == ClipFacts(7, (256, 448))
    assert {clip: facts.frames for clip, facts in vid4.editions[0].items()} == {
        'calendar': 41,
        'city': 34,
        'foliage': 49,
        'walk': 47,
    }
    assert [len(edition) for edition in udm10.editions] == [10, 10]


def test_an_unknown_layout_and_a_folder_of_another_are_refused(reds):
    with pytest.raises(UserError, match="the layout 'Vid5' is not known; name one of reds, reds4, vimeo90k, vid4"):
        find_layout('Vid5')
    assert find_layout('REDS4').name == 'reds4'
    with pytest.raises(UserError, match='has no clip like 000, but GT/000; name the folder that holds the clips'):
        check_dataset(REDS, reds)
    with pytest.raises(UserError, match='has no clip like 00001/0001, but 000'):
        check_dataset(find_layout('vimeo90k'), reds / 'GT')
    with pytest.raises(UserError, match=r'list nowhere\.txt does not exist'):
        check_dataset(REDS, reds / 'GT', clip_list=reds.__class__('nowhere.txt'))


@pytest.mark.parametrize('kind', ['GT', 'LQ'])
def test_a_folder_that_data_sets_refuse_is_named(tmp_path, kind):
    write_pair(tmp_path, {'a': reds_names(2), 'deep/b': reds_names(2)})
    (tmp_path / kind / 'notes').mkdir()
    (tmp_path / kind / '@eaDir').mkdir()
    expected = [f'{tmp_path / kind / "notes"} has no images; remove it, or name the wanted folders in meta_info_file.']
    assert findings(tmp_path, find_layout('clips')) == expected
    (tmp_path / 'list.txt').write_text('a\ndeep/b\n')
    assert findings(tmp_path, find_layout('clips'), clip_list=tmp_path / 'list.txt') == []


def test_a_link_to_a_folder_above_it_is_not_walked_through_again(tmp_path):
    write_pair(tmp_path, {'a': reds_names(2)})
    (tmp_path / 'GT/a/back').symlink_to('..')
    (tmp_path / 'GT/linked').symlink_to(tmp_path / 'LQ/a')
    assert list(find_clips(tmp_path / 'GT')) == ['a', 'linked']
