import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from basicsr.data.vimeo90k_dataset import Vimeo90KRecurrentDataset

from gsm_plugin.data.frame_sources import LmdbSource
from gsm_plugin.data.tools import lmdb_making
from gsm_plugin.data.tools.lmdb_making import make_lmdb
from gsm_plugin.data.tools.lmdb_verifying import verify_lmdb
from gsm_plugin.data.tools.lmdb_writer import LmdbWriter, encode_png
from gsm_plugin.errors import UserError
from tests.data.tools.miniature import damage, everything_below, reds_names, vimeo_names, write_frame, write_pair

ROOT = Path(__file__).parents[3]


@pytest.fixture
def clips(tmp_path):
    """Four clips of five frames of GT; returns the folder."""
    write_pair(tmp_path, {f'{clip:03d}': reds_names(5) for clip in range(4)})
    return tmp_path / 'GT'


def contents(path):
    with lmdb.open(str(path), readonly=True, lock=False) as environment, environment.begin() as transaction:
        return dict(transaction.cursor())


def test_it_holds_the_frames_under_the_keys_of_basicsr_and_their_list(clips, tmp_path):
    made = make_lmdb(clips, tmp_path / 'GT.lmdb')
    assert (made.images, made.reused) == (20, 0)
    lines = (tmp_path / 'GT.lmdb' / 'meta_info.txt').read_text().splitlines()
    assert lines[0] == '000/00000000.png (16,24,3) 1'
    assert len(lines) == 20
    source = LmdbSource(tmp_path / 'GT.lmdb')
    for clip in ('000', '003'):
        for i in range(5):
            expected = cv2.imread(str(clips / clip / f'{i:08d}.png'))
            assert np.array_equal((source.read(clip, i) * 255).round(), expected)
    assert sorted(path.name for path in (tmp_path / 'GT.lmdb').iterdir()) == ['data.mdb', 'lock.mdb', 'meta_info.txt']
    assert verify_lmdb(tmp_path / 'GT.lmdb', workers=1) == []


def test_basicsr_reads_vimeo_from_it_and_the_list_of_the_data_set_chooses(tmp_path):
    sequences = ('00001/0001', '00001/0002', '00002/0266')
    write_pair(tmp_path, {sequence: vimeo_names() for sequence in sequences})
    chosen = tmp_path / 'sep_trainlist.txt'
    chosen.write_text('00002/0266\n00001/0001\n')
    for kind in ('GT', 'LQ'):
        assert make_lmdb(tmp_path / kind, tmp_path / f'{kind}.lmdb', chosen).images == 14
    (tmp_path / 'meta.txt').write_text('00002/0266 7 (16,24,3)\n')
    dataset = Vimeo90KRecurrentDataset(
        {
            'dataroot_gt': tmp_path / 'GT.lmdb',
            'dataroot_lq': tmp_path / 'LQ.lmdb',
            'meta_info_file': str(tmp_path / 'meta.txt'),
            'io_backend': {'type': 'lmdb'},
            'num_frame': 7,
            'gt_size': 16,
            'random_reverse': False,
            'flip_sequence': False,
            'use_hflip': False,
            'use_rot': False,
            'scale': 4,
        }
    )
    expected = cv2.imread(str(tmp_path / 'LQ' / '00002/0266/im7.png'))
    actual = (dataset[0]['lq'][6].permute(1, 2, 0).numpy()[..., ::-1] * 255).round()
    assert any(np.array_equal(actual, expected[:, x : x + 4]) for x in range(3))


@pytest.mark.parametrize(
    'shape, dtype, channels', [((6, 8), np.uint8, 1), ((6, 8, 4), np.uint8, 3), ((6, 8, 3), np.uint16, 3)]
)
def test_grey_and_16_bit_images_are_kept_and_alpha_is_left_out(tmp_path, capsys, shape, dtype, channels):
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    (tmp_path / 'images' / 'a').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'images' / 'a' / 'x.png'), image)
    make_lmdb(tmp_path / 'images', tmp_path / 'out.lmdb')
    stored = contents(tmp_path / 'out.lmdb')[b'a/x']
    expected = image[..., :channels] if image.ndim == 3 else image
    assert np.array_equal(cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_UNCHANGED), expected)
    assert ('x.png has an alpha channel, which is left out' in capsys.readouterr().err) == (shape[-1] == 4)
    assert (tmp_path / 'out.lmdb' / 'meta_info.txt').read_text() == f'a/x.png (6,8,{channels}) 1\n'
    assert verify_lmdb(tmp_path / 'out.lmdb', workers=1) == []


