"""One file from the internet: with a progress bar, checked, and whole or not there at all."""

from pathlib import Path

from nasrun.errors import DataError


def retrieve(url: str, digest: str, path: Path) -> Path:
    """``path``, once the file is there; it is downloaded only if it is not.

    Args:
        url: where the file comes from.
        digest: what it must be, ``sha256:...`` or ``md5:...``.
        path: where it goes.

    Raises:
        DataError: no connection, another content than expected, or a folder that is read-only.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    try:
        with _Bar(path.name) as bar:
            pooch.retrieve(
                url,
                digest,
                fname=path.name,
                path=path.parent,
                downloader=pooch.HTTPDownloader(progressbar=bar),  # pyright: ignore[reportArgumentType]
            )
    except requests.RequestException as error:
        raise DataError(
            f"cannot download {url} ({type(error).__name__}): check the connection, or get "
            f"the file elsewhere and put it at {path}"
        ) from None
    except ValueError:
        kind, _, value = digest.partition(":")
        raise DataError(
            f"what {url} sent has not the expected {kind} {value[:12]}...: try again later, and "
            "tell nasrun's authors if it stays so"
        ) from None
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None
    return path


class _Bar:
    """A progress bar in the form that pooch asks for."""

    def __init__(self, title: str) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        self._progress = Progress(*columns, transient=True)
        self._task = self._progress.add_task(title, total=None)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @property
    def total(self) -> int:
        """Bytes in all."""
        return int(self._progress.tasks[0].total or 0)

    @total.setter
    def total(self, value: int) -> None:
        self._progress.update(self._task, total=value)

    def update(self, amount: int) -> None:
        """Count bytes as done."""
        self._progress.advance(self._task, amount)

    def reset(self) -> None:
        """Begin anew."""
        self._progress.reset(self._task)

    def close(self) -> None:
        """Nothing to close: the context does it."""
