"""Which clamp the flash benchmark chooses on development questions."""

from benchmarks.flash.steering import choose


def arm(share, perplexity, distinct):
    return {"share": share, "near": 0.0, "perplexity": perplexity, "distinct": distinct}


BASE = arm(0.1, 5.0, 0.9)


def test_the_largest_share_within_both_bounds():
    arms = {
        "none": BASE,
        "weak": arm(0.3, 6.0, 0.9),
        "good": arm(0.7, 10.0, 0.8),
        "garbled": arm(1.0, 10.1, 0.9),
        "repeating": arm(1.0, 2.0, 0.5),
    }
    assert choose(arms) == "good"


def test_ties_go_to_the_lower_perplexity():
    assert choose({"none": BASE, "one": arm(0.5, 7.0, 0.9), "other": arm(0.5, 6.0, 0.9)}) == "other"


def test_without_a_fluent_one_the_least_disturbed():
    assert choose({"none": BASE, "one": arm(0.9, 50.0, 0.9), "other": arm(0.2, 20.0, 0.9)}) == "other"
