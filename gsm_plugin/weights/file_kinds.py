"""Says what a file is that was given for weights and holds none that can be read: from its first bytes."""

import codecs
import zipfile
import zlib
from pathlib import Path

_HEAD = 2**12
_CHUNK = 2**20
_UNPACK = 'unpack it, and give the file of weights that is in it'
_EXPORT = 'give the file of weights that it was exported from'
_NOT_WEIGHTS = 'give a file of weights such as net_g_*.pth'

# What a file begins with, what it is, and the cure.
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b'version https://git-lfs', 'a pointer of Git LFS, not the file that it points to', 'get that by git lfs pull'),
    (b'\x1f\x8b', 'a gzip archive', _UNPACK),
    (b'BZh', 'a bzip2 archive', _UNPACK),
    (b'\xfd7zXZ\x00', 'an xz archive', _UNPACK),
    (b'\x28\xb5\x2f\xfd', 'a Zstandard archive', _UNPACK),
    (b'7z\xbc\xaf\x27\x1c', 'a 7z archive', _UNPACK),
    (b'Rar!', 'a RAR archive', _UNPACK),
    (b'\x89HDF\r\n', 'an HDF5 file, such as Keras writes', 'give weights of PyTorch'),
    (b'\x93NUMPY', 'an array of NumPy', 'save weights as a dictionary of tensors by torch.save'),
    (b'GGUF', 'a GGUF file of quantised weights', 'give weights of PyTorch'),
    (b'7767517', 'a network description of ncnn', _EXPORT),
    (b'ftrt', 'a TensorRT engine', _EXPORT),
    (b'\x89PNG', 'a PNG image', _NOT_WEIGHTS),
    (b'\xff\xd8\xff', 'a JPEG image', _NOT_WEIGHTS),
    (b'%PDF', 'a PDF document', _NOT_WEIGHTS),
)
# What a file in a ZIP archive ends with, what that is, and the cure.
_INSIDE_ARCHIVES = (
    ('archive_format', 'a program that torch.export saved', _EXPORT),
    ('.npy', 'a collection of arrays of NumPy', 'save weights as a dictionary of tensors by torch.save'),
)
_LOADED_BY_PICKLE = 'a Python pickle that torch.save did not write'
_AGAIN = 'get it again, whole'


def describe_file(path: Path) -> str:
    """What a file is that no reader of weights took, and what helps: "<what>; <cure>", without a full stop."""
    if path.is_dir():
        inside = sorted(str(one.name) for one in path.iterdir() if one.suffix in ('.pth', '.pt', '.safetensors'))
        return f'a folder; name a file in it, such as {inside[0] if inside else "net_g_latest.pth"}'
    size = path.stat().st_size
    with path.open('rb') as file:
        head = file.read(_HEAD)
    if not head:
        return f'empty; {_AGAIN}'
    for beginning, what, cure in _BEGINNINGS:
        if head.removeprefix(codecs.BOM_UTF8).startswith(beginning):
            return f'{what}; {cure}'
    return _archive(path, head, size) or _text(head) or _binary(head, size)


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors files do: a length of eight bytes, and a header in JSON."""
    with path.open('rb') as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b'{' and int.from_bytes(head[:8], 'little') < 2**32


def is_torchscript(path: Path) -> bool:
    """Whether a file is a program of TorchScript, which torch.load refuses to read without running it."""
    return any(name.endswith('/constants.pkl') for name in _members(path))


def is_saved_by_torch(path: Path) -> bool:
    """Whether a ZIP file is whole and of `torch.save`; neither a program of TorchScript nor one of torch.export."""
    names = _members(path)
    others = ('/constants.pkl', 'archive_format')
    return any(name.endswith('data.pkl') for name in names) and not any(name.endswith(others) for name in names)


def damaged_part(path: Path) -> str | None:
    """The first part of a ZIP file that is not what its checksum says, which PyTorch does not look at; None if whole.

    Files may be written without checksums, as zeros; other formats have none.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.CRC:
                    _read_through(archive, member)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, zlib.error) as error:
        return str(error)
    return None


def _read_through(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    with archive.open(member) as file:
        while file.read(_CHUNK):
            pass


def _archive(path: Path, head: bytes, size: int) -> str | None:
    if head[257:262] == b'ustar':
        return f'a tar archive; {_UNPACK}'
    if not head.startswith(b'PK'):
        return None
    if not zipfile.is_zipfile(path):
        return f'cut off: the end of the file is missing after {size:,} bytes; {_AGAIN}'
    names = _members(path)
    if is_torchscript(path):
        return (
            'a program of TorchScript; take its weights out, if you trust it, by '
            "torch.save(torch.jit.load(FILE, 'cpu').state_dict(), NEW_FILE)"
        )
    for ending, what, cure in _INSIDE_ARCHIVES:
        if any(name.endswith(ending) for name in names):
            return f'{what}; {cure}'
    if not names or any(name.endswith('data.pkl') for name in names):
        return f'damaged; {_AGAIN}'
    return f'a ZIP archive of other files ({names[0]}{" and others" if len(names) > 1 else ""}); {_UNPACK}'


def _members(path: Path) -> list[str]:
    """Names in a ZIP file; none where it is none, or is damaged."""
    if not zipfile.is_zipfile(path):
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return []


def _text(head: bytes) -> str | None:
    if head.startswith((b'\xff\xfe', b'\xfe\xff')):
        return f'a text in UTF-16; {_NOT_WEIGHTS}'
    # A character may be cut at the end of what was read.
    try:
        text = head.decode('utf-8-sig', errors='strict' if len(head) < _HEAD else 'ignore').strip()
    except UnicodeDecodeError:
        return None
    if not all(letter.isprintable() or letter.isspace() for letter in text):
        return None
    lower = text.lower()
    if lower.startswith(('<!doctype html', '<html', '<head', '<body')) or '<html' in lower[:400]:
        return 'a web page, as sites send it in the place of a file; open its address in a browser and get the file'
    if lower.startswith('<'):
        return f'a text in XML, such as the answer of a server that has no such file; {_NOT_WEIGHTS}'
    if '"weight_map"' in text:
        return 'the index of weights in several files; join those, and give the file that comes out'
    kind = 'JSON' if text.startswith(('{', '[')) else 'words'
    return f'a text ({kind}, which begins with {text[:40]!r}); {_NOT_WEIGHTS}'


def _binary(head: bytes, size: int) -> str:
    if head[:1] == b'\x08' and head[1] < 32 and head[2:3] in (b'\x12', b'\x1a', b'\x22', b'\x3a', b'\x42'):
        return f'a network in ONNX; {_EXPORT}'
    if head[4:8] == b'TFL3':
        return f'a network of TensorFlow Lite; {_EXPORT}'
    if head[4:8] == b'ftyp' or head.startswith(b'\x1aE\xdf\xa3') or head[8:12] == b'AVI ':
        return f'a film; {_NOT_WEIGHTS}'
    if head[:1] == b'\x80' and head[1] <= 5:
        # The number that torch.save puts before everything else, in files as they were before 1.6.
        if b'\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.' in head[:16]:
            return f'cut off or damaged ({size:,} bytes); {_AGAIN}'
        return f'{_LOADED_BY_PICKLE}; pickles run programs, so load it where you trust it, and use torch.save'
    return f'of no kind that is known (it begins with {head[:8].hex(" ")}); {_NOT_WEIGHTS}'
