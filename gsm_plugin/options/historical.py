"""Keys that published option files have and nothing reads. They are ignored, and named once at the start of a run."""

from collections.abc import Sequence

HISTORICAL = {
    'use_static_graph': 'gradient checkpointing needs no static graph here',
    'datasets:*:use_shuffle': 'BasicSR shuffles training sets by its sampler, and no others',
    'datasets:*:interval_list': 'this data set takes neighbouring frames',
    'datasets:*:dataroot_flow': 'this data set reads no flow',
    'datasets:*:padding': 'recurrent test sets hand over whole clips',
    'val:suffix': 'this model names images by the experiment',
    'val:pbar': 'this model decides itself whether to show a bar',
}
"""Where a class does read such a key, it is a known one and not looked up here."""


def reason_to_ignore(path: Sequence[str]) -> str | None:
    """Why a key that nothing reads is no mistake, or None where it is one."""
    if len(path) == 3 and path[0] == 'datasets':
        path = ('datasets', '*', path[2])
    return HISTORICAL.get(':'.join(path))
