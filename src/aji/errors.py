"""What the user can mend is told in one line, without a traceback, and the exit code is not zero."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager


EXIT_INTERRUPTED = 130
# What safetensors and torch make of the system's error.
FULL_DISK = ("No space left on device", "PytorchStreamWriter failed writing", "inline_container.cc")


class UserError(Exception):
    """A mistake in what the user gave. The message says what was found, what was expected and what to do."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after what could be saved was saved. The message says how to go on."""


def _full_disk(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error)
    return any(sign in text for sign in FULL_DISK)


@contextmanager
def report_errors() -> Iterator[None]:
    """Print a user's mistake, a full disk or Ctrl-C as one line and exit; let every other error show itself."""
    try:
        yield
    except UserError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt as error:
        print(f"\n{error}" if isinstance(error, Interrupted) else "\nInterrupted.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if not _full_disk(error):
            raise
        sys.exit(
            "Error: the disk is full. What was complete is still there; make room and give the same command again "
            "(training goes on from its last checkpoint with --resume_from_checkpoint true)."
        )
