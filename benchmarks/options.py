"""The command line that the benchmarks of whole servers share."""

import argparse
from pathlib import Path
from tempfile import gettempdir


def server_options(
    about: str | None,
    *,
    rounds: int,
    window_secs: float | None = None,
    clients: int | None = None,
    calls: int | None = None,
    plugins: int | None = None,
) -> argparse.Namespace:
    """Return `rounds`, `scratch`, and `window`, `clients`, `calls` and `plugins` where the benchmark has them."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument(
        "--scratch",
        type=Path,
        default=Path(gettempdir()) / "prx-benchmarks",
        help="where programs to compare with are installed, once",
    )
    if window_secs is not None:
        parser.add_argument("--window", type=float, default=window_secs, help="seconds to watch for")
    if clients is not None:
        parser.add_argument("--clients", type=int, default=clients, help="how many call at the same time")
    if calls is not None:
        parser.add_argument("--calls", type=int, default=calls, help="calls in a round")
    if plugins is not None:
        parser.add_argument("--plugins", type=int, default=plugins, help="how many are many")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    return options
