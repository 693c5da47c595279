"""What a server takes of what the API allows: found out by asking once more in another form, and remembered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sotopia_env.agents.endpoint.replies import Failure
from sotopia_env.chat_encoding import system_into_user

_NO_SYSTEM = re.compile(r"system[ _]?(role|message|prompt)|role\W{0,8}system|roles must alternate", re.IGNORECASE)
_NO_SCHEMA = re.compile("response_format|json_schema|json_object|grammar")
_SCHEMA = "response_format"


class Form(NamedTuple):
    """In which form a chat goes out.

    Args:
        folds_system: the system text opens the first user message.
        schema_in_object: a schema stands in ``{"type": "json_object", "schema": ...}``, as llama-cpp-python wants it.
    """

    folds_system: bool = False
    schema_in_object: bool = False

    def messages(self, messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
        """A chat in this form."""
        chat = system_into_user(messages) if self.folds_system else messages
        return [dict(message) for message in chat]

    def body(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The other fields of a request in this form."""
        body = dict(parameters)
        if self.schema_in_object and _has_schema(body):
            body[_SCHEMA] = {"type": "json_object", "schema": body[_SCHEMA]["json_schema"]["schema"]}
        return body


_USUAL = Form()


@dataclass
class Dialect:
    """What is known of a server so far.

    Args:
        form: in which requests go out.
        proven_schema: whether a request with a schema was answered in that form.
        opens_thoughts: whether its chat template begins the model's thoughts, so that replies only close them.
    """

    form: Form = _USUAL
    proven_schema: bool = False
    opens_thoughts: bool = False

    def learn(self, form: Form, parameters: Mapping[str, Any]) -> None:
        """Take down the form in which a request was answered."""
        has_schema = _has_schema(parameters)
        schema_in_object = form.schema_in_object if has_schema else self.form.schema_in_object
        self.form = Form(form.folds_system or self.form.folds_system, schema_in_object)
        self.proven_schema |= has_schema

    def another(
        self,
        failure: Failure,
        tried: Sequence[Form],
        messages: Sequence[Mapping[str, str]],
        body: Mapping[str, Any],
        *,
        again: bool,
    ) -> Form | None:
        """The form in which to ask once more; ``None`` where there is none.

        Args:
            failure: what came of the last form.
            tried: forms in which this request went out, the last one last.
            again: whether it failed before in the usual form: a fault of the server that names no schema may pass.
            messages: of the request, as they were given.
            body: its other fields, as they were given.
        """
        if failure.kind not in ("rejected", "server"):
            return None
        last, forms = tried[-1], [self.form]
        if messages and messages[0]["role"] == "system" and _NO_SYSTEM.search(failure.detail):
            forms.append(last._replace(folds_system=True))
        elif _has_schema(body) and not self.proven_schema and (again or _of_schema(failure)):
            forms.append(last._replace(schema_in_object=True))
        return next((form for form in forms if form not in tried), None)


def tried_in_words(tried: Sequence[Form]) -> str:
    """What was tried besides the usual form, for an error.

    Args:
        tried: forms in which a request went out, the usual one first.
    """
    words = []
    if any(form.folds_system for form in tried):
        words.append("the system text in the first user message")
    if any(form.schema_in_object for form in tried):
        words.append("the schema as json_schema and as json_object")
    return f"; tried {', and '.join(words)}" if words else ""


def _of_schema(failure: Failure) -> bool:
    return failure.kind == "rejected" or _NO_SCHEMA.search(failure.detail) is not None


def _has_schema(body: Mapping[str, Any]) -> bool:
    return isinstance(body.get(_SCHEMA), Mapping) and "json_schema" in body[_SCHEMA]
