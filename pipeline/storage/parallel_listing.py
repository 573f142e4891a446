"""Requesting the pages of a listing through several threads, in the order of their keys."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

from pipeline.storage.key_ranges import KeyRange, RangePlanner
from pipeline.storage.s3_pages import S3Object, S3Page


def list_ranges(
    planner: RangePlanner, fetch_page: Callable[[str, str], S3Page], streams: int
) -> Iterator[list[S3Object]]:
    """Yield the remaining pages of a listing in the order of their keys.

    What a request raises is raised at once, whichever range it belongs to. No request begins after that, or after the
    generator is closed; those that are under way end by themselves.

    Args:
        planner: what is listed already.
        fetch_page: returns the page that a token continues with, or that begins after a key if the token is empty.
        streams: the most requests at a time.
    """
    with closing(_Requests(planner, fetch_page)) as requests:
        requests.start(streams)
        while (page := requests.next_page()) is not None:
            yield page


class _Requests:
    """Threads that request pages, and what they share with the thread that takes them."""

    def __init__(self, planner: RangePlanner, fetch_page: Callable[[str, str], S3Page]) -> None:
        self._planner, self._fetch_page = planner, fetch_page
        self._error: BaseException | None = None
        self._is_closed = False
        lock = threading.Lock()
        self._work_changed, self._page_added = threading.Condition(lock), threading.Condition(lock)

    def start(self, streams: int) -> None:
        for number in range(streams):
            threading.Thread(target=self._request_pages, name=f"listing-{number}", daemon=True).start()

    def next_page(self) -> list[S3Object] | None:
        """Wait for the page that comes next; None at the end of the listing."""
        with self._page_added:
            while True:
                if self._error is not None:
                    raise self._error
                page = self._planner.take_page()
                self._work_changed.notify()  # there is room for another page
                if page is not None or self._planner.is_complete:
                    return page
                self._page_added.wait()

    def close(self) -> None:
        with self._work_changed:
            self._is_closed = True
            self._work_changed.notify_all()

    def _request_pages(self) -> None:
        try:
            while (key_range := self._next_request()) is not None:
                page = self._fetch_page(key_range.cursor, key_range.token)
                with self._page_added:
                    self._planner.add_page(key_range, page)
                    self._page_added.notify()
                    self._work_changed.notify()
        except BaseException as error:  # raised in the thread that takes the pages
            with self._page_added:
                self._error, self._is_closed = error, True
                self._page_added.notify()
                self._work_changed.notify_all()

    def _next_request(self) -> KeyRange | None:
        """Wait until there is a page to request; None once there will be no more."""
        with self._work_changed:
            while not self._is_closed and not self._planner.is_complete:
                if (key_range := self._planner.next_request()) is not None:
                    self._work_changed.notify()  # there may be another
                    return key_range
                self._work_changed.wait()
            return None
