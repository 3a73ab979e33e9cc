"""``renorm selftest``: does this machine, with these versions, compute what it should?"""
