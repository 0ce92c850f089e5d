"""What the product `exemplars` promises of its rows."""

from __future__ import annotations

from atlas.schema.exemplar_tables import KINDS, OCTAVES, PROBABILITIES
from atlas.schema.rule import Counted, RowRules, finite, one_of
from atlas.sites import SITES

_WIDTH = "CASE site " + " ".join(f"WHEN '{site.name}' THEN {site.width}" for site in SITES.values()) + " END"
_AT_SITE = f"layer BETWEEN 0 AND {{n_layers}} - 1 AND neuron BETWEEN 0 AND {_WIDTH} - 1"
_MOST = "CASE kind " + " ".join(f"WHEN {kind.code} THEN {kind.most}" for kind in KINDS) + " END"
_WINDOW = (
    "CASE "
    + " ".join(
        f"WHEN kind = {kind.code} THEN {'band_window' if kind.kind == 'band' else 'extreme_window'}"
        for kind in KINDS
        if kind.windowed
    )
    + " END"
)
_NEURONS = """(SELECT site, count(*) AS rows, count(DISTINCT layer) AS layers FROM _firing
               WHERE site = 'resid_post' OR NOT EXISTS (FROM expert) GROUP BY site)"""
_TOKENS, _SAMPLED = "coalesce(routed, _text_set.tokens)", "coalesce(routed_sampled, sampled)"
_OF_EXPERTS = """(SELECT site, f.layer, f.neuron, f.routed, x.expert, x.kind, x.neurons FROM _firing AS f
                  LEFT JOIN expert AS x ON x.layer = f.layer
                      AND f.neuron BETWEEN x.first_neuron AND x.first_neuron + x.neurons - 1
                  WHERE site <> 'resid_post' AND EXISTS (FROM expert))"""

