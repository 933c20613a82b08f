"""Listens to a growing WAV file (8 kHz, 16 bit, mono) and tells what can be heard at its end.

Each party of a test says a tone of its own, so that "hears 700" means: RTP of that party arrived and was decoded.
"""

import array
import math
import pathlib
import threading
import time

WINDOW = 160  # Samples of 20 ms; every tone below fills it with whole waves.
TONES_HZ = (700, 1100, 1500)
TONE_WINDOWS = 5  # A tone counts after 100 ms,
SILENT_WINDOWS = 25  # silence after half a second: a late packet is none.
HEADER_BYTES = 44
PAUSE_S = 0.02


def what_sounds(window):
    """A tone in Hz, 0 for silence, -1 for anything else."""
    energy = sum(sample * sample for sample in window)
    if energy < len(window) * 100 * 100:
        return 0
    for hz in TONES_HZ:
        factor = 2 * math.cos(2 * math.pi * hz / 8000)
        before, last = 0.0, 0.0
        for sample in window:
            before, last = last, sample + factor * last - before
        power = before * before + last * last - factor * before * last
        if 2 * power / (len(window) * energy) > 0.7:
            return hz
    return -1


def whole_windows(path, place):
    length = max(0, path.stat().st_size - place) // (2 * WINDOW) * 2 * WINDOW
    with path.open("rb") as file:
        file.seek(place)
        return file.read(length)


class Ear(threading.Thread):
    """Follows the newest file that `pattern` names in `folder`; a file that does not grow is silent."""

    def __init__(self, folder, pattern, tell):
        super().__init__(daemon=True)
        self.folder, self.pattern, self.tell = pathlib.Path(folder), pattern, tell
        self.told, self.candidate, self.count = 0, 0, 0

    def run(self):
        path, place, grown_at = None, HEADER_BYTES, time.monotonic()
        while True:
            newest = max(self.folder.glob(self.pattern), key=lambda one: one.stat().st_mtime_ns, default=None)
            if newest != path:
                path, place = newest, HEADER_BYTES
            octets = b"" if path is None else whole_windows(path, place)
            place += len(octets)
            samples = array.array("h", octets)
            for first in range(0, len(samples), WINDOW):
                self.sounded(what_sounds(samples[first : first + WINDOW]))
            if octets:
                grown_at = time.monotonic()
            elif time.monotonic() - grown_at > SILENT_WINDOWS * PAUSE_S:
                self.change(0)
            time.sleep(PAUSE_S)

    def sounded(self, sound):
        if sound != self.candidate:
            self.candidate, self.count = sound, 0
        self.count += 1
        if self.count >= (TONE_WINDOWS if sound else SILENT_WINDOWS):
            self.change(sound)

    def change(self, sound):
        if sound != self.told:
            self.told = sound
            self.tell("hears", sound)
