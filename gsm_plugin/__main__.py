"""`python -m gsm_plugin` is the `basicsr` command."""

import sys

from gsm_plugin.cli.main import main

if __name__ == '__main__':
    # A spawned process imports the main module again, but not one that was started by -m; as a file it does. So
    # processes that read data have the patches too.
    sys.modules['__main__'].__spec__ = None
    main()
