"""What a trained network's flows are worth, and what gradients its flow network gets: `python scripts/study_flow.py`.

Each part prints a table, or draws:
- gradients: of the loss to the flows and to the flow network, of gather and scatter apart, in each precision, against
  float64; beside them central differences of the loss along a few directions.
- saw: the loss, its derivative and the photometric error over a constant shift of all flows.
- noise: mean over deviation of gradients over batches, and which frequencies of the encoding carry them.
- worth: PSNR and photometric error of clips with the flows as they are, with none, and with those of another clip.
"""

import argparse
import sys
from pathlib import Path

import torch

from gsm_plugin.archs.flow_estimation import build_spynet
from gsm_plugin.errors import UserError
from gsm_plugin.options.reading import read_options
from gsm_plugin.scoring.report.tables import markdown_table
from gsm_plugin.studies.clips import StudyClip, clip_names, read_clip
from gsm_plugin.studies.flow import gradients, noise, saw, worth
from gsm_plugin.studies.flow.subject import Subject, load_subject, training_batches
from gsm_plugin.studies.flow.warps import WARPS
from gsm_plugin.studies.networks import NAIVE, TORCH


def main() -> int:
    args = _parse()
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    if args.warp is not None:
        WARPS[args.warp]()
    try:
        subject = load_subject(read_options(str(args.opt)).get('network_g') or {}, args.weights, device)
        clips = [read_clip(args.clips, name, device, args.frames) for name in clip_names(args.clips)]
        for part in args.parts:
            PARTS[part](args, subject, clips)
    except (UserError, FileNotFoundError) as error:
        print(f'study_flow: {error}', file=sys.stderr)
        return 2
    place = torch.cuda.get_device_name() if device.type == 'cuda' else 'CPU'
    print(f'{place}, torch {torch.__version__}, {args.weights}, {", ".join(args.parts)}')
    return 0


def _gradients(args: argparse.Namespace, subject: Subject, clips: list[StudyClip]) -> None:
    clip = clips[0].middle(args.crop, args.gradient_frames)
    exact = gradients.exact_gradients(subject, clip, NAIVE if args.naive else TORCH)
    print(f'Float64, {clip.name}, crop {args.crop}: norms over those of all, cosines with all\n')
    titles = ['way', 'flows', 'flow network', 'cosine, flows', 'cosine, network']
    print(markdown_table(titles, gradients.rows_of_ways(exact)))
    precisions = ('fp32', 'bf16') if subject.device.type == 'cuda' else ('fp32',)
    print(f'Against the {"naive network" if args.naive else "torch backends"} in float64\n')
    titles = ['precision', 'graphs', 'way', 'gradient to', 'cosine', 'norm over norm']
    print(markdown_table(titles, list(gradients.rows_of_precisions(subject, clip, exact, precisions))))
    print('Derivatives of the loss along directions of the flows, by the gradient and by differences over pixels\n')
    rows = list(gradients.rows_of_differences(subject, clip, exact['all']['flows']))
    print(markdown_table(['direction', 'gradient', *gradients.STEPS], rows))


def _saw(args: argparse.Namespace, subject: Subject, clips: list[StudyClip]) -> None:
    saws = [
        saw.measure_saw(subject, clip.middle(args.saw_crop, args.gradient_frames), args.saw_steps) for clip in clips
    ]
    print('\n'.join(one.describe() for one in saws))
    saw.draw_saws(saws, args.out / 'saw.png')
    print(f'{args.out}/saw.png\n')


def _noise(args: argparse.Namespace, subject: Subject, clips: list[StudyClip]) -> None:
    batches = training_batches(
        args.train, args.batches, args.batch_size, args.gradient_frames, args.workers, subject.device
    )
    groups, waves = noise.measure_noise(subject.network(), batches, args.precision)
    print(f'Gradients over {args.batches} batches (pure noise has a ratio of {args.batches**-0.5:.3f})\n')
    titles = ['group', 'norm of the mean', 'standard deviation', 'ratio', 'without what noise adds']
    print(markdown_table(titles, groups))
    print(markdown_table(['turns a pixel', 'share of the gradient to flows', 'mean over deviation'], waves))


def _worth(args: argparse.Namespace, subject: Subject, clips: list[StudyClip]) -> None:
    first = build_spynet(str(args.spynet)).to(subject.device) if args.spynet else None
    print(markdown_table(worth.COLUMNS, worth.rows_of_worth(subject.network(), clips, first)))


PARTS = {'gradients': _gradients, 'saw': _saw, 'noise': _noise, 'worth': _worth}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('parts', nargs='+', choices=PARTS)
    parser.add_argument('--opt', type=Path, required=True, help='option file of the training, for its network_g')
    parser.add_argument('--weights', type=Path, required=True)
    parser.add_argument('--clips', type=Path, required=True, help='folder with LQ and GT, each with folders of frames')
    parser.add_argument('--train', type=Path, help='the same of training clips, for noise')
    parser.add_argument('--spynet', type=Path, help='the flow network as it was loaded, for worth')
    parser.add_argument('--warp', choices=WARPS, help='change with which the network was trained')
    parser.add_argument('--frames', type=int, default=15)
    parser.add_argument('--gradient-frames', type=int, default=7)
    parser.add_argument('--crop', type=int, default=32)
    parser.add_argument('--naive', action='store_true', help='gradients: float64 by the naive network, which is slow')
    parser.add_argument('--saw-crop', type=int, default=64)
    parser.add_argument('--saw-steps', type=int, default=16, help='of a pixel')
    parser.add_argument('--batches', type=int, default=64)
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--workers', type=int, default=8)
    parser.add_argument('--precision', default='fp32')
    parser.add_argument('--out', type=Path, default=Path('results/study_flow'))
    args = parser.parse_args()
    if 'noise' in args.parts and args.train is None:
        parser.error('noise needs --train, a folder of training clips.')
    return args


if __name__ == '__main__':
    sys.exit(main())
