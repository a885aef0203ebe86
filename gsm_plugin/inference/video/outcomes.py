"""What became of requests, and the table that says it."""

from collections.abc import Sequence
from dataclasses import dataclass

from gsm_plugin.inference.video.request import Request


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Attributes:
        request: The request.
        state: done, planned, or failed.
        text: Frames and speed, or the sentence that says what was wrong.
        report: What is known of the run, ready for JSON.
    """

    request: Request
    state: str
    text: str
    report: dict


def refused(request: Request, sentence: str) -> Outcome:
    """What becomes of a request that is refused before anything is loaded."""
    report = {'input': str(request.source), 'output': str(request.target), 'error': sentence, 'log': []}
    return Outcome(request, 'failed', sentence, report)


def table(outcomes: Sequence[Outcome]) -> str:
    """What became of all, a line each."""
    width = max(len(str(outcome.request.source)) for outcome in outcomes)
    return '\n'.join(f'{outcome.request.source!s:{width}}  {outcome.state:7}  {outcome.text}' for outcome in outcomes)
