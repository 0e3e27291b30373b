from tessella.quality.timing import JobTime, busy_seconds, by_rule


def test_jobs_side_by_side_count_once_and_pauses_not_at_all():
    jobs = [JobTime("a", 100, 10, 8, 5), JobTime("a", 103, 10, 8, 7), JobTime("b", 200, 5, 4, 1)]
    assert busy_seconds(jobs) == 13 + 5
    assert busy_seconds(jobs[::-1]) == 13 + 5
    assert busy_seconds([]) == 0


def test_a_job_inside_another_adds_nothing():
    assert busy_seconds([JobTime("a", 100, 100, 1, 1), JobTime("b", 50, 10, 1, 1)]) == 100


def test_rules_stand_in_the_order_of_their_cost():
    rows = by_rule([JobTime("a", 1, 1, 1, 5), JobTime("b", 1, 1, 9, 5), JobTime("a", 1, 1, 2, 9)])
    assert [(row.rule, row.n_jobs, row.cpu_s, row.memory_mb) for row in rows] == [
        ("b", 1, 9, 5),
        ("a", 2, 3, 9),
    ]
