-- Forms in the vocabulary that are spelled like $word.
SELECT form FROM (SELECT DISTINCT form FROM _token_form WHERE abs(length(form) - length($word)) <= 2)
ORDER BY jaro_winkler_similarity(form, lower($word)) DESC, form
LIMIT 12;
