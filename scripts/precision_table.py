"""Writes the tables of precisions into docs/architecture.md: `python scripts/precision_table.py`."""

import argparse
import re
import sys
from pathlib import Path

from gsm_plugin.studies.precision.table import precision_tables

PAGE = Path(__file__).parents[1] / 'docs/architecture.md'
BLOCK = re.compile(r'(<!-- precision -->\n)(.*?)(<!-- /precision -->)', re.DOTALL)


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    PAGE.write_text(filled(PAGE.read_text(encoding='utf-8')), encoding='utf-8')
    return 0


def filled(page: str) -> str:
    """A page whose marked tables are those of the code."""
    return BLOCK.sub(lambda found: f'{found[1]}{precision_tables()}{found[3]}', page)


if __name__ == '__main__':
    sys.exit(main())
