"""Lists of clips as editors and shells of all systems write them, for our data sets and for BasicSR's."""

import io

import pytest
from basicsr.data import build_dataset

from gsm_plugin.compat.text_lists import plain_words, read_list
from gsm_plugin.data.checks.meta_info import read_lines
from gsm_plugin.data.clip_names import ClipFacts, read_clip_facts
from gsm_plugin.errors import UserError
from tests.data.tools.miniature import write_frame

FORM = '000 100 (720,1280,3)'
WANTED = {'001': ClipFacts(100, (16, 24)), '260': ClipFacts(90, (16, 32))}
# The same two lines in every way that can be read.
SPELLINGS = {
    'plain': b'001 100 (16,24,3)\n260 90 (16,32,3)\n',
    'no end': b'001 100 (16,24,3)\n260 90 (16,32,3)',
    'mark': b'\xef\xbb\xbf001 100 (16,24,3)\n260 90 (16,32,3)\n',
    'windows': b'\xef\xbb\xbf001 100 (16,24,3)\r\n260 90 (16,32,3)\r\n\r\n',
    'old mac': b'001 100 (16,24,3)\r260 90 (16,32,3)\r',
    'tabs': b'001\t100\t(16,24,3)\n260\t90\t(16,32,3)\n',
    'columns': b'  001   100  (16, 24, 3)  \n\n  260    90  ( 16,32 ,3)\n\n',
    'slashes': b'001/ 100 (16,24,3)\n260/ 90 (16,32,3)\n',
}
UNREADABLE = {
    'utf-16 of PowerShell': ('001 100 (16,24,3)\r\n'.encode('utf-16'), r'list\.txt is text in UTF-16 or no text'),
    'utf-16 without a mark': ('001\n'.encode('utf-16-le'), r'list\.txt is text in UTF-16 or no text.*save it as UTF-8'),
    'utf-16, big end first': (b'\xfe\xff\x000\x00\n', r'list\.txt is text in UTF-16'),
    'latin-1': (b'001\nstra\xdfe 100 (16,24,3)\n', r'list\.txt, line 2 \(stra.e 100.*\) is no UTF-8; save it as UTF-8'),
    'an archive': (b'PK\x03\x04\x14\x00\x00', r'list\.txt is text in UTF-16 or no text'),
}
WRONG = {
    'word': ('001 hundred (16,24,3)', 1),
    'csv': ('001 100 (16,24,3)\n002, 100, (16,24,3)', 2),
    'fraction': ('\n001 9.5 (16,24,3)', 2),
    'negative': ('001 -1 (16,24,3)', 1),
    'tab and word': ('001\thundred', 1),
}


@pytest.fixture
def listed(tmp_path):
    def write(content):
        path = tmp_path / 'list.txt'
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize('spelling', SPELLINGS)
def test_every_spelling_is_the_same_list(listed, spelling):
    path = listed(SPELLINGS[spelling])
    assert read_clip_facts(path) == WANTED
    assert read_lines(str(path), FORM) == [['001', '100', '(16,24,3)'], ['260', '90', '(16,32,3)']]


@pytest.mark.parametrize('spelling', SPELLINGS)
def test_basicsr_reads_them_too(listed, spelling, tmp_path):
    options = {'name': 'x', 'type': 'REDSRecurrentDataset', 'phase': 'train', 'val_partition': 'REDS4', 'num_frame': 2}
    options |= {'dataroot_gt': str(tmp_path), 'dataroot_lq': str(tmp_path), 'io_backend': {'type': 'disk'}}
    options |= {'meta_info_file': str(listed(SPELLINGS[spelling])), 'test_mode': False}
    keys = build_dataset(options).keys
    assert (len(keys), keys[0], keys[-1]) == (190, '001/00000000', '260/00000089')


@pytest.mark.parametrize('kind', ['VideoRecurrentTestDataset', 'SingleImageDataset', 'PairedImageDataset'])
def test_other_sets_of_basicsr_read_them_too(listed, tmp_path, kind):
    write_frame(tmp_path / 'a' / '0.png', 0)
    path = listed(b'\xef\xbb\xbfa\t1\t(16,24,3)\r\n' if kind[0] == 'V' else b'\xef\xbb\xbfa/0.png\t(16,24,3)\r\n\r\n')
    options = {'name': 'Vid4', 'type': kind, 'phase': 'val', 'meta_info_file': str(path), 'cache_data': True}
    options |= {'dataroot_gt': str(tmp_path), 'dataroot_lq': str(tmp_path), 'io_backend': {'type': 'disk'}}
    assert len(build_dataset(options | {'num_frame': -1})) == 1


@pytest.mark.parametrize('case', UNREADABLE)
def test_other_encodings_are_named_with_the_file_and_the_cure(listed, case):
    content, sentence = UNREADABLE[case]
    path = listed(content)
    for read in (read_list, read_clip_facts, lambda place: read_lines(str(place), FORM)):
        with pytest.raises(UserError, match=sentence):
            read(path)


@pytest.mark.parametrize('case', WRONG)
def test_a_line_of_another_form_is_quoted_with_its_number(listed, case):
    content, number = WRONG[case]
    path = listed(content.encode())
    for read in (read_clip_facts, lambda place: read_lines(str(place), FORM)):
        with pytest.raises(UserError) as error:
            read(path)
        wrong = content.split('\n')[number - 1]
        assert str(error.value).startswith(f'{path}, line {number} is {wrong!r}; a line looks like ')


def test_names_alone_may_have_spaces_and_brackets(listed):
    path = listed('my clip\nholiday (2)\nStraße\nclip 4\n'.encode())
    assert list(read_clip_facts(path)) == ['my clip', 'holiday (2)', 'Straße', 'clip 4']


def test_a_clip_that_is_named_twice_is_refused(listed):
    path = listed(b'a 4 (16,24,3)\n\nb 4 (16,24,3)\na 4 (16,24,3)\n')
    for read in (read_clip_facts, lambda place: read_lines(str(place), FORM)):
        with pytest.raises(UserError, match=r'list\.txt, line 4 names .*a again, after line 1; remove one'):
            read(path)


@pytest.mark.parametrize('content', [b'', b'\n\r\n', b'\xef\xbb\xbf', b'  \t\n'])
def test_an_empty_list_is_refused(listed, content):
    path = listed(content)
    with pytest.raises(UserError, match=r'list\.txt names no clip; write one folder name per line'):
        read_clip_facts(path)
    with pytest.raises(UserError, match=r'list\.txt is empty; a line looks like'):
        read_lines(str(path), FORM)


def test_basicsr_opens_files_of_any_other_module_as_ever(tmp_path):
    import basicsr.data.reds_dataset as reds
    import basicsr.utils.options as other

    assert isinstance(reds.open(__file__), io.StringIO)
    assert not hasattr(other, 'open')


def test_words_are_those_of_basicsr():
    assert plain_words(' 000\t100  ( 720, 1280 ,3 ) ') == FORM
    assert plain_words('00001/0001/') == '00001/0001'
    assert plain_words('/') == '/'
