# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the watchdog makes of what it sees. Each story is a list of looks, a minute apart."""

import random

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.policy import (
    ANSWERED,
    ANSWERING,
    DEAF,
    DOUBTFUL,
    DOWN,
    FAILING,
    GIVEN_UP,
    HELD,
    HOUR,
    LOADING,
    RESTARTED,
    RESTING,
    SILENT,
    SLEEPING,
    UNCLEAR,
    WAKING,
    WORKING,
    Look,
    Memory,
    Settings,
    decide,
    token_is_due,
)

SETTINGS = Settings(interval=60, looks=3, load_seconds=600, stall_seconds=600, restarts_per_hour=3)
LOOKS_LIKE_ANY_OTHER = (ANSWERED, LOADING, SLEEPING, RESTING, UNCLEAR)


def look(seen, process="1 a", work=()):
    return Look(process, seen, loaded=seen not in (DOWN, LOADING, SILENT), work=tuple(work))


READY = look(ANSWERED)
QUIET = look(SILENT)


def follow(looks, memory=None, settings=SETTINGS, began=1_000_000.0):
    """(the states one after another, the number of the look at each restart, the last memory)"""
    memory, states, restarts = memory or Memory(), [], []
    for number, seen in enumerate(looks):
        memory, restart = decide(memory, seen, began + number * settings.interval, settings)
        states.append(memory.state)
        restarts += [number] if restart else []
        assert restart == (memory.state == RESTARTED)
    return states, restarts, memory


def working(*tokens, task=7, prompt=8):
    """Looks at a slot that has generated so many tokens."""
    return [look(WORKING, work=[(task, prompt, count)]) for count in tokens]


# Wedged


def test_the_third_silent_look_in_a_row_is_one_too_many():
    states, restarts, memory = follow([READY, QUIET, QUIET, QUIET])
    assert states == [ANSWERING, DOUBTFUL, DOUBTFUL, RESTARTED]
    assert restarts == [3]
    assert memory.alive == 1_000_000.0


def test_a_sign_of_life_begins_the_count_anew():
    _states, restarts, _memory = follow([READY, QUIET, QUIET, READY, QUIET, QUIET, *working(1), QUIET, QUIET])
    assert restarts == []


def test_a_server_that_fails_what_it_could_before_is_wedged():
    assert follow([READY, *[look(FAILING)] * 3])[1] == [3]


def test_one_that_never_could_is_left_alone():
    states, restarts, _memory = follow([look(FAILING)] * 100)
    assert (set(states), restarts) == ({UNCLEAR}, [])


def test_a_port_that_closed_while_its_process_stays_is_wedged():
    assert follow([READY, *[look(DOWN)] * 3])[1] == [3]


# Deaf


def overrun(*times, loaded=False):
    """Looks that hear nothing, while a slot last told of work in the log at these times."""
    return [Look("1 a", SILENT, loaded=loaded, logged=time) for time in times]


def test_a_server_that_hears_nobody_and_works_on_is_not_wedged():
    """More connections are open than it takes. To end it would end the requests at work, and the crowd comes again."""
    states, restarts, _memory = follow([READY._replace(logged="a"), *overrun(*"bcdefghij")])
    assert (set(states[1:]), restarts) == ({DEAF}, [])


def test_once_nothing_works_any_more_silence_counts():
    states, restarts, _memory = follow([READY._replace(logged="a"), *overrun(*"bcdddd")])
    assert states[1:] == [DEAF, DEAF, DEAF, DOUBTFUL, DOUBTFUL, RESTARTED]
    assert restarts == [6]
    assert follow([READY, *overrun("", "", "")])[1] == [3]


def test_one_that_hears_and_does_not_answer_is_judged_by_its_answers():
    """It takes each question for a token, and never gives one: its log tells of that too."""
    assert follow([READY, *overrun(*"bcd", loaded=True)])[1] == [3]


# Not wedged


