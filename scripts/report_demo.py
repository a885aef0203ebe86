"""Compares the demo's tested network with bicubic: a table, a picture, and exit status 1 where bicubic is better."""

import argparse
import sys
from pathlib import Path

from gsm_plugin.demo.report import METRIC_DIGITS, DemoResults, draw_demo, score_demo
from gsm_plugin.scoring.report.tables import comparison_table


def main() -> int:
    args = _parse()
    table_path, picture_path = args.results / 'table.md', args.results / 'comparison.png'
    try:
        images = args.results / 'visualization' / args.name
        results = DemoResults(args.data, images, args.suffix or args.results.name)
        scores = score_demo(results)
        table = comparison_table(scores, METRIC_DIGITS)
        table_path.write_text(table, encoding='utf-8')
        draw_demo(results, picture_path)
    except (OSError, ValueError) as error:
        print(f'report_demo: {error}', file=sys.stderr)
        return 2
    print(f'{table}\nTable: {table_path}\nPicture: {picture_path}')
    behind = [score.clip for score in scores if not score.gain('PSNR') > 0]
    if behind:
        print(f'report_demo: GSM does not beat bicubic on {", ".join(behind)}; train it longer.', file=sys.stderr)
    return 1 if behind else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--results', type=Path, default=Path('results/test_gsm_demo'), help='results of the test')
    parser.add_argument('--name', default='demo', help='name of the tested dataset')
    parser.add_argument('--data', type=Path, default=Path('datasets/demo/test'), help='folder with LQ and GT')
    parser.add_argument('--suffix', help='behind the frame in names of saved images; the name of results by default')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
