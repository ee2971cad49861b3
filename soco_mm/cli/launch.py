"""``python -m soco_mm.cli.launch``: torchrun, which ends with a sentence.

Takes the arguments of torchrun. A signal that asks to stop goes on to the
processes, which save a checkpoint; the exit code is theirs. Where one is killed,
the others are ended. Without ``--master_port`` processes of one machine meet at a
free port, those of several at 29500.
"""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from soco_mm.errors import Stopped

# Seconds that processes have to end when another one has.
PATIENCE = 20
# Of several machines, where each has to know it: torchrun's own default.
SHARED_PORT = 29500
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


def main(arguments: list[str] | None = None) -> None:
    """Start processes and wait for them.

    Args:
        arguments (list[str], optional): Those of torchrun. Defaults to those of
            this process.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # Its log repeats, with a stack trace, what the processes have said.
    logging.getLogger('torch.distributed.elastic').setLevel(logging.CRITICAL)
    given = sys.argv[1:] if arguments is None else arguments
    options = {
        '--master-port': '0',
        '--signals-to-handle': 'SIGHUP,SIGQUIT',
        '--shutdown-timeout': f'{PATIENCE}',
    }
    known = run.get_args_parser()._option_string_actions  # not of each PyTorch
    args = run.parse_args(
        [*(f'{key}={value}' for key, value in options.items() if key in known), *given]
    )
    set_port(args)
    follow_signals()
    try:
        run.run(args)
    except ChildFailedError as error:
        sys.exit(report(error.failures))


def set_port(args: argparse.Namespace) -> None:
    """Choose the port at which processes meet, or see that the given one is free.

    Args:
        args (argparse.Namespace): Those of torchrun; a ``master_port`` of 0 is
            replaced.

    Raises:
        SystemExit: If another program uses the port, or none may be opened there.
    """
    if not args.master_port and args.nnodes != '1':
        args.master_port = SHARED_PORT
    if args.node_rank:  # the first machine opens it
        return
    with socket.socket() as opened:
        # A port that was closed a moment ago counts as free, as for PyTorch.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind(('', args.master_port))
        except OSError as error:
            print(
                f'ERROR: Port {args.master_port} cannot be opened ({error.strerror}). '
                'Set PORT to another one.',
                file=sys.stderr,
            )
            sys.exit(1)
        args.master_port = opened.getsockname()[1]


def follow_signals() -> None:
    """Call :func:`pass_on` for each signal that asks to stop.

    In a thread: Python calls no handler while torchrun waits for other nodes.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    for each in STOPPING:
        signal.signal(each, lambda *_: None)

    def follow() -> None:
        while number := os.read(read, 1):
            if number[0] in STOPPING:
                pass_on(number[0])

    threading.Thread(target=follow, daemon=True).start()


def pass_on(number: int) -> None:
    """Pass a signal on to the processes that were started.

    Where there are none, as while other nodes are awaited, it ends this process.
    """
    started = children()
    if not started:
        os._exit(128 + number)
    for pid in started:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def children() -> list[int]:
    """The processes that this one has started."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            # The name, in brackets, may hold spaces.
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def report(failures: dict) -> int:
    """Say which process failed first, unless it has said so itself.

    Args:
        failures (dict): What torchrun knows of each process that failed, by rank.

    Returns:
        int: The exit code.
    """
    codes = {each.exitcode for each in failures.values()}
    if Stopped.exit_code in codes:
        return Stopped.exit_code
    killed = [
        rank
        for rank, each in failures.items()
        if each.exitcode < 0 and each.exitcode != -signal.SIGTERM  # torchrun's own
    ]
    if not killed:
        return max(1, *(each.exitcode for each in failures.values()))
    rank = min(killed, key=lambda each: failures[each].timestamp)
    code = failures[rank].exitcode
    name = signal.Signals(-code).name
    reason = ', as the system does when memory runs out' if name == 'SIGKILL' else ''
    print(
        f'ERROR: Process {rank} was killed ({name}{reason}), and the others were '
        'ended. Continue with the same command, a training with --resume.',
        file=sys.stderr,
    )
    return 1


if __name__ == '__main__':
    main()