@pytest.mark.parametrize("seen", LOOKS_LIKE_ANY_OTHER)
def test_nothing_follows_from_what_has_its_reason(seen):
    assert follow([READY, QUIET, QUIET, *[look(seen)] * 100])[1] == []


def test_one_that_is_down_is_its_managers_matter():
    states, restarts, _memory = follow([READY, *[look(DOWN, process=None)] * 100])
    assert (set(states[1:]), restarts) == ({DOWN}, [])


def test_a_service_that_has_given_up_is_left_alone():
    states, restarts, _memory = follow([READY, QUIET, *[look(GIVEN_UP, process=None)] * 100])
    assert (set(states[2:]), restarts) == ({GIVEN_UP}, [])


def test_whoever_else_holds_the_port_is_left_alone():
    assert follow([READY, *[look(SILENT, process=None)] * 100])[1] == []


def test_a_long_generation_is_not_interrupted():
    states, restarts, _memory = follow(working(*range(1, 200)))
    assert (set(states), restarts) == ({ANSWERING}, [])


def test_a_long_prompt_is_not_interrupted():
    prompt = [look(WORKING, work=[(7, done, 0)]) for done in range(2048, 2048 * 30, 2048)]
    assert follow([READY, *prompt])[1] == []


def test_one_of_several_slots_that_moves_is_enough():
    looks = [look(WORKING, work=[(7, 8, 100), (9, 8, count)]) for count in range(100)]
    assert follow(looks)[1] == []


def test_one_batch_of_a_long_prompt_may_take_minutes():
    assert follow([READY, *working(*[5] * 10), READY])[1] == []
    assert follow([READY, *working(*[5] * 12)])[1] == [11]  # the first look saw it move


def test_a_task_that_has_computed_nothing_is_no_sign_of_life():
    looks = [look(WORKING, work=[(task, 0, 0)]) for task in range(20)]
    assert follow([READY, *looks])[1][0] == 10


def test_silence_does_not_make_an_old_state_new():
    looks = [*working(5), *[QUIET, *working(5)] * 10]
    assert follow([READY, *looks])[1][0] == 6  # 3 silences and 2 standstills: 3/3 + 2/10


def test_different_doubts_add_up():
    assert follow([READY, *working(5), *working(*[5] * 6), QUIET, QUIET])[1] == [9]
    assert follow([READY, *working(5), *working(*[5] * 6), QUIET, READY])[1] == []


# Loading


def test_a_server_may_be_silent_until_it_was_ready_for_the_first_time():
    states, restarts, _memory = follow([look(DOWN), *[QUIET] * 9, READY])
    assert (set(states[:-1]), states[-1], restarts) == ({LOADING}, ANSWERING, [])


def test_but_not_for_ever():
    assert follow([look(DOWN), *[QUIET] * 20])[1][0] == 10


def test_a_port_that_never_opened_is_not_our_matter():
    states, restarts, _memory = follow([look(DOWN)] * 100)
    assert (set(states), restarts) == ({LOADING}, [])


def test_loading_may_take_as_long_as_it_says_so():
    states, restarts, _memory = follow([look(LOADING)] * 1000)
    assert (set(states), restarts) == ({LOADING}, [])


def test_waking_up_may_take_as_long_as_loading():
    assert follow([READY, look(SLEEPING), *[look(WAKING)] * 9, READY])[1] == []
    assert follow([READY, *[look(WAKING)] * 10])[1] == [10]


def test_a_new_process_is_judged_anew():
    again = look(SILENT, process="1 b")  # the same number
    states, restarts, memory = follow([READY, QUIET, QUIET, again, again, again])
    assert (states[-1], restarts, memory.ready) == (LOADING, [], False)


def test_a_manager_that_is_silent_itself_changes_nothing():
    unknown = look(SILENT, process=None)
    assert follow([READY, QUIET, unknown, QUIET])[1] == [3]


# Restarts


