"""Chats as token ids, with exact bookkeeping: which tokens an agent wrote, and in which of its turns.

A chat template is rendered once per pattern of roles, with a sentinel in place of every content. The text between the
sentinels is tokenised with special tokens allowed, contents without, and own turns whose sampled ids are known are
inserted as those ids. So no utterance can smuggle in a control token, own turns are never re-tokenised, and the
sequence of one turn is a prefix of the next one's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, Literal, NamedTuple, get_args

from jinja2 import TemplateError

from sotopia_env.text_ids import ChatTemplateError, TextIds
from sotopia_env.thoughts import closing_mark, holds_mark, without_thoughts

__all__ = ["ChatEncoder", "ChatTemplateError", "Encoded", "Thinking", "system_into_user"]

Thinking = Literal["off", "on"]
"""Whether a model thinks before it speaks."""

_SENTINEL = re.compile("\ue000(\\d+)\ue001")


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


class _Pieces(NamedTuple):
    """The template's own tokens around n contents.

    Args:
        ids: n + 1 pieces; piece i stands before content i, piece n after all of them.
        inner: n booleans, whether a content goes on with the text before it; see :meth:`TextIds.continues`.
        lead: n texts, the white space that the template leaves to the model to write before its words.
        trail: n texts, the same behind them.
    """

    ids: tuple[tuple[int, ...], ...]
    inner: tuple[bool, ...]
    lead: tuple[str, ...]
    trail: tuple[str, ...]


class ChatEncoder:
    """Encodes chats with a tokenizer's chat template.

    Args:
        tokenizer: any ``transformers`` tokenizer with a chat template.
        template_options: passed to the template.
        thinking: ``"off"`` has the model speak at once: the template is told so (``enable_thinking=False`` and its
            kin), and a thought that it opens all the same is closed unthought, in earlier turns as in the present one.
            With ``"on"`` the model thinks, and a template may drop its thoughts from earlier turns.
        append_only: refuse a template that rewrites earlier messages, so that the tokens of one turn begin those of the
            next; ``False`` takes it as it is.

    Raises:
        ChatTemplateError: there is no template, it cannot be rendered, or it names no end of a turn.
    """

    def __init__(
        self,
        tokenizer: Any,
        template_options: Mapping[str, Any] | None = None,
        *,
        thinking: Thinking = "off",
        append_only: bool = True,
    ) -> None:
        if not tokenizer.chat_template:
            raise ChatTemplateError(
                f"the tokenizer {tokenizer.name_or_path!r} has no chat template; load it with load_model, which adds "
                "a plain one, or set tokenizer.chat_template"
            )
        if thinking not in get_args(Thinking):
            raise ValueError(f"thinking is {thinking!r}; it must be 'off' or 'on'")
        self.tokenizer = tokenizer
        self.thinking = thinking
        self._options = dict(template_options or {})
        self._append_only = append_only
        self._texts = TextIds(tokenizer)
        self.has_system_role = self._places_system_first()
        self.end_of_turn_id, self.stop_ids = self._find_ends()
        # Bound to the instance, so that the cache is freed together with it.
        self._pieces = lru_cache(maxsize=4_096)(self._build_pieces)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied as its arguments: caches stay behind."""
        made = partial(type(self), self.tokenizer, self._options, thinking=self.thinking, append_only=self._append_only)
        return made, ()

    @cached_property
    def keeps_turns(self) -> bool:
        """Whether own turns stay as they were sampled: the tokens of one turn then begin those of the next."""
        try:
            self.check_turns()
        except ChatTemplateError:
            return False
        return True

    @cached_property
    def opens_thought(self) -> bool:
        """Whether the model writes on in a thought that its prompt has opened."""
        return self.thinking == "on" and closing_mark(self._render(("user",), True)[-1]) is not None

    def check_turns(self) -> None:
        """Refuse a template that cannot keep a dialogue of several turns as one sequence of sampled tokens.

        Raises:
            ChatTemplateError: it refuses such a dialogue, or rewrites earlier messages.
        """
        system = ("system",) if self.has_system_role else ()
        self._prompted((*system, "user", "assistant", "user", "assistant"), False, append_only=True)

    def decode(self, ids: Sequence[int]) -> str:
        """What the model wrote, with the marks of its thoughts: raw output, as the package reads it."""
        return self._texts.decode(ids)

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
            messages = system_into_user(messages)
        roles = tuple(message["role"] for message in messages)
        if own_ids is not None and len(own_ids) != roles.count("assistant"):
            raise ValueError(f"own_ids has {len(own_ids)} entries for {roles.count('assistant')} assistant messages")
        around, inner, lead, trail = self._pieces(roles, add_generation_prompt)
        ids = list(around[0])
        spans: list[tuple[int, int]] = []
        for position, message in enumerate(messages):
            following = around[position + 1]
            if message["role"] != "assistant":
                ids += self._texts.of_content(message["content"], inner[position])
                ids += following
                continue
            sampled = None if own_ids is None else own_ids[len(spans)]
            start = len(ids)
            if sampled is None:
                text = lead[position] + message["content"] + trail[position]
                ids += self._texts.of_content(text, inner[position])
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
        thinks = self.thinking == "on"
        options = {"enable_thinking": thinks, "thinking": thinks, **self._options}
        try:
            text = self.tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=add_generation_prompt, **options
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

    def _prompt(self, roles: Sequence[str]) -> list[str]:
        """The same up to where an own turn begins, without a thought where the model is not to think."""
        *earlier, prompt = self._render(roles, True)
        if self.thinking == "off":
            stored = self._stored(roles)
            # A stored turn stands in a channel, or behind an empty thought.
            if stored.startswith(prompt) and stored[len(prompt) :].strip():
                prompt = stored
            if (mark := closing_mark(prompt)) is not None:
                prompt = f"{prompt.rstrip()}\n\n{mark}\n\n"
        return [*earlier, prompt]

    def _stored(self, roles: Sequence[str]) -> str:
        """What stands before an own turn that was the last; nothing where the template takes none."""
        try:
            return self._render((*roles, "assistant"), False)[len(roles)]
        except ChatTemplateError:
            return ""

    def _prompted(
        self, roles: tuple[str, ...], add_generation_prompt: bool, append_only: bool
    ) -> tuple[list[str], list[str]]:
        """The template's text around contents, as the model saw it before each own turn, and what it left to write."""
        pieces = self._prompt(roles) if add_generation_prompt else self._render(roles, False)
        own = [index for index, role in enumerate(roles) if role == "assistant"]
        multi_turn = bool(own) and (own[0] < len(roles) - 1 or add_generation_prompt)
        if multi_turn and append_only and self.thinking == "on":
            self._check_keeps_thoughts()
        prompted, lead = list(pieces), [""] * len(pieces)
        for index in own:
            *earlier, prompt = self._prompt(roles[:index])
            kept = all(earlier[i] == pieces[i] for i in range(index) if i not in own)
            if multi_turn and not (kept and self._alike(prompt, pieces[index])):
                if append_only:
                    raise ChatTemplateError(self._rewriting("changes its text around earlier messages"))
                continue
            # What the model saw when it wrote the turn is what counts, and a space before a stored turn its own.
            prompted[index] = prompt
            if pieces[index].startswith(prompt) and (space := pieces[index][len(prompt) :]).isspace():
                lead[index] = space
        return prompted, lead

    def _alike(self, prompt: str, stored: str) -> bool:
        """Whether a turn was asked for as it is stored, white space and thoughts that nobody thought aside."""
        shorter, longer = sorted((prompt.strip(), stored.strip()), key=len)
        rest = longer.removeprefix(shorter).strip()
        return longer.startswith(shorter) and (not rest or (self.thinking == "off" and not without_thoughts(rest)))

    def _build_pieces(self, roles: tuple[str, ...], add_generation_prompt: bool) -> _Pieces:
        pieces, lead = self._prompted(roles, add_generation_prompt, self._append_only)
        trail = [""] * len(pieces)
        for index, role in enumerate(roles):
            if role == "assistant":
                trail[index] = self._texts.space_before_control(pieces[index + 1])
                pieces[index + 1] = pieces[index + 1].removeprefix(trail[index])
        around = [self._texts.of_template(piece, inner=i > 0) for i, piece in enumerate(pieces)]
        for index, role in enumerate(roles):
            after = around[index + 1]
            if role == "assistant" and (not after or after[0] not in self._texts.control_ids):
                around[index + 1] = (self.end_of_turn_id, *after)
        before = [piece or ("x" if i else "") for i, piece in enumerate(pieces)]
        inner = [self._texts.continues(text) for text in before[:-1]]
        return _Pieces(tuple(around), tuple(inner), tuple(lead[:-1]), tuple(trail[:-1]))

    def _check_keeps_thoughts(self) -> None:
        """Refuse templates that cut the reasoning out of earlier turns: what was sampled would be gone."""
        kept = "\ue0020\ue003"
        for thought in (f"<think>\n{kept}\n</think>\n\n", f"<|channel>thought\n{kept}<channel|>"):
            chat = [
                {"role": "user", "content": "\ue0000\ue001"},
                {"role": "assistant", "content": f"{thought}\ue0001\ue001"},
                {"role": "user", "content": "\ue0002\ue001"},
            ]
            if kept not in self._apply_template(chat, True):
                raise ChatTemplateError(self._rewriting("drops the reasoning of earlier turns"))

    def _rewriting(self, what: str) -> str:
        thinking = "thinking='off', or " if self.thinking == "on" else ""
        return (
            f"the chat template of {self.tokenizer.name_or_path!r} {what}, so a dialogue of several turns cannot be "
            f"kept as one sequence of sampled tokens; take {thinking}an append-only template (chat_template.jinja in "
            "its folder, or load_model(..., chat_template=...))"
        )

    def _places_system_first(self) -> bool:
        """Whether the template has a system role, and keeps it in front as the dialogue goes on."""
        if self._renders("system", "user", "assistant", "user"):
            return True
        # A template for single turns refuses the rest of the dialogue too: then the first two roles decide.
        return not self._renders("user", "assistant", "user") and self._renders("system", "user")

    def _find_ends(self) -> tuple[int, frozenset[int]]:
        """The token that ends a turn that goes on, and all that end a turn in the template."""
        ends = []
        for roles in (("user", "assistant", "user"), ("user", "assistant")):
            try:
                piece = self._render(roles, False)[2]
            except ChatTemplateError:
                continue
            after = self._texts.of_template(piece.removeprefix(self._texts.space_before_control(piece)))
            ends += [after[0]] if after and after[0] in self._texts.control_ids else []
        if not ends and self.tokenizer.eos_token_id is None:
            raise ChatTemplateError(
                f"neither the chat template of {self.tokenizer.name_or_path!r} nor its eos_token ends a turn; "
                "set tokenizer.eos_token"
            )
        ends = ends or [int(self.tokenizer.eos_token_id)]
        if self.thinking == "on" and self._has_channels():
            # A thought is a message of its own, with an end of its own.
            if len(set(ends)) == 1:
                raise ChatTemplateError(
                    f"the chat template of {self.tokenizer.name_or_path!r} ends thoughts and words alike; take "
                    "thinking='off'"
                )
            return ends[0], frozenset(ends[1:])
        return ends[0], frozenset(ends)

    def _has_channels(self) -> bool:
        """Whether the model itself says in which channel it writes."""
        prompt, stored = self._render(("user",), True)[-1], self._stored(("user",))
        rest = stored.removeprefix(prompt).strip()
        return stored.startswith(prompt) and bool(rest) and not holds_mark(rest)


def system_into_user(messages: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The same chat for templates and servers without a system role: its text opens the first user message."""
    if not messages or messages[0]["role"] != "system":
        return list(messages)
    system, *rest = messages
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system["content"]}, *rest]
    return [{"role": "user", "content": f"{system['content']}\n\n{rest[0]['content']}"}, *rest[1:]]