EXEMPLAR_RULES: tuple[RowRules | Counted, ...] = (
    Counted("running text is read once", "SELECT greatest(count(*) - 1, 0) FROM _text_set"),
    Counted("the running text names its run", "SELECT count(*) FROM _text_set ANTI JOIN run USING (run_id)"),
    RowRules(
        "_text_set",
        {
            "the running text says how it was read": "texts > 0 AND tokens > 0 AND sampled BETWEEN 1 AND tokens "
            "AND compared BETWEEN 0 AND sampled AND correlated_from BETWEEN 0 AND 1 "
            "AND max_tokens > 0 AND seed >= 0 AND epsilon > 0 AND isfinite(epsilon) AND first_token BETWEEN 0 AND 1 "
            "AND least(extreme_window, band_window) BETWEEN 1 AND 10000 "
            "AND greatest(extreme_window, band_window) <= 10000",
        },
    ),
    RowRules(
        "_text LEFT JOIN _text_set ON true, atlas",
        {
            "texts are of the running text": "text_id BETWEEN 0 AND texts - 1 AND n_tokens BETWEEN 1 AND max_tokens "
            "AND document > 0 AND start >= 0",
            "texts have their tokens where words are stored": "CASE WHEN words THEN len(_text.tokens) = n_tokens "
            "ELSE _text.tokens IS NULL END",
            "tokens of texts are of the vocabulary": "coalesce(list_min(_text.tokens) >= 0 "
            "AND list_max(_text.tokens) < d_vocab AND len(list_filter(_text.tokens, lambda x: x IS NULL)) = 0, "
            "_text.tokens IS NULL)",
        },
    ),
    RowRules(
        "_exemplar LEFT JOIN _text_set ON true, atlas",
        {
            "exemplars are of a site": f"site IN ({one_of(SITES)})",
            "exemplars are of a neuron of their site": _AT_SITE,
            "exemplars are no more than their kind has": f"len(_exemplar.text_id) BETWEEN 1 AND {_MOST} "
            "AND len(position) = len(_exemplar.text_id) AND len(value) = len(_exemplar.text_id) "
            "AND len(list_distinct(_exemplar.text_id)) = len(_exemplar.text_id)",
            "exemplars have the windows of their kind": f"CASE WHEN ({_WINDOW}) IS NULL THEN windows IS NULL "
            f"AND scale IS NULL ELSE octet_length(windows) = len(value) * ({_WINDOW}) AND scale >= 0 "
            "AND isfinite(scale) END",
            "values of exemplars are finite and in order": "isfinite(list_sum(value::DOUBLE[])) "
            "AND len(list_filter(value, lambda x: x IS NULL)) = 0 "
            # They are compared to 17 significant bits (builders/exemplars/lists.py).
            "AND coalesce(list_bool_and(list_transform(range(2, len(value) + 1), lambda i: CASE kind "
            "WHEN 1 THEN value[i - 1] - value[i] WHEN 2 THEN value[i] - value[i - 1] ELSE 0 END "
            ">= -3e-5 * abs(value[i]))), true)",
        },
    ),
    Counted(
        "exemplars are at a token of a text that is there",
        """SELECT count(*) FROM (SELECT unnest(text_id) AS text_id, unnest(position) AS position FROM _exemplar)
           LEFT JOIN _text USING (text_id) WHERE (position BETWEEN 0 AND n_tokens - 1) IS NOT TRUE""",
    ),
    RowRules(
        "_firing LEFT JOIN _text_set ON true, atlas",
        {
            "firing is of a site": f"site IN ({one_of(SITES)})",
            "firing is of a neuron of its site": _AT_SITE,
            "firing is finite": f"{finite('mean', 'std')} AND std >= 0 "
            "AND coalesce(position_correlation BETWEEN -1.000001 AND 1.000001, true)",
            "firing counts within its tokens": "least(positive, beyond) >= 0 "
            f"AND greatest(positive, beyond) <= {_TOKENS} "
            f"AND coalesce(list_min(quadrants) >= 0 AND list_sum(quadrants) = {_TOKENS}, quadrants IS NULL)",
            "firing of experts counts tokens of the running text": "coalesce(routed_sampled BETWEEN 1 AND routed "
            "AND routed <= _text_set.tokens, routed IS NULL AND routed_sampled IS NULL)",
            "quantiles rise": f"isfinite(list_sum(quantiles::DOUBLE[])) "
            f"AND list_sort(quantiles::FLOAT[]) = quantiles::FLOAT[] AND len(quantiles) = {len(PROBABILITIES)} "
            "AND mean >= quantiles[1] - 1e-3 * abs(quantiles[1]) "
            f"AND mean <= quantiles[{len(PROBABILITIES)}] + 1e-3 * abs(quantiles[{len(PROBABILITIES)}])",
            "histograms of firing count its sample": f"list_min(histogram) >= 0 AND len(histogram) = {2 * OCTAVES} "
            f"AND list_sum(histogram) = {_SAMPLED}",
        },
    ),
    Counted(
        "firing is of all neurons of its layers",
        f"SELECT count(*) FROM {_NEURONS}, atlas WHERE rows <> layers * ({_WIDTH})",
    ),
    Counted(
        "firing is of all neurons of an expert or none, and has counts of its own where tokens are routed to it",
        f"""SELECT count(*) FROM (SELECT count(*) AS rows, count(DISTINCT routed) AS counts,
                                         any_value(neurons) AS due, any_value(kind) AS kind, count(routed) AS own
                                  FROM {_OF_EXPERTS} GROUP BY site, layer, expert)
            WHERE (rows = due AND CASE kind WHEN 'routed' THEN counts = 1 AND own = rows ELSE own = 0 END)
                  IS NOT TRUE""",
    ),
    RowRules(
        "_correlated, atlas",
        {
            "correlated neurons are of a neuron of their site": f"site IN ({one_of(SITES)}) AND {_AT_SITE} "
            "AND group_id >= 0",
        },
    ),
    Counted(
        "correlated neurons have firing",
        "SELECT count(*) FROM _correlated ANTI JOIN _firing USING (site, layer, neuron)",
    ),
    Counted(
        "a correlated group has two neurons or more",
        "SELECT count(*) FROM (SELECT site, group_id FROM _correlated GROUP BY ALL HAVING count(*) < 2)",
    ),
    Counted(
        "neurons with exemplars have firing",
        """SELECT count(*) FROM (SELECT DISTINCT site, layer, neuron FROM _exemplar)
           ANTI JOIN _firing USING (site, layer, neuron)""",
    ),
    Counted(
        "tokens are counted once, and only where words are stored",
        """SELECT count(*) FROM token_count LEFT JOIN _text_set ON true, atlas
           WHERE (words AND n > 0 AND token_id BETWEEN 0 AND d_vocab - 1) IS NOT TRUE""",
    ),
)
