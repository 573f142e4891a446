"""A clock that only tests move."""


class FakeClock:
    """Takes the place of the `time` module; `sleep` moves the clock, after calling `on_sleep`."""

    def __init__(self, now=1_000_000.0):
        self.now, self.slept, self.on_sleep = now, [], lambda seconds: None

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.on_sleep(seconds)
        self.now += seconds
