"""Threads that nobody waits for: a command that gives a token, or a name server, may take its time; a stop may not."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class DetachedThreads(ThreadPoolExecutor):
    """Runs each call in a thread of its own, which ends with the process; asyncio accepts only a ThreadPoolExecutor."""

    def submit(self, call: Callable[Given, Answer], /, *given: Given.args, **named: Given.kwargs) -> Future[Answer]:
        """Begin the call."""
        future: Future[Answer] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(call(*given, **named))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits the call
                future.set_exception(error)

        Thread(target=run, name="errand", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> Any:  # noqa: FBT001, FBT002 - the interface's own signature
        """Wait for nothing."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        del wait
