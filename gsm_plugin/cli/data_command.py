"""`basicsr data`: checks, LMDBs, lists, clips out of videos, degraded copies."""

import argparse
from collections.abc import Callable
from pathlib import Path

from gsm_plugin.cli.data_bench import above_0, add_bench
from gsm_plugin.cli.data_preview import add_preview
from gsm_plugin.errors import UserError
from gsm_plugin.numerals import whole_number

Run = Callable[[argparse.Namespace], None]

_LIST_HELP = 'take these clips alone; lines "clip" or "clip frames (h,w,c)"'


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    text = 'check and make data sets'
    command = subparsers.add_parser('data', help=text, description=text)
    actions = command.add_subparsers(required=True, metavar='ACTION', dest='action')
    _add_check(actions)
    _add_lmdb(actions)
    _add_meta(actions)
    _add_from_video(actions)
    _add_degrade(actions)
    add_bench(actions)
    add_preview(actions)


def _add(actions: argparse._SubParsersAction, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=text)
    parser.add_argument(
        '--workers', type=_at_least(1), metavar='N', help='how many work at once (default: all processors)'
    )
    parser.set_defaults(run=lambda arguments: _run(run, arguments))
    return parser


def _run(run: Run, arguments: argparse.Namespace) -> None:
    """Ends in one sentence also where the disk is full or a folder forbidden."""
    try:
        run(arguments)
    except OSError as error:
        place = f' at {error.filename}' if error.filename else ''
        raise UserError(f'{error.strerror or error}{place}; make room or correct the path, and run again.') from error


def _at_least(lowest: int) -> Callable[[str], int]:
    def read(word: str) -> int:
        number = whole_number(word)
        if number is None or number < lowest:
            raise argparse.ArgumentTypeError(f'{word} is no whole number from {lowest} up')
        return number

    return read


def _add_check(actions: argparse._SubParsersAction) -> None:
    text = 'look for what is wrong with a data set: names, numbers, damaged and odd-sized frames, LQ against GT'
    parser = _add(actions, 'check', _check, text)
    parser.add_argument('layout', metavar='LAYOUT', help='reds, reds4, vimeo90k, vid4, udm10, or clips for any clips')
    parser.add_argument('--gt', type=Path, required=True, metavar='FOLDER', help='the clips of ground truth')
    parser.add_argument('--lq', type=Path, metavar='FOLDER', help='the clips of low resolution')
    parser.add_argument('--scale', type=_at_least(1), default=4, metavar='N', help='GT side over LQ side (default: 4)')
    parser.add_argument('--list', type=Path, metavar='FILE', help=_LIST_HELP)
    parser.add_argument(
        '--test-gt', type=Path, metavar='FOLDER', help='test clips, such as REDS4, of which no frame may be in GT'
    )


def _check(arguments: argparse.Namespace) -> None:
    from gsm_plugin.data.layouts import find_layout
    from gsm_plugin.data.tools.checking import check_dataset

    layout, where = find_layout(arguments.layout), (arguments.gt, arguments.lq)
    checked = check_dataset(
        layout, *where, arguments.scale, arguments.list, arguments.test_gt, workers=arguments.workers
    )
    print(f'{checked.clips} clips, {checked.frames} frames')
    if checked.held_out:
        print(f'{checked.clips - len(checked.held_out)} to train on, held out: {" ".join(checked.held_out)}')
    for note in checked.notes:
        print(f'Note: {note}')
    _report(checked.findings)


def _report(findings: list[str]) -> None:
    """Prints the findings and ends with 1 if there are any."""
    for finding in findings:
        print(finding)
    if findings:
        raise SystemExit(1)
    print('Nothing is wrong.')


def _add_lmdb(actions: argparse._SubParsersAction) -> None:
    text = 'make and verify LMDBs for io_backend: type: lmdb'
    group = actions.add_parser('lmdb', help=text, description=text)
    lmdb_actions = group.add_subparsers(required=True, metavar='ACTION', dest='lmdb_action')
    text = 'make an LMDB of a folder of clips; run again, it goes on where it was interrupted'
    create = _add(lmdb_actions, 'create', _create_lmdb, text)
    create.add_argument('folder', type=Path, metavar='FOLDER', help='folder of clips, at any depth')
    create.add_argument('out', type=Path, metavar='OUT.lmdb', help='the LMDB to make')
    create.add_argument('--list', type=Path, metavar='FILE', help=_LIST_HELP)
    verify = _add(lmdb_actions, 'verify', _verify_lmdb, 'read an LMDB to its last byte and compare it with its list')
    verify.add_argument('lmdb', type=Path, metavar='FOLDER.lmdb', help='the LMDB')


def _create_lmdb(arguments: argparse.Namespace) -> None:
    from gsm_plugin.data.tools.lmdb_making import make_lmdb

    made = make_lmdb(arguments.folder, arguments.out, arguments.list, arguments.workers)
    reused = f', {made.reused} of them from the interrupted run' if made.reused else ''
    print(f'{arguments.out}: {made.images} images{reused}')


def _verify_lmdb(arguments: argparse.Namespace) -> None:
    from gsm_plugin.data.tools.lmdb_verifying import verify_lmdb

    _report(verify_lmdb(arguments.lmdb, arguments.workers))


