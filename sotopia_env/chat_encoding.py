"""Chats as token ids, with exact bookkeeping: which tokens an agent wrote, and in which of its turns.

A chat template is rendered once per pattern of roles, with a sentinel in place of every content. The text between the
sentinels is tokenised with special tokens allowed, contents without, and own turns whose sampled ids are known are
inserted as those ids. So no utterance can smuggle in a control token, own turns are never re-tokenised, and the
sequence of one turn is a prefix of the next one's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from jinja2 import TemplateError

_SENTINEL = re.compile("\ue000(\\d+)\ue001")


class ChatTemplateError(ValueError):
    """A chat template that cannot be used for exact bookkeeping; the message names the remedy."""


@dataclass(frozen=True)
class Encoded:
    """A chat as tokens.

    Args:
        ids: L token ids.
        own_mask: L numbers, 1 on the tokens of own (assistant) turns, their end-of-turn token included. A sampled
            turn that was cut before its end-of-turn token gets one from the template, which is not counted as own.
        own_index: L numbers: which own turn a token belongs to (0, 1, ...), -1 elsewhere.
    """

    ids: list[int]
    own_mask: list[int]
    own_index: list[int]


Pieces = tuple[tuple[int, ...], ...]
"""The template's own tokens around n contents: piece i stands before content i, piece n after all of them."""


