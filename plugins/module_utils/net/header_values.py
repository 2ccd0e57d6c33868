# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What headers of HTTP say."""

from __future__ import annotations

import re
import time


def whole_number(text):
    """The number that a header gives, or None when it gives none."""
    return int(text) if re.fullmatch("[0-9]{1,19}", text or "") else None


def retry_after(value):
    """Seconds to wait, from a number or a date (RFC 9110, 10.2.3); None when nothing readable is there."""
    seconds = whole_number(value)
    if seconds is not None or not value:
        return seconds
    import email.utils  # noqa: PLC0415 - dates are rare, and the commands have to start fast

    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