def test_the_map_grows_with_what_is_in_it(tmp_path):
    images = {f'a/{i}': np.random.default_rng(i).integers(0, 256, (64, 64, 3), np.uint8) for i in range(40)}
    (tmp_path / 'out').mkdir()
    with LmdbWriter(tmp_path / 'out', batch_bytes=2**16, map_step=2**17) as writer:
        for key, image in images.items():
            writer.put(key, encode_png(image))
        writer.finish(list(images))
        assert writer.count == 40
    size = (tmp_path / 'out' / 'data.mdb').stat().st_size
    assert 4 * 2**17 < size < 2**20
    assert contents(tmp_path / 'out') == {key.encode(): encode_png(image) for key, image in images.items()}


def test_many_small_images_are_written_before_the_end(tmp_path):
    (tmp_path / 'out').mkdir()
    content = encode_png(np.zeros((2, 2, 3), np.uint8))
    with LmdbWriter(tmp_path / 'out') as writer:
        for i in range(1001):
            writer.put(f'a/{i}', content)
    with LmdbWriter(tmp_path / 'out') as writer:
        assert writer.count == 1000


MAKE = """
import sys, time
from pathlib import Path
from gsm_plugin.data.tools import lmdb_making, lmdb_writer
slow = lmdb_making._encode_file
lmdb_making._encode_file = lambda path: (time.sleep(0.02), slow(path))[1]
write = lmdb_writer.LmdbWriter.__init__
lmdb_writer.LmdbWriter.__init__ = lambda self, folder: write(self, folder, batch_bytes=1)
lmdb_making.make_lmdb(Path(sys.argv[1]), Path(sys.argv[2]), workers=1)
"""


