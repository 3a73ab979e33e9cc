"""``renorm report``: every claim tested by experiments, judged by a rule that was written down before, on one page."""
