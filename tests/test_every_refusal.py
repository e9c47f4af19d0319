"""What the whole suite has to reach. Runs after all other tests, and only where all of them ran."""

from pathlib import Path

import prx.plugins
from tests.support.refusals import refusals

# What no test can bring about in this process, by a part of its text, and why.
_BEYOND_TESTS = {
    "GuestError('host_error', ffi.take_error(": "the engine refuses what it never refuses",
    "f'no timer: ": "the engine refuses what it never refuses",
    "f'a handle cannot be made: ": "the engine refuses what it never refuses",
    "f'a handle cannot be read: ": "the engine refuses what it never refuses",
    "its compiled code was refused: ": "the engine refuses what it compiled a moment ago",
    "its compiler ended with status": "the kernel ends the compiler",
    "failed in the host')": "a fault of the host's own",
    "somebody removed the upload": "another process is quicker by a moment",
    "was removed while it was loaded": "another process is quicker by a moment",
    "was changed meanwhile: look at it": "another change is quicker by a moment",
    "something else is to run by now": "another change is quicker by a moment",
    "to which it was rolled back, is not kept any more": "another change is quicker by a moment",
    "not a plugin: give a .wasm or .prxplugin file": "told by the command line, in its own process",
    "its {world} calls itself": "needs a provider or a storage that is built for it",
}


def test_every_refusal_of_the_plugin_host_was_reached_by_a_test() -> None:
    places = list(refusals(Path(prx.plugins.__file__).parent))
    assert len(places) > 100
    unreached = [
        str(place)
        for place in places
        if not place.is_reached() and not any(text in place.text for text in _BEYOND_TESTS)
    ]
    assert unreached == [], "write a test, or a component or manifest for the corpus, that ends here"


def test_every_exception_is_still_in_the_source() -> None:
    texts = [place.text for place in refusals(Path(prx.plugins.__file__).parent)]
    assert [text for text in _BEYOND_TESTS if not any(text in found for found in texts)] == []
