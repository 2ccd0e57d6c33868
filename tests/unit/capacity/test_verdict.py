# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether what models need is there, and what to do when it is not."""

from ansible_collections.macos_setup.llm.plugins.module_utils.base.units import GIB, MIB
from ansible_collections.macos_setup.llm.plugins.module_utils.capacity import verdict
from ansible_collections.macos_setup.llm.plugins.module_utils.capacity.estimate import Need
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.hardware import Room


def gib(number):
    return int(number * GIB)


MAC = Room(gib(48), gib(64), "Metal on this Mac allows", gib(56))


class TestJudge:
    """The 70B model of the style guide: 39.6 GiB of weights, 9.8 GiB for a context of 32768."""

    def llama(self, context):
        return Need(gib(39.6), int(gib(9.8) * context / 32768), 0)

    def test_one_that_does_not_fit(self):
        fit = verdict.judge("llama-70b", self.llama, MAC, 32768)
        assert fit.fits is False and fit.needed.total == gib(39.6) + gib(9.8)
        assert fit.words.startswith(
            "models.llama-70b needs 49.4 GiB (weights 39.6, context_size 32768 takes 9.8, working memory 0.00); "
            "Metal on this Mac allows 48.0 of 64.0 GiB"
        )
        assert "With context_size 16384 it needs 44.5 GiB and fits." in fit.words
        assert "service.wired_limit_mb: %d" % -(-(fit.needed.total + GIB) // MIB) in fit.words

    def test_one_that_fits(self):
        fit = verdict.judge("llama-70b", self.llama, MAC, 16384)
        assert fit.fits is True and "smaller" not in fit.words

    def test_what_llama_server_leaves_free_is_not_there(self):
        room = MAC._replace(bytes=gib(39.6) + gib(9.8) + GIB)
        assert verdict.judge("m", self.llama, room, 32768).fits is True
        assert verdict.judge("m", self.llama, room._replace(bytes=room.bytes - 1), 32768).fits is False

    def test_a_limit_that_would_be_too_high_is_not_advised(self):
        fit = verdict.judge("m", self.llama, MAC._replace(highest=gib(50)), 32768)
        assert fit.fits is False and "wired_limit_mb" not in fit.words

    def test_a_host_without_metal_has_no_limit_to_raise(self):
        room = Room(gib(40), gib(40), "this machine has", gib(40))
        fit = verdict.judge("m", self.llama, room, 32768)
        assert fit.fits is False and "this machine has 40.0 GiB" in fit.words and "wired_limit_mb" not in fit.words

    def test_weights_that_do_not_fit_are_not_helped_by_a_smaller_context(self):
        fit = verdict.judge("m", self.llama, MAC._replace(bytes=gib(30), highest=gib(30)), 32768)
        assert fit.fits is False and "With context_size" not in fit.words and "smaller quantisation" in fit.words

    def test_a_context_that_is_not_set_may_shrink_to_4096(self):
        fit = verdict.judge("m", self.llama, MAC, None, 131072)
        assert fit.fits is True and fit.needed == self.llama(4096) and "131072" in fit.words

    def test_a_context_beyond_what_the_model_was_trained_for_is_told_with_its_key(self):
        fit = verdict.judge("m", self.llama, MAC, 16384, 2048)
        assert fit.fits is True and "trained for 2048 tokens" in fit.words
        assert "models.m.context_size to at most 2048" in fit.words
        assert "trained" not in verdict.judge("m", self.llama, MAC, 2048, 2048).words

    def test_slots_divide_the_context_that_a_request_gets(self):
        assert "trained" not in verdict.judge("m", self.llama, MAC, 8192, 2048, slots=4).words
        assert "at most 8192" in verdict.judge("m", self.llama, MAC, 16384, 2048, slots=4).words

    def test_only_a_context_that_can_be_used_is_advised(self):
        fit = verdict.judge("m", self.llama, MAC, 1_250_000, 5000)
        assert fit.fits is False and "With context_size 5000 it needs" in fit.words and "625000" not in fit.words

    def test_a_model_trained_for_less_than_that(self):
        assert verdict.judge("m", self.llama, MAC, None, 2048).needed == self.llama(2048)

    def test_an_upper_bound_that_fits_is_enough(self):
        fit = verdict.judge("m", lambda context: self.llama(context)._replace(exact=False), MAC, 16384)
        assert fit.fits is True and "at most" in fit.words

    def test_an_upper_bound_that_does_not_fit_proves_nothing(self):
        fit = verdict.judge("m", lambda context: self.llama(context)._replace(exact=False), MAC, 32768)
        assert fit.fits is None and "at most 49.4 GiB" in fit.words and "With context_size 16384" in fit.words

    def test_unless_the_weights_alone_do_not_fit(self):
        room = MAC._replace(bytes=gib(40))
        assert verdict.judge("m", lambda c: self.llama(c)._replace(exact=False), room, 32768).fits is False

    def test_a_need_that_nobody_can_tell(self):
        assert verdict.judge("m", lambda context: None, MAC, 4096)[:2] == (None, None)


def test_a_file_that_is_too_large_is_known_before_it_is_there():
    assert verdict.too_large("m", Need(gib(47), 0, 0), MAC) is None
    fit = verdict.too_large("m", Need(gib(47.5), 0, 0), MAC)
    assert fit.fits is False and "47.5 GiB for its weights alone" in fit.words
