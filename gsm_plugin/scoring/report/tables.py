"""Tables of results in Markdown, aligned so that they read well in a terminal too."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class ClipScore:
    """Means over the frames of one clip, for a baseline and for the output that is compared with it.

    Attributes:
        clip: Name of the clip.
        baseline: Value of each metric for the baseline, keyed by the metric's name.
        output: The same for the output.
    """

    clip: str
    baseline: dict[str, float]
    output: dict[str, float]

    def gain(self, metric: str) -> float:
        """By how much the output is above the baseline."""
        return self.output[metric] - self.baseline[metric]


def mean_score(scores: Sequence[ClipScore]) -> ClipScore:
    """Mean over clips, every clip counting the same whatever its length.

    Raises:
        ValueError: There are no clips.
    """
    if not scores:
        raise ValueError('There are no clips to average; give at least one.')
    means = [
        {metric: fmean(getattr(score, side)[metric] for score in scores) for metric in scores[0].output}
        for side in ('baseline', 'output')
    ]
    return ClipScore('mean', *means)


def comparison_table(
    scores: Sequence[ClipScore], digits: dict[str, int], baseline: str = 'bicubic', output: str = 'GSM'
) -> str:
    """Makes a table with a row per clip and their mean: for each metric the baseline, the output and the gain.

    Args:
        scores: One per clip.
        digits: The metrics to show, in order, each with its number of decimals.
        baseline: Heading of the baseline.
        output: Heading of the output.

    Returns:
        Lines of Markdown that end with a newline.
    """
    header = ['clip', *(f'{metric} {name}' for metric in digits for name in (baseline, output, 'gain'))]
    rows = [[score.clip, *_cells(score, digits)] for score in (*scores, mean_score(scores))]
    return markdown_table(header, rows)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligns cells to a Markdown table: the first column to the left, the others to the right.

    Raises:
        ValueError: A row has another number of cells than the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f'The row {list(row)} has {len(row)} cells, the header {len(header)}; give as many.')
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ['-' * widths[0], *('-' * (width - 1) + ':' for width in widths[1:])]
    lines = [
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in (header, rule, *rows)
    ]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def _cells(score: ClipScore, digits: dict[str, int]) -> list[str]:
    return [
        text
        for metric, places in digits.items()
        for text in (
            f'{score.baseline[metric]:.{places}f}',
            f'{score.output[metric]:.{places}f}',
            f'{score.gain(metric):+.{places}f}',
        )
    ]
