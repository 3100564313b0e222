"""What ends a run that was well configured, and is told in one line."""


class RunFault(RuntimeError):
    """Something went wrong while a run went on; the message says what, where and what to do.

    The command line prints it without a traceback and exits with 1.
    """


class NonFiniteError(RunFault):
    """A loss, a gradient, a priority or a value was not finite; the weights never saw it."""


class DamagedCheckpoint(ValueError):
    """A checkpoint is damaged or another file."""


def first_line(error: BaseException) -> str:
    """Return the first line that an error says, the name of its class where it says nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)
