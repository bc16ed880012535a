"""The provider's refusals, in Stripe's words and envelope."""

from __future__ import annotations

from typing import Any

DOCS = "https://docs.stripe.com/error-codes/"


class ApiError(Exception):
    """A refusal that becomes the reply; `extra` holds further members of the error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message, "type": kind}
        if code is not None:
            self.body |= {"code": code, "doc_url": DOCS + code.replace("_", "-")}
        if param is not None:
            self.body["param"] = param
        self.body |= extra

    @property
    def envelope(self) -> dict[str, Any]:
        """The reply's body."""
        return {"error": self.body}


def missing(param: str) -> ApiError:
    """A required parameter that was not sent."""
    return ApiError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unknown(names: list[str]) -> ApiError:
    """Parameters that the operation does not have."""
    plural = "s" if len(names) > 1 else ""
    return ApiError(f"Received unknown parameter{plural}: {', '.join(names)}", code="parameter_unknown", param=names[0])


def not_implemented(param: str) -> ApiError:
    """A parameter Stripe has and this stand-in has not: saying so beats pretending it took effect."""
    return ApiError(f"The lab's payment provider does not implement the parameter {param}.", param=param)


def no_such(kind: str, identity: str, param: str) -> ApiError:
    """An object that does not exist."""
    return ApiError(
        f"No such {kind.replace('_', ' ') if kind == 'webhook_endpoint' else kind}: '{identity}'",
        status=404,
        code="resource_missing",
        param=param,
    )


def unexpected_state(message: str, intent: dict[str, Any]) -> ApiError:
    """An operation that the intent's status does not allow."""
    return ApiError(message, code="payment_intent_unexpected_state", payment_intent=intent)
