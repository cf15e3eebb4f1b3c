"""The one exception that is meant for a person."""


class UserError(Exception):
    """Bad input, parameters or surroundings.

    The message is one sentence that names the file, field or line and says what to do.
    Command lines print it without a traceback and exit with code 2.
    """
