#!/usr/bin/env bash
# A first look at the atlas of smollm2-135m; `make demo` runs it. Every command here is one to try.
set -euo pipefail
cd "$(dirname "$0")/.."
export NEURON_ATLAS="${NEURON_ATLAS:-data/atlases/smollm2-135m.duckdb}"

show() {
    printf '\n%s\n\n$ %s\n' "$1" "$2"
    eval "$2"
}

show "What is in this atlas?" "neuron-atlas info"
show "Which neurons read or write the word 'dog'?" "neuron-atlas token dog --limit 5"
show "Which neurons encode the concept 'sports', and in which range of activation?" \
    "neuron-atlas concept sports --limit 5"
show "Leakage above is the share of all other sentences that fall into the same range: a wide range holds everybody.
Which ranges are the concept's own?" "neuron-atlas concept sports --rule low_leakage --limit 5"
show "Everything about one neuron." "neuron-atlas neuron L29N808 --top 5"
show "Plain SQL, read-only and sandboxed." \
    "neuron-atlas sql \"SELECT concept, max(auc) AS best_auc FROM concept_range GROUP BY concept ORDER BY best_auc DESC\""
show "An intervention spec: zero the 3 best 'sports' neurons of the last layers, inside their ranges only." \
    "neuron-atlas spec --concept sports --rule auc --top 3 --layers 24-29 --op set=0 --range"

# Files of the tour lie beside the atlas, in a folder that git ignores.
FILES="$(dirname "$NEURON_ATLAS")"
show "A stronger one: 2000 neurons that tell sports from the other topics, edited only where their value is a sports
value (--bounds contrast), and moved far to the other side of the others' mean." \
    "neuron-atlas spec --concept sports --layers 20-29 --top 2000 --bounds contrast --op set=contrast:4 \
--positions last -o $FILES/sports.spec.json"
show "What does it do to sentences that the atlas has not seen? Baseline, the same edits without ranges, and the spec." \
    "neuron-atlas evaluate $FILES/sports.spec.json --no-store"
show "And to one sentence? --write-check notes the log-probabilities in the spec, so that others can verify theirs." \
    "neuron-atlas run $FILES/sports.spec.json --top 5 --max-new-tokens 12 --write-check \
--prompt $'She scored the winning goal in the last minute of the final.\nThis text is about'"
show "As one Python file that needs nothing but torch." \
    "neuron-atlas export $FILES/sports.spec.json --to hooks -o $FILES/sports_hooks.py --force"
