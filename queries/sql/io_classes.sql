-- How many neurons each IO class has, most first.
SELECT io_class, count(*) AS neurons, count(*) / sum(count(*)) OVER () AS share
FROM _neuron_fact WHERE io_class IS NOT NULL GROUP BY io_class ORDER BY neurons DESC, io_class;
