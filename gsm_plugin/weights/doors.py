"""How people name a network, by the way they came: messages speak of what they wrote, and of nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Door:
    """A way on which a network is named.

    Attributes:
        arguments: What names arguments of the network.
        of_a_type: What makes it one of a type; {} stands for the type.
        as_trained: What makes it the network that weights were trained with.
        takes_parts: What lets it take those weights that fit; empty where nothing does.
    """

    arguments: str
    of_a_type: str
    as_trained: str
    takes_parts: str = ''


OPTION_FILE = Door(
    'network_g',
    'make network_g {}',
    'make network_g the network that they were trained with',
    'set path: strict_load_g: false',
)
PYTHON = Door(
    'network={...}', "name network={{'type': {!r}}}", 'name by network={...} the arguments that they were trained with'
)
COMMAND = Door('--network', 'give --network type={}', 'name by --network the arguments that they were trained with')
