"""How named parameters reach a kernel."""

from typing import Any


def pointers(parameters: Any) -> dict[str, Any]:
    """The arguments `p_<name>` of a kernel for the fields of a named tuple."""
    return {f'p_{name}': value for name, value in parameters._asdict().items()}
