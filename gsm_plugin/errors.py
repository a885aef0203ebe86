"""The error that a user can cure, as opposed to a bug."""


class UserError(ValueError):
    """A wrong option, file or call. Its text is one sentence with the offending value and the cure.

    The command prints the sentence alone and ends with status 2; anything else keeps its traceback.
    """
