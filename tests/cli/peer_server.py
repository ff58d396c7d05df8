"""One Python for all comparisons of a script: PyTorch and what is built on it take seconds to load. main(commands) runs the command that
sys.argv names; for `serve` it runs each line of stdin as one, and answers with what the command printed and a line 'ended N'."""

import contextlib
import io
import sys
import traceback


def answer(commands, words):
    """The exit code that the command would have as a process of its own."""
    try:
        return int(commands[words[0]](*words[1:]) or 0)
    except Exception:  # as at the end of a process: the trace, and 1
        traceback.print_exc(file=sys.stdout)
        return 1


def main(commands):
    if sys.argv[1:] != ["serve"]:
        sys.exit(answer(commands, sys.argv[1:]))
    for line in sys.stdin:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = answer(commands, line.split())
        text = printed.getvalue()
        print(text + ("\n" if text and not text.endswith("\n") else "") + f"ended {code}", flush=True)