def _add_meta(actions: argparse._SubParsersAction) -> None:
    parser = _add(actions, 'meta', _meta, "write BasicSR's meta info file of a folder")
    parser.add_argument('folder', type=Path, metavar='FOLDER', help='folder of clips, at any depth, or of images')
    parser.add_argument('out', type=Path, metavar='OUT.txt', help='the file to write')
    parser.add_argument('--list', type=Path, metavar='FILE', help=_LIST_HELP)
    parser.add_argument(
        '--leave-out', nargs='+', default=(), metavar='CLIP', help='clips not to list; REDS4 and official name several'
    )
    parser.add_argument(
        '--only', nargs='+', default=(), metavar='CLIP', help='clips to list alone, such as those for validation'
    )


def _meta(arguments: argparse.Namespace) -> None:
    from gsm_plugin.data.tools.meta_info import write_meta_info

    lines = write_meta_info(
        arguments.folder,
        arguments.out,
        arguments.list,
        arguments.leave_out,
        arguments.only,
        workers=arguments.workers,
    )
    print(f'{arguments.out}, clips: {lines}')


def _add_from_video(actions: argparse._SubParsersAction) -> None:
    text = 'make clips without cuts out of videos, in the layout of REDS'
    parser = _add(actions, 'from-video', _from_video, text)
    parser.add_argument('videos', type=Path, nargs='+', metavar='VIDEO', help='video files')
    parser.add_argument('--out', type=Path, required=True, metavar='FOLDER', help='folder to make')
    for flag, lowest, default, text in (
        ('--min-frames', 1, 100, 'leave out what is shorter'),
        ('--max-frames', 1, 100, 'cut longer shots into several clips'),
        ('--multiple', 1, 4, 'cut frames to a multiple of so many pixels'),
        ('--first-number', 0, 0, 'name of the first clip'),
    ):
        help_text = f'{text} (default: {default})'
        parser.add_argument(flag, type=_at_least(lowest), default=default, metavar='N', help=help_text)
    parser.add_argument(
        '--threshold',
        type=above_0('number'),
        default=3.0,
        metavar='X',
        help='lower finds more cuts (default: 3, see docs/data.md)',
    )


def _from_video(arguments: argparse.Namespace) -> None:
    from gsm_plugin.data.layouts import REDS_HELD_OUT
    from gsm_plugin.data.tools.from_video import make_clips

    options = {
        key: getattr(arguments, key)
        for key in ('min_frames', 'max_frames', 'multiple', 'first_number', 'threshold', 'workers')
    }
    made = make_clips(arguments.videos, arguments.out, **options)
    for clip in made.clips:
        print(f'{clip.name}: frames {clip.start} to {clip.stop - 1} of {clip.video}')
    for video, (decoded, announced) in made.cut_videos.items():
        print(f'{video} announces {announced} frames but has {decoded} that can be decoded; get it again if it is cut.')
    for sentence in made.losses:
        print(sentence)
    held_out = [clip.name for clip in made.clips if clip.name in REDS_HELD_OUT['REDS4']]
    if held_out:
        print(f'With val_partition: REDS4, the REDS sets of BasicSR do not train on {" ".join(held_out)}.')
    if made.left_out:
        raise SystemExit(1)


def _add_degrade(actions: argparse._SubParsersAction) -> None:
    text = 'make LQ frames out of GT frames; run again, it goes on where it was interrupted'
    parser = _add(actions, 'degrade', _degrade, text)
    parser.add_argument('source', type=Path, metavar='SOURCE', help='folder of clips, at any depth, or a video')
    parser.add_argument('out', type=Path, metavar='OUT', help='folder to make')
    parser.add_argument(
        '--kind', required=True, metavar='NAME', help='bi (MATLAB bicubic), bd (blur and subsample), bd-duf, or real'
    )
    parser.add_argument('--scale', type=_at_least(1), default=4, metavar='N', help='GT side over LQ side (default: 4)')
    parser.add_argument(
        '--with-gt', action='store_true', help='write OUT/GT, cut to a multiple of the scale, beside OUT/LQ'
    )
    parser.add_argument('--seed', type=_at_least(0), metavar='N', help='of --kind real, which needs one')
    parser.add_argument(
        '-opt', type=Path, metavar='FILE', help='of --kind real: option file whose training set has the degradation'
    )


def _degrade(arguments: argparse.Namespace) -> None:
    from gsm_plugin.data.degradations import DEGRADATIONS
    from gsm_plugin.data.tools.degrading import degrade_clips

    if arguments.kind == 'real':
        return _degrade_really(arguments)
    if arguments.kind not in DEGRADATIONS:
        raise UserError(f'--kind is {arguments.kind!r}; take one of {", ".join(DEGRADATIONS)}, real.')
    for name in ('seed', 'opt'):
        if getattr(arguments, name) is not None:
            raise UserError(f'{name} is for --kind real, but the kind is {arguments.kind}; leave it out.')
    place, how = (arguments.source, arguments.out), (arguments.kind, arguments.scale, arguments.with_gt)
    count = degrade_clips(*place, *how, workers=arguments.workers)
    print(f'{arguments.out}: {count} frames')


def _degrade_really(arguments: argparse.Namespace) -> None:
    import gsm_plugin
    from gsm_plugin.data.tools.degrading_real import degrade_real_clips
    from gsm_plugin.pipelines.data_preview import degradation_of

    if arguments.seed is None:
        raise UserError('--kind real draws everything from a seed; give --seed N.')
    gsm_plugin.register()
    section = degradation_of(arguments.opt) if arguments.opt else {}
    place, how = (arguments.source, arguments.out), (arguments.scale, arguments.with_gt)
    count = degrade_real_clips(*place, section, arguments.seed, *how, workers=arguments.workers)
    print(f'{arguments.out}: {count} frames')
