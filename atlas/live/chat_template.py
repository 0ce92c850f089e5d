"""A message in the chat template of a tokenizer. A template is a program of whoever made the checkpoint.

It can do nothing but make a text (jinja's sandbox), and take hours and all memory for it. So it runs in a limited
process.
"""

from __future__ import annotations

from typing import Any

from atlas.errors import ModelError
from atlas.live import limited


def in_chat_template(tokenizer: Any, prompt: str, model_id: str) -> str:
    """`prompt` as the user's only message, ending where the answer begins. Raises ModelError, also for no template."""
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(f"the tokenizer of {model_id} has no chat template, and the spec asks for one")
    try:
        request = {
            "template": tokenizer.get_chat_template(),
            "prompt": prompt,
            "tokens": {name: _plain(token) for name, token in tokenizer.special_tokens_map.items()},
        }
        text: str = limited.call(__name__, "render", request)
    except (limited.Failed, ValueError) as error:  # ValueError: several templates and no default
        raise ModelError(
            f"the chat template of {model_id} does not work: {error}",
            "Take the one of the original checkpoint, or a spec without a chat template.",
        ) from error
    return text


def _plain(token: Any) -> Any:
    return [str(one) for one in token] if isinstance(token, list | tuple) else str(token)


def render(request: dict[str, Any]) -> str:
    """The text, inside the limited process."""
    from transformers.utils.chat_template_utils import render_jinja_template

    messages = [{"role": "user", "content": request["prompt"]}]
    rendered, _ = render_jinja_template(  # type: ignore[str-unpack]  # it says str, and returns a tuple
        conversations=[messages], chat_template=request["template"], add_generation_prompt=True, **request["tokens"]
    )
    return rendered[0]
