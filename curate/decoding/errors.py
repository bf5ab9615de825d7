"""Why a coded frame gave no pixels."""

from __future__ import annotations


class UndecodableError(Exception):
    """No decoder that is installed reads these pixels; `reason` is the kind of error, never a value."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the pixels cannot be decoded")
        self.reason = reason


class DecoderDiedError(UndecodableError):
    """Decoding it ended the decoder's process, twice: by a signal, or at its limit of time or memory."""
