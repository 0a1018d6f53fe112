"""The errors with which requests are refused, in the form that SageMaker's clients read."""


class ApiError(Exception):
    """An answer other than success: a code that clients match, a sentence, and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class StartError(Exception):
    """The emulator cannot start; the sentence names the remedy."""


def not_emulated(what: str) -> ApiError:
    """Return the refusal of something that AWS has and this emulator does not have. The emulator never answers with a guess."""
    return ApiError("NotEmulated", f"{what} is not emulated; docs/emulator.md lists what the emulator does")


def invalid(message: str) -> ApiError:
    """Return the refusal of a request whose values AWS does not accept."""
    return ApiError("ValidationException", message)
