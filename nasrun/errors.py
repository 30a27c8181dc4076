"""The three ways a run can be refused, each with the exit code that the command line returns."""


class NasrunError(Exception):
    """A refusal that one sentence explains: what was expected, what was found, what to do.

    It stands on one line, whatever the libraries say whose words it quotes.
    """

    exit_code = 1

    def __init__(self, sentence: str) -> None:
        super().__init__(" ".join(filter(None, map(str.strip, sentence.splitlines()))))


class ConfigError(NasrunError):
    """The request is at fault: an option, a type, a value, or a combination of them."""

    exit_code = 2


class UnsupportedError(NasrunError):
    """The request is sound, but this component cannot serve it."""

    exit_code = 2


class DataError(NasrunError):
    """A file or a folder is at fault: missing, truncated, tampered with, or of another format."""

    exit_code = 1
