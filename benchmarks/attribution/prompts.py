"""The twenty prompts of the benchmark, written before anything was measured on them."""

PROMPTS = (
    "The capital of France is",
    "The largest planet in our solar system is",
    "Shakespeare wrote Romeo and",
    "Water freezes at zero degrees",
    "The opposite of hot is",
    "Two plus two equals",
    "The dog chased the",
    "My favourite animal is the",
    "He went to the bank to deposit some",
    "She opened the door and saw a",
    "The football team won the",
    "The president lives in the White",
    "Bees make honey and cows give",
    "In winter the days are short and the nights are",
    "The doctor told the patient to take the",
    "Once upon a time there was a",
    "def add(a, b):\n    return a +",
    "The chemical symbol for gold is",
    "Monday, Tuesday, Wednesday,",
    "The judge sentenced the thief to five years in",
)
