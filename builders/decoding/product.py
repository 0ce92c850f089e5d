"""The product `decode`: the tokens that each neuron's weights raise and lower. One run; a unit per weight and layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.errors import BuildError, UsageError
from atlas.schema.table import WEIGHT
from builders.build.product import Ask, Needs, Part, Product, Replaced

if TYPE_CHECKING:
    from atlas.manifest import Manifest
    from atlas.store.reader import Atlas
    from builders.build.plan import Plan
    from builders.build.product import Work
    from builders.config import BuildConfig


class Decoding(Product):
    """Rows of `_decoding`, and of `_weight_fact` and `neuron_vector` where they are wanted."""

    name, needs, label = "decode", Needs.WEIGHTS, "decoding"
    no_experts = ""

    def wanted(self, config: BuildConfig) -> bool:
        """Unless it is switched off."""
        return config.decode

    def tables(self, config: BuildConfig) -> tuple[str, ...]:
        """The vectors too only if they are kept: those of an older build stay otherwise. Facts of weights likewise."""
        facts = ("_weight_fact",) if config.weighs else ()
        return ("_decoding", *facts, "neuron_vector") if config.keep_vectors else ("_decoding", *facts)

    def require_base(self, config: BuildConfig, atlas: Atlas) -> None:
        """One atlas has one mode and one top: UsageError if other weights' decodings, of other ones, would go.

        Of an image tower all decodings are near one state, the mean over the images of a build: they are made together.
        """
        if atlas.manifest.tower == "image" and (config.weights or config.layers):
            raise UsageError("decodings of an image tower are made all at once", "Leave --weights and --layers out.")
        if not (config.weights or config.layers) or self._alike(config, atlas.manifest):
            return
        base = atlas.manifest
        others = atlas.query("SELECT DISTINCT weight::VARCHAR, layer FROM _decoding ORDER BY ALL")[1]
        lost = [
            (weight, layer)
            for weight, layer in others
            if weight not in (config.weights or (weight,)) or layer not in (config.layers or (layer,))
        ]
        if lost:
            what = ", ".join(dict.fromkeys(weight for weight, _ in lost))
            where = f" in layer {lost[0][1]} and more" if config.layers else ""
            raise UsageError(
                f"{config.target} has decodings of {what}{where} with --top {base.top} --mode {base.decoding_mode}",
                "Give the same, or decode all weights and layers anew.",
            )

    def left_out(self, config: BuildConfig, base: Manifest) -> tuple[str, ...]:
        """All decodings if they had another mode or top; of another mode the moments of cosines go with them."""
        facts = () if base.decoding_mode == config.mode_beside(base) else ("_weight_fact",)
        return () if self._alike(config, base) else ("_decoding", *facts)

    def _alike(self, config: BuildConfig, base: Manifest) -> bool:
        return (base.top, base.decoding_mode) == (config.top, config.mode_beside(base))

    def described(self, config: BuildConfig) -> dict[str, Any]:
        """The mode."""
        return {"decoding_mode": config.mode}

    def check(self, plan: Plan) -> None:
        """Raises BuildError for more tokens than there are."""
        if plan.config.top > len(plan.tokens):
            raise BuildError(
                f"--top {plan.config.top} exceeds the vocabulary of {len(plan.tokens)} tokens", "Lower --top."
            )

    def parts(self, plan: Plan) -> list[Part]:
        """One."""
        config = plan.config
        parameters = {"weights": _weights(plan), "mode": config.mode, "top": config.top, **plan.of_layers}
        if config.mode == "linearised":
            from atlas.live.head import N_SAMPLED  # torch: only now

            images = plan.live.images
            what = "tokens"
            number = N_SAMPLED
            if images is not None:
                number, what = len(images.sample(N_SAMPLED)), "images" if images.files else "made-up images"
            parameters["linearised_at"] = f"mean of {number} {what}"
        return [Part("", parameters)]

    def units(self, plan: Plan, part: Part) -> list[str]:
        """WEIGHT/LAYER."""
        return [f"{weight}/{layer}" for weight in _weights(plan) for layer in plan.layers]

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        """The decodings of the same weights and layers."""
        return [Replaced(WEIGHT, _weights(plan), layers=plan.layers)]

    def at_once(self, plan: Plan, part: Part) -> int:
        """Some layers, where they are small beside the memory that the options allow; 0 where one takes all threads."""
        from builders.decoding.decode import at_once  # torch: only now

        return at_once(plan)

    def work(self, plan: Plan, part: Part, ids: object) -> Work:
        """Beside the model it holds copies of the unembedding in float32 and bfloat16."""
        from builders.decoding.decode import Decoder  # torch: only now

        return Decoder(plan)


def _weights(plan: Plan) -> list[str]:
    """Those that were asked for, or all that the model has."""
    return list(plan.config.weights or plan.live.weights())


PRODUCT = Decoding()
