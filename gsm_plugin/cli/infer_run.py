"""Serves `basicsr infer`: mistakes that headers tell come first, and what takes seconds to load after them."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from gsm_plugin.cli.infer_flags import check_flags, choose_weights, expected_scale, requests_of
from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.checking import check_request
from gsm_plugin.inference.video.outcomes import Outcome, refused, table
from gsm_plugin.inference.video.places import list_inputs
from gsm_plugin.inference.video.request import Request
from gsm_plugin.locks import refuse_locked


def infer(arguments: argparse.Namespace) -> int:
    """Serves all inputs.

    Returns:
        Status of the program: 1 where one of several inputs failed.

    Raises:
        UserError: A flag is wrong, or the only input failed.
        SystemExit: With 130 after Ctrl+C.
    """
    check_flags(arguments)
    sources = list_inputs(arguments.input)
    if arguments.page is not None and len(sources) > 1:
        raise UserError(f'--page {arguments.page} shows one film, but there are {len(sources)} inputs; leave it out.')
    weights = choose_weights(arguments)
    scale = expected_scale(arguments, weights)
    requests = requests_of(arguments, sources, scale)
    _refuse_one_file_for_two(arguments.report, requests)
    outcomes = _refusals(requests, scale)
    left = [source for source in sources if source not in outcomes]
    if left:
        # PyTorch, BasicSR and the network: seconds
        from gsm_plugin.cli.infer_serving import load_networks, serve

        networks = load_networks(arguments, weights)
        requests = requests_of(arguments, sources, networks[0].scale)
        wanted = [request for request in requests if request.source in left]
        outcomes |= {outcome.request.source: outcome for outcome in serve(arguments, weights, wanted, networks)}
    ordered = [outcomes[source] for source in sources]
    if arguments.report is not None:
        from gsm_plugin.inference.video.report import write_report

        write_report(arguments.report, [outcome.report for outcome in ordered])
    return _conclude(ordered, arguments.json)


def _refuse_one_file_for_two(report: Path | None, requests: Sequence[Request]) -> None:
    taken = {'-o': [one.target for one in requests], '--page': [one.page for one in requests if one.page is not None]}
    for flag, places in taken.items():
        # not by Path.resolve, which refuses links that lead in a circle; these are told of elsewhere
        if report is not None and os.path.realpath(report) in map(os.path.realpath, places):
            raise UserError(f'{report} is both {flag} and --report; give another --report.')


def _refusals(requests: Sequence[Request], scale: int | None) -> dict[Path, Outcome]:
    """What becomes of requests that cannot be served, by their inputs."""
    outcomes = {}
    for request in requests:
        try:
            refuse_locked(request.target)
            check_request(request, scale)
        except UserError as error:
            outcomes[request.source] = refused(request, str(error))
    return outcomes


def _conclude(outcomes: Sequence[Outcome], as_json: bool) -> int:
    failed = [outcome for outcome in outcomes if outcome.state == 'failed']
    if len(outcomes) == 1:
        if failed:
            raise UserError(failed[0].text)
        return 0
    if as_json:
        for outcome in outcomes:
            text = f'{outcome.request.source}: {outcome.state}, {outcome.text}'
            print(json.dumps({'event': 'note', 'text': text}), flush=True)
    else:
        print(table(outcomes))
    return 1 if failed else 0