def start_and_kill(clips, out, at_least):
    """Kills a process that makes an LMDB, slowly, when so many images are in it."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    process = subprocess.Popen([sys.executable, '-c', MAKE, clips, out], env=environment, stderr=subprocess.DEVNULL)
    part = out.with_name(f'{out.name}.part')
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (part / 'lock.mdb').is_file() and len(contents(part)) >= at_least:
            process.send_signal(signal.SIGKILL)
            process.wait()
            break
        time.sleep(0.01)
    assert process.poll() == -signal.SIGKILL


def test_killed_in_the_middle_and_resumed_it_is_the_same(clips, tmp_path):
    whole, killed = tmp_path / 'whole.lmdb', tmp_path / 'killed.lmdb'
    make_lmdb(clips, whole)
    start_and_kill(clips, killed, at_least=5)
    assert not killed.exists()
    with pytest.raises(UserError, match='no meta_info'):
        LmdbSource(tmp_path / 'killed.lmdb.part')
    made = make_lmdb(clips, killed)
    assert 5 <= made.reused < 20
    assert contents(killed) == contents(whole)
    assert (killed / 'meta_info.txt').read_bytes() == (whole / 'meta_info.txt').read_bytes()
    assert sorted(path.name for path in killed.iterdir()) == sorted(path.name for path in whole.iterdir())
    assert verify_lmdb(killed, workers=1) == []
    assert not (tmp_path / 'killed.lmdb.part').exists()


def test_what_was_made_from_other_frames_is_made_anew(clips, tmp_path, monkeypatch):
    interrupt_at(monkeypatch, 12)
    with pytest.raises(KeyboardInterrupt):
        make_lmdb(clips, tmp_path / 'out.lmdb', workers=1)
    assert not (tmp_path / 'out.lmdb').exists()
    monkeypatch.undo()
    expected = write_frame(clips / '000' / '00000000.png', seed=99)
    assert make_lmdb(clips, tmp_path / 'out.lmdb').reused == 0
    assert np.array_equal((LmdbSource(tmp_path / 'out.lmdb').read('000', 0) * 255).round(), expected)


def interrupt_at(monkeypatch, number):
    encode, calls = lmdb_making._encode_file, []

    def encode_or_stop(path):
        calls.append(path)
        if len(calls) == number:
            raise KeyboardInterrupt
        return encode(path)

    monkeypatch.setattr(lmdb_making, '_encode_file', encode_or_stop)
    monkeypatch.setattr(lmdb_making, 'LmdbWriter', lambda folder: LmdbWriter(folder, batch_bytes=1))


def test_an_interrupted_run_is_gone_on_with(clips, tmp_path, monkeypatch):
    interrupt_at(monkeypatch, 12)
    with pytest.raises(KeyboardInterrupt):
        make_lmdb(clips, tmp_path / 'out.lmdb', workers=1)
    monkeypatch.undo()
    assert make_lmdb(clips, tmp_path / 'out.lmdb').reused == 11


@pytest.mark.parametrize('kind', ['cut', 'flip'])
def test_a_damaged_frame_is_named_and_nothing_looks_finished(clips, tmp_path, kind):
    damage(clips / '002' / '00000003.png', kind)
    with pytest.raises(UserError, match=r'002/00000003\.png is damaged, cut, or no image; copy or make it again'):
        make_lmdb(clips, tmp_path / 'out.lmdb')
    assert not (tmp_path / 'out.lmdb').exists()


def test_mistakes_are_named_and_leave_nothing(clips, tmp_path):
    (tmp_path / 'there.lmdb').mkdir()
    (tmp_path / 'list.txt').write_text('004\n')
    before = everything_below(tmp_path)
    for folder, out, listed, message in (
        (tmp_path / 'nowhere', 'out.lmdb', None, 'nowhere does not exist; correct its path'),
        (clips, 'out', None, r'does not end in \.lmdb'),
        (clips, 'there.lmdb', None, 'there.lmdb exists; remove it'),
        (clips, 'out.lmdb', tmp_path / 'list.txt', 'clip 004 of .*list.txt is missing in .*GT; add it, or take it out'),
        (tmp_path / 'there.lmdb', 'out.lmdb', None, 'is an LMDB, not a folder'),
    ):
        with pytest.raises(UserError, match=message):
            make_lmdb(folder, tmp_path / out, listed)
    assert everything_below(tmp_path) == before


def test_two_images_of_one_key_and_names_that_basicsr_cannot_read_are_refused(clips, tmp_path):
    write_frame(clips / '000' / '00000001.bmp', 0)
    with pytest.raises(UserError, match=r'00000001\.png would have the same key 000/00000001'):
        make_lmdb(clips, tmp_path / 'out.lmdb')
    (clips / '000' / '00000001.bmp').rename(clips / '000' / 'é.png')
    with pytest.raises(UserError, match='give it a short name in ASCII letters'):
        make_lmdb(clips, tmp_path / 'out.lmdb')


@pytest.fixture
def made(clips, tmp_path):
    make_lmdb(clips, tmp_path / 'out.lmdb')
    return tmp_path / 'out.lmdb'


def test_a_cut_database_is_found(made):
    damage(made / 'data.mdb', 'cut')
    found = verify_lmdb(made, workers=1)
    assert found
    assert 'out.lmdb' in found[0]
    assert 'again' in found[0]


@pytest.fixture
def made_of_larger_frames(tmp_path):
    """Their values have pages of their own, so that there are no older copies of them in the file."""
    write_pair(tmp_path, {'000': reds_names(4)}, (48, 64))
    make_lmdb(tmp_path / 'GT', tmp_path / 'out.lmdb')
    return tmp_path / 'out.lmdb'


def test_a_flipped_bit_in_an_image_is_found_and_the_image_named(made_of_larger_frames):
    made = made_of_larger_frames
    sound = (made / 'data.mdb').read_bytes()
    for key, content in contents(made).items():
        start = sound.index(content)
        for place in (start, start + 17, start + len(content) // 2, start + len(content) - 1):
            broken = bytearray(sound)
            broken[place] ^= 4
            (made / 'data.mdb').write_bytes(broken)
            found = verify_lmdb(made, workers=1)
            assert found == [f'key {key.decode()} of {made} is damaged, cut, or no image; copy or make it again.']
    (made / 'data.mdb').write_bytes(sound)
    assert verify_lmdb(made, workers=1) == []


def test_no_flipped_bit_that_changes_anything_passes(made):
    sound, expected = (made / 'data.mdb').read_bytes(), contents(made)
    generator = random.Random(0)
    found_some = False
    for place in (generator.randrange(len(sound)) for _ in range(24)):
        broken = bytearray(sound)
        broken[place] ^= 1 << generator.randrange(8)
        (made / 'data.mdb').write_bytes(broken)
        if verify_lmdb(made, workers=1):
            found_some = True
        else:
            assert contents(made) == expected, place
    assert found_some


def test_images_that_the_list_or_the_database_lacks_are_named(made):
    listed = (made / 'meta_info.txt').read_text()
    (made / 'meta_info.txt').write_text(listed.replace('000/00000001.png (16,24,3) 1\n', ''))
    assert verify_lmdb(made, workers=1)[0].startswith(
        f'{made} has 20 images, but meta_info.txt lists 19, without 000/00000001 for one;'
    )
    (made / 'meta_info.txt').write_text(listed + '004/00000000.png (16,24,3) 1\n')
    assert verify_lmdb(made, workers=1)[0].startswith(f'key 004/00000000 of {made} is missing, though meta_info.txt')
    (made / 'meta_info.txt').write_text(listed.replace('000/00000001.png (16,24,3)', '000/00000001.png (16,12,3)'))
    assert 'has the shape (16, 24, 3), but meta_info.txt says (16, 12, 3)' in verify_lmdb(made, workers=1)[0]


def test_what_is_no_lmdb_is_refused(made, clips):
    with pytest.raises(UserError, match=r'GT has no data\.mdb, so it is no LMDB'):
        verify_lmdb(clips)
    (made / 'meta_info.txt').write_text('text\n')
    with pytest.raises(UserError, match=r"meta_info\.txt, line 1 is 'text'"):
        verify_lmdb(made)
    (made / 'meta_info.txt').unlink()
    with pytest.raises(UserError, match='is no LMDB of BasicSR'):
        verify_lmdb(made)


FILL = """
import resource, sys
from pathlib import Path
from gsm_plugin.errors import UserError
from gsm_plugin.data.tools.lmdb_writer import LmdbWriter
with LmdbWriter(Path(sys.argv[1])) as writer:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
    writer.put('a/0', bytes(2**20))
    try:
        writer.finish([])
    except UserError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='limits the size of files')
