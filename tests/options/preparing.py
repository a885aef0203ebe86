"""Reads and checks an option file as a command does."""

import argparse

from gsm_plugin.pipelines.preparing import prepare_options
from tests import tiny_project


def prepare(project, options, *forced, is_train=True):
    file = tiny_project.write_options(project / 'options.yml', options)
    arguments = argparse.Namespace(
        opt=str(file), force_yml=list(forced), launcher='none', auto_resume=False, debug=False
    )
    return prepare_options(arguments, str(project), is_train)
