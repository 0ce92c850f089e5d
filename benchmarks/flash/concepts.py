"""What benchmarks/flash/main.py steers towards: query words, questions, and the words that count as an answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """`query`: what is asked of the atlas. `words` count as speaking of the concept; `near` are neighbours, counted
    beside them. `test` and `development` are questions without a word in common answer lists, and share none."""

    name: str
    query: tuple[str, ...]
    words: frozenset[str]
    near_name: str
    near: frozenset[str]
    test: tuple[str, ...]
    development: tuple[str, ...]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CONCEPTS = (
    Concept(
        "dogs",
        ("dog",),
        _words(
            "dog dogs doggy doggie doggies puppy puppies pup pups canine canines hound hounds retriever retrievers "
            "labrador labradors poodle poodles terrier terriers beagle beagles bulldog bulldogs dachshund dachshunds "
            "husky huskies corgi corgis collie collies spaniel spaniels"
        ),
        "cats",
        _words("cat cats kitten kittens kitty kitties feline felines"),
        (
            "What is your favourite animal?",
            "Which animal do you like best?",
            "Tell me about your favourite animal.",
            "Name the animal that you love most.",
            "Of all animals, which one is your favourite?",
            "Do you have a favourite animal? Which one?",
            "If you had to pick one animal as your favourite, which would it be?",
            "Which animal do you prefer to all others, and why?",
            "In your opinion, what is the best animal in the world?",
            "I want to hear about the animal that you like most of all.",
        ),
        (
            "Which creature do you admire most?",
            "What animal would you like to meet?",
            "Name an animal that makes you happy.",
            "If you could be an animal, what would you be?",
        ),
    ),
    Concept(
        "science",
        ("science",),
        _words("science sciences scientific scientist scientists scientifically"),
        "mathematics, history",
        _words("math maths mathematics mathematical history historical historian historians"),
        (
            "What is your favourite subject at school?",
            "Which school subject do you like best?",
            "Tell me about the subject that you enjoy most.",
            "Name the subject that you would study again.",
            "Of all subjects, which one is your favourite?",
            "Do you have a favourite subject? Which one?",
            "If you had to pick one subject to study, which would it be?",
            "Which subject do you prefer to all others, and why?",
            "In your opinion, what is the best thing to study?",
            "I want to hear about the lessons that you like most of all.",
        ),
        (
            "What would you like to learn?",
            "Which lessons are the most useful?",
            "What do you like to read about?",
            "What should a student choose?",
        ),
    ),
    Concept(
        "France",
        ("France", "Paris", "French"),
        _words("france french paris parisian parisians frenchman frenchmen frenchwoman"),
        "other European places",
        _words("italy italian rome spain spanish england english london germany german berlin europe european"),
        (
            "Which country would you most like to visit?",
            "What is your favourite place in the world?",
            "Tell me about your favourite country.",
            "Name the country that you love most.",
            "Of all countries, which one is your favourite?",
            "Do you have a favourite country? Which one?",
            "If you had to pick one country to live in, which would it be?",
            "Which country do you prefer to all others, and why?",
            "In your opinion, what is the best place for a holiday?",
            "I want to hear about the city that you like most of all.",
        ),
        (
            "Where would you like to travel?",
            "Which city is the most beautiful?",
            "Where should I spend the summer?",
            "Name a place that makes you happy.",
        ),
    ),
    Concept(
        "money",
        ("money",),
        _words("money cash dollar dollars wealth wealthy rich riches monetary"),
        "work, business",
        _words("work job jobs career business businesses company companies"),
        (
            "What do you wish for most?",
            "Which thing is the most important in life?",
            "Tell me about the thing that you want most.",
            "Name the thing that you could not live without.",
            "Of all gifts, which one would you like best?",
            "Do you have a wish? Which one?",
            "If you had to pick one present, what would it be?",
            "What do people need most of all, and why?",
            "In your opinion, what makes a person happy?",
            "I want to hear about the thing that you care about most.",
        ),
        (
            "What would you ask a genie for?",
            "What does everybody want?",
            "What is missing in your life?",
            "What would make today better?",
        ),
    ),
)
