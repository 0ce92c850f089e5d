-- All embedded descriptions.
SELECT layer, neuron, side = 'output' AS output, sign::INTEGER AS sign, vector FROM _embedding;