def test_a_full_disk_is_said_in_one_sentence(tmp_path):
    (tmp_path / 'out').mkdir()
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    words = [sys.executable, '-c', FILL, tmp_path / 'out']
    said = subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout
    assert said.startswith(f'{tmp_path / "out"} cannot be written (')
    assert said.endswith('); make room, and run again.\n')


PUT = """
import sys
from pathlib import Path
from gsm_plugin.data.tools.lmdb_writer import LmdbWriter
with LmdbWriter(Path(sys.argv[1]), batch_bytes=1) as writer:
    writer.put('b', sys.stdin.buffer.read())
"""


def test_a_key_that_is_there_already_is_refused(tmp_path):
    (tmp_path / 'out').mkdir()
    content = encode_png(np.zeros((4, 4, 3), np.uint8))
    with LmdbWriter(tmp_path / 'out', batch_bytes=1) as writer:
        writer.put('a/0', content)
        with pytest.raises(UserError, match='two images have the key a/0'):
            writer.put('a/0', content)
    with LmdbWriter(tmp_path / 'out') as writer:
        writer.put('a/1', content)
        with pytest.raises(UserError, match='two images have the key a/1'):
            writer.put('a/1', content)


def test_two_writers_of_one_database_are_noticed(tmp_path):
    (tmp_path / 'out').mkdir()
    content = encode_png(np.zeros((4, 4, 3), np.uint8))
    with LmdbWriter(tmp_path / 'out', batch_bytes=1) as writer:
        environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
        subprocess.run([sys.executable, '-c', PUT, tmp_path / 'out'], env=environment, check=True, input=content)
        with pytest.raises(UserError, match='another process writes to'):
            writer.put('a', content)
