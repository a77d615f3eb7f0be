"""The main function that all nodes share: one clear line for a bad configuration, exit code 0 for Ctrl-C."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import rclpy
from rclpy.exceptions import InvalidNamespaceException, InvalidNodeNameException, ParameterException
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions, install_signal_handlers

#: What a wrong configuration (arguments, parameters, files) raises while a node starts.
CONFIGURATION_ERRORS = (ValueError, OSError, ParameterException, InvalidNodeNameException, InvalidNamespaceException,
                        rclpy_implementation.RCLError, rclpy_implementation.UnknownROSArgsError)


class ManyThreadsExecutor(MultiThreadedExecutor):
    """rclpy's, which goes on when another thread destroys a publisher or a service while it sets up its wait.

    A node that is deactivated does so. rclpy looks out for subscriptions, clients, services and timers that are gone,
    but not for the events of publishers, and would end the process.
    """

    def wait_for_ready_callbacks(self, *args: Any, **kwargs: Any) -> Any:
        while True:
            try:
                return super().wait_for_ready_callbacks(*args, **kwargs)
            except rclpy_implementation.InvalidHandle:
                continue  # the next look finds only what is there


def run_node(factory: Callable[[], Node], name: str | None = None, args: Sequence[str] | None = None,
             threads: int = 1) -> int:
    """Start a node, spin it until Ctrl-C (or SIGTERM) and end it.

    Args:
        factory: makes the node, everything that a configuration can break included (files, autostart). A node may have
            a method ``close()``, called before the ROS context goes down, for its threads and files.
        name: for error messages; default: the program's name.
        args: command line; default: sys.argv.
        threads: 1 for a SingleThreadedExecutor (fastest), more for services that must answer beside a long callback.

    Returns:
        1 after a configuration error, told on stderr in one line ``name: error: ...``. After Ctrl-C or SIGTERM the
        process ends here, with exit code 0. Errors of a running node are bugs and leave with their traceback.
    """
    name = name or Path(sys.argv[0]).name
    node = executor = None
    try:
        try:
            # rclpy's own handlers take the context away at once, under a node that is being made: that can crash. Until
            # it is made, Ctrl-C is a KeyboardInterrupt between two lines of Python.
            rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
            node = factory()
        except CONFIGURATION_ERRORS as error:
            print(f"{name}: error: {_in_words(error)}", file=sys.stderr, flush=True)
            return 1
        # What a node has loaded stays: without this, each full collection looks at it again and holds up a frame.
        gc.collect()
        gc.freeze()
        # rclpy's executor of many threads spins until a callback's thread has got the GIL. With Python's 5 ms between
        # switches that took half a core and held up the C-arm's frames by up to 0.3 s; with 0.5 ms it is not seen.
        sys.setswitchinterval(0.0005)
        install_signal_handlers(SignalHandlerOptions.ALL)
        executor = SingleThreadedExecutor() if threads == 1 else ManyThreadsExecutor(num_threads=threads)
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if not interrupted():
            raise
    finally:
        # Ctrl-C in a launched session delivers SIGINT twice (terminal and launcher): the second must not break this.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            if hasattr(node, "close"):
                node.close()
            # Left to the interpreter's end, middleware that is still discovering can be torn down under its threads.
            node.destroy_node()
        shut_down()
        node = executor = None
    leave(0)


def interrupted() -> bool:
    """Whether an error is only that of Ctrl-C, which takes the ROS context away under whatever is in hand."""
    time.sleep(0.2)  # rclpy takes it away in a thread of its own
    return not rclpy.ok()


def shut_down() -> None:
    """Takes the ROS context away, if rclpy's signal thread has not done so in the same moment."""
    with suppress(rclpy_implementation.RCLError):
        rclpy.try_shutdown()


def leave(code: int) -> NoReturn:
    """Ends a node's process at once; nobody may hold the node any more.

    The interpreter's own end takes half a second of CPU where torch is loaded. Five nodes that end together need it for
    the report, on two cores, before their launcher kills them.
    """
    # What is left of the node goes with this. Otherwise others would still see it for the 20 s of its lease.
    gc.unfreeze()
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _in_words(error: Exception) -> str:
    """One line; of a file that cannot be read its name and why, without the number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}"
    return " ".join(str(error).split())