class ChatEncoder:
    """Encodes chats with a tokenizer's chat template.

    Args:
        tokenizer: any ``transformers`` tokenizer with a chat template.
        template_options: passed to the template, such as ``{"enable_thinking": False}``.
        append_only: refuse a template that rewrites earlier messages, so that the tokens of one turn begin those of the
            next; ``False`` takes it as it is.

    Raises:
        ChatTemplateError: there is no template, it cannot be rendered, or it names no end of a turn.
    """

    def __init__(
        self, tokenizer: Any, template_options: Mapping[str, Any] | None = None, *, append_only: bool = True
    ) -> None:
        if not tokenizer.chat_template:
            raise ChatTemplateError(
                f"the tokenizer {tokenizer.name_or_path!r} has no chat template; load it with load_model, which adds "
                "a plain one, or set tokenizer.chat_template"
            )
        self.tokenizer = tokenizer
        self._options = dict(template_options or {})
        self._append_only = append_only
        self._control_ids, self._control_pattern = self._find_control_tokens()
        self.has_system_role = self._places_system_first()
        self.end_of_turn_id = self._find_end_of_turn()
        # Bound to the instance, so that the caches are freed together with it.
        self._content_ids = lru_cache(maxsize=65_536)(self._encode_content)
        self._pieces = lru_cache(maxsize=4_096)(self._build_pieces)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied as its arguments: caches stay behind."""
        return partial(type(self), self.tokenizer, self._options, append_only=self._append_only), ()

    def encode(
        self,
        messages: Sequence[Mapping[str, str]],
        own_ids: Sequence[Sequence[int] | None] | None = None,
        add_generation_prompt: bool = True,
    ) -> Encoded:
        """The tokens of a chat.

        Args:
            messages: ``{"role", "content"}`` each, the agent's own turns with the role ``assistant``.
            own_ids: for each assistant message the ids that were sampled, or ``None`` to tokenise its text.
            add_generation_prompt: whether to end where the next own turn begins.

        Raises:
            ChatTemplateError: the template refuses these roles, or rewrites earlier messages.
        """
        if not self.has_system_role:
            messages = _system_into_user(messages)
        roles = tuple(message["role"] for message in messages)
        if own_ids is not None and len(own_ids) != roles.count("assistant"):
            raise ValueError(f"own_ids has {len(own_ids)} entries for {roles.count('assistant')} assistant messages")
        around = self._pieces(roles, add_generation_prompt)
        ids = list(around[0])
        spans: list[tuple[int, int]] = []
        for position, message in enumerate(messages):
            following = around[position + 1]
            if message["role"] != "assistant":
                ids += self._content_ids(message["content"])
                ids += following
                continue
            sampled = None if own_ids is None else own_ids[len(spans)]
            start = len(ids)
            if sampled is None:
                ids += self._content_ids(message["content"])
                # The end-of-turn token is part of what is to be learnt, so the span reaches over it.
                spans.append((start, len(ids) + 1))
                ids += following
            else:
                ids += sampled
                spans.append((start, len(ids)))
                ended = len(sampled) > 0 and sampled[-1] == following[0]
                ids += following[1:] if ended else following
        own_mask, own_index = [0] * len(ids), [-1] * len(ids)
        for index, (start, stop) in enumerate(spans):
            own_mask[start:stop] = [1] * (stop - start)
            own_index[start:stop] = [index] * (stop - start)
        return Encoded(ids, own_mask, own_index)

    def encode_turns(self, messages: Sequence[Mapping[str, str]]) -> Encoded:
        """The tokens of a chat up to the end of its last own turn; without one, up to where the first would begin.

        Args:
            messages: as :meth:`encode` takes them.
        """
        last = max((i for i, message in enumerate(messages) if message["role"] == "assistant"), default=None)
        if last is None:
            return self.encode(messages)
        encoded = self.encode(messages[: last + 1], add_generation_prompt=False)
        # What a template writes behind the last own turn is nobody's.
        length = len(encoded.ids) - encoded.own_mask[::-1].index(1)
        return Encoded(encoded.ids[:length], encoded.own_mask[:length], encoded.own_index[:length])

    def _apply_template(self, chat: list[dict[str, str]], add_generation_prompt: bool) -> str:
        try:
            text = self.tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=add_generation_prompt, **self._options
            )
        except (TemplateError, ValueError, TypeError) as error:
            roles = ", ".join(message["role"] for message in chat)
            raise ChatTemplateError(
                f"the chat template of {self.tokenizer.name_or_path!r} refuses the roles {roles}: {error}"
            ) from error
        return str(text)

    def _render(self, roles: Sequence[str], add_generation_prompt: bool) -> list[str]:
        """The template's text before, between and after the contents: one more piece than roles."""
        chat = [{"role": role, "content": f"\ue000{index}\ue001"} for index, role in enumerate(roles)]
        pieces = _SENTINEL.split(self._apply_template(chat, add_generation_prompt))
        if [int(index) for index in pieces[1::2]] != list(range(len(roles))):
            raise ChatTemplateError(self._rewriting(f"drops, repeats or moves a message of {', '.join(roles)}"))
        return pieces[::2]

    def _renders(self, *roles: str) -> bool:
        try:
            self._render(roles, True)
        except ChatTemplateError:
            return False
        return True

    def _build_pieces(self, roles: tuple[str, ...], add_generation_prompt: bool) -> Pieces:
        rendered = self._render(roles, add_generation_prompt)
        own = [index for index, role in enumerate(roles) if role == "assistant"]
        multi_turn = bool(own) and (own[0] < len(roles) - 1 or add_generation_prompt)
        if multi_turn and self._append_only:
            self._check_keeps_contents()
        pieces = list(rendered)
        for index in own:
            *earlier, prompt = self._render(roles[:index], True)
            if multi_turn and (earlier != rendered[:index] or prompt.strip() != rendered[index].strip()):
                if self._append_only:
                    raise ChatTemplateError(self._rewriting("changes its text around earlier messages"))
                continue
            # Some templates write a space before a stored turn, but none where a turn is to be generated. What the
            # model saw when it wrote the turn is what counts.
            pieces[index] = prompt
        around = [self._template_ids(piece) for piece in pieces]
        for index in own:
            if around[index + 1][:1] != (self.end_of_turn_id,):
                around[index + 1] = (self.end_of_turn_id, *around[index + 1])
        return tuple(around)

    def _check_keeps_contents(self) -> None:
        """Refuse templates that cut the reasoning out of earlier turns: what was sampled would be gone."""
        kept = "\ue0020\ue003"
        chat = [
            {"role": "user", "content": "\ue0000\ue001"},
            {"role": "assistant", "content": f"<think>\n{kept}\n</think>\n\n\ue0001\ue001"},
            {"role": "user", "content": "\ue0002\ue001"},
        ]
        if kept not in self._apply_template(chat, True):
            raise ChatTemplateError(self._rewriting("drops the reasoning of earlier turns"))

    def _rewriting(self, what: str) -> str:
        return (
            f"the chat template of {self.tokenizer.name_or_path!r} {what}, so a dialogue of several turns cannot be "
            "kept as one sequence of sampled tokens; pass load_model(..., chat_template=...) an append-only one"
        )

    def _places_system_first(self) -> bool:
        """Whether the template has a system role, and keeps it in front as the dialogue goes on."""
        if self._renders("system", "user", "assistant", "user"):
            return True
        # A template for single turns refuses the rest of the dialogue too: then the first two roles decide.
        return not self._renders("user", "assistant", "user") and self._renders("system", "user")

    def _find_end_of_turn(self) -> int:
        try:
            after_own_turn = self._template_ids(self._render(("user", "assistant"), False)[-1])
        except ChatTemplateError:
            after_own_turn = ()
        if after_own_turn and after_own_turn[0] in self._control_ids:
            return after_own_turn[0]
        if self.tokenizer.eos_token_id is None:
            raise ChatTemplateError(
                f"neither the chat template of {self.tokenizer.name_or_path!r} nor its eos_token ends a turn; "
                "set tokenizer.eos_token"
            )
        return int(self.tokenizer.eos_token_id)

    def _template_ids(self, piece: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(piece, add_special_tokens=False)) if piece else ()

    def _find_control_tokens(self) -> tuple[frozenset[int], re.Pattern[str]]:
        """Tokens that only the template may write: special ones, and added ones that stand in the template."""
        template = str(self.tokenizer.chat_template)
        control = {
            int(index): str(self.tokenizer.convert_ids_to_tokens(index)) for index in self.tokenizer.all_special_ids
        }
        for index, token in self.tokenizer.added_tokens_decoder.items():
            if token.special or (token.content in template and not token.content.isspace()):
                control[int(index)] = token.content
        longest_first = sorted(control.values(), key=len, reverse=True)
        return frozenset(control), re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def _encode_content(self, text: str) -> tuple[int, ...]:
        """The tokens of a content, none of them a control token."""
        ids = self._plain_ids(text)
        if self._control_ids.isdisjoint(ids):
            return ids
        # `split_special_tokens` leaves added tokens that are not special. None survives a cut after its first letter.
        ids = tuple(index for part in _cut(text, self._control_pattern) for index in self._plain_ids(part))
        if not self._control_ids.isdisjoint(ids):
            raise ChatTemplateError(
                f"the tokenizer {self.tokenizer.name_or_path!r} makes control tokens of the plain text {text[:80]!r}; "
                "use a fast tokenizer"
            )
        return ids

    def _plain_ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


def _cut(text: str, pattern: re.Pattern[str]) -> Iterator[str]:
    start = 0
    for match in pattern.finditer(text):
        yield text[start : match.start() + 1]
        start = match.start() + 1
    yield text[start:]


def _system_into_user(messages: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The same chat for templates without a system role: its text opens the first user message."""
    if not messages or messages[0]["role"] != "system":
        return list(messages)
    system, *rest = messages
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system["content"]}, *rest]
    return [{"role": "user", "content": f"{system['content']}\n\n{rest[0]['content']}"}, *rest[1:]]
