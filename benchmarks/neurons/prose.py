"""The sentences of docs/results/neurons.md."""

HEAD = """# What do the methods say of 30 neurons, and do they agree?

Model `{model}`. `python -m benchmarks.neurons.main`; its docstring says how (what was read is in neurons.json beside
this page).

Neurons of layers {first} to {last} are put in one random order (seed {seed}). {each} are the first of it whose
`down_proj` has a vocabulary kurtosis above {null:.2f}, which 95 % of random vectors do not reach; {readable:,} of
{neurons:,} have that. {each} more are the first of all others, whatever their weights. None was replaced. Four that are
known from elsewhere stand apart and are in no count.

Exemplars are the 16 texts on which the activation goes farthest from 0, on the side where it goes farther, of
{tokens:,} tokens of running text: {texts:,} sentences of {sources}, so that each has a label. Weights are read on the
side of that sign. How each method works: [methods](../methods.md). An interval is of the last token of a template
behind such a sentence, an exemplar of any token in it.
"""
ATTRIBUTED = """
Attributions are means of activation · gradient of the logit of the concept's token, at the last token, over {texts}
texts of each of the {concepts} {family}; the concept with the largest one is named.
"""
NOT_ATTRIBUTED = """
The atlas that was read has no attributions, so the page says nothing of them.
"""
COUNTED = """Two methods agree about a neuron where a word of one is a form of a word of the other (case, space,
singular and plural apart; decoded lists have 16 tokens of a weight). A script counts; nobody judged. Control: how many
would agree if the second method spoke of another neuron of the same group, drawn at random. p: share of {shuffles:,}
shuffles of all 30 that agree of as many. n is of how many neurons both methods say something. The words of a concept
are its name and the {words} words that its texts have most beyond all others. Two things came after a first look at the
counts: the comparisons about lowered words, and that only topics are compared, of whose sentences the exemplars are.
"""
SCORES = """The describer `tokens` writes by fixed rules. detection: balanced accuracy at telling exemplars that it was
not shown from near misses. token_change: change of the probability of the tokens that it names when the neuron is set
to its extreme. Control: the description of another neuron, on the same. Graphs are made from half of the exemplars and
measured on the others and on texts drawn at random: at which of their tokens does the neuron reach half of its largest
activation? They have no control.
"""
MATRIX = """The comparisons by their numbers above; empty where a method says nothing.
"""