def test_a_restart_that_changed_nothing_is_repeated_after_growing_pauses_and_then_not():
    states, restarts, memory = follow([READY, *[QUIET] * 60])
    assert restarts == [3, 9, 21]  # 2 and 4 times the three looks that a verdict takes
    assert set(states[22:]) == {HELD}
    assert memory.until == 1_000_000.0 + 3 * 60 + HOUR


def test_after_an_hour_restarts_are_allowed_again():
    states, restarts, _memory = follow([READY, *[QUIET] * 70])
    assert (restarts[3:], states[62], states[63]) == ([63], HELD, RESTARTED)


def test_a_single_restart_per_hour():
    assert follow([READY, *[QUIET] * 70], settings=SETTINGS._replace(restarts_per_hour=1))[1] == [3, 63]


def test_every_restart_counts_whatever_came_between():
    wedging = []
    for number in range(15):  # each process answers once
        wedging += [look(ANSWERED, f"{number} x"), *[look(SILENT, f"{number} x")] * 3]
    states, restarts, _memory = follow(wedging)
    assert restarts == [3, 11, 23]
    assert HELD in states[24:]


def test_a_clock_that_was_set_back_forgets_restarts_of_the_future():
    _states, _restarts, memory = follow([READY, *[QUIET] * 4])
    _states, restarts, _memory = follow([QUIET], memory, began=1000.0)
    assert restarts == [0]


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_only_the_silent_are_restarted_and_not_too_often(seed):
    chance = random.Random(seed)
    settings = Settings(
        interval=chance.choice([0.1, 1, 60]), looks=chance.randint(1, 4), restarts_per_hour=chance.randint(1, 4)
    )
    memory, now, restarts, process, quiet = Memory(), 1e6, [], 1, 0
    for _ in range(400):
        seen = chance.choice([SILENT, SILENT, SILENT, DOWN, FAILING, WAKING, WORKING, ANSWERED, LOADING, UNCLEAR])
        process += chance.random() < 0.02
        work = [(chance.randint(1, 2), 8, chance.randint(0, 3))] if seen == WORKING else ()
        present = chance.random() < 0.9
        moved = any(mark not in memory.work for mark in work) or f"{process} x" != memory.process
        memory, restart = decide(memory, look(seen, f"{process} x" if present else None, work), now, settings)
        proof = seen in LOOKS_LIKE_ANY_OTHER or (seen == WORKING and moved)
        quiet = 0 if proof else quiet + 1
        if restart:
            assert present and quiet >= settings.looks
            restarts.append(now)
            process += chance.random() < 0.5
        now += settings.interval
    for moment in restarts:
        assert sum(moment - HOUR < other <= moment for other in restarts) <= settings.restarts_per_hour


# What is asked


def test_a_token_is_asked_for_at_every_look():
    assert token_is_due(follow([READY])[2], "1 a", SETTINGS)


@pytest.mark.parametrize(("idle", "looks"), [(10, 1), (60, 2), (600, 11)])
def test_a_model_that_is_unloaded_when_idle_gets_there(idle, looks):
    settings = SETTINGS._replace(idle_unload_seconds=idle)
    rested = 0
    while not token_is_due(follow([READY, *[look(RESTING)] * rested], settings=settings)[2], "1 a", settings):
        rested += 1
    assert rested + 1 == looks
    assert looks * settings.interval > idle


def test_who_is_in_doubt_or_new_is_asked_at_once():
    settings = SETTINGS._replace(idle_unload_seconds=600)
    assert token_is_due(follow([READY, QUIET], settings=settings)[2], "1 a", settings)
    assert token_is_due(follow([READY], settings=settings)[2], "2 b", settings)
    assert token_is_due(Memory(), "1 a", settings)


def test_since_is_when_the_state_was_reached():
    assert follow([READY, QUIET, READY, READY, READY])[2].since == 1_000_000.0 + 2 * 60
