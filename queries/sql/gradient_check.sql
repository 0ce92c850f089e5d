-- How far what gradients say of neurons that were drawn agrees with what editing them was measured to do.
SELECT f.fit_id, fit.family, site, position, sample, texts, rule, edit, k.n, pearson, spearman
FROM _gradient_fit AS f JOIN fit ON fit.fit_id = f.fit_id JOIN _gradient_check AS k ON k.fit_id = f.fit_id
ORDER BY f.fit_id, rule, edit;
