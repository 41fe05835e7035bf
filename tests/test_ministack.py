"""What we change in MiniStack: a function's log is whole, on a busy machine too."""

import queue
import threading
import time
from types import SimpleNamespace

from local import ministack


def test_a_log_is_read_to_its_end_however_late_its_lines_come() -> None:
    alive = SimpleNamespace(poll=lambda: None)
    worker = SimpleNamespace(_stderr_queue=queue.Queue(), _proc=alive)
    lines = ["{}", "the summary", ministack.END_OF_LOG, "of the next invocation"]

    def write() -> None:
        for line in lines:
            time.sleep(0.1)
            worker._stderr_queue.put(line)

    writing = threading.Thread(target=write)
    writing.start()
    assert ministack.whole_log(worker) == "{}\nthe summary"
    writing.join()


def test_the_log_of_a_function_that_died_is_what_it_wrote() -> None:
    worker = SimpleNamespace(_stderr_queue=queue.Queue(), _proc=None)
    worker._stderr_queue.put("the last words")
    assert ministack.whole_log(worker) == "the last words"
