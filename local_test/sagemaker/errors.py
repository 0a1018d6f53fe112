"""What a request is refused with, as SageMaker's clients read it."""


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
    """Refuse what AWS has and this emulator has not: it is never answered with a guess."""
    return ApiError("NotEmulated", f"{what} is not emulated; docs/emulator.md lists what is")


def invalid(message: str) -> ApiError:
    """Refuse a request whose values AWS does not accept."""
    return ApiError("ValidationException", message)
