"""What a file of weights says about its network: options that shapes do not tell, as metadata."""

import json
from collections.abc import Mapping

from torch import Tensor

from gsm_plugin.errors import UserError
from gsm_plugin.weights.recognition import recognise

# They say where and how a training ran, and nothing of what its weights compute.
_OF_THE_RUN = ('cuda_graphs', 'is_train', 'drop_path_rate', 'img_size')
_OF_THE_RUN_BY_ENDING = ('_path', '_backend')


def describe_network(network_g: Mapping[str, object], weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Metadata for a file of weights, which `options_in` reads.

    Args:
        network_g: Type and arguments of the network, as in an option file.
        weights: Its own, by name. What their shapes tell is left out, since a file must not contradict itself.

    Returns:
        JSON under `network_g`: the type, and all arguments that its output depends on and no shape tells.
    """
    own = {key: value for key, value in network_g.items() if not _is_of_the_run(key)}
    try:
        found = recognise(weights)
    except UserError:
        return {'network_g': json.dumps(own)}
    kind = own.get('type')
    if found.options['type'] != kind:
        return {'network_g': json.dumps(own)}
    told = {key: value for key, value in own.items() if key not in found.options}
    return {'network_g': json.dumps({'type': kind, **found.assumed, **told})}


def options_in(metadata: Mapping[str, str]) -> dict:
    """The options of a network in what a file says about itself: JSON under `network_g`.

    Raises:
        UserError: They are no options.
    """
    try:
        options = json.loads(metadata.get('network_g', '{}'))
    except json.JSONDecodeError as error:
        raise UserError(f'The metadata network_g of the weights is no JSON ({error}); write them anew.') from error
    if not isinstance(options, dict):
        raise UserError(f'The metadata network_g of the weights is {options!r}, no options; write them anew.')
    return options


def _is_of_the_run(key: str) -> bool:
    return key in _OF_THE_RUN or 'checkpoint' in key or key.endswith(_OF_THE_RUN_BY_ENDING)
